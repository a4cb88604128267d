"""VLMEvalKit's flags choose what they choose there, or say what happens instead."""

import pytest

from vlmeval_mp.cli import kitflags
from vlmeval_mp.cli.main import parser
from vlmeval_mp.cli.wanted import LaunchWanted, SpecWanted, TreeWanted
from vlmeval_mp.config import build as config
from vlmeval_mp.core.errors import ConfigError


def spec_wanted(*words):
    return SpecWanted.of(arguments(*words))


def launch_wanted(*words):
    given = arguments(*words)
    return LaunchWanted.of(given, judge=given.judge, tree=TreeWanted.of(given))


def arguments(*words, verb="launch"):
    return parser([verb]).parse_args([verb, *words])


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        ([], None),
        (["--use-vllm"], "vllm"),
        (["--base-url", "http://h/v1"], "openai"),
        (["--base-url", "http://h/v1", "--engine", "openai"], "openai"),
        (["--engine", "fake"], "fake"),
    ],
)
def test_the_engine_follows_from_the_flags(words, engine):
    assert kitflags.engine(spec_wanted(*words)) == engine


def test_two_engines_are_refused():
    with pytest.raises(ConfigError, match="--base-url \\(openai\\) and --use-vllm \\(vllm\\)"):
        kitflags.engine(spec_wanted("--use-vllm", "--base-url", "http://h/v1"))


@pytest.mark.parametrize("flag", ["--key", "--api-key", "--judge-key"])
@pytest.mark.parametrize("verb", ["launch", "submit"])
def test_a_key_on_the_command_line_is_refused_by_the_variable_to_use_and_not_repeated(capsys, flag, verb):
    with pytest.raises(SystemExit) as ended:
        arguments(flag, "sk-abcdefghijklmnop0123", verb=verb)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "OPENAI_API_KEY" in said
    assert "sk-abc" not in said


def test_vlmevalkits_own_word_for_no_key_is_no_key():
    arguments("--base-url", "http://h/v1", "--key", "sk-admin")


def test_flags_for_apis_say_what_holds_on_other_engines_and_nothing_on_their_own():
    given = launch_wanted("--retry", "3", "--api-nproc", "8")
    assert [w.split(":")[0] for w in kitflags.warnings(given, {"openai", "vllm"})] == ["--retry", "--api-nproc"]
    assert kitflags.warnings(given, {"openai"}) == []


def test_a_judge_is_asked_by_vlmevalkits_own_class_alone_and_that_is_said():
    (said,) = kitflags.warnings(launch_wanted("--judge", "gpt-4o-mini"), {"openai"})
    assert said.startswith("--judge gpt-4o-mini: is asked where VLMEvalKit's own class scores; the scorers here go by")
    assert kitflags.warnings(launch_wanted("--judge", "exact_matching"), {"openai"}) == []


@pytest.mark.parametrize(("words", "window"), [([], None), (["--batch-size", "auto"], 0), (["--batch-size", "7"], 7)])
def test_the_batch_size_is_a_number_or_auto(words, window):
    assert arguments(*words).batch_size == window


@pytest.mark.parametrize("words", [["--batch-size", "many"], ["--api-nproc", "0"], ["--retry", "-1"]])
def test_other_sizes_are_refused(words):
    with pytest.raises(SystemExit):
        arguments(*words)


def build(given, **said):
    entries = {"model": {"m": {}}, "data": {"d": {}}}
    return config.build({**entries, **given}, config.Overrides(**said), name="r", default_engine="openai")


def test_a_judge_is_kept_in_the_spec_and_the_flag_wins():
    assert build({}).judge == ""
    assert build({"judge": "gpt-4o-mini"}).judge == "gpt-4o-mini"
    assert build({"judge": "gpt-4o-mini"}, judge="exact_matching").judge == "exact_matching"


def test_the_address_reaches_every_model_and_a_key_in_a_config_stops_before_a_run_exists():
    assert build({}, base_url="http://h/v1").models[0].engine_args == {"base_url": "http://h/v1"}
    assert build({"batch_size": "auto"}).batch_size == 0
    with pytest.raises(ConfigError, match=r"engine_args\.api_key"):
        build({"engine_args": {"api_key": "sk-abcdefghijklmnop"}})
    with pytest.raises(ConfigError, match="no password and no key"):
        build({}, base_url="http://me:secret@h/v1")
