"""What benchmarks publish, from the same replies: our compat aggregates against what ms-vlmeval's `evaluate` gives."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.parity import evaluated
from vlmeval_mp.core.records import DataSpec, Prediction, Sample
from vlmeval_mp.datasets import gold
from vlmeval_mp.datasets import names as table
from vlmeval_mp.exchange import predictions as predictiontable
from vlmeval_mp.exchange.scorefiles import score_file
from vlmeval_mp.scoring import score_all
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.metrics.groups import grouped
from vlmeval_mp.scoring.summary import summarize

Row = dict[str, object]
Rows = Callable[[random.Random], list[Row]]


@dataclass(frozen=True)
class Published:
    """A benchmark in small, and its class there.

    `by`: it has no score file of ours, but there are rows right and asked by a column. `judged`: its class wants a
    judge, who is not asked here, because each reply can be read by rule; its numbers are right, asked and percent.
    """

    name: str
    kind: str
    rows: Rows
    replies: Sequence[str]
    by: str = ""
    fails: bool = True
    judged: bool = False


LETTERS = [
    "A",
    "B",
    "(C)",
    "**D**",
    "The answer is A.",
    "b",
    "dog",
    "no idea",
    "C. it has a beak, as you can see there",
]
YES_NO = ["Yes", "No", "yes, it is", "No, there is none.", "**No**", "Yes or no", "nothing", "是"]
SHORT = ["7", "6.9", "7.", "100%", "invoice 12", "Invoice 1", "dog", "the dog", "12,000", "x + y", "x+ y", ""]
OPTIONS: Row = {"A": "cat", "B": "dog", "C": "bird", "D": "fish"}


def pick(draw: random.Random, *values: object) -> object:
    return draw.choice(values)


def rotated(draw: random.Random, *, g_index: bool) -> list[Row]:
    """Questions in up to four rotations, by index or `g_index`; each of them of a category and an l2-category."""
    rows = []
    for turn in range(4):
        for question in range(1, 31):
            if turn and question % 5 == 0:
                continue
            own = 100 * question + turn if g_index else question + 1_000_000 * turn
            row = {"index": own, "question": f"q {question}", **OPTIONS, "answer": pick(draw, "A", "B")}
            row |= {"category": f"c{question % 4}", "split": "dev" if question % 3 else "test"}
            row |= {"l2-category": ("logic_reasoning", "coarse_perception")[question % 2]}
            rows.append(row | ({"g_index": 100 * question} if g_index else {}))
    return rows


def mme(draw: random.Random) -> list[Row]:
    names = ("OCR", "count", "posters", "code_reasoning", "text_translation")
    return [
        {"index": i, "question": "q", "answer": "Yes" if i % 2 else "No", "category": names[i // 2 % 5]}
        | {"image_path": f"{i // 2}.jpg"}
        for i in range(120)
    ]


def pope(draw: random.Random) -> list[Row]:
    several = ("adversarial,popular,random", "popular", "adversarial,random")
    return [
        {"index": i, "question": "q", "answer": pick(draw, "Yes", "No"), "category": several[i % 3]} for i in range(90)
    ]


def hallusion(draw: random.Random) -> list[Row]:
    rows: list[Row] = []
    for kind, l2 in (("VD", "figure"), ("VS", "chart"), ("VS", "table")):
        rows += [
            {"index": f"{kind}_{l2}_0_{s}_{f}_{q}", "question": "q", "answer": pick(draw, "Yes", "No")}
            | {"category": kind, "l2-category": l2}
            for s in range(4) for f in range(3) for q in range(2)
        ]  # fmt: skip
    return rows


def amber(draw: random.Random) -> list[Row]:
    kinds = ("discriminative-attribute-state", "discriminative-attribute-number", "discriminative-hallucination",
             "discriminative-relation", "relation")  # fmt: skip
    return [
        {"index": i, "question": "q", "answer": pick(draw, "yes", "no"), "category": kinds[i % 5], "image_path": f"{i}"}
        for i in range(80)
    ]


def yes_no(draw: random.Random) -> list[Row]:
    return [{"index": i, "question": "q", "answer": pick(draw, "Yes", "No")} for i in range(60)]


def ocrbench(draw: random.Random) -> list[Row]:
    names = ("Regular Text Recognition", "Handwriting Recognition", "Scene Text-centric VQA", "Doc-oriented VQA",
             "Key Information Extraction", "Handwritten Mathematical Expression Recognition")  # fmt: skip
    answers = ("['invoice 1']", "['7', 'dog']", "['x + y']")
    return [{"index": i, "question": "q", "answer": pick(draw, *answers), "category": names[i % 6]} for i in range(120)]


def mmmu(draw: random.Random) -> list[Row]:
    rows: list[Row] = []
    for i in range(90):
        row: Row = {
            "index": f"{('dev', 'validation')[i % 2]}_Art_{i}",
            "question": "q",
            "split": ("dev", "validation")[i % 2],
        }
        row |= {"category": ("Art", "Music")[i % 2], "l2-category": ("Art & Design", "Science")[i // 2 % 2]}
        rows.append(row | (OPTIONS | {"answer": pick(draw, *"ABCD")} if i % 3 else {"answer": pick(draw, "7", "dog")}))
    return rows


def choices(draw: random.Random) -> list[Row]:
    return [
        {
            "index": i,
            "question": "q",
            **OPTIONS,
            "answer": pick(draw, *"ABCD"),
            "category": ("Counting", "IQ_Test")[i % 7 < 2],
        }
        | {"split": "val"}
        for i in range(70)
    ]


def answers(*references: str, split: bool = False) -> Rows:
    def rows(draw: random.Random) -> list[Row]:
        found: list[Row] = []
        for i in range(60):
            extra: Row = {"split": ("human", "augmented")[i % 2]} if split else {"category": ("x", "y", "z")[i % 3]}
            found.append({"index": i, "question": "q", "answer": pick(draw, *references), **extra})
        return found

    return rows


def listed(column: str, *names: str, answer: Callable[[random.Random], Row], **more: Sequence[object]) -> Rows:
    """A video benchmark's rows with `candidates`, of `names` by `column`, and `more` columns that go around."""

    def rows(draw: random.Random) -> list[Row]:
        found: list[Row] = []
        for i in range(80):
            row: Row = {
                "index": i,
                "question": "q",
                "candidates": "['cat', 'dog', 'bird', 'fish']",
                column: names[i % len(names)],
            }
            row |= {name: values[i // 2 % len(values)] for name, values in more.items()}
            row |= {"video": f"{i}.mp4", "video_path": f"{i}.mp4", "prefix": "p", "suffix": ".mp4"}
            found.append(row | answer(draw))
        return found

    return rows


def element(draw: random.Random) -> Row:
    return {"answer": pick(draw, "cat", "dog", "bird", "fish")}


def maths(draw: random.Random) -> list[Row]:
    rows: list[Row] = []
    for i in range(60):
        row: Row = {
            "index": i,
            "question": "q",
            "category": ("algebra", "logic")[i % 3 > 0],
            "answer": pick(draw, "A", "B"),
        }
        row |= {"question_type": "multi_choice", "answer_type": "text", "choices": "['cat', 'dog', 'bird']"}
        row |= {"answer_option": row["answer"], "task": ("figure qa", "geometry")[i % 2]}
        rows.append(
            row | {"skills": ("['algebraic reasoning', 'statistical reasoning']", "['scientific reasoning']")[i % 2]}
        )
    return rows


TEN = ["7"] * 4 + ["dog"] * 3 + ["the dog"] * 3
TWO = ["A", "B", "A", "B", "b"]
TEMPCOMPASS = ["A. cat", "B. dog", "A", "B", "(A) cat", "A. no", "neither"]
PUBLISHED = [
    Published("MMBench_DEV_EN", "ImageMCQDataset", lambda draw: rotated(draw, g_index=False), TWO),
    Published("MMBench_V11", "ImageMCQDataset", lambda draw: rotated(draw, g_index=True), TWO),
    Published("MME", "ImageYORNDataset", mme, YES_NO),
    Published("POPE", "ImageYORNDataset", pope, YES_NO),
    Published("HallusionBench", "ImageYORNDataset", hallusion, ["Yes", "No", "Yes.", "nothing"]),
    Published("AMBER", "ImageYORNDataset", amber, YES_NO),
    Published("VSR-zeroshot", "ImageYORNDataset", yes_no, YES_NO),
    Published("OCRBench", "OCRBench", ocrbench, SHORT),
    Published("MMMU_DEV_VAL", "MMMUDataset", mmmu, [*LETTERS, "7", "dog"]),
    Published("MMMU_Pro_10c", "MMMUProDataset", mmmu, [*LETTERS, "7", "dog"]),
    Published("MMMU_Pro_10c_COT", "MMMUProDataset", mmmu, [*LETTERS, "I think so.\nAnswer: B", "Answer: A\nAnswer: B"]),
    Published("BLINK", "ImageMCQDataset", choices, LETTERS),
    Published("AI2D_TEST", "ImageMCQDataset", choices, LETTERS),
    Published("ChartQA_TEST", "ImageVQADataset", answers("7", "100%", "dog", split=True), SHORT),
    Published("TextVQA_VAL", "ImageVQADataset", answers(str(TEN), "['x', 'x']"), SHORT),
    Published("DocVQA_VAL", "ImageVQADataset", answers("['invoice 12', 'dog']", "['7']"), SHORT),
    Published("OCRVQA_TESTCORE", "ImageVQADataset", answers("['dog']", "7"), SHORT),
    Published("GQA_TestDev_Balanced", "ImageVQADataset", answers("dog", "7"), SHORT),
    Published(
        "MVBench", "MVBench", listed("task_type", "Action Count", "Fine", answer=element, bound=["False"], start=[0],
        end=[1], data_type=["video"]), ["(A) cat", "B", "c) bird", "dog", "zzz", ""],
    ),
    Published(
        "LongVideoBench", "LongVideoBench",
        listed("question_category", "S2E", "T3O", answer=lambda draw: {"correct_choice": pick(draw, 0, 1, 2, 3)},
        duration_group=[15, 60, 600, 3600]), LETTERS,
    ),
    Published(
        "MLVU_MCQ", "MLVU_MCQ", listed("task_type", "plotQA", "ego", answer=element),
        ["(A) cat", "B", "C)", "dog", "zzz"], by="task_type",
    ),
    Published(
        "TempCompass_MCQ", "TempCompass_MCQ",
        listed("dim", "action", "speed", answer=lambda draw: {"answer": pick(draw, "A. cat", "B. dog")},
        task_type=["multi-choice"]), TEMPCOMPASS, by="dim. task_type", fails=False,
    ),
    Published(
        "TempCompass_YorN", "TempCompass_YorN",
        listed("dim", "action", "speed", answer=lambda draw: {"answer": pick(draw, "yes", "no")}, task_type=["yes_no"]),
        YES_NO, by="dim. task_type",
    ),
    Published("MathVista_MINI", "MathVista", maths, ["A", "(B)", "cat", "The answer is C"], fails=False, judged=True),
    Published("MathVision", "MathVision", maths, ["A", "(B)", "cat", "The answer is C"], fails=False, judged=True),
]  # fmt: skip


MATHS = {"MathVista_MINI": ("Task&Skill", "task", "skills"), "MathVision": ("Subject", "category")}


def by_columns(found: Sequence[ScoredSample], scorer: str, dimension: str, *columns: str) -> dict[str, float]:
    """The accuracy over all and by columns, out of the summary."""
    summary = summarize("m", "d", found, Rules(scorer=scorer, mode="compat"))
    groups = {"Overall": {"accuracy": summary.metrics["accuracy"], "total": summary.counts.total}}
    for column in columns:
        groups |= summary.by.get(column, summary.by_category)
    counts: dict[str, float] = {}
    for name, group in groups.items():
        share, asked = group["accuracy"] or 0.0, group["total"] or 0
        numbers = {"tot": asked, "prefetch": asked, "hit": share * asked, "prefetch_rate": 100.0, "acc": 100 * share}
        counts |= {f"{dimension}={name}|{key}": value for key, value in numbers.items()}
    return counts


def scored(benchmark: Published, folder: Path) -> tuple[list[ScoredSample], str, Path]:
    """Its samples with replies, judged in compat mode; the scorer; and the prediction file for VLMEvalKit."""
    draw = random.Random(benchmark.name)
    rows = benchmark.rows(draw)
    path = folder / f"{benchmark.name}.tsv"
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="") as file:
        lines = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", restval="")
        lines.writeheader()
        lines.writerows(rows)
    spec = DataSpec(**{"name": benchmark.name, "path": str(path), **table.defaults(benchmark.name)})
    samples = gold.read(spec)
    predictions = [reply(draw, benchmark, sample) for sample in samples]
    file = folder / f"m_{benchmark.name}.tsv"
    file.write_bytes(predictiontable.encode(predictiontable.rows(columns, samples, predictions), "tsv"))
    pairs = list(zip(samples, predictions, strict=True))
    return score_all(pairs, Rules(scorer=spec.scorer, mode="compat")), spec.scorer, file


def reply(draw: random.Random, benchmark: Published, sample: Sample) -> Prediction:
    if benchmark.fails and sample.row == 5:
        return Prediction(index=sample.index, row=sample.row, error="broken")
    return Prediction(index=sample.index, row=sample.row, prediction=draw.choice(benchmark.replies))


def right_and_asked(found: Sequence[ScoredSample], by: str) -> dict[str, float]:
    counts: dict[str, float] = {}
    first, _, second = by.partition(". ")
    for name, part in grouped(found, first).items():
        for inner, both in (grouped(part, second) if second else {"": part}).items():
            key = f"{name}. {inner}" if second else name
            counts[f"{key}|0"] = sum(s.score.value or 0.0 for s in both)
            counts[f"{key}|1"] = len(both)
    return counts


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, float], dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("published")
    made = [scored(benchmark, folder) for benchmark in PUBLISHED]
    asked = [
        {"class": b.kind, "dataset": b.name, "file": str(file), "judged": b.judged}
        for b, (_, _, file) in zip(PUBLISHED, made, strict=True)
    ]
    said = evaluated(asked, "tsv", folder)
    ours = []
    for benchmark, (found, scorer, _) in zip(PUBLISHED, made, strict=True):
        if benchmark.judged:
            ours.append(by_columns(found, scorer, *MATHS[benchmark.name]))
            continue
        file = score_file(scorer, found)
        assert file is not None
        ours.append(right_and_asked(found, benchmark.by) if benchmark.by else file.metrics)
    return {b.name: (own, theirs) for b, own, theirs in zip(PUBLISHED, ours, said, strict=True)}


@pytest.mark.parametrize("name", [b.name for b in PUBLISHED])
def test_every_published_number_is_the_one_that_ms_vlmeval_gives(name: str, compared: dict[str, Any]) -> None:
    ours, theirs = compared[name]
    assert "error" not in theirs, theirs
    assert len({value for value in ours.values() if value > 0}) > 1, "replies that tell nothing"
    assert ours == pytest.approx(theirs["metrics"], abs=1e-9)
