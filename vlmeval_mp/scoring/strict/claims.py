"""Chooses among several options in a reply by its beginning and its end.

1. Its last sentence gives an option as its result ("… so the corresponding point is Point C, as it is on the wheel").
2. The last sentence that begins as a conclusion has an option for its subject ("Based on this, the third image (B) is
   most similar to the first"), says nothing against it, and is not taken back by a "however" behind it.
3. The last sentence begins as a conclusion and mentions one option.
4. The first sentence mentions one option and the second gives the reason ("This is evident because …"); or the first
   prefers one of two ("Box B is closer, whereas …"), and the last says nothing else.

Rules 3 and 4 do not hold where the reply repeats the options as a list. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vlmeval_mp.scoring.reading.letters import lone_letter
from vlmeval_mp.scoring.reading.negation import denied_after, denied_before
from vlmeval_mp.scoring.reading.options import SEVERAL, Options
from vlmeval_mp.scoring.reading.sentences import (
    CONCLUSION,
    concludes,
    first_sentence,
    last_sentence,
    prefers,
    result_of,
    sentences,
    sets_off,
    unsure,
)
from vlmeval_mp.scoring.reading.statements import taken_back

_REACH = 1600
"""Characters from the end within which a conclusion must stand."""
_CLAUSES = 7
"""Clauses of a conclusion before its subject, at most, itself included."""
_SO = re.compile(
    rf"(?:and\s+)?(?:{CONCLUSION}|in\s+this\s+case|given|considering|between\s+the|comparing|taking|judging)\b[,:]?\s*",
    re.IGNORECASE,
)
_SAYING = re.compile(
    r"(?:(?:i\s+would\s+(?:say|conclude)|we\s+can\s+(?:say|conclude|see)|it\s+(?:is\s+clear|follows|seems|appears))(?:\s+that)?,?\s+)",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"(?:the\s+)?(?:(?:option|choice|answer|image|picture|point|box)\s+)?[(\[]([A-Z])[)\]]", re.IGNORECASE
)
_NONE = re.compile(r"\b(?:none|neither|either|both|nothing|all\s+of|any\s+of)\b", re.IGNORECASE)
_PREDICATE = 70
"""Characters behind a conclusion's subject in which nothing may speak against it."""
_BESIDE = re.compile(r"[\s\"'*]*[(\[]([A-Z])[)\]]")
_REASON = re.compile(
    r",?\s+(?:as|because|since|which|where|whereas|while|despite|although|though|due|given|so|not|even)\b|;",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"(?:most\s+likely|likely|probably|therefore|thus|then|indeed|clearly|actually|instead)[,:]?\s+", re.IGNORECASE
)
_AGAINST = re.compile(
    r"\b(?:not|less|least|different|differs|unlike(?:ly)?|lacks?|cannot|incorrect|wrong|excluded|eliminated|ruled\s+out|may|might|could"
    r"|neither|nor|worse|worst|out)\b|n['’]t\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"^(?:and\s+)?(?:the\s+)?others?\b|\b(?:may|might|could)\s+(?:also\s+)?be\b", re.IGNORECASE)
"""A sentence about what else there is, or could be, gives no result."""
_ANOTHER = re.compile(
    r"[\s,)\]*]*(?:,\s*(?:and|or)?|/|&|\band\b|\bor\b)\s*(?:the\s+)?(?:option\s+|image\s+)?[(\[]?[A-Z][)\]]"
)
_TURNS = re.compile(r"(?:however|but|on\s+the\s+other\s+hand|alternatively|nevertheless|yet)\b", re.IGNORECASE)
_EXPLAINS = re.compile(
    r"(?:this|it|that)\s+(?:is\s+(?:evident|because|clear|indicated|suggested|shown|apparent)"
    r"|can\s+be\s+(?:determined|seen|inferred|observed|concluded))\b|(?:you|we|one)\s+can\s+(?:tell|see)\b|because\b|the\s+reason\b"
    r"|(?:the\s+)?others?\b",
    re.IGNORECASE,
)
_AFTER_RESULT = re.compile(
    r"[\s.\"')\]*]*(?:$|,|\((?:REF|[A-Z])\)|(?:in|on|at|from|of|for)\s+(?:the|this|that)\b)", re.IGNORECASE
)

Mentioned = Callable[[str], set[str]]
"""The options that a text mentions, by letter or by words."""


def claimed(lines: Sequence[str], options: Options, mentioned: Mentioned, *, listed: bool) -> str:
    """Return the letter of the option that the reply with these `lines` claims, "" if it claims none.

    `listed`: lines of it are led by several letters.
    """
    if not lines:
        return ""
    last = last_sentence(lines[-1])
    letter = _result(last, options) or _concluded("\n".join(lines), options)
    return letter or ("" if listed else _mentioned(lines, last, mentioned))


def _result(sentence: str, options: Options) -> str:
    """Return the option that is the result of `sentence`, where it stands alone or a place or reason follows."""
    if _OPEN.search(sentence):
        return ""
    whole = result_of(sentence)
    if whole and (letter := options.same(whole) or lone_letter(whole, options.letters)):
        return letter
    if unsure(sentence):
        return ""
    reason = _REASON.search(sentence)
    result = result_of(sentence[: reason.start()]) if reason else whole
    letter, end = _begins(_LEADING.sub("", result, count=1), options)
    rest = _LEADING.sub("", result, count=1)[end:]
    alone = _AFTER_RESULT.match(rest) and not _ANOTHER.match(rest)
    return letter if letter and alone and not denied_before(sentence, sentence.find(result)) else ""


def _concluded(text: str, options: Options) -> str:
    """Return the option that is the subject of the last sentence of `text` that begins as a conclusion does."""
    every = sentences(text[-_REACH:])
    if len(text) > _REACH:
        every = every[1:]  # it may be the end of one
    for place in range(len(every) - 1, -1, -1):
        so = _SO.match(every[place])
        if so is None:
            continue
        after = every[place + 1 :]
        if any(_TURNS.match(each) for each in after) or taken_back(" ".join(after)) is not None:
            return ""
        return _subject(every[place], every[place][so.end() :], options)
    return ""


def _subject(sentence: str, said: str, options: Options) -> str:
    clauses = [said, *(said[comma.end() :] for comma in re.finditer(r",\s+", said))]
    for clause in clauses[:_CLAUSES]:
        saying = _SAYING.match(clause)
        clause = clause[saying.end() :] if saying else clause
        letter, end = _begins(clause, options)
        if not letter:
            continue
        rest = clause[end:]
        reason = _REASON.search(rest)
        predicate = (rest[: reason.start()] if reason else rest)[:_PREDICATE]
        plain = not _AGAINST.search(predicate) and not _ANOTHER.search(predicate) and not denied_after(clause, end)
        before = sentence[: sentence.rfind(clause)]
        return (
            letter if plain and not unsure(before) and not _NONE.search(before) and len(predicate.split()) > 1 else ""
        )
    return ""


def _begins(text: str, options: Options) -> tuple[str, int]:
    """Return the option that `text` begins with, by its letter in brackets, its words, or both; and where it ends."""
    marked = _LETTER.match(text)
    if marked and marked[1].upper() in options.letters:
        letter, end = marked[1].upper(), marked.end()
        own = options.prefix(text[end:].lstrip())
        if own[0] == letter:
            end += len(text[end:]) - len(text[end:].lstrip()) + own[1]
        return (letter, end) if own[0] in ("", letter) else ("", 0)
    letter, end = options.prefix(text)
    if not letter or letter == SEVERAL:
        return "", 0
    beside = _BESIDE.match(text, end)
    if beside and beside[1] in options.letters:
        return (letter, beside.end()) if beside[1] == letter else ("", 0)
    return letter, end


def _mentioned(lines: Sequence[str], last: str, mentioned: Mentioned) -> str:
    at_end = mentioned(last)
    if concludes(last) and len(at_end) == 1:
        return next(iter(at_end))
    first = first_sentence(lines[0])
    at_start = mentioned(first) if prefers(first) or _explained(lines[0], first) else set()
    keeps = not at_end or at_start <= at_end or sets_off(last) or _explained(lines[0], first)
    return next(iter(at_start)) if len(at_start) == 1 and keeps else ""


def _explained(line: str, first: str) -> bool:
    """Return whether the sentence behind the `first` of `line` gives the reason for it."""
    rest = line[len(first) :].lstrip(" .!\"'")
    return bool(rest) and not unsure(first) and _EXPLAINS.match(rest) is not None
