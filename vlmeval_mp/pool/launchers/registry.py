"""Launchers by name. Each is named by a string until it is needed, so that listing them imports nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import ConfigError, DependencyError, did_you_mean

if TYPE_CHECKING:
    from vlmeval_mp.pool.launchers.base import Launcher

LAUNCHERS: dict[str, str] = {
    "local": "vlmeval_mp.pool.launchers.local:LocalLauncher",
}
"""A class with the methods of `base.Launcher` for each name that `--launcher` takes."""
DEFAULT = "local"


def launcher(name: str) -> Launcher:
    """Return a new launcher of the kind called `name`.

    Raises:
        ConfigError: no launcher has that name.
        DependencyError: something that it imports is missing.
    """
    if name not in LAUNCHERS:
        hint = did_you_mean(name, list(LAUNCHERS), f"choose one of {', '.join(LAUNCHERS)}")
        raise ConfigError(f"--launcher: no launcher is called {name!r}; {hint}")
    module, _, attribute = LAUNCHERS[name].partition(":")
    try:
        found: type[Launcher] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise DependencyError(f"launcher {name!r} cannot be imported ({error})") from error
    return found()
