"""Benchmarks that score several samples as one: MMBench's rotations, MME's pairs, HallusionBench's figures. Pure.

A group is right if all its samples are. It is wrong as soon as one is wrong; one without a verdict leaves it without
one, and in the metrics called `…_all` makes it wrong if it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from vlmeval_mp.core.records import Sample
from vlmeval_mp.scoring.base import Metric, Mode, ScoredSample
from vlmeval_mp.scoring.metrics import estimates
from vlmeval_mp.scoring.metrics.estimates import Clusters, Estimate
from vlmeval_mp.scoring.metrics.metrics import Values, asked, by, part, values

Groups = dict[str, list[int]]

ROTATION = 1_000_000
"""MMBench's rotations of question i have the indices i, i + 1,000,000, i + 2,000,000, …"""

PERCEPTION = (
    "OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene",
)  # fmt: skip
REASONING = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")


def all_right(known: Values, groups: Iterable[Sequence[int]]) -> Values:
    """Return the verdict of each group that has one, at the place of its first sample."""
    found: dict[int, float] = {}
    for places in groups:
        there = [known[place] for place in places if place in known]
        if len(there) == len(places) or not all(there):
            found[places[0]] = float(all(there))
    return found


# --- MMBench ---------------------------------------------------------------------------------------------------


def circular(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
    """`circular_accuracy`: over questions that are right in every rotation; `vanilla_accuracy` over all samples.

    The rotations of a question have its index in `g_index`, else in their own modulo 1,000,000. Compat leaves out a
    question whose unrotated sample is not there, as ms-vlmeval does.
    """
    groups = by(scored, question_of)
    first = {name: _unrotated(scored, name, places) for name, places in groups.items()}
    if mode == "compat":
        groups = {name: places for name, places in groups.items() if first[name] is not None}
    ordered = [_led_by(places, first[name]) for name, places in groups.items()]
    found = estimates.clusters_of(scored, ordered)
    known, every = values(scored), asked(scored)
    unrotated = [place for place in first.values() if place is not None]
    return {
        "circular_accuracy": found.metric(estimates.mean(all_right(known, ordered))),
        "circular_accuracy_all": found.metric(estimates.mean(all_right(every, ordered))),
        "vanilla_accuracy": found.metric(estimates.mean(known)),
        "unrotated_accuracy": found.metric(estimates.mean(part(known, unrotated))),
    }


def question_of(sample: Sample) -> str:
    """Return the question that a sample is a rotation of."""
    named = sample.extra.get("g_index", "").strip()
    given = _whole(named)
    own = _whole(sample.index)
    if named:
        return named if given is None else str(given)
    return sample.index if own is None else str(own % ROTATION)


def _unrotated(scored: Sequence[ScoredSample], name: str, places: Sequence[int]) -> int | None:
    def own(place: int) -> str:
        index = scored[place].sample.index
        number = _whole(index)
        return index if number is None else str(number)

    return next((place for place in places if own(place) == name), None)


def _led_by(places: list[int], first: int | None) -> list[int]:
    return places if first is None else [first, *(place for place in places if place != first)]


def _whole(text: str) -> int | None:
    """Return `text` as a whole number; pandas writes one as "7.0" where a column has gaps."""
    digits = text.strip().removesuffix(".0")
    return int(digits) if digits.isdecimal() else None


# --- MME -------------------------------------------------------------------------------------------------------


def mme(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:
    """MME's points: per category 100 × (accuracy + accuracy+), summed over perception, reasoning and all categories.

    Accuracy+ is over images both of whose questions are right. Compat looks at the first two of an image, as ms-vlmeval
    does; strict at all. An image with one question counts in accuracy only.
    """
    categories = by(scored, lambda s: s.category)
    pairs = {name: _images(scored, places, mode) for name, places in categories.items()}
    found = estimates.clusters_of(scored, chain.from_iterable(pairs.values()))
    known, every = values(scored), asked(scored)
    points = {name: _points(known, categories[name], pairs[name]) for name in categories}
    metrics = {"total_points": found.metric(estimates.total(points.values()))}
    for area, names in (("perception", PERCEPTION), ("reasoning", REASONING)):
        there = [points[name] for name in names if name in points]
        if there:
            metrics[f"{area}_points"] = found.metric(estimates.total(there))
    counted = (_points(every, categories[name], pairs[name]) for name in categories)
    metrics["total_points_all"] = found.metric(estimates.total(counted))
    metrics["accuracy"] = found.metric(estimates.mean(known))
    metrics["accuracy_plus"] = found.metric(estimates.mean(all_right(known, chain.from_iterable(pairs.values()))))
    return metrics


def _images(scored: Sequence[ScoredSample], places: Sequence[int], mode: Mode) -> list[list[int]]:
    """Return the places of the questions about each image that has two or more."""
    images: Groups = {}
    for place in places:
        sample = scored[place].sample
        digest = sample.media[0].digest if sample.media else ""
        images.setdefault(sample.extra.get("image_path", "") or digest or sample.index, []).append(place)
    most = 2 if mode == "compat" else None
    return [group[:most] for group in images.values() if len(group) > 1]


def _points(known: Values, places: Sequence[int], pairs: Iterable[Sequence[int]]) -> Estimate:
    both = estimates.mean(all_right(known, pairs))
    return estimates.total([estimates.mean(part(known, places)), both]) * 100


# --- HallusionBench --------------------------------------------------------------------------------------------


def hallusion(scored: Sequence[ScoredSample], mode: Mode) -> dict[str, Metric]:  # noqa: ARG001 - both modes alike
    """HallusionBench: `aAcc` over questions, `fAcc` over figures, `qAcc` over question pairs, and their mean."""
    figures = list(by(scored, lambda s: _part_of(s, 4, "figure_id")).values())
    questions = list(by(scored, lambda s: _part_of(s, 5, "question_id")).values())
    found = estimates.clusters_of(scored, [*figures, *questions])
    return _three(found, values(scored), "", figures, questions) | _three(
        found, asked(scored), "_all", figures, questions
    )


def _three(
    found: Clusters, known: Values, ending: str, figures: list[list[int]], questions: list[list[int]]
) -> dict[str, Metric]:
    three = {
        "aAcc": estimates.mean(known),
        "fAcc": estimates.mean(all_right(known, figures)),
        "qAcc": estimates.mean(all_right(known, questions)),
    }
    three["mean"] = estimates.average(three.values())
    return {name + ending: found.metric(each) for name, each in three.items()}


def _part_of(sample: Sample, place: int, column: str) -> str:
    """Return the figure or question of a sample: its l2-category, its set, and the number, from the index
    or from columns.
    """
    pieces = sample.index.split("_")
    named = (sample.extra.get("set_id", ""), sample.extra.get(column, sample.index))
    ids = (pieces[3], pieces[place]) if len(pieces) > 5 else named
    return "_".join([sample.l2_category, *ids])
