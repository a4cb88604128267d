"""Lets transformers check the arguments of a model's processor once, not for each sample.

They are the same for all samples, and checking them against their types takes as long as processing a small picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any, dict[str, Any]], None]
MOST = 256
"""Arguments that are remembered; more mean that they differ for each sample, and nothing is gained."""
PLAIN = (str, int, float, type(None))


def remember() -> None:
    """Replace the check of transformers' processors; where a version has another one, leave that."""
    from transformers import image_processing_utils, processing_utils, video_processing_utils

    for module in (processing_utils, image_processing_utils, video_processing_utils):
        check = getattr(module, "validate_typed_dict", None)
        if check is not None and not hasattr(check, "remembers"):
            module.validate_typed_dict = once(check)


def once(check: Check) -> Check:
    """Return a check of (schema, data) that lets pass what `check` has let pass before; refusals are repeated."""
    passed: set[tuple[Any, str]] = set()

    def checked(schema: Any, data: dict[str, Any]) -> None:
        key = (schema, repr(data)) if _plain(data) else None
        if key in passed:
            return
        check(schema, data)
        if len(passed) >= MOST:
            passed.clear()
        if key is not None:
            passed.add(key)

    checked.remembers = True  # type: ignore[attr-defined]
    return checked


def _plain(value: Any) -> bool:
    """Return whether the `repr` of `value` tells it and the types in it from any other."""
    if type(value) is dict:
        return all(map(_plain, value)) and all(map(_plain, value.values()))
    if type(value) in (list, tuple):
        return all(map(_plain, value))
    return type(value) in (*PLAIN, bool)
