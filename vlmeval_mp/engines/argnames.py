"""The names of an engine's arguments, read out of the source of the class that takes them. Imports no engine.

Building vLLM's arguments to see whether one is misspelt takes the import of vLLM, half a minute on a busy machine; its
source says the same at once. Whatever cannot be read this way is left to the engine, which checks again.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

from vlmeval_mp.core.errors import ConfigError, refuse_unknown
from vlmeval_mp.engines.registry import ENGINES


def refuse_misspelt(where: str, engine: str, given: dict[str, Any]) -> None:
    """Check the names of the arguments `given` to `engine`.

    Raises:
        ConfigError: one is unknown; the message names the nearest, or the engines that know it.
    """
    known = names(ENGINES[engine].arguments) if given else ()
    if not known:
        return
    for name in given:
        theirs = [] if name in known else [e for e, entry in ENGINES.items() if name in names(entry.arguments)]
        if theirs:
            raise ConfigError(
                f"{where}: engine {engine!r} has no argument {name!r}, which belongs to {' and '.join(theirs)}; "
                "leave it out where it stands, or choose such an engine"
            )
    refuse_unknown(f"{where}: engine {engine!r} has no argument", given, known)


@functools.cache
def names(path: str) -> tuple[str, ...]:
    """Return the fields of the class `path` ("module:Class") with those of its bases in the same file; () if unread."""
    module, _, class_ = path.partition(":")
    source = _source(module) if path else None
    if source is None:
        return ()
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return ()
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return tuple(_fields(class_, classes))


def _source(module: str) -> Path | None:
    """Return the file of `module`, found without importing the packages above it."""
    top, *rest = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None or not found.submodule_search_locations:
        return None
    places = (Path(place).joinpath(*rest).with_suffix(".py") for place in found.submodule_search_locations)
    return next((place for place in places if place.is_file()), None)


def _fields(class_: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    node = classes.get(class_)
    if node is None:
        return []
    bases = [name for base in node.bases if isinstance(base, ast.Name) for name in _fields(base.id, classes)]
    return [*bases, *(_name(part) for part in node.body if isinstance(part, ast.AnnAssign))]


def _name(field: ast.AnnAssign) -> str:
    """Return the name of a field: that of its attribute, or the `name` that `msgspec.field` gives it."""
    given = field.value.keywords if isinstance(field.value, ast.Call) else []
    for keyword in given:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return field.target.id if isinstance(field.target, ast.Name) else ""
