"""A file is plain if every reader sees the same picture in it."""

from pathlib import Path

import pytest
from PIL import Image

from vlmeval_mp.engines.plainfile import plain_kind, write_png

PICTURE = Image.effect_noise((8, 6), 50).convert("RGB")


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    ("name", "mode", "saved", "kind"),
    [
        ("rgb.png", "RGB", {}, "image/png"),
        ("gray.png", "L", {}, "image/png"),
        ("photo.jpg", "RGB", {}, "image/jpeg"),
        ("photo.webp", "RGB", {"lossless": True}, "image/webp"),
        ("clear.png", "RGBA", {}, ""),
        ("palette.png", "P", {}, ""),
        ("print.jpg", "CMYK", {}, ""),
        ("turned.jpg", "RGB", {"exif": turned()}, ""),
        ("old.bmp", "RGB", {}, ""),
        ("moving.webp", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (8, 6))]}, ""),
    ],
)
def test_a_kind_is_given_for_plain_files_only(tmp_path: Path, name: str, mode: str, saved: dict, kind: str) -> None:
    path = tmp_path / name
    PICTURE.convert(mode).save(path, **saved)
    assert plain_kind(path, PICTURE) == kind


def test_a_scaled_picture_is_not_its_file(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    assert plain_kind(tmp_path / "a.png", PICTURE.resize((4, 3))) == ""


def test_what_is_no_picture_is_not_plain(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    assert plain_kind(tmp_path / "a.png", PICTURE) == ""
    assert plain_kind(tmp_path / "gone.png", PICTURE) == ""


def test_a_written_png_has_the_same_pixels(tmp_path: Path) -> None:
    write_png(PICTURE, tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").tobytes() == PICTURE.tobytes()
