"""The score files that VLMEvalKit's evaluators leave beside a prediction file, with our compat numbers.

    <stem>_acc.csv     multiple choice: one line per split, fractions; open answers: one line, percent
    <stem>_score.csv   yes/no: percent
    <stem>_score.json  OCRBench: points by kind of text
    <stem>_rating.json Video-MME and its like: by column of the data set; MVBench: [right, asked, percent] by task

`SHAPES` says which families have which; any other has that of its samples' kind. Some leave numbers and no file. The
numbers are those of the family's aggregator, over the whole or over a part. Shapes are facts of ms-vlmeval 0.0.20
(the `evaluate` of each class).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vlmeval_mp.exchange.scoreshapes import (
    Job,
    Numbers,
    ScoreFile,
    Shape,
    all_groups,
    by_split,
    category_of,
    fractions,
    groups,
    hundred,
    one_line,
    percents,
    rating_by,
    right_of_all,
    table_of,
    tallies,
    yes_or_no,
)
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.families import breakdowns_of


def figures(job: Job) -> ScoreFile:
    """MME: the points of perception and reasoning, then of each category."""
    whole = job.metrics(job.scored)
    line: Numbers = {area: whole.get(f"{area}_points", 0.0) for area in ("perception", "reasoning")}
    return one_line(
        "_score.csv", line | {name: job.primary(part) for name, part in groups(job.scored, category_of).items()}
    )


def rates_by(*columns: str, **renamed: str) -> Shape:
    """POPE and HallusionBench: percent, a line for the whole and for each group of `columns`."""

    def shape(job: Job) -> ScoreFile:
        listed = breakdowns_of(job.scorer)[1]
        lines: list[dict[str, Any]] = []
        for split, part in {"Overall": job.scored, **all_groups(job.scored, columns, listed)}.items():
            found = job.metrics(part)
            lines.append({"split": split} | {n: 100 * (found[metric] or 0.0) for n, metric in renamed.items()})
        return ScoreFile("_score.csv", table_of(lines), by_split(lines))

    return shape


def areas(job: Job) -> ScoreFile:
    """AMBER: percent by area, then their mean."""
    found = job.metrics(job.scored)
    named = {name.removesuffix("_accuracy"): v for name, v in found.items() if name.endswith("_accuracy")}
    mean = named.pop("average")
    line = {name.capitalize(): hundred(value) for name, value in named.items()} | {"Avg ACC": hundred(mean)}
    return one_line("_score.csv", line)


def binary(job: Job) -> ScoreFile:
    """VSR: percent, but F1 as a fraction."""
    found = job.metrics(job.scored)
    line = {name: hundred(found[m]) for name, m in (("precision",) * 2, ("recall",) * 2, ("acc", "accuracy"))}
    return one_line("_score.csv", line | {"f1_score": found["f1"]})


def points(job: Job) -> ScoreFile:
    """OCRBench: the points of each area, and of all, as an object."""
    found = job.metrics(job.scored)
    areas = {name: int(found.get(f"{area}_points") or 0) for name, area in _OCR_AREAS.items()}
    whole = int(found["final_score_points"] or 0)
    board: dict[str, float] = {**areas, "Final Score": whole, "Final Score Norm": whole / 10}
    content = json.dumps(board, indent=4, ensure_ascii=False).encode()
    return ScoreFile("_score.json", content, {name: float(value) for name, value in board.items()})


_OCR_AREAS = {
    "Text Recognition": "text_recognition",
    "Scene Text-centric VQA": "scene_vqa",
    "Doc-oriented VQA": "doc_vqa",
    "Key Information Extraction": "key_information",
    "Handwritten Mathematical Expression Recognition": "handwritten_math",
}


JUDGED = ("mathvista", "mathvision", "judge")
"""Families whose evaluators ask a judge first: what they would leave is not known without one."""

SHAPES: dict[str, Shape] = {
    "circular": fractions("circular_accuracy"),
    "mme": figures,
    "pope": rates_by("category", Overall="f1", acc="accuracy", precision="precision", recall="recall"),
    "hallusion": rates_by("category", "l2-category", aAcc="aAcc", fAcc="fAcc", qAcc="qAcc"),
    "amber": areas,
    "vsr": binary,
    "ocrbench": points,
    "videomme": rating_by(
        "domain", "sub_category", "task_type", over="duration", groups=("short", "medium", "long")
    ),
    "longvideobench": rating_by("question_category", over="duration_group", groups=("15", "60", "600", "3600")),
    "mvbench": right_of_all("task_type"),
    "mlvu": tallies("task_type"),
    "tempcompass-mcq": tallies("dim", "task_type"),
    "tempcompass-yesno": tallies("dim", "task_type"),
}  # fmt: skip


def score_file(scorer: str, scored: Sequence[ScoredSample]) -> ScoreFile | None:
    """Return the file for a job whose compat verdicts are `scored`; None if nothing is known of one."""
    if not scored or scorer in JUDGED:
        return None
    of_kind = {"mcq": fractions("accuracy"), "yorn": yes_or_no, "vqa": percents}
    shape = SHAPES.get(scorer) or of_kind[scored[0].sample.kind]
    return shape(Job(scorer, scored))
