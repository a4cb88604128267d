"""Converts values that a user wrote to typed values; messages name the place and the nearest valid key.

A type says in words what it takes: `Annotated[int, Meta(ge=1, description="a whole number of at least 1")]` makes the
message "data.d.limit: must be a whole number of at least 1, not 'x'".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import ConfigError, refuse_unknown

T = TypeVar("T")


def convert(value: object, kind: type[T], where: str, missing: str = "there is no key") -> T:
    """Return `value` as a `kind`. `where` is its place in what the user wrote, "" for the whole of it.

    Raises:
        ConfigError: a key is unknown (`missing` begins the message, the nearest valid key ends it), or a value has a
            wrong type or is out of bounds; the message begins with the place.
    """
    if isinstance(value, Mapping) and _is_struct(kind):
        refuse_unknown(f"{where}: {missing}" if where else missing, value, keys(kind))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        for key, part, expected in _parts(value, kind):
            convert(part, expected, f"{where}.{key}" if where else str(key))
        raise ConfigError(f"{where}: {_wanted(value, kind) or error}") from None


def keys(kind: type) -> tuple[str, ...]:
    """Return the keys of a struct."""
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _parts(value: object, kind: Any) -> Iterator[tuple[object, object, Any]]:
    """Yield key, value and type of each part of `value` whose type has words of its own for what is wrong."""
    if not isinstance(value, Mapping):
        return
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if _is_struct(plain):
        expected = {field.encode_name: field.type for field in msgspec.structs.fields(plain)}
    elif get_origin(plain) is dict:
        expected = dict.fromkeys(value, get_args(plain)[1])
    else:
        return
    for key, part in value.items():
        if _is_struct(expected[key]) or get_origin(expected[key]) is dict or _wanted(part, expected[key]):
            yield key, part, expected[key]


def _wanted(value: object, kind: Any) -> str:
    """Return what a `kind` must be, and what it is instead; "" where the type has no words for it."""
    given = credentials.masked(repr(value), {})
    for part in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if get_origin(part) is Literal:
            return f"{given} is none of {', '.join(filter(None, get_args(part)))}"
        for meta in getattr(part, "__metadata__", ()):
            if meta.description:
                return f"must be {meta.description}, not {given}"
    return ""
