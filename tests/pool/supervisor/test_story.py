"""What a launch tells of itself, from its start to its end."""

from __future__ import annotations

from tests.runs.test_state import NOW, snapshot, supervisor, worker
from vlmeval_mp.core.records import Counts, ServingSpan, Summary, TimeSpent
from vlmeval_mp.pool.supervisor.story import Story, name_of, scored, total
from vlmeval_mp.runs.state import ShardCounts, fold


def test_a_worker_is_ready_once_and_the_first_answer_comes_once() -> None:
    story = Story()
    loads = worker(phase="loading", spent={"start": 2.0})
    assert [*story.changes(snapshot(workers=(loads,), live=("w0",), supervised=supervisor()))] == []
    ready = worker(spent={"start": 2.0, "loading": 38.0})
    facts = snapshot(workers=(ready,), live=("w0",), supervised=supervisor())
    assert [*story.changes(facts)] == ["w0 is ready with m after 40s"]
    answered = worker(answered=3, spans={"a": ServingSpan(first=NOW - 20, last=NOW - 15, answered=3)})
    facts = snapshot(workers=(answered,), live=("w0",), supervised=supervisor())
    assert [*story.changes(facts)] == ["first answer 45s after the start"]
    assert [*story.changes(facts)] == []


def test_the_limits_of_an_engine_are_told_once_for_each_model() -> None:
    told = {"max_model_len": 32768, "enable_prefix_caching": True, "limit_mm_per_prompt": {"image": 2, "video": 1}}
    both = (worker(limits=told), worker(worker="w1", owner="other", limits=told))
    story = Story()
    said = [*story.changes(snapshot(workers=both, live=("w0", "w1"), supervised=supervisor()))]
    assert [line for line in said if "max_model_len" in line] == [
        "m: max_model_len 32,768, enable_prefix_caching on, limit_mm_per_prompt image 2 and video 1"
    ]


def summary(**fields: object) -> Summary:
    known: dict[str, object] = {"model": "m", "dataset": "POPE", "primary_metric": "f1", "metrics": {"f1": 0.912}}
    known |= {"stderr": None, "counts": Counts(total=9, scored=9, unscored=0, failed=0), "by_category": {}}
    known |= {"by_l2_category": {}, "by_split": {}, "scorers": {}, "scoring": "strict", "interval": (0.899, 0.926)}
    return Summary(**{**known, **fields})  # type: ignore[arg-type]


def test_a_job_is_done_with_its_score() -> None:
    assert scored(summary(), alone=True) == "POPE done: 91.2 ±1.4"
    failed = summary(counts=Counts(total=9, scored=6, unscored=0, failed=3), metrics={"f1": None}, bounds=(0.2, 0.95))
    assert scored(failed, alone=False) == "m on POPE done: 20.0–95.0, 3 failed"
    assert scored(summary(problem="no judge"), alone=True) == "POPE done, without a score: no judge"


def test_the_end_says_what_it_came_to() -> None:
    settled = {"a": ShardCounts(done=1, done_samples=100, failed_samples=2), "b": ShardCounts(done=1, done_samples=50)}
    state = fold(snapshot(settled, supervised=supervisor(finished=("a", "b"), ended=NOW)), NOW)
    text = total(state, TimeSpent(samples=150, serving=30.0))
    assert text == "finished: 150 of 150 samples in 1m 00s, 2 failed; 5.0 samples/s"


def test_a_model_is_named_in_events_only_where_there_are_several():
    assert name_of("m", "MMStar", alone=True) == "MMStar"
    assert name_of("m", "MMStar", alone=False) == "m on MMStar"
