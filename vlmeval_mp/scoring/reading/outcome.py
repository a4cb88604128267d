"""The reason why a reply has no answer: empty, an unfinished thought, a refusal, or unread words. Pure.

Knows neither options nor references: whether an answer was found is the scorer's to say.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Reading
from vlmeval_mp.scoring.reading.reasoning import without_reasoning

_OPENING = 400
"""Characters from the beginning of a reply within which it must refuse; what comes later may tell of somebody else."""

_REFUSAL = re.compile(
    r"\b(?:i(?:\s+am|'m|’m)|we(?:\s+are|'re|’re))\s+(?:very\s+|so\s+|really\s+)?(?:sorry|unable|not\s+able|not\s+allowed)\b"
    r"|\b(?:sorry|apologi[sz]e|apologies|unfortunately)\b.{0,60}?\b(?:can(?:no|'|’)t|cannot|unable|not\s+able|do\s+not|don['’]t|won['’]t)\b"
    r"|\bi\s+(?:can\s*not|can['’]t|could\s*not|couldn['’]t|won['’]t|will\s+not|must\s+decline|decline|refuse)\s+"
    r"(?:\w+\s+)?(?:to\s+)?(?:answer|assist|help|see|view|access|open|identify|determine|provide|process|comply|discuss|engage|tell|say|describe|analy[sz]e|interpret)"
    r"|\bas\s+an?\s+(?:ai|language\s+model|text-based)\b"
    r"|对不起|抱歉|無法|无法(?:回答|确定|判断|识别|看到|提供|查看)|不能(?:回答|提供|帮助)"
    r"|申し訳|お答えできません|すみません|죄송|답변(?:할|드릴)\s*수\s*없"
    r"|\blo\s+siento\b|\bno\s+puedo\b|\bje\s+suis\s+désolé|\bje\s+ne\s+peux\s+pas\b|\btut\s+mir\s+leid\b"
    r"|\bich\s+kann\b.{0,60}?\bnicht\b|\bdesculpe\b|\bnão\s+posso\b|\bmi\s+dispiace\b|\bnon\s+posso\b"
    r"|\bизвините|\bя\s+не\s+могу\b|\bk(?:hông|hong)\s+thể\b|\bขออภัย|\bxin\s+lỗi\b|آسف|لا\s+أستطيع",
    re.IGNORECASE,
)
# one of these is in whatever of ASCII `_REFUSAL` finds, between single spaces
_REFUSING = (
    "sorry", "unable", "not", "n't", "apolog", "unfortunately", "declin", "refus", " ai", " language", " text-based",
    "siento", "puedo", "peux", "leid", "kann", "desculpe", "posso", "dispiace",
)  # fmt: skip
_LEAST = len("as a ai")
"""Characters that a refusal in ASCII has at least."""


_CANNOT_TELL = re.compile(
    r"\b(?:can(?:no|['’])t|cannot|unable\s+to|not\s+able\s+to|impossible\s+to|not\s+possible\s+to)\s+(?:\w+\s+){0,2}?"
    r"(?:answer|see|view|tell|determine|assist|help|open|access|say|provide|process|confirm|know)\b|\bas\s+an?\s+ai\b"
    r"|\bno\s+puedo\b|\bnão\s+posso\b|无法|不能(?:回答|确定)|不知道|不清楚|不确定",
    re.IGNORECASE,
)


def cannot_tell(text: str) -> bool:
    """Return whether a reply begins by saying that it cannot see, tell or answer."""
    return _CANNOT_TELL.search(text[:_OPENING]) is not None


UNABLE = r"not\s+possible|impossible|cannot|can\s+not|can['’]t|unable|difficult|challenging|hard"
"""Words that say that something cannot be done, or hardly."""
_WHICH = re.compile(
    rf"\b(?:{UNABLE})\b[^.\n]{{0,50}}?"
    r"\b(?:determine|tell|say|select|decide|choose|conclude|know)\b[^.\n]{0,40}?\b(?:which|either|between|whether)\b",
    re.IGNORECASE,
)


def cannot_tell_which(text: str) -> bool:
    """Return whether a reply says that it cannot tell which of several things is the right one."""
    return _WHICH.search(text) is not None


def without_answer(text: str, said: str | None, marks: tuple[str, ...] = ()) -> Reading:
    """Return why the reply `text`, out of which a scorer took `said`, gives no answer; "" if it gives one.

    `marks` are the model's own around its reasoning. `said` is "" where the scorer found no answer, and None where it
    looks for references in the whole reply. An answer that is itself a refusal ("I cannot see it", taken whole by a
    scorer of open answers) is none.
    """
    if not text.strip():
        return "empty"
    rest = without_reasoning(text, marks).strip()
    if not rest:
        return "unfinished thought"
    if _refuses((said or rest)[:_OPENING]):
        return "refused"
    return "unread" if said == "" else ""


def _refuses(opening: str) -> bool:
    if opening.isascii():
        if len(opening) < _LEAST:
            return False
        spaced = " ".join(opening.lower().split())
        if not any(word in spaced for word in _REFUSING):
            return False
    return _REFUSAL.search(opening) is not None
