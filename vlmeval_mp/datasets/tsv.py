"""A TSV file as a stream of rows: bytes to cells, one row in memory at a time.

Owns the file format, as `pandas.to_csv(sep="\\t")` writes it: UTF-8 with or without BOM, LF or CRLF, fields quoted
where they hold tabs, newlines or doubled quotes. Nothing is guessed: a file that another reader would silently read as
fewer rows is refused, naming file, row (1-based, the header not counted), index value and column. No text is special:
`None`, `NA` and `nan` stay text. Knows columns by name only; what they mean is for `rows`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from vlmeval_mp.core.errors import ConfigError

MAX_ROW_BYTES = 1 << 29
"""A longer line or quoted field is no row but a broken file; this bounds memory while it is found out."""

REWRITE = "write the file again with pandas' to_csv(sep='\\t', index=False)"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its 1-based `number`, its `index` and the cells of all columns, undecoded."""

    number: int
    index: str
    cells: dict[str, bytes]


class Reader:
    """The rows of one open TSV file, in order; `digest` is the SHA-256 of the bytes read so far.

    `needed` are the columns that the header must have, `index` among them.

    Raises:
        ConfigError: on construction for a bad header, while iterating for a bad row.
    """

    def __init__(self, file: BinaryIO, path: Path, needed: Sequence[str] = ("index", "question")) -> None:
        self.path = path
        self._needed = needed
        self.columns: tuple[str, ...] = ()
        self.numbers: dict[str, int] = {}
        """index -> row number, of the rows read so far"""
        self._spelled: dict[str, int] = {}
        """the plain spelling of an index that has another -> row number"""
        self._file = file
        self._hash = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._number = 0
        self._eol = b""
        self.columns = self._header()
        self._index_place = self.columns.index("index")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def md5(self) -> str:
        """By which VLMEvalKit tells an official file; of the bytes read so far."""
        return self._md5.hexdigest()

    def __iter__(self) -> Iterator[Row]:
        while (line := self._line()) is not None:
            if not line:
                continue
            self._number += 1
            yield self._row(self._fields(line))
        if not self._number:
            raise ConfigError(f"{self.path}: has a header but no rows; is the file complete?")

    def text(self, row: Row, column: str) -> str:
        """Return the cell of `column` as text; "" if there is no such column."""
        return self._decode(row.cells.get(column, b""), row.number, row.index, column)

    def refuse(self, number: int, index: str, column: str, problem: str) -> NoReturn:
        """Refuse the file for one cell; `problem` says what is wrong and the next step."""
        where = f"row {number}" if number else "header"
        named = f" (index {index!r})" if index else ""
        at = f", column {column!r}" if column else ""
        raise ConfigError(f"{self.path}: {where}{named}{at}: {problem}")

    # --- lines and fields --------------------------------------------------------------------------------------

    def _line(self) -> bytes | None:
        """Return the next line without its end; None at the end of the file."""
        line = self._file.readline(MAX_ROW_BYTES)
        if not line:
            return None
        if len(line) == MAX_ROW_BYTES:
            self.refuse(self._number + 1, "", "", "the line is longer than any row; is this a TSV file?")
        self._hash.update(line)
        self._md5.update(line)
        stripped = line.removesuffix(b"\n").removesuffix(b"\r")
        self._eol = line[len(stripped) :]
        return stripped

    def _fields(self, line: bytes) -> list[bytes]:
        if b'"' not in line:
            return line.split(b"\t")
        fields: list[bytes] = []
        start = 0
        while True:
            if line.startswith(b'"', start):
                value, line, end = self._quoted_field(line, start + 1, fields)
            else:
                end = line.find(b"\t", start)
                end = len(line) if end < 0 else end
                value = line[start:end]
            fields.append(value)
            if end == len(line):
                return fields
            start = end + 1

    def _quoted_field(self, line: bytes, start: int, before: list[bytes]) -> tuple[bytes, bytes, int]:
        """Return the quoted field whose text begins at `start`, the line on which it ends, and the place
        behind it there.
        """
        pieces: list[bytes] = []
        size = 0
        while (end := _closing_quote(line, start)) < 0:
            pieces.append(line[start:] + self._eol)
            size += len(pieces[-1])
            following = self._line()
            if following is None or size > MAX_ROW_BYTES:
                self._refuse_quote(before, f"a quote opens this field and is never closed; {REWRITE}")
            line, start = following, 0
        pieces.append(line[start:end])
        if line[end + 1 : end + 2] not in (b"", b"\t"):
            self._refuse_quote(
                before, f"a quote opens this field, but text follows the quote that would close it; {REWRITE}"
            )
        if self._swallows_rows(pieces, before):
            rows = len(pieces) - 1
            self._refuse_quote(before, f"a stray quote opens this field, and {rows} more row(s) are in it; {REWRITE}")
        return b"".join(pieces).replace(b'""', b'"'), line, end + 1

    def _swallows_rows(self, pieces: list[bytes], before: list[bytes]) -> bool:
        """Return whether the lines of a quoted field have exactly the tabs, and such indexes, as rows cut
        at this column.
        """
        if len(pieces) == 1 or not self.columns:
            return False
        width, place = len(self.columns) - 1, len(before)
        expected = [width - place, *[width] * (len(pieces) - 2), place]
        if [piece.count(b"\t") for piece in pieces] != expected:
            return False
        if self._index_place >= place:
            return True
        numeric = before[self._index_place].isdigit()
        indexes = [piece.split(b"\t")[self._index_place] for piece in pieces[1:]]
        return all(index.isdigit() if numeric else index for index in indexes)

    def _refuse_quote(self, before: list[bytes], problem: str) -> NoReturn:
        column = self.columns[len(before)] if len(before) < len(self.columns) else ""
        self.refuse(self._number, self._index_of(before), column, problem)

    # --- header and rows ---------------------------------------------------------------------------------------

    def _header(self) -> tuple[str, ...]:
        line = self._line()
        if line is None:
            raise ConfigError(f"{self.path}: is empty; a TSV with a header line is needed")
        if b"\r" in line:
            raise ConfigError(f"{self.path}: its lines end in CR alone, as on old Macs; {REWRITE}")
        fields = self._fields(line.removeprefix(b"\xef\xbb\xbf"))
        columns = tuple(self._decode(field, 0, "", "") for field in fields)
        if len(columns) == 1:
            other = next((name for mark, name in ((",", "commas"), (";", "semicolons")) if mark in columns[0]), "")
            seen = f"its header seems separated by {other}" if other else f"its only column is {columns[0][:80]!r}"
            raise ConfigError(f"{self.path}: is not separated by tabs ({seen}); {REWRITE}")
        for needed in self._needed:
            if needed not in columns:
                raise ConfigError(f"{self.path}: has no column {needed!r}; its columns are {', '.join(columns)[:400]}")
        for column in columns:
            if columns.count(column) > 1:
                raise ConfigError(f"{self.path}: has more than one column {column!r}; rename or remove one")
        return columns

    def _row(self, fields: list[bytes]) -> Row:
        if len(fields) != len(self.columns):
            problem = f"has {len(fields)} fields, but the header has {len(self.columns)}"
            self.refuse(self._number, self._index_of(fields), "", f"{problem}; a tab or a quote is astray. {REWRITE}")
        index = self._decode(fields[self._index_place], self._number, "", "index")
        if not index.strip():
            self.refuse(self._number, "", "index", "is empty; give every row an index of its own")
        first = self.numbers.setdefault(index, self._number)
        if first == self._number:
            first = self._first_alike(index)
        if first != self._number:
            self.refuse(self._number, index, "index", f"is also that of row {first}; give every row its own")
        return Row(self._number, index, dict(zip(self.columns, fields, strict=True)))

    def _first_alike(self, index: str) -> int:
        """Return the row that has the same index, perhaps in another spelling: 0 and 0.0 are one sample's."""
        same = canonical(index)
        if same != index:
            return min(self._spelled.setdefault(same, self._number), self.numbers.get(same, self._number))
        return self._spelled.get(index, self._number)

    def _index_of(self, fields: list[bytes]) -> str:
        """Return the index among `fields`, for a message about a row that may be broken."""
        if not self.columns or len(fields) <= self._index_place:
            return ""
        return fields[self._index_place][:64].decode("utf-8", "replace")

    def _decode(self, value: bytes, number: int, index: str, column: str) -> str:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            bad = f"byte 0x{value[error.start]:02x}"
            self.refuse(number, index, column, f"is not UTF-8 ({bad}); save the file as UTF-8")


_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def canonical(index: str) -> str:
    """Return what indexes of one sample have in common: a table may have made 1.0 of "1"."""
    index = index.strip()
    whole = _WHOLE.fullmatch(index)
    return whole[1] if whole else index


def _closing_quote(line: bytes, start: int) -> int:
    """Return the place of the first quote at or after `start` that is not doubled; -1 if there is none."""
    while (place := line.find(b'"', start)) >= 0:
        if line[place + 1 : place + 2] != b'"':
            return place
        start = place + 2
    return -1
