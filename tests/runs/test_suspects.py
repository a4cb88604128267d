"""Suspicion is what supervisors recorded of deaths from inside, per job, whichever supervisor it was."""

from vlmeval_mp.runs import suspects
from vlmeval_mp.runs.suspects import Death, Suspects


def test_deaths_of_several_supervisors_add_up_and_other_jobs_do_not_count(tmp_path):
    first, second = Suspects(tmp_path / "s", "one"), Suspects(tmp_path / "s", "two")
    first.note([Death(job="a", rows=(1, 2, 3)), Death(job="b", rows=(1,), proven=True)])
    second.note([Death(job="a", rows=(2,), proven=True)])
    found = suspects.read(tmp_path / "s", "a")
    assert dict(found.together) == {1: 1, 2: 2, 3: 1}
    assert dict(found.alone) == {2: 1}


def test_a_death_with_one_sample_in_an_engine_that_answered_nothing_is_not_its_own(tmp_path):
    Suspects(tmp_path / "s", "one").note([Death(job="a", rows=(4,), proven=False)])
    assert suspects.read(tmp_path / "s", "a").alone == {}


def test_once_a_killer_is_found_a_death_counts_whose_other_samples_were_all_answered_since(tmp_path):
    writer = Suspects(tmp_path, "one")
    writer.note([Death(job="a", rows=(1, 2, 3)), Death(job="a", rows=(2,), proven=True)])
    found = suspects.read(tmp_path, "a")
    assert found.against(2, answered={1, 3}) == 1, "no killer is known, so only deaths alone count"
    writer.note([Death(job="a", rows=(9,), proven=True)] * 2)
    found = suspects.read(tmp_path, "a")
    assert found.against(9, answered=set()) == 2
    assert found.against(2, answered={1}) == 1
    assert found.against(2, answered={1, 3}) == 2
    assert found.against(1, answered={3}) == 0


def test_a_damaged_line_is_skipped_and_nothing_recorded_is_no_suspicion(tmp_path):
    assert suspects.read(tmp_path / "none", "a").together == {}
    Suspects(tmp_path, "one").note([Death(job="a", rows=(4,))])
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"{torn" + path.read_bytes()[3:] + path.read_bytes())
    assert dict(suspects.read(tmp_path, "a").together) == {4: 1}
