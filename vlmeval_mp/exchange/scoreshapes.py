"""Builds the content of those score files from one job's compat verdicts.

`scorefiles` maps each family to its shape, and has the shapes of single benchmarks. Shapes are facts of ms-vlmeval
0.0.20 (the `evaluate` of each class).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.families import aggregator_of
from vlmeval_mp.scoring.metrics.groups import grouped

NONE = "none"
"""The split of a data set that has none."""
ABBREVIATED = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
"""The names of MMBench's abilities in `_acc.csv`."""

_WHOLE = ("overall", "final score", "avg acc")
Number = float | None
Numbers = dict[str, Number]
Named = Callable[[Sample], str]


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """One evaluator's file: what follows the stem of its name, its bytes, its numbers by VLMEvalKit's flat names.

    `ending` is "" where the evaluator gives numbers and leaves no file.
    """

    ending: str
    content: bytes
    metrics: dict[str, float]

    @property
    def primary(self) -> str:
        """The name of the number that stands for the data set."""
        whole = [name for name in self.metrics if name.rpartition("|")[2].lower() in _WHOLE]
        right = [name for name in self.metrics if name == "overall|0"]
        return next(iter(whole or right or self.metrics), "")


@dataclass(frozen=True, slots=True)
class Job:
    """The input of a shape: the compat verdicts of one job in data set order, and their scorer."""

    scorer: str
    scored: Sequence[ScoredSample]

    def metrics(self, part: Sequence[ScoredSample]) -> Numbers:
        """Return the aggregator's numbers over `part`."""
        return {name: metric.value for name, metric in aggregator_of(self.scorer)(part, "compat").items()}

    def primary(self, part: Sequence[ScoredSample]) -> Number:
        return next(iter(self.metrics(part).values())) if part else None

    def percent(self, part: Sequence[ScoredSample]) -> Number:
        value = self.primary(part)
        return None if value is None else value * 100


Shape = Callable[[Job], ScoreFile]


# --- shapes --------------------------------------------------------------------------------------------------------


def fractions(metric: str) -> Shape:
    """Multiple choice: a line per split; the whole, then each l2-category, then each category."""

    def shape(job: Job) -> ScoreFile:
        lines: list[dict[str, Any]] = []
        for split, part in groups(job.scored, _split, named=NONE).items():
            line: dict[str, Any] = {"split": split, "Overall": job.metrics(part).get(metric)}
            for column in (_l2_category, category_of):
                for name in _names(job.scored, column):
                    few = [s for s in part if column(s.sample) == name]
                    line[ABBREVIATED.get(name, name)] = job.metrics(few).get(metric) if few else None
            lines.append(line)
        return ScoreFile("_acc.csv", table_of(lines), by_split(lines))

    return shape


def percents(job: Job) -> ScoreFile:
    """Open answers: the splits and the whole, or without splits the whole and the categories."""
    line: Numbers = {}
    splits = _names(job.scored, _split)
    if splits:
        line |= {name: job.percent([s for s in job.scored if s.sample.split == name]) for name in splits}
    line["Overall"] = job.percent(job.scored)
    if not splits:
        line |= _by(job, category_of)
    return one_line("_acc.csv", line)


def yes_or_no(job: Job) -> ScoreFile:
    """Yes/no: the whole, the categories, the l2-categories."""
    return one_line("_score.csv", {"Overall": job.percent(job.scored)} | _by(job, category_of) | _by(job, _l2_category))


def rating_by(*columns: str, over: str, groups: Sequence[str]) -> Shape:
    """Video-MME and LongVideoBench: fractions as text, for each value of the column `over` and for all of them."""

    def shape(job: Job) -> ScoreFile:
        board: dict[str, Any] = {}
        for group in (*groups, "overall"):
            part = [s for s in job.scored if group in ("overall", _column(s.sample, over))]
            board[group] = {"overall": _text(job.primary(part))}
            for column in columns:
                names = sorted({_column(s.sample, column) for s in job.scored})
                board[group][column] = {
                    name: _text(job.primary([s for s in part if _column(s.sample, column) == name])) for name in names
                }
        return _board(board)

    return shape


def right_of_all(column: str) -> Shape:
    """MVBench: how many are right, how many there are, and the percentage, by `column` and over all."""

    def shape(job: Job) -> ScoreFile:
        board: dict[str, Any] = {}
        for name, part in groups(job.scored, lambda sample: _column(sample, column)).items():
            board[name] = _right(part)
        board["overall"] = _right(job.scored)
        return _board(board)

    return shape


def tallies(*columns: str) -> Shape:
    """MLVU_MCQ and TempCompass: [right, asked] for each value of `columns` together; no file."""

    def shape(job: Job) -> ScoreFile:
        parts = groups(job.scored, lambda sample: ". ".join(_column(sample, column) for column in columns))
        board = {name: [sum(int(s.score.value or 0) for s in part), len(part)] for name, part in parts.items()}
        return ScoreFile("", b"", dict(_flat(board)))

    return shape


# --- parts ---------------------------------------------------------------------------------------------------------


def _split(sample: Sample) -> str:
    return sample.split


def category_of(sample: Sample) -> str:
    return sample.category


def _l2_category(sample: Sample) -> str:
    return sample.l2_category


def _column(sample: Sample, name: str) -> str:
    return sample.extra.get(name, "")


def groups(scored: Iterable[ScoredSample], name: Named, named: str = "") -> dict[str, list[ScoredSample]]:
    """Return the samples by name, in the order in which the names appear; those without one are under `named`."""
    found: dict[str, list[ScoredSample]] = {}
    for each in scored:
        found.setdefault(name(each.sample) or named, []).append(each)
    return found


def _names(scored: Iterable[ScoredSample], name: Named) -> list[str]:
    return sorted({name(each.sample) for each in scored} - {""})


def _by(job: Job, name: Named) -> Numbers:
    return {
        group: job.percent([s for s in job.scored if name(s.sample) == group]) for group in _names(job.scored, name)
    }


def all_groups(
    scored: Sequence[ScoredSample], columns: Iterable[str], listed: Sequence[str]
) -> dict[str, list[ScoredSample]]:
    found: dict[str, list[ScoredSample]] = {}
    for column in columns:
        found |= grouped(scored, column, listed)
    return found


def by_split(lines: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return {f"split={x['split']}|{k}": v for x in lines for k, v in x.items() if k != "split" and v is not None}


def hundred(value: Number) -> Number:
    return None if value is None else 100 * value


def _right(part: Sequence[ScoredSample]) -> list[Any]:
    right = sum(bool(each.score.value) for each in part)
    return [right, len(part), f"{right / len(part) * 100:.2f}%"]


def _text(value: Number) -> str:
    return "nan" if value is None else f"{value:.3f}"


def one_line(ending: str, line: Numbers) -> ScoreFile:
    return ScoreFile(ending, table_of([line]), {name: value for name, value in line.items() if value is not None})


def table_of(lines: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(list(lines[0]))
    writer.writerows(list(line.values()) for line in lines)
    return buffer.getvalue().encode("utf-8", "replace")


def _board(board: Mapping[str, Any]) -> ScoreFile:
    content = json.dumps(board, indent=4, ensure_ascii=False).encode("utf-8", "replace")
    return ScoreFile("_rating.json", content, dict(_flat(board)))


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, float]]:
    """Every number by its path, as VLMEvalKit's status.json names it; percentages as text are none."""
    if isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in pairs:
            yield from _flat(each, f"{name}|{key}" if name else str(key))
    else:
        try:
            number = float(value)
        except ValueError:
            return
        if number == number:  # NaN is unequal to itself
            yield name, number
