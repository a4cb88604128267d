"""Whatever a stranger may add is one new file and one line in one table, as docs/extending.md says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OUTSIDE = Path(__file__).with_name("outside")
DOC = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


class Outside:
    """A folder of jobs, and the program with one `line` more in the table "module:NAME"."""

    def __init__(self, folder: Path, table: str, line: str) -> None:
        page = DOC.read_text(encoding="utf-8")
        module, _, name = table.partition(":")
        assert line in page, "docs/extending.md shows the line"
        assert f"`{name}` in `{module.replace('.', '/')}.py`" in page, "docs/extending.md says where it belongs"
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "OPENAI_API_KEY")}
        self.env |= {
            "PYTHONPATH": str(OUTSIDE),
            "TABLE": table,
            "LINE": line,
            "HF_HUB_OFFLINE": "1",
            "LMUData": str(folder),
        }
        self.tsv("d")

    def tsv(self, name: str) -> None:
        rows = "".join(f"{n}\twhat is {n}?\t{n + 6}\n" for n in range(4))
        (self.folder / f"{name}.tsv").write_text(f"index\tquestion\tanswer\n{rows}")

    def __call__(self, *words: object, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vlmeval_mp.cli", *map(str, words)],
            env=self.env | env, cwd=self.folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def launch(self, data: dict[str, Any], model: dict[str, Any], *words: object, code: int = 0, **top: Any) -> str:
        config = {"model": {"m": {"engine": "fake", "engine_args": {"answers": "echo"}} | model}, "data": data} | top
        (self.folder / "c.json").write_text(json.dumps(config))
        return self("launch", "c.json", "--run", "r", "--device", "cpu", "--plain", *words, code=code)

    def lines(self, file: str, data: str = "d") -> list[dict[str, Any]]:
        text = (self.folder / "jobs" / "r" / "results" / "m" / data / file).read_text()
        return [json.loads(line) for line in text.splitlines()]

    def summary(self, data: str = "d") -> dict[str, Any]:
        path = self.folder / "jobs" / "r" / "results" / "m" / data / "summary.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found


DATA = {"d": {"path": "d.tsv"}}


def answering(text: str) -> dict[str, Any]:
    return {"engine_args": {"answers": {str(n): text for n in range(4)}}}


def test_a_scorer(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.scoring.families:FAMILIES", '"length": "my_scorer:FAMILY",')
    outside.launch({"d": DATA["d"] | {"scorer": "length"}}, answering("7"))
    assert [line["value"] for line in outside.lines("scores.jsonl")] == [1.0, 1.0, 1.0, 1.0]
    assert outside.summary()["scorers"] == {"length": 4}


def test_a_model_family_s_prompt(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.requests.modelprompts:FAMILIES", '"shouting": "my_prompt:FAMILY",')
    outside.launch(DATA, {"prompt": "shouting"})
    assert outside.lines("predictions.jsonl")[2]["prediction"] == "WHAT IS 2? (d)"


def test_a_benchmark(tmp_path: Path) -> None:
    outside = Outside(
        tmp_path, "vlmeval_mp.datasets.benchmarks:BENCHMARKS", '"Sums": Benchmark("vqa", "exact", "bare", ""),'
    )
    outside.tsv("Sums")
    outside("launch", "--model", "m", "--engine", "fake", "--engine-args", '{"answers":"echo"}', "--data", "Sums",
            "--run", "r", "--device", "cpu", "--plain")  # fmt: skip
    assert outside.lines("predictions.jsonl", "Sums")[2]["prediction"] == "what is 2?"  # bare: no request behind it
    assert outside.summary("Sums")["scorers"] == {"exact": 4}


def test_a_judge_is_asked_once_about_what_rules_cannot_score(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.runs.judges:JUDGES", '"sevens": "my_judge:judge",')
    asked = tmp_path / "asked"
    outside.env |= {"JUDGED": str(asked), "HARD": "1"}
    data = {"d": DATA["d"] | {"scorer": "judge"}}
    said = outside.launch(data, answering("it is 7"), judge="sevens")
    assert "has no effect" not in said
    assert sorted(asked.read_text().split()) == ["0", "1", "2", "3"]
    assert [line["value"] for line in outside.lines("scores.jsonl")] == [1.0, 1.0, 1.0, None]
    assert outside.lines("scores.jsonl")[3]["note"] == "judge sevens: too hard"
    assert outside.summary()["counts"] == outside.summary()["counts"] | {"scored": 3, "unscored": 1}
    # again: only what the judge could not say is asked anew
    outside("eval", "r", HARD="")
    assert sorted(asked.read_text().split()) == ["0", "1", "2", "3", "3"]
    assert [line["value"] for line in outside.lines("scores.jsonl")] == [1.0, 1.0, 1.0, 1.0]


def test_a_verb(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.cli.main:VERBS", '"count": "my_verb",')
    assert "how many runs there are" in outside("--help")
    assert outside("count").strip() == "0"
    outside.launch(DATA, {})
    assert outside("count").strip() == "1"


def test_a_launcher(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.pool.launchers.registry:LAUNCHERS", '"plain": "my_launcher:PlainLauncher",')
    started = tmp_path / "started"
    outside.env["STARTED"] = str(started)
    outside.launch(DATA, {}, "--launcher", "plain", "--max-workers", "1")
    pids = started.read_text().split()
    assert len(pids) == 1
    status = json.loads((tmp_path / "jobs" / "r" / "workers" / "w0.json").read_text())
    assert [str(status["pid"]), status["phase"]] == [pids[0], "stopped"]
    assert len(outside.lines("predictions.jsonl")) == 4


def test_a_report_page(tmp_path: Path) -> None:
    outside = Outside(tmp_path, "vlmeval_mp.report.pages:PAGES", '"who": "my_page:page",')
    outside.launch(DATA, {})
    outside("report", "r")
    page = (tmp_path / "jobs" / "r" / "report" / "index.html").read_text(encoding="utf-8")
    assert "<p>Asked: m</p>" in page
    assert 'id="page-who"' in page


def test_an_engine(tmp_path: Path) -> None:
    line = '"loud": EngineEntry(path="my_engine:LoudEngine", window=8, scripted=True, neutral=frozenset({"mark"})),'
    outside = Outside(tmp_path, "vlmeval_mp.engines.registry:ENGINES", line)
    outside.launch(DATA, {"engine": "loud", "engine_args": {}, "prompt": "bare"})
    assert outside.lines("predictions.jsonl")[2]["prediction"] == "WHAT IS 2?!"
    # its neutral argument is no other configuration, an unknown one is refused by the engine itself
    outside.launch(DATA, {"engine": "loud", "engine_args": {"mark": "?"}, "prompt": "bare"})
    assert "did you mean 'mark'" in outside(
        "launch", "--engine", "loud", "--model", "m", "--data", "d.tsv", "--run", "s", "--plain", "--device", "cpu",
        "--engine-args", '{"marc": "?"}', code=2,
    )  # fmt: skip
