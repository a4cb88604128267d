"""What `eval` does: a run's answers, or a file of somebody else's, scored again and shown. No engine, no GPU.

Owns what is said about it; the reading and the scores are `foreign`'s and `results`'.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from vlmeval_mp.cli import launch
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigError, VlmevalError
from vlmeval_mp.core.paths import RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunSpec

_OF_FILES = ("data", "prediction_column", "extracted", "index_column", "scorer", "out")


def refuse_flags_of_files(arguments: argparse.Namespace) -> None:
    """Refuse what only `--predictions` can use.

    Raises:
        ConfigError: such a flag was given.
    """
    for flag in _OF_FILES:
        if getattr(arguments, flag):
            raise ConfigError(f"--{flag.replace('_', '-')} goes with --predictions FILE; a run has its own")


def a_run(paths: RunPaths, asked: RunSpec | None, arguments: argparse.Namespace) -> int:
    """Score the jobs of a run that are answered in full, as `asked` says; None: as frozen, but for the flags."""
    from vlmeval_mp.runs import results, snapshot
    from vlmeval_mp.runs.merge import merge

    record = snapshot.read_record(paths)
    code, problems = EXIT_COMPLETE, []
    asked = launch.asked(record.spec, asked or record.spec, arguments.scoring, arguments.judge)
    for job in record.jobs:
        samples, predictions = merge(paths, job)
        if len(samples) < job.samples:
            missing = job.samples - len(samples)
            print(
                f"{job.model} on {job.dataset}: {missing} of {job.samples} samples have no answer yet", file=sys.stderr
            )
            code = EXIT_INCOMPLETE
            continue
        rules = results.rules_of(asked, job)
        folder = paths.results(job.model, job.dataset)
        summary = results.write(folder, job.model, job.dataset, samples, predictions, rules)
        problems += [f"{job.model} on {job.dataset}: {summary.problem}"] if summary.problem else []
    launch.show_results(paths, record, arguments.json, code)
    if problems:
        raise VlmevalError("\n".join(problems))
    return code


def a_file(arguments: argparse.Namespace) -> int:
    """Score a file of predictions; what comes of it is written if `--out` says where.

    Raises:
        ConfigError: as `foreign.evaluate`.
    """
    from vlmeval_mp import display
    from vlmeval_mp.exchange import evaluate
    from vlmeval_mp.runs import results

    if arguments.run:
        raise ConfigError(f"eval scores either the run {arguments.run!r} or --predictions; leave one out")
    asked = evaluate.Asked(
        file=arguments.predictions,
        data=arguments.data or "",
        column=arguments.prediction_column or "prediction",
        index=arguments.index_column or "index",
        mode=arguments.scoring or "strict",
        judge=arguments.judge or "",
        scorer=arguments.scorer or "",
        extracted=arguments.extracted,
    )
    found = evaluate.evaluate(asked, arguments.out)
    if arguments.out:
        results.save(arguments.out, found.scored, found.summary)
    shown = [(found.summary, None)]
    display.show_results(shown, arguments.out, sys.stdout, as_json=arguments.json, warnings=found.warnings)
    if found.summary.problem:
        raise VlmevalError(found.summary.problem)
    return EXIT_COMPLETE
