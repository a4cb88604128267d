"""Types and modalities of VLMEvalKit's benchmarks, read from its source without importing it.

Model classes ask for them to choose a prompt; the real functions are there only after importing every benchmark. Knows
class bodies with literal values; what a class computes it does not know, and such a name counts as a custom one.
"""

from __future__ import annotations

import ast
import functools
import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Class:
    """The literals of a class body. `sets` maps the name of a collection to its first member."""

    bases: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    names: ast.FunctionDef | None = None


class Kinds:
    """The types in the source below `folder` (VLMEvalKit's `dataset` package), by name; read at the first question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.videos: set[str] = set()
        """Custom names that are video sets."""

    def type_of(self, dataset: str | None, *, default: str | None = "MCQ") -> str | None:
        """VLMEvalKit's type of a benchmark ("MCQ", "Y/N", "VQA", …); `default` for a custom name."""
        known = self.table.get(dataset or "", {}).get("TYPE")
        if known is not None:
            return known
        return "VQA" if dataset and "openended" in dataset.lower() else default

    def modality_of(self, dataset: str | None, *, default: str | None = "IMAGE") -> str | None:
        """VLMEvalKit's modality of a benchmark ("IMAGE", "VIDEO", "TEXT"); for a custom name "VIDEO" or `default`."""
        known = self.table.get(dataset or "", {}).get("MODALITY")
        if known is not None:
            return known
        return "VIDEO" if dataset in self.videos else default

    @functools.cached_property
    def table(self) -> dict[str, dict[str, str]]:
        """The TYPE and MODALITY of each benchmark's class, by the benchmark's name."""
        classes = _read(self._folder)
        found: dict[str, dict[str, str]] = {}
        for name in _listed(self._folder / "__init__.py") or classes:
            line = _line(name, classes)
            said = {key: text for key in ("TYPE", "MODALITY") if (text := _text(line, key)) is not None}
            for dataset in _datasets(line):
                found.setdefault(dataset, said)
        for each in classes.values():
            found |= {name: found[first] for name, first in each.sets.items() if first in found}
        return found


def _read(folder: Path) -> dict[str, _Class]:
    classes: dict[str, _Class] = {}
    for path in sorted(folder.rglob("*.py")):
        try:
            with warnings.catch_warnings(action="ignore"):  # of escape sequences, some dozens
                tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError) as error:
            log.warning("%s cannot be read (%s); its benchmarks count as custom ones", path, error)
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, _class(node))
    return classes


def _listed(init: Path) -> list[str]:
    """Return the classes in the lists of the package's `__init__`, in their order, which decides where two
    serve one name.
    """
    found: list[str] = []
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AugAssign) and isinstance(node.value, ast.List):
            found += [element.id for element in node.value.elts if isinstance(element, ast.Name)]
    return found


def _class(node: ast.ClassDef) -> _Class:
    bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
    found = _Class(bases)
    names = None
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "supported_datasets":
            names = item
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            key, value = item.targets[0].id, item.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.texts[key] = value.value
            elif isinstance(value, ast.Dict):
                found.tables[key] = _strings(value.keys)
                if key == "DATASET_SETS":
                    found.sets.update(_first_members(value))
            elif isinstance(value, ast.List | ast.Tuple):
                found.tables[key] = _strings(value.elts)
    return _Class(bases, found.texts, found.tables, found.sets, names)


def _first_members(table: ast.Dict) -> dict[str, str]:
    return {
        str(key.value): members[0]
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.List) and (members := _strings(value.elts))
    }


def _strings(nodes: list[ast.expr] | list[ast.expr | None]) -> tuple[str, ...]:
    return tuple(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _line(name: str, classes: dict[str, _Class]) -> list[_Class]:
    """Return the class and its ancestors, nearest first."""
    found: list[_Class] = []
    waiting = [name]
    while waiting:
        known = classes.get(waiting.pop(0))
        if known is not None and known not in found:
            found.append(known)
            waiting += known.bases
    return found


def _text(line: list[_Class], key: str) -> str | None:
    return next((each.texts[key] for each in line if key in each.texts), None)


def _datasets(line: list[_Class]) -> list[str]:
    """Return the names that a class serves: texts in its `supported_datasets`, the tables that refers to,
    those with URLs.
    """
    function = next((each.names for each in line if each.names is not None), None)
    found: list[str] = []
    for node in ast.walk(function) if function is not None else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.Attribute):
            found += next((each.tables[node.attr] for each in line if node.attr in each.tables), ())
    for key in line[0].tables:
        if key.startswith("DATASET_URL"):
            found += line[0].tables[key]
    return found
