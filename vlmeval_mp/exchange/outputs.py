"""Finds VLMEvalKit's answers of one model on one data set in its work dir, in every layout that it has had.

    <work-dir>/<model>/T<yyyymmdd>-<hhmmss>/<model>_<dataset>.xlsx|tsv|json     since April 2026, and ours
    <work-dir>/<model>/T<yyyymmdd>_G<commit>/<model>_<dataset>.xlsx             before
    <work-dir>/<model>/<model>_<dataset>.xlsx                                   ms-vlmeval, or a link to the newest run

Half-finished answers are pickles beside where the table will be. Looks at names and times only; opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = (".xlsx", ".tsv", ".json")
_RUN = re.compile(r"T\d{8}(?:-\d{6}|_G[0-9a-fA-F]+)")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files that were found: the newest table, older ones, and the pickles of the newest run that has any."""

    table: Path | None = None
    older: tuple[Path, ...] = ()
    pickles: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return (*((self.table,) if self.table else ()), *self.older, *self.pickles)


def find(place: Path, model: str, dataset: str) -> Outputs:
    """Return what is left for `model` on `dataset` under `place`: a work dir, a model's folder in it, or a
    run's in that.
    """
    tables: dict[Path, Path] = {}
    unfinished: dict[Path, list[Path]] = {}
    for folder in _folders(place, model):
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.name.startswith("."):
                continue
            if path.suffix in TABLES and names(path.name, model, dataset):
                tables.setdefault(path.resolve(), path)
            elif is_pickle(path.name, model, dataset):
                unfinished.setdefault(folder, []).append(path)
    ordered = sorted(tables, key=_time, reverse=True)
    newest = ordered[0] if ordered else None
    pickles = max(unfinished.values(), key=lambda paths: max(map(_time, paths)), default=[])
    if newest and pickles and newest.parent != pickles[0].resolve().parent and max(map(_time, pickles)) < _time(newest):
        pickles = []  # of a run before that of the table
    return Outputs(newest, tuple(ordered[1:]), tuple(sorted(pickles, key=_order)))


def names(name: str, model: str, dataset: str) -> bool:
    """Return whether a file of this name holds answers of `model` on `dataset`."""
    table = any(name == f"{spelt}_{dataset}{ending}" for spelt in _spelt(model) for ending in TABLES)
    return table or is_pickle(name, model, dataset)


def is_pickle(name: str, model: str, dataset: str) -> bool:
    """Return whether it holds them half-finished; the pickles of ranks name no model but for videos."""
    data = re.escape(dataset)
    one = f"(?:{'|'.join(map(re.escape, _spelt(model)))})_{data}"
    frames = r"(?:_[\d.]+(?:frame|fps)_(?:no)?pack)?"
    return bool(
        re.fullmatch(rf"{one}(?:{frames}_(?:checkpoint|supp)|_PREV|_supp|)\.pkl|\d\d+_(?:{one}|{data})\.pkl", name)
    )


def is_run(name: str) -> bool:
    """Return whether a folder of this name is one run's."""
    return bool(_RUN.fullmatch(name))


def _folders(place: Path, model: str) -> Iterator[Path]:
    homes = [place, *(place / name for name in _spelt(model))]
    for home in homes:
        if home.is_dir():
            yield home
            yield from sorted(path for path in home.iterdir() if path.is_dir() and is_run(path.name))


def _spelt(model: str) -> tuple[str, ...]:
    """Return the names under which VLMEvalKit files a model: as it is, or with "--" for a slash."""
    return tuple(dict.fromkeys((model, model.replace("/", "--"))))


def _time(path: Path) -> float:
    return path.stat().st_mtime


def _order(path: Path) -> tuple[bool, float]:
    """Return a sort key: files that were copied from an earlier run come first, then old before new."""
    return not path.stem.endswith("_PREV"), _time(path)
