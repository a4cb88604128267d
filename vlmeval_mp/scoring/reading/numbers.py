"""Reads numbers: "1,000", "$ 12", "5 %", "1/2", "\\frac{3}{4}", "2\\sqrt{3}", "90^\\circ". Pure.

`value` reads a text that is nothing but one number or one sum of numbers; a unit, a word or a second number makes it
none.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

LONGEST = 120
"""A text of more characters is no number."""

_NOISE = re.compile(r"\\(?:left|right|displaystyle|,|;|!|:|\s)|\\[()\[\]]|\^\s*\{?\\circ\}?|[$€£°]|\\(?=[%$])|\s")
_TOKEN = re.compile(r"\\[a-zA-Z]+|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+|\*\*|.")
_PLAIN = re.compile(r"[$€£]?\s*[+-]?\s*[$€£]?\s*(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)\s*(?:\\?%)?")
_EXPONENT = re.compile("[⁰¹²³]")
_DIGIT = re.compile(r"[\dπ]|\\pi")
_TWO = re.compile(r"\d\s+\d")
_RANGE = re.compile(r"[\d.,]+(?:-[\d.,]+)+")
_LOOSE = {"÷": "/", "\\div": "/", "×": "*", "\\times": "*", "\\cdot": "*", "·": "*", "π": "\\pi", "−": "-", "**": "^"}
_LOOSE |= {"\\dfrac": "\\frac", "\\tfrac": "\\frac", "√": "\\sqrt", "–": "-", "‐": "-", "‑": "-", "‒": "-"}
_MINUS = str.maketrans(dict.fromkeys("−–‐‑‒", "-"))
_CLOSING = {"(": ")", "{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, and whether a percent sign stood behind it."""

    value: float
    percent: bool = False


def amount(text: str) -> Amount | None:
    """Return the number that `text` is, or None."""
    text = unicodedata.normalize("NFKC", text).strip()
    percent = text.endswith("%")
    found = value(text.rstrip("%").rstrip("\\ ") if percent else text)
    return None if found is None else Amount(found, percent)


def plain(text: str) -> Amount | None:
    """Return the number that `text` is, written in digits: no fraction, no sum, no LaTeX."""
    text = unicodedata.normalize("NFKC", text).translate(_MINUS).strip()
    return amount(text) if len(text) <= LONGEST and _PLAIN.fullmatch(text) else None


def value(text: str) -> float | None:
    """Return the value of `text`, a number or a sum of numbers, plain or in LaTeX; None if it is anything else."""
    if len(text) > LONGEST:
        return None
    text = unicodedata.normalize("NFKC", _EXPONENT.sub("?", text)).replace("⁄", "/").replace("{,}", ",")
    if not _DIGIT.search(text) or _TWO.search(text):
        return None
    text = _NOISE.sub("", text)
    text = text.removesuffix(".")
    if _RANGE.fullmatch(text):
        return None  # "10-15" is rather from ten to fifteen
    try:
        parser = _Sum([_LOOSE.get(token, token) for token in _TOKEN.findall(text)])
        found = parser.sum()
    except (_NoNumberError, ArithmeticError, ValueError, RecursionError):
        return None
    return found if not parser.left and math.isfinite(found) else None


def same(one: float, other: float) -> bool:
    """Return whether two numbers are equal but for rounding in the last digits."""
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


class _NoNumberError(Exception):
    pass


class _Sum:
    """Sums, products and powers of what `_one` reads, over the tokens that are `left`."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens[::-1]

    def sum(self) -> float:
        total = self.product()
        while self._next("+-"):
            total = total + self.product() if self.left.pop() == "+" else total - self.product()
        return total

    def product(self) -> float:
        product, mixed = self.power(), False
        while self.left and self.left[-1] not in "+-)}]":
            if self._next("*/"):
                product = product * self.power() if self.left.pop() == "*" else product / self.power()
            elif self.left[-1] == "\\frac" and not mixed and float(abs(product)).is_integer():
                product, mixed = math.copysign(abs(product) + self.power(), product), True  # 3½
            elif self.left[-1][0] in "\\(":
                product *= self.power()
            else:
                raise _NoNumberError
        return product

    def power(self) -> float:
        if self._next("+-"):
            return self.power() if self.left.pop() == "+" else -self.power()
        base = self._one()
        if not self._next("^"):
            return base
        self.left.pop()
        return math.pow(base, self._group_or_digit())

    def _one(self) -> float:
        part = self.left.pop() if self.left else ""
        if part[:1].isdigit() or (part[:1] == "." and part[1:].isdigit()):
            return float(part.replace(",", ""))
        if part in _CLOSING:
            return self._closed(part)
        if part == "\\frac":
            over = self._group_or_digit()
            return over / self._group_or_digit()
        if part == "\\sqrt":
            root = self._closed(self.left.pop()) if self._next("[") else 2.0
            return math.pow(self._group_or_digit(), 1 / root)
        if part == "\\pi":
            return math.pi
        raise _NoNumberError

    def _group_or_digit(self) -> float:
        if self._next("{("):
            return self._closed(self.left.pop())
        if not self.left or not self.left[-1][0].isdigit():
            return self._one() if self.left and self.left[-1] == "\\pi" else self._refuse()
        digits = self.left.pop()
        if len(digits) > 1:
            self.left.append(digits[1:])
        return float(digits[0])

    def _closed(self, opening: str) -> float:
        found = self.sum()
        if not self.left or self.left.pop() != _CLOSING[opening]:
            raise _NoNumberError
        return found

    def _next(self, tokens: str) -> bool:
        return bool(self.left) and self.left[-1] in tokens

    def _refuse(self) -> float:
        raise _NoNumberError
