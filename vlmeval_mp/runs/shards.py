"""Shards and the names of their files: job, rows, attempts, deaths, owner.

A shard may be cut in two at a row while somebody holds it; the two parts are shards like any other. Pure: no file is
opened here.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlmeval_mp.core.records import Shard, Struct

DIGITS = 18
"""More than any number in a file name has; Python refuses to read numbers of thousands of digits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A pending or claimed shard, as its file name says. `deaths` counts claims in which an engine died from inside."""

    shard: Shard
    attempt: int
    deaths: int
    owner: str = ""

    @property
    def name(self) -> str:
        """The name of its file."""
        tail = f"@{self.owner}" if self.owner else ""
        return f"{stem(self.shard)}@{self.attempt}-{self.deaths}{tail}"


class Failure(Struct, frozen=True):
    """Content of a file in `failed/`."""

    shard: Shard
    reason: str


class Cut(Struct, frozen=True):
    """Content of a file in `done/` that says that its shard will never be done as a whole: it became two at row `cut`.

    `cut` is the first field, so the first bytes of a file tell it from a `Done`.
    """

    cut: int
    shard: Shard

    @property
    def parts(self) -> tuple[Shard, Shard]:
        """The shard before row `cut`, and the one from there on."""
        return parts(self.shard, self.cut)


def parts(shard: Shard, row: int) -> tuple[Shard, Shard]:
    """Return `shard` up to before `row`, and from `row` on."""
    first = Shard(job=shard.job, first=shard.first, last=row - 1)
    return first, Shard(job=shard.job, first=row, last=shard.last)


def stem(shard: Shard) -> str:
    """Return what the names of all files of `shard` begin with."""
    return f"{shard.job}.{shard.first:07d}-{shard.last:07d}"


def parse_stem(name: str) -> Shard | None:
    """Return the shard that the name of a file in `done/` or `failed/` stands for; None for a name that is not ours."""
    entry = parse(name.removesuffix(".json") + "@0-0") if name.endswith(".json") else None
    return entry.shard if entry is not None and f"{stem(entry.shard)}.json" == name else None


def parse(name: str) -> Entry | None:
    """Return the entry a file name stands for; None for a name that is not ours."""
    head, _, tail = name.partition("@")
    counts, _, owner = tail.partition("@")
    job, _, rows = head.rpartition(".")
    first, _, last = rows.partition("-")
    attempt, _, deaths = counts.partition("-")
    if not (job and all(number.isascii() and number.isdigit() for number in (first, last, attempt, deaths))):
        return None
    if max(map(len, (first, last, attempt, deaths))) > DIGITS:
        return None
    return Entry(Shard(job=job, first=int(first), last=int(last)), int(attempt), int(deaths), owner)


def shards_of(job: str, samples: int, size: int) -> list[Shard]:
    """Return `samples` rows of `job` cut into contiguous shards of at most `size`."""
    return [Shard(job=job, first=i, last=min(i + size, samples) - 1) for i in range(0, samples, size)]
