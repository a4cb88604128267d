"""Finds the options of a question in a text by their words, whatever letters they have. Pure.

Two texts are the same option's if they differ in case, outer punctuation, spaces, the spelling of LaTeX, of a minus
sign or of an apostrophe; numbers also if they have the same value, in a text with nothing but the number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache

from vlmeval_mp.scoring.reading import numbers
from vlmeval_mp.scoring.reading.latex import holds_math, one_spelling
from vlmeval_mp.scoring.reading.negation import denied_after, denied_before, without_neutral_no
from vlmeval_mp.scoring.reading.phrases import whole_words
from vlmeval_mp.scoring.reading.text import compatible, minus

SEVERAL = "several options named"

_ENUMERATION = re.compile(r"^[ \t]{0,8}(?:[Ss]tep |[Ii]mage |[Ff]igure )?\d{1,2}[.):][ \t]+(?=\S)", re.MULTILINE)
_NUMBERED = re.compile(
    r"(?:figure|fig\.?|step|image|picture|panel|photo|table|part|section|question|frame|row|column|option|line|#)\s?$"
)
_ARTICLE = re.compile(r"(?:(?:an?|the|about|approximately|just|only|simply|un|une|una|el|la|le|ein|eine)\s+)*")
_DIGIT = re.compile(r"[\dπ]|\\pi")
_ONE_LETTER = re.compile(r"[(\[]?[a-z][)\].]?")
_HOLDS_NAME = re.compile(r"\w[ ,](?:[^a-zA-Z]*)[A-Z](?![A-Za-z'’])|^[A-Z][ ,]")
"""A capital letter within an option of several words: "moves to C", "A is darker"."""
_LETTER = re.compile(r"(?<![A-Za-z])[A-Z](?![A-Za-z'’])")
_ALSO = re.compile(
    r"[\s\"')*]*(?:,|/|&|\bor\b|\band\b|\bo\b|\by\b|\bou\b|\bet\b|\boder\b|\bund\b|或|和|또는|และ|หรือ)\s*"
)
_HYPHEN = re.compile(r"-(?<=[a-z]{2}-)(?=[a-z]{2})")
_DECADE = re.compile(r"(\d0)'s\b")
_UNIT = re.compile(r"\d([a-zA-Zµ°Ω]{1,4}[²³]?)(?![a-zA-Z])")
_WORDS = re.compile(r"[a-z]+(?: [a-z]+)?")
_SHORTEST = 3
"""Letters that a word must have to be looked for in its other number, too: "cats" for "cat"."""
_OUTER = " .,;:!?\"'`*“”‘’。，！？、()[]"


class Options:
    """The options of one question, folded once."""

    def __init__(self, items: tuple[tuple[str, str], ...]) -> None:
        self.texts = dict(items)
        self.letters = "".join(self.texts)
        self.stripped: dict[str, list[str]] = {}
        for letter, text in items:
            if text.strip():
                self.stripped.setdefault(text.strip(), []).append(letter)
        self.formula = any(map(holds_math, self.texts.values()))
        self._units = _spaced_units(self.texts.values())
        self.folded = {letter: self.fold(text) for letter, text in items}
        self.longest = max(map(len, self.texts.values()), default=0)
        by_text: dict[str, list[str]] = {}
        for letter, text in self.folded.items():
            if text:
                by_text.setdefault(text, []).append(letter)
        self.by_text = dict(sorted(by_text.items(), key=lambda pair: -len(pair[0])))
        # a text that is one letter is an article or a name anywhere in a sentence
        self.in_prose = {text: own for text, own in self.by_text.items() if not _ONE_LETTER.fullmatch(text)}

    def fold(self, text: str) -> str:
        """Return `text` without case, outer punctuation, odd spacing and the freedoms of LaTeX."""
        return _folded(text, self.formula, self._units)

    def same(self, text: str) -> str:
        """Return the one option whose text, or whose value, is all of `text`."""
        if len(text) > 3 * self.longest + 40:
            return ""
        exact = self.stripped.get(text.strip(), [])
        if len(exact) == 1:
            return exact[0]
        wanted = self.fold(text)
        found = self.by_text.get(wanted) or self.by_text.get(wanted.strip(_OUTER)) or self._of_value(text)
        return found[0] if found and len(found) == 1 else ""

    def begins(self, text: str) -> tuple[str, int]:
        """Return the option whose words stand at the beginning of the folded `text`, and where they end.

        "" if none does.
        """
        start = _ARTICLE.match(text)
        for offset in {start.end() if start else 0, 0}:
            for wanted, letters in self.in_prose.items():
                if text.startswith(wanted, offset) and offset in whole_words(wanted, text[: offset + len(wanted) + 14]):
                    return (letters[0] if len(letters) == 1 else SEVERAL), offset + len(wanted)
        return "", 0

    def prefix(self, text: str) -> tuple[str, int]:
        """Return the option whose words `text` begins with, and the place in `text` where these words end.

        Returns "" and 0 if `text` begins with no option. Here only case and apostrophes are folded, because spaces and
        LaTeX would move the place; an option that needs them folded is not found.
        """
        start = text[: 2 * self.longest + 40]
        plain = start.casefold().replace("’", "'")
        if len(plain) != len(start):
            return "", 0
        return self.begins(plain)

    def opens(self, text: str) -> str:
        """Return the option that `text` begins with, `SEVERAL` if it goes on with another ("a cat or a dog").

        Else "".
        """
        folded = self.fold(text[: 2 * self.longest + 200])
        if "no" in self.by_text:
            folded = without_neutral_no(folded)
        letter, end = self.begins(folded)
        if not letter or letter == SEVERAL:
            return letter
        if denied_after(folded, end):
            return ""
        also = _ALSO.match(folded, end)
        other = self.begins(folded[also.end() :])[0] if also else ""
        return SEVERAL if other and other != letter else letter

    def ends(self, text: str) -> bool:
        """Return whether `text` ends with the words of an option."""
        folded = self.fold(text)
        return any(
            folded.endswith(wanted) and len(folded) - len(wanted) in whole_words(wanted, folded)
            for wanted in self.by_text
        )

    def named(self, text: str) -> set[str]:
        """Return letters of the options whose text stands in `text` as whole words, outside a longer option's text."""
        if not self.in_prose:
            return set()
        folded = self.fold(_ENUMERATION.sub(" ", text) if "\n" in text else text)
        if "no" in self.by_text:
            folded = without_neutral_no(folded)
        found, rest = self._standing(folded, self.in_prose)
        return found or self._standing(rest, self._other_numbers)[0]

    def _standing(self, folded: str, texts: Mapping[str, list[str]]) -> tuple[set[str], str]:
        """Return letters of those of `texts`, the longest first, that stand in `folded` and are not denied there; and
        `folded` with all that stand there made unmatchable.
        """
        found: set[str] = set()
        for wanted, letters in texts.items():
            places = whole_words(wanted, folded)
            if wanted.isdigit():
                places = [p for p in places if not _NUMBERED.search(folded[max(0, p - 10) : p])]
            if any(not self._denied(folded, place, place + len(wanted)) for place in places):
                found.update(letters)
            if places:
                folded = _blank(folded, places, len(wanted))
        return found, folded

    def _denied(self, text: str, start: int, end: int) -> bool:
        return denied_before(text, start) or denied_after(text, end)

    def _of_value(self, text: str) -> list[str]:
        """Return the options that are the number that `text` is."""
        if not self.values or not _DIGIT.search(text):
            return []
        said = _amount(text)
        return [
            letter
            for letter, own in self.values.items()
            if said is not None and own.percent == said.percent and numbers.same(own.value, said.value)
        ]

    @cached_property
    def hold_names(self) -> bool:
        """True if a capital letter is a word of some option of several words."""
        return any(_HOLDS_NAME.search(text.strip()) for text in self.texts.values())

    @cached_property
    def speak_of_letters(self) -> bool:
        """True if a letter after "point" or "image" may be an option: the options have no words, or are such names."""
        return not self.stripped or any(
            letter in self.letters for text in self.texts.values() for letter in _LETTER.findall(text)
        )

    @cached_property
    def _other_numbers(self) -> dict[str, list[str]]:
        """Plurals of options that are one thing and singulars of those that are several, by what no other option is."""
        found: dict[str, list[str]] = {}
        for text, letters in self.in_prose.items():
            other = text[:-1] if text.endswith("s") and not text.endswith(("ss", "us", "is")) else f"{text}s"
            if _WORDS.fullmatch(text) and len(text.split()[-1]) >= _SHORTEST and other not in self.by_text:
                found[other] = letters
        return found

    @cached_property
    def values(self) -> dict[str, numbers.Amount]:
        """The options that are numbers."""
        found = {letter: _amount(option) for letter, option in self.texts.items()}
        return {letter: own for letter, own in found.items() if own is not None}


@lru_cache(maxsize=2048)
def options_of(items: tuple[tuple[str, str], ...]) -> Options:
    """Return the options with these letters and texts, folded.

    The same object for the same items, since several rules ask.
    """
    return Options(items)


@lru_cache(maxsize=16)
def _folded(text: str, formula: bool, units: re.Pattern[str] | None) -> str:
    """Return what `Options.fold` does; several rules look at the same words one after the other."""
    text = one_spelling(minus(compatible(text)).replace("’", "'"), formula=formula)
    text = " ".join(text.casefold().split())
    if "-" in text:
        text = _HYPHEN.sub(" ", text)
    if "0's" in text:
        text = _DECADE.sub(r"\1s", text)
    if units:
        text = units.sub(r"\1\2", text)
    return text.strip(" .,;:!?\"'`*“”‘’。") or text


def _amount(text: str) -> numbers.Amount | None:
    return numbers.amount(text.strip().strip("*`\"'").rstrip(".。")) if len(text) <= numbers.LONGEST else None


def _blank(text: str, places: list[int], length: int) -> str:
    """Return `text` with what stands at `places` made unmatchable."""
    pieces, position = [], 0
    for place in places:
        pieces += [text[position:place], "\0" * length]
        position = place + length
    return "".join((*pieces, text[position:]))


def _spaced_units(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds "4.5 cm" where one of the options in `texts` writes "4.5cm", without the space.

    It finds any number before a space and one of the units that the options write so; None if they write none.
    """
    units = {unit.casefold() for text in texts for unit in _UNIT.findall(text)}
    return re.compile(rf"(\d)\s+({'|'.join(map(re.escape, sorted(units)))})(?![a-z])") if units else None
