"""VLMEvalKit's output tree, written from a run's finished jobs; its own `evaluate` and `--reuse` read it.

    <work-dir>/<model>/T<yyyymmdd>-<hhmmss>/<model>_<dataset>.xlsx     or tsv, json (`PRED_FORMAT`)
                                            <model>_<dataset>_acc.csv  yes/no: _score.csv; our own scores
                                            status.json
    <work-dir>/<model>/<model>_<dataset>.xlsx, …                       links to the newest run

An export, never read back. A table damages some texts: `Damage` says which; `predictions.jsonl` has them whole.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmeval_mp import __version__, files, results
from vlmeval_mp.errors import ConfigError, StorageError
from vlmeval_mp.merge import merge
from vlmeval_mp.paths import RunPaths
from vlmeval_mp.records import Prediction, RunRecord, Sample, Summary
from vlmeval_mp.scoring.base import FAILED
from vlmeval_mp.scoring.postprocess import applied

FORMATS = ("xlsx", "tsv", "json")
CELL = 32_767
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f]")
_ABSENT = {"", "None", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A"}
_DROPPED = ("image", "index", "question", "answer", "prediction")


@dataclass(frozen=True, slots=True)
class Damage:
    """A prediction that the table could not carry as it is: whose, and why."""

    file: str
    index: str
    reason: str


def pred_format(environ: Mapping[str, str]) -> str:
    """VLMEvalKit's `PRED_FORMAT`.

    Raises:
        ConfigError: it is none of xlsx, tsv, json.
    """
    chosen = environ.get("PRED_FORMAT", "xlsx").lower()
    if chosen not in FORMATS:
        raise ConfigError(f"PRED_FORMAT: {chosen!r} is none of {', '.join(FORMATS)}")
    return chosen


def export(
    paths: RunPaths, record: RunRecord, root: Path, form: str, now: float, *, scored: bool = True
) -> list[Damage]:
    """Write the tree of `record`'s finished jobs below `root`; gives the rows that the tables could not carry whole.

    With `scored=False` there are the tables and no scores, as VLMEvalKit's `--mode infer` leaves it: without links.

    Raises:
        StorageError: a file could not be written.
    """
    stamp = time.strftime("T%Y%m%d-%H%M%S", time.localtime(now))
    damaged: list[Damage] = []
    try:
        for model in record.spec.models:
            name = model.name.replace("/", "--")  # a slash would make folders
            jobs = [job for job in record.jobs if job.model == model.name]
            statuses: dict[str, Any] = {}
            for job in jobs:
                summary = results.read_summary(paths.results(job.model, job.dataset)) if scored else None
                samples, predictions = merge(paths, job) if summary or not scored else ([], [])
                if len(samples) < max(1, job.samples):
                    continue
                seen = [applied(model.post_process, p) for p in predictions]
                folder, stem = root / name / stamp, f"{name}_{job.dataset}"
                folder.mkdir(parents=True, exist_ok=True)
                harmed = _write_table(folder / f"{stem}.{form}", samples, seen, form)
                damaged += harmed
                if summary is None:
                    statuses[job.dataset] = _inferred(f"{stem}.{form}", harmed)
                    continue
                scores = f"{stem}_{'score' if 'yesno' in summary.scorers else 'acc'}.csv"
                files.atomic_write(folder / scores, _scores(summary).encode())
                for file in (f"{stem}.{form}", scores):
                    _link(root / name / file, Path(stamp) / file)
                statuses[job.dataset] = _status(summary, f"{stem}.{form}", harmed)
            if statuses:
                status = _run_status(stamp, name, form, now, "all" if scored else "infer") | {"datasets": statuses}
                files.atomic_write(root / name / stamp / "status.json", json.dumps(status, indent=2).encode())
    except OSError as error:
        raise StorageError(f"cannot write VLMEvalKit's tree to {root}: {error.strerror or error}") from error
    return damaged


def _write_table(path: Path, samples: Sequence[Sample], predictions: Sequence[Prediction], form: str) -> list[Damage]:
    import pandas as pd

    rows = [_row(sample, prediction) for sample, prediction in zip(samples, predictions, strict=True)]
    damaged = [
        Damage(path.name, sample.index, why)
        for sample, row in zip(samples, rows, strict=True)
        if (why := _harm(row["prediction"], form))
    ]
    if all(re.fullmatch(r"0|[1-9]\d{0,17}", row["index"]) for row in rows):
        rows = [row | {"index": int(row["index"])} for row in rows]
    building = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if form == "xlsx":
        _write_xlsx(building, rows)
    elif form == "tsv":
        pd.DataFrame(rows).to_csv(building, sep="\t", index=False)
    else:
        pd.DataFrame(rows).to_json(building, orient="records", force_ascii=False, indent=4)
    building.replace(path)
    return damaged


def _write_xlsx(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One sheet with a header; every text is stored as text, so that "=1" is no formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    sheet.append(columns)
    for row in rows:
        cells: list[Any] = []
        for column in columns:
            value = row.get(column)
            if isinstance(value, str):
                cell = WriteOnlyCell(sheet)
                cell.value = _CONTROL.sub("", value)[:CELL]
                cell.data_type = "s"
                cells.append(cell)
            else:
                cells.append(value)
        sheet.append(cells)
    book.save(path)


def _row(sample: Sample, prediction: Prediction) -> dict[str, Any]:
    named = {"hint": sample.hint, "category": sample.category, "l2-category": sample.l2_category, "split": sample.split}
    return {
        "index": sample.index,
        "question": sample.question,
        **sample.options,
        "answer": sample.answer,
        **{key: value for key, value in named.items() if value},
        **{key: value for key, value in sample.extra.items() if key not in _DROPPED},
        "prediction": FAILED if prediction.error is not None else prediction.prediction,
    }


def _harm(text: str, form: str) -> str:
    """What a table of this form does to `text` when VLMEvalKit reads it back; "" if nothing."""
    if form == "json":
        return ""
    if text in _ABSENT:
        return f"{text!r} reads back as empty"
    if form == "tsv":
        return "a carriage return ends the row" if "\r" in text else ""
    if len(text) > CELL:
        return f"cut to {CELL} of {len(text)} characters"
    return "control characters are left out" if _CONTROL.search(text) else ""


def _scores(summary: Summary) -> str:
    """Our scores in the shape of VLMEvalKit's `_acc.csv`: one line per split, or one for all."""
    import csv
    import io

    groups = summary.by_category
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["split", "Overall", *groups])
    overall = summary.metrics.get(summary.primary_metric)
    writer.writerow(["none", overall, *(group.get("accuracy") for group in groups.values())])
    return buffer.getvalue()


def _status(summary: Summary, file: str, harmed: Sequence[Damage]) -> dict[str, Any]:
    return {
        "status": "done",
        "prediction_file": file,
        "judge_model": None,
        "primary_metric": summary.primary_metric,
        "metrics": dict(summary.metrics),
        "total": summary.counts.total,
        "failed": summary.counts.failed,
        "rows_not_carried_whole": {damage.index: damage.reason for damage in harmed},
    }


def _inferred(file: str, harmed: Sequence[Damage]) -> dict[str, Any]:
    return {
        "status": "done",
        "prediction_file": file,
        "skip_reason": "mode_infer",
        "rows_not_carried_whole": {damage.index: damage.reason for damage in harmed},
    }


def _run_status(stamp: str, model: str, form: str, now: float, mode: str) -> dict[str, Any]:
    made = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now))
    return {
        "schema_version": "1.0",
        "eval_id": stamp,
        "created_at": made,
        "updated_at": made,
        "commit": f"vlmeval-mp {__version__}",
        "model_name": model,
        "pred_format": form,
        "mode": mode,
    }


def _link(link: Path, target: Path) -> None:
    """Point `link` at `target` in one step; a file that is no link is left alone."""
    if link.exists() and not link.is_symlink():
        return
    building = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    building.unlink(missing_ok=True)
    building.symlink_to(target)
    building.replace(link)
