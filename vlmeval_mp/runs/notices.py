"""Notices of workers that wait: their words, and the events when a wait begins and when it ends.

Knows no engine and no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from vlmeval_mp.core.records import Notice


def sentence(notice: Notice, now: float) -> str:
    """Return `http://h/v1 cannot be reached for 12 s (Connection refused); waiting up to 300 s`."""
    why = f" ({notice.why})" if notice.why else ""
    return f"{notice.text} for {max(0.0, now - notice.since):.0f} s{why}; waiting up to {notice.most:.0f} s"


def brief(notice: Notice, now: float) -> str:
    """Return it for a narrow row, where an address would hide the rest: `waiting 12 of 300 s: http://h/v1 cannot …`."""
    why = f" ({notice.why})" if notice.why else ""
    return f"waiting {max(0.0, now - notice.since):.0f} of {notice.most:.0f} s: {notice.text}{why}"


class NoticeLog:
    """Turns notices into events: one when a wait begins and one when it ends, however its words change meanwhile."""

    def __init__(self) -> None:
        self._open: dict[str, Notice] = {}

    def changes(
        self, notices: Mapping[str, Notice | None], now: float
    ) -> Iterator[tuple[str, Literal["info", "warning"]]]:
        """Yield the events since the last call. `notices` are those of the workers that live; others are forgotten."""
        for worker in self._open.keys() - notices.keys():
            del self._open[worker]
        for worker, notice in notices.items():
            shown = self._open.get(worker)
            if shown is not None and (notice is None or notice.since != shown.since):
                yield f"{worker}: {shown.over} after {max(0.0, now - shown.since):.0f} s", "info"
                del self._open[worker]
                shown = None
            if notice is not None and shown is None:
                self._open[worker] = notice
                yield f"{worker}: {sentence(notice, now)}", "warning"
