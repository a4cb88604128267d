"""Predictions and scores of samples, and the summary of a job."""

from __future__ import annotations

from typing import Literal

import msgspec

from vlmeval_mp.core.records.base import Struct

Reading = Literal["", "empty", "unfinished thought", "refused", "unread"]
"""The reason why strict rules found no answer in a reply; "" if they found one, or if there was no reply.

empty: the reply has no text; unfinished thought: its reasoning never ended, so nothing stands behind it; refused: the
model says that it does not answer; unread: it says something, but no answer that a careful reader would be sure of.
"""


class Prediction(Struct, frozen=True):
    """A sample's recorded outcome: text, or an error saying why there is none. Failure is never text.

    `imported_from` is the file that an answer was imported from ("source" in the files of a run), "" for one that this
    run asked for. `at` is the wall clock when it was recorded; only checkpoints keep it, and it is 0 elsewhere.
    """

    index: str
    row: int
    prediction: str = ""
    error: str | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    imported_from: str = msgspec.field(default="", name="source")
    at: float = 0.0


class Score(Struct, frozen=True):
    """A scorer's verdict on one prediction. `value` is in 0..1, or None where the sample could not be scored.

    In compat mode it is -1 where ms-vlmeval takes a failed answer off the sum (MLVU). `reading` says why a reply of a
    strictly scored sample counts as wrong without an answer having been read out of it.
    """

    index: str
    value: float | None
    extracted: str = ""
    note: str = ""
    reading: Reading = ""


class Counts(Struct, frozen=True, omit_defaults=False):
    """Every report shows the first four: `total = scored + unscored + failed`.

    `truncated` (ended by the token limit) and `empty` are answered samples, however they were scored.
    """

    total: int
    scored: int
    unscored: int
    failed: int
    truncated: int = 0
    empty: int = 0


class OtherMode(Struct, frozen=True, omit_defaults=False):
    """The result of the scoring mode that was not asked for; `differ` samples have another verdict there.

    Its metrics leave out `unscored` answered samples, such as those that ms-vlmeval gives to a judge; where these are
    too many for a number, its primary metric is None and lies within `bounds`. Where no answer could win by its rule,
    it does not apply, and its numbers say nothing about the model.
    """

    scoring: str
    metrics: dict[str, float | None]
    differ: int
    unscored: int = 0
    bounds: tuple[float, float] | None = None
    applies: bool = True


class Health(Struct, frozen=True, omit_defaults=False):
    """Signs of trouble in the replies of a job, whether they are right or wrong.

    `counts` are those of `replies` that show each sign, such as "empty" or "looped"; `by_category` has these and the
    replies of each category, without zeros. `most_common` replies are the very same, `most_common_gold` answers are.
    `letters` has, for each option, the number of replies with it and the number of samples where it is right.
    """

    replies: int = 0
    counts: dict[str, int] = {}
    by_category: dict[str, dict[str, int]] = {}
    most_common: int = 0
    most_common_gold: int = 0
    letters: dict[str, tuple[int, int]] = {}


class GroupMetrics(Struct, frozen=True, omit_defaults=False):
    """Metrics over the groups of a `column`, with their 95 % intervals: see `scoring.metrics.together`.

    `groups` of `smallest` to `largest` samples; `left_out` of them have no verdict.
    """

    column: str
    groups: int
    smallest: int
    largest: int
    left_out: int
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]


class Stop(Struct, frozen=True, omit_defaults=False):
    """The early end of a job: after `asked` of `of` samples in a random order.

    `interval` is the 95 % interval of what `metric` is over the whole job; half of it, in percentage points (points for
    a metric in points), is `half_width`, and had to be at most `target`.
    """

    asked: int
    of: int
    metric: str
    interval: tuple[float, float]
    half_width: float
    target: float


class Summary(Struct, frozen=True, omit_defaults=False):
    """`summary.json` of one job. Metrics are fractions in 0..1, unless the name ends in `_points`.

    `stderr` is the standard error of the primary metric, `stderrs` has that of each; `interval` is its 95 % interval
    (low, high), made by `method`, and `intervals` has that of each. Where more than 1 % of the samples have no verdict,
    the primary metric is None and lies within `bounds`; what it is over the others is the metric called `…_scored`.
    `warnings` are sentences about what makes the numbers doubtful, such as what `health` counts. `imported`: answers
    that were taken over from a file, by file. With `as_reported` the metrics are another evaluator's own numbers in its
    own unit, and `counts.scored` are the samples that they rest on. `notes` say what a reader of the numbers must know,
    `problem` why scoring failed; both are sentences. `by` has what else a benchmark is broken down by: a column of its
    file, or two ("duration/domain"), to a group per value. `together` counts the samples of each value of a column as
    one, where that was asked for. A job that `stopped` early rests on the first samples of a random order.
    `official` is the result of the rule of the benchmark's own authors, if it has one and another mode was asked for.
    """

    model: str
    dataset: str
    primary_metric: str
    metrics: dict[str, float | None]
    stderr: float | None
    counts: Counts
    by_category: dict[str, dict[str, float | int | None]]
    by_l2_category: dict[str, dict[str, float | int | None]]
    by_split: dict[str, dict[str, float | int | None]]
    scorers: dict[str, int]
    scoring: str
    stderrs: dict[str, float | None] = {}
    other: OtherMode | None = None
    imported: dict[str, int] = {}
    as_reported: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""
    by: dict[str, dict[str, dict[str, float | int | None]]] = {}
    interval: tuple[float, float] | None = None
    method: str = ""
    intervals: dict[str, tuple[float, float] | None] = {}
    bounds: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    health: Health | None = None
    together: GroupMetrics | None = None
    stopped: Stop | None = None
    official: OtherMode | None = None
