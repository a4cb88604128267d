"""How a video goes to an engine is one value, made of the model, the data set and the video."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import DatasetInfo, DataSpec, Media, MediaLimits, ModelSpec, Subtitles, VideoPart
from vlmeval_mp.requests import videoas
from vlmeval_mp.requests.videoas import VideoAs

MODEL = ModelSpec(name="m", path="m", engine="fake")
PICTURES_ONLY = ModelSpec(name="m", path="m", engine="fake", video="images")
PLAIN = DataSpec(name="d", path="d", nframe=4)
PARTED = DataSpec(name="d", path="d", prompt="longvideobench", use_subtitle=True, fps=1.0)
INFO = DatasetInfo("d", "", "", 0, 0, 1, {}, max_images=1, max_videos=2, columns=())


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [(MODEL, PLAIN, "native"), (PICTURES_ONLY, PLAIN, "images"), (MODEL, PARTED, "images")],
)
def test_frames_are_images_where_the_model_or_the_subtitles_want_it(
    model: ModelSpec, data: DataSpec, expected: str
) -> None:
    assert videoas.of_job(model, data) == expected
    assert videoas.of_job(model, data, opens_files=True) == "whole"


@pytest.mark.parametrize(
    ("wanted", "part", "expected"),
    [
        ("whole", VideoPart(media=Media(kind="video")), "whole"),
        ("whole", VideoPart(media=Media(kind="video", clip=(1.0, 2.0))), "native"),
        ("images", VideoPart(media=Media(kind="video", rate=3.0)), "images"),
        ("whole", VideoPart(media=Media(kind="video"), subtitles=Subtitles(between=True)), "images"),
        ("native", VideoPart(media=Media(kind="video"), subtitles=Subtitles()), "native"),
    ],
)
def test_a_clip_is_no_file_and_subtitles_between_frames_part_them(
    wanted: VideoAs, part: VideoPart, expected: str
) -> None:
    assert videoas.of_part(wanted, part) == expected


def test_as_many_images_are_announced_as_frames_can_come() -> None:
    limits = MediaLimits(max_frames=10)
    assert videoas.most_media("native", INFO, PLAIN, limits) == (1, 2)
    assert videoas.most_media("images", INFO, PLAIN, limits) == (1 + 4 * 2, 0)
    assert videoas.most_media("images", INFO, PARTED, limits) == (1 + 10 * 2, 0)
