"""What a cell that is written as a Python literal holds; benchmarks keep lists of options and references so.

Owns what is no literal: whatever `ast` refuses, for whatever reason. Knows no column.
"""

from __future__ import annotations

import ast


def literal(text: str) -> object:
    """The value of `text`, or None if it is no literal."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
