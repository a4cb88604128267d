"""A launch: works on runs until they end, one after the other, shows their results and exports them.

Owns the choice of devices and screen; the work itself is the supervisor's.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import kitflags
from vlmeval_mp.core.errors import EXIT_DISK, EXIT_INCOMPLETE, EXIT_NO_WORKER, EXIT_SIGINT, EXIT_SIGTERM
from vlmeval_mp.core.paths import RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunRecord, RunSpec

LIVE_ANSWERS = "--verbose: each answer is in its worker's log; follow them with `vlmeval-mp logs -f`, or say --plain"
SHOWN = 20
"""Rows that a table cannot carry, named on the screen; a thousand would hide the result."""


def drain(paths: RunPaths, arguments: argparse.Namespace, spec: RunSpec | None) -> int:
    """Supervise one run until it ends and show the results; gives its exit code."""
    from vlmeval_mp import display
    from vlmeval_mp.pool.devices import gpus
    from vlmeval_mp.pool.devices import layout as fitting
    from vlmeval_mp.pool.launchers.local import LocalLauncher
    from vlmeval_mp.pool.supervisor.loop import Supervisor
    from vlmeval_mp.pool.supervisor.options import Options
    from vlmeval_mp.runs import snapshot, submit

    record = snapshot.read_record(paths)
    if spec is None:
        submit.check(paths, record)
    wanted = spec or record.spec
    for line in kitflags.warnings(arguments, {m.engine for m in wanted.models}):
        print(f"warning: {line}", file=sys.stderr)
    layout = fitting.fit(wanted, arguments)
    _log_to(paths.log("supervisor"), arguments.log_file)
    mode: display.Mode = (
        "json" if arguments.json else "live" if sys.stdout.isatty() and not arguments.plain else "plain"
    )
    scored = getattr(arguments, "mode", "all") != "infer"
    options = Options(
        tensor_parallel=arguments.tp,
        windows=layout.windows,
        engine_args=layout.engine_args,
        asked=asked(record.spec, wanted, arguments.scoring),
        scored=scored,
        verbose=arguments.verbose,
        notes=layout.notes + ((("info", LIVE_ANSWERS),) if arguments.verbose and mode == "live" else ()),
    )
    held = gpus.hold(layout.groups, f"run {record.spec.name} (pid {os.getpid()})")
    try:
        with display.screen(mode, sys.stdout) as screen:
            on_answer = screen.answer if arguments.verbose else None
            supervisor = Supervisor(paths, record, layout.groups, LocalLauncher(), options, screen.update, on_answer)
            code = supervisor.run()
    finally:
        for lock in held:
            lock.release()
    if scored:
        show_results(
            paths, record, arguments.json, code, [*_failures(paths, record), *_unfinished(paths, record, code)]
        )
    else:
        show_answers(paths, record, arguments.json, code)
    export(paths, arguments)
    for model, why in supervisor.slots.unavailable.items():
        print(f"vlmeval-mp: {model}: {why}. {_go_on(paths)}", file=sys.stderr)
    return code


def _go_on(paths: RunPaths) -> str:
    """How to resume, from this folder."""
    return f"What was answered is kept; go on with: vlmeval-mp resume {_named(paths)}"


def asked(frozen: RunSpec, wanted: RunSpec, scoring: str | None, judge: str | None = None) -> RunSpec:
    """`frozen` with what `wanted`, `--scoring` and `--judge` say of scoring, which changes no answer."""
    import msgspec

    scorers = {data.name: data.scorer for data in wanted.datasets}
    datasets = tuple(
        msgspec.structs.replace(data, scorer=scorers.get(data.name) or data.scorer) for data in frozen.datasets
    )
    read = {model.name: model.post_process for model in wanted.models}
    models = tuple(msgspec.structs.replace(m, post_process=read.get(m.name, m.post_process)) for m in frozen.models)
    chosen = wanted.judge if judge is None else judge
    return msgspec.structs.replace(
        frozen, scoring=scoring or wanted.scoring, judge=chosen, datasets=datasets, models=models
    )


def _log_to(*paths: Path | None) -> None:
    root = logging.getLogger("vlmeval_mp")
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in root.handlers[:]:  # those of the run before
        root.removeHandler(handler)
        handler.close()
    for path in paths:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path, encoding="utf-8")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            root.addHandler(file)


def export(paths: RunPaths, arguments: argparse.Namespace) -> None:
    """VLMEvalKit's tree, if `--work-dir` asks for it."""
    if getattr(arguments, "work_dir", None) is None:
        return
    from vlmeval_mp.exchange import predictions, workdir
    from vlmeval_mp.runs import snapshot

    form = predictions.pred_format(os.environ)
    scored = arguments.mode != "infer"
    found = workdir.export(paths, snapshot.read_record(paths), arguments.work_dir, form, time.time(), scored=scored)
    for each in found.damaged[:SHOWN]:
        where = f"{each.file}, index {each.index}, {each.column}"
        print(f"warning: {where}: is not carried whole ({each.reason})", file=sys.stderr)
    if found.damaged:
        rest = f"and {len(found.damaged) - SHOWN} more; " if len(found.damaged) > SHOWN else ""
        print(f"warning: {rest}all are in status.json, whole in the _whole.jsonl beside the table", file=sys.stderr)
    if not getattr(arguments, "json", False):
        print(f"VLMEvalKit's files in {arguments.work_dir}")
    for path in found.unlinked:
        print(f"warning: {path}: is a file, not a link to the newest run, and stays as it is", file=sys.stderr)


def _failures(paths: RunPaths, record: RunRecord) -> list[str]:
    """A line for each job with failed samples: what the first of them died of, and where the others are told."""
    from vlmeval_mp.runs import results

    said = []
    for job in record.jobs:
        folder = paths.results(job.model, job.dataset)
        first = results.first_failure(folder)
        if first is not None:
            said.append(
                f"{job.model} on {job.dataset}: sample {first.index} failed: {first.error} "
                f"(each failed sample says why in {folder / results.PREDICTIONS})"
            )
    return said


def _unfinished(paths: RunPaths, record: RunRecord, code: int) -> list[str]:
    """A line for each job that has no score, since samples are unanswered or scoring was stopped; how to go on."""
    from vlmeval_mp.runs import results, snapshot
    from vlmeval_mp.runs.state import fold

    found = fold(snapshot.Reader(paths, record).read(), time.time()).jobs
    jobs = [j for j in found if not j.finished or results.read_summary(paths.results(j.model, j.dataset)) is None]
    said = [f"{j.model} on {j.dataset}: no score yet, {j.done:,} of {j.total:,} samples are answered" for j in jobs]
    resumable = code in (EXIT_INCOMPLETE, EXIT_NO_WORKER, EXIT_DISK, EXIT_SIGINT, EXIT_SIGTERM)
    again = f"to go on, run the same command again, or: vlmeval-mp resume {_named(paths)}"
    return [*said, again] if jobs and resumable else said


def _named(paths: RunPaths) -> str:
    """How a command says which run, from this folder: its name where its folder is the default's, else the path."""
    return shlex.quote(paths.root.name if paths.root.parent == Path("jobs").resolve() else str(paths.root))


def show_results(paths: RunPaths, record: RunRecord, as_json: bool, code: int, warnings: Sequence[str] = ()) -> None:
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
    """The end of a launch that scores nothing."""
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
