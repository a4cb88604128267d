"""Writes VLMEvalKit's prediction table as xlsx, TSV or JSON, and lists the texts that its reader would change.

Owns the columns (those of the data set's file but for `image`, and `prediction`) and the check: what was written is
read back as VLMEvalKit's `load` reads it (pandas with its defaults), and what comes back different is a `Damage`.
Knows nothing of runs and folders; `foreign` has the reader that loses nothing.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring.base import FAILED

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("xlsx", "tsv", "json")
CELL = 32_767
"""Characters that one cell of an xlsx file holds."""

_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]")
_WHOLE = re.compile(r"0|[1-9]\d{0,17}")
_SHOWN = 40

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Damage:
    """A text that VLMEvalKit's reader does not get out of the table as it is: whose, which column, and why."""

    file: str
    index: str
    column: str
    reason: str


def pred_format(environ: Mapping[str, str]) -> str:
    """VLMEvalKit's `PRED_FORMAT`.

    Raises:
        ConfigError: it is none of xlsx, tsv, json.
    """
    chosen = environ.get("PRED_FORMAT", "").lower() or "xlsx"
    if chosen not in FORMATS:
        raise ConfigError(f"PRED_FORMAT: {chosen!r} is none of {', '.join(FORMATS)}")
    return chosen


def in_file_order(
    samples: Sequence[Sample], predictions: Sequence[Prediction]
) -> tuple[list[Sample], list[Prediction]]:
    """Return samples and predictions sorted by index, if every index is a whole number; else in the order given.

    A job whose samples were asked in a random order gets back the order of its file: VLMEvalKit computes some scores
    from the places of rows.
    """
    pairs = list(zip(samples, predictions, strict=True))
    if all(_WHOLE.fullmatch(sample.index) for sample in samples):
        pairs.sort(key=lambda pair: int(pair[0].index))
    return [sample for sample, _ in pairs], [prediction for _, prediction in pairs]


def rows(columns: Sequence[str], samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Row]:
    """Return one row per sample; `columns` are those of the data set's file.

    A failed sample says so in VLMEvalKit's words.
    """
    named = [column for column in columns if column not in ("index", "image", "prediction")]
    return [
        {"index": sample.index}
        | {column: text for column in named if (text := sample.cell(column))}
        | {"prediction": FAILED if prediction.error is not None else prediction.prediction}
        for sample, prediction in zip(samples, predictions, strict=True)
    ]


def encode(table: Sequence[Row], form: str) -> bytes:
    """Return the file's content. Indices that are whole numbers, all of them, are written as numbers, as
    VLMEvalKit does.
    """
    columns = list(dict.fromkeys(key for row in table for key in row))
    numbers = all(_WHOLE.fullmatch(row["index"]) for row in table)
    typed: list[dict[str, Any]] = [row | {"index": int(row["index"])} if numbers else dict(row) for row in table]
    if form == "xlsx":
        return _xlsx(columns, typed)
    if form == "tsv":
        return _tsv(columns, typed)
    filled = [{column: row.get(column) for column in columns} for row in typed]
    return json.dumps(filled, ensure_ascii=False, indent=4).encode("utf-8", "replace")


def _tsv(columns: Sequence[str], table: Sequence[Mapping[str, Any]]) -> bytes:
    import csv

    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in table)
    return text.getvalue().encode("utf-8", "replace")


def _xlsx(columns: Sequence[str], table: Sequence[Mapping[str, Any]]) -> bytes:
    """Return one sheet with a header; every text is stored as text, so that "=1" is no formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")

    def text(value: str) -> Any:
        cell = WriteOnlyCell(sheet)
        cell.value = _NOT_XML.sub("", value)[:CELL]
        cell.data_type = "s"
        return cell

    sheet.append([text(column) for column in columns])
    for row in table:
        values = (row.get(column) for column in columns)
        sheet.append([text(value) if isinstance(value, str) else value for value in values])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


# --- what VLMEvalKit's reader makes of it --------------------------------------------------------------------------


def read_as_vlmevalkit(data: bytes, form: str) -> pd.DataFrame:
    """Return the table as `vlmeval.smp.load` gives it: "None" and the like become empty, columns of numbers
    become numbers.
    """
    import pandas as pd

    if form == "xlsx":
        return pd.read_excel(io.BytesIO(data))
    if form == "tsv":
        return pd.read_csv(io.BytesIO(data), sep="\t")
    return pd.DataFrame(json.loads(data))


def damages(file: str, table: Sequence[Row], data: bytes, form: str) -> list[Damage]:
    """Return the texts of `table` that do not come back from `data` as they are, in the order of the rows."""
    if not table:
        return []
    back = read_as_vlmevalkit(data, form)
    if len(back) != len(table):
        return [Damage(file, "", "", f"reads back as {len(back)} rows instead of {len(table)}")]
    found: list[tuple[int, Damage]] = []
    for column in back.columns:
        for place, (row, value) in enumerate(zip(table, back[column].tolist(), strict=True)):
            written = row.get(str(column), "")
            if written == str(value) or not (written or column == "prediction"):
                continue
            # a column of numbers is one in the data set's file as well, and only these two are scored by spelling
            if column in ("prediction", "answer") or not _is_number(value):
                found.append((place, Damage(file, row["index"], str(column), _reason(written, value))))
    return [damage for _, damage in sorted(found, key=lambda each: each[0])]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value == value  # NaN is unequal to itself


def _reason(written: str, value: object) -> str:
    if value is None or value != value:
        return f"{written[:_SHOWN]!r} reads back as empty"
    if len(written) > CELL and len(str(value)) <= CELL:
        return f"cut to {CELL} of {len(written)} characters"
    if _NOT_XML.sub("", written) == value:
        return "control characters are left out"
    return f"{written[:_SHOWN]!r} reads back as {str(value)[:_SHOWN]!r}"
