"""The command line as a user meets it, on the fake engine: launch, interrupt, resume, look, score again."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.builders import picture_tsv, text_tsv
from tests.faults.chaos import ENV, processes_of, workers_of
from tests.helpers import wait_until
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.runs.snapshot import Reader

MAIN = [sys.executable, "-m", "vlmeval_mp.cli"]


class Place:
    """A jobs folder and a text benchmark in it."""

    def __init__(self, tmp_path, samples=100):
        self.tsv = text_tsv(tmp_path / "numbers.tsv", samples)
        self.jobs = tmp_path / "jobs"
        self.paths = JobsPaths(self.jobs).run("r")

    def command(self, verb, *arguments):
        what = ["--model", "fake", "--engine", "fake", "--data", self.tsv, "--run", "r"] if verb == "launch" else []
        how = ["--device", "cpu", "--plain"] if verb in ("launch", "resume") and "--gpus" not in arguments else []
        if "--gpus" in arguments:
            how = ["--plain"]
        return [*MAIN, verb, *map(str, [*what, *how, *arguments]), "--jobs", str(self.jobs)]

    def run(self, verb, *arguments, code=0):
        done = subprocess.run(self.command(verb, *arguments), env=ENV, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *arguments):
        return subprocess.Popen(
            self.command("launch", *arguments), env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def result(self, name):
        return (self.paths.results("fake", "numbers") / name).read_bytes()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def done_samples(paths):
    return sum(c.done_samples for c in Reader(paths).read().shards.values()) if paths.record.exists() else 0


def workers_seen(paths):
    """Heartbeats of workers that live now."""
    if not paths.record.exists():
        return []
    snapshot = Reader(paths).read()
    return [w for w in snapshot.workers if w.worker in snapshot.live]


def test_a_launch_answers_scores_and_reports(place):
    done = place.run("launch", "--max-workers", "2")
    assert "numbers" in done.stdout
    assert "100" in done.stdout
    summary = json.loads(place.result("summary.json"))
    assert summary["counts"] == {"total": 100, "scored": 100, "unscored": 0, "failed": 0, "truncated": 0, "empty": 0}
    assert len(place.result("predictions.jsonl").splitlines()) == 100


def test_the_same_launch_again_asks_nothing(place, tmp_path):
    log = tmp_path / "generated.log"
    arguments = ["--engine-args", json.dumps({"log": str(log)})]
    place.run("launch", *arguments)
    place.run("launch", *arguments)
    assert len(log.read_text().splitlines()) == 100


def test_failed_samples_end_with_exit_code_1_and_say_which(place):
    place.run("launch", "--engine-args", '{"fail": ["3", "5"]}', code=1)
    lines = [json.loads(line) for line in place.result("predictions.jsonl").splitlines()]
    assert [line["index"] for line in lines if "error" in line] == ["3", "5"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--engine-args", '{"latencyy": 1}'], 2, "did you mean 'latency'?"),
        (["--engine-args", "{"], 2, "not JSON"),
        (["--engine", "vlm"], 2, "no engine is called 'vlm'"),
        (["--data", "no-such.tsv"], 2, "no-such.tsv"),
        (["--limit", "-3"], 2, "limit: must be a whole number"),
        (["--tp", "0"], 2, "--tp: must be a whole number of at least 1"),
        (["--config", "no-such.json"], 2, "no-such.json: there is no such config"),
        (["--engine", "fke"], 2, "no engine is called 'fke'; choose one of vllm, transformers"),
    ],
)
def test_a_users_mistake_is_one_message_and_no_traceback(place, arguments, code, message):
    done = place.run("launch", *arguments, code=code)
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_the_end_says_why_a_sample_failed_and_where_the_others_are_told(place):
    done = place.run("launch", "--engine-args", '{"fail": ["7", "9"]}', code=1)
    told = place.paths.results("fake", "numbers") / "predictions.jsonl"
    assert "warning: fake on numbers: sample 7 failed: scripted to fail: request '7'" in done.stdout
    assert f"(each failed sample says why in {told})" in done.stdout


def test_a_changed_configuration_is_refused_by_name(place):
    place.run("launch")
    done = place.run("launch", "--limit", "5", code=2)
    assert "data.numbers.limit: was 0, is 5" in done.stderr


def test_ctrl_c_once_drains_and_the_same_command_finishes(tmp_path):
    place = Place(tmp_path, samples=600)
    arguments = ["--max-workers", "2", "--batch-size", "4", "--engine-args", '{"latency": 0.05, "child": true}']
    first = place.start(*arguments)
    wait_until(lambda: done_samples(place.paths) > 60)
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 130, out
    assert "Ctrl-C again stops at once" in out
    assert re.search(r"fake on numbers: no score yet, \d+ of 600 samples are answered\n", out)
    assert f"to go on, run the same command again, or: vlmeval-mp resume {place.paths.root}" in out
    assert processes_of(place.paths) == {}
    halfway = done_samples(place.paths)
    assert 60 < halfway < 600
    place.run("launch", *arguments)
    assert done_samples(place.paths) == 600


def test_ctrl_c_twice_stops_even_a_hanging_engine(tmp_path):
    place = Place(tmp_path, samples=64)
    launch = place.start("--engine-args", '{"hang": ["3"], "child": true}')
    wait_until(lambda: done_samples(place.paths) >= 32)
    launch.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert launch.poll() is None
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=30)
    assert launch.returncode == 130
    assert processes_of(place.paths) == {}
    assert Reader(place.paths).read().shards["fake+numbers"].claimed == 0


def test_sigterm_drains_with_its_own_exit_code(tmp_path):
    place = Place(tmp_path, samples=600)
    launch = place.start("--batch-size", "4", "--engine-args", '{"latency": 0.05}')
    wait_until(lambda: done_samples(place.paths) > 0)
    launch.terminate()
    launch.communicate(timeout=60)
    assert launch.returncode == 143


def test_a_resume_with_other_workers_and_batch_size_gives_the_same_bytes(tmp_path):
    calm = Place(tmp_path, samples=400)
    calm.run("launch")
    expected = calm.result("predictions.jsonl"), calm.result("scores.jsonl"), calm.result("summary.json")
    (tmp_path / "other").mkdir()
    place = Place(tmp_path / "other", samples=400)
    launch = place.start("--max-workers", "1", "--batch-size", "4", "--engine-args", '{"latency": 0.05}')
    wait_until(lambda: done_samples(place.paths) > 30)
    launch.kill()
    launch.communicate()
    place.run("resume", "r", "--max-workers", "3", "--batch-size", "50")
    assert (place.result("predictions.jsonl"), place.result("scores.jsonl"), place.result("summary.json")) == expected


def test_a_killed_worker_is_replaced_and_the_launch_goes_on(tmp_path):
    place = Place(tmp_path, samples=400)
    launch = place.start("--max-workers", "2", "--batch-size", "8", "--engine-args", '{"latency": 0.1, "child": true}')
    wait_until(lambda: done_samples(place.paths) > 0)
    os.kill(workers_of(place.paths)[0], signal.SIGKILL)
    out, _ = launch.communicate(timeout=60)
    assert launch.returncode == 0, out
    assert "killed by SIGKILL" in out
    assert processes_of(place.paths) == {}


def test_a_sample_that_kills_its_worker_is_found_and_costs_only_itself(tmp_path):
    place = Place(tmp_path, samples=100)
    place.run("launch", "--max-workers", "2", "--engine-args", '{"die": ["41"], "latency": 0.01}', code=1)
    lines = [json.loads(line) for line in place.result("predictions.jsonl").splitlines()]
    failed = [line for line in lines if "error" in line]
    assert [line["index"] for line in failed] == ["41"]
    assert "ran alone" in failed[0]["error"]
    assert len(lines) == 100


def starts(place):
    """How many worker processes the launch started, as its log tells."""
    return place.paths.log("supervisor").read_text().count(" started for ")


@pytest.mark.parametrize(("killers", "most"), [(["0"], 6), (["3", "17", "31", "38", "39"], 14)])
def test_samples_that_kill_are_found_in_few_restarts(tmp_path, killers, most):
    place = Place(tmp_path, samples=40)
    args = json.dumps({"die": killers, "latency": 0.01})
    place.run("launch", "--max-workers", "1", "--engine-args", args, code=1)
    lines = [json.loads(line) for line in place.result("predictions.jsonl").splitlines()]
    assert [line["index"] for line in lines if "error" in line] == killers
    assert starts(place) - 1 <= most


def test_a_picture_that_kills_whoever_opens_it_is_found_and_its_neighbours_are_answered(tmp_path, monkeypatch):
    """A decoder's crash in a thread of the worker, before any engine has the sample."""
    place = Place(tmp_path)
    picture_tsv(place.tsv, 30)
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes, sys\n"
        "if 'vlmeval_mp.pool.worker' in sys.orig_argv:\n"
        "    from vlmeval_mp.requests import media\n"
        "    real = media.open_draft\n"
        "    media.open_draft = lambda d: ctypes.string_at(0) if d.id == '5' else real(d)\n"
    )
    monkeypatch.setitem(ENV, "PYTHONPATH", str(tmp_path))
    place.run("launch", "--max-workers", "1", "--engine-args", '{"latency": 0.05}', code=1)
    lines = [json.loads(line) for line in place.result("predictions.jsonl").splitlines()]
    assert [line["index"] for line in lines if "error" in line] == ["5"]
    assert starts(place) - 1 <= 6


@pytest.mark.timeout(200)
def test_workers_that_are_killed_from_outside_again_and_again_cost_no_sample(tmp_path):
    """One SIGKILL of a random worker every half a second, among samples that take half a second."""
    place = Place(tmp_path, samples=30)
    launch = place.start("--max-workers", "3", "--batch-size", "2", "--engine-args", '{"latency": 0.5}')
    choose, kills = random.Random(7), 0
    while launch.poll() is None and kills < 16:
        time.sleep(0.5)
        if workers := workers_of(place.paths):
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose.choice(workers), signal.SIGKILL)
                kills += 1
    out, _ = launch.communicate(timeout=120)
    assert launch.returncode == 0, out
    assert kills >= 5
    assert [json.loads(line).get("error") for line in place.result("predictions.jsonl").splitlines()] == [None] * 30


def test_samples_are_not_blamed_for_supervisors_that_were_killed(tmp_path):
    """Slow samples on a node that is preempted again and again."""
    place = Place(tmp_path, samples=3)
    arguments = ["--max-workers", "1", "--batch-size", "1", "--engine-args", '{"latency": 1.5}']
    for _ in range(4):  # a sample is given up after two deaths
        launch = place.start(*arguments)
        wait_until(lambda: any(w.in_flight for w in workers_seen(place.paths)))
        launch.kill()
        launch.communicate()
        wait_until(lambda: processes_of(place.paths) == {})
    place.run("launch", *arguments)
    assert [json.loads(line).get("error") for line in place.result("predictions.jsonl").splitlines()] == [None] * 3


def test_all_that_is_damaged_is_found_and_repaired_in_one_launch(place, tmp_path):
    log = tmp_path / "generated.log"
    arguments = ["--engine-args", json.dumps({"log": str(log)})]
    place.run("launch", *arguments)
    before = place.result("predictions.jsonl")
    torn, *_ = sorted((place.paths.queue / "done").iterdir())
    torn.write_bytes(b"{torn")
    (checkpoint, *_) = sorted(place.paths.checkpoints.rglob("*.jsonl"))
    lines = checkpoint.read_bytes().split(b"\n")
    lost = [n for n, line in enumerate(lines) if b'"prediction":' in line][-2:]
    checkpoint.write_bytes(b"\n".join(b"#" * len(line) if n in lost else line for n, line in enumerate(lines)))
    (place.paths.queue / "done" / "notes.txt").write_text("mine")
    (place.paths.results("fake", "numbers") / "predictions.jsonl").unlink()
    done = place.run("launch", *arguments)
    assert "in queue/dead/" in done.stdout and torn.name in done.stdout and "done/notes.txt" in done.stdout
    assert place.result("predictions.jsonl") == before
    assert len(log.read_text().splitlines()) == 100 + len(lost)


def test_resume_refuses_weights_that_changed_meanwhile(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    place = Place(tmp_path, samples=200)
    arguments = ["--engine-args", '{"latency": 0.2}', "--batch-size", "4", "--max-workers", "1"]
    command = place.command("launch", *arguments)
    command[command.index("--model") + 1] = str(model)
    launch = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(w.answered for w in workers_seen(place.paths)))
    launch.kill()
    launch.communicate()
    (model / "config.json").write_text('{"other": 1}')
    assert "model.model.weights: was" in place.run("resume", "r", code=2).stderr


def test_a_full_disk_ends_with_exit_code_74_and_no_traceback(tmp_path):
    place = Place(tmp_path, samples=2000)
    command = ["prlimit", "--fsize=60000", *place.command("launch", "--max-workers", "1")]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode == 74, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    place.run("launch", "--max-workers", "1")
    assert done_samples(place.paths) == 2000


def test_a_corrected_typo_starts_the_run_that_had_answered_nothing(place):
    place.run("launch", "--engine-args", '{"latencyy": 1}', code=2)
    place.run("launch", "--engine-args", '{"latency": 0}')


def test_a_bare_launch_goes_on_with_other_runs_when_one_cannot_be_worked_on(tmp_path):
    place = Place(tmp_path)
    for run in ("broken", "whole"):
        command = [*MAIN, "submit", "--model", "fake", "--engine", "fake", "--data", str(place.tsv), "--run", run]
        subprocess.run([*command, "--jobs", str(place.jobs)], env=ENV, check=True, capture_output=True)
    (place.jobs / "broken" / "run.json").write_text("{")
    done = subprocess.run(
        [*MAIN, "launch", "--device", "cpu", "--plain", "--jobs", str(place.jobs)], env=ENV, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "broken/run.json cannot be read" in done.stderr
    assert done_samples(JobsPaths(place.jobs).run("whole")) == 100


def test_an_engine_that_never_starts_ends_the_launch_with_exit_code_70(place):
    done = place.run("launch", "--engine-args", '{"raise_engine": 0}', "--max-workers", "1", code=70)
    assert "died 7 times without an answer" in done.stdout


def test_several_models_and_datasets_share_the_workers(tmp_path):
    config = {
        "model": {name: {"engine": "fake", "path": name} for name in ("one", "two", "three")},
        "data": {
            "a": {"path": str(text_tsv(tmp_path / "a.tsv", 50))},
            "b": {"path": str(text_tsv(tmp_path / "b.tsv", 90))},
        },
    }
    path = tmp_path / "many.json"
    path.write_text(json.dumps(config))
    jobs = tmp_path / "jobs"
    command = [*MAIN, "launch", str(path), "--device", "cpu", "--max-workers", "2", "--plain", "--jobs", str(jobs)]
    subprocess.run(command, env=ENV, check=True, timeout=120, capture_output=True)
    summaries = sorted(p.relative_to(jobs / "many" / "results").as_posix() for p in jobs.rglob("summary.json"))
    assert summaries == sorted(f"{m}/{d}/summary.json" for m in ("one", "two", "three") for d in "ab")


def test_gpu_workers_get_their_gpus_through_the_environment(tmp_path):
    """On the fake engine no GPU is needed to see where each worker would run."""
    place = Place(tmp_path, samples=300)
    launch = place.start("--gpus", "0,1,2,3", "--tp", "2", "--engine-args", '{"latency": 0.2}', "--batch-size", "4")
    wait_until(lambda: len(workers_of(place.paths)) == 2)
    seen = set()
    for pid in workers_of(place.paths):
        with open(f"/proc/{pid}/environ", "rb") as file:
            seen |= {v for v in file.read().split(b"\0") if v.startswith(b"CUDA_VISIBLE_DEVICES=")}
    launch.kill()
    launch.communicate()
    assert seen == {b"CUDA_VISIBLE_DEVICES=0,1", b"CUDA_VISIBLE_DEVICES=2,3"}


def test_models_on_one_and_on_two_gpus_share_three_without_meeting(tmp_path):
    models = {"small": {"path": "small"}, "large": {"path": "large", "engine_args": {"tensor_parallel_size": 2}}}
    for name, model in models.items():
        log = str(tmp_path / f"{name}.log")
        model |= {"engine": "fake", "engine_args": {"latency": 0.1, "log": log} | model.get("engine_args", {})}
    config = {"model": models, "data": {"a": {"path": str(text_tsv(tmp_path / "a.tsv", 150))}}}
    path, jobs = tmp_path / "mixed.json", tmp_path / "jobs"
    path.write_text(json.dumps(config))
    flags = ["--gpus", "0,1,2", "--batch-size", "4", "--plain", "--jobs", str(jobs)]
    launch = subprocess.Popen([*MAIN, "launch", str(path), *flags], env=ENV, stdout=subprocess.PIPE, text=True)
    paths, together = JobsPaths(jobs).run("mixed"), set()
    while launch.poll() is None:
        masks = {}
        for pid in workers_of(paths):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                found = [v for v in file.read().split(b"\0") if v.startswith(b"CUDA_VISIBLE_DEVICES=")]
                masks[pid] = found[0].partition(b"=")[2].decode() if found else ""
        held = [gpu for mask in masks.values() for gpu in mask.split(",") if mask]
        assert len(held) == len(set(held)), f"a GPU has two workers: {masks}"
        together.add(frozenset(masks.values()) - {""})
        time.sleep(0.02)
    assert launch.returncode == 0, launch.stdout.read()
    assert frozenset({"0,1", "2"}) in together, together
    assert {name: (tmp_path / f"{name}.log").read_text().count("\n") for name in models} == {"small": 150, "large": 150}


def test_status_and_logs_work_during_and_after_a_run(tmp_path):
    place = Place(tmp_path, samples=600)
    launch = place.start("--max-workers", "2", "--batch-size", "4", "--engine-args", '{"latency": 0.05}')
    wait_until(lambda: done_samples(place.paths) > 0 and len(Reader(place.paths).read().workers) == 2)
    during = json.loads(place.run("status", "r", "--json").stdout)
    assert during["running"]
    assert during["total"] == 600
    assert {w["worker"] for w in during["workers"]} == {"w0", "w1"}
    launch.communicate(timeout=60)
    after = json.loads(place.run("status", "r", "--json").stdout)
    assert (after["running"], after["done"], after["failed"]) == (False, 600, 0)
    assert "numbers" in place.run("status").stdout
    assert "worker w1 for model fake" in place.run("logs", "r", "--worker", "1").stdout
    assert "w0: " in place.run("logs").stdout
    assert "there is no log of worker '9'" in place.run("logs", "r", "--worker", "9", code=2).stderr


def test_a_second_launch_or_eval_of_a_running_run_is_refused(tmp_path):
    place = Place(tmp_path, samples=300)
    launch = place.start("--batch-size", "4", "--engine-args", '{"latency": 0.5}')
    wait_until(lambda: done_samples(place.paths) > 0)
    done = place.run("launch", "--engine-args", '{"latency": 0.5}', code=2)
    assert "is being worked on by another launch (process" in done.stderr
    scored = place.run("eval", "r", code=2)
    assert "is being worked on by another launch (process" in scored.stderr
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=60)


def test_submit_queues_and_a_bare_launch_drains_what_is_queued(tmp_path):
    place = Place(tmp_path)
    command = [*MAIN, "submit", "--model", "fake", "--engine", "fake", "--data", str(place.tsv), "--run", "r"]
    done = subprocess.run([*command, "--jobs", str(place.jobs)], env=ENV, capture_output=True, text=True, check=True)
    assert "queued: r, 100 samples" in done.stdout
    subprocess.run(
        [*MAIN, "launch", "--device", "cpu", "--plain", "--jobs", str(place.jobs)], env=ENV, check=True, timeout=60,
        capture_output=True,
    )  # fmt: skip
    assert done_samples(place.paths) == 100


def test_eval_scores_again_what_is_there(place):
    place.run("launch")
    before = place.result("summary.json")
    (place.paths.results("fake", "numbers") / "summary.json").unlink()
    place.run("eval", "r")
    assert place.result("summary.json") == before


def test_json_mode_prints_one_object_a_line(place):
    done = place.run("launch", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"start", "done"} <= {e["event"] for e in events}
    assert events[-1]["event"] == "results"
    assert events[-1]["exit_code"] == 0


def test_no_parallel_is_one_worker_with_one_sample_in_flight(place, tmp_path):
    log = tmp_path / "generated.log"
    args = json.dumps({"log": str(log), "latency": 0.001})
    place.run("launch", "--no-parallel", "--engine-args", args)
    assert [line.split()[0] for line in log.read_text().splitlines()] == [str(i) for i in range(100)]


def test_a_dry_run_shows_the_plan_and_starts_nothing(place):
    done = place.run("launch", "--dry-run")
    assert "run r: 100 samples" in done.stdout
    assert not place.paths.root.exists()


def test_files_where_a_launch_is_started_do_not_stand_before_libraries(place, tmp_path):
    for name in ("random.py", "vllm/__init__.py", "queue.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    command = [part for word in place.command("launch") for part in (("-P", word) if word == "-m" else (word,))]
    done = subprocess.run(command, cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong module" not in (place.paths.logs / "w0.log").read_text()
