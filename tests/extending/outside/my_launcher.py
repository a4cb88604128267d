"""A launcher from outside: plain processes of this host, each noted down in $STARTED."""

import contextlib
import os
import signal
import subprocess

from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.launchers.base import Command


class PlainHandle:
    """One worker, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def poll(self) -> int | None:
        return self._process.poll()

    def drain(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class PlainLauncher:
    """Starts workers by `subprocess`, on a host without GPUs."""

    def devices(self) -> list[GpuStats]:
        return []

    def start(self, command: Command) -> PlainHandle:
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            process = subprocess.Popen(
                command.argv, env=command.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        with open(os.environ["STARTED"], "a", encoding="utf-8") as file:
            file.write(f"{process.pid}\n")
        return PlainHandle(process)

    def close(self) -> None:
        pass
