"""A run against an OpenAI-compatible endpoint: scripted for what is rare, a real `vllm serve` for what is true."""

import json
import re
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.e2e.test_launch import Place, done_samples
from tests.endpoint import endpoint
from tests.faults.chaos import ENV, answered_ids, processes_of
from tests.helpers import free_port, wait_until
from tests.served import kill, serves, vllm_serve
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.runs.queue import Queue

KEY = "sk-test-0123456789abcdef"
MAIN = [sys.executable, "-m", "vlmeval_mp.cli"]


class ApiPlace(Place):
    """A text benchmark that is asked of an endpoint."""

    def command(self, verb, *arguments):
        return [
            *MAIN, verb, *map(str, arguments), *(["--model", "m", "--data", str(self.tsv)] if verb == "launch" else []),
            "--run", "r", "--plain", "--jobs", str(self.jobs),
        ]  # fmt: skip

    def lines(self):
        path = self.paths.results("m", "numbers") / "predictions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path):
    return ApiPlace(tmp_path)


def launch(place, *arguments, code=0, **env):
    command = place.command("launch", *arguments)
    done = subprocess.run(command, env=ENV | env, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_base_url_is_all_that_an_endpoint_needs(place):
    with endpoint() as server:
        launch(place, "--base-url", f"{server.url}/chat/completions")
        assert len(server.bodies) == 100
    assert {line["prediction"] for line in place.lines()} == {"seven"}
    assert [p.name for p in place.paths.logs.glob("w*.log")] == ["w0.log"]


def test_an_extra_body_is_in_every_request_and_says_nothing_that_the_run_says(place):
    with endpoint() as server:
        body = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 5}
        launch(place, "--base-url", server.url, "--limit", "3", "--extra-body", json.dumps(body))
        assert [{key: sent.get(key) for key in body} for sent in server.bodies] == [body] * 3
        asked = launch(place, "--base-url", server.url, "--extra-body", '{"model": "other"}', code=2)
        assert "extra_body cannot have 'model': name the model with --model" in asked.stderr
        assert len(server.bodies) == 3


def test_a_vlmevalkit_config_of_an_api_model_runs_as_it_is(place, tmp_path):
    with endpoint() as server:
        entry = {
            "class": "LMDeployAPI", "model": "served", "api_base": f"{server.url}/chat/completions", "key": "sk-123456",
            "temperature": 0.6, "max_tokens": 99, "retry": 2, "verbose": False,
        }  # fmt: skip
        config = {"model": {"mine": entry}, "data": {"numbers": {"path": str(place.tsv)}}}
        (tmp_path / "r.json").write_text(json.dumps(config))
        command = [*MAIN, "launch", "--config", str(tmp_path / "r.json"), "--plain", "--jobs", str(place.jobs)]
        done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        sent = {(body["model"], body["temperature"], body["max_tokens"]) for body in server.bodies}
        assert (sent, len(server.bodies)) == ({("served", 0.6, 99)}, 100)


def test_the_key_is_sent_and_shown_nowhere(place):
    with endpoint() as server:
        server.script = [200] * 20 + [400, 500, 500, 429]
        done = launch(place, "--base-url", server.url, "--retry", "1", code=1, OPENAI_API_KEY=KEY)
        assert server.keys == {f"Bearer {KEY}"}
    assert any("***" in line.get("error", "") for line in place.lines())
    kept = {path: path.read_text(errors="replace") for path in place.jobs.rglob("*") if path.is_file()}
    assert {"run.json", "w0.log", "predictions.jsonl", "supervisor.log"} <= {path.name for path in kept}
    assert [str(path) for path, text in kept.items() if KEY in text] == []
    assert KEY not in done.stdout + done.stderr


def test_a_key_inside_another_argument_is_refused_before_a_run_exists(place):
    args = json.dumps({"extra_body": {"user": KEY}})
    done = launch(place, "--base-url", "http://127.0.0.1:9/v1", "--engine-args", args, code=2, OPENAI_API_KEY=KEY)
    assert "holds the value of $OPENAI_API_KEY" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert not place.paths.root.exists()


def test_a_key_that_is_refused_ends_the_launch_at_once_without_showing_it(place):
    with endpoint() as server:
        server.script = [401] * 400
        done = launch(place, "--base-url", server.url, code=2, OPENAI_API_KEY=KEY)
        assert not place.paths.root.exists() and "nothing was answered" in done.stderr
        new = ("--model", "m", "--data", place.tsv, "--base-url", server.url)
        submitted = place.command("submit", *new)
        submitted.remove("--plain")
        subprocess.run(submitted, env=ENV, check=True, capture_output=True)
        again = launch(place, "--base-url", server.url, code=2, OPENAI_API_KEY=KEY)  # a run that was there is kept
    assert "refuses the key in $OPENAI_API_KEY" in done.stdout
    assert KEY not in done.stdout + done.stderr + again.stdout + again.stderr + place.paths.log("w0").read_text()


@pytest.mark.parametrize(("arguments", "most"), [(["--api-nproc", "3"], 3), (["--batch-size", "5"], 5)])
def test_as_many_requests_are_in_flight_as_was_said(place, arguments, most):
    with endpoint(seconds=0.05) as server:
        launch(place, "--base-url", server.url, *arguments)
        assert server.most == most


def test_requests_are_tried_again_as_often_as_was_said(place):
    with endpoint() as server:
        server.script = [500] * 3
        launch(place, "--base-url", server.url, "--retry", "0", "--api-nproc", "1", code=1)
        assert len(server.bodies) == 100
    assert ["error" in line for line in place.lines()].count(True) == 3


def worker_of(place):
    command = [*MAIN, "status", "r", "--json", "--jobs", str(place.jobs)]
    status = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True)
    return json.loads(status.stdout)["workers"][0]


def test_an_endpoint_that_is_back_in_time_is_waited_for(place):
    with endpoint(seconds=0.05) as server:
        port = server.server_port
        command = place.command("launch", "--base-url", server.url, "--api-nproc", "2")
        running = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, text=True)
        wait_until(lambda: len(server.bodies) > 20)
    wait_until(lambda: worker_of(place)["notice"])
    assert running.poll() is None
    waits = worker_of(place)
    assert waits["notice"]["since"] <= time.time() - 3
    said = rf"http://127.0.0.1:{port}/v1 cannot be reached for \d+ s \(Connection refused\); waiting up to 300 s"
    row = rf"waiting \d+ of 300 s: http://127.0.0.1:{port}/v1 cannot be reached \(Connection refused\)"
    assert re.fullmatch(row, waits["message"])
    with endpoint(port=port):
        out, _ = running.communicate(timeout=60)
        assert running.returncode == 0, out
    assert len(re.findall(f"warning: w0: {said}", out)) == 1
    assert len(re.findall(rf"w0: http://127.0.0.1:{port}/v1 is back after \d+ s", out)) == 1
    assert not any("error" in line for line in place.lines())
    assert set(Counter(answered_ids(place.paths)).values()) == {1}


def test_an_address_where_nothing_answers_ends_the_launch_soon_with_one_worker_and_blames_nothing(place):
    url = f"http://127.0.0.1:{free_port()}/v1"
    done = launch(place, "--base-url", url, "--engine-args", '{"start_wait": 5}', code=4)
    assert f"{url} cannot be reached for" in done.stdout
    assert done.stdout.count("started for") == 1
    assert f"nothing has answered at {url}" in done.stderr
    assert f"go on with: vlmeval-mp resume {place.paths.root}" in done.stderr
    assert [e.deaths for e in Queue(place.paths.queue).entries("pending")] == [0, 0, 0, 0]
    with endpoint() as server:  # the right address, under the same name
        launch(place, "--base-url", server.url)


def test_an_endpoint_that_stays_away_ends_the_launch_resumably(place):
    args = ["--api-nproc", "2", "--engine-args", '{"wait": 0.2}']
    with endpoint(seconds=0.05) as server:
        port = server.server_port
        running = subprocess.Popen(
            place.command("launch", "--base-url", server.url, *args), env=ENV, stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: done_samples(place.paths) >= 32)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 4, out
    assert out.count("started for") == 1
    assert [e.deaths for e in Queue(place.paths.queue).entries("pending") if e.deaths] == []
    assert "was away too long" in out
    before = set(answered_ids(place.paths))
    with endpoint(port=port) as server:
        resume = [*MAIN, "resume", str(place.paths.root), "--plain"]
        assert subprocess.run(resume, env=ENV, capture_output=True, timeout=60).returncode == 0
        asked = {body["messages"][0]["content"][0]["text"].split()[2] for body in server.bodies}
    assert not before & asked
    assert set(Counter(answered_ids(place.paths)).values()) == {1}
    assert len(place.lines()) == 100


# --- a real server ---------------------------------------------------------------------------------------------------


def run_command(jobs, *arguments):
    what = ["--model", "demo", "--data", "DigitsVQA", "--run", "r", "--plain", "--jobs", str(jobs)]
    return [*MAIN, "launch", *what, *arguments]


def texts(jobs):
    path = JobsPaths(jobs).run("r").results("demo", "DigitsVQA") / "predictions.jsonl"
    return {(line := json.loads(text))["index"]: line.get("prediction", line) for text in path.read_text().splitlines()}


@pytest.mark.soak
@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_vllm_serve_answers_as_the_vllm_engine_and_may_be_killed_on_the_way(tmp_path):
    port, log = free_port(), tmp_path / "serve.log"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    config = tmp_path / "r.json"
    config.write_text(json.dumps({"sampling": {"max_tokens": 64}}))
    arguments = ["--config", str(config), "--base-url", f"http://127.0.0.1:{port}/v1", "--api-nproc", "4"]
    with vllm_serve(port, log) as server:
        local = ["--config", str(config), "--engine", "vllm", "--device", "cpu", "--max-workers", "1"]
        done = subprocess.run(run_command(ours, *local), env=ENV, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: serves(port), 400)
        running = subprocess.Popen(run_command(theirs, *arguments), env=ENV, stdout=subprocess.PIPE, text=True)
        paths = JobsPaths(theirs).run("r")
        wait_until(lambda: done_samples(paths) >= 100, 60)
        kill(server)
    answered = set(answered_ids(paths))
    assert 100 <= len(answered) < 480
    assert running.poll() is None
    with vllm_serve(port, log):
        out, _ = running.communicate(timeout=400)
    assert running.returncode == 0, out + log.read_text()[-2000:]
    assert texts(theirs) == texts(ours)
    assert len(texts(ours)) == 480
    assert len(set(texts(ours).values())) >= 10
    assert set(Counter(answered_ids(paths)).values()) == {1}
    assert log.read_text().count('"POST /v1/chat/completions HTTP/1.1" 200') < 480 + 16
    assert processes_of(paths) == {}
