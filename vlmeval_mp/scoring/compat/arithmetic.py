"""Decides as MathVision's `is_equal` (vlmeval/dataset/utils/mathv.py) does, without running an answer as code.

There, both texts go through Python's `eval` and then through latex2sympy, where every error means "not equal". `_Eval`
works out the same values from the syntax tree for numbers and operators; names that nothing defines fail as they would
there, except that "a" is the name under which the right answer is kept, so that the reply "a" equals every number. What
cannot be told without running it (a call of a known function, a subscript, unusual LaTeX) raises `UnknownError`.
"""

from __future__ import annotations

import ast
import builtins
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

Number: TypeAlias = bool | int | float | complex


class UnknownError(Exception):
    """The verdict cannot be told without running the answer as code."""


class _FailedError(Exception):
    """Evaluation raises there, too."""


_OBJECT = object()  # a value that is no number
_DEFINED = frozenset(dir(builtins)) | {
    "defaultdict", "pd", "timeout_decorator", "get_logger", "load", "can_infer", "logger", "latex2sympy", "is_equal",
    "asw", "gt_asw", "get_gpt4_ice", "list_to_dict", "build_mathv_gpt4_prompt", "post_check",
}  # fmt: skip
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitXor: operator.xor, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.RShift: operator.rshift,
}  # fmt: skip
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Invert: operator.invert, ast.Not: operator.not_
}  # fmt: skip
_ORDER: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_ERRORS = (ArithmeticError, TypeError, ValueError)
_LONGEST = 200  # characters of LaTeX that are looked at
_LARGEST = 4096  # bits of a whole number that is still worked out

_DROPPED = re.compile(r"\\(?:left|right)(?![a-z])|\$|\^\s*\{?\\circ\}?|\\[()]")
_FRACTION = re.compile(r"(?<![a-z0-9.])(\d*)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}(?![\d{])")
_COMMAND = re.compile(r"\\[a-z]+")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d.,])")
_POWER = re.compile(r"\^(?:\{(-?\d+)\}|(\d))(?!\d)")
_LEADING = re.compile(r"(?<![\d.])0+(?=\d)")
_SECOND = re.compile(r"\(?b\)?")
# latex2sympy raises, or what it gives is a name of sympy's, which means nothing to `eval`
_REFUSED = re.compile(r"[^\x00-\x7f÷×πα-ω]|[%#?;`]|\*\*|\.$|^\.\.|^_|\\sqrt|\\pi|^\W*$")
_WRAPPED = re.compile(r"(?s:['\"$(\[]|\\boxed\{)((?:[^{}]|\{[^{}]*\})*)(?:['\"$)\]]|\})")
_SUMMED = re.compile(r"-?\(\d+\+-?\d+/\d+\)")
_PLAIN = re.compile(r"[-+]?(?:\d+(?:\.\d+)?|a)(?:(?:\*|/|\*\*)-?(?:\d+(?:\.\d+)?|a))*|\((?:\d+(?:\.\d+)?|a)\)")


def is_equal(said: str, gold: str) -> bool:
    """Return whether `is_equal` takes the reply for the answer.

    Raises:
        UnknownError: it cannot be told.
    """
    said, gold = said.lower().strip(), gold.lower().strip()
    if said == gold:
        return True
    if _SECOND.fullmatch(gold):  # "b" is where the reply itself is kept
        if _SECOND.fullmatch(_unwrapped(said)):
            return True
        gold = said
    return _close(_tree, said, gold) or _close(_latex, said, gold)


def _close(parsed: Callable[[str], ast.expr], said: str, gold: str) -> bool:
    unknown = False
    wanted: Any = None
    found: Any = None
    try:
        wanted = _Eval(None).of(parsed(gold))
    except UnknownError:
        unknown = True
    except (_FailedError, *_ERRORS):
        return False
    try:
        found = _Eval(wanted).of(parsed(said))
    except UnknownError:
        unknown = True
    except (_FailedError, *_ERRORS):
        return False
    if unknown:
        raise UnknownError
    try:
        return wanted is not _OBJECT and found is not _OBJECT and bool(abs(wanted - found) < 1e-6)
    except _ERRORS:
        return False


def _tree(text: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise _FailedError from None


def _unwrapped(text: str) -> str:
    """Return `text` without quotes, dollars, boxes and brackets around all of it."""
    while (wrapped := _WRAPPED.fullmatch(text.strip())) and not re.search(r"[()\[\]]|\}[^{]*\{.*\{", wrapped[1]):
        text = wrapped[1]
    return text


def _latex(text: str) -> ast.expr:
    """Return what latex2sympy makes of `text`, where that is a sum of plain numbers."""
    if _REFUSED.search(text) or re.search("[c-z]", _COMMAND.sub("", text)):
        raise _FailedError  # no LaTeX, or a product of symbols
    if len(text) > _LONGEST:
        raise UnknownError
    plain = _GROUPED.sub(lambda m: m[0].replace(",", ""), _DROPPED.sub("", _unwrapped(text)).strip())
    if "," in plain or _SECOND.fullmatch(plain) or not plain:
        raise _FailedError  # a set, a symbol
    plain = _FRACTION.sub(lambda m: f"({m[1] or 0}+{m[2]}/{m[3]})", plain)
    plain = _POWER.sub(lambda m: f"**{m[1] or m[2]}", plain)
    if not (_PLAIN.fullmatch(plain) or _SUMMED.fullmatch(plain)):
        raise UnknownError
    return _tree(_LEADING.sub("", plain))


class _Eval:
    """The value of an expression in which "a" is `known`, if that is given."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def of(self, node: ast.expr) -> Any:
        """Return a number, or `_OBJECT`; raises `_FailedError` or `UnknownError`."""
        match node:
            case ast.Constant(value=bool() | int() | float() | complex() as value):
                return value
            case ast.Constant() | ast.Lambda():
                return _OBJECT
            case ast.Name(id=name):
                return self._name(name)
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                for item in items:
                    self.of(item)
                return _OBJECT
            case ast.BinOp(left=left, op=op, right=right):
                return _combined(op, self.of(left), self.of(right))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, self.of(operand))
            case ast.BoolOp(op=op, values=values):
                return self._bool(isinstance(op, ast.Or), values)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare(self.of(left), ops, others)
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.of(body if _truth(self.of(test)) else other)
            case ast.Call(func=inner) | ast.Attribute(value=inner) | ast.Subscript(value=inner):
                self.of(inner)
                raise UnknownError
            case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.Starred():
                raise _FailedError
        raise UnknownError

    def _name(self, name: str) -> Any:
        if name == "a" and self.known is not None:
            return self.known
        if name in _DEFINED:
            return _OBJECT
        raise _FailedError

    def _unary(self, op: ast.unaryop, value: Any) -> Any:
        if isinstance(op, ast.Not):
            return not _truth(value)
        if value is _OBJECT:
            raise _FailedError
        return _UNARY[type(op)](value)

    def _bool(self, either: bool, values: list[ast.expr]) -> Any:
        for node in values:
            value = self.of(node)
            if node is not values[-1] and _truth(value) == either:
                return value
        return value

    def _compare(self, left: Any, ops: list[ast.cmpop], others: list[ast.expr]) -> bool:
        for op, node in zip(ops, others, strict=True):
            right = self.of(node)
            if left is _OBJECT or right is _OBJECT or type(op) not in _ORDER:
                raise UnknownError
            if not _ORDER[type(op)](left, right):
                return False
            left = right
        return True


def _truth(value: Any) -> bool:
    if value is _OBJECT:
        raise UnknownError
    return bool(value)


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    """`left op right`; no operator makes a number of what is none."""
    if left is _OBJECT or right is _OBJECT:
        return _OBJECT
    if isinstance(op, ast.Pow):
        if _bits(left) * (abs(right) if isinstance(right, int) else 1) > _LARGEST:
            raise UnknownError
        return left**right
    if isinstance(op, ast.LShift):
        if isinstance(right, int) and right > _LARGEST:
            raise UnknownError
        return left << right
    if isinstance(op, ast.Mult) and _bits(left) + _bits(right) > _LARGEST:
        raise UnknownError
    if type(op) not in _BINARY:
        raise _FailedError
    return _BINARY[type(op)](left, right)


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 64
