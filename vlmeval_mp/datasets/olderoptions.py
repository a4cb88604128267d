"""Reads options as `READER_VERSION` 3 did, only to know whether a later version reads a row otherwise. Pure.

The digest of a data set names the rows that are read otherwise, and no others: where all rows are read as before, the
digest stays, and runs that began with an older version go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from vlmeval_mp.core.literals import literal, strings
from vlmeval_mp.datasets.options import (
    CONVENTION,
    LETTERS,
    OptionColumns,
    as_letter,
    is_no_value,
    without_letters,
)

_LISTING = ("options", "choices", "candidates")
_SEPARATE = (r"([a-z])", r"option[ _-]?([A-Za-z1-9])", r"choice[ _-]?([A-Za-z1-9])", r"opt[ _-]?([A-Za-z1-9])")


def older_columns(columns: Sequence[str]) -> OptionColumns:
    """Return where version 3 looked for options in a file with these columns."""
    if "A" in columns and "B" in columns:
        return CONVENTION
    for pattern in _SEPARATE:
        matches = ((column, re.fullmatch(pattern, column)) for column in columns)
        found = {as_letter(match[1]): column for column, match in matches if match}
        if "A" in found and "B" in found:
            return OptionColumns(dict(sorted(found.items())))
    listing = next((column for column in _LISTING if column in columns), "")
    return OptionColumns({}, listing) if listing else CONVENTION


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
