"""Text fit for a terminal: hostile characters removed, numbers in few columns. Knows no state and no rich."""

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


def duration(seconds: float | None) -> str:
    """`4s`, `2m 05s`, `1h 02m`, `3d 04h`; a dash where unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24:02}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


def rate(per_second: float | None) -> str:
    """`0.42/s`, `186.3/s`, `1,234/s`; a dash where unknown."""
    if per_second is None or not math.isfinite(per_second):
        return "–"
    if per_second >= 999.95:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 9.995 or not per_second else f"{per_second:.2f}/s"


def size(count: float, total: float) -> str:
    """Bytes of memory used and there, in GiB: `61.2/80 GiB`."""
    return f"{count / 2**30:.1f}/{total / 2**30:.0f} GiB"


def fraction(part: int, whole: int) -> str:
    """`41%`; 100 only when all is done."""
    if not whole:
        return "100%"
    return f"{min(99, 100 * part // whole) if part < whole else 100}%"


def percent(value: float | None) -> str:
    """A metric in 0..1 as `97.8`; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def margin(interval: tuple[float, float] | None) -> str:
    """Half the width of an interval in 0..1 as ` ±0.7`, rounded up, so that it is never zero; "" without one."""
    if interval is None:
        return ""
    return f" ±{math.ceil(500 * (interval[1] - interval[0]) - 1e-9) / 10:.1f}"
