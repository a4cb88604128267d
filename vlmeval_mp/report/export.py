"""Writes tables as files that other programs open. A new format is one function and one line in `FORMATS`.

A text of a model or a data set that begins like a formula is never one in the file: a spreadsheet must not run what a
model said.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.jsonfiles import without_halves
from vlmeval_mp.report import tables
from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.tables import Table, Value

CELL = 32_767
"""Characters that one cell of an xlsx file holds."""
_FORMULA = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: how tables become its bytes, what it is called, and which table it has unless told otherwise.

    `text`: it can be shown on a terminal. `several`: it holds all tables at once.
    """

    encode: Callable[[Sequence[Table]], bytes]
    ending: str
    table: str
    text: bool = False
    several: bool = False


TABLES: dict[str, Callable[[RunView], Table]] = {
    "results": tables.results,
    "matrix": tables.matrix,
    "samples": tables.samples,
}


def encode(run: RunView, form: str, table: str = "") -> bytes:
    """Return the file of `run` in format `form`; `table` names one of `TABLES`, "" what the format has by itself.

    Raises:
        DependencyError: a package that the format needs is not installed.
    """
    chosen = FORMATS[form]
    names = list(TABLES) if chosen.several and not table else [table or chosen.table]
    return chosen.encode([TABLES[name](run) for name in names])


# --- text ------------------------------------------------------------------------------------------------------


def harmless(value: Value) -> Value:
    """Return a text that a spreadsheet would read as a formula with an apostrophe before it; all else as it is."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _csv(found: Sequence[Table], delimiter: str = ",") -> bytes:
    import csv

    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow([harmless(name) for name in found[0].columns])
    writer.writerows(["" if value is None else harmless(value) for value in row] for row in found[0].rows)
    return text.getvalue().encode("utf-8", "replace")


def _tsv(found: Sequence[Table]) -> bytes:
    return _csv(found, "\t")


def _plain(value: Value) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e6 else f"{value:g}"
    return "" if value is None else str(value)


def _markdown(found: Sequence[Table]) -> bytes:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(value: Value) -> str:
        text = _plain(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\r", "")
        return text.replace("\n", "<br>")

    table = found[0]
    numeric = [_is_numeric(table, place) for place in range(len(table.columns))]
    rules = ["---:" if right else "---" for right in numeric]
    rows = [line([cell(value) for value in row]) for row in table.rows]
    note = ["", cell(table.note)] if table.note else []
    text = "\n".join([line([cell(name) for name in table.columns]), line(rules), *rows, *note])
    return (text + "\n").encode("utf-8", "replace")


def _latex(found: Sequence[Table]) -> bytes:
    def cell(value: Value) -> str:
        return "".join(_LATEX.get(character, character) for character in _plain(value)).replace("\n", " ")

    def line(values: Sequence[Value]) -> str:
        return "  " + " & ".join(map(cell, values)) + r" \\"

    table = found[0]
    align = "".join("r" if _is_numeric(table, place) else "l" for place in range(len(table.columns)))
    lines = ["% needs \\usepackage{booktabs}"]
    lines += [f"% {table.note}"] if table.note else []
    lines += [rf"\begin{{tabular}}{{{align}}}", r"  \toprule", line(table.columns)]
    lines += [r"  \midrule", *(line(row) for row in table.rows), r"  \bottomrule", r"\end{tabular}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _is_numeric(table: Table, place: int) -> bool:
    """Return whether a column holds numbers, or cells of the matrix, which read as such."""
    values = [row[place] for row in table.rows if row[place] not in (None, "", "–")]
    return bool(values) and all(isinstance(v, int | float) or _NUMBER.match(str(v)) for v in values) and place > 0


_NUMBER = re.compile(r"-?[\d,.]+( ± [\d,.]+)?$")


# --- binary ----------------------------------------------------------------------------------------------------


def _xlsx(found: Sequence[Table]) -> bytes:
    """Return one sheet per table; every text is stored as text, so that "=1" is no formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    for table in found:
        sheet = book.create_sheet(table.name)
        sheet.freeze_panes = "A2"
        for row in (table.columns, *table.rows):
            cells = []
            for value in row:
                cell = WriteOnlyCell(sheet)
                if isinstance(value, str):
                    cell.value = _NOT_XML.sub("", value)[:CELL]
                    cell.data_type = "s"
                elif value is not None:
                    cell.value = value
                cells.append(cell)
            sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _parquet(found: Sequence[Table]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DependencyError(
            "parquet files need pyarrow, which is not installed: "
            "scripts/install parquet (or: pip install 'vlmeval-mp[parquet]')"
        ) from None
    table = found[0]
    columns = {name: [_whole(row[place]) for row in table.rows] for place, name in enumerate(table.columns)}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out, compression="zstd")
    return out.getvalue()


def _whole(value: Value) -> Value:
    """Return a text without half surrogate pairs, which no Arrow string holds."""
    return without_halves(value) if isinstance(value, str) else value


FORMATS: dict[str, Format] = {
    "csv": Format(_csv, "csv", "results", text=True),
    "tsv": Format(_tsv, "tsv", "results", text=True),
    "markdown": Format(_markdown, "md", "matrix", text=True),
    "latex": Format(_latex, "tex", "matrix", text=True),
    "parquet": Format(_parquet, "parquet", "samples"),
    "xlsx": Format(_xlsx, "xlsx", "results", several=True),
}
