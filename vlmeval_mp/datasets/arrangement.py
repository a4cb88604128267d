"""Arranges the rows of a data set: every rotation of the options, or a random order.

Works on the samples of a folder that was just read, before it is published. Knows no column and no TSV.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DatasetInfo, DataSpec, Sample
from vlmeval_mp.requests.prompts import READY

log = logging.getLogger(__name__)

TURN = 1_000_000
"""The rotations of row i have the indices i, i + 1,000,000, i + 2,000,000, … as in MMBench's own files."""
QUESTION = "g_index"
"""The column that says of which row a sample is a rotation."""
CIRCULAR = "circular"
"""The family of benchmarks whose files hold the rotations already."""


def check(spec: DataSpec) -> None:
    """Compare `circular` with the other settings of a data set.

    Raises:
        ConfigError: its options cannot be rotated here, or are rotated in its file.
    """
    if not spec.circular:
        return
    why = ""
    if spec.layout:
        why = f"the options of {spec.layout} are read by that benchmark's own rules"
    elif spec.prompt == READY:
        why = "VLMEvalKit's own class builds its prompts"
    elif spec.scorer == CIRCULAR:
        why = "its file holds the rotations already"
    if why:
        raise ConfigError(
            f"data.{spec.name}.circular: has no use here, for {why}; say it in the config's entries of other data sets"
        )


def described(spec: DataSpec) -> str:
    """Return the arrangement in words, "" for the rows as they stand: what makes another folder of the same file."""
    return " ".join([*(["circular"] if spec.circular else []), *([f"order {spec.order}"] if spec.order else [])])


def arrange(folder: Path, info: DatasetInfo, spec: DataSpec) -> DatasetInfo:
    """Rewrite `samples.jsonl` in `folder` as `spec` asks; return what `dataset.json` then says."""
    said = described(spec)
    if not said:
        return info
    path = folder / "samples.jsonl"
    kinds: dict[str, int] = {}
    count = 0
    arranged = folder / "arranged.jsonl"
    with arranged.open("wb") as file:
        for sample in _turned(path) if spec.circular else _read(path):
            file.write(msgspec.json.encode(msgspec.structs.replace(sample, row=count)) + b"\n")
            kinds[sample.kind] = kinds.get(sample.kind, 0) + 1
            count += 1
    if spec.circular and count == info.samples:
        log.warning("%s: circular: no row has options to rotate; each is asked once, as it is", info.source)
    arranged.replace(path)
    if spec.order:
        _shuffle(path, arranged, spec.order)
        arranged.replace(path)
    digest = hashlib.sha256(f"{info.digest}\n{said}\n".encode()).hexdigest()
    return msgspec.structs.replace(info, samples=count, kinds=kinds, digest=digest)


def question_of(sample: Sample) -> str:
    """Return the index of the row that a sample is, or is a rotation of."""
    return sample.extra.get(QUESTION) or sample.index


def _read(path: Path) -> Iterator[Sample]:
    decode = msgspec.json.Decoder(Sample).decode
    with path.open("rb") as file:
        yield from map(decode, file)


# --- rotations -------------------------------------------------------------------------------------------------


def _turned(path: Path) -> Iterator[Sample]:
    numbered = all(sample.index.isdecimal() and int(sample.index) < TURN for sample in _read(path))
    for sample in _read(path):
        yield from rotations(sample, numbered=numbered)


def rotations(sample: Sample, *, numbered: bool) -> Iterator[Sample]:
    """Yield `sample`, and if it is a choice, also with its options moved on by one, two, … letters.

    The answer moves with its option. `numbered` tells that every index is a number that leaves room for more.
    """
    letters, texts = list(sample.options), list(sample.options.values())
    answer = sample.answer.strip()
    turns = len(letters) if sample.kind == "mcq" and len(letters) > 1 and answer in letters else 1
    for turn in range(turns):
        moved = texts[turn:] + texts[:turn]
        place = letters.index(answer) if turns > 1 else 0
        index = str(int(sample.index) + TURN * turn) if numbered else f"{sample.index}#{turn}" if turn else sample.index
        yield msgspec.structs.replace(
            sample,
            index=index,
            options=dict(zip(letters, moved, strict=True)),
            answer=letters[place - turn] if turns > 1 else sample.answer,
            extra={**sample.extra, QUESTION: sample.index},
        )


def rows_of_questions(samples: Iterator[Sample], questions: int) -> int:
    """Return how many rows the first `questions` questions have, all their rotations included."""
    rows, seen, last = 0, 0, None
    for sample in samples:
        if question_of(sample) != last:
            last = question_of(sample)
            seen += 1
        if seen > questions:
            break
        rows += 1
    return rows


# --- a random order --------------------------------------------------------------------------------------------


def _shuffle(path: Path, target: Path, seed: int) -> None:
    """Write the lines of `path` to `target` in an order that the seed and the indices decide, and nothing else.

    What is about one picture stays together, and so do the rotations of a question: a part of the job is whole ones.
    """
    decode = msgspec.json.Decoder(Sample).decode
    places: list[tuple[bytes, int, int]] = []
    with path.open("rb") as lines:
        start = 0
        for place, line in enumerate(lines):
            sample = decode(line)
            about = next((media.digest for media in sample.media if media.digest), "") or question_of(sample)
            key = hashlib.sha256(f"{seed}\0{about}".encode()).digest()[:12]
            places.append((key, place, start))
            start += len(line)
    with path.open("rb") as lines, target.open("wb") as file:
        for row, (_, _, start) in enumerate(sorted(places)):
            lines.seek(start)
            file.write(msgspec.json.encode(msgspec.structs.replace(decode(lines.readline()), row=row)) + b"\n")
