"""Groups the samples of a job by the values of a column. Pure; knows no metric."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.strict.openended import references


def grouped(scored: Sequence[ScoredSample], column: str, listed: Sequence[str] = ()) -> dict[str, list[ScoredSample]]:
    """Return the samples of each value of `column`, or for "a/b" of each pair of values, written "x/y".

    A cell of a `listed` column names several groups, and the sample is in each. Samples with an empty cell are in none;
    pairs whose first column says the same everywhere are left out, as they say nothing that the second does not.
    """
    columns = column.split("/")
    groups: dict[str, list[ScoredSample]] = {}
    firsts: set[str] = set()
    for each in scored:
        for names in itertools.product(*(_names(each.sample, c, c in listed) for c in columns)):
            firsts.add(names[0])
            groups.setdefault("/".join(names), []).append(
                _without_category(each, column, names[0]) if column in listed else each
            )
    return groups if len(columns) == 1 or len(firsts) > 1 else {}


def _names(sample: Sample, column: str, listed: bool) -> list[str]:
    text = sample.cell(column).strip()
    if not listed or not text:
        return [text] if text else []
    items = references(text) if text.startswith("[") else text.split(",")
    return list(dict.fromkeys(name for item in items if (name := item.strip())))


def _without_category(each: ScoredSample, column: str, name: str) -> ScoredSample:
    """Return the sample as a member of one group, without its other categories."""
    if column != "category":
        return each
    return replace(each, sample=msgspec.structs.replace(each.sample, category=name))
