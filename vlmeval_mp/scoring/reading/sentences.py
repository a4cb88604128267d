"""Finds the first and the last sentence of a reply, and a result or a preference in them. Pure."""

from __future__ import annotations

import re

_LONGEST = 400
# the mark comes first, so that the search leaps from mark to mark
_END = re.compile(
    r"[.!?。！？](?:(?<=[.!?])(?<!\b[A-Z].)(?<!\bvs.)(?<!\bcf.)(?<!\be\.g.)(?<!\bi\.e.)\s+(?=[A-Z(\"'“])|(?<=[。！？])\s*(?=\S))"
)
CONCLUSION = r"therefore|thus|hence|so|consequently|accordingly|overall|in\s+(?:conclusion|summary)|based\s+on"
"""Words that begin a conclusion."""
_CONCLUDES = re.compile(rf"\W*(?:(?:and\s+)?(?:{CONCLUSION})\b|因此|所以|따라서)", re.IGNORECASE)
_PREFERS = re.compile(
    r"\b(?:most|closer|closest|nearer|nearest|better|best|more\s+(?:accurate(?:ly)?|likely|similar|closely|plausible|probable)"
    r"|match(?:es)?|corresponds?|correct(?:ly)?)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:cannot|can[’']t|unable|impossible|not\s+(?:possible|clear|sure|enough)|without|difficult|unclear)\b",
    re.IGNORECASE,
)
_SETS_OFF = re.compile(
    r"\b(?:whereas|while|on\s+the\s+other\s+hand|in\s+contrast|by\s+contrast|contrasts?|compared|too|less|further|farther|others?"
    r"|(?:is|are|does|do)\s+not)\b",
    re.IGNORECASE,
)
_VERB = re.compile(r"\b(?:is|are|was|were|be|equals|equal\s+to|becomes)\b:?|[=≈:]", re.IGNORECASE)
_CONDITION = re.compile(r"\b(?:at|when|if|for|where|with|than|that\s+at)\s+(?:\\?\$?)\w{1,3}\s*$", re.IGNORECASE)
"""Words before the "=" of a place or condition ("larger at x = 8"), which states no result."""
_LEAD = re.compile(r"\s*(?:approximately|about|therefore|thus|simply|just|an?|the)\s+", re.IGNORECASE)


def first_sentence(line: str) -> str:
    """Return the first sentence of `line`."""
    end = _END.search(line, 0, _LONGEST)
    return line[: end.start()] if end else line[:_LONGEST]


def last_sentence(line: str) -> str:
    """Return the last sentence of `line`."""
    tail = line[-_LONGEST:]
    ends = [end.end() for end in _END.finditer(tail)]
    return tail[ends[-1] :] if ends else tail


def sentences(text: str) -> list[str]:
    """Return the sentences of all lines of `text`."""
    found = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            found.append(line[start : end.end()])
            start = end.end()
        found.append(line[start:])
    return [each.strip() for each in found if each.strip()]


def concludes(sentence: str) -> bool:
    """Return whether `sentence` begins as a conclusion does ("therefore", "based on"), and is sure of it."""
    return _CONCLUDES.match(sentence) is not None and not _UNSURE.search(sentence)


def prefers(sentence: str) -> bool:
    """Return whether `sentence` finds one thing better, nearer or more like what was asked for."""
    return _PREFERS.search(sentence) is not None and not _UNSURE.search(sentence)


def unsure(sentence: str) -> bool:
    """Return whether `sentence` says that it cannot tell."""
    return _UNSURE.search(sentence) is not None


def sets_off(sentence: str) -> bool:
    """Return whether `sentence` speaks of the thing that was not preferred ("whereas", "too large", "further away")."""
    return _SETS_OFF.search(sentence) is not None


def result_of(sentence: str) -> str:
    """Return what follows the last "is" or "=" of `sentence`: its result, if it states one; else ""."""
    verbs = [
        verb for verb in _VERB.finditer(sentence) if not (verb[0] == "=" and _is_condition(sentence, verb.start()))
    ]
    if not verbs:
        return ""
    said = sentence[verbs[-1].end() :]
    lead = _LEAD.match(said)
    return (said[lead.end() :] if lead else said).strip().rstrip(".。")


def _is_condition(sentence: str, place: int) -> bool:
    return _CONDITION.search(sentence[max(0, place - 20) : place]) is not None
