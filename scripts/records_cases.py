"""The recorded predictions of published runs: which file is scored how, and by what answers.

Owns also what the numbers of `expected.json` are called in a summary of ours. Scores nothing.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmeval_mp.exchange.evaluate import FileToScore

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT.parent / "shared" / "data" / "records"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded file. `official` is the column that the official extraction left, "" where there was none.

    `relabelled` begins the names of numbers that were counted by other labels than the recorded gold has.
    """

    benchmark: str
    name: str
    file: str
    scorer: str
    official: str = ""
    gold: str = ""
    extracted: bool = True
    relabelled: str = ""

    @property
    def path(self) -> Path:
        return RECORDS / self.benchmark / self.file

    def expected(self) -> Row:
        found: Row = json.loads((RECORDS / self.benchmark / "expected.json").read_text())[self.name]
        return found

    def asked(self, gold: Path | None, *, raw: bool = False) -> FileToScore:
        """The official column as it was read, or the raw replies as we read them."""
        column = self.official if self.official and not raw else "prediction"
        extracted = self.extracted and bool(self.official) and not raw
        return FileToScore(self.path, str(gold or ""), column, scorer=self.scorer, extracted=extracted)


POPE = [Case("pope", s, f"llava-v1.5-7b_greedy_{s}.jsonl.gz", "pope") for s in ("random", "popular", "adversarial")]
# of sample 4 the files of the first two say "arithmetic reasoning", the gold also "geometry reasoning", and so on
MATHVISTA = [
    Case("mathvista", name, f"{name}.jsonl.gz", "mathvista", "normalized", "gold_testmini.tsv", relabelled=labels)
    for name, labels in (
        ("llava_llama_2_13b", "skills."),
        ("instruct_blip2_vicuna_13b", "skills."),
        ("random_guess", ""),
    )
]
BLINK = [
    Case("blink", m, f"{m}.jsonl.gz", "blink", "extracted", "gold_val.tsv")
    for m in ("llava_v1.5_7b", "Yi_VL_6B", "GPT4V")
]
# the official parser leaves a letter or a phrase, which is then searched: not compared as it is
MMMU = [Case("mmmu", "qwen_vl", "qwen_vl.jsonl.gz", "mmmu", "official_parsed", "gold_val.tsv", extracted=False)]
CASES = [*POPE, *MATHVISTA, *BLINK, *MMMU]


# --- gold ----------------------------------------------------------------------------------------------------------


def gold_of(case: Case, folder: Path) -> Path | None:
    """The answers of a case; None where the file has its own. BLINK's are written anew, with VLMEvalKit's columns.

    BLINK's options are not recorded, so each is a text that no reply can hold; how many a task has follows from its
    answers.
    """
    if case.benchmark != "blink":
        return RECORDS / case.benchmark / case.gold if case.gold else None
    rows = read_tsv(RECORDS / "blink" / case.gold)
    last = {task: max(r["answer"] for r in rows if r["task"] == task)[1] for task in {r["task"] for r in rows}}
    path = folder / "BLINK.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["index", "question", *"ABCD", "answer", "category"])
        for row in rows:
            options = [f"‹{letter}›" if letter <= last[row["task"]] else "" for letter in "ABCD"]
            writer.writerow([row["index"], "not recorded", *options, row["answer"], row["task"]])
    return path


def letters_only(gold: Path, folder: Path) -> Path:
    """BLINK's answers as letters, for replies; its extracted column has them in brackets."""
    path = folder / "BLINK-letters.tsv"
    rows = read_tsv(gold)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "answer": row["answer"].strip("()")} for row in rows)
    return path


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


# --- numbers -------------------------------------------------------------------------------------------------------


def measured(case: Case, summary: Row, scores: list[Row]) -> Row:
    """The numbers of a summary and its scores, under the names of `expected.json`."""
    return _MEASURES[case.benchmark](summary, scores)


def _pope(summary: Row, scores: list[Row]) -> Row:
    said = Counter((s.get("extracted") == "Yes", s["value"] == 1.0) for s in scores)
    counts = {"tp": said[True, True], "fp": said[True, False], "tn": said[False, True], "fn": said[False, False]}
    rates = {
        name: _percent(summary["metrics"][name]) for name in ("accuracy", "precision", "recall", "f1", "yes_ratio")
    }
    return {"n": summary["counts"]["total"], **counts, **rates}


def _mathvista(summary: Row, scores: list[Row]) -> Row:
    right = sum(s["value"] == 1.0 for s in scores)
    groups = {name: _tallies(summary["by"][name]) for name in ("question_type", "answer_type", "task", "skills")}
    return {"n": len(scores), "correct": right, "published": round(100 * summary["metrics"]["accuracy"], 1), **groups}


def _blink(summary: Row, scores: list[Row]) -> Row:
    metrics = summary["metrics"]
    return {
        "n": len(scores),
        "macro_accuracy": _percent(metrics["task_mean_accuracy"]),
        "micro_accuracy": _percent(metrics["accuracy"]),
        "by_task": _tallies(summary["by_category"]),
    }


def _mmmu(summary: Row, scores: list[Row]) -> Row:
    kinds = {r["index"]: r["question_type"] for r in read_tsv(RECORDS / "mmmu" / "gold_val.tsv")}
    choices = [s["value"] for s in scores if kinds[s["index"]] == "multiple-choice"]
    right = sum(s["value"] == 1.0 for s in scores)
    return {
        "official_eval_only": {
            "correct": right,
            "n": len(scores),
            "accuracy": _percent(summary["metrics"]["accuracy"]),
        },
        "multiple_choice_only_official_parsed": {"correct": round(sum(choices)), "n": len(choices)},
    }


_MEASURES = {"pope": _pope, "mathvista": _mathvista, "blink": _blink, "mmmu": _mmmu}


def _percent(value: float) -> float:
    return round(100 * value, 2)


def _tallies(groups: Row) -> dict[str, list[int]]:
    return {name: [round(g["accuracy"] * g["scored"]), g["total"]] for name, g in groups.items()}


def flat(value: Row, prefix: str = "") -> dict[str, Any]:
    """Nested numbers by one path each."""
    found: dict[str, Any] = {}
    for key, each in value.items():
        found |= flat(each, f"{prefix}{key}.") if isinstance(each, dict) else {f"{prefix}{key}": each}
    return found


def compared(case: Case, numbers: Row) -> Iterator[tuple[str, Any, Any]]:
    """Each number that was published and is made by a rule: its name, what it is there, what it is here."""
    expected, ours = flat(case.expected()), flat(numbers)
    yield from ((name, expected[name], ours[name]) for name in ours)
