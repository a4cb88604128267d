"""`scripts/bench-gpu` compares like with like: every side asks the same words, and what differs gets no ratio."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("bench_gpu")


def side(name: str, rate: float, *, steady: float | None = None, without: str = "", **changes: Any) -> dict[str, Any]:
    """A line of results.jsonl."""
    line = {
        "model": "2b", "side": name, "samples_per_s": rate, "steady_samples_per_s": steady, "prompt_tokens": 1000,
        "engine_args": {"max_num_seqs": 256}, "failed": 0,
    }  # fmt: skip
    return {key: value for key, value in (line | changes).items() if key != without}


@pytest.mark.slow
def test_a_launch_asks_what_the_other_sides_ask(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MAX_TOKENS", 64)  # the fake engine's tokens are letters
    options = argparse.Namespace(work=tmp_path, repeat=1, questions=2)
    table = bench.pictures_of(options, "demo")
    assert bench.made.pictures(bench.made.SIZES["demo"], 1, [], table, questions=2) == 400
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:13]))
    config = bench.config("echo", tmp_path, "fake", {"answers": "echo"}, table)
    (tmp_path / "c.json").write_text(json.dumps(config))
    run = bench.run_name(options, "demo")
    command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", "c.json", "--jobs", "jobs", "--run", run,
               "--device", "cpu", "--plain", "--mode", "infer"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for path in tmp_path.glob(f"jobs/{run}/checkpoints/*/*.jsonl") for line in path.open()]
    answers = {answer["index"]: answer["prediction"] for answer in map(json.loads, lines)}
    others = [bench.messages(item)[0]["content"] for item in bench.conversations(table)]
    assert [answers[str(number)] for number in range(12)] == [parts[-1]["text"] for parts in others]
    assert {tuple(part["type"] for part in parts) for parts in others} == {("image_pil", "text")}
    found = bench.measured_launch(options, "demo", [])
    tokens = sum(json.loads(line)["prompt_tokens"] for line in lines)
    assert tokens > 0
    assert (found["samples"], found["failed"], found["prompt_tokens"]) == (12, 0, tokens)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, {}, {"ceiling": 0.95, "chat": 1.583, "chat, steady": 1.5}),
        ({"prompt_tokens": 1051}, {}, "prompt_tokens 1000 there, 1051 in ours; measure both again, alike"),
        ({}, {"without": "prompt_tokens"}, "prompt_tokens None there, 1000 in ours; measure both again, alike"),
        ({"engine_args": {}}, {}, "engine_args {'max_num_seqs': 256} there, {} in ours; measure both again, alike"),
        ({"failed": 2, "prompt_tokens": 990}, {}, "2 samples of ours failed"),
    ],
)
def test_sides_that_did_not_do_the_same_work_are_not_compared(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], ours: Any, theirs: Any, expected: Any
) -> None:
    results = [
        side("ours", 1.0, prompt_tokens=7),  # only the last counts
        side("ceiling", 100.0, **theirs),
        side("chat", 60.0, steady=70.0, **theirs),
        side("ours", 95.0, steady=105.0, **ours),
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(result) + "\n" for result in results))
    bench.report(argparse.Namespace(work=tmp_path))
    told = expected if isinstance(expected, dict) else dict.fromkeys(("ceiling", "chat"), f"no ratio: {expected}")
    assert json.loads(capsys.readouterr().out) == {"model": "2b", "report": "ours against", **told}
