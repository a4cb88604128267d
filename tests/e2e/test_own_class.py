"""A model class of the user's own through the command line, in real worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders import text_tsv

ROOT = Path(__file__).resolve().parents[2]

AGENT = """
class VideoAgent:
    def __init__(self, letter="A", trouble=""):
        self.letter = letter
        self.trouble = trouble

    def generate(self, message, dataset=None):
        if self.trouble and self.trouble in message[-1]["value"]:
            raise ValueError("the tool gave nothing")
        return f"{self.letter}"
"""


LOOKER = """
from PIL import Image

class Looker:
    VIDEO_LLM = True

    def __init__(self):
        self.nframe = 4

    def generate(self, message, dataset):
        said = [dataset, str(self.nframe)]
        for part in message[:-1]:
            path = part["value"]
            seen = Image.open(path).mode if part["type"] == "image" else open(path, "rb").read()[4:8].decode()
            said.append(f"{part['type']} {seen}")
        return ", ".join(said)
"""


class Place:
    """A user's folder: a package with a class, a benchmark, a jobs folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tsv = text_tsv(folder / "numbers.tsv", 10)
        (folder / "my_models").mkdir()
        (folder / "my_models" / "video_agent.py").write_text(AGENT)

    def launch(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", *arguments, "--device", "cpu", "--plain"]
        done = subprocess.run(
            [*command, "--max-workers", "1"],
            cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def predictions(self, run: str, model: str) -> list[dict[str, Any]]:
        path = self.folder / "jobs" / run / "results" / model / "numbers" / "predictions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


NAMED = ("--model", "my_models.video_agent:VideoAgent", "--engine", "vlmevalkit", "--data", "numbers.tsv", "--run", "r")


def test_a_class_named_on_the_command_line_answers_a_data_set(place: Place) -> None:
    place.launch(*NAMED)
    predictions = place.predictions("r", "VideoAgent")
    assert [p["prediction"] for p in predictions] == ["A"] * 10
    log = (place.folder / "jobs" / "r" / "logs" / "w0.log").read_text()
    assert "VideoAgent: generate is called sample by sample, as the class has no generate_batch" in log


def test_a_sample_that_the_class_cannot_answer_is_an_error_in_the_results_and_exit_code_1(place: Place) -> None:
    arguments = json.dumps({"kwargs": {"trouble": "Is 3 even"}})
    place.launch(*NAMED, "--engine-args", arguments, code=1)
    log = (place.folder / "jobs" / "r" / "logs" / "w0.log").read_text()
    assert 'raise ValueError("the tool gave nothing")' in log, "the log shows where"
    failed = [p for p in place.predictions("r", "VideoAgent") if p.get("error")]
    assert [(p["index"], p["error"]) for p in failed] == [("3", "ValueError: the tool gave nothing")]


def test_a_config_beside_the_module_is_enough_and_its_kwargs_reach_the_constructor(place: Place) -> None:
    entry = {"class": "my_models.video_agent:VideoAgent", "letter": "B"}
    config = {"model": {"agent": entry}, "data": {"numbers": {"path": str(place.tsv)}}, "engine": "vlmevalkit"}
    (place.folder / "mine.json").write_text(json.dumps(config))
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    config_file, place.folder = str(place.folder / "mine.json"), elsewhere
    place.launch("--config", config_file)
    assert [p["prediction"] for p in place.predictions("mine", "agent")] == ["B"] * 10


def test_a_changed_class_is_another_run_and_a_misspelt_argument_is_refused(place: Place) -> None:
    place.launch(*NAMED)
    source = place.folder / "my_models" / "video_agent.py"
    source.write_text(AGENT + "# changed\n")
    assert "model.VideoAgent.source" in place.launch(*NAMED, code=2).stderr
    misspelt = json.dumps({"kwargs": {"lettre": "B"}})
    done = place.launch(*NAMED[:-1], "other", "--engine-args", misspelt, code=2)
    assert "did you mean 'letter'?" in done.stdout + done.stderr


def test_pictures_and_whole_videos_reach_a_class_as_files(place: Place) -> None:
    (place.folder / "looker.py").write_text(LOOKER)
    what = ("--model", "looker:Looker", "--engine", "vlmevalkit", "--data", "DigitsMCQ", "DigitsVideo")
    place.launch(*what, "--limit", "3", "--run", "r")
    results = place.folder / "jobs" / "r" / "results" / "Looker"
    for dataset, said in (("DigitsMCQ", "DigitsMCQ, 4, image L"), ("DigitsVideo", "DigitsVideo, 8, video ftyp")):
        lines = (results / dataset / "predictions.jsonl").read_text().splitlines()
        assert [json.loads(line)["prediction"] for line in lines] == [said] * 3


def test_the_run_s_record_says_which_class_of_which_vlmevalkit(place: Place) -> None:
    place.launch(*NAMED)
    record = json.loads((place.folder / "jobs" / "r" / "run.json").read_text())["fingerprint"]
    assert record["model.VideoAgent.engine"].startswith("vlmevalkit ms-vlmeval==")
    assert len(record["model.VideoAgent.source"]) == 64
    assert record["model.VideoAgent.engine_args.class"] == '"my_models.video_agent:VideoAgent"'
    assert not any(key.endswith(("folder", "batch_size")) for key in record if "engine_args" in key)


def test_a_module_that_is_nowhere_is_refused_before_anything_starts(place: Place) -> None:
    named = ("--model", "my_modles:VideoAgent", *NAMED[2:])
    message = place.launch(*named, code=2).stderr
    assert "module 'my_modles' was not found on PYTHONPATH" in message
    assert not (place.folder / "jobs" / "r").exists()
