"""Finds options that a data set keeps as a list in one column (`candidates`), as some video benchmarks do.

`elements` is that list as written, and `answer` the text of the right one; `as_choice` makes the sample one with
lettered options and a letter for its answer, whichever of the two ways it was read.
"""

from __future__ import annotations

import string
from functools import lru_cache

import msgspec

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Sample

COLUMN = "candidates"


def elements(sample: Sample) -> tuple[str, ...]:
    """Return the texts of the options in order: of the column, else those with letters."""
    return _listed(sample.extra.get(COLUMN, "")) or tuple(sample.options.values())


def answer(sample: Sample) -> str:
    """Return the text of the right option as the file has it, where it is one of the list."""
    given = sample.extra.get("answer", sample.answer)
    return given if given in elements(sample) else sample.options.get(given, given)


def as_choice(sample: Sample) -> Sample:
    """Return `sample` with lettered options and, if its answer is one of them, a letter for its answer."""
    options = sample.options or dict(zip(string.ascii_uppercase, elements(sample), strict=False))
    letter = sample.answer
    if letter not in options:
        same = [x for x, text in options.items() if text == sample.answer]
        letter = same[0] if len(same) == 1 else letter
    return msgspec.structs.replace(sample, options=options, answer=letter)


@lru_cache(maxsize=4096)
def _listed(cell: str) -> tuple[str, ...]:
    items = literal(cell)
    return tuple(map(str, items)) if isinstance(items, list | tuple) else ()
