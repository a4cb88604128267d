"""Each engine has one entry, and what the entry says is true of the engine."""

import dataclasses
import importlib
import sys
import types

import msgspec
import pytest

from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.engines import argnames, registry
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.vlmevalkit import package

LIGHT = ["fake", "openai", "vlmevalkit"]
WITHOUT_VLLM = [*LIGHT, pytest.param("transformers", marks=pytest.mark.slow)]  # it imports torch
CASES = [*WITHOUT_VLLM, pytest.param("vllm", marks=pytest.mark.vllm)]


def refusal(name: str, argument: str) -> str:
    """What the engine says to `argument` with a value of a wrong type."""
    with pytest.raises(Exception) as caught:
        registry.engine_class(name)(EngineSpec(model="no-such-model", args={argument: object()}))
        raise ConfigError("")
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_every_neutral_argument_is_an_argument_of_its_engine(name):
    assert "there is no argument" in refusal(name, "no_such_argument")
    for argument in registry.entry(name).neutral:
        assert "there is no argument" not in refusal(name, argument), argument


def test_every_engine_is_among_those_tried():
    assert {"transformers", "vllm", *LIGHT} == registry.ENGINES.keys()


def test_the_share_of_a_gpu_is_a_neutral_argument():
    for known in registry.ENGINES.values():
        assert not known.share or known.share in known.neutral


def test_the_versions_of_vlmevalkit_under_all_its_names_are_in_the_fingerprint():
    assert set(package.DISTRIBUTIONS) < set(registry.entry("vlmevalkit").packages)


def test_an_entry_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.ENGINES["fake"].window = 1


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"^model\.m: no engine is called 'sglang'; choose one of vllm, transformers"):
        registry.entry("sglang", "model.m")


def test_an_engine_that_does_not_import_names_its_install_line(monkeypatch):
    broken = registry.EngineEntry(path="vlmeval_mp.engines.nowhere:Engine", window=1, install="pip install nowhere")
    monkeypatch.setitem(registry.ENGINES, "broken", broken)
    with pytest.raises(DependencyError, match=r"engine 'broken' cannot be imported .*install it with: pip inst"):
        registry.engine_class("broken")


def test_one_line_in_the_table_adds_an_engine_from_outside(monkeypatch):
    class Outside:
        pass

    monkeypatch.setitem(sys.modules, "outside", types.SimpleNamespace(Outside=Outside))
    monkeypatch.setitem(registry.ENGINES, "outside", registry.EngineEntry(path="outside:Outside", window=7, sized=True))
    assert registry.engine_class("outside") is Outside
    assert "outside" in registry.sized()


@pytest.mark.parametrize("name", registry.ENGINES)
def test_the_names_of_an_engines_arguments_are_known_without_importing_it(name: str) -> None:
    assert argnames.names(registry.ENGINES[name].arguments)


@pytest.mark.parametrize("name", WITHOUT_VLLM)
def test_those_names_are_the_ones_that_the_engine_takes(name: str) -> None:
    module, _, class_ = registry.ENGINES[name].arguments.partition(":")
    taken = getattr(importlib.import_module(module), class_)
    assert [*argnames.names(registry.ENGINES[name].arguments)] == [f.encode_name for f in msgspec.structs.fields(taken)]
