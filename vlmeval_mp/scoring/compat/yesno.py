"""Reads yes or no as ms-vlmeval does: the bare word, after half of the punctuation is removed.

`read_yesno` is `YOrN_Extraction` (vlmeval/dataset/utils/yorn.py) over `process_punctuation` (vlmeval/smp/misc.py),
which the VQA rules share; the scorers are the rows of ImageYORNDataset and of TempCompass_YorN.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.compat.letters import STOPS, verdict
from vlmeval_mp.scoring.compat.readback import cell, missing

_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_PERIODS = 32  # a flag passed as a count stops the original there
_MARKS = ';/[]"{}()=+\\_-><@`,?!'


def without_punctuation(text: str) -> str:
    """Return `text` without marks that touch a space, and with spaces for the others.

    With a "1,000" in it, without any.
    """
    comma = _DIGIT_COMMA.search(text) is not None
    out = text
    for mark in _MARKS:
        out = out.replace(mark, "" if comma or f"{mark} " in text or f" {mark}" in text else " ")
    return _PERIOD.sub("", out, count=_PERIODS)


def read_yesno(text: str) -> str:
    """ "Yes", "No" or "Unknown", as `YOrN_Extraction` reads `text`."""
    words = without_punctuation(text.lower()).split()
    yes, no = "yes" in words, "no" in words
    return "Unknown" if yes == no else "Yes" if yes else "No"


def yesno(sample: Sample, prediction: Prediction) -> Score:
    """MME, POPE, HallusionBench and every other Y/N data set."""
    said = read_yesno(cell(prediction.prediction))
    return verdict(sample, float(said == sample.answer), said)


def amber(sample: Sample, prediction: Prediction) -> Score:
    """AMBER, whose answers are in lower case."""
    said = read_yesno(cell(prediction.prediction))
    return verdict(sample, float(said.lower() == sample.answer.lower()), said)


def tempcompass_yesno(sample: Sample, prediction: Prediction) -> Score:
    """TempCompass_YorN: how the reply begins, be it "nothing"."""
    if missing(prediction.prediction):
        return verdict(sample, None, note=STOPS)
    lowered = prediction.prediction.lower()
    said = next((word for word in ("yes", "no") if lowered.startswith(word)), "")
    return verdict(sample, float(bool(said) and said == sample.answer), said)
