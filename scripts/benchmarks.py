"""The tables of docs/benchmarks.md, out of the code: benchmarks by name, and families by what they publish."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from vlmeval_mp.core.records import Kind, Prediction, Sample, Score
from vlmeval_mp.datasets.benchmarks import BENCHMARKS
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.scoring.base import EVALUATOR, Mode, ScoredSample
from vlmeval_mp.scoring.families import FAMILIES, aggregator_of, check
from vlmeval_mp.scoring.metrics.rates import AMBER, AREAS
from vlmeval_mp.vlmevalkit import registry

DOC = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: scripts/benchmarks --write -->", "<!-- end -->"
JUDGED = "VLMEvalKit's own, by a judge"


def page() -> str:
    """Both tables."""
    rows = ["| name | kind | asked as | scored by | primary metric | official file |", "|---|---|---|---|---|---|"]
    rows += [f"| {' | '.join(row)} |" for row in benchmarks()]
    lines = ["| family | primary metric | all metrics | broken down by |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in published()]
    return "\n".join(["### By name", "", *rows, "", "### By family", "", *lines])


def benchmarks() -> Iterator[tuple[str, ...]]:
    for name, each in BENCHMARKS.items():
        file = registry.known()[name].source
        yield name, each.kind, each.prompt, each.scorer, primary(each.scorer, each.kind), f"<{file}>"
    for name, each in VIDEO_BENCHMARKS.items():
        place = f"<https://huggingface.co/datasets/{each.repo}>, from which VLMEvalKit writes the TSV"
        yield name, each.kind, each.prompt, each.scorer, primary(each.scorer, each.kind), place


def published() -> Iterator[tuple[str, ...]]:
    for name in FAMILIES:
        family = check(name)
        strict, compat = metrics(name, "mcq", "strict"), metrics(name, "mcq", "compat")
        first = strict[0] if strict[0] == compat[0] else f"{strict[0]} (compat: {compat[0]})"
        columns = [f"{column} (each that is listed)" if column in family.listed else column for column in family.by]
        columns += [f"{column} (each that is listed)" for column in family.listed if column not in family.by]
        yield name, first, ", ".join(strict), ", ".join(columns)


def primary(scorer: str, kind: Kind) -> str:
    return JUDGED if scorer == EVALUATOR else metrics(scorer, kind, "strict")[0]


CATEGORIES = {"mme": ("OCR", "code_reasoning"), "amber": tuple(AMBER), "ocrbench": tuple(sum(AREAS.values(), ()))}


def metrics(scorer: str, kind: Kind, mode: Mode) -> list[str]:
    """The names of a family's metrics, in their order, over samples of all its categories and of MMMU's two splits."""
    job = [
        scored(category, split, kind) for category in CATEGORIES.get(scorer, ("",)) for split in ("dev", "validation")
    ]
    return list(aggregator_of(scorer)(job, mode))


def scored(category: str, split: str, kind: Kind) -> ScoredSample:
    sample = Sample(index="1", row=0, kind=kind, answer="Yes", category=category, split=split)
    return ScoredSample(
        sample, Prediction(index="1", row=0, prediction="Yes"), Score(index="1", value=1.0, extracted="Yes")
    )


def main() -> None:
    text = page()
    if "--write" not in sys.argv:
        print(text)
        return
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    DOC.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
