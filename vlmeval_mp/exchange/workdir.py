"""Writes a run as VLMEvalKit's output tree, which VLMEvalKit's `evaluate`, `--reuse` and `vlmutil` can read.

    <work-dir>/<model>/T<yyyymmdd>-<hhmmss>/<model>_<dataset>.xlsx       or tsv, json (`PRED_FORMAT`)
                                            <model>_<dataset>_acc.csv    and other evaluators' files (`scorefiles`)
                                            <model>_<dataset>_whole.jsonl  texts that the table could not carry
                                            status.json
    <work-dir>/<model>/<model>_<dataset>.xlsx, …                         links to the newest run

Every launch writes a folder of its own, as every run of VLMEvalKit does, and each file in one step. A job without all
its answers has its state in `status.json` and no table, which VLMEvalKit would prefer to an older, full one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vlmeval_mp import __version__
from vlmeval_mp.core import credentials, files
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.paths import RunPaths, slug
from vlmeval_mp.core.records import Job, Json, ModelSpec, Prediction, RunRecord, Sample, Shard, Summary
from vlmeval_mp.exchange import outputs, scorefiles
from vlmeval_mp.exchange import predictions as predictiontable
from vlmeval_mp.exchange.predictions import Damage
from vlmeval_mp.exchange.scoreshapes import ScoreFile
from vlmeval_mp.runs import results, stops
from vlmeval_mp.runs.index import search
from vlmeval_mp.runs.merge import info_of, merge
from vlmeval_mp.scoring.base import Rules, ScoredSample
from vlmeval_mp.scoring.reading.postprocess import applied
from vlmeval_mp.vlmevalkit import evaluation
from vlmeval_mp.vlmevalkit.child.judging import EXACT

STATUS = "status.json"


@dataclass(slots=True)
class ExportNotes:
    """Notes on a written tree: texts that a table could not hold, and names of links that another file occupies."""

    folders: list[Path] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    unlinked: list[Path] = field(default_factory=list)


def export(
    paths: RunPaths, record: RunRecord, root: Path, form: str, now: float, *, scored: bool = True
) -> ExportNotes:
    """Write the tree of `record` below `root`; with `scored=False` as VLMEvalKit's `--mode infer`: no scores, no links.

    Raises:
        StorageError: a file could not be written; what was in `root` is as it was.
    """
    found = ExportNotes()
    names = folder_names([model.name for model in record.spec.models])
    try:
        for model in record.spec.models:
            jobs = [job for job in record.jobs if job.model == model.name]
            _Tree(paths, record, model, root / names[model.name], form, now, scored, found).write(jobs)
    except OSError as error:
        raise StorageError(f"cannot write VLMEvalKit's tree to {root}: {error.strerror or error}") from error
    return found


def folder_names(names: Sequence[str]) -> dict[str, str]:
    """Return how VLMEvalKit's API mode writes each name in a file name: a slash becomes "--"; two alike get a hash."""
    plain = {name: name.replace("/", "--") for name in names}
    taken = list(plain.values())
    return {name: p if taken.count(p) == 1 and p.strip(".") else slug(name) for name, p in plain.items()}


@dataclass(frozen=True, slots=True)
class _Tree:
    """The part of a tree that is one model's. `home` is its folder."""

    paths: RunPaths
    record: RunRecord
    model: ModelSpec
    home: Path
    form: str
    now: float
    scored: bool
    found: ExportNotes

    def write(self, jobs: Sequence[Job]) -> None:
        folder = _new_folder(self.home, self.now)
        self.found.folders.append(folder)
        named = folder_names([job.dataset for job in jobs])
        status: Json = {}
        links: list[str] = []
        for job in jobs:
            stem = f"{self.home.name}_{named[job.dataset]}"
            status[job.dataset], written = self._write_job(job, folder, stem)
            links += written
        about = _run_status(folder.name, self.model.name, self.form, self.now, "all" if self.scored else "infer")
        reused = any("imported" in entry for entry in status.values())
        files.atomic_write(folder / STATUS, _json(about | {"reuse": reused, "datasets": status}))
        for name in links:
            if not _link(self.home / name, Path(folder.name) / name):
                self.found.unlinked.append(self.home / name)

    def _write_job(self, job: Job, folder: Path, stem: str) -> tuple[Json, list[str]]:
        """Return the job's entry in status.json, and the names of the files that are linked."""
        summary = results.read_summary(self.paths.results(job.model, job.dataset)) if self.scored else None
        samples, predictions = merge(self.paths, job)
        if len(samples) < stops.expected(self.paths, job) or (self.scored and summary is None):
            rows = Shard(job=job.name, first=0, last=job.samples - 1)
            answered = len(search(self.paths.checkpoints, rows).answers)
            return {"status": "infer" if answered else "pending", "total": job.samples, "answered": answered}, []
        if next(data.order for data in self.record.spec.datasets if data.name == job.dataset):
            samples, predictions = predictiontable.in_file_order(samples, predictions)
        seen = [applied(self.model.post_process, prediction) for prediction in predictions]
        columns = info_of(self.paths, job).columns
        table = predictiontable.rows(columns, samples, seen)
        content = predictiontable.encode(table, self.form)
        name = f"{stem}.{self.form}"
        damaged = predictiontable.damages(name, table, content, self.form)
        self.found.damaged += damaged
        files.atomic_write(folder / name, content)
        entry: Json = {"status": "done", "prediction_file": name, "judge_model": EXACT}
        if damaged:
            whole = f"{stem}_whole.jsonl"
            files.atomic_write(folder / whole, _whole(table, damaged))
            entry |= {"texts_kept_whole_in": whole, "rows_not_carried_whole": _by_index(damaged)}
        if summary is None:
            return entry | {"skip_reason": "mode_infer"}, []
        rules = replace(results.rules_of(self.record.spec, job), mode="compat")
        if not rules.by_rules:
            copied = self._copy_evaluators(job, rules, folder, stem)
            entry |= {"judge_model": rules.judge or EXACT} | _scores(summary, None) | _unscored(summary)
            return entry, [name, *copied]
        scored = self._compat(job, samples, predictions, rules)
        made = scorefiles.score_file(rules.scorer, scored)
        linked = [name]
        if made and made.ending:
            files.atomic_write(folder / f"{stem}{made.ending}", made.content)
            linked.append(f"{stem}{made.ending}")
        return entry | _scores(summary, made), linked

    def _compat(
        self, job: Job, samples: Sequence[Sample], predictions: Sequence[Prediction], rules: Rules
    ) -> list[ScoredSample]:
        """Return the samples with their compat verdicts: those in the job's results, or new ones if they
        are not there.
        """
        kept = None if rules.judge else results.read_scores(self.paths.results(job.model, job.dataset), "compat")
        by_index = {score.index: score for score in kept or ()}
        if by_index.keys() != {sample.index for sample in samples}:
            by_rules = replace(rules, judge="")
            return results.judged(job.model, job.dataset, samples, predictions, by_rules)[0]
        return [
            ScoredSample(sample, said, by_index[sample.index])
            for sample, said in zip(samples, predictions, strict=True)
        ]

    def _copy_evaluators(self, job: Job, rules: Rules, folder: Path, stem: str) -> list[str]:
        """Bring over what VLMEvalKit's own evaluator wrote beside its prediction file; the names there."""
        wrote = f"{job.model.replace('/', '--')}_{Path(rules.source).stem}"
        copied = []
        for path in sorted((self.paths.results(job.model, job.dataset) / evaluation.FILES).glob(f"{wrote}_*")):
            copied.append(stem + path.name.removeprefix(wrote))
            files.atomic_write(folder / copied[-1], path.read_bytes())
        return copied


def _unscored(summary: Summary) -> Json:
    """VLMEvalKit's key for why there is no score."""
    said = summary.problem or " ".join(summary.notes)
    return {} if summary.metrics else {"error_message": said}


def _new_folder(home: Path, now: float) -> Path:
    """Return a folder that no other run has, named by the time: by the next free second, if two ask within one."""
    home.mkdir(parents=True, exist_ok=True)
    while True:
        folder = home / time.strftime("T%Y%m%d-%H%M%S", time.localtime(now))
        try:
            folder.mkdir()
        except FileExistsError:
            now += 1
        else:
            return folder


def _scores(summary: Summary, made: ScoreFile | None) -> Json:
    """VLMEvalKit's keys hold the compat numbers under its names; both modes are under their own."""
    modes = {summary.scoring: dict(summary.metrics)}
    if summary.other is not None:
        modes[summary.other.scoring] = dict(summary.other.metrics)
    numbers = dict(made.metrics) if made else dict(summary.metrics)
    return {
        "primary_metric": made.primary if made else summary.primary_metric,
        "metrics": {name: value for name, value in numbers.items() if value is not None},
        "scoring": modes,
        "samples_judged_differently": summary.other.differ if summary.other else 0,
        "total": summary.counts.total,
        "failed": summary.counts.failed,
        **_origin(summary),
    }


def _origin(summary: Summary) -> Json:
    """Return where answers were imported from, if any were.

    `source_run` is VLMEvalKit's key for the run they are of.
    """
    if not summary.imported:
        return {}
    earlier = [Path(file).parent.name for file in summary.imported if outputs.is_run(Path(file).parent.name)]
    return {"imported": dict(summary.imported), **({"source_run": earlier[0]} if earlier else {})}


def _run_status(stamp: str, model: str, form: str, now: float, mode: str) -> Json:
    made = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now))
    return {
        "schema_version": "1.0",
        "eval_id": stamp,
        "created_at": made,
        "updated_at": made,
        "commit": f"vlmeval-mp {__version__}",
        "argv": [credentials.masked(argument, os.environ) for argument in sys.argv],
        "api_mode": False,
        "world_size": 1,
        "pred_format": form,
        "eval_format": "csv",
        "mode": mode,
        "model_name": model,
    }


def _by_index(damaged: Sequence[Damage]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in damaged:
        said = f"{each.column}: {each.reason}"
        found[each.index] = f"{found[each.index]}; {said}" if each.index in found else said
    return found


def _whole(table: Sequence[predictiontable.Row], damaged: Sequence[Damage]) -> bytes:
    """Return one line per row that the table does not carry whole, with those of its texts that it does not."""
    columns: dict[str, list[str]] = {}
    for each in damaged:
        columns.setdefault(each.index, []).append(each.column)
    lines = [
        {"index": row["index"], **{column: row.get(column, "") for column in columns[row["index"]]}}
        for row in table
        if row["index"] in columns
    ]
    return b"".join(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for line in lines)


def _json(value: Json) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _link(link: Path, target: Path) -> bool:
    """Point `link` at `target` in one step; False if a file that is no link stands there, which is left alone."""
    if link.exists() and not link.is_symlink():
        return False
    building = files.temporary(link)
    building.symlink_to(target)
    building.replace(link)
    return True
