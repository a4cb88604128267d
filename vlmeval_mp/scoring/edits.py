"""The edit distance of two strings. Pure, and the same in both modes."""

from __future__ import annotations


def edit_distance(one: str, other: str) -> int:
    """The Levenshtein distance: insertions, deletions and replacements, each counting one."""
    row = list(range(len(one) + 1))
    for place, char in enumerate(other, 1):
        last, row[0] = row[0], place
        for i, own in enumerate(one, 1):
            last, row[i] = row[i], last if own == char else 1 + min(last, row[i], row[i - 1])
    return row[-1]
