"""Finds a model class by name: its source, mistakes in its arguments, and the class itself.

A name is one of VLMEvalKit's classes or model names, or "module:Class". A user's module is looked for on PYTHONPATH and
among what is installed, then beside the config file, then in the folder of the launch. Until `load`, which a worker
calls, nothing of it is imported: facts about a class before that are read off its source.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import ConfigError, DependencyError, did_you_mean, nearest
from vlmeval_mp.core.named import CLASS
from vlmeval_mp.core.records import Json, ModelSpec, RunSpec
from vlmeval_mp.vlmevalkit import package

MISSPELT = 0.9
"""Likeness from which a name is another one misspelt: "min_pixel" is, "max_pixels" is not."""

DISTRIBUTION = {
    "cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "flash_attn": "flash-attn", "qwen_vl_utils": "qwen-vl-utils", "dotenv": "python-dotenv", "yaml": "pyyaml",
}  # fmt: skip
"""The package to install for a module with another name."""


def resolve_all(spec: RunSpec, folders: Sequence[Path]) -> RunSpec:
    """Return `spec` with each model of the vlmevalkit engine resolved."""
    models = tuple(resolve(m, folders) if m.engine == "vlmevalkit" else m for m in spec.models)
    return msgspec.structs.replace(spec, models=models)


def resolve(model: ModelSpec, folders: Sequence[Path]) -> ModelSpec:
    """Return `model` with its class named, its arguments complete, and the folder of a user's module fixed.

    `folders` are where a user's module is looked for after `sys.path`. VLMEvalKit's model names become their class and
    arguments; arguments that the config gives win.

    Raises:
        ConfigError: there is no such class, model name or module; an argument holds a key.
        DependencyError: the name is VLMEvalKit's, and it is not installed.
    """
    args = dict(model.engine_args)
    kwargs = args.get("kwargs", {})
    if not isinstance(kwargs, dict):
        raise ConfigError(f"model.{model.name}: engine_args.kwargs: must be an object of argument → value")
    name = str(args.get("class") or model.path)
    if CLASS.fullmatch(name):
        args["class"], args["folder"] = name, _folder_of(name.partition(":")[0], folders)
    else:
        named = _kit_class(name)
        bound = {
            k: v for k, v in named.kwargs.items() if k.lower() not in credentials.NAMES or credentials.is_placeholder(v)
        }
        args["class"], kwargs = named.class_, bound | kwargs
    credentials.refuse(f"model.{model.name}", kwargs)
    path = args["class"]
    if isinstance(weights := kwargs.get("model_path"), str) and weights:
        path = str(Path(weights).expanduser().resolve()) if Path(weights).expanduser().is_dir() else weights
        kwargs = {**kwargs, "model_path": path}
    if kwargs:
        args["kwargs"] = kwargs
    return msgspec.structs.replace(model, path=path, engine_args=args)


def _kit_class(name: str) -> package.BoundClass:
    root = _kit_folder(name)
    try:
        classes = package.model_classes(root)
        if name in classes:
            return package.BoundClass(name)
        names = package.registry(root)
    except Exception as error:  # people write their models into its config.py
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"VLMEvalKit's models cannot be read off {root} ({why}); mend its config.py, or name a class "
            'by "module:Class"'
        ) from error
    if name in names:
        return names[name]
    there = "its classes are in vlmeval/vlm/__init__.py."
    hint = did_you_mean(name, [*classes, *names], there, most=3, least=0.5)
    raise ConfigError(
        f"VLMEvalKit ({root}) has no model class and no model called {name!r}; {hint} "
        'A class of your own is "module:Class"'
    )


def _kit_folder(name: str) -> Path:
    root = package.folder()
    if root is None:
        raise DependencyError(f"{name!r} is VLMEvalKit's, which is not installed; {package.INSTALL}")
    return root


# --- source ----------------------------------------------------------------------------------------------------


def _folder_of(module: str, folders: Sequence[Path]) -> str:
    """Return the folder to add to `sys.path` for `module`; "" if it can be imported without."""
    ours = {folder.resolve() for folder in folders}
    if find(module, [place for place in sys.path if Path(place).resolve() not in ours]) is not None:
        return ""
    for folder in folders:
        if find(module, [str(folder)]) is not None:
            return str(folder.resolve())
    places = ", ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
    raise ConfigError(f"module {module!r} was not found on PYTHONPATH, among what is installed, or in {places}")


def find(module: str, path: Sequence[str]) -> importlib.machinery.ModuleSpec | None:
    """Return where `module` would be imported from with this `path`; imports nothing, not even its packages."""
    places: Sequence[str] | None = path
    spec = None
    name = ""
    for part in module.split("."):
        if places is None:
            return None
        name = f"{name}.{part}" if name else part
        spec = importlib.machinery.PathFinder.find_spec(name, list(places))
        if spec is None:
            return None
        places = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else None
    return spec


def source_digest(engine_args: Mapping[str, Any]) -> str:
    """SHA-256 of the source of a resolved model's class: its module's file, or all of a package's; "" if not found."""
    name = str(engine_args.get("class", ""))
    path = [*sys.path, str(engine_args["folder"])] if engine_args.get("folder") else list(sys.path)
    if not CLASS.fullmatch(name):
        root = package.folder()
        name = package.model_classes(root).get(name, "") if root else ""
        path = [str(root.parent)] if root else path
    spec = find(name.partition(":")[0], path) if name else None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    origin = Path(spec.origin)
    sources = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations is not None else [origin]
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.relative_to(origin.parent)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


# --- the class itself ------------------------------------------------------------------------------------------


def load(name: str, folder: str) -> type:
    """Import the class called `name`, and no more of VLMEvalKit than it needs.

    Raises:
        ConfigError: the module or the class is not there, or the class cannot generate.
        DependencyError: a package that the module imports is missing; the message holds the install line.
    """
    package.open_package()
    if folder and folder not in sys.path:
        sys.path.append(folder)  # at the end: a file beside a config must not hide a library
    own = CLASS.fullmatch(name) is not None
    module, _, attribute = (name if own else package.model_classes(_kit_folder(name)).get(name, name)).partition(":")
    if not attribute:
        raise ConfigError(f"VLMEvalKit has no model class called {name!r}")
    try:
        content = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigError(f"there is no module {error.name!r} (for class {name!r}) on PYTHONPATH") from error
        raise missing(name, error) from error
    except ImportError as error:
        raise missing(name, error) from error
    except Exception as error:
        raise ConfigError(f"module {module!r} does not import: {type(error).__name__}: {error}") from error
    found = getattr(content, attribute, None)
    if not isinstance(found, type):
        hint = did_you_mean(attribute, [n for n, v in vars(content).items() if isinstance(v, type)], "")
        raise ConfigError(f"module {module!r} has no class {attribute!r}{hint and f'; {hint}'}")
    if not callable(getattr(found, "generate", None)) and not callable(getattr(found, "generate_batch", None)):
        raise ConfigError(f"{name}: has neither generate nor generate_batch; see docs/vlmevalkit.md")
    return found


def missing(name: str, error: ImportError) -> DependencyError:
    """Return what to tell the user when a class needs a package that is not there."""
    top = (error.name or "").partition(".")[0]
    if not top or top == package.PACKAGE:
        return DependencyError(f"{name} lacks something that it needs: {error}")
    if top in sys.modules and not isinstance(error, ModuleNotFoundError):  # there, but of another version
        return DependencyError(f"{name} needs another version of {top}: {error}")
    return DependencyError(
        f"{name} needs {top}, which is not installed ({error}); pip install {DISTRIBUTION.get(top, top)}"
    )


def refuse_arguments(class_: type, name: str, kwargs: Json) -> None:
    """Raise `ConfigError` for an argument that the constructor does not take, or one that it lacks.

    A constructor with `**kwargs` takes everything but what is one of its named arguments misspelt: it would swallow it.
    """
    try:
        signature = inspect.signature(class_)
    except (TypeError, ValueError):  # a class written in C
        return
    takes = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    closed = all(p.kind is not p.VAR_KEYWORD for p in signature.parameters.values())
    for key in kwargs:
        least = 0.6 if closed else MISSPELT
        if key not in takes and (closed or nearest(key, takes, least=least)):
            hint = did_you_mean(key, takes, f"it takes {', '.join(takes) or 'none'}", least=least)
            raise ConfigError(f"{name}: its constructor has no argument {key!r}; {hint}")
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        raise ConfigError(f"{name}: its constructor cannot be called: {error}") from error
