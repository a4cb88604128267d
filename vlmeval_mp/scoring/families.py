"""Families of benchmarks: how one answer is read in each mode, and how the verdicts become metrics.

A data set names its family (`DataSpec.scorer`; `datasets.table` knows those of published benchmarks); without one, each
sample gets the family of its kind. Adding a family is one line here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from vlmeval_mp.errors import ConfigError
from vlmeval_mp.records import Kind, Sample
from vlmeval_mp.scoring import compat, metrics
from vlmeval_mp.scoring.base import Aggregator, Mode, Scorer
from vlmeval_mp.scoring.choice import score_choice
from vlmeval_mp.scoring.openended import score_open
from vlmeval_mp.scoring.yesno import score_yesno


@dataclass(frozen=True, slots=True)
class Family:
    """The scorers of one family, and its aggregator."""

    compat: Scorer
    strict: Scorer
    aggregate: Aggregator = metrics.mean


FAMILIES: dict[str, Family] = {
    "mcq": Family(compat.mcq, score_choice),
    "mmmu": Family(compat.mmmu, compat.mmmu),
    "yesno": Family(compat.yesno, score_yesno),
    "open": Family(compat.exact, score_open),
    "relaxed": Family(compat.relaxed, compat.relaxed),
    "anls": Family(compat.anls, compat.anls),
    "exact": Family(compat.exact, score_open),
    "videomme": Family(compat.first_letter("ABCD"), score_choice),
    "longvideobench": Family(compat.first_letter("ABCDE"), score_choice),
    "tempcompass-yesno": Family(compat.tempcompass_yesno, score_yesno),
}

OF_KIND: dict[Kind, str] = {"mcq": "mcq", "yorn": "yesno", "vqa": "open"}


def family_of(sample: Sample, scorer: str = "") -> str:
    """The name of the family that scores `sample` where the data set names `scorer`."""
    return scorer or OF_KIND[sample.kind]


def scorer_for(family: str, mode: Mode) -> Scorer:
    """The scorer of `family` in `mode`."""
    found = check(family)
    return found.compat if mode == "compat" else found.strict


def aggregator_of(scorer: str) -> Aggregator:
    """What turns the verdicts of a data set that names `scorer` into metrics."""
    return check(scorer).aggregate if scorer else metrics.mean


def check(family: str) -> Family:
    """The family called `family`.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FAMILIES)}"
        raise ConfigError(f"no scorer is called {family!r}; {hint}")
    return FAMILIES[family]
