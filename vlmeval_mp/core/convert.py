"""Values that a user wrote become typed values, with messages that name the place and the nearest valid key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from vlmeval_mp.core.errors import ConfigError, refuse_unknown

T = TypeVar("T")


def convert(value: object, kind: type[T], where: str, missing: str = "there is no key") -> T:
    """Return `value` as a `kind`.

    Raises:
        ConfigError: a key is unknown (`missing` begins the message, the nearest valid key ends it), or a value has a
            wrong type; the message begins with `where`.
    """
    if isinstance(value, Mapping) and issubclass(kind, msgspec.Struct):
        refuse_unknown(f"{where}: {missing}", value, [f.encode_name for f in msgspec.structs.fields(kind)])
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
