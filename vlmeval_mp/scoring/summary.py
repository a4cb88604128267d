"""Makes the summary of a job from its scored samples: metrics, counts, groups, the other mode. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vlmeval_mp.core.records import Counts, OtherMode, Summary
from vlmeval_mp.scoring.base import Metric, Mode, Rules, ScoredSample, mode_name
from vlmeval_mp.scoring.compat.vqa import SINGLE
from vlmeval_mp.scoring.families import aggregator_of, breakdowns_of, family_of
from vlmeval_mp.scoring.health import Watch, warnings, watched
from vlmeval_mp.scoring.metrics import bounds, stopping
from vlmeval_mp.scoring.metrics.groups import grouped
from vlmeval_mp.scoring.metrics.together import together

Group = dict[str, float | int | None]


def summarize(
    model: str,
    dataset: str,
    scored: Sequence[ScoredSample],
    rules: Rules,
    other: Sequence[ScoredSample] | None = None,
    watch: Watch | None = None,
    official: Sequence[ScoredSample] | None = None,
) -> Summary:
    """Return the summary of one job; `other` and `official` are the same samples scored in those modes, if
    that was done.

    `watch` has seen all of its samples; None lets them be looked at here.
    """
    if rules.circular:
        turned = any(each.sample.extra.get("g_index", each.sample.index) != each.sample.index for each in scored)
        rules = replace(rules, circular=turned)
    if rules.cluster:
        scored = [replace(each, cluster=each.sample.cell(rules.cluster)) for each in scored]
    watch = watch or watched(scored, other if other and rules.mode != "strict" else scored)
    health = watch.health()
    metrics, between = _metrics(scored, rules, rules.mode)
    primary = next(iter(metrics))
    by, listed = breakdowns_of(rules.scorer)
    columns = ("category", "l2-category", "split", *by)
    found = {column: _groups(grouped(scored, column, listed), rules) for column in columns}
    return Summary(
        model=model,
        dataset=dataset,
        primary_metric=primary,
        metrics={name: metric.value for name, metric in metrics.items()},
        stderr=metrics[primary].stderr,
        stderrs={name: metric.stderr for name, metric in metrics.items()},
        counts=counts_of(scored),
        by_category=found["category"],
        by_l2_category=found["l2-category"],
        by_split=found["split"],
        by={column: found[column] for column in by if found[column]},
        scorers=dict(sorted(Counter(family_of(s.sample, rules.scorer) for s in scored).items())),
        scoring=mode_name(rules.mode),
        other=None if other is None else _other(scored, other, rules, "strict" if rules.mode != "strict" else "compat"),
        official=None if official is None else _other(scored, official, rules, "official"),
        imported=imported_of(scored),
        interval=metrics[primary].interval,
        method=metrics[primary].method,
        intervals={name: metric.interval for name, metric in metrics.items()},
        bounds=between,
        warnings=(
            *([watch.reasons.warning(len(scored))] if between else []),
            *warnings(health),
            *_unknown(scored, rules),
        ),
        health=health,
        stopped=rules.stop,
        notes=(
            *([stopping.sentence(rules.stop)] if rules.stop else []),
            *([f"compat does not apply: {SINGLE}"] if _unwinnable(other or ()) or _unwinnable(scored) else []),
        ),
        together=together(scored, rules.group) if rules.group else None,
    )


def _unknown(scored: Sequence[ScoredSample], rules: Rules) -> list[str]:
    """Return a sentence for each column that was asked for and is not there."""
    asked = {"clusters": rules.cluster, "groups": rules.group}
    return [
        f"no sample has anything in column {column!r}, so there are no {what} by it"
        for what, column in asked.items()
        if column and scored and not any(each.sample.cell(column) for each in scored)
    ]


def _metrics(
    scored: Sequence[ScoredSample], rules: Rules, mode: Mode
) -> tuple[dict[str, Metric], tuple[float, float] | None]:
    """Return the metrics, the primary one first, and what that one lies between where there is no number for it."""
    aggregate = aggregator_of(rules.scorer, circular=rules.circular)
    metrics = aggregate(scored, mode)
    if not bounds.rests_on_remnant(scored):
        return metrics, None
    primary = next(iter(metrics))
    hidden = [name for name in (primary, f"{primary}_all") if name in metrics]
    remnant = {f"{name}_scored": metrics[name] for name in hidden}
    return {**metrics, **{name: Metric(None) for name in hidden}, **remnant}, bounds.bounds(scored, aggregate, mode)


def imported_of(scored: Sequence[ScoredSample]) -> dict[str, int]:
    """Return how many answers were imported from each file."""
    files = (s.prediction.imported_from for s in scored if s.prediction is not None)
    return dict(sorted(Counter(filter(None, files)).items()))


def counts_of(scored: Sequence[ScoredSample]) -> Counts:
    """Return how many samples there are of each kind."""
    failed = sum(s.failed for s in scored)
    valued = sum(s.score.value is not None and not s.failed for s in scored)
    answered = [s.prediction for s in scored if s.prediction is not None and s.prediction.error is None]
    return Counts(
        total=len(scored),
        scored=valued,
        unscored=len(scored) - valued - failed,
        failed=failed,
        truncated=sum(p.finish_reason == "length" for p in answered),
        empty=sum(not p.prediction.strip() for p in answered),
    )


def _other(scored: Sequence[ScoredSample], other: Sequence[ScoredSample], rules: Rules, mode: Mode) -> OtherMode:
    metrics, between = _metrics(other, rules, mode)
    return OtherMode(
        scoring=mode_name(mode),
        metrics={name: metric.value for name, metric in metrics.items()},
        differ=sum(
            not ours.failed and ours.score.value != theirs.score.value
            for ours, theirs in zip(scored, other, strict=True)
        ),
        unscored=counts_of(other).unscored,
        bounds=between,
        applies=not _unwinnable(other),
    )


def _unwinnable(scored: Sequence[ScoredSample]) -> bool:
    """Return whether no answer to any of the samples could be right by the rule that they are scored by."""
    notes = {each.score.note for each in scored if each.score.value is not None}
    return notes == {SINGLE}


def _groups(groups: Mapping[str, Sequence[ScoredSample]], rules: Rules) -> dict[str, Group]:
    """Return metrics and counts per group, sorted by name."""
    return {name: _group(part, rules) for name, part in sorted(groups.items())}


def _group(scored: Sequence[ScoredSample], rules: Rules) -> Group:
    metrics: dict[str, Metric] = aggregator_of(rules.scorer, circular=rules.circular)(scored, rules.mode)
    counts = counts_of(scored)
    first = next(iter(metrics.values()))
    low, high = first.interval or (None, None)
    return {
        **{name: metric.value for name, metric in metrics.items()},
        "stderr": first.stderr,
        "low": low,
        "high": high,
        "total": counts.total,
        "scored": counts.scored,
        "unscored": counts.unscored,
        "failed": counts.failed,
    }
