"""Compares answers as formulas with the package math-verify (Hugging Face): "a+b" is "b+a".

A choice is read as any other. A free answer is what the reply states (its last box or "Answer: …", as in `openended`)
or all of it. It is right if it is the text of a reference (words as `openended.key` compares them, formulas without
their spaces), or if math-verify finds the two equal: it parses both as LaTeX or as an expression and compares the
values, sets, intervals or equations with SymPy.

math-verify has no bound on what a formula may cost where it cannot set alarms, as in a thread. So an answer of more
than `LONGEST` characters, and one with a power of a power, a power beyond three digits, a factorial or a number of more
than forty digits, is compared as text alone.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.strict.choice import score_choice
from vlmeval_mp.scoring.strict.openended import key, read_open, references

PACKAGE = "math_verify"
INSTALL = "scripts/install maths (or: pip install 'vlmeval-mp[maths]')"
LONGEST = 300

_COSTLY = re.compile(r"\^[^+\-*/=,;$]*\^|\^\s*[{(]?\s*-?\d{4,}|\d\s*!|[)}]\s*!|\d{41,}|\*\*")
_FORMULA = re.compile(r"[\\$^_{}\d=<>+*/()\[\]]|^\s*[a-zA-Z]\s*$")


def score_math_verify(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply names the right option, or states a formula that equals a reference; else 0.0.

    Raises:
        DependencyError: math-verify is not installed.
    """
    if sample.options:
        return score_choice(sample, prediction)
    said = read_open(prediction.prediction)
    right = any(_same_text(said, wanted) or equal(said, wanted) for wanted in references(sample.answer))
    return Score(index=sample.index, value=float(right), extracted=said, note="" if said else "no answer found")


def _same_text(said: str, wanted: str) -> bool:
    """Return whether two answers are the same text, as `key` compares words.

    The signs and brackets of formulas all count.
    """
    if _FORMULA.search(said) or _FORMULA.search(wanted):
        return "".join(said.split()) == "".join(wanted.split())
    return key(said) == key(wanted)


def equal(said: str, wanted: str) -> bool:
    """Return whether math-verify finds two formulas equal; False for what it cannot read, and for what may cost too
    much.

    Raises:
        DependencyError: math-verify is not installed.
    """
    parse, verify = _package()
    if not all(_FORMULA.search(text) and len(text) <= LONGEST and not _COSTLY.search(text) for text in (said, wanted)):
        return False
    one, other = (parse(_in_dollars(text), parsing_timeout=None) for text in (wanted, said))
    return bool(one and other and verify(one, other, timeout_seconds=None))


def _in_dollars(text: str) -> str:
    """Return `text` as a formula, which math-verify looks for between dollars."""
    return text if "$" in text or "\\boxed" in text or "\\(" in text else f"${text}$"


@lru_cache(maxsize=1)
def _package() -> tuple[Any, Any]:
    """math-verify's `parse` and `verify`; it warns of alarms that are off, which is what is wanted here."""
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise DependencyError(f"the scorer math-verify needs math-verify ({error}): {INSTALL}") from None
    for name in ("math_verify.grader", "math_verify.parser"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return parse, verify
