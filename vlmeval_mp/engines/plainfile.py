"""Checks that an image file shows the same picture to every reader, and writes a picture as such a file.

Knows neither endpoints nor model classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Formats that every reader takes, and their MIME types."""
ORIENTATION = 0x0112
FAST = 1
"""zlib level of a PNG: a fifth of the default's time for a few percent more bytes."""


def plain_kind(path: Path, image: Image) -> str:
    """Return the MIME type of an image file that anybody decodes to just `image`; "" if it is not such a file.

    Not such: formats that not everybody takes, more than one frame, a turn to be made (EXIF), transparency, other
    colours than RGB and gray of 8 bits, and a picture that was scaled. Reads the header only.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=tuple(KINDS)) as header:
            plain = (
                header.mode in ("RGB", "L")
                and header.size == image.size
                and not header.has_transparency_data
                and getattr(header, "n_frames", 1) == 1
                and header.getexif().get(ORIENTATION, 1) == 1
            )
            return KINDS[str(header.format)] if plain else ""
    except Exception:  # whatever is odd about it, the pixels are here
        return ""


def write_png(image: Image, target: Path | IO[bytes]) -> None:
    """Write `image` as PNG, which loses nothing.

    Raises:
        OSError: it cannot be written.
    """
    image.save(target, "PNG", compress_level=FAST)
