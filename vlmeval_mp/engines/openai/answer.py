"""Reads an answer over HTTP: text, end and counts, or a failure that comes with status 200. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Completion

THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""Types of the parts of an answer that are not said."""
BUSY_WORDS = ("rate_limit", "overloaded", "unavailable", "capacity")
BUSY_SENTENCES = ("rate limit", "too many requests", "overloaded")
CONTENT_WORDS = ("content", "moderation", "flagged", "safety", "policy", "harmful", "violat", "inappropriate")
"""Words of a refusal that speaks of what was asked, not of the key."""
MARKED = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(
        ("content_filter", "safety", "sensitive", "recitation", "blocklist", "prohibited_content", "spii"),
        "content_filter",
    ),
}
"""Ends of an answer that are recorded, by the vendors' words; every other one is "stop"."""
BROKEN_OFF = frozenset(("error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled"))
"""Ends of an answer that the endpoint did not finish."""
SAID = ("message", "msg", "detail", "error_msg", "error_message")
CODES = ("code", "status", "status_code", "error_code", "type")
"""Fields of a body without choices that say what failed."""


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
    if not choices or choices[0] is None:
        _refuse_without_choices(answer)
    choice, usage = choices[0], getattr(answer, "usage", None)
    _refuse_error(choice)
    end = str(getattr(choice, "finish_reason", None) or "").lower().replace("-", "_")
    if end in BROKEN_OFF:
        raise BodyError(f"the answer was broken off (finish_reason {choice.finish_reason!r})")
    if getattr(choice, "message", None) is None:
        raise BodyError("the answer has no message")
    text, refusal = _text(choice.message.content), _refusal(choice.message)
    finish = MARKED.get(end, "stop")
    if finish == "content_filter" and not text and not refusal:
        raise RequestError("the endpoint filtered the answer")
    refused = bool(refusal.strip()) and not text
    return Completion(
        text=refusal if refused else text,
        finish_reason="refusal" if refused else finish,
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
    _raise(told.get("code", told.get("type", "")), str(told.get("message") or error), str(told.get("type", "")))


def _refuse_without_choices(answer: Any) -> NoReturn:
    """Raise what an answer says in the place of its choices."""
    if isinstance(answer, str):
        raise BodyError(f"the answer has no choices; it is a text, beginning {answer[:100]!r}")
    said = next((str(each) for name in SAID if (each := getattr(answer, name, None))), "")
    code = next((each for name in CODES if (each := getattr(answer, name, None))), "")
    _raise(code, f"the answer has no choices: {said}" if said else "the answer has no choices")


def _raise(code: Any, said: str, kind: str = "") -> NoReturn:
    digits = str(code)
    if digits.isdecimal() and 400 <= int(digits) < 600:
        raise BodyError(said, int(digits))
    named = f"{code} {kind}".lower()
    if any(word in named for word in BUSY_WORDS) or any(word in said.lower() for word in BUSY_SENTENCES):
        raise BodyError(said, 503)
    raise BodyError(said, 400 if any(word in named for word in CONTENT_WORDS) else 500)


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
        fields = _fields(part)
        kind, text = fields.get("type", "text"), part if isinstance(part, str) else fields.get("text")
        if kind in THOUGHTS or kind == "refusal" or (text is None and "text" in fields):
            continue
        if not isinstance(text, str):
            raise RequestError(f"the answer is no text (a part of its content is of type {kind!r})")
        pieces.append(text)
    return "".join(pieces)


def _refusal(message: Any) -> str:
    """Return the words with which a message refuses, in its own field or in a part of its content."""
    own = getattr(message, "refusal", None)
    if isinstance(own, str):
        return own
    parts = message.content if isinstance(message.content, list) else []
    said = (fields.get("refusal") for part in parts if (fields := _fields(part)).get("type") == "refusal")
    return "".join(each for each in said if isinstance(each, str))


def _fields(part: Any) -> Mapping[str, Any]:
    return part if isinstance(part, Mapping) else vars(part) if hasattr(part, "__dict__") else {}


def _count(usage: Any, field: str) -> int:
    value = getattr(usage, field, None)
    return int(value) if isinstance(value, int | float) and 0 < value < math.inf else 0
