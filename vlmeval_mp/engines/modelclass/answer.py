"""Turns the return value of a model class into a completion, or into an error if it holds no text.

VLMEvalKit records `str(answer)`, so that a failure there becomes a sentence in the prediction column; here it is typed.
"""

from __future__ import annotations

from typing import Any

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Completion
from vlmeval_mp.engines.microbatch import Outcome

FAILED = "Failed to obtain answer"
"""The first words of texts that VLMEvalKit's API classes, and its SKIP_ERR, return instead of an answer."""


def outcome(answer: Any, model: Any) -> Outcome:
    """Return a string, or an object with `prediction` (and, if the class counts, `finish_reason` and tokens), or a
    failure.

    Of a tuple or list the first element counts: some classes give (text, what they thought) or a batch of one.
    """
    said: dict[str, Any] = {}
    if isinstance(answer, dict):
        if "prediction" not in answer:
            return RequestError(f"the model class gave an object without 'prediction'; its keys are {sorted(answer)}")
        said, answer = answer, answer["prediction"]
    if isinstance(answer, tuple | list) and answer:
        answer = answer[0]
    if isinstance(answer, Exception):
        return RequestError(" ".join(str(answer).split()) or type(answer).__name__)
    if not isinstance(answer, str):
        return RequestError(f"the model class gave no text but {_kind(answer)}")
    if answer.startswith((FAILED, getattr(model, "fail_msg", None) or FAILED)):
        return RequestError(answer)
    return Completion(
        text=str(answer),
        finish_reason="length" if said.get("finish_reason") == "length" else "stop",
        prompt_tokens=_count(said.get("prompt_tokens")),
        completion_tokens=_count(said.get("completion_tokens")),
    )


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
