"""The samples that were in an engine when it crashed, as the supervisors of a run recorded them.

One file per supervisor, `queue/suspects/<name>.jsonl`, appended by that process alone. A death that came from outside
(a signal somebody sent, a stop of the supervisor, a reboot) is never recorded: it says nothing about samples. A sample
that was answered is no suspect any more, whatever stands here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from vlmeval_mp.core import jsonfiles, linefiles
from vlmeval_mp.core.records import Struct

log = logging.getLogger(__name__)


class Death(Struct, frozen=True):
    """One death from inside: the rows of `job` that the engine had. `proven`: an innocent was answered just before.

    One without rows is no death: from then on nothing that was noted before counts against the `pardoned` rows.
    """

    job: str
    rows: tuple[int, ...]
    proven: bool = False
    pardoned: tuple[int, ...] = ()

    @property
    def alone(self) -> bool:
        """True if only one sample can be the cause, and the worker had answered others before."""
        return self.proven and len(self.rows) == 1


ALONE_LIMIT = 2
"""Deaths against one sample after which it is given up."""


@dataclass(slots=True)
class Suspicion:
    """The suspected rows of a job: `together` counts crashes with the row, `alone` those with no other row."""

    deaths: list[Death] = field(default_factory=list)
    together: Counter[int] = field(default_factory=Counter)
    alone: Counter[int] = field(default_factory=Counter)

    def add(self, death: Death) -> None:
        if death.pardoned:
            self._pardon(set(death.pardoned))
            return
        self.deaths.append(death)
        self.together.update(death.rows)
        if death.alone:
            self.alone.update(death.rows)

    def _pardon(self, rows: Collection[int]) -> None:
        kept = [d for d in self.deaths if not d.alone or d.rows[0] not in rows]
        left = [msgspec.structs.replace(d, rows=tuple(row for row in d.rows if row not in rows)) for d in kept]
        self.deaths, self.together, self.alone = [], Counter(), Counter()
        for old, death in zip(kept, left, strict=True):
            # what is left of several was not alone, and is no proof
            self.add(death if len(death.rows) == len(old.rows) else msgspec.structs.replace(death, proven=False))

    def against(self, row: int, answered: Collection[int]) -> int:
        """Return how many deaths count against `row`, given the rows that were `answered` without an error.

        Those with nothing else in the engine count. Where a sample that kills was found already, one counts too after
        which everything else that was in the engine has been answered: only `row` is left to blame for it.
        """
        if max(self.alone.values(), default=0) < ALONE_LIMIT:
            return self.alone[row]
        return sum(
            row in death.rows and (death.alone or all(other == row or other in answered for other in death.rows))
            for death in self.deaths
        )


class Suspects:
    """The one writer of its file. `name` is one that no process had before."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.jsonl"
        self._file: linefiles.Appender | None = None

    def note(self, deaths: Iterable[Death]) -> None:
        """Record `deaths`; they are durable on return."""
        for death in deaths:
            if self._file is None:
                self._file = linefiles.Appender(self._path)
            self._file.append(jsonfiles.encode(death))
        if self._file is not None:
            self._file.sync()

    def pardon(self, rows: Mapping[str, Collection[int]]) -> None:
        """Let nothing that was noted so far count against `rows` of each job."""
        self.note(Death(job=job, rows=(), pardoned=tuple(sorted(mine))) for job, mine in rows.items())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read(folder: Path, job: str) -> Suspicion:
    """Return what all supervisors recorded about `job`; a damaged line counts for nothing."""
    found = Suspicion()
    for path in sorted(folder.glob("*.jsonl")):
        for _, _, payload in linefiles.read(path):
            try:
                death = msgspec.json.decode(payload, type=Death)
            except (msgspec.DecodeError, msgspec.ValidationError):
                log.warning("%s: a line that is no death was skipped", path)
                continue
            if death.job == job:
                found.add(death)
    return found
