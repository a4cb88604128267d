"""VLMEvalKit's flags on a whole launch: answers without scores, answers shown, keys nowhere."""

import json
import subprocess

import pytest

from tests.e2e.test_launch import Place
from tests.faults.chaos import ENV

ESC = "\x1b[31m[bold]A[/bold]\r\x9b2J\u202e"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_mode_infer_answers_without_scoring_says_so_and_eval_scores(place, tmp_path):
    log = tmp_path / "generated.log"
    arguments = ["--engine-args", json.dumps({"log": str(log), "fail": ["3"]})]
    done = place.run("launch", "--mode", "infer", *arguments, code=1)
    results = place.paths.results("fake", "numbers")
    assert [p.name for p in results.iterdir()] == ["predictions.jsonl"]
    assert "accuracy" not in done.stdout
    assert "answers without scores" in done.stdout
    assert f"vlmeval-mp eval {place.paths.root}" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.split()[:5] == ["numbers", "fake", "100", "99", "1"]]
    place.run("eval", "r")
    assert json.loads(place.result("summary.json"))["counts"]["scored"] == 99
    assert len(log.read_text().splitlines()) == 99


def test_mode_infer_then_the_launch_without_it_scores_and_asks_nothing(place, tmp_path):
    log = tmp_path / "generated.log"
    arguments = ["--engine-args", json.dumps({"log": str(log)})]
    place.run("launch", "--mode", "infer", *arguments)
    before = place.result("predictions.jsonl")
    place.run("launch", *arguments)
    assert json.loads(place.result("summary.json"))["counts"]["scored"] == 100
    assert place.result("predictions.jsonl") == before
    assert len(log.read_text().splitlines()) == 100


def test_mode_infer_as_json_says_that_nothing_is_scored(place):
    done = place.run("launch", "--mode", "infer", "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["scored"], last["exit_code"]) == ("results", False, 0)
    assert last["results"][0]["answered"] == 100


def test_mode_infer_writes_the_table_of_the_output_tree_and_no_scores(place, tmp_path):
    place.run("launch", "--mode", "infer", "--work-dir", tmp_path / "out")
    (run,) = (tmp_path / "out" / "fake").iterdir()
    assert sorted(p.name for p in run.iterdir()) == ["fake_numbers.xlsx", "status.json"]
    status = json.loads((run / "status.json").read_text())
    assert (status["mode"], status["datasets"]["numbers"]["skip_reason"]) == ("infer", "mode_infer")


def test_eval_of_an_unfinished_run_is_incomplete(place):
    command = place.command("launch")
    command[command.index("launch")] = "submit"
    words = [w for w in command if w not in ("--device", "cpu", "--plain")]
    subprocess.run(words, env=ENV, check=True, capture_output=True)
    done = place.run("eval", "r", code=4)
    assert "100 of 100 samples have no answer yet" in done.stderr


def test_verbose_shows_each_answer_as_text_and_only_new_ones(place):
    arguments = ["--verbose", "--engine-args", json.dumps({"answers": {"7": ESC}, "fail": ["3"]})]
    done = place.run("launch", *arguments, code=1)
    shown = [line for line in done.stdout.splitlines() if " fake+numbers " in line]
    assert len(shown) == 100
    (seventh,) = [line for line in shown if " fake+numbers 7: " in line]
    assert seventh.endswith("fake+numbers 7: [31m[bold]A[/bold] 2J")
    assert any("fake+numbers 3: failed: " in line for line in shown)
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.stdout)
    log = place.paths.log("w0").read_text() + "".join(p.read_text() for p in place.paths.logs.glob("w[1-9].log"))
    assert "fake+numbers '7': '\\x1b[31m[bold]A[/bold]\\r\\x9b2J\\u202e'" in log
    assert "\x1b" not in log
    again = place.run("launch", *arguments, code=1)
    assert " fake+numbers 7: " not in again.stdout


def test_verbose_as_json_is_an_event_per_answer(place):
    done = place.run("launch", "--verbose", "--json", "--engine-args", json.dumps({"answers": {"7": ESC}}))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    answers = [e for e in events if e["event"] == "answer"]
    assert len(answers) == 100
    (seventh,) = [e for e in answers if e["index"] == "7"]
    assert (seventh["model"], seventh["dataset"], seventh["prediction"]) == ("fake", "numbers", ESC)


def test_without_verbose_no_log_holds_an_answer(place):
    done = place.run("launch", "--engine-args", json.dumps({"answers": {"7": "a very special answer"}}))
    logs = "".join(p.read_text() for p in place.paths.logs.iterdir())
    assert "a very special answer" not in done.stdout + logs


def test_flags_without_effect_say_what_happens_instead(place):
    done = place.run("launch", "--retry", "3", "--api-nproc", "4", "--reuse", "--keep-failed")
    assert "warning: --retry: is for API models" in done.stderr
    assert "warning: --api-nproc: has no effect on engine fake; say --batch-size" in done.stderr


def test_a_key_is_refused_before_anything_is_kept(place):
    done = place.run("launch", "--engine-args", '{"api_key": "sk-abcdefghijklmnop0123"}', code=2)
    assert "OPENAI_API_KEY" in done.stderr
    assert "sk-abc" not in done.stderr + done.stdout
    assert not place.jobs.exists()


def test_what_auto_chose_is_on_the_screen_and_in_the_log(tmp_path):
    """The engine is one that loads weights; the run ends at its arguments, after the choice was said."""
    place = Place(tmp_path)
    log = tmp_path / "log"
    command = place.command("launch", "--engine-args", '{"batch_size": "many"}', "--log-file", str(log))
    command[command.index("--engine") + 1], command[command.index("--model") + 1] = "transformers", "demo"
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if "demo: window " in line]
    assert "1.5 M parameters (5.9 MB float32) on " in line
    assert line.split(" ", 1)[1] in log.read_text()  # the run itself is not kept: nothing was answered
