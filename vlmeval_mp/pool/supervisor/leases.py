"""Leases of claims by other hosts: a claim is lost when its owner's heartbeat has not changed for a lease.

Only what this process observes on its own monotonic clock counts; it never compares wall clocks or file times of two
hosts. For owners on this host there is proof instead, see `owners.is_dead`.
"""

from __future__ import annotations

LEASE_SECONDS = 600.0
"""Model load and first compilation beat too, so silence this long is no busy worker."""


class Leases:
    """The last heartbeat seen of each owner, and since when it has not changed."""

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[int | None, float]] = {}

    def expired(self, owner: str, beat: int | None, now: float) -> bool:
        """Note `owner`'s `beat` (None: it has none) at monotonic time `now`; return whether its lease has run out."""
        known = self._seen.get(owner)
        if known is None or known[0] != beat:
            self._seen[owner] = (beat, now)
            return False
        return now - known[1] >= self._seconds
