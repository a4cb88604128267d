"""Samples are scored once per mode, and a job's files do not depend on how they came about."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest

from vlmeval_mp.core.records import Media, Prediction, Sample
from vlmeval_mp.runs import results, verdicts
from vlmeval_mp.runs.verdicts import Slim, Verdicts
from vlmeval_mp.scoring import score_all
from vlmeval_mp.scoring.base import Rules
from vlmeval_mp.scoring.summary import summarize


def pairs_of(answers, texts, kind, **extra):
    found = []
    for row, (answer, text) in enumerate(zip(answers, texts, strict=True)):
        sample = Sample(
            index=f"q{row}",
            row=row,
            kind=kind,
            question="which?",
            options={"A": "cat", "B": "dog"} if kind == "mcq" else {},
            answer=answer,
            category="ab"[row % 2],
            media=(Media(kind="image", file="x", digest=str(row // 2)),),
            extra={name: values[row] for name, values in extra.items()},
        )
        error = None if text is not None else "image 1 is damaged"
        found.append((sample, Prediction(index=f"q{row}", row=row, prediction=text or "", error=error)))
    return found


LETTERS = pairs_of(["A", "B", "A", "B", ""], ["A", "(A) cat", None, "no idea", "A"], "mcq")
NUMBERS = pairs_of(["1", "2.0", "3"], ["1", "2", "3.0"], "vqa")
ANSWERS = ["yes", "yes", "no", "no", None, "no"]
PAIRED = pairs_of(["yes", "no"] * 3, ANSWERS, "yorn", image_path=["p", "p", "q", "q", "r", "r"])


class Walked:
    """Pairs that can be walked through, but have no length and no places, as those of a run."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __iter__(self):
        return iter(self.pairs)


@pytest.mark.parametrize("mode", ["strict", "compat"])
@pytest.mark.parametrize(
    ("pairs", "scorer"), [(LETTERS, ""), (LETTERS, "circular"), (NUMBERS, "exact"), (PAIRED, "mme"), (PAIRED, "pope")]
)
def test_what_is_written_one_by_one_is_what_the_whole_job_scored_at_once_gives(tmp_path, pairs, scorer, mode):
    rules = Rules(scorer=scorer, mode=mode)
    other = replace(rules, mode="strict" if mode == "compat" else "compat")
    ours, theirs = score_all(pairs, rules), score_all(pairs, other)
    kept = Verdicts(rules)
    for pair in pairs:
        kept.of(*pair)
    summary = results.write_pairs(tmp_path, "m", "d", Walked(pairs), rules, kept)
    assert summary == summarize("m", "d", ours, rules, theirs)
    assert results.read_scores(tmp_path, mode) == [s.score for s in ours]
    assert results.read_scores(tmp_path, other.mode) == [s.score for s in theirs]


def test_a_sample_is_scored_once_in_each_mode_however_often_its_verdict_is_needed(tmp_path, monkeypatch):
    scored, real = Counter(), verdicts.score

    def counting(sample, prediction, rules):
        scored[sample.index, rules.mode] += 1
        return real(sample, prediction, rules)

    monkeypatch.setattr(verdicts, "score", counting)
    kept = Verdicts(Rules())
    for pair in LETTERS:  # as its shard is done
        kept.of(*pair)
    results.write_pairs(tmp_path, "m", "d", LETTERS, Rules(), kept)
    assert set(scored.values()) == {1}
    assert len(scored) == 2 * len(LETTERS)


def test_samples_that_a_summary_cannot_tell_apart_are_one_object():
    slim = Slim(Rules())
    plain = [
        (Sample(index=str(i), row=i, kind="mcq", question=str(i)), Prediction(index=str(i), row=i)) for i in (1, 2)
    ]
    one, two = (slim.scored(*pair, verdicts.score(*pair)) for pair in plain)
    assert one is two


def test_a_verdict_that_is_kept_takes_a_few_bytes_for_each_row():
    rows, few = 4000, Verdicts(Rules())
    pairs = [
        (
            Sample(index=str(i), row=i, kind="mcq", question="?", answer="A", options={"A": "a", "B": "b"}),
            Prediction(index=str(i), row=i, prediction="A"),
        )
        for i in range(rows)
    ]
    few.of(*pairs[0])
    tracemalloc.start()
    for pair in pairs:
        few.of(*pair)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 24 * rows  # two modes of four bytes each, what an array reserves ahead, and no object of a row's own
