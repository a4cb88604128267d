"""Tells from an evaluator's source whether it asks a judge, without running it."""

from __future__ import annotations

import inspect
import re
from typing import Any

from judging import EXACT, MATCHING

BUILDS = re.compile(r"\bbuild_judge\b|\bOpenAIWrapper\b|\bOpenAI\(")
CALLS = re.compile(r"\b(?:self|cls|super\(\))\.(\w+)")
ALWAYS, OR_RULES = "always", "or rules"


def judge(kind: Any) -> str:
    """Return `ALWAYS` if `evaluate` of the class asks a judge, `OR_RULES` if exact matching can stand in; else "".

    A type that is mostly scored by rules needs none where exact matching is known.
    """
    source = _source(kind)
    if not BUILDS.search(source):
        return ""
    if EXACT not in source:
        return ALWAYS
    return "" if str(getattr(kind, "TYPE", "")).strip() in MATCHING else OR_RULES


def _source(kind: Any) -> str:
    """Return the source of `evaluate` and of all methods that it leads to."""
    read: dict[str, str] = {}
    waiting = ["evaluate"]
    while waiting:
        name = waiting.pop()
        if name not in read:
            read[name] = "".join(_definitions(kind, name))
            waiting += CALLS.findall(read[name])
    return "".join(read.values())


def _definitions(kind: Any, name: str) -> list[str]:
    """Return the source of a method, and of what it overrides as long as that is called too."""
    found: list[str] = []
    for each in kind.__mro__:
        function = inspect.unwrap(getattr(each.__dict__.get(name), "__func__", each.__dict__.get(name)))
        if inspect.isfunction(function):
            found.append(inspect.getsource(function))
            if f"super().{name}" not in found[-1]:
                break
    return found
