"""`verify`: asks a random sample of a bundle again and says how many answers agree."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import LaunchWanted, TreeWanted
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_FAILED_SAMPLES, VlmevalError
from vlmeval_mp.core.paths import JobsPaths

if TYPE_CHECKING:
    from vlmeval_mp.report.again import Answer

EXAMPLES = """\
examples:
  vlmeval-mp verify demo.zip -n 50                 with the engine and model that it names
  vlmeval-mp verify demo.zip --engine transformers --model /models/mine
exit codes: 0 every answer agrees word for word · 1 some do not · others as for launch
"""
SHOWN = 5


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "verify", "ask a random sample of a bundle again: how many answers agree", EXAMPLES)
    verb.add_argument("bundle", type=Path, metavar="BUNDLE", help="a file that `export RUN --bundle` wrote")
    verb.add_argument("-n", type=kitflags.count, default=50, metavar="N", help="samples to ask again (default: 50)")
    verb.add_argument("--seed", type=int, metavar="N", help="draw the same samples as another time (default: others)")
    verb.add_argument("--engine", metavar="NAME", help="another engine than the run had")
    verb.add_argument("--engine-args", type=kitflags.json_object, default={}, metavar="JSON", help="its arguments")
    where = "where the model is here; with several models, once for each"
    verb.add_argument("--model", action="append", default=[], metavar="[NAME=]FOLDER", help=where)
    verb.add_argument("--keep", type=Path, metavar="DIR", help="keep the opened run and the new answers there")
    flags.how(verb)
    kitflags.add_running(verb.add_argument_group("as in VLMEvalKit's run.py"))


def run(arguments: argparse.Namespace) -> int:
    """Open the bundle as a run, ask, compare, and remove both runs unless they are to be kept."""
    import shutil
    import tempfile

    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        return _verify(arguments, arguments.keep.resolve())
    folder = Path(tempfile.mkdtemp(prefix="vlmeval-verify-"))
    try:
        return _verify(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _verify(arguments: argparse.Namespace, folder: Path) -> int:
    import secrets

    from vlmeval_mp.cli.drain import drain
    from vlmeval_mp.report import again, bundle
    from vlmeval_mp.runs import snapshot

    original, digest = bundle.unpack(arguments.bundle, folder)
    seed = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    print(f"bundle {arguments.bundle}, digest {digest}, seed {seed}", file=sys.stderr)
    changes = again.Changes(arguments.engine or "", arguments.engine_args, _named(arguments.model))
    asked = again.queue(original, JobsPaths(folder / ".again"), arguments.n, seed, changes)
    wanted = LaunchWanted.of(arguments, tree=TreeWanted(mode="infer"))
    wanted = replace(wanted, screen=replace(wanted.screen, answers_shown=False))  # their folder is deleted
    drained = drain(asked, wanted, snapshot.read_record(asked).spec)
    answers = again.compared(original, asked)
    if not answers:
        raise VlmevalError(f"nothing could be asked again (the launch ended with code {drained})")
    if arguments.json:
        _print_json(answers, digest, seed)
    else:
        _print(answers)
    if drained not in (EXIT_COMPLETE, EXIT_FAILED_SAMPLES):
        return drained
    return EXIT_COMPLETE if all(each.same for each in answers) else EXIT_FAILED_SAMPLES


def _named(given: Sequence[str]) -> dict[str, str]:
    """Return models' folders by name; "" is the name of one that was given without."""
    cut = (text.rpartition("=") if text.count("=") == 1 else ("", "", text) for text in given)
    return {name: folder for name, _, folder in cut}


def _print_json(answers: Sequence[Answer], digest: str, seed: int) -> None:
    import msgspec

    counts = {"asked": len(answers), "same": _same(answers), "same_verdict": _alike(answers)}
    value = {"event": "verified", "digest": digest, "seed": seed, **counts, "answers": msgspec.to_builtins(answers)}
    print(json.dumps(value, ensure_ascii=False))


def _print(answers: Sequence[Answer]) -> None:
    from vlmeval_mp.display.text import safe

    print(
        f"{_same(answers)} of {len(answers)} answers are the same word for word, "
        f"{_alike(answers)} of {len(answers)} are judged alike"
    )
    others = [each for each in answers if not each.same]
    for each in others[:SHOWN]:
        print(safe(f"  {each.model} on {each.dataset}, sample {each.index}: {each.before[:60]!r} → {each.now[:60]!r}"))
    if len(others) > SHOWN:
        print(f"  and {len(others) - SHOWN} more; --json has all")


def _same(answers: Sequence[Answer]) -> int:
    return sum(each.same for each in answers)


def _alike(answers: Sequence[Answer]) -> int:
    return sum(each.same_verdict for each in answers)
