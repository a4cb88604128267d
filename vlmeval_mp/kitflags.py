"""Flags of VLMEvalKit's `run.py`: which there are, and what each means here.

A flag that has no effect says so when it is given. Knows neither runs nor engines.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add(verb: argparse.ArgumentParser) -> None:
    flags = verb.add_argument_group("as in VLMEvalKit's run.py")
    flags.add_argument("--work-dir", type=Path, metavar="DIR", help="also write VLMEvalKit's output tree there")
    flags.add_argument("--mode", choices=("all", "infer", "eval"), default="all", help="eval scores the run again")
    flags.add_argument("--use-vllm", action="store_true", help="the same as --engine vllm")
    for flag in ("--reuse", "--verbose"):
        flags.add_argument(flag, action="store_true", help="accepted; has no effect")
    flags.add_argument("--judge", metavar="NAME", help="accepted; answers are scored by rules")
    for flag in ("--retry", "--api-nproc"):
        flags.add_argument(flag, type=int, metavar="N", help="accepted; has no effect")


INEFFECTIVE = {
    "reuse": "the same launch again always goes on where it was",
    "verbose": "answers are in predictions.jsonl, what the engine prints in `vlmeval-mp logs`",
    "retry": "a failed sample is an error in the results",
    "api_nproc": "say --batch-size for samples in flight",
}


def warnings(arguments: argparse.Namespace) -> list[str]:
    """One line for each flag that was given and has no effect, saying what happens instead."""
    said = [f"--{k.replace('_', '-')}: has no effect; {w}" for k, w in INEFFECTIVE.items() if getattr(arguments, k)]
    if arguments.judge not in (None, "exact_matching"):
        said.append(f"--judge {arguments.judge}: there is no judge here; answers are scored by rules (strict)")
    if arguments.mode == "infer":
        said.append("--mode infer: the answers are scored as well; that needs no GPU and no time")
    return said
