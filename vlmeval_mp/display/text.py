"""Texts fit for a terminal: no hostile characters, numbers in few columns. Knows no state and no rich."""

from __future__ import annotations

import math

_SPACE = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029]
_BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_DROPPED = [*range(0x20), 0x7F, *range(0x80, 0xA0), *_BIDI, *range(0xD800, 0xE000)]
_SAFE: dict[int, str | None] = {**dict.fromkeys(_DROPPED, None), **dict.fromkeys(_SPACE, " ")}


def safe(text: str) -> str:
    """Return `text` on one line, without control characters, terminal escapes, bidi controls and lone surrogates.

    rich's `Text` passes ESC, OSC 52 and bidi controls through, so this comes first.
    """
    return text.translate(_SAFE)


def rate(per_second: float | None) -> str:
    """Return `0.42/s`, `186.3/s`, `1,234/s`; a dash where unknown."""
    if per_second is None or not math.isfinite(per_second):
        return "–"
    if per_second >= 999.95:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 9.995 or not per_second else f"{per_second:.2f}/s"


def size(count: float, total: float) -> str:
    """Return bytes of memory used and there, in GiB: `61.2/80 GiB`."""
    return f"{count / 2**30:.1f}/{total / 2**30:.0f} GiB"


def fraction(part: int, whole: int) -> str:
    """Return `41%`; 100 only when all is done."""
    if not whole:
        return "100%"
    return f"{min(99, 100 * part // whole) if part < whole else 100}%"


def tokens(per_second: float) -> str:
    """Return `412`, `9.8k`, `1.2M` tokens per second; "" for none."""
    if per_second < 0.5:
        return ""
    if per_second < 1000:
        return f"{per_second:.0f}"
    return f"{per_second / 1e3:.1f}k" if per_second < 1e6 else f"{per_second / 1e6:.1f}M"
