"""Finds the options of a question among the cells of a row, and the letter of the right one. Pure.

VLMEvalKit's convention has a column per option, "A", "B", …. Files of other origin are understood, too, if nothing says
that their questions are of another kind: columns "a", "option_A" or "choice 1", and one column `options`, `choices` or
`candidates` with a list or an object. Cells that a table program wrote for "no value" are no options.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmeval_mp.core.literals import literal, strings

LETTERS = string.ascii_uppercase
NO_VALUE = frozenset(
    ("nan", "-nan", "<na>", "#n/a", "#n/a n/a", "#na", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
)
"""Words for a missing value in tables, in lower case: never shown as an option."""
WORDS = frozenset(("None", "N/A", "NA", "NULL", "n/a", "null"))
"""Options that pandas, and so VLMEvalKit, takes for missing values; they are words, and shown here."""
LISTING = ("options", "choices", "candidates")
"""Columns that may hold all options of a row."""

_SEPARATE = (r"([a-z])", r"option[ _-]?([A-Za-z1-9])", r"choice[ _-]?([A-Za-z1-9])", r"opt[ _-]?([A-Za-z1-9])")
_LEAD = re.compile(r"\(?([A-Z])[.):]\s+")
_LETTER = re.compile(r"\(?([A-Za-z])[.)]?")


@dataclass(frozen=True, slots=True)
class OptionColumns:
    """The columns with the options: one per letter, or all options in the column `listed`.

    `foreign`: not as in VLMEvalKit's convention, so that answers may be other than capital letters, too.
    """

    by_letter: Mapping[str, str]
    listed: str = ""

    @property
    def foreign(self) -> bool:
        return bool(self.listed) or any(letter != column for letter, column in self.by_letter.items())

    def of(self, text: Mapping[str, str]) -> dict[str, str]:
        """Return the options of a row by letter; `text` has its cells."""
        if self.listed:
            found = dict(zip(LETTERS, listed(text.get(self.listed, "")), strict=False))
        else:
            found = {letter: text.get(column, "") for letter, column in self.by_letter.items()}
        return {letter: option for letter, option in found.items() if option and not is_no_value(option)}

    def answer(self, given: str, options: Mapping[str, str]) -> str:
        """Return the letter of the right option where `given` names one in another way, else `given`."""
        if not self.foreign or not options:
            return given
        same = [letter for letter, option in options.items() if option.strip() == given.strip()]
        if len(same) == 1:
            return same[0]
        letter = _LETTER.fullmatch(given.strip())
        return letter[1].upper() if letter and letter[1].upper() in options else given


CONVENTION = OptionColumns({letter: letter for letter in LETTERS})


def columns_of(columns: Sequence[str]) -> OptionColumns:
    """Return where a file with these columns has its options."""
    if "A" in columns and "B" in columns:
        return CONVENTION
    for pattern in _SEPARATE:
        matches = ((column, re.fullmatch(pattern, column)) for column in columns)
        found = {_as_letter(match[1]): column for column, match in matches if match}
        if "A" in found and "B" in found:
            return OptionColumns(dict(sorted(found.items())))
    listing = next((column for column in LISTING if column in columns), "")
    return OptionColumns({}, listing) if listing else CONVENTION


def _as_letter(mark: str) -> str:
    return LETTERS[int(mark) - 1] if mark.isdecimal() else mark.upper()


def listed(text: str) -> list[str]:
    """Return the options in one cell: a list, an object with a key per option, or lines "A. cat"; else none.

    The letters in front of options are left out if each has its own.
    """
    value = _json(text)
    value = literal(text) if value is None else value
    if isinstance(value, Mapping):
        found = [str(value[key]) for key in sorted(value, key=str)]
    elif isinstance(value, list | tuple):
        found = strings(text) or [str(each) for each in value]
    else:
        found = [line for line in text.splitlines() if line.strip()]
        if len(found) < 2 or _without_letters(found) == found:
            return []
    return _without_letters(found)[: len(LETTERS)] if len(found) > 1 else []


def is_no_value(text: str) -> bool:
    """Return whether a cell holds what table programs write for a missing value."""
    return text.strip().lower() in NO_VALUE


def _without_letters(options: list[str]) -> list[str]:
    leads = [_LEAD.match(option.strip()) for option in options]
    if [lead and lead[1] for lead in leads] != list(LETTERS[: len(options)]):
        return options
    return [option.strip()[lead.end() :] for option, lead in zip(options, leads, strict=True) if lead]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
