"""Families of benchmarks: for each, the scorer of an answer in each mode, and the metrics of the verdicts.

A data set names its family (`DataSpec.scorer`; `datasets.table` knows those of published benchmarks); without one, each
sample gets the family of its kind. Adding a family is one line of `FAMILIES`: a `Family`, or "module:name" of one,
which is imported when a data set names it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from vlmeval_mp.core import named
from vlmeval_mp.core.errors import ConfigError, DependencyError, did_you_mean
from vlmeval_mp.core.records import Kind, Sample
from vlmeval_mp.scoring.base import EVALUATOR, Aggregator, Mode, Scorer
from vlmeval_mp.scoring.compat import letters, video
from vlmeval_mp.scoring.compat import maths as compat_maths
from vlmeval_mp.scoring.compat import vqa as compat_vqa
from vlmeval_mp.scoring.compat import yesno as compat_yesno
from vlmeval_mp.scoring.metrics import jointly, metrics, rates
from vlmeval_mp.scoring.official import mathvision as own_maths
from vlmeval_mp.scoring.official import mmmu as own_mmmu
from vlmeval_mp.scoring.official.visonlyqa import score_visonlyqa
from vlmeval_mp.scoring.strict import closeness, maths, mathverify, mmmu, videochoice, vqa
from vlmeval_mp.scoring.strict.choice import score_choice
from vlmeval_mp.scoring.strict.openended import score_open
from vlmeval_mp.scoring.strict.yesno import score_yesno


@dataclass(frozen=True, slots=True)
class Family:
    """The scorers of one family, its aggregator, and by what its summaries are broken down besides the general columns.

    `by` names columns of the data set's file; "a/b" is every pair of values. The cells of `listed` columns name several
    groups, as a list literal or between commas. `official` reads answers as the benchmark's authors do, where they have
    a rule of their own that no other mode follows. `needs` is a module that the strict rule imports when it scores, and
    how to install it.
    """

    compat: Scorer
    strict: Scorer
    aggregate: Aggregator = metrics.mean
    by: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    official: Scorer | None = None
    needs: tuple[str, str] | None = None


_ABILITIES = ("split/l2-category", "split/category")
_VIDEO_MME = (
    "duration", "domain", "sub_category", "task_type", "duration/domain", "duration/sub_category", "duration/task_type",
)  # fmt: skip
_LONG_VIDEO = ("duration_group", "question_category", "duration_group/question_category")
_TEMPORAL = ("dim", "task_type", "dim/task_type")
_MATHS = ("task", "skills", "question_type", "answer_type")

FAMILIES: dict[str, Family | str] = {
    # multiple choice
    "mcq": Family(letters.mcq, score_choice, by=_ABILITIES),
    "circular": Family(letters.mcq, score_choice, jointly.circular, by=_ABILITIES),
    "blink": Family(letters.mcq, score_choice, metrics.macro("task_mean_accuracy", "category")),
    "mmmu": Family(
        letters.mmmu, mmmu.score_mmmu, metrics.first_split("validation"), _ABILITIES, official=own_mmmu.score_mmmu
    ),
    "mmmu-cot": Family(letters.mmmu_cot, mmmu.score_mmmu, by=_ABILITIES),
    "visonlyqa": Family(letters.mcq, score_choice, by=_ABILITIES, official=score_visonlyqa),
    # yes or no
    "yesno": Family(compat_yesno.yesno, score_yesno),
    "mme": Family(compat_yesno.yesno, score_yesno, jointly.mme),
    "pope": Family(compat_yesno.yesno, score_yesno, rates.yes_rates("f1", exploded=True), listed=("category",)),
    "hallusion": Family(compat_yesno.yesno, score_yesno, jointly.hallusion),
    "amber": Family(compat_yesno.amber, score_yesno, rates.amber),
    "vsr": Family(compat_yesno.yesno, score_yesno, rates.yes_rates("accuracy")),
    # short answers
    "open": Family(compat_vqa.textvqa, score_open),
    "exact": Family(compat_vqa.exact, score_open),
    "gqa": Family(compat_vqa.gqa, score_open),
    "textvqa": Family(compat_vqa.textvqa, vqa.score_textvqa, metrics.mean_called("vqa_score")),
    "relaxed": Family(compat_vqa.relaxed, closeness.score_relaxed, metrics.mean_called("relaxed_accuracy")),
    "anls": Family(compat_vqa.anls, closeness.score_anls, metrics.mean_called("anls")),
    "ocrbench": Family(compat_vqa.ocrbench, vqa.score_ocrbench, rates.ocrbench),
    # videos
    "videomme": Family(video.first_letter("ABCD"), videochoice.score_listed, by=_VIDEO_MME),
    "longvideobench": Family(video.first_letter("ABCDE"), videochoice.score_listed, by=_LONG_VIDEO),
    "mvbench": Family(video.mvbench, videochoice.score_listed, by=("task_type",)),
    "mlvu": Family(video.mlvu, videochoice.score_listed, metrics.macro("m_avg", "task_type"), by=("task_type",)),
    "tempcompass-mcq": Family(video.tempcompass_mcq, videochoice.score_tempcompass, by=_TEMPORAL),
    "tempcompass-yesno": Family(compat_yesno.tempcompass_yesno, score_yesno, by=_TEMPORAL),
    # mathematics
    "mathvista": Family(compat_maths.mathvista, maths.score_mathvista, by=_MATHS, listed=("skills",)),
    "mathvision": Family(
        compat_maths.mathvision, maths.score_mathvision, by=("level",), official=own_maths.score_mathvision
    ),
    "math-verify": Family(
        compat_vqa.textvqa, mathverify.score_math_verify, by=("level",), needs=(mathverify.PACKAGE, mathverify.INSTALL)
    ),
    # a judge's
    "judge": Family(compat_maths.judged, compat_maths.judged, listed=("category",)),
}

OF_KIND: dict[Kind, str] = {"mcq": "mcq", "yorn": "yesno", "vqa": "open"}


def family_of(sample: Sample, scorer: str = "") -> str:
    """Return the name of the family that scores `sample` where the data set names `scorer`."""
    return scorer or OF_KIND[sample.kind]


def scorer_for(family: str, mode: Mode) -> Scorer:
    """Return the scorer of `family` in `mode`."""
    found = check(family)
    if mode == "official" and found.official is not None:
        return found.official
    return found.compat if mode == "compat" else found.strict


def mode_for(scorer: str, mode: Mode) -> Mode:
    """Return `mode`, or "strict" where "official" is asked for and the family `scorer` has no official rule."""
    return "strict" if mode == "official" and not has_official(scorer) else mode


def has_official(scorer: str) -> bool:
    """Return whether the family that a data set names has an official rule of its own."""
    return scorer in FAMILIES and check(scorer).official is not None


def aggregator_of(scorer: str, *, circular: bool = False) -> Aggregator:
    """Return the function that makes metrics of the verdicts on a data set; `scorer` is the scorer that it names.

    `circular` says that each question is asked once for each rotation of its options. A data set that names no scorer,
    or that VLMEvalKit's own evaluator scores as a whole, has the mean of the verdicts that are known.
    """
    if circular:
        return jointly.circular
    return check(scorer).aggregate if scorer not in ("", EVALUATOR) else metrics.mean


def breakdowns_of(scorer: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return `by` and `listed` of the family that a data set names."""
    family = check(scorer) if scorer not in ("", EVALUATOR) else None
    return (family.by, family.listed) if family else ((), ())


def check(family: str) -> Family:
    """Return the family called `family`.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if family not in FAMILIES:
        hint = did_you_mean(family, [*FAMILIES, EVALUATOR], f"there are {', '.join(FAMILIES)} and {EVALUATOR}")
        raise ConfigError(f"no scorer is called {family!r}; {hint}")
    found = FAMILIES[family]
    if isinstance(found, str):
        loaded: Family = named.load(found)
        return loaded
    return found


def require(family: str) -> None:
    """Check that `family` exists and that what it needs is installed, before anything is asked.

    Raises:
        ConfigError: there is no such family.
        DependencyError: a package is missing; the message holds the install line.
    """
    needs = check(family).needs
    if needs and importlib.util.find_spec(needs[0]) is None:
        raise DependencyError(f"the scorer {family} needs {needs[0]}, which is not installed: {needs[1]}")
