"""The result files of a job: `predictions.jsonl`, `scores.jsonl` and `summary.json`.

A pure function of samples and predictions: nothing of when, where or by whom is in these files, so two runs of one
configuration can be compared byte for byte. The verdicts of the mode that was not asked for are in a file of their own.
Knows no queue and no engine; who answered what stays in the checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError, VlmevalError
from vlmeval_mp.core.records import Job, Prediction, RunSpec, Sample, Score, Struct, Summary
from vlmeval_mp.runs import judges
from vlmeval_mp.runs.verdicts import Pair, Retyping, Slim, Verdicts
from vlmeval_mp.scoring import STRICT, score, score_all
from vlmeval_mp.scoring.base import Mode, Rules, ScoredSample, mode_name
from vlmeval_mp.scoring.families import has_official, mode_for
from vlmeval_mp.scoring.health import Watch
from vlmeval_mp.scoring.summary import summarize
from vlmeval_mp.vlmevalkit.evaluation import evaluate_job

PREDICTIONS, SCORES, SUMMARY = "predictions.jsonl", "scores.jsonl", "summary.json"
OTHER_SCORES: dict[Mode, str] = {mode: f"scores.{mode}.jsonl" for mode in ("strict", "compat", "official")}
"""The file with the verdicts of each mode, unless it is the run's own mode, whose verdicts are in `SCORES`."""


class AnsweredLine(Struct, frozen=True, omit_defaults=False):
    """A line of `predictions.jsonl`: a sample that was answered."""

    index: str
    prediction: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class FailedLine(Struct, frozen=True, omit_defaults=False):
    """A line of `predictions.jsonl`: a sample that failed, and why."""

    index: str
    error: str


def write(
    folder: Path,
    model: str,
    dataset: str,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    rules: Rules = STRICT,
) -> Summary:
    """Score `predictions` in both modes and write all three files, each replaced in one step, the summary last.

    A sample without a prediction has no line in `predictions.jsonl`.

    Raises:
        StorageError: a file could not be written.
        VlmevalError: a prediction belongs to no sample.
    """
    pairs = list(zip(samples, _in_order(dataset, samples, predictions), strict=True))
    return write_pairs(folder, model, dataset, pairs, rules)


def write_pairs(
    folder: Path, model: str, dataset: str, pairs: Iterable[Pair], rules: Rules, verdicts: Verdicts | None = None
) -> Summary:
    """Do what `write` does for samples that come one by one with their predictions; `verdicts` are used if given.

    Of the samples only what the summary needs is kept in memory, unless `pairs` have to be walked through again: for
    VLMEvalKit's own evaluator, and where its tables would hold numbers for texts.

    Raises:
        StorageError: a file could not be written.
    """
    _make(folder)
    if not rules.by_rules or rules.judge in judges.JUDGES:
        scored, summary = _judged(folder, model, dataset, list(pairs), rules)
        save(folder, scored, summary)
        return summary
    verdicts, slim, retyping = verdicts or Verdicts(rules), Slim(rules), Retyping(rules)
    names = (
        folder / PREDICTIONS,
        folder / SCORES,
        folder / OTHER_SCORES[_other(rules.mode)],
    )
    (folder / OTHER_SCORES[rules.mode]).unlink(missing_ok=True)  # of an earlier scoring that was asked for otherwise
    watch = Watch()
    ours: list[ScoredSample] = []
    theirs: list[ScoredSample] = []
    own = replace(rules, mode="official") if _beside(rules) else None
    official: list[ScoredSample] = []
    with files.replacing(*names) as (predictions, scores, others):
        for sample, prediction in pairs:
            retyping.add(sample, prediction)
            found = verdicts.of(sample, prediction)
            watch.add(sample, prediction, found[0], found[0] if rules.mode == "strict" else found[1])
            if prediction is not None:
                predictions.write(_ENCODE(_line(prediction)) + b"\n")
            for verdict, file, kept in zip(found, (scores, others), (ours, theirs), strict=True):
                file.write(_ENCODE(verdict) + b"\n")
                kept.append(slim.scored(sample, prediction, verdict))
            if own:
                official.append(slim.scored(sample, prediction, score(sample, prediction, own)))
        compat, kept, file = (rules, ours, scores) if rules.mode == "compat" else (verdicts.other, theirs, others)
        if compat.mode == "compat" and (again := retyping.again(pairs, compat)) is not None:
            file.seek(0)
            file.truncate()
            file.writelines(_ENCODE(verdict) + b"\n" for verdict in again)
            kept[:] = [slim.scored(*pair, verdict) for pair, verdict in zip(pairs, again, strict=True)]
            if rules.mode == "compat":
                watch = Watch()
                for (sample, prediction), verdict in zip(pairs, again, strict=True):
                    watch.add(sample, prediction, verdict, verdicts.of(sample, prediction)[1])
    summary = summarize(model, dataset, ours, rules, theirs, watch, official if own else None)
    _write_summary(folder, summary)
    return summary


def read_scores(folder: Path, mode: Mode) -> list[Score] | None:
    """Return the verdicts of `mode` in `folder`; None if they are not there."""
    try:
        summary = read_summary(folder)
        asked = summary is not None and summary.scoring == mode_name(mode)
    except VlmevalError:
        return None
    return scores_in(folder / (SCORES if asked else OTHER_SCORES[mode]))


def scores_in(path: Path) -> list[Score] | None:
    """Return the verdicts in a file that `save` wrote; None if there is no such file, or it is damaged."""
    try:
        with path.open("rb") as lines:
            return [msgspec.json.decode(line, type=Score) for line in lines]
    except (OSError, msgspec.DecodeError):
        return None


def save(folder: Path, scored: Sequence[ScoredSample], summary: Summary) -> None:
    """Write all three files of samples that are already `judged`.

    Raises:
        StorageError: a file could not be written.
    """
    _write_predictions(folder, [s.prediction for s in scored])
    files.atomic_write(folder / SCORES, _lines(s.score for s in scored))
    for name in OTHER_SCORES.values():  # of an earlier scoring by other rules
        (folder / name).unlink(missing_ok=True)
    _write_summary(folder, summary)


def _write_summary(folder: Path, summary: Summary) -> None:
    files.atomic_write(folder / SUMMARY, msgspec.json.format(jsonfiles.encode(summary), indent=2) + b"\n")


def judged(
    model: str,
    dataset: str,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    rules: Rules,
    folder: Path | None = None,
) -> tuple[list[ScoredSample], Summary]:
    """Return each sample with its verdict, and the summary of them in both modes.

    `predictions` may be in any order; a sample without one counts as failed. Writes nothing but what an evaluator of
    VLMEvalKit's leaves and the verdicts of a judge, and these only if there is a `folder` for them.

    Raises:
        VlmevalError: a prediction belongs to no sample.
    """
    pairs = list(zip(samples, _in_order(dataset, samples, predictions), strict=True))
    return _judged(folder, model, dataset, pairs, rules)


def _judged(
    folder: Path | None, model: str, dataset: str, pairs: Sequence[Pair], rules: Rules
) -> tuple[list[ScoredSample], Summary]:
    if not rules.by_rules:
        return evaluate_job(folder, model, dataset, pairs, rules)
    scored = score_all(pairs, rules)
    if rules.judge in judges.JUDGES:
        scored = judges.settled(rules.judge, scored, folder)
    other = score_all(pairs, replace(rules, mode=_other(rules.mode)))
    official = score_all(pairs, replace(rules, mode="official")) if _beside(rules) else None
    return scored, summarize(model, dataset, scored, rules, other, official=official)


def _beside(rules: Rules) -> bool:
    """Return whether the summary says what the benchmark's own rule gives, beside the mode that was asked for."""
    return rules.mode != "official" and not rules.extracted and has_official(rules.scorer)


def write_predictions(folder: Path, pairs: Iterable[Pair]) -> None:
    """Write `predictions.jsonl` alone, as `write` does."""
    _make(folder)
    with files.replacing(folder / PREDICTIONS) as (file,):
        file.writelines(_ENCODE(_line(prediction)) + b"\n" for _, prediction in pairs if prediction is not None)


def _in_order(dataset: str, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Prediction | None]:
    """Return the prediction of each sample."""
    by_index = {p.index: p for p in predictions}
    strangers = by_index.keys() - {s.index for s in samples}
    if strangers:
        raise VlmevalError(
            f"{dataset}: the prediction for index {min(strangers)!r} belongs to none of its {len(samples)} samples; "
            "the checkpoints are those of another data set"
        )
    return [by_index.get(sample.index) for sample in samples]


def _write_predictions(folder: Path, found: Sequence[Prediction | None]) -> None:
    _make(folder)
    files.atomic_write(folder / PREDICTIONS, _lines(_line(p) for p in found if p is not None))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror or error}") from error


def rules_of(spec: RunSpec, job: Job) -> Rules:
    """Return how the answers of `job` are scored."""
    model = next(m for m in spec.models if m.name == job.model)
    data = next(d for d in spec.datasets if d.name == job.dataset)
    asked: Mode = "compat" if spec.scoring == "compat" else "official" if spec.scoring == "official" else "strict"
    mode = mode_for(data.scorer, asked)
    return Rules(
        data.scorer,
        mode,
        model.post_process,
        source=data.path,
        judge=spec.judge,
        judge_args=spec.judge_args,
        cluster=spec.cluster,
        group=spec.group,
        circular=data.circular,
        reasoning=model.reasoning,
    )


def _other(mode: Mode) -> Mode:
    return "compat" if mode == "strict" else "strict"


def first_failure(folder: Path) -> FailedLine | None:
    """Return the first failed sample of `predictions.jsonl`; None if there is none, or no file."""
    try:
        with (folder / PREDICTIONS).open("rb") as lines:
            return next((msgspec.json.decode(line, type=FailedLine) for line in lines if b'"error":' in line), None)
    except (OSError, msgspec.DecodeError):
        return None


def read_summary(folder: Path) -> Summary | None:
    """Return the summary in `folder`; None if the job has not got that far.

    Raises:
        VlmevalError: it is no summary, or cannot be read.
    """
    try:
        return jsonfiles.read(folder / SUMMARY, Summary, "`vlmeval-mp eval` writes it again")
    except FileNotFoundError:
        return None
    except StorageError as error:
        raise VlmevalError(str(error)) from error


def _line(prediction: Prediction) -> AnsweredLine | FailedLine:
    if prediction.error is not None:
        return FailedLine(index=prediction.index, error=prediction.error)
    return AnsweredLine(
        index=prediction.index,
        prediction=prediction.prediction,
        finish_reason=prediction.finish_reason,
        prompt_tokens=prediction.prompt_tokens,
        completion_tokens=prediction.completion_tokens,
    )


_ENCODE = msgspec.json.Encoder().encode


def _lines(values: Iterable[AnsweredLine | FailedLine | Score]) -> bytes:
    buffer = bytearray()
    for value in values:
        buffer += _ENCODE(value)
        buffer += b"\n"
    return bytes(buffer)
