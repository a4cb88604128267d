"""Reads the installed VLMEvalKit from its source: the module of each class, the meaning of each model name.

Owns the way in: `open_package` makes `vlmeval` importable module by module, since its own `__init__` imports every
model, every benchmark and some 180 packages, turns off TLS verification and loads a `.env`. Nothing of VLMEvalKit is
imported here but its `config.py`, which only binds arguments, and that against stand-ins for its classes.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PACKAGE = "vlmeval"
DISTRIBUTIONS = ("ms-vlmeval", "vlmeval", "vlmevalkit")
INSTALL = "scripts/install vlmevalkit (or: pip install --no-deps ms-vlmeval==0.0.20), or put a checkout on PYTHONPATH"


def folder() -> Path | None:
    """Return where the package `vlmeval` is; None if there is none. Imports nothing."""
    loaded = sys.modules.get(PACKAGE)
    places = getattr(loaded, "__path__", None)
    if places is None:
        spec = importlib.util.find_spec(PACKAGE)
        places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


@functools.cache
def exports(init: Path) -> dict[str, tuple[str, str]]:
    """Return what a package's `__init__` takes out of its own modules: name → (module below the package, its name
    there).

    Raises:
        OSError, SyntaxError: the file cannot be read or is not Python.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(ast.parse(init.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return found


@functools.cache
def _functions(init: Path) -> frozenset[str]:
    body = ast.parse(init.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


def model_classes(root: Path) -> dict[str, str]:
    """VLMEvalKit's model classes: name → "module:Class". The one under `vlmeval.api` wins, as in its run.py."""
    found: dict[str, str] = {}
    for package in ("vlm", "api"):
        for name, (module, inner) in exports(root / package / "__init__.py").items():
            found[name] = f"{PACKAGE}.{package}.{module}:{inner}"
    return found


# --- its model names -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoundClass:
    """The meaning of a model name: a class of VLMEvalKit and the arguments that its registry binds."""

    class_: str
    kwargs: dict[str, Any] = field(default_factory=dict)


class _ClassNames:
    """Stands in for `vlmeval.vlm` while the registry is read: every attribute is a callable that knows its name."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def class_() -> None:
            raise NotImplementedError(name)

        class_.__name__ = name
        return class_


def registry(root: Path) -> dict[str, BoundClass]:
    """Return `supported_VLM` of VLMEvalKit's config.py, with names in place of classes.

    Raises:
        Exception: whatever an edited config.py raises.
    """
    real = builtins.__import__

    def light(name: str, names: Any = None, scope: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name.partition(".")[0] != PACKAGE:
            return real(name, names, scope, fromlist, level)
        classes = _ClassNames()
        return classes if fromlist else SimpleNamespace(api=classes, vlm=classes)

    path = root / "config.py"
    module: dict[str, Any] = {
        "__name__": f"{PACKAGE}.config",
        "__file__": str(path),
        "__builtins__": {**vars(builtins), "__import__": light},
    }
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module)  # noqa: S102 - the user's own VLMEvalKit
    entries: Mapping[str, Any] = module["supported_VLM"]
    return {
        name: BoundClass(made.func.__name__, dict(made.keywords))
        for name, made in entries.items()
        if isinstance(made, functools.partial)
    }


# --- the way in ------------------------------------------------------------------------------------------------


class _Package(ModuleType):
    """A package whose `__init__` is not run: what it would export is imported when it is asked for.

    A function that the `__init__` itself defines runs all of it when it is called.
    """

    def __getattr__(self, name: str) -> Any:
        init = Path(self.__path__[0]) / "__init__.py"
        if name in _functions(init):
            return functools.partial(self._call, name)
        found = exports(init).get(name)
        if found is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} without its __init__")
        value = getattr(importlib.import_module(f"{self.__name__}.{found[0]}"), found[1])
        setattr(self, name, value)
        return value

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name not in vars(self):
            assert self.__spec__ is not None
            assert self.__spec__.loader is not None
            self.__spec__.loader.exec_module(self)
        return vars(self)[name](*args, **kwargs)


def open_package() -> None:
    """Make the modules of the installed VLMEvalKit importable one by one; does nothing where `vlmeval` is imported."""
    root = folder()
    if root is None or PACKAGE in sys.modules:
        return
    from vlmeval_mp.vlmevalkit import kinds as kitdata

    for name in (PACKAGE, f"{PACKAGE}.vlm", f"{PACKAGE}.api", f"{PACKAGE}.dataset"):
        package = _Package(name)
        place = root.joinpath(*name.split(".")[1:])
        package.__path__ = [str(place)]
        package.__file__ = str(place / "__init__.py")
        package.__spec__ = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
        sys.modules[name] = package
    data = sys.modules[f"{PACKAGE}.dataset"]
    kinds = kitdata.Kinds(root / "dataset")
    data.DATASET_TYPE, data.DATASET_MODALITY = kinds.type_of, kinds.modality_of  # type: ignore[attr-defined]
