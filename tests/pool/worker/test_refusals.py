"""An engine's refusal names the file that it is about, and what to do."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Media, Sample
from vlmeval_mp.pool.worker import refusals

ASPECT = "absolute aspect ratio must be smaller than 200, got 65000.0"
ONE = (Media(kind="image", file="media/a.png"),)
MANY = tuple(Media(kind="image", file=f"{n}.png") for n in range(5))


@pytest.mark.parametrize(
    ("error", "media", "expected"),
    [
        (ASPECT, ONE, f"image 1 (media/a.png): {ASPECT}"),
        (ASPECT, (*ONE, Media(kind="video", file="v.mp4")), f"image 1 (media/a.png) or video 1 (v.mp4): {ASPECT}"),
        (ASPECT, MANY, f"image 1 (0.png) or image 2 (1.png) or image 3 (2.png) or one of 2 more: {ASPECT}"),
        (ASPECT, (), ASPECT),
        ("image 1 (media/a.png) is empty", ONE, "image 1 (media/a.png) is empty"),
        ("cannot open media/a.png, an image", ONE, "cannot open media/a.png, an image"),
        ("the prompt has 9 tokens more than fit", ONE, "the prompt has 9 tokens more than fit"),
    ],
)
def test_a_refusal_that_speaks_of_media_names_them(error: str, media: tuple[Media, ...], expected: str) -> None:
    assert refusals.told(error, Sample(index="1", row=0, kind="vqa", media=media)) == expected


@pytest.mark.parametrize(
    "error",
    ["System role not supported", "The system message is not allowed", "Conversation roles must alternate",
     "Only user and assistant roles are supported!", "Unexpected role 'system'",
     "Developer instruction is not enabled"],
)  # fmt: skip
def test_a_template_without_a_system_role_is_answered_with_the_way_out(error: str) -> None:
    assert refusals.told(error, Sample(index="1", row=0, kind="vqa")) == f"{error}; {refusals.IN_ONE_TURN}"


@pytest.mark.parametrize(
    "error", ["rejected by our safety system. Contact support", "the file system is full", "too long"]
)
def test_other_systems_are_not_meant(error: str) -> None:
    assert not refusals.about_system(error)
