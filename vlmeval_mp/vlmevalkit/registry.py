"""The benchmarks of VLMEvalKit: name, class, TYPE, MODALITY, the address of the official file, the need of a judge.

Owns `registry.json`, the registry of the pinned ms-vlmeval, so that a name is known without starting anything; with
`VLMEVALKIT_PYTHON` that installation is asked instead. Written anew by `python -m vlmeval_mp.vlmevalkit.registry`.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Literal

from vlmeval_mp.core.records import Struct
from vlmeval_mp.requests.prompts import READY
from vlmeval_mp.scoring.base import EVALUATOR
from vlmeval_mp.vlmevalkit import client

DEFAULTS = {"prompt": READY, "scorer": EVALUATOR}
"""Fields of a `DataSpec` that mean "as VLMEvalKit itself does it"."""
REGISTRY = Path(__file__).with_name("registry.json")


class Benchmark(Struct, frozen=True):
    """One name of the registry. `modality` is IMAGE, TEXT, VIDEO, or SEVERAL for one made of other names.

    `source` is where the official file is, or the names that one is made of. `judge` tells whether its evaluator asks a
    judge, as its source says: "always", "or rules" where the judge exact_matching makes it go by rules, "" for no.
    """

    name: str
    kind: str
    type: str
    modality: str
    source: str = ""
    judge: Literal["", "always", "or rules"] = ""


def known() -> dict[str, Benchmark]:
    """Return every benchmark, by name.

    Raises:
        DependencyError: `VLMEVALKIT_PYTHON` is set and has no usable `vlmeval`.
    """
    if os.environ.get(client.VARIABLE):
        return _asked(client.interpreter())
    return _shipped()


@functools.cache
def _shipped() -> dict[str, Benchmark]:
    return _benchmarks(json.loads(REGISTRY.read_text(encoding="utf-8")))


@functools.cache
def _asked(python: str) -> dict[str, Benchmark]:
    return _benchmarks(ask(python))


def ask(python: str) -> dict[str, list[str]]:
    """Return the registry of the VLMEvalKit that `python` has."""
    *_, last = client.ask({"do": "names"}, python=python)
    found: dict[str, list[str]] = last["end"]["names"]
    return found


def _benchmarks(registry: dict[str, list[Any]]) -> dict[str, Benchmark]:
    return {name: Benchmark(name, *entry) for name, entry in registry.items()}


def as_text(registry: dict[str, list[str]]) -> str:
    """Return `registry.json`: one name a line, so that a new version's differences can be read."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(registry.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    REGISTRY.write_text(as_text(ask(client.interpreter())), encoding="utf-8")
