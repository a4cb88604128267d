"""Scores a job by VLMEvalKit's own `evaluate`: returns a summary, verdicts and the evaluator's files.

Owns the scratch folder of one evaluation, and that no two run at once on a machine: evaluators write to names in /tmp.
Metrics stay as the evaluator reports them, in its unit. What cannot be scored is a summary that says why.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.records import Counts, Json, Prediction, Sample, Score, Summary
from vlmeval_mp.scoring.base import EVALUATOR, FAILED, Rules, ScoredSample
from vlmeval_mp.scoring.metrics.metrics import standard_error
from vlmeval_mp.scoring.reading.postprocess import applied
from vlmeval_mp.scoring.summary import counts_of, imported_of
from vlmeval_mp.vlmevalkit import client
from vlmeval_mp.vlmevalkit.child.judging import BY_RULES

FILES = "vlmevalkit"
"""The folder beside `summary.json` for what the evaluator wrote."""
LOG = "evaluate.log"
AGREES = 0.006
"""Verdicts whose mean is this near to the primary metric (in percent) are those it is the mean of: two decimals."""


def evaluate_job(
    folder: Path | None,
    model: str,
    dataset: str,
    pairs: Sequence[tuple[Sample, Prediction | None]],
    rules: Rules,
) -> tuple[list[ScoredSample], Summary]:
    """Score one job; the evaluator's files go to `folder`/vlmevalkit, in place of those of an earlier evaluation.

    A sample that failed is given to the evaluator as VLMEvalKit would, by the sentence it writes for a failure.
    """
    texts = {sample.index: _text(prediction, rules) for sample, prediction in pairs}
    end, notes, problem = _evaluated(folder, model, texts, rules)
    verdicts: Mapping[str, float] = end.get("verdicts", {})
    why = "; ".join(notes) or problem
    scored = [
        ScoredSample(sample, prediction, _score(sample, prediction, end, verdicts, why)) for sample, prediction in pairs
    ]
    primary, metrics = end.get("primary", ""), end.get("metrics", {})
    stderr = _stderr(scored, verdicts, metrics.get(primary))
    return scored, Summary(
        model=model,
        dataset=dataset,
        primary_metric=primary,
        metrics=metrics,
        stderr=stderr,
        stderrs={primary: stderr} if primary else {},
        counts=_counts(scored, bool(end)),
        by_category={},
        by_l2_category={},
        by_split={},
        scorers={EVALUATOR: len(pairs)},
        scoring=_scoring(rules, end),
        imported=imported_of(scored),
        as_reported=True,
        notes=(*notes, *_notes(end)),
        problem=problem,
    )


def _evaluated(folder: Path | None, model: str, texts: Mapping[str, str], rules: Rules) -> tuple[Json, list[str], str]:
    """Return what the evaluator gave, or nothing and why: a note that it needs a judge, or a problem."""
    with _scratch(folder) as scratch:
        log = folder / FILES / LOG if folder else scratch.with_name(LOG)
        try:
            *_, last = _ask(scratch, log, model, texts, rules)
        except client.NoJudgeError as error:
            return {}, [f"needs a judge: {error}. {_how(rules.judge)}"], ""
        except VlmevalError as error:
            return {}, [], f"not scored: {error}"
    end: Json = last["end"]
    return end, [], ""


def _ask(scratch: Path, log: Path, model: str, texts: Mapping[str, str], rules: Rules) -> client.Answer:
    source = Path(rules.source)
    predictions = scratch.with_name("predictions.json")
    predictions.write_text(json.dumps(texts), encoding="utf-8")
    request = {
        "do": "evaluate",
        "dataset": source.stem,
        "scratch": str(scratch),
        "model": model.replace("/", "--"),
        "predictions": str(predictions),
        "judge": rules.judge,
        "judge_args": rules.judge_args,
    }
    held = lock()
    client.acquire(held)
    try:
        yield from client.ask(
            request,
            lmu_data=source.parent,
            log=log,
            seconds=client.EVALUATE_SECONDS,
            judge=rules.judge not in BY_RULES,
        )
    finally:
        held.release()


def lock() -> FileLock:
    """Return the lock that is held while an evaluator runs, one for all runs of this user."""
    return FileLock(Path(tempfile.gettempdir()) / f"vlmeval-mp-evaluate-{os.getuid()}.lock")


@contextlib.contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """Yield an empty folder; in the end its files are in `folder`/vlmevalkit, which is made anew."""
    if folder:
        shutil.rmtree(folder / FILES, ignore_errors=True)
        (folder / FILES).mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="vlmeval-mp-") as temporary:
        scratch = Path(temporary) / "scratch"
        scratch.mkdir()
        yield scratch
        (scratch / ".judge").unlink(missing_ok=True)
        if folder:
            shutil.copytree(scratch, folder / FILES, dirs_exist_ok=True)


def _text(prediction: Prediction | None, rules: Rules) -> str:
    if prediction is None or prediction.error is not None:
        return FAILED
    return applied(rules.post_process, prediction).prediction


def _score(sample: Sample, prediction: Prediction | None, end: Json, verdicts: Mapping[str, float], why: str) -> Score:
    if prediction is None or prediction.error is not None:
        return Score(
            index=sample.index, value=None, note=f"failed: {prediction.error}" if prediction else "not answered"
        )
    if not end:
        return Score(index=sample.index, value=None, note=why)
    value = verdicts.get(sample.index)
    note = "" if value is not None else "counted in the metrics; the evaluator tells no verdict on one sample"
    return Score(index=sample.index, value=value, note=note)


def _counts(scored: Sequence[ScoredSample], evaluated: bool) -> Counts:
    """The evaluator's metrics rest on every answered sample, whether or not it tells the verdict on each."""
    found = counts_of(scored)
    answered = found.total - found.failed
    return Counts(
        total=found.total,
        scored=answered if evaluated else 0,
        unscored=0 if evaluated else answered,
        failed=found.failed,
        truncated=found.truncated,
        empty=found.empty,
    )


def _stderr(scored: Sequence[ScoredSample], verdicts: Mapping[str, float], primary: float | None) -> float | None:
    """Return the standard error of the primary metric, in its unit, where it is the mean of the verdicts; else None."""
    if not verdicts or primary is None:
        return None
    values = [verdicts[s.sample.index] for s in scored]
    mean = math.fsum(values) / len(values)
    for scale in (1.0, 100.0):
        if abs(mean * scale - primary) <= AGREES * scale / 100:
            error = standard_error([s.sample for s in scored], values)
            return None if error is None else error * scale
    return None


def _scoring(rules: Rules, end: Json) -> str:
    """`vlmevalkit (ms-vlmeval 0.0.20, exact matching)`: the evaluator's version, and what it had for a judge."""
    try:
        version = client.version(client.interpreter())
    except VlmevalError:
        version = "not installed"
    judge = "exact matching" if end.get("exact") else f"judge {rules.judge}" if rules.judge not in BY_RULES else ""
    return f"{EVALUATOR} ({version}{', ' if judge else ''}{judge})"


def _notes(end: Json) -> list[str]:
    found = [str(warning) for warning in end.get("warnings", ())]
    if end.get("judge_failed"):
        found.append(
            f"{end['judge_failed']} calls of the judge failed; what stands in their place is the evaluator's guess"
        )
    return found


def _how(judge: str) -> str:
    if judge not in BY_RULES:
        return "`vlmeval-mp eval` scores again once it can be reached (--judge-base-url, OPENAI_API_KEY)"
    return "Name one with --judge, its address with --judge-base-url, its key with $OPENAI_API_KEY, and score again"
