"""Lines of the same kind about many jobs."""

from __future__ import annotations

import pytest

from vlmeval_mp.display import joined

LETTERS = "A is said 39 times and right 20 times: the model prefers some letters"


@pytest.mark.parametrize(
    ("count", "said"), [(1, "d0"), (2, "d0 and d1"), (4, "d0, d1, d2 and d3"), (5, "d0, d1, d2 and 2 more")]
)
def test_few_names_are_all_said_and_of_many_the_first(count: int, said: str) -> None:
    assert joined.names([f"d{number}" for number in range(count)]) == said


def test_the_same_text_is_one_line_where_the_first_stood() -> None:
    lines = [("a", "x 1"), ("a", "other"), ("b", "x 1"), ("c", "x 2")]
    assert joined.same(lines) == ["a and b: x 1", "a: other", "c: x 2"]


def test_figures_quotes_and_letters_of_options_do_not_part_what_is_alike() -> None:
    lines = [("a", LETTERS), ("b", LETTERS.replace("A is said 39", "C is said 1,039")), ("c", "answer 'x' (index a1)")]
    lines += [("d", "answer 'y' (index b)"), ("e", LETTERS)]
    assert joined.alike(lines) == [
        f"a: {LETTERS}; the same, by figures of their own, of b and e",
        "c: answer 'x' (index a1); the same, by figures of their own, of d",
    ]
    assert joined.alike([("a", LETTERS), ("b", LETTERS)]) == [f"a and b: {LETTERS}"]
    assert joined.alike([]) == []
    texts = "it's 3 of 5; the model's answers", "it's 3 of 5 too long for the model's answers"
    assert len(joined.alike([("a", texts[0]), ("b", texts[1])])) == 2, "an apostrophe begins no quote"
