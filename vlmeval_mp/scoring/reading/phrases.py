"""Finds a phrase in a text as whole words or numbers: "12" is not in "3125" and not in "12.5". Pure.

Scripts without spaces have no such border: Han, Hiragana and Thai, Lao, Khmer and Burmese run on; a Korean noun is
followed by its particle, which is no other word.
"""

from __future__ import annotations

import re
import unicodedata

_PARTICLES = re.compile(
    r"(?:들|이나|이라도|이라고|라고|이라는|라는|이라면|라면|이란|란|이랑|랑|이며|이고|이자|이지만|지만|이므로|이니|이다|다|입니다|입니까|이에요|예요"
    r"|이요|요|이었|였|습니다|임|일|네요|이네요|군요|같|처럼|보다|부터|까지|조차|마저|밖에|만|도|의|에게|에서|에|께서|으로|로|와|과|을|를|은|는|이|가|뿐"
    r"|하고|한|인|인데|인지|것|으로서|로서|로부터|가지|쪽)+"
)


_SCRIPTS = (
    ("running", "\u3041", "\u309f"),
    ("katakana", "\u30a1", "\u30ff"),
    ("running", "\u3400", "\u9fff"),
    ("hangul", "\uac00", "\ud7a3"),
    ("running", "\u0e00", "\u0eff"),
    ("running", "\u1000", "\u109f"),
    ("running", "\u1780", "\u17ff"),
)


def whole_words(wanted: str, text: str) -> list[int]:
    """Return the places of `wanted`, which is not empty, in `text`, where no letter or digit continues it."""
    places, start = [], text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        whole = not _joined(before[::-1], wanted[0], before=True) and (
            not _joined(after, wanted[-1], before=False) or (_script(wanted[-1]) == "hangul" and _particle(text, end))
        )
        if whole:
            places.append(start)
        start = text.find(wanted, end if whole else start + 1)
    return places


def _joined(near: str, edge: str, *, before: bool) -> bool:
    """Return whether the characters `near`, nearest first, continue the word or number whose outermost one
    is `edge`.
    """
    if not near or not edge.isalnum():
        return False
    own, other = _script(edge), _script(near[0])
    if not before and unicodedata.combining(near[0]):
        return True
    if "running" in (own, other) or {own, other} & {"katakana", "hangul"}:
        return own == other != "running"
    if near[0].isalnum():
        return True
    if not edge.isdigit():
        return False
    return (before and near[0] == "-") or (near[0] in ".,/:" and near[1:].isdigit())


def _particle(text: str, start: int) -> bool:
    """Return whether what is left of the Korean word at `start` is nothing but particles and endings."""
    match = _PARTICLES.match(text, start, start + 12)
    return match is not None and not (match.end() < len(text) and _script(text[match.end()]) == "hangul")


def _script(char: str) -> str:
    """Return the script of `char` where it matters to the borders of words; "running": words stand side by side."""
    return next((name for name, first, last in _SCRIPTS if first <= char <= last), "")
