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
from typing import Any

from vlmeval_mp.core.literals import literal, strings

LETTERS = string.ascii_uppercase
NO_VALUE = frozenset(
    ("nan", "-nan", "<na>", "#n/a", "#n/a n/a", "#na", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
)
"""Words for a missing value in tables, in lower case: never shown as an option."""
WORDS = frozenset(("None", "N/A", "NA", "NULL", "n/a", "null"))
"""Options that pandas, and so VLMEvalKit, takes for missing values; they are words, and shown here."""
LISTING = ("options", "choices", "candidates", "answer_choices")
"""Columns that may hold all options of a row."""

_TEXT_FIELDS = ("text", "content", "option", "value")
_LABEL_FIELDS = ("label", "labels", "letter", "key", "id")
_SEPARATE = (
    r"([a-z])",
    r"(?i:option)[ _-]?([A-Za-z1-9])",
    r"(?i:choice)[ _-]?([A-Za-z1-9])",
    r"(?i:opt)[ _-]?([A-Za-z1-9])",
)
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

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.listed,) if self.listed else tuple(self.by_letter.values())

    def of(self, text: Mapping[str, str]) -> dict[str, str]:
        """Return the options of a row by letter; `text` has its cells."""
        if self.listed:
            found = dict(zip(LETTERS, listed(text.get(self.listed, "")), strict=False))
        else:
            found = {letter: text.get(column, "") for letter, column in self.by_letter.items()}
        return {letter: option for letter, option in found.items() if option.strip() and not is_no_value(option)}

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
    known = {column.lower(): column for column in reversed(columns)}
    return one_each(columns, _SEPARATE) or all_in_one(known, LISTING)


def one_each(columns: Sequence[str], patterns: Sequence[str]) -> OptionColumns | None:
    """Return the columns with one option each: "A", "B", … or those that the first fitting pattern finds; else None."""
    if "A" in columns and "B" in columns:
        return CONVENTION
    for pattern in patterns:
        matches = ((column, re.fullmatch(pattern, column)) for column in columns)
        found = {_as_letter(match[1]): column for column, match in matches if match}
        if "A" in found and "B" in found:
            return OptionColumns(dict(sorted(found.items())))
    return None


def all_in_one(known: Mapping[str, str], names: Sequence[str]) -> OptionColumns:
    """Return the column with all options, the first of `names` that is in `known`; without one, the convention."""
    listing = next((known[name] for name in names if name in known), "")
    return OptionColumns({}, listing) if listing else CONVENTION


def _as_letter(mark: str) -> str:
    """Return the letter of an option that a column calls by a letter or by a number from 1."""
    return LETTERS[int(mark) - 1] if mark.isdecimal() else mark.upper()


def listed(text: str) -> list[str]:
    """Return the options in one cell: a list, an object with a key per option, or lines "A. cat"; else none.

    The letters in front of options are left out if each has its own. Options with labels are in the order of these;
    labels other than A, B, C, … mean that no letter is certain, and give none.
    """
    value = _json(text)
    value = literal(text) if value is None else value
    if isinstance(value, Mapping):
        texts = _field(value, _TEXT_FIELDS)
        found = _by_label(texts, _field(value, _LABEL_FIELDS)) if isinstance(texts, list) else _by_key(value)
    elif isinstance(value, list | tuple):
        found = _of_list(text, value)
    else:
        found = [line for line in text.splitlines() if line.strip()]
        if len(found) < 2 or without_letters(found) == found:
            return []
    return without_letters(found)[: len(LETTERS)] if len(found) > 1 else []


def _by_key(options: Mapping[Any, object]) -> list[str]:
    """Return options in the order of their keys; a letter that is no key has an empty option."""
    letters = {str(key).strip().upper(): _option(option) for key, option in options.items()}
    if set(letters) <= set(LETTERS):
        return [letters.get(letter, "") for letter in LETTERS[: LETTERS.index(max(letters, default="A")) + 1]]
    keys = sorted(options, key=lambda key: (int(key) if str(key).isdecimal() else 0, str(key)))
    return [_option(options[key]) for key in keys]


def _of_list(text: str, value: Sequence[object]) -> list[str]:
    """Return the options of a list that `text` holds."""
    try:
        side_by_side = strings(text)
    except ValueError:
        return []
    if side_by_side:
        return side_by_side
    labels = [_field(each, _LABEL_FIELDS) if isinstance(each, Mapping) else None for each in value]
    return _by_label(value, None if all(label is None for label in labels) else labels)


def _by_label(texts: Sequence[object], labels: object) -> list[str]:
    """Return options in the order of their labels, or as they are without any; none if a letter is missing or twice."""
    if labels is None:
        return [_option(each) for each in texts]
    if not isinstance(labels, list):
        return []
    marks = [_LETTER.fullmatch(str(label).strip()) for label in labels]
    letters = [mark[1].upper() if mark else "" for mark in marks]
    if sorted(letters) != list(LETTERS[: len(texts)]):
        return []
    return [_option(texts[letters.index(letter)]) for letter in LETTERS[: len(texts)]]


def _field(options: Mapping[Any, object], names: Sequence[str]) -> object:
    """Return the first of the fields called `names`, None if there is none."""
    return next((options[name] for name in names if name in options), None)


def _option(value: object) -> str:
    """Return the text of one option: {"label": "A", "text": "cat"} is its text, null is empty."""
    if isinstance(value, Mapping):
        value = next((value[name] for name in _TEXT_FIELDS if name in value), value)
    return "" if value is None else str(value)


def is_no_value(text: str) -> bool:
    """Return whether a cell holds what table programs write for a missing value."""
    return text.strip().lower() in NO_VALUE


def without_letters(options: list[str]) -> list[str]:
    """Return options without the letters in front of them, if each has its own."""
    leads = [_LEAD.match(option.strip()) for option in options]
    if [lead and lead[1] for lead in leads] != list(LETTERS[: len(options)]):
        return options
    return [option.strip()[lead.end() :] for option, lead in zip(options, leads, strict=True) if lead]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
