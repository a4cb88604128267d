"""Returns a cell as ms-vlmeval gets it: written to a table and read again with the defaults of pandas.

Its scorers never see the text that a model wrote, but a table file read back: a cell that spells a missing value is
missing (`MISSING`), and a column of nothing but numbers becomes numbers, with ".0" behind each as soon as one cell is
missing or has a point. `as_read` does both to the columns of one job, `cell` the first to one text. Only what both of
its formats do (xlsx, tsv) is done here; xlsx's own damage (over 32,767 characters, a leading "=") is not.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

import msgspec

from vlmeval_mp.core.records import Prediction, Sample

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"}
    | {"N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Cells that pandas reads as missing, exactly as spelled (pandas 3, `STR_NA_VALUES`)."""

NAN = "nan"
"""The `str` of a missing cell; most of ms-vlmeval's scorers read it as the answer."""

_TYPED = re.compile(
    r"\s*(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?|true|false)\s*", re.I
)

Pair = tuple[Sample, Prediction | None]


def missing(text: str) -> bool:
    """Return whether a cell holding `text` is read back as missing."""
    return text in MISSING


def cell(text: str) -> str:
    """Return `text` as `str` shows it after the round trip."""
    return NAN if text in MISSING else text


class Columns:
    """Tells, of samples that come one by one, whether `as_read` would change any of them."""

    def __init__(self) -> None:
        self._numbers: set[str] = set()
        self._texts: set[str] = set()

    def add(self, sample: Sample, prediction: Prediction | None) -> None:
        """Take notice of one row, its prediction as it is written."""
        self._cell("answer", sample.answer)
        for letter, text in sample.options.items():
            self._cell(f"option {letter}", text)
        if prediction is not None and prediction.error is None:
            self._cell("prediction", prediction.prediction)

    def _cell(self, column: str, text: str) -> None:
        if column not in self._texts and text not in MISSING:
            (self._numbers if _TYPED.fullmatch(text) else self._texts).add(column)

    @property
    def retyped(self) -> bool:
        """True if some column holds nothing but numbers or truth values."""
        return not self._numbers <= self._texts


def as_read(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the samples and predictions of one job with each column retyped as a table of these rows would be.

    Options, the answer and answered predictions change only in columns that hold nothing but numbers or truth values;
    missing cells stay as they were written, for the scorers to judge.
    """
    letters = sorted({letter for sample, _ in pairs for letter in sample.options})
    answers = _retyped([sample.answer for sample, _ in pairs])
    options = {letter: _retyped([sample.options.get(letter, "") for sample, _ in pairs]) for letter in letters}
    said = _retyped([p.prediction if p is not None and p.error is None else "" for _, p in pairs])
    failed = any(p is not None and p.error is not None for _, p in pairs)
    read: list[Pair] = []
    for row, (sample, prediction) in enumerate(pairs):
        if answers or any(options.values()):
            own = {x: (options[x] or {}).get(row, text) for x, text in sample.options.items()}
            sample = msgspec.structs.replace(sample, answer=(answers or {}).get(row, sample.answer), options=own)
        # the sentence that stands for a failure keeps the column text
        if prediction is not None and prediction.error is None and said and not failed:
            prediction = msgspec.structs.replace(prediction, prediction=said.get(row, prediction.prediction))
        read.append((sample, prediction))
    return read


def _retyped(column: list[str]) -> dict[int, str] | None:
    """Return the cells of a column that pandas takes for numbers or truth values, by row; None if it stays text."""
    there = [text for text in column if text not in MISSING]
    if not there or not all(map(_TYPED.fullmatch, there)):
        return None
    import pandas as pd

    table = io.StringIO("c\n" + "".join(f'"{text}"\n' for text in column))
    cells: Iterable[object] = pd.read_csv(table, skip_blank_lines=False)["c"]
    return {row: str(value) for row, (text, value) in enumerate(zip(column, cells, strict=True)) if text not in MISSING}
