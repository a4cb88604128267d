"""Displays of a run for people and programs: the live screen, plain lines, JSON, and the table at the end.

Everything is drawn from a `RunState` or `Summary` value; nothing here reads a run's folder. With `cli`, the only user
of `rich`. Text that came from a model, a file or a name passes `safe` before it reaches a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmeval_mp.display.answers import Answers, show_answers
    from vlmeval_mp.display.screens import Mode, screen
    from vlmeval_mp.display.tables import show_results
    from vlmeval_mp.display.view import render, show, svg

_MODULES = {
    "vlmeval_mp.display.answers": ("Answers", "show_answers"),
    "vlmeval_mp.display.screens": ("Mode", "screen"),
    "vlmeval_mp.display.tables": ("show_results",),
    "vlmeval_mp.display.view": ("render", "show", "svg"),
}
"""The module of each name. It is imported when one of its names is first used: `status` needs a single module."""

__all__ = [
    "Answers",
    "Mode",
    "render",
    "screen",
    "show",
    "show_answers",
    "show_results",
    "svg",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
