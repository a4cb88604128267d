"""Reads a cell that is written as a Python literal, such as a list of options or of right answers.

Owns what is no literal: whatever `ast` refuses, for whatever reason. Knows no column.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize

_SIDE_BY_SIDE = re.compile(r"""['"]\s+[rbuf]?['"]|""" + r"""''|\"\"""")


def literal(text: str) -> object:
    """Return the value of `text`, or None if it is no literal."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def strings(text: str) -> list[str] | None:
    """Return the strings of a list that has no commas, as numpy prints it; None if it is no such list.

    Python joins texts that stand side by side, so that `literal` gives fewer than there are.

    Raises:
        ValueError: commas stand between some of the texts, and others are side by side.
    """
    if not _SIDE_BY_SIDE.search(text):
        return None
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text.strip()).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    marks = [token for token in tokens if token.type in (tokenize.STRING, tokenize.OP)]
    kinds = "".join("s" if token.type == tokenize.STRING else token.string for token in marks)
    if "ss" not in kinds:
        return None
    if not re.fullmatch(r"\[s+\]", kinds):
        raise ValueError("two texts stand side by side without a comma; a list needs commas")
    texts = [literal(token.string) for token in marks[1:-1]]
    return None if None in texts else [str(text) for text in texts]
