"""Thumbnails of samples' media: a picture, or the middle frame of a video, small and made anew from its pixels.

Whatever a media file holds, only pixels get into a report: what cannot be decoded as one of the known formats (an SVG,
say) has no thumbnail. Knows no run and no page.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.core import files
from vlmeval_mp.core.records import Media, MediaLimits

if TYPE_CHECKING:
    from PIL import Image

SIDE = 360
"""Pixels of the longer side of a thumbnail at most."""
QUALITY = 70
FOLDER = "media"
"""The folder beside the page with thumbnails that found no room in it."""
AT_ONCE = 256
"""Pictures that are waited for together, so that memory stays small."""


@dataclass(slots=True)
class Pictures:
    """Sources of pictures by id: data inside the page, or a file beside it. `beside` and `missing` count the others."""

    sources: dict[str, str] = field(default_factory=dict)
    inline_bytes: int = 0
    beside: int = 0
    missing: int = 0


def id_of(media: Media) -> str:
    """Return what names the thumbnail of `media`: two of the same content have the same."""
    return media.digest[:16] or hashlib.sha256(media.file.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def place_of(media: Media, folders: Iterable[Path]) -> Path | None:
    """Return where the file of `media` is: absolute, or in one of `folders`; None if it is nowhere."""
    if not media.file:
        return None
    found = (folder / media.file for folder in (*folders, Path()))
    return next((path for path in found if path.exists()), None)


def gather(wanted: Mapping[str, tuple[Media, Path]], folder: Path, inline_bytes: int) -> Pictures:
    """Return thumbnails of all `wanted`, by id, in their order: the first ones inline, the others in `folder`/media.

    Raises:
        StorageError: a file could not be written.
    """
    found = Pictures()
    items = list(wanted.items())
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for start in range(0, len(items), AT_ONCE):
            part = items[start : start + AT_ONCE]
            made = pool.map(lambda item: thumbnail(*item[1]), part)
            for (name, _), data in zip(part, made, strict=True):
                _place(found, name, data, folder, inline_bytes)
    return found


def _place(found: Pictures, name: str, data: bytes | None, folder: Path, inline_bytes: int) -> None:
    if data is None:
        found.missing += 1
        return
    text = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    if found.inline_bytes + len(text) <= inline_bytes:
        found.inline_bytes += len(text)
        found.sources[name] = text
        return
    path = folder / FOLDER / f"{name}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.atomic_write(path, data, durable=False)
    found.beside += 1
    found.sources[name] = f"{FOLDER}/{name}.webp"


def thumbnail(media: Media, path: Path) -> bytes | None:
    """Return a small WebP of the picture or video at `path`; None if it cannot be opened."""
    try:
        image = _frame(path) if media.kind == "video" else _picture(path)
        image.thumbnail((SIDE, SIDE))
        out = io.BytesIO()
        image.save(out, "WEBP", quality=QUALITY, method=2)
        return out.getvalue()
    except Exception:  # decoders raise what they like, and a report needs no picture
        return None


def _picture(path: Path) -> Image.Image:
    from PIL import Image

    from vlmeval_mp.requests.media import open_image

    with Image.open(path) as quick:
        if quick.format == "JPEG" and quick.mode == "RGB" and quick.width * quick.height <= MediaLimits().refuse_pixels:
            quick.draft("RGB", (2 * SIDE, 2 * SIDE))  # decodes an eighth of the work for a large photograph
            return quick.convert("RGB")
    return open_image(path, MediaLimits())


def _frame(path: Path) -> Image.Image:
    """Return the frame in the middle of a video, or of a folder of frames."""
    if path.is_dir():
        frames: Sequence[Path] = sorted(p for p in path.iterdir() if p.is_file())
        return _picture(frames[len(frames) // 2])
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if container.duration:
            container.seek(container.duration // 2)
        image: Image.Image = next(container.decode(stream)).to_image()
        return image
