"""Files of lines with checksums: one writer appends durably, readers skip damaged lines.

Guarantees. `Appender`: after `sync` returned, what was appended before is on the disk. `read`: valid lines only; a torn
or altered line is skipped, never guessed at.
"""

from __future__ import annotations

import errno
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

from vlmeval_mp.core import faultpoints
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.files import BLOCK, sync_folder


def encode(payload: bytes) -> bytes:
    """Return `payload`, a JSON object, as one line: its CRC-32 becomes the first key, so the line stays JSON."""
    rest = payload[1:]
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(rest), rest)


_PREFIX = len(b'{"crc":"00000000",')


def decode(line: bytes) -> bytes | None:
    """Return the payload of one line without its newline; None if the line is torn or was altered."""
    if len(line) <= _PREFIX or not line.startswith(b'{"crc":"'):
        return None
    rest = line[_PREFIX:]
    if b"%08x" % zlib.crc32(rest) != line[8:16]:
        return None
    return b"{" + rest


def read(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Yield the valid lines within bytes [start, end) of `path`, as (offset, offset behind it, payload).

    A missing file has no lines. The last line counts only with its newline. One block is in memory at a time.
    """
    try:
        with path.open("rb", buffering=BLOCK) as file:
            file.seek(start)
            for line in file:
                behind = start + len(line)
                if not line.endswith(b"\n") or (end is not None and behind > end):
                    return
                payload = decode(line[:-1])
                if payload is not None:
                    yield start, behind, payload
                start = behind
    except FileNotFoundError:
        return


class Appender:
    """One append-only file with exactly one writer, ever: the file must not exist yet.

    `append` hands the line to the operating system at once, so it survives the death of this process; `sync` makes
    it survive a power cut. After a failed write or sync the file is never used again, because a second fsync may
    report success for data the kernel dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._synced = 0
        self._broken = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            sync_folder(path.parent)
        except OSError as error:
            raise StorageError(f"cannot create {path}: {error.strerror or error}") from error

    def append(self, payload: bytes) -> tuple[int, int]:
        """Append one JSON object as a line; return its (offset, offset behind it).

        Raises:
            StorageError: the line may be torn; this file is not written again.
        """
        line = encode(payload)
        start = self.size
        rest = memoryview(line)
        while rest:
            rest = rest[self._write(rest) :]
        self.size = start + len(line)
        return start, self.size

    def _write(self, data: memoryview) -> int:
        if self._broken:
            raise StorageError(f"{self.path} failed before and is not written again")
        try:
            if faultpoints.reach("append"):
                os.write(self._fd, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return os.write(self._fd, data)
        except OSError as error:
            self._broken = True
            what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
            raise StorageError(f"cannot append to {self.path}: {what}") from error

    def sync(self) -> None:
        """Return once everything appended before the call is on the disk.

        Raises:
            StorageError: it may not be; this file is not written again.
        """
        if self._broken:
            raise StorageError(f"{self.path} failed before and is not written again")
        size = self.size
        if self._synced >= size:
            return
        try:
            faultpoints.reach("sync")
            os.fdatasync(self._fd)
        except OSError as error:
            self._broken = True
            raise StorageError(f"cannot sync {self.path}: {error.strerror or error}") from error
        self._synced = max(self._synced, size)

    def close(self) -> None:
        """Sync and close; of a file that failed before, only close it.

        Raises:
            StorageError: as `sync`; a network file system may report a lost write only here.
        """
        try:
            if not self._broken:
                self.sync()
        finally:
            try:
                os.close(self._fd)
            except OSError as error:
                raise StorageError(f"cannot close {self.path}: {error.strerror or error}") from error
