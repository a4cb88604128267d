"""Checks whether the chat template of a local model refuses a system turn, without loading the model.

Reads the files in which transformers keeps templates and renders them with Jinja as transformers does. Knows no engine
library; what it cannot read or render it does not judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

_TEXT = "Be brief."


@lru_cache(maxsize=64)
def refused_by(folder: Path) -> bool:
    """Return whether the model in `folder` takes a turn of the user and none of the system before it."""
    template = next(_templates(folder), "")
    return bool(template) and any(
        _takes(template, False, parts) and not _takes(template, True, parts) for parts in (True, False)
    )


def _templates(folder: Path) -> Iterator[str]:
    """Yield the templates of `folder`, the one that counts first."""
    try:
        if (folder / "chat_template.jinja").is_file():
            yield (folder / "chat_template.jinja").read_text(encoding="utf-8")
        for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            if (folder / name).is_file():
                found = json.loads((folder / name).read_text(encoding="utf-8")).get("chat_template")
                if isinstance(found, list):
                    found = {each.get("name"): each.get("template") for each in found}.get("default")
                if isinstance(found, str):
                    yield found
    except (OSError, ValueError, AttributeError):
        return


def _takes(template: str, system: bool, parts: bool) -> bool:
    """Return whether `template` renders a turn of the user, behind one of the `system` if that is asked for.

    `parts`: a turn is a list of parts, as for models with media, else a text.
    """
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def turn(role: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": _TEXT}] if parts else _TEXT}

    room = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    room.globals.update(raise_exception=refuse, strftime_now=lambda form: form)
    turns = [turn("system")] * system + [turn("user")]
    try:
        room.from_string(template).render(messages=turns, add_generation_prompt=True, bos_token="", eos_token="")
    except Exception:
        return False
    return True
