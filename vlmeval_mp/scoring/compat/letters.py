"""Finds the option in a reply as ms-vlmeval does: a lone capital letter, else the text of a lone option.

`infer` is `can_infer` (vlmeval/utils/matching_util.py); the scorers are the rows of `mcq_vanilla_eval` and of
`mcq_circular_eval` (dataset/utils/multiple_choice.py) without a judge.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

import msgspec

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.base import FAILED
from vlmeval_mp.scoring.compat.readback import cell, missing

STOPS = "ms-vlmeval stops with an error here"
"""The note of a row whose evaluation raises there: it gives no verdict on any row of such a file."""

UNINFERABLE = "uninferable"
"""The note of a row of which no option can be read; there a judge would be asked, or it is wrong."""

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))


def infer(text: str, options: Mapping[str, str]) -> str:
    """Return the letter that `can_infer` finds, "Z" for a refusal, "" for nothing."""
    return _infer_letter(text, options) or _infer_text(text, options)


def _infer_letter(text: str, options: Mapping[str, str]) -> str:
    if FAILED.rstrip(".") in text:
        return ""
    if any(refusal in text for refusal in _REFUSALS):
        return "Z"
    words = text.translate(_BLANKED).split()
    found = [letter for letter in options if letter in words]
    if len(found) == 1:
        return found[0] if words.index(found[0]) > len(words) - 5 else ""
    return "Z" if not found and "Z" in words else ""


def _infer_text(text: str, options: Mapping[str, str]) -> str:
    lowered = text.lower()
    if len(lowered) > 2 * sum(map(len, options.values())):
        return ""
    found = [letter for letter, option in options.items() if option.lower() in lowered]
    return found[0] if len(found) == 1 else ""


def there(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options that are not missing once read back."""
    return {letter: text for letter, text in options.items() if not missing(text)}


def verdict(sample: Sample, value: float | None, said: str = "", note: str = "") -> Score:
    return Score(index=sample.index, value=value, extracted=said, note=note)


def mcq(sample: Sample, prediction: Prediction) -> Score:
    """Any ImageMCQDataset that is not circular, and one rotation of one that is."""
    return _named(sample, prediction, there(sample.options), sample.answer)


def mmmu(sample: Sample, prediction: Prediction) -> Score:
    """MMMU and MMMU-Pro: an open question becomes the option A, against "Other Answers"."""
    options = there(sample.options)
    if "A" not in options:
        options = dict(sorted({**options, "A": cell(sample.answer), "B": "Other Answers"}.items()))
    gold = sample.answer if sample.answer and sample.answer in list(string.ascii_uppercase) else "A"
    return _named(sample, prediction, options, gold)


def mmmu_cot(sample: Sample, prediction: Prediction) -> Score:
    """MMMU-Pro *_COT: what follows the only line that begins "Answer:", if there is just one such line."""
    if missing(prediction.prediction):
        return verdict(sample, None, note=STOPS)
    stated = [x for x in map(str.strip, prediction.prediction.strip().split("\n")) if x.startswith("Answer:")]
    if len(stated) == 1:
        letters = {x for x in stated[0] if x in string.ascii_uppercase}
        said = letters.pop() if len(letters) == 1 else stated[0][len("Answer:") :]
        prediction = msgspec.structs.replace(prediction, prediction=said)
    return mmmu(sample, prediction)


def _named(sample: Sample, prediction: Prediction, options: Mapping[str, str], gold: str) -> Score:
    said = infer(cell(prediction.prediction), options)
    return verdict(sample, float((said or "Z") == gold), said or "Z", "" if said else UNINFERABLE)
