"""Frames are taken by VLMEvalKit's rules; tests/test_videoprompts.py runs these against its own functions."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Media
from vlmeval_mp.requests import frames


@pytest.mark.parametrize(
    ("total", "rate", "nframe", "fps", "most", "indices"),
    [
        (90, 30.0, 8, 0.0, 768, (10, 20, 30, 40, 50, 60, 70, 80)),
        (100, 25.0, 3, 0.0, 768, (25, 50, 75)),
        (100, 25.0, 0, 0.0, 768, (11, 22, 33, 44, 55, 66, 77, 88)),
        (1, 25.0, 3, 0.0, 768, (0, 0, 0)),
        (100, 25.0, 0, 1.0, 768, (0, 25, 50, 75)),
        (100, 29.97, 0, 2.0, 768, (0, 14, 29, 44, 59, 74)),
        (10, 25.0, 0, 1.0, 768, (0,)),
        (10, 5.0, 0, 50.0, 768, tuple(i // 10 for i in range(100))),
        (100, 25.0, 0, 25.0, 4, (20, 40, 60, 80)),
        (100, 25.0, 50, 0.0, 4, (20, 40, 60, 80)),
    ],
)
def test_frames_are_taken_as_vlmevalkit_takes_them(
    total: int, rate: float, nframe: int, fps: float, most: int, indices: tuple[int, ...]
) -> None:
    assert frames.choose(Media(kind="video"), total, rate, nframe, fps, most) == indices


def segments(total: int, rate: float, nframe: int, clip: tuple[float, float] | None = None, **more: int) -> list[int]:
    return list(frames.choose(Media(kind="video", frames="segments", clip=clip), total, rate, nframe, 0.0, 768, **more))


def test_segments_are_taken_about_their_middles() -> None:
    assert segments(81, 25.0, 8) == [5, 15, 25, 35, 45, 55, 65, 75]
    assert segments(2, 25.0, 8) == [0, 0, 0, 0, 0, 1, 1, 1]


def test_segments_stay_within_the_clip() -> None:
    assert segments(1000, 10.0, 4, (10.0, 18.0)) == [110, 130, 150, 170]
    assert segments(150, 10.0, 4, (10.0, 99.0)) == [106, 118, 130, 143]


def test_frames_of_a_folder_are_numbered_from_one() -> None:
    assert segments(9, 3.0, 4, first=1) == [2, 4, 6, 8]


def test_a_clip_behind_the_end_of_its_video_is_refused() -> None:
    with pytest.raises(ValueError, match="has no frame between second 20 and 30"):
        segments(100, 10.0, 4, (20.0, 30.0))


def test_a_rate_has_one_rule_for_all() -> None:
    media = Media(kind="video", frames="segments")
    assert frames.choose(media, 100, 25.0, 0, 1.0, 768) == (0, 25, 50, 75)
