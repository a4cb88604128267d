"""Identity of a process, and proof that it is dead. Knows nothing of the shards that the process holds.

An `Owner` names one process for all time: host, boot, pid namespace, pid, start time and a nonce, so neither a reused
pid nor a reboot nor a container with the same host name is taken for it. Death is only ever *proven* on the same host
and pid namespace; of any other owner `is_dead` says None, and the caller has to watch its heartbeat instead.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.paths import slug

_SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class Owner:
    """One process; `str(owner)` is safe inside a file name and `parse` reads it back."""

    host: str
    boot: str
    pid: int
    start: int
    nonce: str

    def __str__(self) -> str:
        return _SEPARATOR.join((self.host, self.boot, str(self.pid), str(self.start), self.nonce))


def parse(text: str) -> Owner:
    """Return the owner written as `text`.

    Raises:
        VlmevalError: the text is not one.
    """
    fields = text.split(_SEPARATOR)
    if len(fields) != 5 or not (fields[2].isdigit() and fields[3].isdigit()):
        raise VlmevalError(f"{text!r} does not name a process")
    return Owner(fields[0], fields[1], int(fields[2]), int(fields[3]), fields[4])


def parsed(text: str) -> Owner | None:
    """Return the owner written as `text`, None if the text is not one."""
    try:
        return parse(text)
    except VlmevalError:
        return None


def current() -> Owner:
    """Return this process as an owner, with a fresh nonce."""
    pid = os.getpid()
    return Owner(_host(), _boot(), pid, start_time(pid) or 0, os.urandom(4).hex())


def start_time(pid: int) -> int | None:
    """Return the clock ticks after boot at which `pid` started; None if there is no such process or it is a zombie.

    psutil's `create_time` would not do: it adds the time of the boot, which moves when somebody sets the clock, and the
    same process would then look like another one.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def age(owner: Owner) -> float:
    """Return the seconds since a process of this host started."""
    started = owner.start / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def is_dead(owner: Owner) -> bool | None:
    """Return True if `owner` is proven dead, False if it lives, None if this host cannot tell."""
    if owner.host != _host():
        return None
    boot, _, namespace = owner.boot.partition("-")
    here_boot, _, here_namespace = _boot().partition("-")
    if boot != here_boot:
        return True
    if namespace != here_namespace:
        return None
    return start_time(owner.pid) != owner.start


def _host() -> str:
    return host_name(os.uname().nodename)


def host_name(name: str) -> str:
    """Return how owners write the host called `name`."""
    return slug(name, 40).replace(_SEPARATOR, "-")


def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
