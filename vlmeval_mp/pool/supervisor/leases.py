"""How long a claim from elsewhere is trusted: until its owner's heartbeat has been seen unchanged for a lease.

Only what this process observes on its own monotonic clock counts; wall clocks and file times of two hosts are never
compared (research/reliability.md §1.3). For owners on this host there is proof instead, see `owners.is_dead`.
"""

from __future__ import annotations

LEASE_SECONDS = 600.0
"""Model load and first compilation beat too, so silence this long is no busy worker."""


class Leases:
    """What was seen of each owner, and since when it has not changed."""

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[int | None, float]] = {}

    def expired(self, owner: str, beat: int | None, now: float) -> bool:
        """Note `owner`'s current `beat` (None: it has no heartbeat) at monotonic time `now`."""
        known = self._seen.get(owner)
        if known is None or known[0] != beat:
            self._seen[owner] = (beat, now)
            return False
        return now - known[1] >= self._seconds
