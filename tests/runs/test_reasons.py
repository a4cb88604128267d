"""Errors that have one cause count together."""

import pytest

from vlmeval_mp.runs.reasons import MOST, OTHER, Reasons, reason


@pytest.mark.parametrize(
    ("error", "shared"),
    [
        ("d.tsv row 7, column 'image_path': file 'a/7.png' does not exist inside /data, /more", "image missing"),
        ("d.tsv row 7, column 'video': file 'v 7' does not exist inside /data", "video missing"),
        ("image 2 (a/x.png): has 99 x 12,000 pixels; is refused", "image has N x N pixels; is refused"),
        ("the prompt has 5000 tokens; the model takes 4096", "the prompt has N tokens; the model takes N"),
        ("scripted to fail: request '17'", "scripted to fail: request …"),
        ("http://h:8000/v1 failed 3 times", "… failed N times"),
    ],
)  # fmt: skip
def test_what_is_the_samples_own_goes(error: str, shared: str) -> None:
    assert reason(error) == shared


def test_a_thousand_different_errors_are_not_a_thousand_reasons() -> None:
    reasons = Reasons()
    for number in range(1000):
        reasons.add("x" * (number % 60) + ("y" * (number // 60)))
    assert len(reasons.counts()) == MOST + 1
    assert sum(reasons.counts().values()) == 1000
    assert OTHER in reasons.counts()
