"""Reads an answer from JSON: `{"reasoning": "…", "answer": "B"}`, fenced or bare, also with small errors. Pure."""

from __future__ import annotations

import re

_KEYS = (
    r"(?:final|correct(?:ed)?|revised|updated|new|selected|chosen|best|my)?[_\s-]?(?:answer|option|choice|letter|label)|selection|prediction"
    r"|response|result|答案|选项|정답|답|答え"
)
_FIELD = re.compile(
    rf"[\"']({_KEYS})[\"']\s*:\s*"
    r"(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|\[([^\]\n]{0,400})\]|([-+\w.]+))",
    re.IGNORECASE,
)
_CERTAIN = re.compile(r"answer|答案|정답|답|答え", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([\"'/\\])")
_NOTHING = frozenset({"null", "none", ""})


def as_statement(text: str, stated: str) -> str:
    """Return `text` with its last JSON object replaced by a line of `stated` and the answer in it.

    What stands outside the object stays. Without an object that has a key such as "answer" or "choice", `text` as it
    is; a key of the first kind counts before the others. A value null leaves nothing.
    """
    first = text.find("{")
    if first < 0:
        return text
    fields = list(_FIELD.finditer(text, first))
    if not fields:
        return text
    field = next((f for f in reversed(fields) if _CERTAIN.search(f[1])), fields[-1])
    before = text[:first]
    end = text.find("}", field.end())
    after = text[end + 1 :] if end >= 0 else ""
    value = next((group for group in field.groups()[1:] if group is not None), "")
    value = _ESCAPE.sub(r"\1", value.replace("\\n", " ")).strip()
    if field[4] is not None:
        value = value.replace('"', "").replace("'", "")
    said = "" if value.lower() in _NOTHING and field[2] is None and field[3] is None else f"{stated}{value}"
    return f"{_unfenced(before)}\n{said}\n{_unfenced(after)}"


def _unfenced(text: str) -> str:
    return re.sub(r"```(?:json)?", "", text)
