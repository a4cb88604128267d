from __future__ import annotations

from typing import Any

import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Prediction
from vlmeval_mp.pool.worker.alike import FirstOutcomes

HELD: Any = object()


def refusal(row: int, reason: str) -> Prediction:
    return Prediction(index=str(row), row=row, error=reason)


def rows(outcomes: list[tuple[Any, Prediction]]) -> list[int]:
    return [prediction.row for _, prediction in outcomes]


def test_refusals_wait_until_another_outcome_shows_that_not_all_fail() -> None:
    first = FirstOutcomes(5)
    assert [rows(first.add(HELD, refusal(n, f"{n} is too long"), refused=True)) for n in range(3)] == [[], [], []]
    assert rows(first.add(HELD, Prediction(index="3", row=3, prediction="A"), refused=False)) == [0, 1, 2, 3]
    assert [rows(first.add(HELD, refusal(n, "no"), refused=True)) for n in range(4, 20)] == [[n] for n in range(4, 20)]


def test_another_reason_is_another_outcome() -> None:
    first = FirstOutcomes(3)
    first.add(HELD, refusal(0, "the prompt has 9000 tokens"), refused=True)
    first.add(HELD, refusal(1, "the prompt has 12 tokens"), refused=True)
    assert rows(first.add(HELD, refusal(2, "an odd picture"), refused=True)) == [0, 1, 2]


def test_media_that_cannot_be_opened_tell_nothing_of_the_engine() -> None:
    first = FirstOutcomes(2)
    assert rows(first.add(HELD, refusal(0, "image 1 (a.png) is empty (0 bytes)"), refused=False)) == [0]
    assert rows(first.add(HELD, refusal(1, "no template"), refused=True)) == []
    assert rows(first.add(HELD, refusal(2, "image 1 (b.png) is empty (0 bytes)"), refused=False)) == [2]
    with pytest.raises(ConfigError, match=r"the first 2 samples all failed alike.*no template"):
        first.add(HELD, refusal(3, "no template"), refused=True)


def test_what_waits_at_the_end_is_handed_out_once() -> None:
    first = FirstOutcomes(5)
    first.add(HELD, refusal(0, "no"), refused=True)
    assert rows(first.rest()) == [0]
    assert first.rest() == []
