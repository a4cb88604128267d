"""What the command line takes: the verbs, their flags, how each is read. Knows no verb's work, imports nothing heavy.

The flags that VLMEvalKit's users bring along are `kitflags`'.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from vlmeval_mp import __version__
from vlmeval_mp.cli import kitflags
from vlmeval_mp.core.errors import EXIT_USAGE

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Json

EXAMPLES = """\
examples:
  vlmeval-mp launch jobs/demo.json                 the bundled model on its benchmarks
  vlmeval-mp launch --config config.json --gpus 0,1,2,3
  vlmeval-mp launch --model /models/Qwen2-VL-2B --data MMBench_DEV_EN.tsv --gpus all --tp 2
"""
LOOKING = """\
  vlmeval-mp status --watch                        from a second terminal
  vlmeval-mp logs --worker 0 -f
"""
CODES = """
The same launch again resumes. Ctrl-C once drains, twice stops now; nothing that was answered is asked again.
exit codes: 0 complete · 1 failed samples · 2 usage, config or data set · 3 missing dependency or device
            4 incomplete, resumable · 70 no worker could be kept alive · 74 disk · 130/143 interrupted
"""
SCORING = """\
examples:
  vlmeval-mp eval demo --scoring compat            a run, with VLMEvalKit's numbers first
  vlmeval-mp eval --predictions Qwen_MMStar.xlsx   somebody else's file
  vlmeval-mp eval --predictions answers.jsonl --data MMStar --prediction-column reply
"""
IMPORTING = """\
example:
  vlmeval-mp import outputs --config config.json && vlmeval-mp launch --config config.json
"""


class Parser(argparse.ArgumentParser):
    """argparse's, but a mistake is one line that ends with the next step, not a page of usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            verb = self._verbs().get(getattr(found, "verb", ""), self)
            verb.error(" ".join(["does not know", *map(verb.nearly, unknown)]))
        return found

    def nearly(self, word: str) -> str:
        """`word`, with the flag that was likely meant."""
        flags = self._option_string_actions if word.startswith("-") else ()
        near = difflib.get_close_matches(word, flags, n=2, cutoff=0.75)
        return f"{word} (did you mean {' or '.join(near)}?)" if near else word

    def _verbs(self) -> dict[str, Parser]:
        actions = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        return {name: verb for action in actions for name, verb in action.choices.items()}


_Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def parser() -> Parser:
    top = Parser(
        prog="vlmeval-mp",
        description="Evaluate vision-language models on every GPU of a machine at once.",
        epilog=EXAMPLES + LOOKING + CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"vlmeval-mp {__version__}")
    verbs = top.add_subparsers(metavar="COMMAND", title="commands", required=True)
    _launch_parser(verbs)
    submit = _verb(verbs, "submit", "queue a run without running it")
    _what(submit)
    _scoring(submit)
    kitflags.add_choosing(submit.add_argument_group("as in VLMEvalKit's run.py"))
    submit.set_defaults(verb="submit")
    resume = _verb(verbs, "resume", "go on with a run; other GPUs or batch sizes are fine")
    resume.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    _how(resume)
    kitflags.add_running(resume.add_argument_group("as in VLMEvalKit's run.py"))
    resume.set_defaults(verb="resume")
    status = _verb(verbs, "status", "what a run is doing, or how it ended")
    status.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    status.add_argument("--watch", action="store_true", help="keep showing it until it ends")
    status.add_argument("--json", action="store_true", help="the whole state as one JSON object")
    status.set_defaults(verb="status")
    logs = _verb(verbs, "logs", "everything a worker and its engine printed")
    logs.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    logs.add_argument("--worker", metavar="N", help="worker number, or 'supervisor' (default: all)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.add_argument("-n", type=int, default=20, metavar="LINES", help="how many last lines (default: 20)")
    logs.set_defaults(verb="logs")
    score = _eval_parser(verbs)
    take = _verb(verbs, "import", "take over answers that VLMEvalKit has; launch then asks only the rest", IMPORTING)
    kitflags.add_import(take)
    _what(take)
    _scoring(take)
    kitflags.add_choosing(take.add_argument_group("as in VLMEvalKit's run.py"))
    take.set_defaults(verb="import")
    for verb in (submit, resume, status, logs, score, take):
        verb.add_argument("--jobs", type=Path, default=Path("jobs"), metavar="DIR", help="jobs folder (default: jobs)")
    return top


def _verb(verbs: _Verbs, name: str, does: str, more: str = "") -> Parser:
    """The parser of one verb; its own help begins with what the list of verbs says of it."""
    plain = argparse.RawDescriptionHelpFormatter
    return verbs.add_parser(
        name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=more, formatter_class=plain
    )


def _launch_parser(verbs: _Verbs) -> None:
    does = "submit what is given and work until it is done; without a config, finish every unfinished run"
    launch = _verb(verbs, "launch", does, EXAMPLES + CODES)
    _what(launch)
    _how(launch)
    kitflags.add(launch)
    launch.add_argument("--dry-run", action="store_true", help="check config and data, show the plan, start nothing")
    launch.add_argument("--jobs", type=Path, default=Path("jobs"), metavar="DIR", help="jobs folder (default: jobs)")
    launch.set_defaults(verb="launch")


def _eval_parser(verbs: _Verbs) -> Parser:
    score = _verb(verbs, "eval", "score a run again, or a file of predictions; needs no GPU", SCORING)
    score.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    _scoring(score)
    score.add_argument("--judge", metavar="NAME", help=kitflags.JUDGE)
    score.add_argument("--json", action="store_true", help="the summaries as JSON")
    theirs = score.add_argument_group("score a file instead of a run; no pictures needed")
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
    score.set_defaults(verb="eval")
    return score


def _what(verb: argparse.ArgumentParser) -> None:
    what = verb.add_argument_group("what to run")
    what.add_argument("configs", nargs="*", metavar="CONFIG", type=Path, help="VLMEvalKit-style config.json")
    what.add_argument("--config", action="append", type=Path, default=[], metavar="FILE", help="the same, as a flag")
    what.add_argument("--model", nargs="+", default=[], metavar="M", help="folders, hub ids, or names of the config")
    what.add_argument(
        "--data", nargs="+", default=[], metavar="D", help="TSV files, or names of data sets or the config"
    )
    what.add_argument(
        "--engine", metavar="NAME", help="vllm, transformers, openai, vlmevalkit or fake (default: vllm if installed)"
    )
    what.add_argument("--engine-args", type=_json_object, default={}, metavar="JSON", help="arguments of the engine")
    what.add_argument("--limit", type=int, metavar="N", help="only the first N samples of each data set")
    what.add_argument("--run", metavar="NAME", help="name of the run (default: the config's, or models and data)")


def _how(verb: argparse.ArgumentParser) -> None:
    how = verb.add_argument_group("how to run it (changes no answer)")
    how.add_argument("--gpus", metavar="IDS", help="indices, UUIDs or MIG ids, or 'all' (default: all)")
    how.add_argument("--tp", type=int, default=1, metavar="N", help="GPUs per worker (tensor parallel; default: 1)")
    how.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: a GPU if there is one")
    window = "samples in flight per worker (default: auto, by the model's size and the memory there is)"
    how.add_argument("--batch-size", type=_batch_size, metavar="N|auto", help=window)
    how.add_argument("--max-workers", type=kitflags.count, metavar="N", help="at most so many workers")
    serial = "--no-parallel: one worker, one sample in flight"
    how.add_argument("--parallel", action=argparse.BooleanOptionalAction, default=True, help=serial)
    _scoring(how)
    how.add_argument("--plain", action="store_true", help="lines instead of the live display")
    how.add_argument("--json", action="store_true", help="one JSON object per change, for programs")
    how.add_argument("--log-file", type=Path, metavar="FILE", help="the supervisor's log, also there")


def _scoring(verb: argparse._ActionsContainer) -> None:
    said = "whose numbers come first: by stated rules, or as VLMEvalKit counts (default: the config's, else strict)"
    verb.add_argument("--scoring", choices=("strict", "compat"), help=said)


def _batch_size(text: str) -> int:
    """0 stands for auto."""
    return 0 if text == "auto" else kitflags.count(text)


def _json_object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object, such as '{\"max_model_len\": 8192}'")
    return value
