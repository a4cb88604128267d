"""JSON files of records: any text can be written, and an error in reading names the file and the place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vlmeval_mp.core.errors import StorageError

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Return `value` as JSON. Half a surrogate pair, which is no text, becomes a question mark.

    File names that are not UTF-8 hold such halves, and so do replies that are cut inside a character.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_half_characters(msgspec.to_builtins(value, str_keys=True)))


def without_halves(text: str) -> str:
    """Return `text` with a question mark for each half of a surrogate pair, which cannot be written anywhere."""
    return text.encode("utf-8", "replace").decode()


def _without_half_characters(value: Any) -> Any:
    if isinstance(value, str):
        return without_halves(value)
    if isinstance(value, dict):
        return {_without_half_characters(key): _without_half_characters(each) for key, each in value.items()}
    return [_without_half_characters(each) for each in value] if isinstance(value, list | tuple) else value


def append_lines(path: Path, values: Iterable[object]) -> None:
    """Add a line for each of `values` in one write, so that lines of several writers do not mix.

    Raises:
        StorageError: they could not be written.
    """
    data = b"".join(encode(each) + b"\n" for each in values)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path, kind: type[T], advice: str = "") -> T:
    """Return the content of a JSON file as a `kind`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read, or holds something else; `advice` ends the message.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error, advice) from error
    return decode(content, kind, path, advice)


def read_if_whole(path: Path, kind: type[T]) -> T | None:
    """Return the content of a JSON file as a `kind`; None if there is no such file, or it cannot be read."""
    try:
        return read(path, kind)
    except (FileNotFoundError, StorageError):
        return None


def read_listed(paths: Iterable[Path], kind: type[T]) -> list[T]:
    """Return the contents of those JSON files that are there and can be read as a `kind`, in their order."""
    return [found for path in paths if (found := read_if_whole(path, kind)) is not None]


def decode(content: bytes, kind: type[T], path: Path, advice: str = "") -> T:
    """Return `content`, which was read from `path`, as a `kind`.

    Raises:
        StorageError: it holds something else; `advice` ends the message.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise _unreadable(path, error, advice) from error


def _unreadable(path: Path, error: Exception, advice: str) -> StorageError:
    return StorageError("; ".join(filter(None, [f"{path} cannot be read: {error}", advice])))
