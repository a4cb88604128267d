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


def vllm(folder: Path, rounds: int) -> None:
    """Both sides in turn, each in fresh processes and unwarmed, from first request to last answer.

    In turn and more than once, because a shared machine's cores may be twice as fast in one minute as in the next.
    """
    rates: dict[str, list[float]] = {"one LLM.chat call": [], "through the worker": []}
    equal = total = 0
    for number in range(rounds):
        theirs, seconds = chat_once()
        ours, rate = worker_once(folder / "jobs", f"vllm{number}")
        rates["one LLM.chat call"].append(len(theirs) / seconds)
        rates["through the worker"].append(rate)
        equal += sum(a == b for a, b in zip(ours, theirs, strict=True))
        total += len(theirs)
    for side, found in rates.items():
        each = ", ".join(f"{rate:.0f}" for rate in found)
        print(f"vllm      {side}: {statistics.median(found):.1f} samples/s (median of {each})")
    ratio = statistics.median(rates["through the worker"]) / statistics.median(rates["one LLM.chat call"])
    print(f"vllm      ratio {ratio:.2f}, {equal} of {total} answers equal")


def chat_once() -> tuple[list[str], float]:
    """Answers of one `LLM.chat` call with all samples, and its seconds."""
    side = [sys.executable, str(ROOT / "scripts" / "bench_engine.py"), "--side", "chat", "--cold"]
    done = subprocess.run(side, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        sys.exit("bench: LLM.chat did not end well; run scripts/bench-engine to see why")
    chat = json.loads(line.removeprefix("RESULT "))
    return chat["answers"], chat["seconds"][0]


def worker_once(jobs: Path, run: str) -> tuple[list[str], float]:
    """Answers of one launch with one worker, in the same order, and its samples/s."""
    what = ["--model", "demo", "--data", "DigitsMCQ", "--engine", "vllm", "--run", run, "--max-workers", "1"]
    record = launch(jobs, *what)
    lines = (jobs / run / "results/demo/DigitsMCQ/predictions.jsonl").read_text().splitlines()
    return [json.loads(x)["prediction"] for x in lines], record["results"][0]["samples_per_second"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["overhead", "start", "vllm"])
    parser.add_argument("--samples", type=int, default=20_000, help="of the overhead measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of the vllm measurement")
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
                    vllm(folder, given.rounds)
                case _:
                    parser.error(f"there is no measurement {what!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
