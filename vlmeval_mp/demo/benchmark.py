"""Write the benchmark: `python -m vlmeval_mp.demo.benchmark [--out FOLDER]`.

Four TSV files in VLMEvalKit's format, and the mp4 files of one, from the held-out scans only. Seeded: the same rows
every time (how a PNG or mp4 is packed may change with the versions of Pillow and x264, what it shows does not). The
column `scan` tells which scans a row shows.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

from PIL import Image

from vlmeval_mp.demo import digits, lessons
from vlmeval_mp.demo.lessons import Lesson

YES_NO_SCANS = 250
PAIRS = 80
CLIPS = 80
FRAMES_PER_SECOND = 12

Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    out: Path = parser.parse_args().out
    (out / "videos").mkdir(parents=True, exist_ok=True)
    write_table(out / "DigitsMCQ.tsv", choice_rows())
    write_table(out / "DigitsYORN.tsv", yes_no_rows())
    write_table(out / "DigitsVQA.tsv", open_rows())
    rows, clips = video_rows()
    write_table(out / "DigitsVideo.tsv", rows)
    for path, scans in clips.items():
        write_clip(out / path, scans)


def choice_rows() -> list[Row]:
    """Return each held-out scan once."""
    rng, scans = _drawn("DigitsMCQ")
    return [_row(number, lessons.choice(rng, scan), image=_png(scan)) for number, scan in enumerate(scans)]


def yes_no_rows() -> list[Row]:
    """Return some scans, each asked about twice; the second time the picture is a reference to the first row."""
    rng, scans = _drawn("DigitsYORN")
    rows = []
    for number, scan in enumerate(scans[:YES_NO_SCANS]):
        first = lessons.yes_no(rng, scan)
        second = lessons.yes_no(rng, scan)
        while second.sample.answer == first.sample.answer:
            second = lessons.yes_no(rng, scan)
        rows += [_row(2 * number, first, image=_png(scan)), _row(2 * number + 1, second, image=str(2 * number))]
    return rows


def open_rows() -> list[Row]:
    """Return each held-out scan once, or twice: some are one of two pictures."""
    rng, scans = _drawn("DigitsVQA")
    rows = [_row(number, lessons.reading(rng, scan), image=_png(scan)) for number, scan in enumerate(scans)]
    for _ in range(PAIRS):
        pair = rng.sample(scans, 2)
        rows.append(_row(len(rows), lessons.row(rng, pair), image=str([_png(scan) for scan in pair])))
    return rows


def video_rows() -> tuple[list[Row], dict[str, tuple[int, ...]]]:
    """Return clips, each asked about twice, and the scans that each clip's file shows."""
    rng, scans = _drawn("DigitsVideo")
    rows: list[Row] = []
    clips = {}
    for number in range(CLIPS):
        shown = lessons.draw_clip(rng, scans)
        name = f"digits-{number:02}"
        path = f"videos/{name}.mp4"
        clips[path] = shown
        first = lessons.order(rng, shown)
        second = lessons.order(rng, shown)
        while second.sample.question == first.sample.question:
            second = lessons.order(rng, shown)
        rows += [_row(2 * number + i, lesson, video=name, video_path=path) for i, lesson in enumerate((first, second))]
    return rows, clips


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as `pandas.to_csv(sep="\\t", index=False)` would."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_clip(path: Path, scans: Iterable[int]) -> None:
    """Write an H.264 clip that shows one scan after the other."""
    import av

    with av.open(path, "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND))
        stream.width, stream.height, stream.pix_fmt = digits.CLIP_WIDTH, digits.SIDE, "yuv420p"
        stream.options = {"crf": "8", "preset": "slow", "threads": "1"}
        for scan in scans:
            frame = av.VideoFrame.from_ndarray(digits.on_strip(digits.picture(digits.cells_of(scan))), format="rgb24")
            for _ in range(digits.FRAMES_PER_DIGIT):
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _drawn(name: str) -> tuple[Random, list[int]]:
    """Return a generator of the data set's own, and the held-out scans in its order."""
    rng = Random(name)
    scans = list(digits.split()[1])
    rng.shuffle(scans)
    return rng, scans


def _png(scan: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(digits.picture(digits.cells_of(scan))[:, :, 0]).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _row(number: int, lesson: Lesson, **media: str) -> Row:
    sample = lesson.sample
    return {
        "index": str(number),
        **media,
        "question": sample.question,
        **sample.options,
        "answer": sample.answer,
        "category": sample.category,
        "split": "test",
        "scan": " ".join(map(str, lesson.scans)),
    }


if __name__ == "__main__":
    main()
