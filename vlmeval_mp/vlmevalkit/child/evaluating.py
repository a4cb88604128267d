"""Runs one evaluation by VLMEvalKit's own `evaluate`: writes its table, returns its metrics and verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replacements import EXACT

TABLES = (".tsv", ".csv", ".xlsx", ".json")
VERDICTS = ("hit", "eval_score", "match", "correct", "is_correct", "score", "acc", "accuracy")
"""Columns that say in 0..1 whether a prediction was right, the most telling first."""
FEW = 16
"""Processes of a judge's calls at once."""


def table(built: Any, predictions: dict[str, str], path: Path, dump: Any) -> int:
    """Write the prediction file as VLMEvalKit's own inference does, of the rows that were predicted; their number."""
    data = built.data.copy()
    data.pop("image") if "image" in data else None
    index = [str(x) for x in data["index"]]
    data = data[[x in predictions for x in index]]
    texts = [predictions[x] for x in index if x in predictions]
    data["prediction"] = texts
    dump(data, str(path))
    EXACT[str(path)] = texts
    return len(data)


def run(built: Any, file: Path, judge: str, arguments: dict[str, Any]) -> Any:
    """Return what `evaluate` gives."""
    given = {"model": judge, "nproc": FEW, "verbose": False, "retry": 6, "timeout": 600, **arguments}
    try:
        return built.evaluate(str(file), **given)
    except TypeError as error:
        if "argument 'model'" not in str(error):
            raise
        given.pop("model")  # some evaluators name their judge themselves
        return built.evaluate(str(file), **given)


def wants_xlsx(fault: Exception) -> bool:
    """Return whether an evaluator failed because it reads its files as Excel's, whatever they are."""
    return isinstance(fault, ValueError | AssertionError) and any(word in str(fault) for word in ("xlsx", "Excel file"))


def metrics(built: Any, found: Any) -> tuple[dict[str, float], str]:
    """Return every number of a result by VLMEvalKit's flat names (those of its status.json), and its primary one."""
    from vlmeval.smp.status_report import flatten_summary_metrics

    flat = {str(k): v for k, v in flatten_summary_metrics(found).items() if math.isfinite(v)}
    primary = built.report_primary_metric(flat) if hasattr(built, "report_primary_metric") else {}
    return flat, next((str(k) for k in primary if k in flat), next(iter(flat), ""))


def verdicts(folder: Path, prediction_file: Path, indices: set[str]) -> tuple[dict[str, float], str]:
    """Return verdicts per index, and the file and column they are from.

    Nothing where no file tells them for every sample.
    """
    for path in sorted(p for p in folder.iterdir() if p.suffix in TABLES and p.stem != prediction_file.stem):
        try:
            found = next(_columns(_read(path), indices), None)
        except Exception:  # noqa: S112 - a file of another shape holds no verdicts
            continue
        if found:
            return found[1], f"{path.name}, column {found[0]}"
    return {}, ""


def _read(path: Path) -> Any:
    import pandas as pd

    if path.suffix == ".json":
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".xlsx":
        return pd.read_excel(path)
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")


def _columns(frame: Any, indices: set[str]) -> Iterator[tuple[str, dict[str, float]]]:
    index = [str(x) for x in frame["index"]]
    if set(index) != indices or len(index) != len(indices):
        return
    for column in (c for c in VERDICTS if c in frame):
        values = [float(x) for x in frame[column]]
        if all(0 <= value <= 1 for value in values):
            yield column, dict(zip(index, values, strict=True))
