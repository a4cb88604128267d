"""A matrix of models and data sets, for runs with several of both."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len

Rows = list[list[str]]
"""A heading, then a row per model (or per data set); the first column has its name."""

_GAP = 3
_ABSENT = "–"


def matrix(cells: Mapping[tuple[str, str], str], width: int | None = None) -> Rows | None:
    """Return the matrix of `cells`, which map (model, data set) to what is shown there.

    Models go down; where that is wider than `width` columns, data sets do. None for fewer than two of either, or where
    it does not fit in either way.
    """
    models = list(dict.fromkeys(model for model, _ in cells))
    datasets = list(dict.fromkeys(dataset for _, dataset in cells))
    if len(models) < 2 or len(datasets) < 2:
        return None
    down = [["model", *datasets]]
    down += [[model, *(cells.get((model, name), _ABSENT) for name in datasets)] for model in models]
    across = [["dataset", *models]]
    across += [[name, *(cells.get((model, name), _ABSENT) for model in models)] for name in datasets]
    return next((rows for rows in (down, across) if width is None or _needed(rows) <= width), None)


def _needed(rows: Rows) -> int:
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return sum(widths) + _GAP * (len(widths) - 1) + 2
