"""`launch`: submits what is given and works until it is done; without a config, finishes every unfinished run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.complaints import complain
from vlmeval_mp.cli.wanted import LaunchWanted, SpecWanted, TreeWanted, jobs_of
from vlmeval_mp.core.errors import (
    EXIT_COMPLETE,
    EXIT_DEPENDENCY,
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_USAGE,
    ConfigError,
    VlmevalError,
)
from vlmeval_mp.core.paths import JobsPaths, RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunSpec


def add_parser(verbs: flags.Verbs) -> None:
    does = "submit what is given and work until it is done; without a config, finish every unfinished run"
    verb = flags.verb(verbs, "launch", does, flags.EXAMPLES + flags.CODES)
    flags.what(verb)
    flags.how(verb)
    kitflags.add(verb)
    verb.add_argument("--dry-run", action="store_true", help="show the plan (see `plan`), start nothing")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Queue and work on what the flags describe; return the worst exit code of all runs."""
    from vlmeval_mp.cli.specs import specs_of
    from vlmeval_mp.runs import find, submit

    jobs = jobs_of(arguments)
    what = SpecWanted.of(arguments, batch_size=arguments.batch_size, max_workers=arguments.max_workers)
    wanted = LaunchWanted.of(arguments, judge=arguments.judge, tree=TreeWanted.of(arguments))
    if wanted.tree.work_dir:
        from vlmeval_mp.exchange.predictions import pred_format

        pred_format(os.environ)  # a wrong format is refused before the night, not after it
    if what.empty:
        return _finish_all(jobs, wanted)
    specs = specs_of(what)
    if arguments.dry_run:
        from vlmeval_mp.cli import plan

        screen, tree = wanted.screen, wanted.tree
        return plan.show(specs, jobs, wanted.devices, as_json=screen.as_json, scored=tree.scored)
    if wanted.tree.mode == "eval":
        return _score_again(specs, jobs, wanted)
    _read_ahead([spec for spec in specs if not find.is_finished(jobs.run(spec.name))])
    fresh = [jobs.run(spec.name) for spec in specs if not jobs.run(spec.name).record.exists()]
    waiting = [(_submitted(spec, jobs, wanted.tree), submit.resolved(spec)) for spec in specs]
    return _drain_all(waiting, wanted, fresh)


def _read_ahead(specs: Sequence[RunSpec]) -> None:
    """Have weights read into the page cache while data sets are prepared and workers import their engines."""
    from vlmeval_mp.engines.registry import entry
    from vlmeval_mp.pool.devices import memory, readahead, weights
    from vlmeval_mp.runs import submit

    models = [submit.resolved_model(m) for spec in specs for m in spec.models if entry(m.engine).sized]
    found = [weights.folder_of(m.path) for m in models]
    readahead.begin([folder for folder in dict.fromkeys(found) if folder is not None], memory.free_memory())


def _finish_all(jobs: JobsPaths, wanted: LaunchWanted) -> int:
    from vlmeval_mp.runs import find

    waiting = find.unfinished(jobs)
    if not waiting:
        raise ConfigError(f"nothing to do: no unfinished run under {jobs.root} and no config given (see --help)")
    for paths in waiting:
        _reuse(paths, wanted.tree)
    return _drain_all([(paths, None) for paths in waiting], wanted)


def _submitted(spec: RunSpec, jobs: JobsPaths, tree: TreeWanted) -> RunPaths:
    """Return the run of `spec`; with `--reuse`, with the answers that are under `--work-dir`."""
    from vlmeval_mp.runs import submit

    paths, _, _ = submit.submit(spec, jobs)
    _reuse(paths, tree)
    return paths


def _reuse(paths: RunPaths, tree: TreeWanted) -> None:
    if tree.work_dir and (tree.reuse or tree.mode == "eval"):
        from vlmeval_mp.cli import takeover

        takeover.reuse(paths, tree.work_dir, unpickle=tree.unpickle)


def _drain_all(
    waiting: Sequence[tuple[RunPaths, RunSpec | None]], wanted: LaunchWanted, fresh: Sequence[RunPaths] = ()
) -> int:
    """Work on one run after the other, whatever becomes of one; return the worst exit code. An interrupt ends all.

    Of the `fresh` ones, those that are refused are not kept: a launch without a config would run them.
    """
    from vlmeval_mp.cli.drain import drain
    from vlmeval_mp.runs import submit

    worst = EXIT_COMPLETE
    for paths, spec in waiting:
        try:
            code = drain(paths, wanted, spec)
        except VlmevalError as error:
            code = complain(error, as_json=wanted.screen.as_json)
        worst = max(worst, code)
        if code in (EXIT_USAGE, EXIT_DEPENDENCY) and paths in fresh and submit.discard_unanswered(paths):
            print(f"vlmeval-mp: nothing was answered, so run {paths.root.name} is not kept", file=sys.stderr)
        if worst in (EXIT_SIGINT, EXIT_SIGTERM):
            break
    return worst


def _score_again(specs: Sequence[RunSpec], jobs: JobsPaths, wanted: LaunchWanted) -> int:
    from vlmeval_mp.cli import evaluate, outcome
    from vlmeval_mp.runs import submit

    scores = evaluate.ScoresWanted(wanted.scoring, wanted.judge, wanted.screen.as_json, wanted.numbers)
    worst = EXIT_COMPLETE
    for spec in specs:
        if not jobs.run(spec.name).record.exists() and not wanted.tree.work_dir:
            raise ConfigError(
                f"--mode eval: there is no run {spec.name!r} in {jobs.root}; launch it without --mode first, or name "
                "the --work-dir that has VLMEvalKit's answers"
            )
        paths = _submitted(spec, jobs, wanted.tree)
        worst = max(worst, evaluate.score_run(paths, submit.resolved(spec), scores))
        outcome.export(paths, wanted.tree, wanted.screen.as_json)
    return worst
