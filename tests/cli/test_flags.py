"""The command line's own help and complaints: what a verb is for, and one line with the next step for a mistake."""

import pytest

from tests.builders import text_tsv
from vlmeval_mp.cli.main import VERBS, main, parser
from vlmeval_mp.cli.specs import _once


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "launch --modle x",
            "vlmeval-mp launch: does not know --modle (did you mean --mode or --model?); see vlmeval-mp launch",
        ),
        ("status --wach", "does not know --wach (did you mean --watch?); see vlmeval-mp status --help"),
        (
            "launch --limit x",
            "argument --limit: must be a whole number of at least 1, not 'x'; see vlmeval-mp launch --help",
        ),
        (
            "launch --scoring lax",
            "invalid choice: 'lax' (choose from 'strict', 'compat', 'official'); see vlmeval-mp launch --help",
        ),
        ("lanch", "vlmeval-mp: there is no command 'lanch'; did you mean 'launch'? see vlmeval-mp --help"),
        ("xyz", "vlmeval-mp: there is no command 'xyz'; there are launch, plan, "),
        ("launch --batch-size 0", "argument --batch-size: must be a whole number of at least 1, not '0', or auto; see"),
        ("launch --max-workers 0", "argument --max-workers: must be a whole number of at least 1, not '0'"),
        ("", "vlmeval-mp: the following arguments are required: COMMAND; see vlmeval-mp --help"),
    ],
)
def test_a_mistake_is_one_line_with_the_next_step(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parser(words.split()).parse_args(words.split())
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_s_help_says_what_it_is_for(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for words in ([verb, "--help"], ["--help"]):
        with pytest.raises(SystemExit):
            parser(words).parse_args(words)
    own, listed = capsys.readouterr().out.split("usage: vlmeval-mp [-h]")
    (line,) = [line.strip() for line in listed.splitlines() if line.strip().startswith(f"{verb} ")]
    assert line.removeprefix(verb).strip().lower() in own.lower()


def test_alone_the_command_shows_its_help(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_a_config_that_is_not_there_is_named_with_the_nearest_one(tmp_path, capsys):
    (tmp_path / "demo.json").write_text("{}")
    assert main(["launch", str(tmp_path / "dmo.json")]) == 2
    assert "dmo.json: there is no such config; did you mean 'demo.json'?" in capsys.readouterr().err


def test_the_same_warning_about_many_entries_is_one_line():
    lines = [f"model.m{n}.fps: has no effect" for n in range(24)] + ["model.m0.verbose: has no effect", "model.m0: x"]
    assert _once([*lines, "model.m0: x"]) == [
        "model.m0.fps and 23 more: has no effect",
        "model.m0.verbose: has no effect",
        "model.m0: x",
    ]


@pytest.mark.parametrize(
    ("engine", "args", "said"),
    [
        ("fake", '{"latencyy": 1}', "engine 'fake' has no argument 'latencyy'; did you mean 'latency'?"),
        ("vllm", '{"max_modl_len": 1}', "engine 'vllm' has no argument 'max_modl_len'; did you mean 'max_model_len'?"),
        (
            "fake",
            '{"dtype": "float32"}',
            "has no argument 'dtype', which belongs to vllm and transformers; leave it out",
        ),
        ("openai", '{"timeot": 1}', "engine 'openai' has no argument 'timeot'; did you mean 'timeout'?"),
    ],
)
def test_a_misspelt_argument_of_an_engine_is_refused_before_anything_starts(engine, args, said, tmp_path, capsys):
    tsv = text_tsv(tmp_path / "d.tsv", 3)
    words = ["launch", "--model", "demo", "--data", str(tsv), "--engine", engine, "--engine-args", args]
    assert main([*words, "--jobs", str(tmp_path / "jobs")]) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "jobs").glob("*/run.json"))


def test_a_launch_that_is_refused_leaves_no_run_and_one_that_was_there_stays(tmp_path, capsys):
    tsv = text_tsv(tmp_path / "d.tsv", 3)
    words = ["--model", "f", "--data", str(tsv), "--engine", "fake", "--run", "r", "--jobs", str(tmp_path / "jobs")]
    assert main(["launch", *words, "--launcher", "nowhere"]) == 2
    assert "run r is not kept" in capsys.readouterr().err
    assert not (tmp_path / "jobs" / "r").exists()
    assert main(["submit", *words]) == 0
    assert main(["launch", *words, "--launcher", "nowhere"]) == 2
    assert (tmp_path / "jobs" / "r" / "run.json").exists()
