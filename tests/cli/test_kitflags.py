"""VLMEvalKit's flags choose what they choose there, or say what happens instead."""

import msgspec
import pytest

from tests.builders import fake_spec, text_tsv
from vlmeval_mp.cli import evaluate, kitanswers, kitflags
from vlmeval_mp.cli.main import parser
from vlmeval_mp.cli.wanted import LaunchWanted, SpecWanted, TreeWanted
from vlmeval_mp.config import build as config
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.pool.planning import before, scoring
from vlmeval_mp.runs import submit
from vlmeval_mp.scoring.base import EVALUATOR


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


def test_what_the_judge_is_given_is_what_vlmevalkit_gives_it():
    given = spec_wanted(
        "--judge-args", '{"temperature": 0}', "--judge-base-url", "http://h/v1/", "--judge-api-nproc", "3",
        "--judge-retry", "0", "--judge-timeout", "60",
    )  # fmt: skip
    place = "http://h/v1/chat/completions"
    assert given.judge_args == {"temperature": 0, "api_base": place, "nproc": 3, "retry": 0, "timeout": 60}
    assert spec_wanted("--judge-base-url", "http://h/v1/chat/completions").judge_args == {"api_base": place}
    assert spec_wanted().judge_args == {}


def test_an_extra_body_is_an_argument_of_the_api_engine():
    assert spec_wanted("--extra-body", '{"seed": 1}').engine_args == {"extra_body": {"seed": 1}}
    both = spec_wanted("--extra-body", '{"a": 1}', "--engine-args", '{"timeout": 9, "extra_body": {"a": 0, "b": 2}}')
    assert both.engine_args == {"timeout": 9, "extra_body": {"a": 1, "b": 2}}


def test_the_judges_arguments_reach_the_evaluator_and_change_no_answer(tmp_path):
    from vlmeval_mp.runs import results
    from vlmeval_mp.runs.snapshot import read_record

    spec = fake_spec(text_tsv(tmp_path / "d.tsv", 3), config={"judge": "gpt-4o", "judge_args": {"retry": 2}})
    paths, record, _ = submit.submit(spec, JobsPaths(tmp_path / "jobs"))
    assert results.rules_of(read_record(paths).spec, record.jobs[0]).judge_args == {"retry": 2}
    other = fake_spec(tmp_path / "d.tsv", config={"judge_args": {"retry": 9}})
    assert submit.submit(other, JobsPaths(tmp_path / "jobs"))[2] is False


def test_a_key_among_the_judges_arguments_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="judge_args"):
        fake_spec(text_tsv(tmp_path / "d.tsv", 3), config={"judge_args": {"key": "sk-abcdefghijklmnop0123"}})
    with pytest.raises(ConfigError, match="--judge-args"):
        evaluate.run(arguments("--judge-args", '{"key": "sk-abcdefghijklmnop0123"}', verb="eval"))


@pytest.mark.parametrize("flag", kitanswers.ANSWERS)
@pytest.mark.parametrize("value", [[], ["1"]])
def test_a_flag_without_a_meaning_here_is_answered_with_what_to_do(flag, value, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments("--data", "d", flag, *value)
    assert ended.value.code == 2
    assert f"{flag} is not taken here: " in capsys.readouterr().err


def test_missing_files_and_keys_are_said_before_anybody_works(tmp_path):
    rows = "".join(f"{n}\tpics/{n}.png\twhat?\tx\n" for n in range(4))
    (tmp_path / "d.tsv").write_text("index\timage_path\tquestion\tanswer\n" + rows)
    spec = fake_spec(tmp_path / "d.tsv", config={"judge": "gpt-4o"})
    paths, record, _ = submit.submit(spec, JobsPaths(tmp_path / "jobs"))
    missing, judge = before.remarks(paths, record, spec, {})
    assert missing.startswith("d: 4 of 4 images are missing under ")
    assert judge.startswith("judge gpt-4o: is not asked: ")
    theirs = msgspec.structs.replace(spec, datasets=(msgspec.structs.replace(spec.datasets[0], scorer=EVALUATOR),))
    assert "judge gpt-4o: there is no $OPENAI_API_KEY; what it would judge stays open" in before.remarks(
        paths, record, theirs, {}
    )
    assert not [line for line in before.remarks(paths, record, theirs, {"OPENAI_API_KEY": "sk-x"}) if "judge" in line]
    elsewhere = msgspec.structs.replace(theirs, judge_args={"api_base": "http://127.0.0.1:1/v1/chat/completions"})
    assert before.remarks(paths, record, elsewhere, {}) == [missing]  # a server of one's own may want no key
    rules = msgspec.structs.replace(spec, judge="exact_matching")
    assert before.remarks(paths, record, rules, {}) == [missing]


def scored_by_a_judge(tmp_path, judge=""):
    spec = fake_spec(text_tsv(tmp_path / "MMVet.tsv", 2), config={"judge": judge} if judge else None)
    data = (("MMVet", EVALUATOR), ("MMVet_Hard", EVALUATOR), ("LogicVista", EVALUATOR), ("VizWiz", EVALUATOR))
    data += (("captions", "judge"), ("numbers", "mcq"))
    specs = (
        msgspec.structs.replace(spec.datasets[0], name=name, path=str(tmp_path / f"{name}.tsv"), scorer=scorer)
        for name, scorer in data
    )
    return msgspec.structs.replace(spec, datasets=tuple(specs))


@pytest.mark.parametrize(
    ("judge", "named"),
    [("", ["MMVet, MMVet_Hard", "LogicVista", "captions"]), ("exact_matching", ["MMVet, MMVet_Hard", "captions"])],
)
def test_data_sets_that_only_a_judge_scores_are_said_where_none_is_named(tmp_path, judge, named):
    found = scoring.remarks(scored_by_a_judge(tmp_path, judge), {})
    assert [remark.about for remark in found] == named
    always, *rules, ours = found
    assert "give --judge NAME (with $OPENAI_API_KEY, and $OPENAI_API_BASE or --judge-base-url); the" in always.text
    assert all("or --judge exact_matching" in remark.text for remark in rules)
    assert ours.text.startswith("scored by a judge alone, and there is none; ")
    assert scoring.remarks(scored_by_a_judge(tmp_path, judge), {}, scored=False) == []


def test_where_vlmevalkit_cannot_be_started_that_is_a_warning_and_no_end(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMEVALKIT_PYTHON", "/nowhere/python")
    spec = scored_by_a_judge(tmp_path)
    found = scoring.remarks(spec, {})
    assert any("VLMEvalKit scores it, and is not there" in remark.text for remark in found)


def test_a_judge_that_is_named_or_of_our_own_is_enough(tmp_path, monkeypatch):
    found = scoring.remarks(scored_by_a_judge(tmp_path, "gpt-4o"), {"OPENAI_API_KEY": "sk-x"})
    assert [remark.about for remark in found] == ["captions"]
    monkeypatch.setitem(scoring.JUDGES, "sevens", "msgspec:json")
    assert "name one with --judge: sevens" in scoring.remarks(scored_by_a_judge(tmp_path), {})[-1].text
    assert "captions" not in {remark.about for remark in scoring.remarks(scored_by_a_judge(tmp_path, "sevens"), {})}
