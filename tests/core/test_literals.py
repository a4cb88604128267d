"""Cells that are Python literals, and cells that only look so."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.literals import literal, strings


def test_a_literal_is_its_value_whatever_stands_around_it() -> None:
    assert literal(" ['a', 2]\n") == ["a", 2]


@pytest.mark.parametrize("text", ["", "[", "cat", "['a'", "[" * 5000, "f()", "\0", "  x\n y"])
def test_what_is_no_literal_is_none_and_never_an_error(text: str) -> None:
    assert literal(text) is None


def test_texts_side_by_side_are_told_apart_and_what_is_no_text_is_no_list() -> None:
    assert strings("['a' 'b'\n 'c']") == ["a", "b", "c"]
    assert strings(r"['\N{no such}' 'b']") is None
    with pytest.raises(ValueError, match="a list needs commas"):
        strings("['a', 'b' 'c']")
