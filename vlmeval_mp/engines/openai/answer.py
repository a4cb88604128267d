"""Reads an answer over HTTP: text, end and counts, or a failure that comes with status 200. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Completion

THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""Types of the parts of an answer that are not said."""
BUSY_WORDS = ("rate_limit", "overloaded", "unavailable", "capacity")
CONTENT_WORDS = ("content", "moderation", "flagged", "safety", "policy", "harmful", "violat", "inappropriate")
"""Words of a refusal that speaks of what was asked, not of the key."""
MARKED = {"length": "length", "content_filter": "content_filter"}
"""Ends of an answer that are recorded; every other one is "stop"."""


class BodyError(Exception):
    """A failure in the body of an answer whose status says that all is well; `status_code` is the one that fits it."""

    def __init__(self, said: str, status_code: int = 500) -> None:
        super().__init__(said)
        self.status_code = status_code


def read(answer: Any) -> Completion:
    """Return the completion in an answer of the chat endpoint. A refusal's text is what was answered.

    Raises:
        BodyError: the answer says that it failed, has no choices, or was broken off.
        RequestError: it was filtered as a whole, or is no text.
    """
    _refuse_error(answer)
    choices = getattr(answer, "choices", None)
    if not choices:
        raise BodyError("the answer has no choices")
    choice, usage = choices[0], getattr(answer, "usage", None)
    _refuse_error(choice)
    if choice.finish_reason == "error":
        raise BodyError("the answer was broken off (finish_reason 'error')")
    text, refusal = _text(choice.message.content), getattr(choice.message, "refusal", None)
    if choice.finish_reason == "content_filter" and not text and not refusal:
        raise RequestError("the endpoint filtered the answer")
    refused = isinstance(refusal, str) and bool(refusal.strip()) and not text
    return Completion(
        text=str(refusal) if refused else text,
        finish_reason="refusal" if refused else MARKED.get(choice.finish_reason, "stop"),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def speaks_of_content(error: Exception) -> bool:
    """Return whether a refusal is about what was asked, such as a vendor's check of contents."""
    body = getattr(error, "body", None)
    text = f"{error} {body}".lower()
    return any(word in text for word in CONTENT_WORDS)


def _refuse_error(answer: Any) -> None:
    """Raise what the field `error` of an answer or of a choice means."""
    error = getattr(answer, "error", None)
    if not error:
        return
    told = error if isinstance(error, Mapping) else {"message": str(error)}
    code, said = told.get("code", told.get("type", "")), str(told.get("message") or error)
    digits = str(code)
    if digits.isdecimal() and 400 <= int(digits) < 600:
        raise BodyError(said, int(digits))
    busy = any(word in f"{code} {told.get('type', '')}".lower() for word in BUSY_WORDS)
    raise BodyError(said, 503 if busy else 500)


def _text(content: Any) -> str:
    """Return the text of an answer: as it is, or the said parts of a list.

    Raises:
        RequestError: it is no text.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise RequestError(f"the answer is no text (its content is of type {type(content).__name__})")
    pieces: list[str] = []
    for part in content:
        fields = part if isinstance(part, Mapping) else vars(part) if hasattr(part, "__dict__") else {}
        kind, text = fields.get("type", "text"), part if isinstance(part, str) else fields.get("text")
        if kind in THOUGHTS:
            continue
        if not isinstance(text, str):
            raise RequestError(f"the answer is no text (a part of its content is of type {kind!r})")
        pieces.append(text)
    return "".join(pieces)


def _count(usage: Any, field: str) -> int:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and value > 0 else 0
