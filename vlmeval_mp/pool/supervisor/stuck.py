"""Finds stuck workers: without an answer or a stage of loading for longer than the run's pace explains.

A heartbeat is no progress: it beats while an engine hangs. Only this process's monotonic clock counts, and only while
this process itself was running: after a gap (a laptop's lid, SIGSTOP) every worker gets its whole time again.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlmeval_mp.core.records import SERVING, STARTING, WorkerStatus

STALL_LEAST = 300.0
STALL_FACTOR = 20.0
"""A worker with samples in its engine is stuck after `STALL_FACTOR` usual latencies without an answer, not sooner than
`STALL_LEAST` seconds."""
LOADING_MOST = 1800.0
"""The same before the first answer: weights on a slow disk and a first compilation take long, yet they write a log."""
SILENT_MOST = 120.0
"""Seconds without a heartbeat after which a process is taken to be stopped; it beats once a second, loading or not."""
SILENT_LEAST = 5.0
"""The same, at least, where `--stall-timeout` is less."""
GAP = 10.0
"""Seconds between two looks after which this process itself must have been stopped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a launch: seconds for one sample in an engine, and without progress; 0 leaves it to the pace.

    `learned` False: the engine has time limits of its own, and only the limits here count.
    """

    sample: float = 0.0
    stall: float = 0.0
    learned: bool = True


@dataclass(slots=True)
class _Sighting:
    marks: object
    progress: float
    beat: object
    beaten: float


class Watch:
    """Remembers when each worker was last seen to get on."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sighting] = {}
        self._looked = 0.0

    def verdict(self, status: WorkerStatus, log_size: int, limits: Limits, patience: float, now: float) -> str:
        """Return why a living worker counts as stuck; "" while it does not. `now` is this process's monotonic clock.

        `patience` stretches what is learned, for a worker that takes the place of one that was taken to be stuck.
        """
        seen = self._note(status, log_size, now)
        silent, idle = now - seen.beaten, now - seen.progress
        if silent > _most_silent(limits, patience):
            return f"no sign of life for {silent:.0f} s"
        if status.notice is not None or status.phase not in STARTING + SERVING:
            return ""
        oldest = status.oldest + silent if status.oldest else 0.0
        if limits.sample and oldest > limits.sample:
            return f"a sample has been in its engine for {oldest:.0f} s (--sample-timeout {limits.sample:g})"
        serving = status.phase in SERVING
        if serving and not (status.in_flight or status.rendering):
            return ""  # it waits for work, or it closes its engine
        most = limits.stall or (_learned(status) * patience if limits.learned else 0.0)
        if not most or idle <= most:
            return ""
        what = "no answer" if serving else "no stage of loading"
        return f"{what} for {idle:.0f} s, where {most:.0f} s are the limit"

    def unborn(self, worker: str, log_size: int, limits: Limits, patience: float, now: float) -> str:
        """Return why a worker that was started and has sent no heartbeat yet counts as stuck; "" while it does not.

        Importing an engine from a slow disk takes minutes, but then its log grows.
        """
        seen = self._seen.setdefault(worker, _Sighting(log_size, now, None, now))
        if seen.marks != log_size:
            seen.marks, seen.progress = log_size, now
        most, idle = limits.stall or LOADING_MOST * patience, now - seen.progress
        return f"no sign of life since it was started, {idle:.0f} s ago" if idle > most else ""

    def forget(self, worker: str) -> None:
        """Begin anew with `worker`, which has ended."""
        self._seen.pop(worker, None)

    def _note(self, status: WorkerStatus, log_size: int, now: float) -> _Sighting:
        loading = status.phase not in SERVING or not status.answered
        marks = (status.owner, status.phase, status.answered, status.tokens_out, log_size if loading else 0)
        busy = status.in_flight or status.rendering or status.phase not in SERVING
        seen = self._seen.setdefault(status.worker, _Sighting(marks, now, None, now))
        if seen.marks != marks or not busy:
            seen.marks, seen.progress = marks, now
        if seen.beat != (status.owner, status.beat):
            seen.beat, seen.beaten = (status.owner, status.beat), now
        return seen

    def look(self, now: float) -> None:
        """Say that a round of verdicts begins at `now`; after a gap everybody's time begins anew."""
        if self._looked and now - self._looked > GAP:
            self._seen.clear()
        self._looked = now


def _most_silent(limits: Limits, patience: float) -> float:
    most = SILENT_MOST * patience
    return min(most, max(SILENT_LEAST, limits.stall)) if limits.stall else most


def _learned(status: WorkerStatus) -> float:
    if not status.answered:
        return LOADING_MOST
    return max(STALL_LEAST, STALL_FACTOR * status.usual)
