"""Scores video benchmarks whose options are a list in a column, by the rules of `choice`.

TempCompass's caption matching names its options ("Caption A: …", "Option 1: …"); a reply that is such a name, or begins
with it, names that option, whatever its place.
"""

from __future__ import annotations

import re

import msgspec

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.text import answer_text, without_marks
from vlmeval_mp.scoring.strict import listed
from vlmeval_mp.scoring.strict.choice import score_choice

_LEAD = re.compile(r"[A-Z][.)]\s+")


def score_listed(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply names the right option of the list, 0.0 if another or none."""
    return score_choice(listed.as_choice(sample), prediction)


def score_tempcompass(sample: Sample, prediction: Prediction) -> Score:
    """As `score_listed`, for options that carry their letters ("A. cooking") or names ("Sentence A: …") themselves."""
    options = _named_options(sample)
    if not options:
        whole = listed.as_choice(sample)
        bare = {letter: _LEAD.sub("", text, count=1) for letter, text in whole.options.items()}
        return score_choice(msgspec.structs.replace(whole, options=bare), prediction)
    return _by_name(sample, prediction, options)


def _named_options(sample: Sample) -> dict[str, str]:
    """Return text by name, where every option of the list is "name: text"."""
    pairs = [text.partition(": ") for text in listed.elements(sample)]
    named = all(re.fullmatch(r"(?:Caption|Sentence|Option) \w+", name) for name, _, _ in pairs)
    return {name: text for name, _, text in pairs} if named else {}


def _by_name(sample: Sample, prediction: Prediction, options: dict[str, str]) -> Score:
    names = list(options)
    lettered = dict(zip("ABCDEFGH", options.values(), strict=False))
    answer = listed.answer(sample)
    given = next((name for name in names if answer in (name, f"{name}: {options[name]}", options[name])), "")
    gold = dict(zip(names, lettered, strict=False)).get(given, sample.answer)
    said = without_marks(answer_text(prediction.prediction)).strip().removeprefix("Answer: ").strip()
    for name, letter in zip(names, lettered, strict=False):
        if re.match(rf"(?:{name}|{name.split()[-1]}(?=\W*$))(?!\w)", said, re.IGNORECASE):
            return Score(index=sample.index, value=float(letter == gold), extracted=name)
    return score_choice(msgspec.structs.replace(sample, options=lettered, answer=gold), prediction)
