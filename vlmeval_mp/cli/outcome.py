"""The end of a launch on the screen: results, failures, unfinished jobs and the next command, VLMEvalKit's tree."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli.wanted import TreeWanted
from vlmeval_mp.core.errors import EXIT_DISK, EXIT_INCOMPLETE, EXIT_NO_WORKER, EXIT_SIGINT, EXIT_SIGTERM
from vlmeval_mp.core.paths import RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Job, RunRecord

FEW = 5
"""Jobs without a score that are named."""
SHOWN = 20
"""Rows that a table cannot carry, named on the screen; a thousand would hide the result."""


def show_results(paths: RunPaths, record: RunRecord, as_json: bool, code: int, warnings: Sequence[str] = ()) -> None:
    """Show the results that a run has; programs get the exit code `code` with them."""
    from vlmeval_mp import display
    from vlmeval_mp.runs import results, snapshot

    supervisor = snapshot.read_supervisor(paths)
    rates = supervisor.rates if supervisor else {}
    summaries = []
    for job in record.jobs:
        folder = paths.results(job.model, job.dataset)
        summary = results.read_summary(folder)
        if summary is not None:
            summaries.append((summary, rates.get(job.name)))
    display.show_results(summaries, paths.all_results, sys.stdout, as_json=as_json, code=code, warnings=warnings)


def show_answers(paths: RunPaths, record: RunRecord, as_json: bool, code: int) -> None:
    """Show the end of a launch that scores nothing."""
    from vlmeval_mp import display
    from vlmeval_mp.runs import snapshot
    from vlmeval_mp.runs.state import ShardCounts

    found = snapshot.Reader(paths, record).read()
    rates = found.supervisor.rates if found.supervisor else {}
    jobs = []
    for job in record.jobs:
        counts = found.shards.get(job.name, ShardCounts())
        failed = counts.failed_samples + counts.failed_shard_samples
        answered = counts.settled - failed
        jobs.append(display.Answers(job.model, job.dataset, job.samples, answered, failed, rates.get(job.name)))
    display.show_answers(jobs, paths.root, sys.stdout, as_json=as_json, code=code)


def show_time(paths: RunPaths, as_json: bool) -> None:
    """Say where the workers' time went; programs have it in the last state and in `results/time.json`."""
    from vlmeval_mp.display import spent
    from vlmeval_mp.runs import snapshot

    supervisor = snapshot.read_supervisor(paths)
    text = spent.line(supervisor.spent if supervisor else None)
    if text and not as_json:
        print(text)


def failures(paths: RunPaths, record: RunRecord) -> list[str]:
    """Return a line for each kind of error that a job's first failed sample has, with the file or files that have the
    others, and how to ask failed samples again.
    """
    from vlmeval_mp.runs import results
    from vlmeval_mp.runs.reasons import reason

    alike: dict[str, list[tuple[Job, str, str]]] = {}
    for job in record.jobs:
        first = results.first_failure(paths.results(job.model, job.dataset))
        if first is not None:
            error = str(first.error)
            alike.setdefault(reason(error), []).append((job, first.index, error))
    lines = []
    for (job, index, error), *others in alike.values():
        folder = paths.all_results / "*" / "*" if others else paths.results(job.model, job.dataset)
        who = f"{job.model} on {job.dataset}" + (f" and {_more(len(others))}" if others else "")
        told = f"each failed sample says why in {folder / results.PREDICTIONS}"
        lines.append(f"{who}: sample {index} failed: {error} ({told})")
    again = f"failed samples are asked again by: vlmeval-mp retry {_quoted(paths)}"
    return [*lines, again] if lines else []


def _more(jobs: int) -> str:
    return "one more job" if jobs == 1 else f"{jobs} more jobs"


def unfinished(paths: RunPaths, record: RunRecord, code: int) -> list[str]:
    """Return a line for each job without a score (samples are unanswered, or scoring was stopped), and how to go on.

    Of more than `FEW` jobs, the last line is about all others.
    """
    from vlmeval_mp.runs import progress, results, snapshot
    from vlmeval_mp.runs.state import fold

    found = fold(snapshot.Reader(paths, record).read(), time.time()).jobs
    jobs = [j for j in found if not j.finished or results.read_summary(paths.results(j.model, j.dataset)) is None]
    answered = [max(job.done, progress.answered(paths.checkpoints, job.name)) for job in jobs]  # of open shards, too
    each = [(f"{job.model} on {job.dataset}", done, job.total) for job, done in zip(jobs, answered, strict=True)]
    if len(each) > FEW:
        rest, done_there, total_there = zip(*each[FEW - 1 :], strict=True)
        each[FEW - 1 :] = [(f"{len(rest)} more jobs", sum(done_there), sum(total_there))]
    lines = [f"{who}: no score yet, {done:,} of {total:,} samples are answered" for who, done, total in each]
    resumable = code in (EXIT_INCOMPLETE, EXIT_NO_WORKER, EXIT_DISK, EXIT_SIGINT, EXIT_SIGTERM)
    again = f"to go on, run the same command again, or: vlmeval-mp resume {_quoted(paths)}"
    return [*lines, again] if jobs and resumable else lines


def how_to_go_on(paths: RunPaths) -> str:
    """Return the command that resumes the run, in a sentence."""
    return f"What was answered is kept; go on with: vlmeval-mp resume {_quoted(paths)}"


def point_to_report(paths: RunPaths, record: RunRecord, as_json: bool, *, opened: bool) -> None:
    """Say how to look at every answer of a run that has scores; with `opened`, make the report and open it."""
    from vlmeval_mp.cli import report
    from vlmeval_mp.runs import results

    if not any(results.read_summary(paths.results(job.model, job.dataset)) for job in record.jobs):
        return
    if opened:
        page = report.make(paths)
        report.open_page(page, os.environ)
    if not as_json:
        print(f"report in {page}" if opened else f"look at every answer: vlmeval-mp report {_quoted(paths)}")


def _quoted(paths: RunPaths) -> str:
    """Return the run as a command names it: by name if it is in the default jobs folder, else by path."""
    import shlex

    return shlex.quote(paths.root.name if paths.root.parent == Path("jobs").resolve() else str(paths.root))


def export(paths: RunPaths, tree: TreeWanted, as_json: bool) -> None:
    """Write VLMEvalKit's tree, if `--work-dir` asks for it."""
    if tree.work_dir is None:
        return
    from vlmeval_mp.exchange import predictions, workdir
    from vlmeval_mp.runs import snapshot

    form = predictions.pred_format(os.environ)
    record = snapshot.read_record(paths)
    found = workdir.export(paths, record, tree.work_dir, form, time.time(), scored=tree.scored)
    for each in found.damaged[:SHOWN]:
        where = f"{each.file}, index {each.index}, {each.column}"
        print(f"warning: {where}: is not carried whole ({each.reason})", file=sys.stderr)
    if found.damaged:
        rest = f"and {len(found.damaged) - SHOWN} more; " if len(found.damaged) > SHOWN else ""
        print(f"warning: {rest}all are in status.json, whole in the _whole.jsonl beside the table", file=sys.stderr)
    if not as_json:
        print(f"VLMEvalKit's files in {tree.work_dir}")
    for path in found.unlinked:
        print(f"warning: {path}: is a file, not a link to the newest run, and stays as it is", file=sys.stderr)
