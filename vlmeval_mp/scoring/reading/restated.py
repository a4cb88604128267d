"""Reads a reply that states a yes/no question: "Is the sky blue?" – "The sky is not blue." Pure.

It is a restatement only if every content word of the question stands in one sentence, in the same order, with nothing
between them but words that say nothing ("indeed", "in the image") and the verb, and if the sentence begins and ends
with them but for words of place or reason ("Based on the image, …", "…, as it barks"). "not" or "no" right behind the
verb makes it a No. What doubts, allows or contrasts (may, whether, but) makes it no restatement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vlmeval_mp.scoring.reading.sentences import sentences

_VERB = "is|are|was|were|do|does|did|has|have|had|can|could|will|would|should"
"""Verbs that begin a question, and say or deny it in a statement."""
_VERBS = frozenset(_VERB.split("|")) | {"isn't", "aren't", "wasn't", "weren't"}
_DO = frozenset(("do", "does", "did"))
_ASKS = re.compile(rf"(?:^|[.!\n:]\s*|,\s+)((?:{_VERB})\s[^?.!\n]{{3,300}})\?", re.IGNORECASE)
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:[-'][^\W\d_]+)*|[≤≥<>=]")
_PICTURE = re.compile(
    r",?\s*\b(?:shown\s+|seen\s+|visible\s+)?(?:in|on|from|of|by)\s+(?:the|this|that|these|your|my)\s+(?:given\s+|provided\s+|\w+\s+)?"
    r"(?:images?|pictures?|photos?|photographs?|figures?|graphs?|charts?|plots?|diagrams?)\b(?:\s+(?:above|below|shown|provided)\b)?",
    re.IGNORECASE,
)
_IDLE = _VERBS | {
    "a", "an", "the", "this", "that", "these", "those", "there", "it", "its", "they", "of", "be", "been", "being",
    "indeed", "also", "actually", "clearly", "definitely", "given", "provided", "depicted", "shown", "which",
}  # fmt: skip
_GOES_ON = frozenset(
    (
        "in", "on", "at", "as", "because", "since", "and", "so", "due", "with", "by", "from", "to", "here", "within",
        "for", "than", "compared", "according", "indeed",
    )
)  # fmt: skip
"""Words that may follow a restatement."""
_LEAD = re.compile(
    r"(?:(?:yes|no|so|therefore|thus|hence|overall)\b[,:]?\s*)?"
    r"(?:(?:based\s+on|according\s+to|in|from|looking\s+at|on|given)\s+[^,]{1,60},\s*)?(?:(?:so|therefore|thus|hence),?\s+)?"
    r"(?:(?:it\s+(?:is\s+clear|appears|seems)|(?:i|we)\s+(?:can\s+)?(?:see|say|conclude|think|believe)"
    r"|(?:the|this)\s+[^,.]{3,40}\s(?:shows|indicates|suggests))\s+that\s+)?",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:may|might|maybe|perhaps|possibl[ey]|likely|unlikely|probably|whether|if|unless|cannot|unclear|difficult|impossible"
    r"|depends|either|or|but|however|although|though|except|only|sometimes|almost|nearly|partly|partially|neither|nor|false"
    r"|incorrect|untrue|wrong)\b|\bcan't\b",
    re.IGNORECASE,
)
_TURNS = re.compile(r"\b(?:but|however|except|unless|only|if|although|though|false|untrue|incorrect)\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:not|no|never|none|nothing|without|hardly|cannot)\b|n't\b", re.IGNORECASE)
_DENIED = re.compile(rf"\b(?:{_VERB})(?:\s+(?:not|never)\b|n't\b)|\bthere\s+(?:is|are|was|were)\s+no\b", re.IGNORECASE)
_LEAST = 2
"""Content words that a question must have, unless it asks whether there is something."""
_LONGEST = 500
_REACH = 2000
"""Characters of a reply within which a restatement must end."""


@dataclass(frozen=True, slots=True)
class _Question:
    """The verb that a question begins with, its content words, and whether it asks if there is something."""

    text: str
    verb: str
    words: tuple[str, ...]
    existence: bool

    @property
    def plain(self) -> bool:
        """True if it neither denies nor doubts anything."""
        return not (_NEGATION.search(self.text) or _UNSURE.search(self.text))


def restated(question: str, reply: str) -> str:
    """Return "Yes" or "No" where `reply` states or denies what `question` asks; "" where it does neither, or both."""
    asked = _asked(question.replace("’", "'"))
    if asked is None:
        return ""
    begin = reply[:_REACH].replace("’", "'")
    if not _may_hold(begin, asked.words) or not asked.plain:
        return ""
    every = sentences(begin)
    if len(reply) > _REACH:
        every = every[:-1]  # it may be cut off
    found = {said for each in every if _may_hold(each, asked.words) and (said := _answer(asked, each))}
    return found.pop() if len(found) == 1 else ""


def _may_hold(text: str, words: tuple[str, ...]) -> bool:
    """Return whether `text` has the letters of all `words`, which costs a tenth of looking for them in order."""
    lowered = text.lower()
    return all(word in lowered or word == "have" for word in words)


def _asked(question: str) -> _Question | None:
    """Return the yes/no question that `question` ends with."""
    question = question.rstrip(" \n\"'”")
    every = list(_ASKS.finditer(question)) if question.endswith("?") else []
    if not every or every[-1].end() < len(question):
        return None
    text = _PICTURE.sub(" ", every[-1][1])
    verb, *rest = _WORD.findall(text.lower())
    words = tuple(_stem(word) for word in rest if word not in _IDLE)
    existence = rest[:1] == ["there"]
    return _Question(text, verb, words, existence) if len(words) >= (1 if existence else _LEAST) else None


def _answer(asked: _Question, sentence: str) -> str:
    if len(sentence) > _LONGEST:
        return ""
    lead = _LEAD.match(sentence)
    said = _PICTURE.sub(" ", sentence[lead.end() :] if lead else sentence)
    places = [(m.start(), m.end(), m[0].lower()) for m in _WORD.finditer(said)]
    span = _span(asked.words, [word for _, _, word in places])
    if span is None:
        return ""
    first, last = span
    within, rest = said[: places[last][1]], said[places[last][1] :]
    if _UNSURE.search(within) or _TURNS.search(rest) or not _may_end(rest) or not _states(asked, places, first, last):
        return ""
    negations = len(_NEGATION.findall(said))
    if negations == 0:
        return "Yes"
    return "No" if negations == 1 and _DENIED.search(within) else ""


def _span(asked: tuple[str, ...], words: list[str]) -> tuple[int, int] | None:
    """Return the places of the first and the last word of `asked` in `words`.

    None unless all come first and in order.
    """
    wanted = list(asked)
    first = -1
    for place, word in enumerate(words):
        if _stem(word) == wanted[0]:
            wanted.pop(0)
            first = place if first < 0 else first
            if not wanted:
                return first, place
        elif word not in _IDLE and not _NEGATION.fullmatch(word) and not word.endswith("n't"):
            return None
    return None


def _may_end(rest: str) -> bool:
    """Return whether a sentence ends before `rest`, or goes on with a reason or a place."""
    bare = rest.lstrip(" )\"'”*")
    if not bare or bare[0] in ".!,;:(":
        return True
    word = _WORD.match(bare)
    return word is not None and word[0].lower() in _GOES_ON


def _states(asked: _Question, places: list[tuple[int, int, str]], first: int, last: int) -> bool:
    """Return whether the words `first` to `last` are a statement: a verb stands before the last of them.

    Where the question begins with a form of "do", its own verb is among its words. What begins with the question's verb
    repeats the question.
    """
    words = [word for _, _, word in places[:last]]
    if words[:1] == [asked.verb]:
        return False
    if asked.existence:
        return "there" in words[:first] and any(word in _VERBS for word in words)
    return asked.verb in _DO or any(word in _VERBS or word.endswith("n't") for word in words)


def _stem(word: str) -> str:
    """Return `word` without the ending of a third person or a plural; one form of "have"."""
    if word == "has":
        return "have"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
