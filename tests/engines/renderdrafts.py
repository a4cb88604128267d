"""One draft of each kind that a render process may be given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.engines.contract import picture
from vlmeval_mp.core.records import (
    Draft,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Part,
    Sampling,
    TextPart,
    VideoPart,
)

VIDEOS = Path(__file__).resolve().parents[2] / "vlmeval_mp" / "demo" / "data" / "videos"


def drafts(folder: Path) -> Iterator[Draft]:
    """One of each kind, their media in `folder`."""
    for shade in range(3):
        picture(shade, (84, 56 + 28 * shade)).save(folder / f"{shade}.png")
    video = VideoPart(media=Media(kind="video", file=str(VIDEOS / "digits-03.mp4"), digest="v"))
    labelled = VideoPart(media=video.media, label="Frame {}: ")
    images = [ImagePart(media=Media(kind="image", file=f"{n}.png", digest=f"d{n}")) for n in range(3)]
    unnamed = ImagePart(media=Media(kind="image", file="1.png"))
    asked = TextPart(text="Which digit is this?")
    kinds: dict[str, tuple[Part, ...]] = {
        "image": (images[0], asked),
        "the same image again": (images[0], TextPart(text="And now?")),
        "several images": (*images, asked),
        "text between images": (TextPart(text="First:"), images[0], TextPart(text="then <|image_pad|>"), images[1]),
        "image without digest": (unnamed, asked),
        "video": (video, asked),
    }
    for name, parts in kinds.items():
        yield Draft(name, (Message(role="user", parts=parts),), Sampling(), folder, MediaLimits())
    frames = (Message(role="user", parts=(labelled, asked)),)
    yield Draft("video as frames", frames, Sampling(), folder, MediaLimits(), nframe=4, video="images")
    begun = (
        Message(role="system", parts=(TextPart(text="Be brief."),)),
        Message(role="user", parts=(images[2], asked)),
        Message(role="assistant", parts=(TextPart(text="It is"),)),
    )
    yield Draft("begun answer", begun, Sampling(), folder, MediaLimits())
    larger = (Message(role="user", parts=(images[0], asked)),)
    own = {"min_pixels": 400 * 400}
    yield Draft("processor's own arguments", larger, Sampling(), folder, MediaLimits(), processor=own)
