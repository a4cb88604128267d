"""Where a phrase stands in a text as whole words or numbers: "12" not in "3125" nor in "12.5". Pure."""

from __future__ import annotations


def whole_words(wanted: str, text: str) -> list[int]:
    """The places of `wanted`, which is not empty, in `text`, where no letter or digit continues it."""
    places, start = [], text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        whole = not (_joined(before[::-1], wanted[0], before=True) or _joined(after, wanted[-1], before=False))
        if whole:
            places.append(start)
        start = text.find(wanted, end if whole else start + 1)
    return places


def _joined(near: str, edge: str, *, before: bool) -> bool:
    """Whether the characters `near`, nearest first, continue the word or number whose outermost one is `edge`."""
    if not near or not edge.isalnum() or _is_han(edge):
        return False
    if near[0].isalnum() and not _is_han(near[0]):
        return True
    if not edge.isdigit():
        return False
    return (before and near[0] == "-") or (near[0] in ".,/:" and near[1:].isdigit())


def _is_han(char: str) -> bool:
    return "\u3040" <= char <= "\u9fff"
