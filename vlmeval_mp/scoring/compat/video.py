"""Scores video benchmarks as ms-vlmeval does.

Rules: vlmeval/dataset/utils/{videomme,longvideobench,mvbench,mlvu,tempcompass}.py and the loops in the evaluate of each
class. Those of MVBench, LongVideoBench and MLVU write a row's score under its index, not into its row; here, as in
the published files, the two are the same.
"""

from __future__ import annotations

import re
import string

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.base import FAILED, Scorer
from vlmeval_mp.scoring.compat.letters import STOPS, infer, there, verdict
from vlmeval_mp.scoring.compat.readback import cell, missing
from vlmeval_mp.scoring.strict import listed

# two pairs are one string each: a comma is missing in the original
_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
    "Answer:",
    "Option:",
)


def first_letter(letters: str) -> Scorer:
    """Video-MME and LongVideoBench: the first of `letters` in the reply; without one, what `infer` finds."""

    def scorer(sample: Sample, prediction: Prediction) -> Score:
        text = cell(prediction.prediction)
        match = re.search(f"[{letters}]", _without_prefixes(text))
        said = match[0] if match else infer(text, _asked_options(sample)) or "Z"
        return verdict(sample, float(said == listed.as_choice(sample).answer), said)

    return scorer


def _without_prefixes(text: str) -> str:
    text = text.strip()
    for prefix in _PREFIXES:
        text = text.replace(prefix, "")
    return text


def _asked_options(sample: Sample) -> dict[str, str]:
    """Return the options that the fall-back sees: lettered columns, and lines of the question; not the `candidates`."""
    options = {} if listed.COLUMN in sample.extra else there(sample.options)
    for letter, line in zip(string.ascii_uppercase, sample.question.split("\n")[1:], strict=False):
        _, mark, behind = line.partition(f"{letter}.")
        if mark:
            options[letter] = behind.strip(". \n")
    return dict(sorted(options.items()))


def mvbench(sample: Sample, prediction: Prediction) -> Score:
    """MVBench and MVBench_MP4: the first word is part of "(a)" or holds it; failed and empty replies count as right."""
    text = prediction.prediction
    if missing(text) or FAILED in text:
        return verdict(sample, 1.0, note="counts as right: a failed or empty answer")
    letter, answer = _right(sample)
    if not answer.strip():
        return verdict(sample, None, note=STOPS)
    wanted, word = f"({letter.lower()})", text.lower().strip().split(" ")[0]
    if word.replace(".", "") in wanted or wanted in word:
        return verdict(sample, 1.0, word)
    return _inferred(sample, text)


def mlvu(sample: Sample, prediction: Prediction) -> Score:
    """MLVU_MCQ: the character before the first ")"; a failed answer takes one away from the sum."""
    text = prediction.prediction
    if missing(text):
        return verdict(sample, None, note=STOPS)
    if FAILED in text:
        return verdict(sample, -1.0, note="counts as -1: a failed answer")
    place = text.find(")")
    said = text[place - 1 : place] if place >= 0 else text
    if said == _right(sample)[0]:
        return verdict(sample, 1.0, said)
    return _inferred(sample, text)


def _right(sample: Sample) -> tuple[str, str]:
    """Return letter and text of the right option, the last of those that are equal; "@" if it is none of them."""
    answer = cell(listed.answer(sample))
    places = [place for place, text in enumerate(listed.elements(sample)) if text == answer]
    return chr(ord("A") + places[-1]) if places else "@", answer


def _inferred(sample: Sample, text: str) -> Score:
    """Return what `infer` finds among the candidates, against the first that equals the answer, and so on
    from its letter.
    """
    gold = cell(listed.answer(sample))
    for letter, option in zip(string.ascii_uppercase, listed.elements(sample), strict=False):
        gold = letter if option == gold else gold
    said = infer(text, dict(zip(string.ascii_uppercase, listed.elements(sample), strict=False))) or "Z"
    return verdict(sample, float(said == gold), said)


def tempcompass_mcq(sample: Sample, prediction: Prediction) -> Score:
    """TempCompass_MCQ: the rule of the row's `task_type`; what it cannot read is wrong."""
    text, answer = prediction.prediction, sample.extra.get("answer", sample.answer)
    if missing(text) or missing(answer):
        return verdict(sample, None, note=STOPS)
    if sample.extra.get("task_type") == "caption_matching":
        return _caption(sample, text, answer)
    if text == answer:
        return verdict(sample, 1.0, text)
    said = text if text in list("ABCD") else text[0] if re.match(r"[ABCD][.)]", text) else ""
    return verdict(sample, float(said == answer[0]), said)


def _caption(sample: Sample, text: str, answer: str) -> Score:
    """A caption, its sentence or its name must be the whole reply; the last kind that is counts."""
    pairs = [option.split(": ") for option in listed.elements(sample)]
    if any(len(pair) < 2 for pair in pairs):
        return verdict(sample, None, note=STOPS)
    said = ""
    behind = text.split(") ")[1] if ") " in text else None
    for option in listed.elements(sample):
        said = option if option == text else said
    for pair in pairs:
        said = pair[1] if pair[1] in (text, behind) else said
    names = [pair[0] for pair in pairs]
    for name in names + [_short(name) for name in names]:
        said = name if name in (text, text.replace(".", "")) else said
    return _caption_verdict(sample, said, answer)


def _short(name: str) -> str:
    return name.replace("Sentence ", "").replace("Option ", "").replace("Caption ", "")


def _caption_verdict(sample: Sample, said: str, answer: str) -> Score:
    if not said:
        return verdict(sample, 0.0)
    if said in (answer, answer.split(":")[0]):
        return verdict(sample, 1.0, said)
    name, *rest = answer.split(": ")
    if not rest or (said != rest[0] and len(name.split()) < 2):
        return verdict(sample, None, note=STOPS)
    return verdict(sample, float(said == rest[0] or said == name.split()[1]), said)
