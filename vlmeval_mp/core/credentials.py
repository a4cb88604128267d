"""API keys: finds them in values that are about to be kept, refuses or masks them.

A key is read from the environment by the process that uses it, and by nothing else. A config, an engine argument or an
address that holds one is refused before anything is written; what is written for people is masked. Knows no engine.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from vlmeval_mp.core.errors import ConfigError

NAMES = frozenset(
    (
        "key", "api_key", "apikey", "x_api_key", "hf_token", "token", "auth_token", "access_token", "bearer",
        "authorization", "secret", "password",
    )
)  # fmt: skip
"""Names of arguments that hold a key."""
PLACEHOLDERS = frozenset(("", "none", "null", "empty", "sk-admin", "sk-123456"))
"""Words used as a key for a local server that wants none; `sk-admin` and `sk-123456` are VLMEvalKit's own."""
ADVICE = (
    "a key is read from the environment only, so that no run, log or process list ever shows it; put it into "
    "$OPENAI_API_KEY, or into the variable that engine_args.api_key_env names, and leave it out here"
)

_HOLDS_ONE = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$")
_LOOKS_LIKE_ONE = re.compile(r"\b(sk|hf|gsk|AIza)([-_]?)[A-Za-z0-9_-]{16,}")
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s\"']+@")
SHORTEST = 8
"""A shorter value of an environment variable may be any word, and masking it would garble a text."""
CERTAIN = 16
"""So long a value is no word by accident."""


def is_placeholder(value: object) -> bool:
    return not isinstance(value, str) or value.lower() in PLACEHOLDERS


def refuse(where: str, value: object) -> None:
    """Raise `ConfigError` if `value`, an argument or an object of arguments, holds a key at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if str(name).lower().replace("-", "_") in NAMES and not is_placeholder(inner):
                raise ConfigError(f"{where}.{name}: {ADVICE}")
            refuse(f"{where}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse(where, inner)
    elif isinstance(value, str) and "://" in value:
        refuse_address(where, value)


def refuse_address(where: str, url: str) -> None:
    """Raise `ConfigError` if a URL holds a password or a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"{where}: is no address") from None
    named = {name.lower().replace("-", "_") for name, _ in parse_qsl(parts.query)}
    if "@" in parts.netloc or named & NAMES:
        raise ConfigError(f"{where}: the address must hold no password and no key; {ADVICE}")


def refuse_kept(text: str, environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` if `text`, about to be kept, spells out the value of a secret variable anywhere."""
    for name, value in secrets(environ, shortest=CERTAIN):
        if value in text:
            raise ConfigError(f"the configuration holds the value of ${name}, which would be kept in the run; {ADVICE}")


def secrets(environ: Mapping[str, str], shortest: int = SHORTEST) -> list[tuple[str, str]]:
    """Return names and values of the variables that hold keys, the longest first."""
    found = [(n, v) for n, v in environ.items() if len(v) >= shortest and _HOLDS_ONE.search(n.upper())]
    return sorted(found, key=lambda pair: -len(pair[1]))


def guard_logs(environ: Mapping[str, str]) -> None:
    """Mask keys in all log lines and tracebacks of this process from now on: a library may log its own key.

    VLMEvalKit's `OpenAIWrapper` does, at INFO; an HTTP error names the address that it asked, with the key in it.
    """
    hidden, make = secrets(environ), logging.getLogRecordFactory()

    def named(text: str) -> str:
        for name, value in hidden:
            text = text.replace(value, f"${name}")
        return text

    def make_masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            said = record.getMessage()
        except Exception:  # the handlers report a wrong format themselves
            return record
        if named(said) != said:
            record.msg, record.args = named(said), ()
        if record.exc_info:
            record.exc_text = named(logging.Formatter().formatException(record.exc_info))  # formatters keep to it
        return record

    if hidden:
        logging.setLogRecordFactory(make_masked)


def masked(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` without what is, or looks like, a key: for what is kept for people to read."""
    for name, value in secrets(environ):
        text = text.replace(value, f"${name}")
    return _IN_ADDRESS.sub("***@", _LOOKS_LIKE_ONE.sub(r"\1\2***", text))
