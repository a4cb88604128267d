"""Scores questions with several right options ("AC", "A, C", "['A', 'C']"): all of them and no other. Pure.

A reply names a set by a list of letters (alone, behind "Answer:", in a box), else by letters in brackets or in bold and
lines that are nothing but one option, else by a single option that the rules of `choice` read. Anything else is unread.
All right options and no other must be named: half a set is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vlmeval_mp.core.literals import literal
from vlmeval_mp.scoring.reading.letters import letters_of, lone_letter
from vlmeval_mp.scoring.reading.negation import denied_after, denied_before
from vlmeval_mp.scoring.reading.options import options_of
from vlmeval_mp.scoring.reading.text import answer_text, without_marks

_BETWEEN = r"(?:[\s,;/|&+、，和및]|\band\b|\bor\b|\bund\b|\by\b|\bet\b|[()\[\]\"'.])*"
_LIST = re.compile(
    rf"[\s(\[{{\"'$]*(?:both\s+|(?:options?|choices?)\s+|选项?|选择)?[\s(\[{{\"'$]*((?:[A-Z]{_BETWEEN})+)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s+|。")
_REASON = re.compile(r"[.;:]\s+|。|,?\s+(?:because|since|as)\b", re.IGNORECASE)
_STATED = re.compile(
    r"(?:\banswers?|\b(?:correct|right)\s+(?:options?|choices?|ones|statements?))\s*(?::|(?:is|are)\b:?)|答案\s*(?:是|为|:)|정답[은:]",
    re.IGNORECASE,
)


def gold_set(answer: str, options: Mapping[str, str]) -> frozenset[str]:
    """Return the right options of an answer that names two or more letters and nothing else; else empty."""
    items = literal(answer) if answer.lstrip().startswith("[") else None
    if isinstance(items, list):
        answer = ", ".join(map(str, items))
    found = re.fullmatch(rf"[\s(\[]*((?:[A-Z]{_BETWEEN})+)", answer)
    letters = re.findall(r"(?<![a-z])[A-Z](?![a-z])", answer) if found else []
    right = frozenset(letters)
    return right if 1 < len(right) == len(letters) and right <= set(options) else frozenset()


def read_set(text: str, options: Mapping[str, str]) -> frozenset[str]:
    """Return the options that `text` names as its answer; empty where that cannot be told."""
    plain = without_marks(answer_text(text)).strip()
    whole = _listed(plain, options, whole=True)
    if whole:
        return whole
    for stated in reversed(list(_STATED.finditer(plain))[-20:]):
        line = plain[stated.end() :].lstrip().split("\n", 1)[0]
        sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
        if len(found := _listed(sentence, options, whole=True)) > 1:
            return found
        if (found := _listed(line, options, whole=False)) or (
            found := frozenset(options_of(tuple(options.items())).named(line))
        ):
            return found
    lines = [line.strip() for line in plain.split("\n") if line.strip()]
    last = _listed(lines[-1], options, whole=True) if lines else frozenset()
    if len(last) > 1:
        return last
    first = _listed(_REASON.split(lines[0][:200], maxsplit=1)[0], options, whole=True) if lines else frozenset()
    if 1 < len(first) < len(options) and not first & _denied(plain, options):
        return first  # all options on a first line begin a look at each
    return _marked(answer_text(text), lines, options)


def _denied(text: str, options: Mapping[str, str]) -> set[str]:
    """Return the options whose letters `text` calls wrong."""
    patterns = letters_of("".join(options))
    return {match[1] for match in patterns.bare.finditer(text) if patterns.denied(text, match)}


def _listed(text: str, options: Mapping[str, str], *, whole: bool) -> frozenset[str]:
    """Return the letters of a list that `text` is, or begins with."""
    match = _LIST.fullmatch(text) if whole and len(text) < 80 else None if whole else _LIST.match(text[:80])
    if not match or re.search(r"\bor\b", match[1], re.IGNORECASE):
        return frozenset()
    said = re.sub(r"\b(?:and|or|und|et)\b", " ", match[1])
    if not whole and match.end() < len(text) and text[match.end()].isalpha():
        said = said[:-1]  # the next word's first letter
    words = re.findall(r"[A-Za-z]+", said)
    joined = len(words) == 1 and (words[0].isupper() or (whole and "".join(sorted(words[0])) == words[0]))
    if not words or not (joined or all(len(word) == 1 for word in words)):
        return frozenset()
    letters = [letter.upper() for word in words for letter in word]
    return frozenset(letters) if set(letters) <= set(options) and len(set(letters)) == len(letters) else frozenset()


def _marked(text: str, lines: list[str], options: Mapping[str, str]) -> frozenset[str]:
    patterns, known = letters_of("".join(options)), options_of(tuple(options.items()))
    found = {
        next(filter(None, match.groups()))
        for match in patterns.marked.finditer(text)
        if not denied_before(text, match.start()) and not denied_after(text, match.end())
    }
    found |= {letter for line in lines if (letter := lone_letter(line, known.letters) or known.same(line))}
    return frozenset(found or known.named(text))
