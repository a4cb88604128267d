"""A config file and flags become one frozen spec, or a message that says where and what instead."""

import pytest
from msgspec.structs import fields

from vlmeval_mp.config import build as config
from vlmeval_mp.config.build import Overrides
from vlmeval_mp.config.entries import DATA_KEYS, MODEL_KEYS, Config, DataEntry, ModelEntry
from vlmeval_mp.core.convert import keys
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, MediaLimits, ModelSpec, Sampling

CONFIG = {"model": {"m": {}}, "data": {"d": {}}}


def build(value, **flags):
    return config.build(value, Overrides(**flags), name="run", default_engine="vllm")


def test_the_smallest_config_takes_names_as_paths():
    spec = build(CONFIG)
    assert [(m.name, m.path, m.engine) for m in spec.models] == [("m", "m", "vllm")]
    assert [(d.name, d.path) for d in spec.datasets] == [("d", "d")]
    assert spec.name == "run"


def test_flags_alone_are_a_config():
    spec = config.build(
        {}, Overrides(models=("/models/Qwen2-VL/",), data=("x/MMStar.tsv",)), name=None, default_engine="vllm"
    )
    assert spec.models[0].name == "Qwen2-VL"
    assert spec.datasets[0].name == "MMStar"
    assert spec.name == "Qwen2-VL-MMStar"


def test_a_flag_selects_among_the_entries_of_the_config():
    value = {"model": {"a": {"path": "/a"}, "b": {"path": "/b"}}, "data": {"d": {}}}
    assert [m.path for m in build(value, models=("b",)).models] == ["/b"]


def test_the_fields_of_extra_bodies_add_up_and_leave_out_what_the_run_says():
    value = CONFIG | {"engine_args": {"extra_body": {"a": 1, "b": 1}}}
    (model,) = build(value, engine_args={"extra_body": {"b": 2}}).models
    assert model.engine_args == {"extra_body": {"a": 1, "b": 2}}
    assert value["engine_args"] == {"extra_body": {"a": 1, "b": 1}}
    for field in ("model", "messages", "stream", "n"):
        with pytest.raises(ConfigError, match=f"^engine_args: extra_body cannot have '{field}': "):
            build(CONFIG | {"engine_args": {"extra_body": {field: 1}}})


def test_engine_arguments_and_sampling_are_merged_from_outside_in():
    value = {
        "model": {"m": {"engine_args": {"b": 2}, "sampling": {"max_tokens": 7}}},
        "data": {"d": {}},
        "engine_args": {"a": 1, "b": 1},
        "sampling": {"temperature": 0.5},
    }
    model = build(value, engine_args={"c": 3}).models[0]
    assert model.engine_args == {"a": 1, "b": 2, "c": 3}
    assert (model.sampling.max_tokens, model.sampling.temperature) == (7, 0.5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"modell": {}}, "config: there is no key 'modell'; did you mean 'model'?"),
        ({"model": {}, "data": {"d": {}}}, "there is no model to run"),
        ({"model": {"m": {}}}, "there is no data to run"),
        ({"model": [], "data": {}}, "model: must be an object"),
        ({"model": {"m": 1}, "data": {}}, "model.m: must be an object"),
        ({"model": {"m": {"pth": 1}}, "data": {"d": {}}}, "model.m: there is no key 'pth'; did you mean 'path'?"),
        (
            {**CONFIG, "sampling": {"temprature": 1}},
            "sampling: there is no key 'temprature'; did you mean 'temperature'?",
        ),
        (
            {**CONFIG, "sampling": {"temperature": "hot"}},
            "sampling.temperature: must be a number from 0 to 1000, not 'hot'",
        ),
        ({**CONFIG, "media": {"max_frames": -1}}, "media.max_frames: must be a whole number of at least 0, not -1"),
        ({**CONFIG, "circular": "no"}, "circular: must be true or false, not 'no'"),
        ({**CONFIG, "scoring": "hard"}, "scoring: 'hard' is none of strict, compat, official"),
        ({**CONFIG, "stop_at": 25}, "stop_at: must be a number of percentage points from 0 to 25, not 25"),
        ({**CONFIG, "batch_size": "big"}, "batch_size: must be a whole number of at least 0, or \"auto\", not 'big'"),
        ({"model": {"m": {"model_path": 5}}, "data": {"d": {}}}, "model.m.model_path: must be text, not 5"),
        ({"model": {"m": {"processor": {"d": 1}}}, "data": {}}, "model.m.processor.d: must be an object of argument"),
        ({**CONFIG, "media": {"max_pixel": 1}}, "media: there is no key 'max_pixel'; did you mean 'max_pixels'?"),
        ({"model": {"m": {}}, "data": {"d": {"nframe": 8, "fps": 1}}}, "data.d: nframe and fps exclude each other"),
        ({"model": {"m": {}}, "data": {"d": {"nframe": True}}}, "data.d.nframe: must be a whole number"),
        ({"model": {"m": {}}, "data": {"d": {"type": "quiz"}}}, "data.d.type: 'quiz' is none of mcq, yorn, vqa"),
        ({**CONFIG, "shard_size": 0}, "shard_size: must be a whole number of at least 1, not 0"),
        ({**CONFIG, "limit": -1}, "limit: must be a whole number of at least 0, not -1"),
    ],
)
def test_every_mistake_names_its_key(value, message):
    with pytest.raises(ConfigError) as caught:
        build(value)
    assert message in str(caught.value)


def _sections(key):
    """Return a config for each section, with `key` in it."""
    return {
        Config: {**CONFIG, key: 1},
        ModelEntry: {**CONFIG, "model": {"m": {key: 1}}},
        DataEntry: {**CONFIG, "data": {"d": {key: 1}}},
        Sampling: {**CONFIG, "model": {"m": {"sampling": {key: 1}}}},
        MediaLimits: {**CONFIG, "media": {key: 1}},
    }


@pytest.mark.parametrize("section", _sections(""))
def test_every_section_names_the_valid_key_that_is_nearest_to_an_unknown_one(section):
    for key in keys(section):
        misspelt = key + key[-1]
        with pytest.raises(ConfigError, match=f"there is no key '{misspelt}'; did you mean '{key}'"):
            build(_sections(misspelt)[section])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model": {"m": {}},\n "data": {"d": {},}}', "c.json, line 2, column 1[89]: .* no comma before a closing"),
        ('{"model": {},}', "c.json, line 1, column 1[34]: .* no comma before a closing"),
        ("[1]", "c.json: a config is a JSON object"),
        ("", "c.json, line 1, column 1"),
        ('{"model": {"a": {}, "a": {}}}', "c.json: the key 'a' stands twice"),
    ],
)
def test_a_config_that_is_no_json_says_where(text, message):
    with pytest.raises(ConfigError, match=message):
        config.loads(text, "c.json")


def test_two_data_files_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="both be called 'x'"):
        build({}, models=("m",), data=("a/x.tsv", "b/x.tsv"))


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        ({"temperature": -1}, "temperature"), ({"top_p": 0}, "top_p"), ({"top_p": 1.5}, "top_p"),
        ({"top_k": -2}, "top_k"), ({"max_tokens": 0}, "max_tokens"), ({"stop": [""]}, "stop"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"), ({"temperature": float("inf")}, "temperature"),
    ],
)  # fmt: skip
def test_sampling_that_no_engine_takes_is_refused_by_its_name(sampling, named):
    for given in ({"sampling": sampling, "model": {"m": {}}}, {"model": {"m": {"sampling": sampling}}}):
        with pytest.raises(ConfigError, match=rf"sampling\.{named}: must be "):
            config.build(given | {"data": {"d": {}}}, Overrides(), name="r", default_engine="fake")


def test_a_model_may_name_the_marks_around_its_reasoning():
    spec = build({"model": {"m": {"reasoning": ["<<", ">>"]}, "n": {}}, "data": {"d": {}}})
    assert [model.reasoning for model in spec.models] == [("<<", ">>"), ()]
    for marks in ("<<", ["<<"], ["<<", ">>", "x"], ["<<", ""]):
        with pytest.raises(ConfigError, match=r"model\.m.* must be the marks around its reasoning"):
            build({"model": {"m": {"reasoning": marks}}, "data": {"d": {}}})


def test_every_valid_key_is_a_field_of_what_the_config_becomes_or_another_name_of_one():
    other = {"model_path", "dataset"}
    assert set(MODEL_KEYS) - other == {field.name for field in fields(ModelSpec)} - {"name"}
    assert set(DATA_KEYS) - other == {field.name for field in fields(DataSpec)} - {"name", "layout", "order"}


def test_no_message_shows_a_key():
    with pytest.raises(ConfigError) as caught:
        build({**CONFIG, "judge": ["sk-abcdefghijklmnopqrst"]})
    assert "sk-***" in str(caught.value)


def test_auto_leaves_the_window_to_the_engine_and_a_flag_wins():
    assert build({**CONFIG, "batch_size": "auto"}).batch_size == 0
    assert build({**CONFIG, "batch_size": "auto"}, batch_size=3).batch_size == 3


def test_an_entry_wins_over_what_holds_for_all_and_a_limit_flag_over_both():
    value = {**CONFIG, "limit": 9, "circular": True, "data": {"a": {"limit": 2, "circular": False}, "b": {}}}
    assert [(d.limit, d.circular) for d in build(value).datasets] == [(2, False), (9, True)]
    assert [d.limit for d in build(value, limit=5).datasets] == [5, 5]


def test_the_benchmarks_own_rule_may_be_asked_for():
    assert build({**CONFIG, "scoring": "official"}).scoring == "official"
