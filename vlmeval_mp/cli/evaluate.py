"""`eval`: scores the answers of a run, or of a file from elsewhere, again. Needs no engine and no GPU.

Owns what is printed about it; the reading is that of `exchange.evaluate`, the scores those of `runs.results`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags, kitflags, outcome
from vlmeval_mp.cli.specs import rescored
from vlmeval_mp.cli.wanted import NumbersWanted, Scoring, jobs_of, judge_args
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigError, VlmevalError
from vlmeval_mp.core.paths import RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Json, RunSpec

EXAMPLES = """\
examples:
  vlmeval-mp eval demo --scoring compat            a run, with VLMEvalKit's numbers first
  vlmeval-mp eval --predictions Qwen_MMStar.xlsx   somebody else's file
  vlmeval-mp eval --predictions answers.jsonl --data MMStar --prediction-column reply
"""


@dataclass(frozen=True, slots=True)
class ScoresWanted:
    """Whose numbers come first, which judge is asked, and how it is shown. None leaves it to the run.

    `judge_args` is added to what the run gives its judge.
    """

    scoring: Scoring | None
    judge: str | None
    as_json: bool
    numbers: NumbersWanted
    judge_args: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileWanted:
    """The flags that go with `--predictions FILE`; None is the default."""

    data: str | None
    prediction_column: str | None
    extracted: bool
    index_column: str | None
    scorer: str | None
    out: Path | None


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "eval", "score a run again, or a file of predictions; needs no GPU", EXAMPLES)
    flags.run_name(verb)
    flags.scoring(verb)
    kitflags.add_judge(verb)
    verb.add_argument("--json", action="store_true", help="the summaries as JSON")
    theirs = verb.add_argument_group("score a file instead of a run; no pictures needed")
    formats = "xlsx, tsv, csv, json or jsonl; the last four also with .gz"
    theirs.add_argument("--predictions", type=Path, metavar="FILE", help=formats)
    theirs.add_argument("--data", metavar="D", help="name or TSV of the data set (default: FILE's own answers)")
    theirs.add_argument("--prediction-column", metavar="C", help="where the answers are (default: prediction)")
    theirs.add_argument(
        "--extracted", action="store_true", help="they are answers already read out of replies: compare as they are"
    )
    theirs.add_argument("--index-column", metavar="C", help="which sample a row is of (default: index)")
    theirs.add_argument("--scorer", metavar="FAMILY", help="how to read them (default: the data set's own)")
    theirs.add_argument("--out", type=Path, metavar="DIR", help="write predictions, scores and summary there")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Score the named run, the latest one, or the file of `--predictions`."""
    from vlmeval_mp.core import credentials
    from vlmeval_mp.runs import find

    numbers, judge = NumbersWanted.of(arguments), judge_args(arguments)
    credentials.refuse("--judge-args", judge)
    wanted = ScoresWanted(arguments.scoring, arguments.judge, arguments.json, numbers, judge)
    given = FileWanted(
        data=arguments.data,
        prediction_column=arguments.prediction_column,
        extracted=arguments.extracted,
        index_column=arguments.index_column,
        scorer=arguments.scorer,
        out=arguments.out,
    )
    if arguments.predictions and arguments.run:
        raise ConfigError(f"eval scores either the run {arguments.run!r} or --predictions; leave one out")
    if arguments.predictions:
        return score_file(arguments.predictions, given, wanted)
    for flag, value in asdict(given).items():
        if value:
            raise ConfigError(f"--{flag.replace('_', '-')} goes with --predictions FILE; a run has its own")
    return score_run(find.chosen(jobs_of(arguments), arguments.run), None, wanted)


def score_run(paths: RunPaths, asked: RunSpec | None, wanted: ScoresWanted) -> int:
    """Score the jobs of a run that are answered in full; return the exit code.

    `asked` says how; None scores as frozen, apart from what `wanted` says.

    Raises:
        VlmevalError: an evaluator failed; what could be scored is written.
    """
    from vlmeval_mp.runs import results, snapshot
    from vlmeval_mp.runs.holding import hold
    from vlmeval_mp.runs.merge import MergedJob

    record = snapshot.read_record(paths)
    code, problems = EXIT_COMPLETE, []
    asked = rescored(record.spec, asked or record.spec, wanted.scoring, wanted.judge, wanted.numbers, wanted.judge_args)
    with hold(paths, record.spec.name):  # a launch writes the same files, perhaps in another mode
        for job in record.jobs:
            with MergedJob(paths, job) as merged:
                missing = merged.expected - merged.settled
                if missing:
                    left = f"{missing} of {merged.expected} samples have no answer yet"
                    print(f"{job.model} on {job.dataset}: {left}", file=sys.stderr)
                    code = EXIT_INCOMPLETE
                    continue
                rules = replace(results.rules_of(asked, job), stop=merged.stop)
                folder = paths.results(job.model, job.dataset)
                summary = results.write_pairs(folder, job.model, job.dataset, merged, rules)
            problems += [f"{job.model} on {job.dataset}: {summary.problem}"] if summary.problem else []
    outcome.show_results(paths, record, wanted.as_json, code)
    if problems:
        raise VlmevalError("\n".join(problems))
    return code


def score_file(file: Path, given: FileWanted, wanted: ScoresWanted) -> int:
    """Score a file of predictions; what comes of it is written if `given.out` names a folder.

    Raises:
        ConfigError: as `exchange.evaluate.evaluate`.
    """
    from vlmeval_mp import display
    from vlmeval_mp.exchange import evaluate
    from vlmeval_mp.runs import results

    asked = evaluate.FileToScore(
        file=file,
        data=given.data or "",
        column=given.prediction_column or "prediction",
        index=given.index_column or "index",
        mode=wanted.scoring or "strict",
        judge=wanted.judge or "",
        judge_args=wanted.judge_args,
        scorer=given.scorer or "",
        extracted=given.extracted,
        cluster=wanted.numbers.cluster or "",
        group=wanted.numbers.group or "",
    )
    found = evaluate.evaluate(asked, given.out)
    if given.out:
        results.save(given.out, found.scored, found.summary)
    shown = [(found.summary, None)]
    display.show_results(shown, given.out, sys.stdout, as_json=wanted.as_json, warnings=found.warnings)
    if found.summary.problem:
        raise VlmevalError(found.summary.problem)
    return EXIT_COMPLETE
