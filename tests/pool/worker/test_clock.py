from __future__ import annotations

import pytest

from vlmeval_mp.pool.worker.clock import Clock, occupation


def test_every_second_belongs_to_one_occupation_and_all_of_them_are_the_age() -> None:
    now = [100.0]
    clock = Clock("start", before=2.0, now=lambda: now[0])
    for at, kind in ((101.0, "loading"), (131.0, "idle"), (131.5, "rendering"), (133.0, "busy"), (140.0, "rendering")):
        now[0] = at
        clock.enter(kind)  # type: ignore[arg-type]
    now[0] = 141.0
    spent = clock.read()
    assert spent == {"start": 3.0, "loading": 30.0, "idle": 0.5, "rendering": 2.5, "busy": 7.0}
    assert sum(spent.values()) == 2.0 + 41.0
    assert clock.read() == spent, "reading changes nothing"


@pytest.mark.parametrize(
    ("in_engine", "rendering", "expected"),
    [
        (0, 0, "idle"),
        (0, 5, "rendering"),
        (1, 0, "busy"),  # the last sample of a run
        (3, 32, "rendering"),  # most of what there is waits for its pictures
        (9, 5, "busy"),
        (64, 200, "busy"),
        (63, 200, "rendering"),
    ],
)
def test_an_engine_that_waits_for_pictures_is_not_busy(in_engine: int, rendering: int, expected: str) -> None:
    assert occupation(in_engine, rendering, 256) == expected
