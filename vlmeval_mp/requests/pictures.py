"""Opens picture files that Pillow's `open` does not: rare formats, a JPEG without its end, over 8 bits a channel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The image formats that are opened everywhere; Pillow knows more, some of which start other programs."""

_BUILT_IN = {"AVIF": ("AVIF", "avif"), "JPEG 2000": ("JPEG2000", "jpg_2000")}
"""Formats that Pillow opens where it was built with their library: its names of format and library."""

_SIGNATURES = (
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%!PS", "PostScript"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"qoif", "QOI"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"<svg", "SVG"),
    (128, b"DICM", "DICOM"),
)
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"isom", b"mp41", b"mp42", b"qt  ", b"M4V "), "a video (MP4)"),
}
END = b"\xff\xd9"
"""The marker that ends a JPEG file."""
_SCAN = 0xDA
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_NO_SEGMENT = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))
_RESTARTS = b"".join(bytes((0xFF, 0xD0 + n % 8)) + b"\x2a\x95" * 64 for n in range(16))
_TAILS = (b"", _RESTARTS, bytes(64), b"\x2a\x95" * 64, b"\x55" * 64, b"\xaa" * 64, bytes(range(1, 200, 3)))
"""Entropy coded data of several kinds: where a row is missing, one of them gives it another look.

One has restart markers, because a decoder that waits for the next of them passes over everything else.
"""


def identify(path: Path) -> Image.Image:
    """Return the picture at `path`, its header read and nothing decoded.

    Raises:
        RequestError: the file is of a known format that is not opened here; the message says which and what to do.
        Exception: whatever Pillow raises.
    """
    from PIL import Image, UnidentifiedImageError, features

    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        name = format_of(path)
        if not name:
            raise
        pillows, library = _BUILT_IN.get(name, ("", ""))
        if not pillows or not features.check(library):
            raise RequestError(f"is {name}, which is not opened here; convert it to PNG or JPEG") from None
        return Image.open(path, formats=[pillows])


def format_of(path: Path) -> str:
    """Return the name of the rarer format that the file at `path` has by its first bytes; "" if it has none of them."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = [head[8:12], *(head[place : place + 4] for place in range(16, size, 4))]
        found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return "AVIF" if "AVIF" in found else found[0] if found else ""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "SVG"
    return next((name for place, mark, name in _SIGNATURES if (head if place else text).startswith(mark, place)), "")


def load(image: Image.Image, path: Path) -> Image.Image:
    """Return `image`, which was opened from `path`, decoded.

    A JPEG whose only fault is that its end marker is missing is whole, and is opened. It is whole if all of its scans
    are there, and if what one appends to the last of them changes nothing.

    Raises:
        Exception: whatever the decoder raises.
    """
    try:
        image.load()
        return image
    except OSError:
        if image.format != "JPEG":
            raise
        data = path.read_bytes().removesuffix(END[:1])
        ended = [_decoded(data + tail + END) for tail in _TAILS] if _has_all_scans(data) else [None]
        pixels = {picture.tobytes() if picture else b"" for picture in ended}
        if ended[0] is None or len(pixels) > 1:
            raise
        return ended[0]


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a JPEG send every coefficient of every component in full."""
    components: set[int] = set()
    sent: set[tuple[int, int]] = set()
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in _NO_SEGMENT:
            place += 1 if marker == 0xFF else 2
            continue
        segment = data[place + 4 : place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")]
        place += 4 + len(segment)
        if marker in _FRAMES and len(segment) >= 6:
            components = set(segment[6::3])
        elif marker == _SCAN and len(segment) >= 4:
            first, last, precision = segment[-3:]
            if not precision & 15:
                sent |= {(each, n) for each in segment[1 : 1 + 2 * segment[0] : 2] for n in range(first, last + 1)}
    return bool(components) and all((each, n) in sent for each in components for n in range(64))


def _decoded(data: bytes) -> Image.Image | None:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        image.load()
    except Exception:  # whatever a decoder raises: then the file is no better than it was
        return None
    return image


def eight_bit(image: Image.Image) -> Image.Image:
    """Return gray of more than 8 bits as 8 bits, where a plain conversion would clip it to white.

    16 bits are scaled from their whole range, numbers from 0 to 1 or to 255 from that. A picture that leaves this
    range, or that uses so little of it (a sixteenth or less) that it would be nearly black, is scaled from its own.
    What is no finite number is as dark or as bright as the rest.
    """
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    finite = values[np.isfinite(values)]
    values = np.clip(np.nan_to_num(values), finite.min(initial=0.0), finite.max(initial=0.0))
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if image.mode == "F":
        bottom, top = 0.0, 255.0 if high > 1.0 else 1.0
        own = low < 0.0 or high > top or high < top / 16
    else:
        bottom, top = 0.0, 65535.0
        own = low < 0.0 or high > top or high < 4096.0
    if own:
        bottom, top = float(values.min()), max(high, float(values.min()) + 1e-9)
    return Image.fromarray(np.rint(np.clip((values - bottom) / (top - bottom), 0.0, 1.0) * 255.0).astype(np.uint8))
