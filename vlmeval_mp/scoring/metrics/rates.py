"""Metrics that are no mean over samples: precision, recall and F1 of yes/no, OCRBench's points. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vlmeval_mp.scoring.base import Aggregator, Metric, Mode, ScoredSample
from vlmeval_mp.scoring.metrics import estimates
from vlmeval_mp.scoring.metrics.metrics import Values, asked, average_of, by, mean, part, values
from vlmeval_mp.scoring.strict.vqa import HANDWRITTEN
from vlmeval_mp.scoring.strict.yesno import read_yesno

TEXT = (
    "Regular Text Recognition",
    "Irregular Text Recognition",
    "Artistic Text Recognition",
    "Handwriting Recognition",
    "Digit String Recognition",
    "Non-Semantic Text Recognition",
)
AREAS: dict[str, tuple[str, ...]] = {
    "text_recognition": TEXT,
    "scene_vqa": ("Scene Text-centric VQA",),
    "doc_vqa": ("Doc-oriented VQA",),
    "key_information": ("Key Information Extraction",),
    "handwritten_math": (HANDWRITTEN,),
}
"""OCRBench's five published numbers, and the categories that each counts."""


def yes_rates(first: str, *, exploded: bool = False) -> Aggregator:
    """Return `f1`, `precision` and `recall` of yes, `accuracy`, `yes_ratio`; the metric called `first` comes first.

    A reply that says neither counts as no yes, and as wrong in accuracy; so does a failed sample in `f1_all` and
    `accuracy_all`. `exploded`: in compat, a sample of several
    categories counts once for each, as ms-vlmeval's POPE does.
    """

    def aggregate(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
        found = estimates.clusters_of(scored)
        weigh = exploded and mode == "compat"
        weights = {p: float(s.sample.category.count(",") + 1) if weigh else 1.0 for p, s in enumerate(scored)}
        known, every = values(scored), asked(scored)
        gold = {p: weights[p] for p in known if _is_yes(scored[p].sample.answer, mode)}
        said = {p: weights[p] for p in known if _is_yes(scored[p].score.extracted, mode)}
        both = {p: weight for p, weight in gold.items() if p in said}
        twice = {p: 2 * w for p, w in both.items()}
        asked_yes = {p: weights[p] for p in every if _is_yes(scored[p].sample.answer, mode)}
        rates = {
            "f1": _zero(estimates.ratio(twice, _added(gold, said)), known),
            "accuracy": _weighted(known, weights),
            "precision": _zero(estimates.ratio(both, said), known),
            "recall": _zero(estimates.ratio(both, gold), known),
            "yes_ratio": estimates.ratio(said, {p: weights[p] for p in known}),
            "f1_all": _zero(estimates.ratio(twice, _added(asked_yes, said)), every),
            "accuracy_all": _weighted(every, weights),
        }
        named = {name: found.metric(each) for name, each in rates.items()}
        return {first: named[first], **named}

    return aggregate


def _is_yes(answer: str, mode: Mode) -> bool:
    return answer == "Yes" if mode == "compat" else read_yesno(answer)[0] == "Yes"


def _zero(estimate: estimates.Estimate, known: Values) -> estimates.Estimate:
    """A rate of nothing is 0 where there are answers, as scikit-learn and ms-vlmeval have it."""
    return estimates.Estimate(0.0) if estimate.value is None and known else estimate


def _weighted(known: Values, weights: Values) -> estimates.Estimate:
    return estimates.ratio({p: weights[p] * v for p, v in known.items()}, {p: weights[p] for p in known})


def _added(one: Values, other: Values) -> Values:
    return {place: one.get(place, 0.0) + other.get(place, 0.0) for place in {**one, **other}}


def ocrbench(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:  # noqa: ARG001 - both modes alike
    """OCRBench: how many of its 1,000 questions are right, in all and by area, and a tenth of the whole.

    A failed sample earns no point, so points need no second number.
    """
    found = estimates.clusters_of(scored)
    known = values(scored)
    categories = by(scored, lambda s: s.category)
    counted = {name: _count({p: known[p] for p in places if p in known}) for name, places in categories.items()}
    areas = {area: [counted[name] for name in names if name in counted] for area, names in AREAS.items()}
    whole = _count(known)
    metrics = {"final_score_points": found.metric(whole), "final_score_norm_points": found.metric(whole * 0.1)}
    metrics |= {f"{area}_points": found.metric(estimates.total(parts)) for area, parts in areas.items() if parts}
    metrics["accuracy"] = found.metric(estimates.mean(known))
    metrics["accuracy_all"] = found.metric(estimates.mean(asked(scored)))
    return metrics


def _count(known: Values) -> estimates.Estimate:
    """Return the sum, with the error that it has as a mean."""
    return estimates.mean(known) * len(known)


# --- AMBER -----------------------------------------------------------------------------------------------------

AMBER = {
    "discriminative-attribute-state": "attribute",
    "discriminative-attribute-number": "attribute",
    "discriminative-attribute-action": "attribute",
    "discriminative-hallucination": "existence",
    "discriminative-relation": "relation",
    "relation": "relation",
}
"""AMBER's categories, and the area under which each is published."""


def amber(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
    """AMBER: the mean of the accuracies of its areas, each of these, and the accuracy over all samples."""
    found = estimates.clusters_of(scored)
    known = values(scored)
    areas = by(scored, lambda s: AMBER.get(s.category, s.category))
    metrics = {
        "average_accuracy": found.metric(average_of(known, areas.values())),
        "average_accuracy_all": found.metric(average_of(asked(scored), areas.values())),
    }
    metrics |= {f"{area}_accuracy": found.metric(estimates.mean(part(known, p))) for area, p in areas.items()}
    return metrics | mean(scored, mode)
