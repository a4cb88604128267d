"""Scores a table of predictions from elsewhere against a data set's answers, as our own predictions are scored.

Rows belong to samples by their index, as text. What does not fit is reported, never guessed: a sample without a row
has failed, as has one whose row holds VLMEvalKit's sentence for a failure; a row without a sample is left out; an
index that stands twice is refused. Images and videos are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from vlmeval_mp.core.errors import ConfigError, did_you_mean
from vlmeval_mp.core.records import DataSpec, Json, Prediction, Sample, Summary
from vlmeval_mp.datasets import gold
from vlmeval_mp.datasets import names as table
from vlmeval_mp.datasets.tsv import canonical
from vlmeval_mp.exchange import tables
from vlmeval_mp.exchange.tables import Sheet
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.runs import results, submit
from vlmeval_mp.scoring import families
from vlmeval_mp.scoring.base import EVALUATOR, FAILED, Mode, Rules, ScoredSample

SHOWN = 5
"""Indexes named in one message."""


@dataclass(frozen=True, slots=True)
class FileToScore:
    """A file to score with `vlmeval-mp eval --predictions`. `data` "" takes the right answers from the file itself.

    `extracted`: the column holds answers already read out of replies; they are compared as they are.
    """

    file: Path
    data: str = ""
    column: str = "prediction"
    index: str = "index"
    mode: Mode = "strict"
    scorer: str = ""
    extracted: bool = False
    judge: str = ""
    judge_args: Json = field(default_factory=dict)
    cluster: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class FileScores:
    """The scores of one file. `extra` are indexes of rows without a sample, `missing` those of samples without a row.

    `warnings` say, for people, what was not as it should be.
    """

    scored: tuple[ScoredSample, ...]
    summary: Summary
    extra: tuple[str, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def evaluate(asked: FileToScore, folder: Path | None = None) -> FileScores:
    """Score the predictions in `asked.file`; what an evaluator of VLMEvalKit's leaves is kept in `folder`.

    Raises:
        ConfigError: the file or the data set cannot be read, a column is missing, an index stands twice, or no row
            belongs to any sample.
    """
    if asked.scorer and asked.scorer != EVALUATOR:
        families.require(asked.scorer)
    sheet = tables.read(asked.file)
    for column in (asked.index, asked.column):
        _need(sheet, column)
    spec, samples, warnings = _gold(asked, sheet)
    by_index, extra = _matched(sheet, asked, samples)
    predictions = tuple(_prediction(s, by_index[s.index][asked.column]) for s in samples if s.index in by_index)
    missing = tuple(s.index for s in samples if s.index not in by_index)
    rules = Rules(
        scorer=spec.scorer,
        mode=families.mode_for(spec.scorer, asked.mode),
        extracted=asked.extracted,
        source=spec.path,
        judge=asked.judge,
        judge_args=asked.judge_args,
        cluster=asked.cluster,
        group=asked.group,
    )
    model = _stem(asked.file).removesuffix(f"_{spec.name}")
    scored, summary = results.judged(model, spec.name, samples, predictions, rules, folder)
    if extra:
        warnings.append(f"{asked.file.name}: left out {_first_few(extra, 'row')} of no sample of {spec.name}")
    if missing:
        warnings.append(
            f"{asked.file.name}: counted as failed {_first_few(missing, 'sample')} of {spec.name} without a row"
        )
    return FileScores(tuple(scored), summary, extra, missing, tuple(warnings))


def _need(sheet: Sheet, column: str) -> None:
    if column not in sheet.columns:
        hint = " ".join(filter(None, [did_you_mean(column, sheet.columns, ""), "its columns are"]))
        raise ConfigError(f"{sheet.path}: has no column {column!r}; {hint} {', '.join(sheet.columns)[:400]}")


# --- the answers to compare with -----------------------------------------------------------------------------------


def _gold(asked: FileToScore, sheet: Sheet) -> tuple[DataSpec, list[Sample], list[str]]:
    """Return the data set, its samples, and a note if they are not from where one would think."""
    layout = VIDEO_BENCHMARKS.get(_stem(Path(asked.data)) if asked.data else _benchmark(_stem(asked.file)))
    own = {"question", layout.answer if layout else "answer"} <= {*sheet.columns}
    if asked.data:
        spec = DataSpec(name=_stem(Path(asked.data)), path=asked.data, scorer=asked.scorer)
        try:
            spec = submit.resolved_data(spec)
        except ConfigError:
            defaults = table.defaults(asked.data)
            if not own or not defaults:
                raise
            said = {"scorer": asked.scorer} if asked.scorer else {}
            spec = msgspec.structs.replace(spec, **{**defaults, **said})
            note = f"the TSV of {asked.data} is not here: questions and answers are those in {sheet.path.name}"
            return spec, _own(spec, asked, sheet), [note]
        return spec, gold.read(spec), []
    if not own:
        raise ConfigError(
            f"{sheet.path}: has no columns 'question' and 'answer' to score its predictions by; "
            "name the data set with --data NAME or --data FILE.tsv"
        )
    spec = DataSpec(name=_stem(sheet.path), path=str(sheet.path), scorer=asked.scorer)
    name, notes = _benchmark(spec.name), []
    if name and not asked.scorer:
        defaults = table.defaults(name)
        notes = [f"read as {name}, by the file's name; say --data or --scorer if it is something else"]
        if defaults.get("scorer") == EVALUATOR:
            notes = [f"scored by its columns; --data {name} has VLMEvalKit's own class score it"]
        else:
            spec = msgspec.structs.replace(spec, name=name, **defaults)
    return spec, _own(spec, asked, sheet), notes


_FRAMES = re.compile(r"(?:_(?:\d+frame|[\d.]+fps|subs|nopack))+$")
"""Endings that VLMEvalKit adds to the name of a video benchmark: how its videos are asked."""


def _benchmark(stem: str) -> str:
    """Return the benchmark that VLMEvalKit names a file after: `<model>_<benchmark>`.

    "" if it is none that is known.
    """
    parts = _FRAMES.sub("", stem).split("_")
    names = ("_".join(parts[start:]) for start in range(1, len(parts)))
    return next((name for name in names if table.defaults(name)), "")


def _own(spec: DataSpec, asked: FileToScore, sheet: Sheet) -> list[Sample]:
    """Return the samples that the file of predictions itself holds."""
    _refuse_twice(sheet, asked.index)
    columns = [c for c in sheet.columns if c not in (asked.column, "index")]
    rows = [{**row, "index": row[asked.index]} for row in sheet.rows]
    return gold.of_rows(msgspec.structs.replace(spec, path=str(sheet.path)), ["index", *columns], rows)


# --- rows to samples -----------------------------------------------------------------------------------------------


def _matched(
    sheet: Sheet, asked: FileToScore, samples: Sequence[Sample]
) -> tuple[Mapping[str, Mapping[str, str]], tuple[str, ...]]:
    """Return the row of each sample that has one, by the sample's index; and the indexes of rows without a sample."""
    _refuse_twice(sheet, asked.index)
    known = {canonical(s.index): s.index for s in samples} | {s.index: s.index for s in samples}
    found: dict[str, Mapping[str, str]] = {}
    extra: list[str] = []
    for row in sheet.rows:
        own = row[asked.index]
        index = known.get(own, known.get(canonical(own)))
        if index is None:
            extra.append(own)
        else:
            found[index] = row
    if not found:
        theirs = ", ".join(repr(row[asked.index]) for row in sheet.rows[:3])
        ours = ", ".join(repr(s.index) for s in samples[:3])
        raise ConfigError(
            f"{sheet.path}: no row belongs to a sample: its column {asked.index!r} has {theirs}, …, the data set's "
            f"indexes are {ours}, …; name the right column with --index-column or the right data set with --data"
        )
    return found, tuple(extra)


def _refuse_twice(sheet: Sheet, column: str) -> None:
    seen: dict[str, int] = {}
    for number, row in enumerate(sheet.rows, 1):
        index = canonical(row[column])
        if not index:
            raise ConfigError(f"{sheet.path}: row {number}, column {column!r}: is empty; which sample is it of?")
        if seen.setdefault(index, number) != number:
            raise ConfigError(
                f"{sheet.path}: rows {seen[index]} and {number} have the same {column} {row[column]!r}; "
                "which one counts cannot be told: remove one"
            )


def _prediction(sample: Sample, text: str) -> Prediction:
    if text.strip() == FAILED:  # with more text it is a reply, as ms-vlmeval reads it too
        return Prediction(index=sample.index, row=sample.row, error=f"the file says: {FAILED}")
    return Prediction(index=sample.index, row=sample.row, prediction=text)


# --- words ---------------------------------------------------------------------------------------------------------


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return (
        name.removesuffix("." + name.rpartition(".")[2])
        if name.endswith(tuple(f".{f}" for f in tables.FORMATS))
        else name
    )


def _first_few(indexes: Sequence[str], noun: str) -> str:
    named = ", ".join(indexes[:SHOWN]) + (", …" if len(indexes) > SHOWN else "")
    return f"{len(indexes):,} {noun}{'' if len(indexes) == 1 else 's'} (index {named})"
