"""The numbers that benchmarks publish, from verdicts: by hand, and their errors against repeated draws."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

import pytest

from vlmeval_mp.core.records import Media, Prediction, Sample, Score
from vlmeval_mp.scoring.base import Aggregator, Metric, ScoredSample
from vlmeval_mp.scoring.families import FAMILIES, check
from vlmeval_mp.scoring.metrics import jointly, metrics, rates
from vlmeval_mp.scoring.metrics.groups import grouped


def scored(index: str, value: float | None, said: str = "", error: str | None = None, **fields: object) -> ScoredSample:
    media = (Media(kind="image", digest=str(fields.pop("image"))),) if "image" in fields else ()
    sample = Sample(index=index, row=0, kind="mcq", media=media, **fields)  # type: ignore[arg-type]
    prediction = Prediction(index=index, row=0, prediction="x", error=error)
    return ScoredSample(sample, prediction, Score(index=index, value=value, extracted=said))


def values(found: dict[str, Metric]) -> dict[str, float | None]:
    return {name: metric.value for name, metric in found.items()}


# --- MMBench ---------------------------------------------------------------------------------------------------


def rotations(question: int, *verdicts: float | None, error: str | None = None) -> list[ScoredSample]:
    return [
        scored(str(question + 1_000_000 * turn), v, error=error if v is None else None, image=question)
        for turn, v in enumerate(verdicts)
    ]


def test_a_circular_question_is_right_if_every_rotation_is() -> None:
    rows = [*rotations(1, 1.0, 1.0, 1.0), *rotations(2, 1.0, 0.0, 1.0), *rotations(3, 1.0, 1.0)]
    found = jointly.circular(rows, "strict")
    assert values(found) == {
        "circular_accuracy": pytest.approx(2 / 3),
        "circular_accuracy_all": pytest.approx(2 / 3),
        "vanilla_accuracy": 7 / 8,
        "unrotated_accuracy": 1.0,
    }
    assert next(iter(found)) == "circular_accuracy"
    assert found["circular_accuracy"].stderr == pytest.approx(statistics.stdev([1, 0, 1]) / math.sqrt(3))


def test_g_index_says_which_samples_are_rotations_of_one_question() -> None:
    rows = [
        scored("10", 1.0, extra={"g_index": "10"}),
        scored("11", 0.0, extra={"g_index": "10.0"}),
        scored("12", 1.0, extra={"g_index": "12"}),
    ]
    assert jointly.circular(rows, "strict")["circular_accuracy"].value == 0.5


def test_a_question_without_its_unrotated_sample_is_left_out_in_compat_only() -> None:
    rows = [*rotations(1, 1.0, 1.0), *rotations(2, 0.0, 0.0)[1:]]
    assert jointly.circular(rows, "compat")["circular_accuracy"].value == 1.0
    assert jointly.circular(rows, "strict")["circular_accuracy"].value == 0.5


def test_a_failed_rotation_leaves_a_question_open_unless_another_is_wrong() -> None:
    rows = [*rotations(1, 1.0, None, error="broken"), *rotations(2, 0.0, None, error="broken"), *rotations(3, 1.0, 1.0)]
    found = values(jointly.circular(rows, "strict"))
    assert found["circular_accuracy"] == 0.5
    assert found["circular_accuracy_all"] == pytest.approx(1 / 3)


def test_an_index_that_is_no_number_is_a_question_of_its_own() -> None:
    assert jointly.circular([scored("a", 1.0), scored("b", 0.0)], "strict")["circular_accuracy"].value == 0.5


# --- MME -------------------------------------------------------------------------------------------------------


def pair(category: str, image: str, *verdicts: float | None) -> list[ScoredSample]:
    return [
        scored(f"{category}{image}{i}", v, category=category, image=category + image, extra={"image_path": image})
        for i, v in enumerate(verdicts)
    ]


def test_mme_adds_accuracy_and_accuracy_plus_of_each_category() -> None:
    rows = [*pair("OCR", "a", 1.0, 1.0), *pair("OCR", "b", 1.0, 0.0), *pair("code_reasoning", "a", 0.0, 1.0)]
    found = values(jointly.mme(rows, "strict"))
    assert found["perception_points"] == pytest.approx(75 + 50)
    assert found["reasoning_points"] == pytest.approx(50 + 0)
    assert found["total_points"] == pytest.approx(175)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["accuracy_plus"] == pytest.approx(1 / 3)


def test_mme_in_compat_looks_at_the_first_two_questions_of_an_image() -> None:
    rows = [*pair("OCR", "a", 1.0, 1.0, 0.0), *pair("OCR", "b", 1.0, 1.0)]
    assert jointly.mme(rows, "compat")["accuracy_plus"].value == 1.0
    assert jointly.mme(rows, "strict")["accuracy_plus"].value == 0.5


def test_an_image_with_one_question_counts_in_accuracy_only() -> None:
    found = values(jointly.mme([*pair("OCR", "a", 1.0), *pair("OCR", "b", 1.0, 0.0)], "strict"))
    assert found["accuracy_plus"] == 0.0
    assert found["total_points"] == pytest.approx(200 / 3)


def test_the_error_of_mme_points_is_their_spread_over_repeated_draws() -> None:
    def draw(chance: random.Random) -> list[ScoredSample]:
        rows: list[ScoredSample] = []
        for category, images in (("OCR", 40), ("count", 60)):
            for image in range(images):
                easy = chance.random()
                rows += pair(category, str(image), *(float(chance.random() < easy) for _ in range(2)))
        return rows

    spread(lambda rows, mode: jointly.mme(rows, mode), "total_points", draw)


# --- HallusionBench --------------------------------------------------------------------------------------------


def test_hallusion_counts_questions_figures_and_question_pairs() -> None:
    # VD_figure_<l2>_<set>_<figure>_<question>
    rows = [
        scored("VD_figure_0_0_1_0", 1.0, l2_category="figure"),
        scored("VD_figure_0_0_1_1", 1.0, l2_category="figure"),
        scored("VD_figure_0_0_2_0", 0.0, l2_category="figure"),
        scored("VD_figure_0_0_2_1", 1.0, l2_category="figure"),
    ]
    found = values(jointly.hallusion(rows, "strict"))
    assert found["aAcc"] == 0.75
    assert found["fAcc"] == 0.5
    assert found["qAcc"] == 0.5
    assert found["mean"] == pytest.approx((0.75 + 0.5 + 0.5) / 3)


# --- POPE ------------------------------------------------------------------------------------------------------


def asked(rows: Sequence[tuple[str, str]], category: str = "") -> list[ScoredSample]:
    return [
        scored(str(i), float(gold == said), said, answer=gold, category=category) for i, (gold, said) in enumerate(rows)
    ]


def test_pope_rates_are_those_of_the_confusion_matrix() -> None:
    rows = asked([("Yes", "Yes")] * 3 + [("Yes", "No")] + [("No", "Yes")] * 2 + [("No", "No")] * 3 + [("No", "")])
    found = values(rates.yes_rates("f1")(rows, "strict"))
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert found["accuracy"] == pytest.approx(6 / 10)
    assert found["yes_ratio"] == pytest.approx(5 / 10)
    assert next(iter(found)) == "f1"


def test_a_pope_sample_of_three_categories_counts_three_times_in_compat_only() -> None:
    rows = [*asked([("Yes", "Yes")], "a,b,c"), *asked([("Yes", "No")], "a")]
    explode = rates.yes_rates("f1", exploded=True)
    assert explode(rows, "compat")["recall"].value == 0.75
    assert explode(rows, "strict")["recall"].value == 0.5
    by_category = grouped(rows, "category", ("category",))
    assert {name: len(part) for name, part in by_category.items()} == {"a": 2, "b": 1, "c": 1}
    assert explode(by_category["a"], "compat")["recall"].value == 0.5


def test_rates_of_nothing_are_zero_where_there_are_answers() -> None:
    found = rates.yes_rates("f1")(asked([("No", "No"), ("No", "No")]), "strict")
    assert found["f1"] == Metric(0.0)
    assert rates.yes_rates("f1")([], "strict")["f1"] == Metric(None)


def test_the_error_of_f1_is_its_spread_over_repeated_draws() -> None:
    def draw(chance: random.Random) -> list[ScoredSample]:
        rows = []
        for image in range(60):
            easy = 0.5 + chance.random() / 2
            for question in range(6):
                gold = "Yes" if question % 2 else "No"
                said = gold if chance.random() < easy else ("No" if question % 2 else "Yes")
                rows.append(scored(f"{image}.{question}", float(gold == said), said, answer=gold, image=image))
        return rows

    spread(rates.yes_rates("f1"), "f1", draw)


def spread(aggregate: Aggregator, name: str, draw: object) -> None:
    """The mean of the errors is the standard deviation of the values, within 10 %."""
    chance = random.Random(4)
    found = [aggregate(draw(chance), "strict")[name] for _ in range(300)]  # type: ignore[operator]
    deviation = statistics.stdev(m.value or 0.0 for m in found)
    assert statistics.fmean(m.stderr or 0.0 for m in found) == pytest.approx(deviation, rel=0.1)


# --- the others ------------------------------------------------------------------------------------------------


def test_ocrbench_counts_points_by_area() -> None:
    rows = [
        scored("0", 1.0, category="Handwriting Recognition"),
        scored("1", 1.0, category="Regular Text Recognition"),
        scored("2", 0.0, category="Doc-oriented VQA"),
        scored("3", None, error="broken", category="Doc-oriented VQA"),
    ]
    found = rates.ocrbench(rows, "strict")
    assert values(found) == {
        "final_score_points": 2.0,
        "final_score_norm_points": pytest.approx(0.2),
        "text_recognition_points": 2.0,
        "doc_vqa_points": 0.0,
        "accuracy": pytest.approx(2 / 3),
        "accuracy_all": 0.5,
    }
    assert found["final_score_points"].stderr == pytest.approx(3 * (found["accuracy"].stderr or 0))


def test_a_macro_mean_gives_each_task_the_same_weight() -> None:
    rows = [scored(str(i), 1.0, category="big") for i in range(9)] + [scored("9", 0.0, category="small")]
    found = metrics.macro("task_mean_accuracy", "category")(rows, "strict")
    assert next(iter(found)) == "task_mean_accuracy"
    assert found["task_mean_accuracy"].value == 0.5
    assert found["accuracy"].value == 0.9
    assert next(iter(metrics.macro("task_mean_accuracy", "category")(rows, "compat"))) == "accuracy"


def test_the_split_that_is_published_comes_first() -> None:
    rows = [scored("0", 1.0, split="dev"), scored("1", 0.0, split="validation"), scored("2", 1.0, split="validation")]
    found = values(metrics.first_split("validation")(rows, "strict"))
    each = ["validation_accuracy", "dev_accuracy", "accuracy"]
    assert list(found) == [*each[:2], "validation_accuracy_all", "dev_accuracy_all", "accuracy", "accuracy_all"]
    assert found["validation_accuracy"] == 0.5
    assert found["dev_accuracy"] == 1.0


def test_groups_can_be_listed_or_paired() -> None:
    rows = [
        scored("0", 1.0, extra={"skills": "['a', 'b']", "duration": "short", "domain": "x"}),
        scored("1", 1.0, extra={"skills": "['b']", "duration": "long", "domain": "x"}),
        scored("2", 1.0),
    ]
    found = grouped(rows, "skills", ("skills",))
    assert {name: [s.sample.index for s in part] for name, part in found.items()} == {"a": ["0"], "b": ["0", "1"]}
    assert list(grouped(rows, "duration/domain")) == ["short/x", "long/x"]
    assert grouped(rows, "domain/duration") == {}


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"ocrbench"}))
def test_a_run_cannot_gain_by_failing_where_its_primary_number_counts_all(family: str) -> None:
    """OCRBench's points need no second number: a failed sample earns none."""
    common = {"category": "existence", "split": "validation", "extra": {"task_type": "x", "image_path": "p"}}
    right = [scored(str(i), 1.0, answer="Yes", said="Yes", **common) for i in range(2)]
    failed = scored("3", None, error="broken", answer="Yes", **common)
    found = values(check(family).aggregate([*right, failed], "strict"))
    primary = next(iter(found))
    assert (found[f"{primary}_all"] or 0.0) < (found[primary] or 0.0)


def test_a_failed_sample_lowers_f1_all_by_the_yes_that_it_did_not_say() -> None:
    rows = [scored("0", 1.0, answer="Yes", said="Yes"), scored("1", None, error="broken", answer="Yes")]
    found = values(rates.yes_rates("f1")(rows, "strict"))
    assert (found["f1"], found["f1_all"]) == (1.0, pytest.approx(2 / 3))


def test_answers_that_were_read_by_others_may_say_yes_in_any_case() -> None:
    rows = [scored("0", 1.0, answer="yes", said="yes"), scored("1", 1.0, answer="no", said="no")]
    assert values(rates.yes_rates("f1")(rows, "strict"))["f1"] == 1.0
