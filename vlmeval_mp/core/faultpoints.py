"""Named points at which a test makes the system fail: `VLMEVAL_FAULT=point:nth:action[,point:nth:action…]`.

When a process reaches a point for the nth time, it takes the action. The actions are: `kill` (sends itself SIGKILL),
`stop` (SIGSTOP), `term` (SIGTERM), `exit` (ends at once with code 1), `hang` (sleeps for an hour), `torn` (writes half
of the data, then `kill`), or the name of an error of the operating system in lower case, such as `enospc` or `eio`: the
file operation at that point fails with this error. Workers inherit the variable. Without it a point costs one
comparison.

    write     before a file's content is written        append    before a line of a checkpoint is written
    replace   before a file is renamed to its place      sync      before a checkpoint is made durable
    replaced  after that                                 claimed   after a shard was claimed
    publish   before a file is linked to its place       completed after shards were marked as done
    published after that                                 heartbeat before a heartbeat
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter

from vlmeval_mp.core.errors import ConfigError

VARIABLE, LOG = "VLMEVAL_FAULT", "VLMEVAL_FAULT_LOG"
"""The actions, and the file that gets a line for each action that was taken."""
POINTS = frozenset({
    "write", "replace", "replaced", "publish", "published", "append", "sync", "claimed", "completed", "heartbeat",
})  # fmt: skip
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}


def parse(text: str) -> dict[tuple[str, int], str]:
    """Return the actions in `text` by point and by the number of the visit.

    Raises:
        ConfigError: a point, number or action is none.
    """
    found = {}
    for each in filter(None, text.split(",")):
        point, _, rest = each.partition(":")
        number, _, action = rest.partition(":")
        known = action in SIGNALS or action in ("exit", "hang", "torn") or hasattr(errno, action.upper())
        if point not in POINTS or not number.isdigit() or not known:
            raise ConfigError(f"{VARIABLE}: {each!r} is no point:nth:action; points are {', '.join(sorted(POINTS))}")
        found[point, int(number)] = action
    return found


_armed = parse(os.environ.get(VARIABLE, ""))
_reached: Counter[str] = Counter()


def reach(point: str) -> str:
    """Take the action at `point`, if any; return "torn" if a write must stop half way, else "".

    Raises:
        OSError: as the action at this point says.
    """
    if not _armed:
        return ""
    _reached[point] += 1
    action = _armed.get((point, _reached[point]), "")
    if action and LOG in os.environ:
        _tell(f"{point} {action}\n")
    if action in SIGNALS:
        os.kill(os.getpid(), SIGNALS[action])
    elif action == "exit":
        os._exit(1)
    elif action == "hang":
        time.sleep(3600)
    elif action and action != "torn":
        number = getattr(errno, action.upper())
        raise OSError(number, os.strerror(number))
    return action if action == "torn" else ""


def _tell(line: str) -> None:
    handle = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, line.encode())
    os.close(handle)
