"""Files that are replaced or created in one step, durably. All writes of the project use this module or `linefiles`.

Guarantees. `atomic_write`: a reader sees the old file or the whole new one, also after a power cut. `publish_new`: of
several writers exactly one wins, and it knows.

Why `link` and not a lock: some shared file systems grant a lock to every caller.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vlmeval_mp.core import faultpoints
from vlmeval_mp.core.errors import StorageError

BLOCK = 1 << 18
"""Bytes that are read or written at once."""
NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL})
"""Errors of `link` on a file system without hard links."""
ABANDONED_AFTER = 3600.0
"""Seconds without a change after which a temporary file or folder may be removed, if its writer is gone."""
_TEMPORARY = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}\.tmp")


def temporary(path: Path) -> Path:
    """Return a name beside `path` for a file that will replace it; the name contains this process's number."""
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")


def writer(path: Path) -> int | None:
    """Return the number of the process that made the name of `path` by `temporary`, None for any other name."""
    match = _TEMPORARY.fullmatch(path.name)
    return int(match[1]) if match else None


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
    building = temporary(path)
    try:
        with building.open("xb") as file:
            faultpoints.reach("write")
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            building.unlink()
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    return building


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data` in one step.

    Raises:
        StorageError: the data could not be written; `path` is as it was.
    """
    building = _write_temporary(path, data, durable)
    try:
        faultpoints.reach("replace")
        building.replace(path)
        faultpoints.reach("replaced")
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            building.unlink()
        raise StorageError(f"cannot replace {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Yield files to write; when the block ends well, they replace `paths` in that order, else `paths` stay.

    Raises:
        StorageError: the data could not be written.
    """
    building = [temporary(path) for path in paths]
    try:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(path.open("xb", buffering=BLOCK)) for path in building]
            yield list(opened)
            for file in opened:
                file.flush()
                os.fsync(file.fileno())
        for path, target in zip(building, paths, strict=True):
            path.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {paths[0].parent}: {error.strerror or error}") from error
    finally:
        for path in building:
            with contextlib.suppress(OSError):
                path.unlink()


def publish_new(path: Path, data: bytes, *, sync_parent: bool = True) -> bool:
    """Create `path` with `data` unless it exists; True if this call created it.

    On NFS a lost reply can report EEXIST for our own link, so the link count of our unique name decides. A file system
    without hard links gets a rename that replaces nothing, or where that is missing too, an exclusive creation.

    Raises:
        StorageError: the data could not be written.
    """
    building = _write_temporary(path, data, durable=True)
    try:
        try:
            faultpoints.reach("publish")
            os.link(building, path)
            created = True
            faultpoints.reach("published")
        except FileExistsError:
            created = building.stat().st_nlink == 2
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            created = _publish_without_links(building, path, data)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            building.unlink()
    if sync_parent:
        sync_folder(path.parent)
    return created


def _publish_without_links(building: Path, path: Path, data: bytes) -> bool:
    try:
        return _rename_new(building, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    return _create_whole(path, data)


def _rename_new(building: Path, path: Path) -> bool:
    """Rename `building` to `path` unless that exists; True if it was renamed.

    Raises:
        OSError: with a number of `NO_LINKS`, the kernel or the file system does not know such a rename.
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "there is no renameat2")
    here, no_replace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if rename(here, os.fsencode(building), here, os.fsencode(path), no_replace) == 0:
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
