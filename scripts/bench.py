"""What our own code costs, and whether a worker is as fast as vLLM's offline API. `scripts/bench` runs it.

overhead  samples/s of one worker on the fake engine at zero latency, durability included
start     seconds until `--help` and `status` answer
vllm      the demo's DigitsMCQ through a worker against one `LLM.chat` call with all samples, answers compared
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CLI = [sys.executable, "-m", "vlmeval_mp.cli"]
ENV = {**os.environ, "HF_HUB_OFFLINE": "1"}


def launch(jobs: Path, *arguments: str) -> dict[str, Any]:
    """Run one launch to its end; gives its last record."""
    command = [*CLI, "launch", "--json", "--device", "cpu", "--jobs", str(jobs), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with exit code {done.returncode}")
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def write_benchmark(path: Path, samples: int, pictures: bool) -> Path:
    """A choice benchmark of `samples` rows, each with a 56×56 picture of its own if `pictures`."""
    from PIL import Image

    rng = random.Random(0)
    with path.open("w") as file:
        file.write("index\t" + ("image\t" if pictures else "") + "question\tA\tB\tanswer\n")
        for i in range(samples):
            image = ""
            if pictures:
                picture = io.BytesIO()
                Image.frombytes("L", (8, 8), rng.randbytes(64)).resize((56, 56)).save(picture, "PNG")
                image = base64.b64encode(picture.getvalue()).decode() + "\t"
            file.write(f"{i}\t{image}Is {i} even?\tyes\tno\t{'AB'[i % 2]}\n")
    return path


def overhead(folder: Path, samples: int) -> None:
    for name, pictures in (("text only", False), ("56x56 PNG", True)):
        tsv = write_benchmark(folder / f"{'png' if pictures else 'text'}.tsv", samples, pictures)
        for workers in (1, 2):
            run = f"{tsv.stem}-{workers}"
            what = ["--engine", "fake", "--model", "fake", "--data", str(tsv), "--run", run]
            record = launch(folder / "jobs", *what, "--max-workers", str(workers))
            rate = record["results"][0]["samples_per_second"]
            print(
                f"overhead  {name}, {samples} samples, {workers} worker(s): {rate / workers:,.0f} samples/s per worker"
            )


def start(folder: Path) -> None:
    tsv = write_benchmark(folder / "small.tsv", 100, pictures=False)
    launch(folder / "jobs", "--engine", "fake", "--model", "fake", "--data", str(tsv), "--run", "small")
    for words in (["--help"], ["status", "small", "--jobs", str(folder / "jobs")]):
        seconds = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([*CLI, *words], cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.perf_counter() - began)
        print(f"start     {words[0]}: {statistics.median(seconds):.3f} s (median of 7, slowest {max(seconds):.3f})")


def vllm(folder: Path) -> None:
    """Both sides load, and are timed at once, unwarmed, from first request to last answer."""
    side = [sys.executable, str(ROOT / "scripts" / "bench_engine.py"), "--side", "chat", "--cold"]
    done = subprocess.run(side, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        sys.exit("bench: LLM.chat did not end well; run scripts/bench-engine to see why")
    chat = json.loads(line.removeprefix("RESULT "))
    what = ["--model", "demo", "--data", "DigitsMCQ", "--engine", "vllm", "--run", "vllm", "--max-workers", "1"]
    record = launch(folder / "jobs", *what)
    lines = (folder / "jobs/vllm/results/demo/DigitsMCQ/predictions.jsonl").read_text().splitlines()
    answers = [json.loads(x)["prediction"] for x in lines]
    equal = sum(a == b for a, b in zip(answers, chat["answers"], strict=True))
    ours, theirs = record["results"][0]["samples_per_second"], len(answers) / statistics.median(chat["seconds"])
    print(
        f"vllm      one LLM.chat call {theirs:.1f} samples/s, through the worker {ours:.1f}: ratio {ours / theirs:.2f}"
    )
    print(f"vllm      {equal} of {len(answers)} answers equal")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["overhead", "start", "vllm"])
    parser.add_argument("--samples", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vlmeval-mp-bench-") as name:
        folder = Path(name)
        for what in given.what:
            match what:
                case "overhead":
                    overhead(folder, given.samples)
                case "start":
                    start(folder)
                case "vllm":
                    vllm(folder)
                case _:
                    parser.error(f"there is no measurement {what!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
