"""What a job ends with: `predictions.jsonl`, `scores.jsonl` and `summary.json` in its results folder.

A pure function of samples and predictions: nothing of when, where or by whom is in these files, so two runs of one
configuration can be compared byte for byte. Knows no queue and no engine; who answered what stays in the checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError, VlmevalError
from vlmeval_mp.core.records import Job, Prediction, RunSpec, Sample, Score, Struct, Summary
from vlmeval_mp.runs import judges
from vlmeval_mp.scoring import STRICT, score_all
from vlmeval_mp.scoring.base import Mode, Rules, Scored
from vlmeval_mp.scoring.summary import summarize
from vlmeval_mp.vlmevalkit.evaluation import evaluate_job

PREDICTIONS, SCORES, SUMMARY = "predictions.jsonl", "scores.jsonl", "summary.json"


class Answered(Struct, frozen=True, omit_defaults=False):
    """A line of `predictions.jsonl`: a sample that was answered."""

    index: str
    prediction: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Failed(Struct, frozen=True, omit_defaults=False):
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
    scored, summary = judged(model, dataset, samples, predictions, rules, folder)
    save(folder, scored, summary)
    return summary


def save(folder: Path, scored: Sequence[Scored], summary: Summary) -> None:
    """Write all three files of samples that are already `judged`.

    Raises:
        StorageError: a file could not be written.
    """
    _write_predictions(folder, [s.prediction for s in scored])
    files.atomic_write(folder / SCORES, _lines(s.score for s in scored))
    files.atomic_write(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def judged(
    model: str,
    dataset: str,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    rules: Rules,
    folder: Path | None = None,
) -> tuple[list[Scored], Summary]:
    """Each sample with its verdict, and the summary of them in both modes.

    `predictions` may be in any order; a sample without one counts as failed. Writes nothing but what an evaluator of
    VLMEvalKit's leaves and the verdicts of a judge, and these only if there is a `folder` for them.

    Raises:
        VlmevalError: a prediction belongs to no sample.
    """
    pairs = list(zip(samples, _in_order(dataset, samples, predictions), strict=True))
    if not rules.pure:
        return evaluate_job(folder, model, dataset, pairs, rules)
    scored = score_all(pairs, rules)
    if rules.judge in judges.JUDGES:
        scored = judges.settled(rules.judge, scored, folder)
    other = score_all(pairs, replace(rules, mode=_other(rules.mode)))
    return scored, summarize(model, dataset, scored, rules, other)


def write_predictions(folder: Path, dataset: str, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> None:
    """Write `predictions.jsonl` alone, as `write` does."""
    _write_predictions(folder, _in_order(dataset, samples, predictions))


def _in_order(dataset: str, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Prediction | None]:
    """The prediction of each sample."""
    by_index = {p.index: p for p in predictions}
    strangers = by_index.keys() - {s.index for s in samples}
    if strangers:
        raise VlmevalError(
            f"{dataset}: the prediction for index {min(strangers)!r} belongs to none of its {len(samples)} samples; "
            "the checkpoints are those of another data set"
        )
    return [by_index.get(sample.index) for sample in samples]


def _write_predictions(folder: Path, found: Sequence[Prediction | None]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror or error}") from error
    files.atomic_write(folder / PREDICTIONS, _lines(_line(p) for p in found if p is not None))


def rules_of(spec: RunSpec, job: Job) -> Rules:
    """How the answers of `job` are scored."""
    model = next(m for m in spec.models if m.name == job.model)
    data = next(d for d in spec.datasets if d.name == job.dataset)
    mode: Mode = "compat" if spec.scoring == "compat" else "strict"
    return Rules(
        data.scorer,
        mode,
        model.post_process,
        source=data.path,
        judge=spec.judge,
        cluster=spec.cluster,
        group=spec.group,
        circular=data.circular,
    )


def _other(mode: Mode) -> Mode:
    return "strict" if mode == "compat" else "compat"


def first_failure(folder: Path) -> Failed | None:
    """The first failed sample of `predictions.jsonl`; None if there is none, or no file."""
    try:
        with (folder / PREDICTIONS).open("rb") as lines:
            return next((msgspec.json.decode(line, type=Failed) for line in lines if b'"error":' in line), None)
    except (OSError, msgspec.DecodeError):
        return None


def read_summary(folder: Path) -> Summary | None:
    """The summary in `folder`; None if the job has not got that far.

    Raises:
        VlmevalError: it is no summary.
    """
    path = folder / SUMMARY
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VlmevalError(f"{path} is no summary ({error}); `vlmeval-mp eval` writes it again") from error


def _line(prediction: Prediction) -> Answered | Failed:
    if prediction.error is not None:
        return Failed(index=prediction.index, error=prediction.error)
    return Answered(
        index=prediction.index,
        prediction=prediction.prediction,
        finish_reason=prediction.finish_reason,
        prompt_tokens=prediction.prompt_tokens,
        completion_tokens=prediction.completion_tokens,
    )


def _lines(values: Iterable[Answered | Failed | Score]) -> bytes:
    encode, buffer = msgspec.json.Encoder().encode, bytearray()
    for value in values:
        buffer += encode(value)
        buffer += b"\n"
    return bytes(buffer)
