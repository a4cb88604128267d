"""Finds the answers for a job in a file of VLMEvalKit's, and the reason for each answer that is not taken.

Owns what counts as an answer there, and the proof that it is one to this data set: the question beside it. What a table
file does to text is allowed for; another question is not, and refuses the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Sample
from vlmeval_mp.datasets.tsv import canonical
from vlmeval_mp.engines.modelclass.answer import FAILED
from vlmeval_mp.exchange import pickles, tables
from vlmeval_mp.exchange.predictions import CELL

FAILED_THERE, EMPTY, CUT, NO_ROW = "failed there", "empty there", f"cut at {CELL} characters", "not in the file"

_IGNORED = re.compile(r"[\x00-\x20\x7f\xa0\ufffe\uffff]+")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Offer:
    """The answers of one file, by the data set's own indexes, and how many of its samples have none there, by why.

    `checked`: whether the questions were compared; a pickle has none.
    """

    source: Path
    answers: dict[str, str]
    missing: dict[str, int]
    checked: bool


def of_table(path: Path, samples: Iterable[Sample]) -> Offer:
    """Return what an xlsx, TSV or JSON file offers for `samples`, which are all of the data set.

    Raises:
        ConfigError: it cannot be read, lacks a column, or is of other questions; names the first row that differs.
    """
    sheet = tables.read(path)
    for column in ("index", "question", "prediction"):
        if column not in sheet.columns:
            raise ConfigError(f"{path}: has no column {column!r}; it is no prediction file of VLMEvalKit")
    known = {canonical(sample.index): sample for sample in samples}
    answers: dict[str, str] = {}
    why: Counter[str] = Counter()
    rows: dict[str, int] = {}
    for number, row in enumerate(sheet.rows, 1):
        index = canonical(row["index"])
        sample = known.get(index)
        if sample is None:
            raise ConfigError(f"{path}: row {number}, index {row['index']!r}: the data set has no such sample")
        if rows.setdefault(index, number) != number:
            raise ConfigError(f"{path}: rows {rows[index]} and {number} have the same index {row['index']!r}")
        if not _same(sample.question, row["question"]):
            raise ConfigError(
                f"{path}: row {number}, index {row['index']!r}: its question is not the data set's:\n"
                f"  there: {row['question'][:_SHOWN]!r}\n  here:  {sample.question[:_SHOWN]!r}\n"
                "Its answers are to other questions, so nothing was imported."
            )
        lost = _why_not_an_answer(row["prediction"], path)
        if lost:
            why[lost] += 1
        else:
            answers[sample.index] = row["prediction"]
    why[NO_ROW] = len(known) - len(rows)
    return Offer(path, answers, _with_samples(why), checked=True)


def of_pickle(path: Path, samples: Iterable[Sample]) -> Offer:
    """Return what a pickle offers. Runs code in the file: see `pickles`.

    Raises:
        ConfigError: it is torn or refused, or an index in it is none of the data set's.
    """
    found = pickles.read(path)
    known = {canonical(sample.index): sample for sample in samples}
    strangers = [index for index in found if canonical(index) not in known]
    if strangers:
        raise ConfigError(f"{path}: index {strangers[0]!r}: the data set has no such sample; it is of another one")
    why: Counter[str] = Counter({NO_ROW: len(known) - len(found)})
    answers: dict[str, str] = {}
    for index, text in found.items():
        if _failed(text):
            why[FAILED_THERE] += 1
        else:
            answers[known[canonical(index)].index] = text
    return Offer(path, answers, _with_samples(why), checked=False)


def _failed(text: str) -> bool:
    """Return whether VLMEvalKit wrote `text` for a failure: it puts its sentence first, and the reason behind it.

    A reply that only speaks of the sentence further on is an answer, as it is to ms-vlmeval's evaluators.
    """
    return text.lstrip().startswith(FAILED)


def _with_samples(why: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in why.items() if count > 0}


def _why_not_an_answer(text: str, path: Path) -> str:
    """Return why a cell is no answer; "" if it is one."""
    if _failed(text):
        return FAILED_THERE
    if path.suffix == ".xlsx":  # which has an empty cell also for a text that it could not hold
        return EMPTY if not text else CUT if len(text) >= CELL else ""
    return ""


def _same(ours: str, theirs: str) -> bool:
    """Return whether two spellings are one question, but for spacing, control characters and what a cell
    cannot hold.
    """
    one, other = _IGNORED.sub("", ours), _IGNORED.sub("", theirs)
    if len(theirs) >= CELL:
        return one.startswith(other)
    # pandas reads "None" and its like as nothing, and writes nothing
    return one == other or (not other and len(ours) <= len("#N/A N/A"))
