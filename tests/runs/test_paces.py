"""What the pace of a job is taken to be, before and after its first answers."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Answered, Job
from vlmeval_mp.runs import paces
from vlmeval_mp.runs.paces import Pace


def job(model: str, dataset: str) -> Job:
    return Job(name=f"{model}__{dataset}", model=model, dataset=dataset, folder=f"/d/{dataset}", samples=100)


PICTURES, VIDEOS = job("m", "pictures"), job("m", "videos")
OTHER_PICTURES, OTHER_VIDEOS = job("n", "pictures"), job("n", "videos")
JOBS = (PICTURES, VIDEOS, OTHER_PICTURES, OTHER_VIDEOS)


def of(answered: dict[Job, Answered], earlier: dict[Job, float], usual: dict[str, float], of: Job) -> Pace | None:
    left = {j.name: j.samples - answered[j].samples if j in answered else j.samples for j in JOBS}
    by_name = {j.name: found for j, found in answered.items()}
    return paces.of_jobs(JOBS, left, by_name, {j.name: s for j, s in earlier.items()}, usual).get(of.name)


def test_earlier_launches_fade_while_a_job_is_answered() -> None:
    for samples, expected in ((0, 4.0), (5, 0.8 * 4 + 0.2 * 2), (25, 2.0), (90, 2.0)):
        answered = {VIDEOS: Answered(samples, 2.0 * samples)} if samples else {}
        assert of(answered, {VIDEOS: 4.0}, {}, VIDEOS) == Pace(pytest.approx(expected))  # type: ignore[arg-type]


def test_without_an_answer_of_its_own_a_job_has_the_pace_that_is_nearest() -> None:
    pictures = {PICTURES: Answered(50, 5.0)}
    both_there = {OTHER_PICTURES: 0.2, OTHER_VIDEOS: 6.0}
    assert of(pictures, both_there, {"m": 9.0}, VIDEOS) == Pace(pytest.approx(3.0)), "twice as fast as the other model"
    assert of(pictures, {}, {"m": 9.0}, VIDEOS) == Pace(0.1, known=False), "as its other data set now"
    assert of({}, {OTHER_VIDEOS: 6.0}, {"m": 9.0}, VIDEOS) == Pace(9.0, known=False), "as its other data sets before"
    assert of({}, {OTHER_VIDEOS: 6.0}, {}, VIDEOS) == Pace(6.0), "as the same data set with the other model"
    assert of({OTHER_PICTURES: Answered(50, 5.0)}, {}, {}, VIDEOS) == Pace(0.1, known=False), "as anything at all"
    assert of({}, {}, {}, VIDEOS) is None
