"""Warnings about a file's options and answers, before a model is loaded.

Looks at each row while it is read; says at the end which answers no option has, and which options VLMEvalKit leaves
out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from vlmeval_mp.core.records import DataSpec, Sample
from vlmeval_mp.datasets.benchmarks import BENCHMARKS
from vlmeval_mp.datasets.olderoptions import older_columns, older_options
from vlmeval_mp.datasets.options import CONVENTION, LETTERS, WORDS, columns_of, is_no_value
from vlmeval_mp.datasets.tsv import Reader, Row


class OptionCheck:
    """`where` says where a file has its options; `other` counts the rows that version 2 of the reader understood
    otherwise, and `otherwise` is a digest of the options that version 3 did, "" if there are none.

    Options in other columns than "A", "B", … are looked for unless something says of which kind the questions are: a
    benchmark's name, or `type`, `scorer` or `layout` of the data entry.
    """

    def __init__(self, reader: Reader, spec: DataSpec) -> None:
        self._published = Path(spec.path).stem in BENCHMARKS
        settled = self._published or spec.scorer or spec.layout or spec.type not in ("", "mcq")
        self.where = CONVENTION if settled else columns_of(reader.columns)
        self._older = CONVENTION if settled else older_columns(reader.columns)
        self._reader = reader
        self._columns = {*self.where.columns, *self._older.columns} & {*reader.columns}
        self._changed = hashlib.sha256()
        self.otherwise = ""
        self._open = not settled and spec.type == ""
        self.other = self._words = self._rows = self._letters = self._with_options = 0
        self._strange: list[tuple[int, str]] = []

    def look(self, row: Row, sample: Sample) -> None:
        """Note what is odd about one row."""
        self._rows += 1
        self._with_options += bool(sample.options)
        answer = sample.answer.strip()
        letter = len(answer) == 1 and answer in LETTERS
        self._letters += letter
        if letter and sample.options and answer not in sample.options:
            self._strange.append((row.number, answer))
        cells = (row.cells.get(each, b"").decode("utf-8", "replace") for each in LETTERS)
        dropped = any(is_no_value(cell) for cell in cells)
        self.other += dropped or (self.where.foreign and bool(sample.options))
        self._compare(row)
        self._words += any(option in WORDS for option in sample.options.values())

    def _compare(self, row: Row) -> None:
        """Take the options of one row into `otherwise` if version 3 read others."""
        text = {column: self._reader.text(row, column) for column in self._columns}
        options = self.where.of(text)
        if options != older_options(self._older, text):
            self._changed.update(f"{json.dumps([row.index, options])}\n".encode())
            self.otherwise = self._changed.hexdigest()

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each thing that a reader of the scores must know."""
        if self._strange:
            number, answer = self._strange[0]
            yield (
                f"{len(self._strange)} rows have an answer that is none of their options (the first is row {number}, "
                f"answer {answer!r}); no reply to them can be right"
            )
        if self._published and self._words:
            yield (
                f"{self._words} rows have options such as 'None' or 'N/A', which VLMEvalKit takes for missing and "
                "leaves out; they are shown here"
            )
        if self.where.foreign and self._with_options:
            named = self.where.listed or ", ".join(self.where.by_letter.values())
            yield f"the options of {self._with_options} rows are read from the columns {named}"
        if self._open and self._rows and self._letters == self._rows and not self._with_options:
            yield (
                "every answer is a letter, but no row has options, so that questions are asked as open ones; name the "
                "columns of the options A, B, …, or say type: vqa"
            )
