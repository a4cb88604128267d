"""Faults of settings, devices and engines that somebody met; and that every shared folder has its test."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from tests.conftest import shared_case
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Media, MediaLimits, Sample
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.worker import refusals
from vlmeval_mp.requests import media, prompts

TESTS = Path(__file__).resolve().parents[1]
CASES = shared_case("right-today").parent
OF_REAL_VLLM = ("prompt-too-long", "special-tokens-in-question")
"""Folders of `right-today` whose files no test reads: they need a loaded model.

`tests/engines/vllm/test_engine.py` asks it the like: a prompt that is too long, texts that spell its special tokens.
"""


def config(case: str, **sampling: object) -> dict[str, object]:
    found: dict[str, object] = json.loads((shared_case(case) / "config.json").read_text())
    if sampling:
        next(iter(found["model"].values()))["sampling"] = sampling  # type: ignore[attr-defined]
    return found


# --- settings --------------------------------------------------------------------------------------------------


def test_a_temperature_below_zero_is_refused_at_once_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"model\.demo\.sampling.*temperature"):
        build(config("sampling-out-of-range"), Overrides(), name="r", default_engine="vllm")


@pytest.mark.parametrize(
    ("key", "value"),
    [("top_p", 0), ("top_p", 1.5), ("max_tokens", 0), ("stop", [""]), ("top_k", -2), ("repetition_penalty", 0),
     ("presence_penalty", 3), ("temperature", "hot"), ("seed", 2**64), ("temperature", float("nan")),
     ("max_tokens", 1.5), ("stop", "x")],
)  # fmt: skip
def test_other_settings_out_of_their_range_are_refused_by_their_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        build(config("sampling-out-of-range", **{key: value}), Overrides(), name="r", default_engine="vllm")


def test_roles_user_puts_the_system_prompt_at_the_head_of_the_users_turn() -> None:
    """`tests/engines/test_systemturns.py` has the same without being told so."""
    (model,) = build(config("system-role-refused"), Overrides(), name="r", default_engine="vllm").models
    assert (model.roles, model.system_prompt) == ("user", "You are careful.")
    sample = Sample(index="1", row=0, kind="vqa", question="What?")
    (turn,) = prompts.build(sample, system=model.system_prompt, roles=prompts.ONE_TURN)
    assert turn.role == "user"
    assert getattr(turn.parts[0], "text", "").startswith("You are careful.")


# --- devices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "mask", "chosen"),
    [
        ("0,1", "4,5", ["4", "5"]), ("all", "4,5", ["4", "5"]), ("1", "7,3", ["3"]), ("all", "0,1,-1,2", ["0", "1"]),
        ("all", " 4 , 5 ", ["4", "5"]), ("all", "4,9,5", ["4"]), ("all", "3,,5", ["3"]), ("1", "5,GPU-02", ["2"]),
        ("0", "GPU-05aa-h1", ["5"]), ("all", "6", ["6"]), ("1,0", "2,6", ["6", "2"]),
    ],
)  # fmt: skip
def test_indices_count_within_the_outer_mask_of_a_host_of_eight(
    wanted: str, mask: str, chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = importlib.util.spec_from_file_location(
        "pynvml", shared_case("gpus-outside-the-mask") / "stub" / "pynvml.py"
    )
    assert place is not None
    assert place.loader is not None
    stub = importlib.util.module_from_spec(place)
    place.loader.exec_module(stub)
    monkeypatch.setitem(__import__("sys").modules, "pynvml", stub)
    assert gpus.select(wanted, gpus.discover(), {"CUDA_VISIBLE_DEVICES": mask}) == chosen


def test_an_engines_refusal_names_the_picture() -> None:
    path = shared_case("engine-refusal-names-no-file") / "one_row_65000x1.png"
    assert media.open_image(path, MediaLimits()).size == (65000, 1)  # so it is the engine that refuses it
    sample = Sample(index="1", row=0, kind="vqa", media=(Media(kind="image", file=path.name),))
    said = refusals.told("absolute aspect ratio must be smaller than 200, got 65000.0", sample)
    assert said.startswith("image 1 (one_row_65000x1.png): absolute aspect ratio")


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("Unable to infer channel dimension format", True), ("t:1 must be larger than temporal_factor:2", True),
        ("number of patches exceeds 1024", True), ("mean must have 1 elements if it is an iterable, got 3", True),
        ("Input size 1x1 too small", True), ("CUDA out of memory", False), ("the prompt has 9000 tokens", False),
    ],
)  # fmt: skip
def test_other_refusals_name_the_picture_if_they_may_be_about_it(said: str, named: bool) -> None:
    sample = Sample(index="1", row=0, kind="vqa", media=(Media(kind="image", file="x.png"),))
    assert refusals.told(said, sample) == (f"image 1 (x.png): {said}" if named else said)


@pytest.mark.parametrize(
    ("said", "system"),
    [
        ("System role not supported", True), ("Unexpected role: system", True),
        ("First message must be from user", True), ("system_instruction is not supported", True),
        ("Only user and assistant roles are supported!", True), ("out of memory on this system", False),
        ("the system is overloaded", False),
    ],
)  # fmt: skip
def test_other_words_that_refuse_a_system_turn(said: str, system: bool) -> None:
    assert refusals.about_system(said) is system


# --- every folder ----------------------------------------------------------------------------------------------


def test_every_shared_folder_has_a_test_that_reads_it() -> None:
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    named = {name for text in texts for name in re.findall(r"[\"']([\w-]+)[\"']", text)}
    folders = {each.name for each in CASES.iterdir() if each.is_dir()}
    folders |= {each.name for each in (CASES / "right-today").iterdir() if each.is_dir()}
    assert folders - named == set()
