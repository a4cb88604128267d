"""The parser and the groups of flags that several verbs share. Knows no verb and imports nothing heavy.

The flags that VLMEvalKit's users bring along stand in `kitflags`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from vlmeval_mp.cli import kitflags
from vlmeval_mp.core.errors import EXIT_USAGE, did_you_mean, nearest
from vlmeval_mp.engines.registry import ENGINES
from vlmeval_mp.pool.launchers.registry import DEFAULT, LAUNCHERS

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


class Parser(argparse.ArgumentParser):
    """argparse's, but reports a mistake in one line that ends with the next step, without a page of usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            EXIT_USAGE, f"{self.prog}: {message}{'' if message.endswith(('?', ';')) else ';'} see {self.prog} --help\n"
        )

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            verb = self.verbs().get(getattr(found, "verb", ""), self)
            verb.error(" ".join(["does not know", *map(verb.nearly, unknown)]))
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            known = list(action.choices)
            hint = did_you_mean(str(value), known, f"there are {', '.join(known)};")
            self.error(f"there is no command {value!r}; {hint}")
        super()._check_value(action, value)

    def nearly(self, word: str) -> str:
        """Return `word` with the flag that was likely meant."""
        flags = self._option_string_actions if word.startswith("-") else ()
        near = nearest(word, flags, most=2, least=0.75)
        return f"{word} (did you mean {' or '.join(near)}?)" if near else word

    def verbs(self) -> dict[str, Parser]:
        """Return the parsers of the commands that this one has."""
        actions = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        return {name: verb for action in actions for name, verb in action.choices.items()}


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def verb(verbs: Verbs, name: str, does: str, more: str = "") -> Parser:
    """Add and return the parser of one verb; its own help begins with what the list of verbs says of it."""
    plain = argparse.RawDescriptionHelpFormatter
    return verbs.add_parser(
        name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=more, formatter_class=plain
    )


def run_name(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", nargs="?", help="name of the run (default: the latest)")


def jobs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--jobs", type=Path, default=Path("jobs"), metavar="DIR", help="jobs folder (default: jobs)")


def what(verb: argparse.ArgumentParser) -> None:
    """Add the flags that say what to run."""
    group = verb.add_argument_group("what to run")
    group.add_argument("configs", nargs="*", metavar="CONFIG", type=Path, help="VLMEvalKit-style config.json")
    group.add_argument("--config", action="append", type=Path, default=[], metavar="FILE", help="the same, as a flag")
    group.add_argument("--model", nargs="+", default=[], metavar="M", help="folders, hub ids, or names of the config")
    group.add_argument(
        "--data", nargs="+", default=[], metavar="D", help="TSV files, or names of data sets or the config"
    )
    group.add_argument("--engine", metavar="NAME", help=f"{', '.join(ENGINES)} (default: vllm if installed)")
    group.add_argument(
        "--engine-args", type=kitflags.json_object, default={}, metavar="JSON", help="arguments of the engine"
    )
    group.add_argument("--limit", type=kitflags.positive, metavar="N", help="only the first N samples of each data set")
    turned = "ask each choice with its options in every rotation; right if all are"
    group.add_argument("--circular", action="store_true", help=turned)
    ended = "end a job once half its 95 %% interval is P percentage points; asks in a random order"
    group.add_argument("--stop-at", type=float, metavar="P", help=ended)
    group.add_argument("--run", metavar="NAME", help="name of the run (default: the config's, or models and data)")


def how(verb: argparse.ArgumentParser) -> None:
    """Add the flags that say how to run it."""
    group = verb.add_argument_group("how to run it (changes no answer)")
    group.add_argument("--gpus", metavar="IDS", help="indices, UUIDs or MIG ids, or 'all' (default: all)")
    spread = "GPUs per worker (tensor parallel; default: the model's tensor_parallel_size, else 1)"
    group.add_argument("--tp", type=int, metavar="N", help=spread)
    group.add_argument(
        "--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: a GPU if there is one"
    )
    places = f"where workers are started: {', '.join(LAUNCHERS)} (default: {DEFAULT})"
    group.add_argument("--launcher", default=DEFAULT, metavar="NAME", help=places)
    window = "samples in flight per worker (default: auto, by the model's size and the memory there is)"
    group.add_argument("--batch-size", type=_batch_size, metavar="N|auto", help=window)
    group.add_argument("--max-workers", type=kitflags.positive, metavar="N", help="at most so many workers")
    beside = "processes per worker that open and process pictures and videos (default: by its cores; 0: none)"
    group.add_argument("--render-processes", type=_render_processes, metavar="N|auto", help=beside)
    serial = "--no-parallel: one worker, one sample in flight"
    group.add_argument("--parallel", action=argparse.BooleanOptionalAction, default=True, help=serial)
    timeouts(group)
    scoring(group)
    group.add_argument("--plain", action="store_true", help="lines instead of the live display")
    group.add_argument("--json", action="store_true", help="one JSON object per change, for programs")
    opened = "make the report at the end and open it in the browser, where there is a screen"
    group.add_argument("--open", action="store_true", help=opened)
    group.add_argument("--log-file", type=Path, metavar="FILE", help="the supervisor's log, also there")


def timeouts(verb: argparse._ActionsContainer) -> None:
    """Add the flags that say when a worker is stuck and how long a drain lasts."""
    stuck = "a sample that is in an engine for longer is stuck: its worker is killed and started again"
    verb.add_argument("--sample-timeout", type=_seconds, default=0.0, metavar="SECONDS", help=stuck)
    stall = "the same for a worker without an answer or a stage of loading (default: by the run's own pace)"
    verb.add_argument("--stall-timeout", type=_seconds, default=0.0, metavar="SECONDS", help=stall)
    drains = "Ctrl-C lets workers finish what they have for so long at most (default: 120)"
    verb.add_argument("--drain-seconds", type=_seconds, default=120.0, metavar="N", help=drains)


def scoring(verb: argparse._ActionsContainer) -> None:
    numbers = (
        "whose numbers come first: by stated rules, as VLMEvalKit counts, or by the benchmark's own rule where it has "
        "one (default: the config's, else strict)"
    )
    verb.add_argument("--scoring", choices=("strict", "compat", "official"), help=numbers)
    alike = "a column whose equal cells are right or wrong together, for the intervals (always: one picture)"
    verb.add_argument("--cluster", metavar="COLUMN", help=alike)
    counted = "a column whose equal cells are also counted together: worst case, all right, pass^k"
    verb.add_argument("--group", metavar="COLUMN", help=counted)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}")
    return seconds


def _batch_size(text: str) -> int:
    """Return the number of samples in `text`, 0 for "auto"."""
    try:
        return 0 if text == "auto" else kitflags.positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or auto") from None


def _render_processes(text: str) -> int | None:
    """Return the number in `text`, None for "auto". 0 is an ordinary number here."""
    return None if text == "auto" else 0 if text == "0" else kitflags.count(text)
