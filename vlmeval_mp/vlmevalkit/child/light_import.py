"""Imports the part of `vlmeval` that knows data sets, without the rest of the package.

Owns what keeps that import small and harmless: no package `__init__` runs (it would turn off TLS checks, read a `.env`
and import every model), and packages that only a few data sets need get stand-ins while importing. What an evaluator
finds missing later is an error that names it. Runs under any interpreter that has `vlmeval`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from pathlib import Path
from typing import Any

from replacements import replace

LAZY = (
    "accelerate", "bert_score", "cairosvg", "cv2", "datasets", "decord", "editdistance", "imageio", "jieba", "joblib",
    "math_verify", "matplotlib", "nltk", "openai", "pylatexenc", "rouge", "rouge_score", "scipy", "skimage", "sklearn",
    "timm", "torch", "torchvision", "transformers",
)  # fmt: skip
"""Roots that only some evaluators use: stand-ins while importing, the real ones once used, if they are installed."""


class MissingPackageError(ImportError):
    """An evaluator came to a package that is not installed."""


class Standin(types.ModuleType):
    """Whatever is asked of it while modules are imported; afterwards what the real package has under its name."""

    importing = True

    def __getattr__(self, name: str) -> Any:
        if not Standin.importing:
            return getattr(_real(self.__name__), name)
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        child = Standin(f"{self.__name__}.{name}")
        child.__path__ = []
        setattr(self, name, child)
        return child

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not Standin.importing:
            return _real(self.__name__)(*arguments, **named)
        # a decorator gives its function back, a decorator's factory a decorator
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) and not named else self

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()


def _real(dotted: str) -> Any:
    root, *rest = dotted.split(".")
    try:
        found: Any = importlib.import_module(root)
    except ImportError as error:
        raise MissingPackageError(f"the evaluator needs the package {root!r}: install it and score again") from error
    for place, name in enumerate(rest, 1):
        if not hasattr(found, name):
            importlib.import_module(".".join([root, *rest[:place]]))
        found = getattr(found, name)
    return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self) -> None:
        self.made: list[str] = []

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in LAZY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        self.made.append(spec.name)
        return Standin(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run nothing."""


def package_folder() -> Path | None:
    """Return where `vlmeval` is, without importing it."""
    try:
        spec = importlib.util.find_spec("vlmeval")
    except ImportError:
        return None
    return Path(next(iter(spec.submodule_search_locations or [])) or "") if spec else None


def version(folder: Path) -> str:
    """Return `ms-vlmeval 0.0.20`; a checkout without metadata is named by its folder."""
    from importlib import metadata

    try:
        found = metadata.distribution("ms-vlmeval")
        if Path(str(found.locate_file("vlmeval"))).resolve() == folder.resolve():
            return f"ms-vlmeval {found.version}"
    except metadata.PackageNotFoundError:
        pass
    return f"vlmeval in {folder}"


def import_dataset(folder: Path, judge_module: types.ModuleType) -> types.ModuleType:
    """Return `vlmeval.dataset`; `judge_module` becomes `vlmeval.api`."""
    warnings.simplefilter("ignore")
    package = types.ModuleType("vlmeval")
    package.__path__ = [str(folder)]
    sys.modules["vlmeval"] = package
    sys.modules["vlmeval.api"] = judge_module
    models = types.ModuleType("vlmeval.vlm")
    models.__path__ = []
    sys.modules["vlmeval.vlm"] = models
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        smp = importlib.import_module("vlmeval.smp")
        replace(smp)
        sys.modules["vlmeval.tools"] = types.ModuleType("vlmeval.tools")  # the real one imports every model
        utils = importlib.import_module("vlmeval.utils")
        sys.modules["vlmeval.dataset.smp"] = smp  # one evaluator imports its log by this wrong name
        sys.modules["vlmeval.dataset.smp.log"] = smp.log
        package.__getattr__ = lambda name: _either(name, smp, utils)  # type: ignore[method-assign]
        _old_numpy_names()
        return importlib.import_module("vlmeval.dataset")
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:  # so that a later import inside a function finds the real one or fails as such
            sys.modules.pop(name, None)
        Standin.importing = False


def _either(name: str, *modules: types.ModuleType) -> Any:
    for module in modules:
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(name)


def _old_numpy_names() -> None:
    """The evaluators' JSON writer names types that numpy 2 dropped; without them a score file is not written."""
    import numpy as np

    for old, new in (("float_", np.float64), ("complex_", np.complex128)):
        if not hasattr(np, old):
            setattr(np, old, new)
