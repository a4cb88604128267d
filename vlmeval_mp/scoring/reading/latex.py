r"""Brings LaTeX into one spelling: "$2 \pi$", "\(2\pi\)" and "2π" become the same text. Pure."""

from __future__ import annotations

import re

_WRAP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathbb|operatorname|mbox|rm|bf)\s*\{([^{}]*)\}")
_DROPPED = re.compile(
    r"\\[()\[\]]|\\(?:left|right|displaystyle|quad|qquad|limits|big|Big)(?![a-zA-Z])|\\[,;:!]|(?<!\\)\$|~"
)
_NAMES = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "pi": "π", "times": "×", "cdot": "·", "div": "÷",
    "pm": "±", "infty": "∞", "circ": "°", "degree": "°", "alpha": "α", "beta": "β", "gamma": "γ", "theta": "θ",
    "Delta": "Δ", "triangle": "△", "angle": "∠", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "%": "%", "$": "$", "#": "#", "&": "&", "_": "_",
}  # fmt: skip
_NAME = re.compile(r"\\([a-zA-Z]+|[%$#&_])")
_DEGREE = re.compile(r"\^\s*(?:\{\s*)?°\s*\}?")
_SHORT = re.compile(r"\\(frac)\s*(\d)\s*(\d)(?!\d)")
_ROOT = re.compile(r"(?:\\sqrt|√|\bsqrt(?=\())\s*(?:\{\s*(\w+)\s*\}|\(\s*(\w+)\s*\)|(\w))")
_BRACED = re.compile(r"([\^_])\{(\w)\}")
_SPACES = re.compile(r"\s{2,}")
_AROUND = re.compile(
    r"\s*([\^{}=<>≤≥+*×·÷/])\s*|(?<=[\w)}])\s+(?=[\\π√(°])|(?<=[△∠])\s+|(?<=[\w)}])\s+(-)\s+(?=[\w\\(])"
)
_SIMPLE_FRACTION = re.compile(r"\\frac\{(-?\w+)\}\{(\w+)\}")
_DEGREES = re.compile(r"(?<=\d)\s?degrees?\b", re.IGNORECASE)
_PLACE = re.compile(r"\(\s*(-?[\w.]+)\s*,\s*(-?[\w.]+)\s*\)")
"""A point, "(2, 1)"."""
_SIGNS = re.compile(r"[\\$^=π√°×△∠]|\(-?\d[\d.]*,\s?-?\d")


def holds_math(text: str) -> bool:
    """Return whether `text` looks like a formula, so that its spaces say nothing."""
    return _SIGNS.search(text) is not None


def one_spelling(text: str, *, formula: bool) -> str:
    r"""Return `text` without dollars and size commands, with signs for their names, \frac{1}{4} and \frac14 as 1/4.

    With `formula`, spaces around signs go as well.
    """
    text = text.replace("{,}", ",")
    if "\\" in text or "$" in text or "~" in text:
        text = _WRAP.sub(r" \1 ", text)
        text = _DROPPED.sub(" ", text)
        text = _NAME.sub(lambda m: _NAMES.get(m[1], m[0]), text)
        text = _SIMPLE_FRACTION.sub(r"\1/\2", _SHORT.sub(r"\\frac{\2}{\3}", text))
    if "degree" in text.lower():
        text = _DEGREES.sub("°", text)
    if "°" in text:
        text = _DEGREE.sub("°", text)
    if formula:
        text = _SPACES.sub(" ", text)
        text = _PLACE.sub(r"(\1,\2)", text)
        text = _ROOT.sub(lambda m: f"√{m[1] or m[2] or m[3]}", text)
        text = _BRACED.sub(r"\1\2", _AROUND.sub(lambda m: m[1] or m[2] or "", text))
        text = _SIMPLE_FRACTION.sub(r"\1/\2", text)
    return text
