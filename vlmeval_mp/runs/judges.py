"""Judges: models that score what no rule can, between the rules' verdicts and the summary.

A judge is an async function `judge(sample, prediction) -> Score`; adding one is one line of `JUDGES`, which names it as
"module:name". A run asks it where the config says `judge: NAME`: for every sample that is answered and that the rules
left without a verdict. Its verdicts are kept like answers, one line each as soon as it is given, so that scoring again,
or going on after a kill, asks nothing twice. VLMEvalKit's own judges belong to its own evaluator (`vlmevalkit`).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from vlmeval_mp.core import linefiles, named
from vlmeval_mp.core.errors import DependencyError, RequestError
from vlmeval_mp.core.paths import slug
from vlmeval_mp.core.records import Prediction, Sample, Score, Struct
from vlmeval_mp.scoring.base import ScoredSample

Judge = Callable[[Sample, Prediction], Awaitable[Score]]

JUDGES: dict[str, str] = {}
"""The judges by the name that `judge` in a config has, each as "module:name"."""

FOLDER = "judged"
"""The folder beside `summary.json` that keeps verdicts: a folder per judge, a file per scoring that asked."""
WINDOW = 32
"""Samples that a judge is asked about at once."""


class Verdict(Struct, frozen=True):
    """One kept verdict. `key` is the digest of what was judged, so that another answer is judged anew."""

    key: str
    score: Score


def settled(name: str, scored: Sequence[ScoredSample], folder: Path | None) -> list[ScoredSample]:
    """Return `scored` with the verdicts of the judge called `name` where the rules gave none.

    `folder` is the job's results folder; None keeps nothing. A sample about which the judge raises `RequestError` stays
    without a verdict; its note says why, and the next scoring asks again.

    Raises:
        DependencyError: the judge's module cannot be imported.
        StorageError: a verdict could not be written.
    """
    open_ones = [each for each in scored if each.score.value is None and not each.failed]
    kept = _kept(folder / FOLDER / slug(name)) if folder else {}
    wanted = [each for each in open_ones if _key(each) not in kept]
    if wanted:
        kept |= asyncio.run(_ask(name, wanted, folder))
    verdicts = {each.sample.index: kept[_key(each)] for each in open_ones}
    return [replace(each, score=verdicts.get(each.sample.index, each.score)) for each in scored]


async def _ask(name: str, wanted: Iterable[ScoredSample], folder: Path | None) -> dict[str, Score]:
    """Return the judge's verdicts by key; each is kept before the next is waited for."""
    judge = _judge(name)
    room, found = asyncio.Semaphore(WINDOW), dict[str, Score]()
    written = linefiles.Appender(folder / FOLDER / slug(name) / f"{secrets.token_hex(8)}.jsonl") if folder else None

    async def one(each: ScoredSample) -> None:
        assert each.prediction is not None
        async with room:
            try:
                score = await judge(each.sample, each.prediction)
            except RequestError as error:
                found[_key(each)] = Score(index=each.sample.index, value=None, note=f"judge {name}: {error}")
                return
        found[_key(each)] = score
        if written:
            written.append(msgspec.json.encode(Verdict(key=_key(each), score=score)))

    try:
        async with asyncio.TaskGroup() as group:
            for each in wanted:
                group.create_task(one(each))
    finally:
        if written:
            written.close()
    return found


def _judge(name: str) -> Judge:
    try:
        found: Judge = named.load(JUDGES[name])
    except ImportError as error:
        raise DependencyError(f"judge {name!r} ({JUDGES[name]}) cannot be imported: {error}") from error
    return found


def _key(each: ScoredSample) -> str:
    """Return the digest of what a judge sees of a sample."""
    asked = (each.sample.index, each.sample.question, each.sample.answer, each.sample.options)
    answered = each.prediction.prediction if each.prediction else ""
    return hashlib.sha256(msgspec.json.encode([*asked, answered])).hexdigest()


def _kept(folder: Path) -> dict[str, Score]:
    """Return the verdicts in a judge's folder by key; the first file counts, as with answers."""
    found: dict[str, Score] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for _, _, payload in linefiles.read(path):
            verdict = msgspec.json.decode(payload, type=Verdict)
            found.setdefault(verdict.key, verdict.score)
    return found
