"""The pages of a report, by name. A new page is one module here and one line in `PAGES`.

A page is a function that takes the run and returns a `Page`; `document` puts all of them into one HTML file, whose tabs
stand in the order of the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from vlmeval_mp.report.gather import RunView

PAGES: dict[str, str] = {
    "overview": "vlmeval_mp.report.overview:page",
    "samples": "vlmeval_mp.report.samples:page",
    "time": "vlmeval_mp.report.waterfall:page",
    "setup": "vlmeval_mp.report.setup:page",
}
"""Page name → "module:function"."""


@dataclass(frozen=True, slots=True)
class Page:
    """One tab. `html` is what it shows; `data` (JSON by name) and `scripts` are what its script works on and with.

    `keys` are (key, what it does) for the help. A script finds its data by `VM.readData("NAME")` and its own tab as
    `document.getElementById("page-<page name>")`.
    """

    title: str
    html: Markup
    data: dict[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a report: the bytes of pictures inside the file, and whether it has pictures at all."""

    inline_bytes: int = 16 << 20
    pictures: bool = True


PageMaker = Callable[[RunView, Options], Page]


def pages_of(run: RunView, options: Options) -> dict[str, Page]:
    """Return every page of `run`, by name, in the order of `PAGES`."""
    return {name: _load(where)(run, options) for name, where in PAGES.items()}


def _load(where: str) -> PageMaker:
    module, _, name = where.partition(":")
    maker: PageMaker = getattr(importlib.import_module(module), name)
    return maker
