"""What a user wrote becomes typed, or a message with its place."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from vlmeval_mp.core.convert import convert
from vlmeval_mp.core.errors import ConfigError, refuse_unknown


class Wanted(msgspec.Struct):
    class_: str = msgspec.field(default="", name="class")
    wait: float = 0.0


def test_a_value_is_taken_by_the_names_it_is_written_with():
    assert convert({"class": "x", "wait": 1}, Wanted, "model.m") == Wanted("x", 1.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"wiat": 1}, "model.m: there is no key 'wiat'; did you mean 'wait'?"),
        ({"zzz": 1}, "model.m: there is no key 'zzz'; valid ones: class, wait"),
        ({"wait": "x"}, "model.m: Expected `float`, got `str` - at `$.wait`"),
        ([], "model.m: Expected `object`, got `array`"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(value, message):
    with pytest.raises(ConfigError) as caught:
        convert(value, Wanted, "model.m")
    assert str(caught.value) == message


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    wait: float = 0.0


class Outer(msgspec.Struct):
    inner: Inner = msgspec.field(default_factory=Inner)
    many: dict[str, Annotated[int, Meta(ge=1, description="a whole number of at least 1")]] = {}
    kind: Literal["", "a", "b"] = ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"inner": {"wiat": 1}}, "inner: there is no key 'wiat'; did you mean 'wait'?"),
        ({"many": {"x": 1, "y": 0}}, "many.y: must be a whole number of at least 1, not 0"),
        ({"kind": "c"}, "kind: 'c' is none of a, b"),
    ],
)
def test_a_part_is_named_by_its_own_place(value, message):
    with pytest.raises(ConfigError) as caught:
        convert(value, Outer, "")
    assert str(caught.value) == message


def test_of_very_many_valid_names_the_first_are_listed():
    with pytest.raises(ConfigError) as caught:
        refuse_unknown("x: there is no key", ["zzz"], [f"n{number}" for number in range(100)])
    assert "n39" in str(caught.value)
    assert "n40" not in str(caught.value)
