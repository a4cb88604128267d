"""Our reading of real predictions against the verdicts their benchmarks' own tools gave."""

from __future__ import annotations

import gzip
import importlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlmeval_mp.scoring.strict.yesno import read_yesno

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT.parent / "shared" / "data" / "records"
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


@pytest.fixture(scope="module")
def corpus() -> Iterator[tuple[ModuleType, list[tuple[Any, str]]]]:
    """`scripts/corpus` and each reply of all records with our reading of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        module = importlib.import_module("corpus")
        yield module, [(reply, reply.ours) for reply in module.replies()]


def test_the_reader_meets_its_goals_on_all_records(corpus: tuple[ModuleType, list[tuple[Any, str]]]) -> None:
    module, found = corpus
    kinds = Counter(module.kind(reply, ours) for reply, ours in found)
    unread = [reply for reply, ours in found if module.kind(reply, ours) == "unread"]
    lacks = Counter(module.lacking(reply) for reply in unread)
    assert kinds["other"] <= 0.003 * len(found)
    assert lacks[""] <= 0.02 * (len(found) - len(unread) + lacks[""])


def test_replies_that_hold_no_answer_are_told_from_those_that_were_missed(
    corpus: tuple[ModuleType, list[tuple[Any, str]]],
) -> None:
    module, _ = corpus
    options = {"A": "4", "B": "5"}
    for text, lack in (
        (" ", "empty"), ("(C) 6\n(D) 7\n(E", "lists options"), ("It is not possible to tell which.", "cannot tell"),
        ("So the length is 12.", "another value"), ("4, or rather", ""), ("It is a square.", "nothing of it"),
        ("Adding up. " * 40 + "and then we", "breaks off"),
    ):  # fmt: skip
        assert module.lacking(module.Reply("r", "1", text, "A", options)) == lack, text
    assert module.lacking(module.Reply("r", "1", "The sky is blue.", "A", {"A": "yes", "B": "no"})) == ""


def test_the_table_of_the_page_is_what_is_measured(corpus: tuple[ModuleType, list[tuple[Any, str]]]) -> None:
    module, found = corpus
    assert module.table(found) in (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
