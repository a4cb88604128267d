"""A config file and flags become one frozen spec, or a message that says where and what instead."""

import pytest

from vlmeval_mp.config import build as config
from vlmeval_mp.config.build import Overrides
from vlmeval_mp.core.errors import ConfigError

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
        ({**CONFIG, "sampling": {"temperature": "hot"}}, "sampling: Expected `float`, got `str`"),
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
        with pytest.raises(ConfigError, match=rf"sampling: .*{named}"):
            config.build(given | {"data": {"d": {}}}, Overrides(), name="r", default_engine="fake")


def test_a_model_may_name_the_marks_around_its_reasoning():
    spec = build({"model": {"m": {"reasoning": ["<<", ">>"]}, "n": {}}, "data": {"d": {}}})
    assert [model.reasoning for model in spec.models] == [("<<", ">>"), ()]
    with pytest.raises(ConfigError, match=r"model\.m\.reasoning: must be the marks"):
        build({"model": {"m": {"reasoning": "<<"}}, "data": {"d": {}}})


def test_the_benchmarks_own_rule_may_be_asked_for():
    assert build({**CONFIG, "scoring": "official"}).scoring == "official"
