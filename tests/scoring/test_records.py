"""Our reading of real predictions against the verdicts their benchmarks' own tools gave."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vlmeval_mp.scoring.strict.choice import read_choice
from vlmeval_mp.scoring.strict.yesno import read_yesno

RECORDS = Path(__file__).parents[3] / "shared" / "data" / "records"
pytestmark = pytest.mark.skipif(not RECORDS.is_dir(), reason="the shared data pack is not beside this checkout")


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(RECORDS / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("split", ["random", "popular", "adversarial"])
def test_pope_accuracy_is_the_published_one(split: str) -> None:
    expected = json.loads((RECORDS / "pope" / "expected.json").read_text())
    (wanted,) = {round(v["accuracy"], 2) for k, v in _flat(expected) if split in k}
    found = rows(f"pope/llava-v1.5-7b_greedy_{split}.jsonl.gz")
    right = sum(read_yesno(r["prediction"])[0] == r["answer"] for r in found)
    assert round(100 * right / len(found), 2) == wanted


def _flat(value: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(k, v) for k, v in value.items() if isinstance(v, dict) and "accuracy" in v]


@pytest.mark.parametrize("model", ["GPT4V", "Yi_VL_6B", "llava_v1.5_7b"])
def test_a_letter_read_from_a_blink_reply_is_the_one_its_judge_read(model: str) -> None:
    options = dict.fromkeys("ABCD", "")
    pairs = [
        (read_choice(r["prediction"], options)[0], r["extracted"][:2].strip("("))
        for r in rows(f"blink/{model}.jsonl.gz")
    ]
    read = [(ours, judge) for ours, judge in pairs if ours]
    assert len(read) >= 0.8 * len(pairs)
    assert sum(ours != judge for ours, judge in read) <= 0.002 * len(read)


def test_mmmu_letters_agree_with_the_official_parser_where_it_did_not_draw_lots() -> None:
    with (RECORDS / "mmmu" / "gold_val.tsv").open(encoding="utf-8") as file:
        gold = {r["index"]: r for r in csv.DictReader(file, delimiter="\t")}
    pairs = []
    for row in rows("mmmu/qwen_vl.jsonl.gz"):
        if gold[row["index"]]["question_type"] == "multiple-choice":
            options = {k: v for k, v in gold[row["index"]].items() if len(k) == 1 and v}
            pairs.append((read_choice(row["prediction"], options)[0], row["official_parsed"]))
    read = [(ours, official) for ours, official in pairs if ours]
    assert len(read) >= 0.9 * len(pairs)
    assert sum(ours == official for ours, official in read) >= 0.98 * len(read)
