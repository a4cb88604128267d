"""Flags of VLMEvalKit's `run.py`, and their meaning here.

A launch warns of a flag that can mean nothing for the engines of its run. Knows neither runs nor engines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmeval_mp.cli import kitanswers
from vlmeval_mp.cli.wanted import LaunchWanted, SpecWanted
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.engines.registry import API_ENGINE
from vlmeval_mp.vlmevalkit.child.judging import EXACT

if TYPE_CHECKING:
    from vlmeval_mp.core.records import Json

UNPICKLE = "also take half-finished answers from pickles; reading one runs code in it: only files that you trust"
JUDGE = (
    "a judge for what rules cannot score; for data sets that VLMEvalKit's own class scores, one of its judges, or "
    f"{EXACT} for rules in its place"
)


def add(verb: argparse.ArgumentParser) -> None:
    """Add all of them."""
    flags = verb.add_argument_group("as in VLMEvalKit's run.py")
    add_choosing(flags)
    add_running(flags)
    flags.add_argument("--work-dir", type=Path, metavar="DIR", help="also write VLMEvalKit's output tree there")
    modes = "infer: answers without scores, which `vlmeval-mp eval` adds; eval: score the run again (default: all)"
    flags.add_argument("--mode", choices=("all", "infer", "eval"), default="all", help=modes)
    reused = "first take over the answers under --work-dir, the newest first, of VLMEvalKit too (see import)"
    flags.add_argument("--reuse", action="store_true", help=reused)
    flags.add_argument("--unpickle", action="store_true", help=UNPICKLE)
    flags.add_argument("--keep-failed", action="store_true", help="failed samples stay as they are (always so here)")


def add_import(verb: argparse.ArgumentParser) -> None:
    """Add those of `import`."""
    verb.add_argument("source", type=Path, metavar="WORK_DIR_OR_FILE", help="VLMEvalKit's outputs, or one file of them")
    verb.add_argument("--unpickle", action="store_true", help=UNPICKLE)


def add_choosing(flags: argparse._ActionsContainer) -> None:
    """Add those that say what a run is."""
    flags.add_argument("--use-vllm", action="store_true", help="the same as --engine vllm")
    flags.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint; means --engine openai")
    for flag in ("--key", "--api-key"):
        flags.add_argument(flag, action=_Key, help=argparse.SUPPRESS)
    add_judge(flags)
    extra = "added to every request at an API, such as '{\"chat_template_kwargs\": {}}'"
    flags.add_argument("--extra-body", type=json_object, default={}, metavar="JSON", help=extra)
    kitanswers.add(flags)


def add_judge(flags: argparse._ActionsContainer) -> None:
    """Add those that say who judges, and how it is asked."""
    flags.add_argument("--judge-key", action=_Key, help=argparse.SUPPRESS)
    flags.add_argument("--judge", metavar="NAME", help=JUDGE)
    flags.add_argument("--judge-args", type=json_object, default={}, metavar="JSON", help="arguments of the judge")
    flags.add_argument(
        "--judge-base-url", metavar="URL", help="an OpenAI-compatible endpoint that the judge is asked at"
    )
    flags.add_argument("--judge-api-nproc", type=positive, metavar="N", help="requests in flight at the judge")
    flags.add_argument("--judge-retry", type=count, metavar="N", help="times a failed judgement is tried again")
    flags.add_argument("--judge-timeout", type=positive, metavar="SECONDS", help="for one judgement")


def add_running(flags: argparse._ActionsContainer) -> None:
    """Add those that can differ from one launch of a run to the next."""
    shown = "show each answer: with --plain and --json on the screen, always in the workers' logs"
    flags.add_argument("--verbose", action="store_true", help=shown)
    flags.add_argument("--retry", type=count, metavar="N", help="times an API request that failed is tried again")
    flags.add_argument("--api-nproc", type=positive, metavar="N", help="requests in flight at an API")


class _Key(argparse.Action):
    """Refuses a key without repeating it. What VLMEvalKit's users write for "no key" is no key."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from vlmeval_mp.core import credentials

        if not credentials.is_placeholder(values):
            parser.error(f"{option_string}: {credentials.ADVICE}")


def warnings(wanted: LaunchWanted, engines: set[str]) -> list[str]:
    """Return a line for each flag that has no effect on a run with these engines, with what happens instead."""
    lines = []
    local = ", ".join(sorted(engines - {API_ENGINE}))
    if local and wanted.devices.retry is not None:
        lines.append(f"--retry: is for API models; with engine {local} a failed sample is an error in the results")
    if local and wanted.devices.api_nproc is not None:
        lines.append(f"--api-nproc: has no effect on engine {local}; say --batch-size for samples in flight")
    if wanted.tree.reuse and not wanted.tree.work_dir:
        lines.append("--reuse: has no effect without --work-dir; the same launch again always goes on where it was")
    return lines


def engine(wanted: SpecWanted) -> str | None:
    """Return the engine that the flags ask for; None if they leave it open.

    Raises:
        ConfigError: they ask for two.
    """
    asked = {
        "--engine": wanted.engine,
        "--base-url": API_ENGINE if wanted.base_url else None,
        "--use-vllm": "vllm" if wanted.use_vllm else None,
    }
    found = {flag: name for flag, name in asked.items() if name}
    if len(set(found.values())) > 1:
        raise ConfigError(f"{' and '.join(f'{f} ({n})' for f, n in found.items())} ask for different engines; keep one")
    return next(iter(found.values()), None)


def count(text: str) -> int:
    """Return `text` as a whole number of at least 0, for argparse."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Return `text` as a whole number of at least 1, for argparse."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def json_object(text: str) -> Json:
    """Return a flag's value as an object.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object, such as '{\"max_model_len\": 8192}'")
    return value
