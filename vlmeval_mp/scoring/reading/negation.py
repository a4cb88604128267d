"""Finds words that deny their neighbour ("not a cat", "B is wrong"), and a "no" that denies no option. Pure.

`start` and `end` are places in a text; only the few words next to them are looked at.
"""

from __future__ import annotations

import re

_REACH = 28
_BEFORE = re.compile(
    r"(?:(?:\b(?:can)?not|n['’]t|\bnor|\bneither|\bthan|\bwrong|\bincorrect|\binstead\s+of|\bunlike|\bexclud(?:e|es|ing)|\bkeine?|\bnicht"
    r"|\bno\s+(?:es|son)|\bpas|\bnão\s+é|\bnon\s+è)\s+(?:be\s+)?"
    r"(?:(?:an?|the|any|option|choice|un|une|una|ein|eine|der|die|das|el|la|le)\s+){0,2}"
    r"|(?:不是|不选|并非|排除|而不是|ไม่ใช่)\s*)[(\[*\"'“‘]*$",
    re.IGNORECASE,
)
# one of these is in whatever `_BEFORE` finds; looking for them first is ten times as fast
_DENYING = (
    "no", "n't", "n’t", "neither", "than", "wrong", "incorrect", "instead", "unlike", "exclud", "kein", "nicht", "pas",
    "não", "不", "并非", "排除", "ไม่",
)  # fmt: skip
_AFTER = re.compile(
    r"[)\]*.:\"'”’]*\s+(?:(?:is|are|was|were|would\s+be|can\s+be|seems?)\s+"
    r"(?:clearly\s+|also\s+|definitely\s+|probably\s+)?(?:not|wrong|incorrect|false|eliminated|excluded|ruled\s+out|unlikely)"
    r"|(?:is|are|does|do|was|would)n[’']t|does\s+not|cannot|can[’']t|can\s+not)\b"
    r"|[)\]*]*\s*(?:是错|不对|不正确|不符合|错误|被排除)|(?:이|가|은|는)?\s*(?:아니|아닌|아닙)|\s*(?:ではな|じゃな)",
    re.IGNORECASE,
)
_NEUTRAL_NO = re.compile(
    r"\bno\s+(?:(?:further|additional|clear|enough|sufficient|specific|such|real|possible|relevant|available|visual|good|particular)\s+)?"
    r"(?:information|info|idea|clue|context|way|doubts?|question|matter|longer|images?|pictures?|photos?|data|answers?|means|need"
    r"|problem|wonder|sense|reason|eyes|access|knowledge|ability|opinion|choice|options?|comment|worries|response|order)\b"
    r"|\bno-\w+|\bwhether\s+or\s+no\b|\bno\.?\s?\d+",
    re.IGNORECASE,
)


def denied_before(text: str, start: int) -> bool:
    """Return whether the words before `start` deny what stands there."""
    near = text[max(0, start - _REACH) : start]
    lowered = near.lower()
    return any(word in lowered for word in _DENYING) and _BEFORE.search(near) is not None


def denied_after(text: str, end: int) -> bool:
    """Return whether the words behind `end` call what stands before it wrong."""
    return _AFTER.match(text[end : end + _REACH]) is not None


def without_neutral_no(text: str) -> str:
    """Return `text` without every "no" that is part of a phrase: "no information", "no idea", "no longer", "No. 5"."""
    return _NEUTRAL_NO.sub(" ", text) if "no" in text.lower() else text
