"""The exceptions that this project raises on purpose, the exit code of each, and hints at a similar name.

    VlmevalError                 exit 1   base of all; carries a message that a user can act on
    ├── ConfigError              exit 2   usage, config file or data set is wrong; nothing was started
    ├── DependencyError          exit 3   a package or device is missing; the message holds the install line
    ├── EngineError              exit 70  the engine is unusable; the worker exits, the supervisor starts a fresh one
    │   ├── EngineKilledError    exit 70  somebody killed a process of the engine; no sample is to blame
    │   └── UnavailableError     exit 4   what it depends on is not there; nobody is restarted, the run can go on later
    ├── StorageError             exit 74  the disk failed or is full
    └── RequestError             —        this one request cannot be served; becomes `Prediction.error`
        └── MediaError           —        because of a picture or video of its own

A `RequestError` never ends a process, and an `EngineError` never becomes a prediction. So a bad sample costs no other.
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_COMPLETE = 0
EXIT_FAILED_SAMPLES = 1
EXIT_USAGE = 2
EXIT_DEPENDENCY = 3
EXIT_INCOMPLETE = 4
EXIT_NO_WORKER = 70
EXIT_DISK = 74
EXIT_SIGINT = 130
EXIT_SIGTERM = 143

SHOWN_NAMES = 40
"""Valid names that a refusal lists where none is near."""


class VlmevalError(Exception):
    """Base of all errors raised on purpose; `str(error)` is complete and needs no traceback beside it."""

    exit_code = EXIT_FAILED_SAMPLES


class ConfigError(VlmevalError):
    """The command, the config file or a data set is wrong; the message names file, row or key and the next step."""

    exit_code = EXIT_USAGE


class DependencyError(VlmevalError):
    """A package, model or device is missing; the message says how to get it."""

    exit_code = EXIT_DEPENDENCY


class EngineError(VlmevalError):
    """The engine cannot serve any further request; the process that owns it must exit."""

    exit_code = EXIT_NO_WORKER


class EngineKilledError(EngineError):
    """A process of the engine was ended by a signal from outside, so what it was asked did not cause it."""


class UnavailableError(EngineError):
    """A service that the engine needs is away, or takes no more requests; a new worker would not help."""

    exit_code = EXIT_INCOMPLETE


class StorageError(VlmevalError):
    """A write that must be durable did not become durable."""

    exit_code = EXIT_DISK


class RequestError(VlmevalError):
    """One request cannot be served (undecodable image, prompt too long); its neighbours are unharmed."""


class MediaError(RequestError):
    """A picture or video of a request cannot be opened; no engine has seen it."""


def refuse_unknown(missing: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `ConfigError` for the first of `given` that is not `known`, naming the nearest that is.

    `missing` begins the message and the name follows it: "model.x: there is no key".
    """
    valid = list(known)
    for name in given:
        if name not in valid:
            shown = ", ".join(valid[:SHOWN_NAMES])
            raise ConfigError(f"{missing} {name!r}; {did_you_mean(name, valid, f'valid ones: {shown}')}")


def did_you_mean(word: str, known: Iterable[str], otherwise: str, *, most: int = 1, least: float = 0.6) -> str:
    """Return `did you mean 'x'?` with the `nearest` of `known`; `otherwise` if none is near."""
    near = nearest(word, known, most=most, least=least)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else otherwise


def nearest(word: str, known: Iterable[str], *, most: int = 1, least: float = 0.6) -> list[str]:
    """Return those of `known` that look like `word`, at most `most` of them, the nearest first.

    `least` is the similarity (0 to 1) that counts as near. Names that differ by case only are the nearest.
    """
    import difflib

    names = list(known)
    same = [name for name in names if name.lower() == word.lower()]
    return same[:most] or difflib.get_close_matches(word, names, n=most, cutoff=least)
