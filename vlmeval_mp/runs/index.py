"""An index of one job's answers: for each row, the checkpoint and the place in it. Each line is read only once.

`refresh` continues where it stopped in each file, so an index that is kept reads new lines only. A row may have several
answers: the index knows all of them in (file name, offset) order, and the first that was not withdrawn counts. A row
takes 16 bytes of memory.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Done, Prediction, Shard
from vlmeval_mp.runs.checkpoint import INTENT, Answer, Intent, ShardAnswers, digest_of, parse, withdrawn

Place = tuple[int, int, int]
"""One line: number of its file, offset, length."""


@dataclass(slots=True)
class _File:
    """One checkpoint: its name below the checkpoint folder, up to where it was read, and its open descriptor."""

    name: str
    read: int = 0
    descriptor: int = -1


class Index:
    """The answers of one job of `samples` rows; `folder` is the run's checkpoint folder."""

    def __init__(self, folder: Path, job: str, samples: int) -> None:
        self._folder, self._job = folder, job
        self._files: list[_File] = []
        self._numbers: dict[str, int] = {}
        self._file = array("I", bytes(4 * samples))
        self._start = array("Q", bytes(8 * samples))
        self._length = array("I", bytes(4 * samples))
        self._more: dict[int, list[Place]] = {}
        self._alone: Counter[int] = Counter()
        self._gone: frozenset[tuple[str, int]] = frozenset()
        self._reopened: frozenset[int] = frozenset()
        self._recorded = 0

    @property
    def answered(self) -> int:
        """The number of rows with an answer."""
        return self._recorded - len(self._reopened)

    def refresh(self) -> None:
        """Read what was appended since the last call."""
        for path in sorted((self._folder / self._job).glob("*.jsonl")):
            number = self._numbers.setdefault(path.name, len(self._files))
            if number == len(self._files):
                self._files.append(_File(f"{self._job}/{path.name}"))
            self._read_on(path, number)
        gone = withdrawn(self._folder, self._job)
        self._gone = frozenset(gone)
        self._reopened = frozenset(
            row for row in set(gone.values()) if self._places(row) and not any(map(self._counts, self._places(row)))
        )

    def _counts(self, place: Place) -> bool:
        return (self._files[place[0]].name, place[1]) not in self._gone

    def _read_on(self, path: Path, number: int) -> None:
        file = self._files[number]
        if path.stat().st_size == file.read:
            return
        for start, end, payload in linefiles.read(path, file.read):
            file.read = end
            if payload.startswith(INTENT):
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    self._alone[msgspec.json.decode(payload, type=Intent).row] += 1
            elif (prediction := parse(payload)) is not None and 0 <= prediction.row < len(self._file):
                self._add(prediction.row, (number, start, end - start))

    def _add(self, row: int, place: Place) -> None:
        if self._length[row]:
            self._more.setdefault(row, []).append(place)
        else:
            self._file[row], self._start[row], self._length[row] = place
            self._recorded += 1

    def _places(self, row: int) -> list[Place]:
        """Return all lines with an answer for `row`, the one that counts first."""
        if not self._length[row]:
            return []
        found = [(self._file[row], self._start[row], self._length[row]), *self._more.get(row, ())]
        return sorted(found, key=lambda place: (self._files[place[0]].name, place[1])) if len(found) > 1 else found

    def found(self, shard: Shard) -> ShardAnswers:
        """Return what is recorded for the rows of `shard`, as of the last `refresh`."""
        found = ShardAnswers(withdrawn=self._gone)
        for row in range(shard.first, shard.last + 1):
            for number, start, length in [place for place in self._places(row) if self._counts(place)][:1]:
                payload = self._payload(number, start, length)
                if payload is not None and (prediction := parse(payload)) is not None:
                    found.answers[row] = Answer(prediction, payload, self._files[number].name, start, start + length)
            if row not in found.answers and self._alone[row]:
                found.alone[row] = self._alone[row]
        return found

    def rows(self) -> Iterator[int]:
        """Return rows that have an answer, in order."""
        return (row for row, length in enumerate(self._length) if length and row not in self._reopened)

    def load(self, done: Done) -> list[Prediction]:
        """Return the predictions that `done` pins, in row order.

        Raises:
            StorageError: they are not on disk any more as they were; the message names the files.
        """
        spans = {span.file: span for span in done.spans}
        if any(span.end > self._read_to(span.file) for span in done.spans):
            self.refresh()
        gone = set(done.withdrawn)
        payloads: list[bytes] = []
        predictions: list[Prediction] = []
        for row in range(done.shard.first, done.shard.last + 1):
            for number, start, length in self._places(row):
                span = spans.get(self._files[number].name)
                if span is None or start < span.start or start + length > span.end or (span.file, start) in gone:
                    continue
                payload = self._payload(number, start, length)
                if payload is not None and (prediction := parse(payload)) is not None:
                    payloads.append(payload)
                    predictions.append(prediction)
                    break
        if len(payloads) != done.shard.size or digest_of(payloads) != done.digest:
            raise self._damaged(done)
        return predictions

    def _read_to(self, file: str) -> int:
        number = self._numbers.get(file.rpartition("/")[2])
        return 0 if number is None else self._files[number].read

    def _damaged(self, done: Done) -> StorageError:
        where = ", ".join(str(self._folder / span.file) for span in done.spans)
        return StorageError(
            f"rows {done.shard.first}–{done.shard.last} of {done.shard.job} are not as they were recorded in {where}; "
            f"delete queue/done/{done.shard.job}.{done.shard.first:07d}-{done.shard.last:07d}.json and launch again "
            "to have what is missing answered again"
        )

    def _payload(self, number: int, start: int, length: int) -> bytes | None:
        """Return the payload of one line, read again; None if it is not there any more."""
        file = self._files[number]
        try:
            if file.descriptor < 0:
                file.descriptor = os.open(self._folder / file.name, os.O_RDONLY | os.O_CLOEXEC)
            return linefiles.decode(os.pread(file.descriptor, length, start)[:-1])
        except OSError:
            return None

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            if file.descriptor >= 0:
                os.close(file.descriptor)
                file.descriptor = -1

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def search(folder: Path, shard: Shard) -> ShardAnswers:
    """Return everything any worker has recorded for `shard`; `folder` is the run's checkpoint folder."""
    with Index(folder, shard.job, shard.last + 1) as index:
        index.refresh()
        return index.found(shard)
