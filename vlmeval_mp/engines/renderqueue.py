"""Chooses the next draft of a render process: its own media first, in order, and long drafts never in all processes.

Drafts that share a medium go to one process, whose cache has it; idle ones help where many wait for it. While small
pictures and texts come too, videos and large pictures together never have the last process, and have half of them at
most while small ones wait: an engine that is hungry needs many small inputs more than one large one.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from vlmeval_mp.core.records import Draft, Media, Request, TextPart
from vlmeval_mp.engines import rendertransport
from vlmeval_mp.requests.longmedia import may_begin

IN_FLIGHT = 2
"""Drafts that one process has at a time: the next is there when it is done with one, and a kill costs little."""
LONG_QUEUE = 4
"""Drafts waiting for one process, because of a medium they share, above which idle ones take some of them."""
HOMES = 4096


@dataclass(slots=True, eq=False)
class Job:
    """A draft on its way, and how many processes died over it. `long`: it takes much longer than others."""

    number: int
    draft: Draft
    medium: Hashable
    outcome: asyncio.Future[Request]
    long: bool = False
    deaths: int = 0


@dataclass(slots=True, eq=False)
class Place:
    """One of the pool's processes, or the one that takes its place, and what it is to render."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    receiver: rendertransport.Receiver | None = None
    channel: socket.socket | None = None
    ready: bool = False
    failed_starts: int = 0
    unsent: bytearray = field(default_factory=bytearray)
    given: dict[int, Job] = field(default_factory=dict)
    queue: deque[Job] = field(default_factory=deque)

    @property
    def has_long(self) -> bool:
        return any(job.long for job in self.given.values())


class RenderQueue:
    """The drafts that wait to be rendered, in `places` processes."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._fresh: dict[bool, OrderedDict[Hashable, deque[Job]]] = {False: OrderedDict(), True: OrderedDict()}
        self._homes: OrderedDict[Hashable, Place] = OrderedDict()
        self._since_quick = 0

    def put(self, job: Job) -> None:
        """Let `job` wait for the process that has its medium, or for any."""
        self._since_quick = self._since_quick + 1 if job.long else 0
        self._wait(job)

    def next(self, place: Place) -> Job | None:
        """Return what `place` renders next; None if there is nothing for it now. A long one is given alone."""
        if place.has_long:
            return None
        long_allowed, long_first = self._may_be_long(place)
        if place.queue and (long_allowed or not place.queue[0].long):
            return place.queue.popleft()
        quick, long = self._first(False), self._first(True) if long_allowed else None
        if long is not None and (quick is None or (long_first and long.number < quick.number)):
            return self._settle(long, place)
        return self._settle(quick, place) if quick is not None else self._help(long_allowed)

    def dissolve(self, place: Place) -> None:
        """Let the others have what waits for a place that stays empty."""
        waiting = [*place.queue]
        place.queue.clear()
        for job in waiting:
            self._homes.pop(job.medium, None)
            self._wait(job)

    def clear(self) -> list[Job]:
        """Return everything that waits for no process in particular, and forget it."""
        found = [job for kind in self._fresh.values() for jobs in kind.values() for job in jobs]
        for kind in self._fresh.values():
            kind.clear()
        return found

    def _wait(self, job: Job) -> None:
        home = self._homes.get(job.medium)
        if home is not None and home.process is not None:
            home.queue.append(job)
        else:
            self._fresh[job.long].setdefault(job.medium, deque()).append(job)

    def _may_be_long(self, place: Place) -> tuple[bool, bool]:
        """Return whether `place` may have a long draft, and whether even while quick ones wait."""
        if place.given:
            return False, False
        others = [p for p in self._places if p is not place and p.process is not None]
        return may_begin(sum(p.has_long for p in others), len(others) + 1, self._since_quick)

    def _first(self, long: bool) -> Job | None:
        jobs = next(iter(self._fresh[long].values()), None)
        return jobs[0] if jobs else None

    def _settle(self, job: Job, place: Place) -> Job:
        """Make `place` the home of the medium of `job`, which waits for no place yet, and give `job` out."""
        place.queue.extend([each for each in self._fresh[job.long].pop(job.medium) if each is not job])
        self._homes[job.medium] = place
        if len(self._homes) > HOMES:
            self._homes.popitem(last=False)
        return job

    def _help(self, long_allowed: bool) -> Job | None:
        """Take a draft from the place where most wait, if those are many."""
        longest = max(self._places, key=lambda p: len(p.queue))
        if len(longest.queue) <= LONG_QUEUE or (longest.queue[-1].long and not long_allowed):
            return None
        return longest.queue.pop()


def medium(draft: Draft) -> Hashable:
    """Return what tells the first medium of `draft` from others; drafts that share it go to one process."""
    found = _media(draft)
    return (found[0].digest or found[0].file, found[0].clip) if found else draft.id


def files(draft: Draft) -> str:
    """Return the media of `draft`, as an error names them."""
    found = _media(draft)
    return ", ".join(f"{m.kind} {n} ({m.file})" for n, m in enumerate(found, 1)) or f"sample {draft.id}"


def _media(draft: Draft) -> list[Media]:
    return [p.media for m in draft.messages for p in m.parts if not isinstance(p, TextPart)]
