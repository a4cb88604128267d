"""What an endpoint's answer holds, whatever form it comes in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.endpoint import Endpoint, endpoint
from tests.engines.contract import ask
from vlmeval_mp.core.errors import ConfigError, RequestError
from vlmeval_mp.core.records import Completion
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.openai.engine import MOST_TURNED_AWAY, OpenaiEngine

FLAGGED = (403, {}, {"message": "your input was flagged for violence", "code": 403})
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as server:
        yield server


def body(content: Any, finish: str | None = "stop", usage: Any = USAGE, **message: Any) -> str:
    said = {"role": "assistant", "content": content, **message}
    choices = [{"index": 0, "finish_reason": finish, "message": said}]
    whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": usage}
    return json.dumps(whole)


NO_CHOICES = json.dumps(json.loads(body("B")) | {"choices": []})


def failure(code: Any, message: str = "Upstream provider is overloaded") -> str:
    return json.dumps({"error": {"message": message, "code": code}, "id": None, "choices": None})


async def answers(server: Endpoint, *steps: Any, asked: int = 1, **args: Any) -> list[Completion | RequestError]:
    """What each of `asked` requests in a row comes to, where the endpoint answers by `steps`."""
    server.script = list(steps)
    wanted = {"base_url": server.url, "max_retries": 1, "wait": 2.0} | args
    engine = OpenaiEngine(EngineSpec(model="m", args=wanted))
    await engine.start()
    found: list[Completion | RequestError] = []
    try:
        for number in range(asked):
            try:
                found.append(await engine.generate(ask(str(number), "What?")))
            except RequestError as error:
                found.append(error)
    finally:
        await engine.close()
    return found


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (body("B"), Completion("B", "stop", 1, 1)),
        (body("B", "length"), Completion("B", "length", 1, 1)),
        (body("B", usage=dict.fromkeys(USAGE)), Completion("B", "stop", 0, 0)),
        (body("B", usage=None), Completion("B", "stop", 0, 0)),
        (body("B", "content_filter"), Completion("B", "content_filter", 1, 1)),
        (body(None, refusal="I can't help."), Completion("I can't help.", "refusal", 1, 1)),
        (body([{"type": "thinking", "thinking": [{"type": "text", "text": "A?"}]}, {"type": "text", "text": "B"}]),
         Completion("B", "stop", 1, 1)),
        (body([{"type": "text", "text": "B"}, {"type": "text", "text": "!"}]), Completion("B!", "stop", 1, 1)),
        (body(["B", "!"]), Completion("B!", "stop", 1, 1)),
        (body([]), Completion("", "stop", 1, 1)),
        (body([{"type": "text", "text": None}, {"type": "text", "text": "B"}]), Completion("B", "stop", 1, 1)),
        (body([{"type": "refusal", "refusal": "I can't help."}]), Completion("I can't help.", "refusal", 1, 1)),
        (body("B", "MAX_TOKENS"), Completion("B", "length", 1, 1)),
        (body("B", "model_length"), Completion("B", "length", 1, 1)),
        (body("B", "SAFETY"), Completion("B", "content_filter", 1, 1)),
        (body("B", "content-filter"), Completion("B", "content_filter", 1, 1)),
        (body("B", None), Completion("B", "stop", 1, 1)),
        (body(None, "tool_calls"), Completion("", "stop", 1, 1)),
        (body("B", usage={"prompt_tokens": 3.0, "completion_tokens": -1}), Completion("B", "stop", 3, 0)),
    ],
)  # fmt: skip
async def test_an_answer_is_read_as_it_was_meant(server: Endpoint, step: str, expected: Completion) -> None:
    assert await answers(server, step) == [expected]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (body(4), "is no text (its content is of type int)"),
        (body({"text": "B"}), "is no text (its content is of type dict)"),
        (body([{"type": "image", "url": "x"}]), "is no text (a part of its content is of type 'image')"),
        (body(None, "content_filter"), "filtered the answer"),
        (body(None, "sensitive"), "filtered the answer"),
        (body(True), "is no text (its content is of type bool)"),
        (failure("content_policy_violation", "not this picture"), "refuses the request: not this picture"),
        (failure(400, "prompt too long"), "refuses the request: prompt too long"),
    ],
)
async def test_what_is_no_answer_is_the_error_of_one_sample(server: Endpoint, step: str, message: str) -> None:
    failed, after = await answers(server, step, asked=2)
    assert isinstance(failed, RequestError)
    assert message in str(failed)
    assert isinstance(after, Completion)


@pytest.mark.parametrize(
    "step",
    [
        body("B is par", "error"), failure(502), failure("overloaded_error"), failure(500), NO_CHOICES,
        body("B is par", "abort"), body("", "insufficient_system_resource"), failure(None, "Rate limit reached"),
        '{"choices": [null]}', '{"choices": [{"index": 0, "finish_reason": "stop", "message": null}]}',
        '{"object": "error", "message": "busy", "code": 503}',
    ],
)  # fmt: skip
async def test_a_failure_in_the_body_is_asked_again(server: Endpoint, step: str) -> None:
    (done,) = await answers(server, step)
    assert isinstance(done, Completion)
    assert done.text == "seven"
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (body("B is par", "error"), "the answer was broken off"),
        (failure(500, "out of paper"), "failed 2 times: out of paper"),
        (NO_CHOICES, "the answer has no choices"),
        ('{"detail": "no such shelf"}', "failed 2 times: the answer has no choices: no such shelf"),
        ('{"error_code": 18, "error_msg": "out of paper"}', "the answer has no choices: out of paper"),
        ('{"choices": [{"index": 0, "finish_reason": "stop", "message": null}]}', "the answer has no message"),
    ],
)  # fmt: skip
async def test_a_failure_that_stays_says_the_vendor_s_words(server: Endpoint, step: str, message: str) -> None:
    failed, after = await answers(server, step, step, asked=2)
    assert message in str(failed)
    assert isinstance(after, Completion)


async def test_a_refusal_for_contents_is_one_sample_s_error_even_if_it_comes_first(server: Endpoint) -> None:
    failed, after = await answers(server, FLAGGED, asked=2)
    assert "flagged for violence" in str(failed)
    assert isinstance(after, Completion)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_after_others_were_answered_is_one_sample_s_error(server: Endpoint, status: int) -> None:
    first, failed, after = await answers(server, 200, (status, {}, {"message": "no"}), asked=3)
    assert isinstance(first, Completion)
    assert isinstance(failed, RequestError)
    assert isinstance(after, Completion)


async def test_refusals_one_after_the_other_are_about_the_key_again(server: Endpoint) -> None:
    with pytest.raises(ConfigError, match=r"wants a key|refuses the key"):
        await answers(server, 200, *[(401, {}, {"message": "no"})] * (MOST_TURNED_AWAY + 1), asked=MOST_TURNED_AWAY + 2)
    with pytest.raises(ConfigError, match=r"wants a key|refuses the key"):
        await answers(server, (401, {}, {"message": "no"}))
