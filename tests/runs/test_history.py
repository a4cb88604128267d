"""What earlier launches took, and what follows for the next one."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Answered, ServingSpan
from vlmeval_mp.runs import history
from vlmeval_mp.runs.history import JobPace, PastLaunch, Setting

HERE = Setting("AMD EPYC, 1 core", 1, "fake", "/m")


def past(time: float = 1.0, setting: Setting = HERE, *jobs: JobPace, startup: float = 5.0) -> PastLaunch:
    return PastLaunch(time, setting, startup, jobs=jobs)


def test_worker_seconds_of_jobs_add_up_to_the_time_in_which_the_worker_had_any() -> None:
    served = {
        ("w0", "a"): ServingSpan(first=0.0, last=10.0, answered=100),
        ("w0", "b"): ServingSpan(first=8.0, last=18.0, answered=300),
        ("w1", "a"): ServingSpan(first=2.0, last=6.0, answered=40),
        ("w1", "c"): ServingSpan(first=6.0, last=6.0, answered=0),
    }
    found = history.worker_seconds(served)
    assert sum(found.values()) == pytest.approx(18.0 + 4.0)
    assert found["b"] == pytest.approx(8.0 + 2.0 * 30 / 40), "the shared seconds go by how fast each was answered"
    assert "c" not in found
    assert history.answered(served)["a"] == Answered(140, pytest.approx(found["a"]))  # type: ignore[arg-type]


def test_the_pace_of_the_same_data_set_counts_before_that_of_others() -> None:
    own = JobPace("set", 16, samples=100, seconds=50.0, tokens_in=1, tokens_out=1)
    other = JobPace("other", 16, samples=100, seconds=900.0, tokens_in=100 * 200, tokens_out=100 * 10)
    found = history.expected([past(2.0, HERE, own, other)], "set", 16, 30, prompt=None)
    assert found is not None
    assert found.seconds == pytest.approx(15.0)
    assert "its own pace in one earlier launch" in found.basis


def test_what_a_sample_took_is_known_of_a_data_set_and_of_the_model() -> None:
    one = JobPace("one", 16, samples=100, seconds=50.0, tokens_in=1, tokens_out=1)
    two = JobPace("two", 16, samples=300, seconds=950.0, tokens_in=1, tokens_out=1)
    lines = [past(2.0, HERE, one, two)]
    assert history.pace_of(lines, "one", 16) == 0.5
    assert history.pace_of(lines, "one", 32) is None, "longer answers are another job"
    assert history.pace(lines) == 2.5
    assert history.pace([]) is None


def test_another_data_set_counts_by_its_tokens_where_the_prompt_was_measured() -> None:
    other = JobPace("other", 16, samples=100, seconds=28.0, tokens_in=100 * 200, tokens_out=100 * 10)
    lines = [past(1.0, HERE, other)]
    assert history.expected(lines, "set", 16, 50, prompt=None) is None
    twice = history.expected(lines, "set", 16, 50, prompt=480.0)
    assert twice is not None
    assert twice.seconds == pytest.approx(50 * 0.28 * 2), "480 + 8 x 10 tokens cost twice what 200 + 8 x 10 do"
    longer = history.expected(lines, "other", 32, 50, prompt=200.0)
    assert longer is not None and "other data sets" in longer.basis, "longer answers are another job"


def test_lines_of_other_settings_and_torn_lines_are_passed_over(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    there = Setting("NVIDIA H200", 1, "fake", "/m")
    history.append(path, [past(1.0), past(2.0, there), past(3.0)])
    path.write_bytes(path.read_bytes() + b'{"time": 4')
    assert [each.time for each in history.read(path, HERE)] == [3.0, 1.0]
    assert history.startup(history.read(path, HERE)) == 5.0
    assert history.read(tmp_path / "none.jsonl", HERE) == []


def test_a_model_whose_folder_is_no_text_has_its_line_and_a_full_disk_costs_no_more_than_a_warning(
    tmp_path, caplog
) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, [past(1.0, Setting("GPU", 1, "fake", "/m\udcff")), past(2.0)])
    assert [each.time for each in history.read(path, HERE)] == [2.0]
    history.append(tmp_path, [past(3.0)])
    assert f"cannot write {tmp_path}" in caplog.text
