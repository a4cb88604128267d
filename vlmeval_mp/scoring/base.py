"""Values that scorers, aggregators and summaries share: modes, rules, a scored sample, a metric. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vlmeval_mp.core.records import Json, Prediction, Sample, Score, Stop

Mode = Literal["strict", "compat", "official"]
"""strict: by stated rules, nothing guessed; compat: as ms-vlmeval `COMPAT_VERSION` reads answers, mistakes included;
official: as the authors of the benchmark read them, where a family has such a rule."""

COMPAT_VERSION = "0.0.20"
COMPAT = f"compat (ms-vlmeval {COMPAT_VERSION})"
"""The name under which a compat score is shown: a number without its rules cannot be compared."""

FAILED = "Failed to obtain answer via API."
"""The text that VLMEvalKit writes in place of a missing answer, and then scores like any other text."""

EVALUATOR = "vlmevalkit"
"""The scorer that is VLMEvalKit's own evaluator: it scores whole jobs, in a process of its own."""

Scorer = Callable[[Sample, Prediction], Score]


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules for scoring the answers of one job. `scorer` is a family's name; "" is the one of each sample's kind.

    `extracted`: the predictions are answers already read out of replies, to be compared as they are; the family then
    only says what is made of the verdicts. `reasoning` is the pair of marks around the model's reasoning, where it is
    none of those in use. `source` is the data set's TSV and `judge` a judge's name
    with its arguments, for `EVALUATOR`.
    Samples with the same cell in the column `cluster` are one cluster; those with the same in `group` are also counted
    together. `circular`: samples are rotations of questions, which are right if all of their rotations are. `stop`
    says where the job was ended early.
    """

    scorer: str = ""
    mode: Mode = "strict"
    post_process: str = ""
    extracted: bool = False
    source: str = ""
    judge: str = ""
    judge_args: Json = field(default_factory=dict)
    reasoning: tuple[str, ...] = ()
    cluster: str = ""
    group: str = ""
    circular: bool = False
    stop: Stop | None = None

    @property
    def by_rules(self) -> bool:
        """True if the verdict on a sample comes from `families`, from the sample and its prediction alone."""
        return self.scorer != EVALUATOR


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One sample, what came of it (None: nothing yet), and the verdict.

    Samples with the same `cluster` may be right or wrong together, beside those that share a picture; "" is none.
    """

    sample: Sample
    prediction: Prediction | None
    score: Score
    cluster: str = ""

    @property
    def failed(self) -> bool:
        return self.prediction is None or self.prediction.error is not None


@dataclass(frozen=True, slots=True)
class Metric:
    """A number over many scores, its standard error and 95 % interval; None where there are too few.

    Fractions in 0..1, unless the name ends in `_points`. `method` names what made the interval.
    """

    value: float | None
    stderr: float | None = None
    interval: tuple[float, float] | None = None
    method: str = ""


Aggregator = Callable[[Sequence[ScoredSample], Mode], dict[str, Metric]]
"""Scored samples of one job, or of one of its categories, in data set order, to its metrics; the first is primary."""


def mode_name(mode: Mode) -> str:
    """Return how a summary names `mode`."""
    return COMPAT if mode == "compat" else mode
