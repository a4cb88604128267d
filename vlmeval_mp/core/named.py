"""Imports the object that a string of the form "module:name" names, so that a table can name it without an import."""

from __future__ import annotations

import importlib
import re
from typing import Any

CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""The form of a name of a user's own class: "package.module:Class"."""


def load(path: str) -> Any:
    """Return the object called `name` in the module, for a `path` of the form "module:name".

    Raises:
        ValueError: `path` has another form.
        ImportError: there is no such module, or the module has no such name.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"{path!r} is not of the form 'module:name'")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"{module} has no {name!r}") from error
