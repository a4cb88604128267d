"""Families of benchmarks: how one answer is read in each mode, and how the verdicts become metrics.

A data set names its family (`DataSpec.scorer`; `datasets.table` knows those of published benchmarks); without one, each
sample gets the family of its kind. Adding a family is one line here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from vlmeval_mp.errors import ConfigError
from vlmeval_mp.records import Kind, Sample
from vlmeval_mp.scoring import closeness, maths, metrics, mmmu, videochoice, vqa
from vlmeval_mp.scoring.base import EVALUATOR, Aggregator, Mode, Scorer
from vlmeval_mp.scoring.choice import score_choice
from vlmeval_mp.scoring.compat import letters, video
from vlmeval_mp.scoring.compat import maths as compat_maths
from vlmeval_mp.scoring.compat import vqa as compat_vqa
from vlmeval_mp.scoring.compat import yesno as compat_yesno
from vlmeval_mp.scoring.openended import score_open
from vlmeval_mp.scoring.yesno import score_yesno


@dataclass(frozen=True, slots=True)
class Family:
    """The scorers of one family, its aggregator, and by what its summaries are broken down besides the general columns.

    `by` names columns of the data set's file; "a/b" is every pair of values. The cells of `listed` columns name several
    groups, as a list literal or between commas.
    """

    compat: Scorer
    strict: Scorer
    aggregate: Aggregator = metrics.mean
    by: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    # multiple choice
    "mcq": Family(letters.mcq, score_choice),
    "circular": Family(letters.mcq, score_choice),
    "mmmu": Family(letters.mmmu, mmmu.score_mmmu),
    "mmmu-cot": Family(letters.mmmu_cot, mmmu.score_mmmu),
    # yes or no
    "yesno": Family(compat_yesno.yesno, score_yesno),
    "mme": Family(compat_yesno.yesno, score_yesno),
    "pope": Family(compat_yesno.yesno, score_yesno),
    "hallusion": Family(compat_yesno.yesno, score_yesno),
    "amber": Family(compat_yesno.amber, score_yesno),
    # short answers
    "open": Family(compat_vqa.textvqa, score_open),
    "exact": Family(compat_vqa.exact, score_open),
    "gqa": Family(compat_vqa.gqa, score_open),
    "textvqa": Family(compat_vqa.textvqa, vqa.score_textvqa),
    "relaxed": Family(compat_vqa.relaxed, closeness.score_relaxed),
    "anls": Family(compat_vqa.anls, closeness.score_anls),
    "ocrbench": Family(compat_vqa.ocrbench, vqa.score_ocrbench),
    # videos
    "videomme": Family(video.first_letter("ABCD"), videochoice.score_listed),
    "longvideobench": Family(video.first_letter("ABCDE"), videochoice.score_listed),
    "mvbench": Family(video.mvbench, videochoice.score_listed),
    "mlvu": Family(video.mlvu, videochoice.score_listed),
    "tempcompass-mcq": Family(video.tempcompass_mcq, videochoice.score_tempcompass),
    "tempcompass-yesno": Family(compat_yesno.tempcompass_yesno, score_yesno),
    # mathematics
    "mathvista": Family(compat_maths.mathvista, maths.score_mathvista),
    "mathvision": Family(compat_maths.mathvision, maths.score_mathvision),
    # a judge's
    "judge": Family(compat_maths.judged, compat_maths.judged),
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


def breakdowns_of(scorer: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`by` and `listed` of the family that a data set names."""
    family = check(scorer) if scorer else None
    return (family.by, family.listed) if family else ((), ())


def check(family: str) -> Family:
    """The family called `family`.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, [*FAMILIES, EVALUATOR], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FAMILIES)} and {EVALUATOR}"
        raise ConfigError(f"no scorer is called {family!r}; {hint}")
    return FAMILIES[family]
