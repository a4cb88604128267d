"""Gives each data set a paint of its own, a hue and a texture, so that many are told apart, also without colours.

`time.html` draws a paint as an SVG pattern, since the policy of the file refuses a style at an element.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HUES = 8
"""Colours that the style sheet has: `--job-0`, `--job-1`, …"""
TEXTURES = ("plain", "stripes", "dots", "bars")
"""Patterns that are drawn over a hue, as `time.html` has them."""


@dataclass(frozen=True, slots=True)
class Paint:
    """The hue and texture of one data set; `id` names the pattern."""

    id: str
    hue: int
    texture: str


def paints(names: Iterable[str]) -> dict[str, Paint]:
    """Return a paint for each different name in order: all hues plain, then all striped, and so on.

    After `len(TEXTURES)` × `HUES` names they begin anew.
    """
    return {
        name: Paint(f"paint-{place}", place % HUES, TEXTURES[place // HUES % len(TEXTURES)])
        for place, name in enumerate(dict.fromkeys(names))
    }
