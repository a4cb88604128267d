"""docs/benchmarks.md says of every benchmark what the code does with it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from vlmeval_mp.datasets.benchmarks import BENCHMARKS
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.scoring.families import FAMILIES

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def test_the_page_has_the_tables_of_the_code(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "benchmarks", raising=False)
    benchmarks = importlib.import_module("benchmarks")
    text = benchmarks.page()
    assert f"{benchmarks.BEGIN}\n\n{text}\n\n{benchmarks.END}" in benchmarks.DOC.read_text(encoding="utf-8"), (
        "scripts/benchmarks --write puts what the code says into docs/benchmarks.md"
    )
    named = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert named == ["name", *BENCHMARKS, *VIDEO_BENCHMARKS, "family", *FAMILIES]
