"""Every file of the hostile pack behaves as its manifest says."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import shared_data
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import ImagePart, Media, MediaLimits, Message, Request, Sampling, VideoPart
from vlmeval_mp.requests import media

HOSTILE = shared_data() / "hostile"
ITEMS: dict[str, dict[str, Any]] = {
    item["file"]: item for item in json.loads((HOSTILE / "manifest.json").read_text())["items"]
}
IMAGES = {name: item["expect"] for name, item in ITEMS.items() if not name.startswith("videos/")}
REFUSED = sorted(name for name, expect in IMAGES.items() if expect.startswith("reject"))
DECODED = sorted(name for name, expect in IMAGES.items() if expect.startswith("decode"))
VIDEOS = sorted(name for name in ITEMS if name.startswith("videos/"))


def prepare(name: str) -> Request:
    if name in VIDEOS:
        part: ImagePart | VideoPart = VideoPart(media=Media(kind="video", file=name))
    else:
        part = ImagePart(media=Media(kind="image", file=name))
    return media.prepare("1", (Message(role="user", parts=(part,)),), Sampling(), HOSTILE, MediaLimits(), 8, 0.0)


def picture(name: str) -> Image.Image:
    (opened,) = prepare(name).images
    return opened


def test_every_file_of_the_manifest_is_covered() -> None:
    assert sorted([*REFUSED, *DECODED, *VIDEOS]) == sorted(ITEMS)
    on_disk = {str(p.relative_to(HOSTILE)) for p in HOSTILE.rglob("*") if p.is_file()}
    assert on_disk - set(ITEMS) == {"manifest.json", "hostile_rows.tsv"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_image_is_refused_by_number_and_file(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(name)
    assert str(caught.value).startswith(f"image 1 ({name}) ")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.png", "is empty (0 bytes)"),
        ("html_error_page.png", "it is text, beginning '<!DOCTYPE html>"),
        ("git_lfs_pointer.png", "it is text, beginning 'version https://git-lfs."),
        ("truncated.png", "truncated"),
        ("bomb_20000x20000.png", "is refused before decoding: Image size (400000000 pixels)"),
        ("videos/empty.mp4", "is empty (0 bytes)"),
        ("videos/text.mp4", "it is text, beginning 'not a video"),
    ],
)
def test_the_refusal_says_what_is_wrong(name: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(name)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", DECODED)
def test_an_awkward_image_becomes_one_rgb_picture(name: str) -> None:
    opened = picture(name)
    width, height = ITEMS[name]["pillow"]["open"]["size"]
    assert opened.mode == "RGB"
    assert opened.size == ((height, width) if IMAGES[name] == "decode_orient" else (width, height))


_UNDER_A_MEMORY_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
sys.path.insert(0, sys.argv[1])
from tests.hostile.test_manifest import prepare
from vlmeval_mp.core.errors import RequestError
for name in sys.argv[2:]:
    try:
        prepare(name)
    except RequestError as error:
        print(error)
"""


def test_bombs_are_refused_within_a_gigabyte_of_address_space() -> None:
    bombs = [name for name, expect in IMAGES.items() if expect == "reject_bomb"]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_A_MEMORY_LIMIT, str(root), *bombs], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("is refused before decoding") == len(bombs) == 2


def test_cmyk_keeps_its_colors() -> None:
    with Image.open(HOSTILE / "cmyk.jpg") as original:
        expected = np.asarray(original.convert("RGB"))
    assert np.array_equal(np.asarray(picture("cmyk.jpg")), expected)
    assert expected.std() > 10


def test_sixteen_bit_gray_is_not_clipped_to_white() -> None:
    levels = np.asarray(picture("gray16.png"))[..., 0]
    assert (levels.min(), levels.max(), len(np.unique(levels)) > 32) == (0, 251, True)


def test_a_black_arrow_on_a_transparent_ground_stays_visible_and_points_right() -> None:
    dark = np.argwhere(np.asarray(picture("rgba_black_on_transparent.png").convert("L")) < 64)
    left, right = dark[dark[:, 1] < 100], dark[dark[:, 1] >= 100]
    assert len(left) > 100
    assert np.ptp(right[:, 0]) > np.ptp(left[:, 0])


def test_a_transparent_palette_is_shown_on_white() -> None:
    with Image.open(HOSTILE / "palette_transparency.png") as original:
        rgba = np.asarray(original.convert("RGBA"))
    opened = np.asarray(picture("palette_transparency.png"))
    clear = rgba[..., 3] == 0
    assert clear.any()
    assert (opened[clear] == 255).all()
    assert np.array_equal(opened[rgba[..., 3] == 255], rgba[rgba[..., 3] == 255][:, :3])


def test_a_rotated_photo_is_upright() -> None:
    with Image.open(HOSTILE / "exif_orientation_6.jpg") as original:
        expected = original.transpose(Image.Transpose.ROTATE_270)
    assert picture("exif_orientation_6.jpg").tobytes() == expected.tobytes()


def test_of_an_animation_the_first_frame_is_taken() -> None:
    red = np.argwhere((np.asarray(picture("animated.gif")).astype(int) @ [1, -1, -1]) > 100)
    assert len(red)
    assert red[:, 1].mean() < 40  # the dot starts at the left


def test_jpeg_bytes_with_another_name_are_read_for_what_they_are() -> None:
    with Image.open(HOSTILE / "jpeg_named.png") as original:
        assert picture("jpeg_named.png").tobytes() == original.convert("RGB").tobytes()


# --- videos ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in VIDEOS if name != "videos/one_frame.mp4"])
def test_a_bad_video_is_refused_by_number_and_file(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(name)
    assert str(caught.value).startswith(f"video 1 ({name}) ")


def test_a_video_of_one_frame_gives_that_frame() -> None:
    (frames,) = prepare("videos/one_frame.mp4").videos
    assert (frames.total, frames.indices) == (1, (0,) * 8)
    assert frames.pixels.shape == (8, 90, 160, 3)
    assert (frames.pixels == frames.pixels[0]).all()


def test_refusing_all_of_them_leaves_memory_and_files_as_they_were() -> None:
    def refuse_all() -> None:
        for name in (*REFUSED, *(name for name in VIDEOS if "one_frame" not in name)):
            with pytest.raises(RequestError):
                prepare(name)

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    refuse_all()
    files, memory = open_files(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        refuse_all()
    assert open_files() == files
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 << 10
