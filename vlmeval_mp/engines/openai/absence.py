"""The absence of an endpoint: its start, the time to wait for it, and the notice for people meanwhile.

Knows neither requests nor HTTP: callers report answers and misses to it. Only a whole endpoint is away: while it
answers anybody, it is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from vlmeval_mp.core.records import Notice

log = logging.getLogger("vlmeval_mp.openai")

SAID_AFTER = 3.0
"""Seconds that an endpoint is away before anything says so: a limit on requests makes it away for moments."""
NAME_SECONDS = 10.0
"""Seconds that a host name may be unknown: a server that still loads has a name, a typo never gets one."""


class Absence:
    """One endpoint's. `wait` seconds it is waited for; `start_wait` if it has not answered once in this process.

    `notice` may be read from any thread.
    """

    def __init__(self, address: str, wait: float, start_wait: float, clock: Callable[[], float] = time.monotonic):
        self.address, self.wait, self.start_wait = address, wait, start_wait
        self.reached = False
        self.answered_at = 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._notice: Notice | None = None
        self._since = 0.0
        self._logged = False

    def answered(self) -> None:
        """Somebody got an answer, were it a refusal."""
        with self._lock:
            self.reached, self.answered_at = True, self._clock()
            if self._logged and self._notice is not None:
                log.warning("%s", self._notice.over)
            self._notice, self._logged = None, False

    def missed(self, what: str, why: str, *, busy: bool, unknown: bool = False) -> float:
        """Record a failed attempt; return how many seconds the request may keep retrying.

        `busy`: the endpoint answered, but refused.
        """
        with self._lock:
            self.reached = self.reached or busy
            most = self.wait if self.reached else min(self.start_wait, NAME_SECONDS) if unknown else self.start_wait
            if self._notice is None:
                self._since = self._clock()
            since = self._notice.since if self._notice else time.time()
            self._notice = Notice(f"{self.address} {what}", f"{self.address} is back", since, most, why)
            if not self._logged and self._is_told():
                self._logged = True
                log.warning("%s (%s); waiting for it", self._notice.text, why)
            return most

    @property
    def notice(self) -> Notice | None:
        with self._lock:
            return self._notice if self._is_told() else None

    def _is_told(self) -> bool:
        return self._notice is not None and self._clock() - self._since > SAID_AFTER
