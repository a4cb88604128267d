from __future__ import annotations

from vlmeval_mp.core.records import TimeSpent
from vlmeval_mp.display import spent


def test_the_line_names_the_largest_share_first_and_what_the_time_brought() -> None:
    found = TimeSpent({"loading": 30.0, "busy": 68.0, "idle": 2.0, "draining": 0.1}, 340, 34_000, 680, 34.0)
    assert spent.line(found) == (
        "1m 40s of workers: 68 % engine busy, 30 % loading, 2 % waiting for work; "
        "10.0 samples/s, 1,000 tokens/s in, 20 tokens/s out"
    )


def test_nothing_is_said_of_a_launch_without_workers() -> None:
    assert spent.line(None) == spent.line(TimeSpent()) == ""
