"""Joins lines of the same kind about many jobs into one that names the jobs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

SHOWN = 4
"""Names in one line; of more, one less and how many others there are."""
_OWN = re.compile(r"(?<!\w)'[^']*'(?!\w)|\d[\d.,]*\d|\d|\b[A-Z]\b|\(index [^)]*\)")


def same(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Return `who: text` for each pair; pairs with the same text share a line."""
    return [f"{names(whos)}: {texts[0]}" for whos, texts in _grouped(lines, lambda text: text)]


def alike(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Return `who: text` for each pair; those whose texts differ only in figures and quotes share the first one's line.

    Such a line says so, and names the others.
    """
    found = []
    for whos, texts in _grouped(lines, _shape):
        if len(set(texts)) == 1:
            found.append(f"{names(whos)}: {texts[0]}")
        else:
            found.append(f"{whos[0]}: {texts[0]}; the same, by figures of their own, of {names(whos[1:])}")
    return found


def names(each: Sequence[str]) -> str:
    """Return `a, b, c and 5 more`."""
    if len(each) == 1:
        return each[0]
    shown = each if len(each) <= SHOWN else each[: SHOWN - 1]
    rest = len(each) - len(shown)
    return f"{', '.join(shown)} and {rest} more" if rest else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _grouped(lines: Iterable[tuple[str, str]], key: Callable[[str], str]) -> list[tuple[list[str], list[str]]]:
    """Return the names and texts of each kind, in the order of the first of a kind."""
    kinds: dict[str, tuple[list[str], list[str]]] = {}
    for who, text in lines:
        whos, texts = kinds.setdefault(key(text), ([], []))
        whos.append(who)
        texts.append(text)
    return list(kinds.values())


def _shape(text: str) -> str:
    """Return `text` without what belongs to one job alone: figures, quotes, letters of options."""
    return _OWN.sub("…", text)
