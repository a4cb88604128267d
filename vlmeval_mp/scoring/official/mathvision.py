r"""MATH-V's own reading (https://github.com/mathllm/MATH-V, `evaluation/evaluate.py` and `utils.py`).

A reply that ends with " B." or " (B)." or begins with a line "B" or "(B)" is that letter; else its answer is what the
last `\boxed{…}` holds, or what follows the last "the answer is", without units, dollars, sizes and what stands in front
of "=" or "≈". It is right if it is the answer or the text of the right option: as text in any case, as a pair or list
item by item, or as a value, both rounded to two places.

The official tool computes values with latex2sympy and runs them as code. Here `reading.numbers` reads them, which knows
sums, products, powers, fractions and roots of numbers and π; a formula with names in it is compared as text.
"""

from __future__ import annotations

import re
import string

import msgspec

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.numbers import value

_FLAGS = tuple(
    f"{the} {rest}"
    for rest in ("final answer is", "answer is", "correct answer is", "answer should be")
    for the in ("the", "The")
)
_BOX = re.compile(r"oxed\{(.*)\}", re.DOTALL)
_DROPPED = (
    " ", "\\,", "\n", "\\text", "\\mbox", "\\left", "\\right", "^{\\circ}", "^\\circ", "{m}^3", "m^3", "{units}",
    "units", "{km}", "km", "\\!", "\\$", "$", "\\%",
)  # fmt: skip
_LETTER = re.compile(r"[({]([a-e])[)}]")


def score_mathvision(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0 by the official rule."""
    options = _options(sample)
    said = read_answer(prediction.prediction)
    wanted = [sample.answer, *([options[sample.answer]] if sample.answer in options else [])]
    return Score(index=sample.index, value=float(any(equal(said, each) for each in wanted)), extracted=said)


def _options(sample: Sample) -> dict[str, str]:
    items = literal(sample.extra.get("choices", ""))
    listed = dict(zip(string.ascii_uppercase, map(str, items), strict=False)) if isinstance(items, list) else {}
    return listed or dict(msgspec.structs.asdict(sample)["options"])


def read_answer(reply: str) -> str:
    """Return the answer that the official tool reads out of `reply`, in lower case."""
    answer = reply.strip()
    for letter in "ABCDE":
        ends, begins = (f" {letter}.", f" ({letter})."), (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if answer.endswith(ends) or answer.startswith(begins):
            answer = letter
    last = answer.rpartition("is ")[2].rstrip(".")
    if _is_number(last):
        answer = last
    if "oxed{" not in answer:
        for flag in _FLAGS:
            if flag in answer:
                answer = answer.split(flag)[-1].strip().split("\n")[0].split(". ")[0]
    elif answer.count("oxed{") > 1:
        answer = "\\boxed{" + answer.split("oxed{")[-1]
    return _LETTER.sub(r"\1", _plain(answer)).rstrip(".").lstrip(":").strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(text: str) -> str:
    text = text.lower().replace("{}", "")
    boxed = _BOX.findall(text)
    text = boxed[-1] if boxed else text
    close, opening = text.find("}"), text.find("{")
    if close >= 0 and (opening < 0 or close < opening):
        text = text[:close]
    text = text.split("=")[-1].split("\\approx")[-1].replace("∞", "\\infty").replace("bmatrix", "pmatrix")
    for part in _DROPPED:
        text = text.replace(part, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac").replace("{.", "{0.")
    text = re.sub(r"\\sqrt(?!\{)(.)", r"\\sqrt{\1}", text)
    return "0" + text if text.startswith(".") else text


def equal(said: str, wanted: str) -> bool:
    """Return whether two answers are the same by the official rule."""
    said, wanted = said.lower().strip(), wanted.lower().strip()
    if not said.replace(" ", "") or not wanted.replace(" ", ""):
        return False
    if said == wanted:
        return True
    one, other = _items(said), _items(wanted)
    if len(one) > 1 or len(other) > 1:
        return one == other
    found, right = value(said), value(wanted)
    return found is not None and right is not None and round(found, 2) == round(right, 2)


def _items(text: str) -> list[object]:
    """Return the parts of a pair or list, numbers rounded to two places; else the text alone."""
    if len(text) > 2 and (text[0], text[-1]) in (("(", ")"), ("[", "]")) and "," in text:
        parts = [part.strip() for part in text[1:-1].split(",")]
        numbers = [value(part) for part in parts]
        return [text[0], *(part if n is None else round(n, 2) for part, n in zip(parts, numbers, strict=True))]
    return [text]
