"""A VLMEvalKit entry of an API model becomes the openai engine: its address, its key's variable, its sampling."""

import pytest

from vlmeval_mp.config import apis, build, vlmevalkit
from vlmeval_mp.config.apis import api_base
from vlmeval_mp.config.build import Overrides
from vlmeval_mp.core.errors import ConfigError


def model_of(entry, name="m", environ=None, **top):
    value = {"model": {name: entry}, "data": {"d": {}}, **top}
    ours, warnings = vlmevalkit.translate(value, default_engine="vllm", environ=environ)
    return build.build(ours, Overrides(), name="run", default_engine="vllm").models[0], warnings


def test_gpt4v_is_the_openai_engine_with_what_its_entry_says():
    entry = {
        "class": "GPT4V", "model": "gpt-4o", "temperature": 0, "img_detail": "high", "retry": 10, "verbose": False,
    }  # fmt: skip
    model, warnings = model_of(entry)
    assert (model.engine, model.path) == ("openai", "gpt-4o")
    assert model.engine_args == {
        "base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY", "timeout": 300, "max_retries": 10,
        "image_detail": "high",
    }  # fmt: skip
    assert (model.sampling.temperature, model.sampling.max_tokens) == (0, 2048)
    assert warnings == []


def test_lmdeployapi_asks_the_address_of_its_entry():
    entry = {
        "class": "LMDeployAPI", "model": "Qwen3.5", "api_base": "http://0.0.0.0:8000/v1/chat/completions",
        "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 99,
        "timeout": 1800, "key": "sk-123456", "local_media": True,
    }  # fmt: skip
    model, _ = model_of(entry)
    assert model.engine_args == {
        "base_url": "http://0.0.0.0:8000/v1", "api_key_env": "LMDEPLOY_API_KEY", "timeout": 1800, "media": "file",
        "extra_body": {"min_p": 0.0},
    }  # fmt: skip
    drawn = model.sampling
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.max_tokens) == (0.6, 0.95, 20, 99)


@pytest.mark.parametrize(("class_", "variable"), [("GPT4V", "OPENAI_API_BASE"), ("LMDeployAPI", "LMDEPLOY_API_BASE")])
def test_an_address_may_be_in_the_environment_and_the_entrys_wins(class_, variable):
    environ = {variable: "http://there/v1/chat/completions"}
    entry = {"class": class_, "model": "m"}
    assert model_of(entry, environ=environ)[0].engine_args["base_url"] == "http://there/v1"
    here = entry | {"api_base": "http://here/v1"}
    assert model_of(here, environ=environ)[0].engine_args["base_url"] == "http://here/v1"


def test_a_shortcut_is_the_registrys_model_and_kwargs_win_over_it():
    model, _ = model_of({}, "GPT4o")
    assert (model.path, model.engine_args["image_side"], model.engine_args["image_detail"]) == (
        "gpt-4o-2024-05-13", 512, "low",
    )  # fmt: skip
    assert model_of({"img_size": -1}, "GPT4o")[0].engine_args.get("image_side") is None
    ours, _ = vlmevalkit.translate({}, default_engine="vllm", models=["GPT4o_MINI"])
    assert ours["model"]["GPT4o_MINI"]["path"] == "gpt-4o-mini-2024-07-18"


def test_every_class_and_shortcut_translates():
    for name in apis.API_MODELS:
        assert model_of({}, name)[0].engine == "openai"
    for class_ in apis.APIS:
        assert model_of({"class": class_, "model": "m", "api_base": "http://h/v1"})[0].engine == "openai"


def test_own_keys_win_and_the_configs_engine_does_not():
    entry = {"class": "GPT4V", "model": "m", "engine_args": {"wait": 5, "timeout": 1}, "sampling": {"max_tokens": 7}}
    model, _ = model_of(entry, engine="vllm")
    assert model.engine == "openai"
    assert (model.engine_args["wait"], model.engine_args["timeout"], model.sampling.max_tokens) == (5, 1, 7)


def test_the_fake_engine_stands_in_for_an_api():
    model, _ = model_of({"class": "GPT4V", "model": "m"}, engine="fake")
    assert (model.engine, model.engine_args) == ("fake", {})


def test_another_engine_by_flag_is_refused():
    with pytest.raises(ConfigError, match="over an API; --engine vllm"):
        vlmevalkit.translate({"model": {"GPT4o": {}}}, default_engine="vllm", engine="vllm")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"class": "GPT4V", "model": "m", "key": "sk-abcdefghijklmnopqrst"}, "OPENAI_API_KEY"),
        ({"class": "GPT4V", "model": "m", "api_base": "http://me:pw@h/v1"}, "no password"),
        ({"class": "GPT4V", "model": "m", "use_azure": True}, "Azure"),
        ({"class": "GPT4V"}, "model.m.model: is missing"),
        ({"class": "LMDeployAPI", "model": "m"}, r"\$LMDEPLOY_API_BASE"),
        ({"class": "GPT4V", "model": "m", "img_detai": "low"}, "did you mean 'img_detail'"),
        ({"class": "GPT4W", "model": "m"}, "did you mean 'GPT4V'"),
        ({"class": "GPT4V", "model": ["m"]}, r"model\.m\.model: must be text, not \['m'\]"),
        ({"class": "GPT4V", "model": "m", "extra_body": "x", "min_p": 0.1}, r"model\.m\.extra_body: must be an object"),
    ],
)
def test_a_mistake_names_what_to_do(entry, message):
    with pytest.raises(ConfigError, match=message) as caught:
        model_of(entry)
    assert "sk-abc" not in str(caught.value)


def test_what_has_no_effect_is_said():
    entry = {"class": "GPT4V", "model": "m", "wait": 5, "custom_prompt": "internvl3", "total_img_size": -1}
    assert [w.split(":")[0] for w in model_of(entry)[1]] == ["model.m.wait", "model.m.custom_prompt"]


@pytest.mark.parametrize(
    "given", ["http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/chat/completions", "http://h:1/v1/chat/completions/"]
)
def test_the_address_of_the_chat_completions_is_taken_too(given):
    assert api_base(given) == "http://h:1/v1"
