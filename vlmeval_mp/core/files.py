"""Disk primitives: replace atomically, append durably, read tolerantly. Every write of the project goes through here.

Guarantees. `atomic_write`: a reader sees the old file or the whole new one, also after a power cut. `publish_new`: of
several writers exactly one wins, and it knows. `Appender`: one writer; after `sync` returned, what was appended
before is on the disk. `read_lines`: valid lines only; a torn or altered line is skipped, never guessed at.

`encode_json` never fails on text that is none.

Why `link` and not a lock: some shared file systems grant a lock to every caller.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from vlmeval_mp.core.errors import StorageError

T = TypeVar("T")

BLOCK = 1 << 18
"""Bytes that are read or written at once."""
NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL})
"""What `link` says where the file system has no hard links."""


def encode_json(value: object) -> bytes:
    """Return `value` as JSON. Half a surrogate pair, which is no text, becomes a question mark.

    File names that are not UTF-8 hold such halves, and so does what a model says when it is cut inside a character.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(msgspec.to_builtins(value, str_keys=True)))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value


def read_json(path: Path, kind: type[T]) -> T:
    """Return the content of a JSON file as a `kind`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Make creations, renames and links inside `folder` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(folder: Path) -> None:
    """Make everything written to the file system of `folder` durable: one call in place of an fsync for each file.

    Other file systems of the host are left alone where the C library has `syncfs`.

    Raises:
        OSError: the file system reported a failed write.
    """
    import ctypes

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(fd)


def _write_temporary(path: Path, data: bytes, durable: bool) -> Path:
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    return temporary


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data` in one step.

    Raises:
        StorageError: the data could not be written; `path` is as it was.
    """
    temporary = _write_temporary(path, data, durable)
    try:
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StorageError(f"cannot replace {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Files to write; `paths` are replaced by them, in that order, when the block ends well, and left alone otherwise.

    Raises:
        StorageError: the data could not be written.
    """
    temporary = [_temporary(path) for path in paths]
    try:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(path.open("xb", buffering=BLOCK)) for path in temporary]
            yield list(opened)
            for file in opened:
                file.flush()
                os.fsync(file.fileno())
        for path, target in zip(temporary, paths, strict=True):
            path.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {paths[0].parent}: {error.strerror or error}") from error
    finally:
        for path in temporary:
            with contextlib.suppress(OSError):
                path.unlink()


def publish_new(path: Path, data: bytes, *, sync_parent: bool = True) -> bool:
    """Create `path` with `data` unless it exists; True if this call created it.

    On NFS a lost reply can report EEXIST for our own link, so the link count of our unique name decides. A file system
    without hard links gets a rename that replaces nothing, or where that is missing too, an exclusive creation.

    Raises:
        StorageError: the data could not be written.
    """
    temporary = _write_temporary(path, data, durable=True)
    try:
        try:
            os.link(temporary, path)
            created = True
        except FileExistsError:
            created = temporary.stat().st_nlink == 2
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            created = _publish_without_links(temporary, path, data)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    if sync_parent:
        sync_folder(path.parent)
    return created


def _publish_without_links(temporary: Path, path: Path, data: bytes) -> bool:
    try:
        return _rename_new(temporary, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    return _create_whole(path, data)


def _rename_new(temporary: Path, path: Path) -> bool:
    """Rename `temporary` to `path` unless that exists; True if it was renamed.

    Raises:
        OSError: with a number of `NO_LINKS`, the kernel or the file system does not know such a rename.
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "there is no renameat2")
    here, no_replace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if rename(here, os.fsencode(temporary), here, os.fsencode(path), no_replace) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    raise OSError(number, os.strerror(number))


def _create_whole(path: Path, data: bytes) -> bool:
    """Create `path` and fill it; True if this call created it. A file that did not get all of `data` is removed."""
    try:
        file = path.open("xb", buffering=0)
    except FileExistsError:
        return False
    try:
        with file:
            written = file.write(data)
            os.fsync(file.fileno())
        if written != len(data) or path.stat().st_size != len(data):
            raise OSError(errno.EIO, f"{path.stat().st_size} of {len(data)} bytes were written")
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return True


def encode_line(payload: bytes) -> bytes:
    """`payload`, a JSON object, as one checkpoint line: its CRC-32 becomes the first key, so the line stays JSON."""
    rest = payload[1:]
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(rest), rest)


_PREFIX = len(b'{"crc":"00000000",')


def decode_line(line: bytes) -> bytes | None:
    """The payload of one line without its newline; None if the line is torn or was altered."""
    if len(line) <= _PREFIX or not line.startswith(b'{"crc":"'):
        return None
    rest = line[_PREFIX:]
    if b"%08x" % zlib.crc32(rest) != line[8:16]:
        return None
    return b"{" + rest


def read_lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Valid lines within bytes [start, end) of `path`, as (offset, offset behind it, payload).

    A missing file has no lines. The last line counts only with its newline. One block is in memory at a time.
    """
    try:
        with path.open("rb", buffering=BLOCK) as file:
            file.seek(start)
            for line in file:
                behind = start + len(line)
                if not line.endswith(b"\n") or (end is not None and behind > end):
                    return
                payload = decode_line(line[:-1])
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
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
            sync_folder(path.parent)
        except OSError as error:
            raise StorageError(f"cannot create {path}: {error.strerror or error}") from error

    def append(self, payload: bytes) -> tuple[int, int]:
        """Append one JSON object as a line; returns its (offset, offset behind it).

        Raises:
            StorageError: the line may be torn; this file is not written again.
        """
        line = encode_line(payload)
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
