"""Reads VLMEvalKit's pickles of unfinished jobs: index → answer, or a whole table.

Unpickling runs code that the file chooses. Only the classes that such a file of answers is made of are let through,
which stops what is merely wrong and much of what is meant to harm, and does not make a stranger's file safe: nothing
here is called unless the user said `--unpickle`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from vlmeval_mp.core.errors import ConfigError

ADVICE = "unpickling runs code that the file chooses, so say --unpickle only for files that you made or trust"

_ALLOWED = {
    "builtins": ("slice", "set", "frozenset", "bytearray", "complex"),
    "__builtin__": ("slice", "set", "frozenset", "bytearray", "complex"),
    "_codecs": ("encode",),
    "collections": ("OrderedDict",),
    "numpy": ("dtype", "ndarray"),
    **dict.fromkeys(("numpy.core.multiarray", "numpy._core.multiarray"), ("_reconstruct", "scalar")),
    **dict.fromkeys(("numpy.core.numeric", "numpy._core.numeric"), ("_frombuffer",)),
    "pandas": ("Categorical", "CategoricalDtype", "DataFrame", "Index", "RangeIndex", "StringDtype"),
    "pandas.arrays": ("StringArray",),
    "pandas.core.arrays.string_": ("StringArray", "StringDtype"),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.indexes.base": ("Index", "_new_Index"),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pandas.core.internals.blocks": ("new_block",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas._libs.arrays": ("__pyx_unpickle_NDArrayBacked",),
}


class _Unpickler(pickle.Unpickler):
    """Refuses every class and function that answers are not made of."""

    def find_class(self, module: str, name: str) -> Any:
        if name not in _ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no file of answers needs")
        return super().find_class(module, name)


def read(path: Path) -> dict[str, str]:
    """Return the answers in `path` by index as text. Runs code in the file: see the module.

    Raises:
        ConfigError: the file is torn, refused, or holds no answers.
    """
    try:
        with path.open("rb") as file:
            value = _Unpickler(file).load()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever a torn or hostile file raises
        why = "is torn" if isinstance(error, EOFError) or "truncated" in str(error) else "is refused"
        raise ConfigError(f"{path}: {why}: {error or type(error).__name__}; nothing was taken from it") from None
    answers = _answers(value)
    if answers is None:
        raise ConfigError(f"{path}: holds no answers by index, but a {type(value).__name__}; leave it out")
    return answers


def _answers(value: Any) -> dict[str, str] | None:
    if {"index", "prediction"} <= {*getattr(value, "columns", ())}:
        value = dict(zip(value["index"].tolist(), value["prediction"].tolist(), strict=True))
    if not isinstance(value, dict):
        return None
    texts = {str(k): v["prediction"] if isinstance(v, dict) and "prediction" in v else v for k, v in value.items()}
    return texts if all(isinstance(text, str) for text in texts.values()) else None
