"""What workers wait for: the words for it, and the events when it begins and when it is over.

Knows no engine and no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from vlmeval_mp.core.records import Notice


def sentence(notice: Notice, now: float) -> str:
    """`http://h/v1 cannot be reached for 12 s (Connection refused); waiting up to 300 s`."""
    why = f" ({notice.why})" if notice.why else ""
    return f"{notice.text} for {max(0.0, now - notice.since):.0f} s{why}; waiting up to {notice.most:.0f} s"


def brief(notice: Notice, now: float) -> str:
    """The same for a narrow row, where an address would hide the rest: `waiting 12 of 300 s: http://h/v1 cannot …`."""
    why = f" ({notice.why})" if notice.why else ""
    return f"waiting {max(0.0, now - notice.since):.0f} of {notice.most:.0f} s: {notice.text}{why}"


class Heard:
    """Which notices were said, so that each is said once, and its end once, whatever its words become meanwhile."""

    def __init__(self) -> None:
        self._said: dict[str, Notice] = {}

    def news(
        self, notices: Mapping[str, Notice | None], now: float
    ) -> Iterator[tuple[str, Literal["info", "warning"]]]:
        """Events of the workers that are alive, by their current notices; what a gone one waited for is forgotten."""
        for worker in self._said.keys() - notices.keys():
            del self._said[worker]
        for worker, notice in notices.items():
            said = self._said.get(worker)
            if said is not None and (notice is None or notice.since != said.since):
                yield f"{worker}: {said.over} after {max(0.0, now - said.since):.0f} s", "info"
                del self._said[worker]
                said = None
            if notice is not None and said is None:
                self._said[worker] = notice
                yield f"{worker}: {sentence(notice, now)}", "warning"
