from __future__ import annotations

import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conftest import shared_data
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import (
    Frames,
    ImagePart,
    Media,
    MediaLimits,
    Message,
    Request,
    Sampling,
    TextPart,
    VideoPart,
)
from vlmeval_mp.requests import media, video


def request(folder: Path, *parts: ImagePart | VideoPart, limits: MediaLimits | None = None, **frames: float) -> Request:
    messages = (Message(role="user", parts=(*parts, TextPart(text="Why?"))),)
    nframe, fps = int(frames.get("nframe", 0)), frames.get("fps", 0.0)
    return media.prepare("7", messages, Sampling(), folder, limits or MediaLimits(), nframe, fps)


def image(name: str, error: str = "") -> ImagePart:
    return ImagePart(media=Media(kind="image", file=name, error=error))


def picture(path: Path, limits: MediaLimits | None = None) -> Image.Image:
    (opened,) = request(path.parent, image(path.name), limits=limits).images
    assert opened.mode == "RGB"
    return opened


def clip(path: Path, limits: MediaLimits | None = None, **frames: float) -> Frames:
    part = VideoPart(media=Media(kind="video", file=str(path)))
    (opened,) = request(path.parent, part, limits=limits, **frames).videos
    return opened


def film(path: Path, frames: int, rate: int = 10, size: tuple[int, int] = (64, 32)) -> Path:
    """A video whose frame n is gray of level 6 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for level in range(frames):
            pixels = np.full((size[1], size[0], 3), 6 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def levels(frames: Frames) -> list[int]:
    return [round(float(pixels.mean()) / 6) for pixels in frames.pixels]


# --- requests --------------------------------------------------------------------------------------------------


def test_media_keep_the_order_of_the_parts(tmp_path: Path) -> None:
    for color in ("red", "blue"):
        Image.new("RGB", (4, 4), color).save(tmp_path / f"{color}.png")
    film(tmp_path / "film.mp4", 3)
    parts = (image("blue.png"), VideoPart(media=Media(kind="video", file="film.mp4")), image("red.png"))
    made = request(tmp_path, *parts)
    assert [opened.getpixel((0, 0)) for opened in made.images] == [(0, 0, 255), (255, 0, 0)]
    assert len(made.videos) == 1
    assert (made.id, made.messages[0].parts[:3]) == ("7", parts)


def test_a_fault_found_while_reading_the_data_set_names_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(RequestError, match=r"^image 2: S\.tsv row 3, column 'image': is empty$"):
        request(tmp_path, image("a.png"), image("", error="S.tsv row 3, column 'image': is empty"))


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^image 1 \(gone\.png\) does not exist any more$"):
        request(tmp_path, image("gone.png"))
    with pytest.raises(RequestError, match=r"^video 1 \(.*/gone\.mp4\) does not exist any more$"):
        clip(tmp_path / "gone.mp4")


_TEXT_ONLY = """
import sys
from pathlib import Path
from vlmeval_mp.requests import media, prompts
from vlmeval_mp.core.records import MediaLimits, Sample, Sampling
messages = prompts.build(Sample(index="1", row=0, kind="mcq", question="Why?", options={"A": "a", "B": "b"}))
media.prepare("1", messages, Sampling(), Path("."), MediaLimits(), 0, 0.0)
print(sorted({"PIL", "av", "numpy", "pandas"} & set(sys.modules)))
"""


def test_a_text_only_sample_loads_no_media_library() -> None:
    done = subprocess.run([sys.executable, "-c", _TEXT_ONLY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr"])
def test_every_plain_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    original = Image.new("RGB", (8, 8), "white").convert(mode)
    original.save(tmp_path / "a.tiff")
    assert picture(tmp_path / "a.tiff").getcolors() == [(64, (255, 255, 255))]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_shown_on_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 4, 8))
    name = "a.png" if mode != "PA" else "a.gif"
    (clear.convert(mode) if mode != "PA" else clear).save(tmp_path / name)
    opened = picture(tmp_path / name)
    assert (opened.getpixel((0, 0)), opened.getpixel((7, 7))) == ((0, 0, 0), (255, 255, 255))


def test_sixteen_bit_gray_keeps_its_shades(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(picture(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_floating_point_gray_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)).save(tmp_path / "a.tiff")
    assert np.asarray(picture(tmp_path / "a.tiff"))[0, :, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_upright(tmp_path: Path, orientation: int) -> None:
    stored = Image.new("RGB", (16, 8), "white")
    stored.paste("black", (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as reference:
        assert picture(tmp_path / "a.png").tobytes() == ImageOps.exif_transpose(reference).tobytes()


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0XX\0\0damaged")
    assert picture(tmp_path / "a.jpg").size == (8, 8)


def test_a_picture_above_the_limit_is_scaled_down_with_its_aspect(tmp_path: Path) -> None:
    Image.new("RGB", (400, 100)).save(tmp_path / "a.png")
    assert picture(tmp_path / "a.png", MediaLimits(max_pixels=10_000)).size == (200, 50)
    assert picture(tmp_path / "a.png", MediaLimits(max_pixels=40_000)).size == (400, 100)
    assert picture(tmp_path / "a.png").size == (400, 100)


def test_a_very_long_picture_keeps_one_pixel_of_its_short_side(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2)).save(tmp_path / "a.png")
    Image.new("RGB", (2, 3000)).save(tmp_path / "b.png")
    assert picture(tmp_path / "a.png", MediaLimits(max_pixels=100)).size == (100, 1)
    assert picture(tmp_path / "b.png", MediaLimits(max_pixels=100)).size == (1, 100)


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (300, 200)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue()[:60])  # cut: decoding it would be another error
    with pytest.raises(RequestError, match=r"image 1 \(.*a\.png\) has 300 x 200 pixels; more than 50,000 are refused"):
        picture(tmp_path / "a.png", MediaLimits(refuse_pixels=50_000))


def test_pillows_own_warning_is_a_refusal_where_warnings_are_errors(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RequestError, match="is refused before decoding"):
            picture(tmp_path / "a.png")


def test_a_format_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")  # opening an EPS would start ghostscript
    with pytest.raises(RequestError, match="is PostScript, which is not opened here"):
        picture(tmp_path / "a.eps")


def test_pillows_settings_are_left_alone_by_many_threads(tmp_path: Path) -> None:
    from PIL import ImageFile

    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    with ThreadPoolExecutor(8) as pool:
        assert len({p.tobytes() for p in pool.map(lambda _: picture(tmp_path / "a.png"), range(200))}) == 1
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


# --- videos ----------------------------------------------------------------------------------------------------


def test_the_frames_are_those_at_the_indices(tmp_path: Path) -> None:
    frames = clip(film(tmp_path / "film.mp4", 40), nframe=4)
    assert frames.indices == tuple(levels(frames)) == (8, 16, 24, 32)
    assert (frames.total, frames.fps) == (40, 10.0)
    assert (frames.pixels.shape, frames.pixels.dtype) == ((4, 32, 64, 3), np.uint8)


def test_a_container_without_a_frame_count_is_counted(tmp_path: Path) -> None:
    stream = film(tmp_path / "film.ts", 40)
    with av.open(str(stream)) as container:
        assert container.streams.video[0].frames == 0
    assert levels(clip(stream, nframe=3)) == [10, 20, 30]


def test_a_header_that_promises_too_many_frames_is_corrected_by_counting(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", 40)
    data = path.read_bytes()
    place = data.index(b"vids") + 32  # the length field of the stream header
    assert int.from_bytes(data[place : place + 4], "little") == 40
    path.write_bytes(data[:place] + (400).to_bytes(4, "little") + data[place + 4 :])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 400
    frames = clip(path, nframe=3)
    assert (frames.total, frames.indices) == (40, (10, 20, 30))
    assert levels(frames) == [10, 20, 30]


def test_frames_are_scaled_down_to_the_limit(tmp_path: Path) -> None:
    frames = clip(film(tmp_path / "film.mp4", 5), MediaLimits(video_max_pixels=512), nframe=2)
    assert frames.pixels.shape == (2, 16, 32, 3)


def test_frames_that_are_too_large_are_refused_by_the_header(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has frames of 64 x 32 pixels; more than 2,000 are refused"):
        clip(film(tmp_path / "film.mp4", 5), MediaLimits(refuse_pixels=2_000))


def test_frames_that_would_fill_the_memory_are_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "film.mp4", 5)
    monkeypatch.setattr(video, "MAX_VIDEO_BYTES", 8 * 64 * 32 * 3)
    assert len(clip(path, nframe=8).pixels) == 8
    with pytest.raises(RequestError, match=r"would give 9 frames of 64 x 32 pixels.*video_max_pixels"):
        clip(path, nframe=9)
    assert len(clip(path, MediaLimits(video_max_pixels=512), nframe=9).pixels) == 9


def test_a_film_held_upright_is_turned(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 5)
    one = (1 << 16).to_bytes(4, "big")
    zero, last = bytes(4), (1 << 30).to_bytes(4, "big")
    identity = one + zero * 3 + one + zero * 3 + last
    quarter = zero + one + zero + (-(1 << 16)).to_bytes(4, "big", signed=True) + zero * 4 + last
    data = path.read_bytes()
    place = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:place] + quarter + data[place + len(identity) :])
    assert clip(path, nframe=2).pixels.shape == (2, 64, 32, 3)


def test_sound_without_picture_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(RequestError, match=r"video 1 \(.*a\.mp4\) has no video stream"):
        clip(tmp_path / "a.mp4")


@pytest.mark.parametrize("path", sorted((shared_data() / "videos").glob("*.mp4")), ids=lambda path: path.stem)
def test_every_real_video_gives_the_frames_of_the_rule(path: Path) -> None:
    frames = clip(path, nframe=4)
    assert frames.indices == tuple(int(i * frames.total / 5) for i in range(1, 5))
    assert len(frames.pixels) == 4
    assert len({pixels.tobytes() for pixels in frames.pixels}) == 4


def test_a_video_that_an_engine_opens_itself_is_not_decoded_but_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"no video at all")
    messages = (Message(role="user", parts=(VideoPart(media=Media(kind="video", file="v.mp4")),)),)
    whole = media.prepare("7", messages, Sampling(), tmp_path, MediaLimits(), 0, 0.0, "whole")
    assert whole.videos == ()
    (tmp_path / "v.mp4").unlink()
    with pytest.raises(RequestError, match=r"video 1 \(v.mp4\) does not exist any more"):
        media.prepare("7", messages, Sampling(), tmp_path, MediaLimits(), 0, 0.0, "whole")
