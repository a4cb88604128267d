"""The demo on a real GPU: pinning, memory and utilisation on the screen, scores, and recovery from a killed worker.

Prints what it saw and ends with exit code 0 only if everything held. `scripts/smoke-gpu` runs it.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.runs import results
from vlmeval_mp.runs.snapshot import Reader
from vlmeval_mp.runs.state import RunState, fold

ROOT = Path(__file__).resolve().parent.parent
DEMO_README = ROOT / "vlmeval_mp" / "demo" / "README.md"
SLACK = 512 << 20
POINT = 0.01


class Checks:
    """Collects what held and what did not."""

    def __init__(self) -> None:
        self.failed = 0

    def that(self, held: bool, what: str) -> None:
        self.failed += not held
        print(f"{'ok  ' if held else 'FAIL'} {what}", flush=True)


def published() -> dict[str, float]:
    """Accuracy of each demo data set as the demo's README gives it."""
    table = DEMO_README.read_text().split("<!-- accuracy -->", 1)[1].split("\n\n", 1)[0]
    return {name: float(value) for name, value in re.findall(r"^\|\s*(Digits\w+)\s*\|\s*([0-9.]+)\s*\|", table, re.M)}


def start(jobs: Path, run: str, log: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", str(ROOT / "jobs" / "demo.json"), "--jobs", str(jobs),
        "--run", run, "--device", "cuda", "--max-workers", "1", "--plain", *more,
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT)


def state_of(paths: RunPaths) -> RunState | None:
    return fold(Reader(paths).read(), time.time()) if paths.record.exists() else None


def worker_environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def undisturbed(checks: Checks, jobs: Path, out: Path, seconds: float) -> None:
    """One demo run; its screen, its pinning and its scores."""
    paths = JobsPaths(jobs).run("calm")
    began = time.monotonic()
    launch = start(jobs, "calm", out / "calm.log")
    visible, most_memory, most_busy, screen = "", 0, 0, ""
    while launch.poll() is None and time.monotonic() - began < seconds:
        time.sleep(0.3)
        state = state_of(paths)
        for worker in state.workers if state else ():
            if not visible and worker.phase in ("loading", "working"):
                visible = worker_environment(worker.pid).get("CUDA_VISIBLE_DEVICES", "")
            for gpu in worker.gpus:
                most_memory, most_busy = max(most_memory, gpu.memory_used), max(most_busy, gpu.utilization)
            if worker.phase == "working" and state and 0 < state.done < state.total:
                screen = drawn(state)
    if launch.poll() is None:
        launch.kill()
    print(screen)
    (out / "screen.txt").write_text(screen)
    checks.that(launch.wait() == 0, f"the demo ended with exit code {launch.returncode} ({out}/calm.log)")
    checks.that(visible in {str(g.index) for g in gpus.discover()}, f"the worker saw CUDA_VISIBLE_DEVICES={visible!r}")
    print(f"     most GPU memory seen {most_memory / 2**30:.1f} GiB, utilisation {most_busy} %")
    shown = re.search(r"\d+/\d+ ?G\s+\d+%", screen)
    checks.that(bool(shown) and most_busy > 0, "GPU memory and utilisation are on the screen")
    compare_scores(checks, paths)
    print(f"     start to end {time.monotonic() - began:.0f} s")


def drawn(state: RunState) -> str:
    import io

    from rich.console import Console

    from vlmeval_mp import display

    console = Console(file=io.StringIO(), width=110)
    console.print(display.render(state, 110))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def compare_scores(checks: Checks, paths: RunPaths) -> None:
    for dataset, expected in published().items():
        summary = results.read_summary(paths.results("demo", dataset))
        got = summary.metrics["accuracy"] if summary else None
        near = got is not None and abs(got - expected) <= POINT
        checks.that(near, f"{dataset}: {got if got is None else round(got, 4)} here, {expected} on the CPU")


def under_fire(checks: Checks, jobs: Path, out: Path, seconds: float) -> None:
    """SIGKILL of the worker mid-run: the GPU's memory comes back, and the run finishes."""
    paths = JobsPaths(jobs).run("fire")
    before = sum(g.memory_used for g in gpus.discover())
    launch = start(jobs, "fire", out / "fire.log", "--batch-size", "8")
    deadline = time.monotonic() + seconds
    while launch.poll() is None and time.monotonic() < deadline:
        state = state_of(paths)
        if state and state.done > 0 and any(w.phase == "working" for w in state.workers):
            break
        time.sleep(0.05)
    victim = next((w.pid for w in state.workers if w.phase == "working"), 0) if state else 0
    if state is None or not victim or launch.poll() is not None:
        launch.kill()
        checks.that(False, f"a worker was answering and could be killed ({out}/fire.log)")
        return
    loaded = sum(g.memory_used for g in gpus.discover())
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    while sum(g.memory_used for g in gpus.discover()) > before + SLACK and time.monotonic() - killed < 60:
        time.sleep(0.02)
    freed = time.monotonic() - killed
    held = f"killed worker {victim} after {state.done} samples; {loaded / 2**30:.1f} GiB were in use"
    checks.that(freed < 60 and loaded > before + SLACK, f"{held}, freed after {freed:.2f} s")
    try:
        code: int | None = launch.wait(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        launch.kill()
        code = None
    checks.that(code == 0, f"the run finished with exit code {code} ({out}/fire.log)")
    compare_scores(checks, paths)
    compare_answers(checks, JobsPaths(jobs).run("calm"), paths)


def compare_answers(checks: Checks, calm: RunPaths, fire: RunPaths) -> None:
    for dataset in published():
        one, other = (run.results("demo", dataset) / "predictions.jsonl" for run in (calm, fire))
        same = one.exists() and other.exists() and one.read_bytes() == other.read_bytes()
        checks.that(same, f"{dataset}: predictions of the killed run equal those of the undisturbed one, byte for byte")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=Path, default=ROOT / "jobs" / "smoke-gpu", help="where the two runs are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "jobs" / "smoke-gpu", help="where logs and the screen go")
    parser.add_argument("--seconds", type=float, default=300, help="limit of each run")
    given = parser.parse_args()
    found = gpus.discover()
    gpus.require_gpus(found)
    for gpu in found:
        print(f"GPU {gpu.index}: {gpu.name}, {gpu.memory_total / 2**30:.0f} GiB")
    given.out.mkdir(parents=True, exist_ok=True)
    checks = Checks()
    undisturbed(checks, given.jobs, given.out, given.seconds)
    under_fire(checks, given.jobs, given.out, given.seconds)
    print("everything held" if not checks.failed else f"{checks.failed} checks failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
