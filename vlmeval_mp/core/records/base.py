"""The base class of all records, and the types that they share."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["mcq", "yorn", "vqa"]
Json = dict[str, Any]


class Struct(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all on-disk values."""
