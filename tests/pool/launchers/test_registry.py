"""Launchers are named by strings, and a name that nobody has is answered with those that there are."""

import pytest

from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.pool.launchers import registry
from vlmeval_mp.pool.launchers.local import LocalLauncher


def test_a_launcher_is_made_by_its_name():
    assert isinstance(registry.launcher("local"), LocalLauncher)


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"--launcher: no launcher is called 'lokal'; did you mean 'local'\?"):
        registry.launcher("lokal")


def test_a_launcher_that_needs_something_is_reported_with_what_is_missing(monkeypatch):
    monkeypatch.setitem(registry.LAUNCHERS, "grid", "no_such_grid.launcher:Launcher")
    with pytest.raises(DependencyError, match=r"launcher 'grid' cannot be imported .*no_such_grid"):
        registry.launcher("grid")
