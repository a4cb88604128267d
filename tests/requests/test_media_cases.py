"""Pictures and videos that were opened wrong or refused, each the kind of a fault that somebody met."""

from __future__ import annotations

import base64
import io
import logging
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.conftest import shared_case
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Frames, Media, MediaLimits
from vlmeval_mp.requests import media, video

LIMITS = MediaLimits()


def frames_of(path: Path, nframe: int = 0, fps: float = 0.0, **fields: object) -> Frames:
    return video.open_video(path, Media(kind="video", **fields), LIMITS, nframe, fps)  # type: ignore[arg-type]


# --- videos ----------------------------------------------------------------------------------------------------


def edges(path: Path) -> dict[str, str]:
    """On which edge of the first frame the blue and the red bar are."""
    picture = frames_of(path, 1).pixels[0].astype(int)
    height, width = picture.shape[:2]
    places = {
        "left": picture[height // 2, 2], "right": picture[height // 2, width - 3],
        "top": picture[2, width // 2], "bottom": picture[height - 3, width // 2],
    }  # fmt: skip
    blue = [name for name, (red, _, blue) in places.items() if blue > 180 > 90 > red]
    red = [name for name, (red, _, blue) in places.items() if red > 180 > 90 > blue]
    return {"blue": " ".join(blue), "red": " ".join(red)}


MATRICES = {
    "plain": ((1, 0, 0, 1), "top", "left"),
    "rot180": ((-1, 0, 0, -1), "bottom", "right"),
    "rot90": ((0, 1, -1, 0), "right", "top"),
    "rot270": ((0, -1, 1, 0), "left", "bottom"),
    "hflip": ((-1, 0, 0, 1), "top", "right"),
    "vflip": ((1, 0, 0, -1), "bottom", "left"),
    "transposed": ((0, 1, 1, 0), "left", "top"),
    "transversed": ((0, -1, -1, 0), "right", "bottom"),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_video_is_turned_and_mirrored_as_its_display_matrix_says(name: str, tmp_path: Path) -> None:
    (a, b, c, d), blue, red = MATRICES[name]
    data = bytearray((shared_case("video-mirrored") / "m_hflip.mp4").read_bytes())
    place = data.find(b"tkhd") + 4 + 40  # version 0: the matrix stands 40 bytes behind the box's name
    one = {1: 0x10000, 0: 0, -1: 0x100000000 - 0x10000}
    for offset, value in ((0, a), (4, b), (12, c), (16, d)):
        data[place + offset : place + offset + 4] = one[value].to_bytes(4, "big")
    (tmp_path / "v.mp4").write_bytes(data)
    assert edges(tmp_path / "v.mp4") == {"blue": blue, "red": red}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", ("top", "left")), ("hflip", ("top", "right")), ("rot180", ("bottom", "right")),
        ("rot90", ("right", "top")),
    ],
)  # fmt: skip
def test_the_shared_videos_stand_as_players_show_them(name: str, expected: tuple[str, str]) -> None:
    found = edges(shared_case("video-mirrored") / f"m_{name}.mp4")
    assert (found["blue"], found["red"]) == expected


def bright(frames: Frames) -> list[bool]:
    return [bool(picture[..., 1].mean() > 100) for picture in frames.pixels]


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.webm"])
def test_seconds_are_looked_up_in_the_time_stamps(name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = shared_case("video-uneven-frame-times") / name
    video._tell_uneven.cache_clear()
    with caplog.at_level(logging.WARNING):
        frames = frames_of(path, fps=1.0)
    assert bright(frames) == [False] * 9 + [True]
    assert [round(index / frames.fps) for index in frames.indices] == list(range(10))
    assert round(frames.total / frames.fps) == 10
    assert "not evenly spaced" in caplog.text
    assert len(frames_of(path, fps=2.0).indices) == 20
    # a clip stays inside its seconds, by whichever rule
    clip = frames_of(path, nframe=4, frames="segments", clip=(0.0, 5.0))
    assert max(index / clip.fps for index in clip.indices) <= 5.0
    assert not any(bright(clip))
    # a number of frames goes by their count, as in VLMEvalKit, and their times are true
    by_count = frames_of(path, nframe=4)
    assert Counter(bright(by_count)) == {True: 4}
    assert all(9.0 <= index / by_count.fps <= 10.0 for index in by_count.indices)


def made_video(path: Path, times: list[int]) -> None:
    """A video with one gray frame at each of `times` (milliseconds), the n-th of gray 12 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.width = stream.height = 32
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 12 * number, np.uint8), format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_pause_in_the_middle_is_uneven_too_and_even_frames_are_left_to_the_rate(tmp_path: Path) -> None:
    made_video(tmp_path / "pause.mkv", [*range(0, 1000, 100), *range(5000, 6000, 100)])
    paused = frames_of(tmp_path / "pause.mkv", fps=1.0)
    shown = [round(float(picture.mean()) / 12) for picture in paused.pixels]
    assert shown == [0, 9, 9, 9, 9, 10]
    made_video(tmp_path / "even.mkv", [*range(0, 2000, 100)])
    even = frames_of(tmp_path / "even.mkv", fps=5.0)
    assert [round(float(picture.mean()) / 12) for picture in even.pixels] == [*range(0, 20, 2)]


def test_a_few_frames_with_a_long_pause_are_uneven_whatever_their_average_rate(tmp_path: Path) -> None:
    """Five frames in nine seconds: the average puts the last ones of the first second at second 4."""
    made_video(tmp_path / "gap.mp4", [0, 100, 200, 9000, 9100])
    frames = frames_of(tmp_path / "gap.mp4", fps=1.0)
    assert [round(float(picture.mean()) / 12) for picture in frames.pixels] == [0, *[2] * 8]
    made_video(tmp_path / "slow.mp4", [*range(0, 10000, 1000)])
    assert len(frames_of(tmp_path / "slow.mp4", fps=1.0).indices) >= 9


def test_a_cover_picture_is_no_video() -> None:
    for name in ("audio.mp3", "cover.mp3"):
        with pytest.raises(RequestError, match="has no video stream"):
            frames_of(shared_case("audio-with-cover") / name, 8)


# --- pictures --------------------------------------------------------------------------------------------------


def opened(path: Path) -> np.ndarray:
    return np.asarray(media.open_image(path, LIMITS))


@pytest.mark.parametrize("name", ["noise16.tif", "float32.tiff"])
def test_a_picture_that_uses_little_of_its_range_is_not_nearly_black(name: str) -> None:
    pixels = opened(shared_case("sixteen-bit-nearly-black") / name)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert pixels.std() > 20


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 32768, 65535], [0, 128, 255]),  # the whole range of 16 bits stays what it was
        ([0, 30000, 60000], [0, 117, 233]),
        ([0, 2048, 4095], [0, 128, 255]),  # 12 bits in 16
        ([1000, 1100, 1200], [0, 128, 255]),
    ],
)
def test_sixteen_bits_are_scaled_by_the_range_that_is_used(
    values: list[int], expected: list[int], tmp_path: Path
) -> None:
    Image.fromarray(np.array([values], np.uint16)).save(tmp_path / "p.png")
    assert opened(tmp_path / "p.png")[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 100.0, 255.0], [0, 100, 255]), ([-3.0, 0.0, 3.0], [0, 128, 255]),
     ([0.0, 500.0, 1000.0], [0, 128, 255]), ([0.0, 0.75, 1.5], [0, 128, 255]), ([0.0, 1e-3, 2e-3], [0, 128, 255]),
     ([0.0, 100.0, np.inf], [0, 100, 100]), ([np.nan, 100.0, 200.0], [0, 100, 200])],
)  # fmt: skip
def test_floats_are_scaled_by_their_range(values: list[float], expected: list[int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "p.tiff")
    assert opened(tmp_path / "p.tiff")[0, :, 0].tolist() == expected


def cells(name: str) -> dict[str, bytes]:
    lines = (shared_case(name) / "data.tsv").read_text().splitlines()[1:]
    return {row[0]: base64.b64decode(row[1] + "==") for row in (line.split("\t") for line in lines)}


def test_a_jpeg_without_its_end_marker_is_whole_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    data = cells("jpeg-without-end-marker")
    (tmp_path / "p.jpg").write_bytes(data["no_eoi"])
    whole = np.asarray(Image.open(io.BytesIO(data["no_eoi"] + b"\xff\xd9")).convert("RGB"))
    assert (opened(tmp_path / "p.jpg") == whole).all()
    (tmp_path / "p.jpg").write_bytes(data["cut20"])
    with pytest.raises(OSError, match="truncated"):
        opened(tmp_path / "p.jpg")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 20}, {"subsampling": 0, "quality": 95}])
def test_no_cut_but_that_of_the_marker_is_taken_for_whole(options: dict[str, object], tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", **options)  # type: ignore[arg-type]
    data = file.getvalue()
    path = tmp_path / "p.jpg"
    for cut in (1, 2):
        path.write_bytes(data[:-cut])
        assert (opened(path) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()
    for cut in (3, 4, 6, 7, 10, 14, 27, 48, 200, 387, 388, 415, len(data) // 2):
        path.write_bytes(data[:-cut])
        with pytest.raises(OSError, match=r"[Tt]runcated"):
            opened(path)


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3, "progressive": True}])
def test_a_jpeg_cut_at_a_restart_marker_is_refused(options: dict[str, object], tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", **options)  # type: ignore[arg-type]
    data = file.getvalue()
    scan = data.rfind(b"\xff\xda")
    marks = [place for place in range(scan, len(data) - 2) if data[place] == 0xFF and 0xD0 <= data[place + 1] <= 0xD7]
    path = tmp_path / "p.jpg"
    assert marks
    for place in marks:
        for cut in (place, place + 1, place + 2):
            path.write_bytes(data[:cut])
            with pytest.raises(OSError, match=r"[Tt]runcated"):
                opened(path)
    path.write_bytes(data[:-2])
    assert (opened(path) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_formats_that_pillow_has_here_are_opened(tmp_path: Path) -> None:
    for name in ("avif", "jp2"):
        (tmp_path / name).write_bytes(cells("picture-formats")[name])
        assert opened(tmp_path / name).std() >= 0


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (cells("picture-formats")["heic_header"], "HEIC"), (b"\0\0\0\x18ftypmif1\0\0\0\0heic", "HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\xff\x0a" + bytes(30), "JPEG XL"), (b"%PDF-1.7\n", "PDF"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "SVG"), (bytes(128) + b"DICM", "DICOM"),
        (b"8BPS\0\1", "Photoshop"), (b"%!PS-Adobe-3.0", "PostScript"), (b"II\xbc\x01", "JPEG XR"),
        (b"\x76\x2f\x31\x01", "OpenEXR"), (b"\0\0\1\0\1", "ICO"), (b"qoif", "QOI"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isom", r"a video \(MP4\)"),
    ],
)  # fmt: skip
def test_other_formats_are_named(head: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(head)
    with pytest.raises(RequestError, match=f"is {name}, which is not opened here; convert it to PNG or JPEG"):
        opened(tmp_path / "p")
