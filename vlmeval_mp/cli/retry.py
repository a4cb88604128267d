"""`retry`: asks failed samples of a run again, all or those of one kind. Answered samples keep their answers."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import LaunchWanted, jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError

if TYPE_CHECKING:
    from vlmeval_mp.runs.retrying import Failure

EXAMPLES = """\
examples:
  vlmeval-mp retry night --dry-run                     what failed, by cause
  vlmeval-mp retry night --error-like "does not exist"
Files that were missing when the run began and are there now are taken in. The old outcome stays in the checkpoints.
"""
SHOWN = 20
WIDTH = 110


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "retry", "ask failed samples of a run again, all or by kind", EXAMPLES)
    flags.run_name(verb)
    verb.add_argument("--error-like", metavar="TEXT", default="", help="only those whose error contains TEXT")
    verb.add_argument("--model", nargs="+", default=[], metavar="M", help="only those of these models")
    verb.add_argument("--data", nargs="+", default=[], metavar="D", help="only those of these data sets")
    verb.add_argument("--dry-run", action="store_true", help="say which they are, change nothing")
    flags.how(verb)
    kitflags.add_running(verb.add_argument_group("as in VLMEvalKit's run.py"))
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Reopen the chosen samples of the named run, or of the latest, and work on it until it ends."""
    from vlmeval_mp.cli.drain import drain
    from vlmeval_mp.runs import arrivals, ending, find, retrying, snapshot

    paths = find.chosen(jobs_of(arguments), arguments.run)
    ending.refuse_running(paths)
    record = snapshot.read_record(paths)
    _check("--model", arguments.model, [m.name for m in record.spec.models])
    _check("--data", arguments.data, [d.name for d in record.spec.datasets])
    found = retrying.failures(paths, record)
    chosen = [
        failure
        for failure in found
        if arguments.error_like.lower() in failure.error.lower()
        and (not arguments.model or failure.job.model in arguments.model)
        and (not arguments.data or failure.job.dataset in arguments.data)
    ]
    if not found:
        print(f"no sample of run {paths.root.name} has failed", file=sys.stderr)
    elif not chosen:
        raise ConfigError(f"none of the {len(found):,} failed samples is of that kind; there are:\n{_by_cause(found)}")
    else:
        print(f"{_samples(len(chosen))} of {len(found):,} failed ones:\n{_by_cause(chosen)}", file=sys.stderr)
    if arguments.dry_run or not chosen:
        return EXIT_COMPLETE
    record, arrived = arrivals.take(paths, record)
    for line in arrived:
        print(f"retry: {line}", file=sys.stderr)
    retrying.reopen(paths, chosen)
    return drain(paths, LaunchWanted.of(arguments), None)


def _check(flag: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{flag}: the run has no {name!r}; it has {', '.join(known)}")


def _by_cause(found: Sequence[Failure]) -> str:
    from vlmeval_mp.display.text import safe

    counts = Counter((f.job.model, f.job.dataset, _short(f.error)) for f in found)
    lines = [
        f"  {count:,} × {safe(f'{model} on {dataset}: {error}')}"
        for (model, dataset, error), count in counts.most_common(SHOWN)
    ]
    return "\n".join(lines + ([f"  and {len(counts) - SHOWN} other errors"] if len(counts) > SHOWN else []))


def _short(error: str) -> str:
    return error if len(error) <= WIDTH else f"{error[:WIDTH]}…"


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count:,} samples"
