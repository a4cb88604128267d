"""Flags of VLMEvalKit's `run.py` that have no meaning here, each with advice on what to use instead."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

SAMPLING = 'say it in a config, as "sampling": {%s}, for all models or in one model\'s entry'
IN_DATA = "data sets are named by --data, or described under 'data' in a config (--config FILE)"
ANSWERS: dict[str, str] = {
    "--custom-prompt": "a model's own prompts come with its class; another one is \"prompt\" in the model's entry",
    "--data-config": IN_DATA,
    "--use-verifier": "there is no verifier model; answers are read by the rules in docs/scoring.md, or by --judge",
    "--max-tokens": SAMPLING % '"max_tokens": 512',
    "--temperature": SAMPLING % '"temperature": 0.7',
    "--top-p": SAMPLING % '"top_p": 0.9',
    "--top-k": SAMPLING % '"top_k": 50',
    "--repetition-penalty": SAMPLING % '"repetition_penalty": 1.05',
    "--thinker": SAMPLING % '"max_tokens": 4096',
    "--timeout": "say --engine-args '{\"timeout\": 600}' for an API, or --sample-timeout for any engine",
    "--video-llm": 'say "video": "native" in the model\'s entry, or leave it out: what the model takes is known',
    "--stream": "leave it out: an answer is written down once it is whole",
    "--local-media": 'say --engine-args \'{"media": "file"}\'',
    "--api-mode": "leave it out: models and data sets are asked at once here, each as its workers are free",
    "--monitor-interval": "leave it out; `vlmeval-mp status --watch` shows a run at any time",
    "--debug": "say --no-parallel for one worker with one sample in flight",
    "--nproc": "say --api-nproc for requests in flight at an API, --batch-size for samples in flight on a GPU",
    "--reuse-aux": "leave it out: what evaluators left is kept and used again by itself",
    "--ignore": "leave it out: failed samples stay as they are until `vlmeval-mp retry`",
}


class _Answered(argparse.Action):
    """Ends with the flag's answer."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        parser.error(f"{option_string} is not taken here: {ANSWERS[str(option_string)]}")


def add(flags: argparse._ActionsContainer) -> None:
    """Add all of them, out of sight."""
    for flag in ANSWERS:
        flags.add_argument(flag, action=_Answered, nargs="?", help=argparse.SUPPRESS, dest="answered")
