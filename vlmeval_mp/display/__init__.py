"""Displays of a run for people and programs: the live screen, plain lines, JSON, and the table at the end.

Everything is drawn from a `RunState` or `Summary` value; nothing here reads a run's folder. With `cli`, the only user
of `rich`. Text that came from a model, a file or a name passes `safe` before it reaches a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmeval_mp.display.answers import Answers, show_answers
    from vlmeval_mp.display.screens import JsonLines, Live, Mode, Plain, Screen, screen
    from vlmeval_mp.display.tables import results_table, results_text, show_results
    from vlmeval_mp.display.text import fraction, rate, safe, size
    from vlmeval_mp.display.view import render, show, svg
    from vlmeval_mp.runs.words import duration

_MODULES = {
    "vlmeval_mp.display.answers": ("Answers", "show_answers"),
    "vlmeval_mp.display.screens": ("JsonLines", "Live", "Mode", "Plain", "Screen", "screen"),
    "vlmeval_mp.display.tables": ("results_table", "results_text", "show_results"),
    "vlmeval_mp.display.text": ("fraction", "rate", "safe", "size"),
    "vlmeval_mp.display.view": ("render", "show", "svg"),
    "vlmeval_mp.runs.words": ("duration",),
}
"""Where each name is from. A module is imported with the first use of a name of it: `status` needs a single one."""

__all__ = [
    "Answers",
    "JsonLines",
    "Live",
    "Mode",
    "Plain",
    "Screen",
    "duration",
    "fraction",
    "rate",
    "render",
    "results_table",
    "results_text",
    "safe",
    "screen",
    "show",
    "show_answers",
    "show_results",
    "size",
    "svg",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
