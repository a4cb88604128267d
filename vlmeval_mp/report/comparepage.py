"""A comparison as one HTML file: the differences with their intervals, and the replies of two sides side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.report.comparison import DatasetComparison, NoComparison, Side, pairs_of
from vlmeval_mp.report.document import document, render
from vlmeval_mp.report.gather import JobView
from vlmeval_mp.report.pages import Options, Page
from vlmeval_mp.report.samples import MOVING, columns_of, notes_of_pictures, thumbnails

KEYS = (
    *MOVING,
    ("d", "samples that flipped"),
    ("g l", "those that the second does better, worse"),
    ("w a", "both wrong, all"),
)
REACH = 30.0
"""Points of difference at the ends of the drawn axis; what lies beyond is drawn at the end."""


def write(
    path: Path,
    sides: Sequence[Side],
    found: Sequence[DatasetComparison],
    refused: Sequence[NoComparison],
    options: Options,
) -> None:
    """Write the page of a comparison to `path`; pictures that find no room lie in a folder beside it.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {path.parent}: {error.strerror or error}") from error
    labels = list(dict.fromkeys(side.label for side in sides))
    pages = {"difference": _differences(found, refused), "flips": _flips(path.parent, sides, found, options)}
    chips = [{"text": label, "kind": "good" if place == 0 else ""} for place, label in enumerate(labels)]
    facts = {"chips": chips, "subtitle": "the first one is what the others are compared with"}
    files.atomic_write(path, document(" vs ".join(labels), pages, facts), durable=False)


def _differences(found: Sequence[DatasetComparison], refused: Sequence[NoComparison]) -> Page:
    html = render("difference.html", found=found, refused=refused, reach=REACH, x=_x, percent=_percent, p=p_text)
    return Page("Difference", html)


def _x(difference: float) -> float:
    """Return where a difference (a fraction) is on the drawn axis, in percent of its length."""
    points = min(REACH, max(-REACH, 100 * difference))
    return round(50 + 50 * points / REACH, 2)


def _percent(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{100 * value:+,.2f}" if signed else f"{100 * value:,.2f}"


def p_text(p: float) -> str:
    """Return a p value as people write it."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def _flips(folder: Path, sides: Sequence[Side], found: Sequence[DatasetComparison], options: Options) -> Page:
    by_label = {side.label: side for side in sides}
    views: list[JobView] = []
    pairs: list[dict[str, Any]] = []
    for each in found:
        both = [_view(by_label[label], each.dataset) for label in (each.first, each.second)]
        mode, rows = pairs_of(both[0], both[1], each.mode)
        for view in both:
            if not any(view is other for other in views):
                views.append(view)
        numbers = [next(n for n, other in enumerate(views) if other is view) for view in both]
        pairs.append(
            {
                "first": each.first,
                "second": each.second,
                "dataset": each.dataset,
                "mode": mode,
                "jobs": numbers,
                "rows": [[*pair.places, pair.first, pair.second] for pair in rows],
            }
        )
    data, notes = columns_of(views)
    pictures = thumbnails(views, folder, options)
    notes += notes_of_pictures(pictures, options)
    return Page(
        title="Replies",
        html=render("flips.html", notes=notes),
        data={"samples": data, "pairs": pairs, "pictures": pictures.sources},
        scripts=("sample.js", "flips.js"),
        keys=KEYS,
    )


def _view(side: Side, dataset: str) -> JobView:
    return next(view for view in side.jobs if view.job.dataset == dataset)
