"""Answers on disk: the lines that one worker appends, and the answers that all workers together hold of a shard.

Each writer has its own file per job, `checkpoints/<job>/<writer>.jsonl`, and nobody else appends to it. A row may be
answered in several files, because a worker that seemed dead may still have answered. For every reader the first valid
line in (file name, offset) order counts; `index` finds it. A failure that will be asked again stays in its file; a file
`<name>.withdrawn` beside it names the lines that no longer count. Knows nothing of queues or engines.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from vlmeval_mp.core import files, jsonfiles, linefiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Done, Prediction, Shard, Span, Struct


class Intent(Struct, frozen=True, tag_field="type", tag="intent"):
    """Written before a sample runs alone, so that a sample that kills its worker is known by name."""

    row: int


INTENT = b'{"type":"intent"'


class Withdrawal(Struct, frozen=True):
    """A line that no longer counts: where it stands in which file, and the row that it was about."""

    row: int
    file: str
    start: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One prediction and where it stands."""

    prediction: Prediction
    payload: bytes
    file: str
    start: int
    end: int


@dataclass(slots=True)
class ShardAnswers:
    """The answers to one shard in the checkpoints. `alone` counts, per row, the intents that no answer followed.

    `withdrawn` are the lines about its rows that no longer count, as (file, offset).
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    alone: Counter[int] = field(default_factory=Counter)
    withdrawn: frozenset[tuple[str, int]] = frozenset()


class Checkpoint:
    """The one writer of its files. `folder` is the run's checkpoint folder, `writer` a name no process had before."""

    def __init__(self, folder: Path, writer: str) -> None:
        self._folder = folder
        self._writer = writer
        self._files: dict[str, linefiles.Appender] = {}
        self._encode = msgspec.json.Encoder().encode

    def record(self, job: str, prediction: Prediction) -> Answer:
        """Append one prediction; it survives this process from here on, and a power cut after `sync`.

        Half a surrogate pair, which is no text, is replaced by a question mark.
        """
        try:
            payload = self._encode(prediction)
        except UnicodeEncodeError:
            prediction = msgspec.structs.replace(
                prediction,
                prediction=jsonfiles.without_halves(prediction.prediction),
                error=None if prediction.error is None else jsonfiles.without_halves(prediction.error),
            )
            payload = self._encode(prediction)
        start, end = self._file(job).append(payload)
        return Answer(prediction, payload, self._name(job), start, end)

    def open(self, job: str) -> None:
        """Create the file of `job`, which may take a while on a network disk, before the first answer is there."""
        self._file(job)

    def intend(self, job: str, row: int) -> None:
        """Say that `row` is about to run alone."""
        self._file(job).append(self._encode(Intent(row=row)))

    def sync(self) -> None:
        """Make everything recorded so far durable."""
        for file in list(self._files.values()):
            file.sync()

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _name(self, job: str) -> str:
        return f"{job}/{self._writer}.jsonl"

    def _file(self, job: str) -> linefiles.Appender:
        if job not in self._files:
            self._files[job] = linefiles.Appender(self._folder / self._name(job))
        return self._files[job]


def withdrawn(folder: Path, job: str) -> dict[tuple[str, int], int]:
    """Return the row of every line of `job` that no longer counts, by (file, offset)."""
    found = {}
    for path in (folder / job).glob("*.withdrawn"):
        for _, _, payload in linefiles.read(path):
            line = msgspec.json.decode(payload, type=Withdrawal)
            found[line.file, line.start] = line.row
    return found


def withdraw_failures(folder: Path, job: str, rows: Collection[int], name: str) -> None:
    """Let every recorded failure of `rows` count no longer. `name` is one that no process had before.

    All of them are withdrawn in one step, durably, or none.

    Raises:
        StorageError: it could not be written; nothing was withdrawn.
    """
    gone = withdrawn(folder, job)
    lines = [line for line in _failures(folder, job, rows) if (line.file, line.start) not in gone]
    if lines:
        written = b"".join(linefiles.encode(msgspec.json.encode(line)) for line in lines)
        files.atomic_write(folder / job / f"{name}.withdrawn", written)


def _failures(folder: Path, job: str, rows: Collection[int]) -> Iterator[Withdrawal]:
    for path in sorted((folder / job).glob("*.jsonl")):
        for start, _, payload in linefiles.read(path):
            prediction = None if payload.startswith(INTENT) else parse(payload)
            if prediction is not None and prediction.error is not None and prediction.row in rows:
                yield Withdrawal(row=prediction.row, file=f"{job}/{path.name}", start=start)


def pin(
    shard: Shard, answers: Mapping[int, Answer], worker: str, gone: Collection[tuple[str, int]] = frozenset()
) -> Done:
    """Return what `shard` rests on, given one answer for each of its rows; `gone` are lines that no longer count."""
    chosen = [answers[row] for row in range(shard.first, shard.last + 1)]
    spans: dict[str, tuple[int, int]] = {}
    for answer in chosen:
        start, end = spans.get(answer.file, (answer.start, answer.end))
        spans[answer.file] = (min(start, answer.start), max(end, answer.end))
    return Done(
        shard=shard,
        spans=tuple(Span(file=f, start=s, end=e) for f, (s, e) in sorted(spans.items())),
        digest=digest_of(a.payload for a in chosen),
        failed=sum(a.prediction.error is not None for a in chosen),
        worker=worker,
        withdrawn=tuple(sorted((f, at) for f, at in gone if f in spans and spans[f][0] <= at < spans[f][1])),
    )


def sync_spans(folder: Path, done: Done, own: str) -> None:
    """Make the answers durable that `done` takes from other writers' files than `own`."""
    for span in done.spans:
        if Path(span.file).stem != own:
            _sync_file(folder / span.file)


def _sync_file(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise StorageError(f"cannot sync {path}: {error.strerror or error}") from error


def parse(payload: bytes) -> Prediction | None:
    """Return the prediction of one line; None if it is something else."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_DECODER = msgspec.json.Decoder(Prediction)


def digest_of(payloads: Iterable[bytes]) -> str:
    """Return what a `done` file pins: the digest of the chosen payloads in row order."""
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(payload + b"\n")
    return digest.hexdigest()
