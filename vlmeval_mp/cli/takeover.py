"""Takes over VLMEvalKit's answers for `import` and `launch --reuse`, so that a launch asks only the other samples.

Owns what is looked for, what is printed about it, and the order: every file is read and checked before the first answer
is taken. Knows no format and no checkpoint: `outputs` finds, `answers` reads and checks, `intake` records.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.exchange import answers as offers
from vlmeval_mp.exchange import intake, outputs, pickles
from vlmeval_mp.exchange.answers import Offer
from vlmeval_mp.exchange.outputs import Outputs
from vlmeval_mp.runs import snapshot
from vlmeval_mp.runs.listing import Listing
from vlmeval_mp.runs.merge import MergedJob, dataset_of

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Job, RunRecord, RunSpec

UNVOUCHED = (
    "VLMEvalKit keeps no prompt, sampling or version with its answers, so nothing tells whether they were made as this "
    "run asks; summaries and status.json say how many were imported, and from where"
)


@dataclass(frozen=True, slots=True)
class JobAnswers:
    """The files with answers to one job, the newest first, and the pickles, which are read only with `--unpickle`.

    `refused` has a sentence for each older file that holds answers to something else.
    """

    job: Job
    offers: tuple[Offer, ...]
    skipped: tuple[Path, ...]
    refused: tuple[str, ...] = ()


def into(paths: RunPaths, record: RunRecord, place: Path, *, unpickle: bool) -> int:
    """Import what `place`, a file or a folder, holds for the run's jobs; return the number of answers.

    Raises:
        ConfigError: there is nothing, or a file is refused.
    """
    if not place.exists():
        raise ConfigError(f"{place}: there is no such file or folder")
    found = [_read(paths, job, left, unpickle) for job, left in _left(record.jobs, place, unpickle)]
    if not any(each.offers or each.skipped for each in found):
        wanted = ", ".join(f"{job.model}_{job.dataset}.xlsx" for job in record.jobs[:4])
        raise ConfigError(f"{place}: nothing of this run's jobs is there; looked for {wanted} (or .tsv, .json)")
    return _take(paths, found)


def reuse(paths: RunPaths, work_dir: Path, *, unpickle: bool) -> int:
    """Do what VLMEvalKit's `--reuse` means: as `into`, but an empty work dir is not an error."""
    queue = Listing(paths.queue)
    waiting = {entry.shard.job for entry in (*queue.entries("pending"), *queue.entries("claimed"))}
    jobs = [job for job in snapshot.read_record(paths).jobs if job.name in waiting]
    if not work_dir.is_dir():
        return 0
    return _take(paths, [_read(paths, job, left, unpickle) for job, left in _left(jobs, work_dir, unpickle)])


def finish(paths: RunPaths, record: RunRecord, asked: RunSpec) -> None:
    """Write the results of jobs that are answered in full, and say of which there is no score."""
    from vlmeval_mp.runs.holding import BusyError, hold

    try:
        with hold(paths, record.spec.name):
            for job in record.jobs:
                _finish_job(paths, job, asked)
    except BusyError:
        _say("a launch is at work on this run and writes its results")


def _finish_job(paths: RunPaths, job: Job, asked: RunSpec) -> None:
    from vlmeval_mp.runs import results

    with MergedJob(paths, job) as merged:
        if merged.settled == merged.expected:
            folder = paths.results(job.model, job.dataset)
            rules = replace(results.rules_of(asked, job), stop=merged.stop)
            summary = results.write_pairs(folder, job.model, job.dataset, merged, rules)
            if not summary.metrics:
                why = summary.problem or " ".join(summary.notes) or "nothing of it can be scored"
                _say(f"{job.model} on {job.dataset}: no score: {why}")


def _left(jobs: Sequence[Job], place: Path, unpickle: bool) -> list[tuple[Job, Outputs]]:
    if place.is_dir():
        return [(job, outputs.find(place, job.model, job.dataset)) for job in jobs]
    named = [job for job in jobs if outputs.names(place.name, job.model, job.dataset)]
    mine = named or (list(jobs) if len(jobs) == 1 else [])
    if len(mine) != 1:
        raise ConfigError(
            f"{place}: its name does not say which of the run's {len(jobs)} jobs it is of; say --model and --data"
        )
    if place.suffix != ".pkl":
        return [(mine[0], Outputs(table=place))]
    if not unpickle:
        raise ConfigError(f"{place}: is a pickle, and {pickles.ADVICE}")
    return [(mine[0], Outputs(pickles=(place,)))]


def _read(paths: RunPaths, job: Job, left: Outputs, unpickle: bool) -> JobAnswers:
    if not left.files:
        return JobAnswers(job, (), ())
    dataset = dataset_of(paths, job)
    samples = dataset.samples(0, len(dataset) - 1) if len(dataset) else []
    read = [offers.of_table(left.table, samples)] if left.table else []
    if unpickle:
        read += [offers.of_pickle(path, samples) for path in left.pickles]
    refused = []
    for path in left.older:
        try:
            read.append(offers.of_table(path, samples))
        except ConfigError as error:  # the newest is what was asked for; an older one may be of another data set
            refused.append(str(error))
    return JobAnswers(job, tuple(read), () if unpickle else left.pickles, tuple(refused))


def _take(paths: RunPaths, found: Sequence[JobAnswers]) -> int:
    total = 0
    for each in found:
        who = f"{each.job.model} on {each.job.dataset}"
        for offer in each.offers:
            taken = intake.take(paths, each.job, offer.answers, str(offer.source.resolve()))
            total += taken.taken
            answers = "1 answer" if taken.taken == 1 else f"{taken.taken:,} answers"
            _say(f"{who}: {answers} imported from {offer.source}{_skipped_suffix(offer)}; {taken.left:,} left to ask")
        for path in each.skipped:
            _say(f"{who}: {path} may hold half-finished answers and was not read: {pickles.ADVICE}")
        for why in each.refused:
            _say(f"{who}: an older file was not taken: {why}")
    if total:
        _say(UNVOUCHED)
    return total


def _skipped_suffix(offer: Offer) -> str:
    without = ", ".join(f"{count:,} {reason}" for reason, count in offer.missing.items())
    unchecked = "" if offer.checked else "; a pickle has no questions to compare"
    return f" ({without}{unchecked})" if without else f" ({unchecked[2:]})" if unchecked else ""


def _say(line: str) -> None:
    print(f"import: {line}", file=sys.stderr)
