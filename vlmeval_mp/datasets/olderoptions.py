"""Reads options as `READER_VERSION` 3 did, only to know whether a later version reads a row otherwise. Pure.

The digest of a data set names the rows that are read otherwise, and no others: where all rows are read as before, the
digest stays, and runs that began with an older version go on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from vlmeval_mp.core.literals import literal, strings
from vlmeval_mp.datasets.options import LETTERS, OptionColumns, all_in_one, is_no_value, one_each, without_letters

_LISTING = ("options", "choices", "candidates")
_SEPARATE = (r"([a-z])", r"option[ _-]?([A-Za-z1-9])", r"choice[ _-]?([A-Za-z1-9])", r"opt[ _-]?([A-Za-z1-9])")


def older_columns(columns: Sequence[str]) -> OptionColumns:
    """Return where version 3 looked for options in a file with these columns."""
    return one_each(columns, _SEPARATE) or all_in_one({column: column for column in columns}, _LISTING)


def older_options(where: OptionColumns, text: Mapping[str, str]) -> dict[str, str]:
    """Return the options that version 3 read from a row, by letter; `text` has its cells."""
    if where.listed:
        found = dict(zip(LETTERS, _listed(text.get(where.listed, "")), strict=False))
    else:
        found = {letter: text.get(column, "") for letter, column in where.by_letter.items()}
    return {letter: option for letter, option in found.items() if option and not is_no_value(option)}


def _listed(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    value = literal(text) if value is None else value
    if isinstance(value, Mapping):
        found = [str(value[key]) for key in sorted(value, key=str)]
    elif isinstance(value, list | tuple):
        try:
            found = strings(text) or [str(each) for each in value]
        except ValueError:
            return []
    else:
        found = [line for line in text.splitlines() if line.strip()]
        if len(found) < 2 or without_letters(found) == found:
            return []
    return without_letters(found)[: len(LETTERS)] if len(found) > 1 else []
