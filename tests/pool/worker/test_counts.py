"""What a worker counts of its outcomes, and over which time."""

from __future__ import annotations

from vlmeval_mp.core.records import Prediction, ServingSpan
from vlmeval_mp.pool.worker.counts import Counts


def test_a_span_begins_with_the_first_sample_asked_and_grows_with_each_outcome() -> None:
    moments = iter([10.0, 12.0, 15.0])
    counts = Counts(lambda: next(moments))
    counts.ask("a")
    counts.ask("a")
    counts.add("a", Prediction(index="0", row=0, prediction="A", prompt_tokens=5, completion_tokens=1))
    counts.add("a", Prediction(index="1", row=1, error="no"))
    assert counts.spans == {"a": ServingSpan(first=10.0, last=15.0, answered=2, tokens_in=5, tokens_out=1)}
    assert (counts.answered, counts.failed, counts.job) == (2, 1, "a")


def test_a_failure_proves_no_engine_and_what_was_never_asked_has_no_span() -> None:
    counts = Counts()
    counts.add("b", Prediction(index="0", row=0, error="given up"))
    assert (counts.proven, counts.spans, counts.answered) == (False, {}, 1)
    counts.add("b", Prediction(index="1", row=1, prediction="A"))
    assert counts.proven
