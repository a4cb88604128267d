"""Reads tables from elsewhere (xlsx, tsv, csv, json, jsonl) as rows of text. Interprets no cell.

Owns the file formats. Text stays what it was in the cell: "None", "NA" and "" are texts, a number is its own spelling
(an xlsx has none: 7.0 is "7"), a formula is its text, because in a column of answers it is an answer that began with
"=". Text formats may be gzipped. Knows no column's meaning.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.jsonfiles import without_halves

FORMATS = ("xlsx", "tsv", "csv", "json", "jsonl")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table. A row that lacks a column has "" there; rows count from 1, the header not counted."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def read(path: Path) -> Sheet:
    """Return the table in `path`, its format told by the name's ending.

    Raises:
        ConfigError: it cannot be read, is no such file inside, or has no rows; says where it breaks.
    """
    name = path.name.lower()
    form = name.removesuffix(".gz").rpartition(".")[2]
    if form not in FORMATS or (form == "xlsx" and name.endswith(".gz")):
        raise ConfigError(f"{path}: is not called .{', .'.join(FORMATS)}, or one of the last four with .gz")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    if form == "xlsx":
        rows = list(_xlsx(path, data))
    else:
        text = _text(path, data, zipped=name.endswith(".gz"))
        rows = list(_READERS[form](path, text))
    if not rows:
        raise ConfigError(f"{path}: has no rows; is the file complete?")
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Sheet(path, columns, tuple({column: row.get(column, "") for column in columns} for row in rows))


def _text(path: Path, data: bytes, *, zipped: bool) -> str:
    try:
        return (gzip.decompress(data) if zipped else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: is no complete gzip file ({error}); copy it again") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


# --- xlsx ----------------------------------------------------------------------------------------------------------


def _xlsx(path: Path, data: bytes) -> Iterator[dict[str, str]]:
    """Yield the rows of the first sheet; rows without any value are none."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some writers state a size that is none
        rows = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    except Exception as error:  # openpyxl lets through whatever its parsers raise
        raise ConfigError(f"{path}: is no xlsx file that can be read ({error or type(error).__name__})") from None
    header, *rest = rows or [[]]
    names = _header(path, [name.strip() for name in header])
    for row in rest:
        if any(row):
            yield {name: value for name, value in zip(names, row, strict=False) if name}


def _cell(value: Any) -> str:
    from openpyxl.utils.escape import unescape

    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    text = getattr(value, "text", value)  # an array formula is an object
    return without_halves(unescape(text)) if isinstance(text, str) else str(text)


# --- separated text ------------------------------------------------------------------------------------------------


def _separated(path: Path, text: str, delimiter: str) -> list[dict[str, str]]:
    """Return the rows of a text, all at once: the limit of the csv module is the process's, and is lifted meanwhile."""
    found: list[dict[str, str]] = []
    before = csv.field_size_limit(sys.maxsize)  # a cell may hold a picture
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = _header(path, next(rows, []))
        for number, row in enumerate((row for row in rows if row), 1):
            if len(row) != len(names):
                raise ConfigError(
                    f"{path}: row {number} has {len(row)} fields, but the header has {len(names)}; "
                    "a separator or a quote is astray"
                )
            found.append({name: value for name, value in zip(names, row, strict=True) if name})
    except csv.Error as error:
        raise ConfigError(f"{path}: line {rows.line_num}: {error}; a quote is astray") from None
    finally:
        csv.field_size_limit(before)
    return found


def _header(path: Path, names: Sequence[str]) -> Sequence[str]:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: has more than one column {twice[0]!r}; rename or remove one")
    return names


# --- JSON ----------------------------------------------------------------------------------------------------------


def _json(path: Path, text: str) -> Iterator[dict[str, str]]:
    """Yield a list of objects, or one object that maps each index to its answer or to an object."""
    value = _loads(path, text, "")
    if isinstance(value, dict):
        value = [{"index": k, **(v if isinstance(v, dict) else {"prediction": v})} for k, v in value.items()]
    if not isinstance(value, list):
        raise ConfigError(f"{path}: must be a list of objects, or an object of index → answer")
    for number, row in enumerate(value, 1):
        yield _object(path, row, f"row {number}")


def _jsonl(path: Path, text: str) -> Iterator[dict[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _object(path, _loads(path, line, f"line {number}: "), f"line {number}")


def _loads(path: Path, text: str, where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"{path}: {where}the key {twice!r} stands twice in one object; remove one")
        return found

    try:
        # a number keeps its spelling; NaN is what pandas writes for an empty cell
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None, object_pairs_hook=unique)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {where}is not JSON ({error}); is the file complete?") from None


def _object(path: Path, value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: {where} is not an object of column → value")
    return {str(name): _value(each) for name, each in value.items()}


def _value(value: Any) -> str:
    if value is None:
        return ""
    return without_halves(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


_READERS = {
    "tsv": lambda path, text: _separated(path, text, "\t"),
    "csv": lambda path, text: _separated(path, text, ","),
    "json": _json,
    "jsonl": _jsonl,
}
