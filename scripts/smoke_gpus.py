"""The demo on several GPUs: each worker on the GPU that was named, equal answers, a kill, tensor parallelism.

Prints what it saw and ends with exit code 0 only if everything held. Checks, each a name for `--only`:

    one      one GPU answers the demo; the others are compared with it
    forms    `--gpus` by index, by UUID and inside an outer CUDA_VISIBLE_DEVICES takes the GPU that was meant
    all      one worker on each GPU at once, each with memory on its own GPU only; answers equal byte for byte
    kill     SIGKILL of one worker frees its GPU, the others go on, answers equal byte for byte
    tp       a worker on two GPUs, SIGKILLed: none of its processes is left after 5 s, and the run ends
    mixed    one run of two models, one on one GPU and one on two: no GPU has two workers at a time

`scripts/smoke-gpus` runs it; `scripts/scale-gpus` measures what several GPUs bring.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

import psutil
from smoke_gpu import SLACK, Checks, state_of

from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices import gpus

SOON = 5.0
"""Seconds after which no process of a killed worker may be left."""
CHECKS = ("one", "forms", "all", "kill", "tp", "mixed")
FOR_ONE = CHECKS[:2]
"""Those that one GPU is enough for."""
MODEL, WIDE = "demo", "wide"


@dataclass
class Seen:
    """What was seen of one launch while it ran: the GPUs each worker was told, and those that its processes held.

    `models` are those of the workers, `shared` the GPUs that two of them had at a time.
    """

    models: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    told: dict[str, set[str]] = field(default_factory=dict)
    held: dict[str, set[str]] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)
    seconds: float = 0.0


class Host:
    """Starts launches of the demo on this host's GPUs and looks at them."""

    def __init__(self, options: argparse.Namespace, found: Sequence[GpuStats]) -> None:
        self.options, self.found = options, found
        self.jobs = JobsPaths(options.jobs)

    def config(self, name: str, wide: bool) -> Path:
        """Write the demo's jobs for a launch and return the file; `wide` adds the same model on two GPUs."""
        demo = json.loads((ROOT / "jobs" / "demo.json").read_text())
        model = {"engine": self.options.engine, "sampling": {"max_tokens": 64}, "engine_args": self.options.engine_args}
        models = {MODEL: model | {"path": str(ROOT / "vlmeval_mp" / "demo" / "model")}}
        if wide:
            models[WIDE] = models[MODEL] | {"engine_args": self.options.engine_args | {"tensor_parallel_size": 2}}
        data = {k: v for k, v in demo["data"].items() if not self.options.data or k in self.options.data}
        path = self.options.out / f"{name}.json"
        path.write_text(json.dumps({"model": models, "data": data}))
        return path

    def start(self, name: str, which: str, *more: str, mask: str = "", wide: bool = False) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "vlmeval_mp.cli", "launch", str(self.config(name, wide)),
            "--jobs", str(self.jobs.root), "--run", name, "--device", "cuda", "--gpus", which, "--plain", *more,
        ]  # fmt: skip
        if self.options.limit and "--limit" not in more:
            command += ["--limit", str(self.options.limit)]
        path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}
        env.pop(gpus.MASK, None)
        if mask:
            env[gpus.MASK] = mask
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def log(self, name: str) -> Path:
        return Path(self.options.out / f"{name}.log")

    def paths(self, name: str) -> RunPaths:
        return self.jobs.run(name)

    def used(self) -> dict[str, int]:
        return {g.uuid: g.memory_used for g in gpus.discover()}

    def look(self, name: str, before: dict[str, int], seen: Seen) -> None:
        """Note what the workers of `name` hold right now."""
        state = state_of(self.paths(name))
        holders = {uuid: {p.pid for p in those} for uuid, those in gpus.holders(str).items()}
        taken: set[str] = set()
        for worker in state.workers if state else ():
            if worker.phase in ("loading", "working", "draining") and alive({worker.pid}):
                seen.models[worker.worker] = worker.model
                seen.shared |= taken.intersection(g.uuid for g in worker.gpus)
                taken.update(g.uuid for g in worker.gpus)
                pids = tree(worker.pid)
                seen.told.setdefault(worker.worker, set()).update(g.uuid for g in worker.gpus)
                mine = {uuid for uuid, those in holders.items() if those & pids}
                seen.held.setdefault(worker.worker, set()).update(mine)
        seen.grown |= {u for u, used in self.used().items() if used > before.get(u, 0) + SLACK}

    def watch(
        self,
        name: str,
        launch: subprocess.Popen[bytes],
        before: dict[str, int],
        until: Callable[[], bool] | None = None,
    ) -> Seen:
        """Look at a launch until it ends or `until` holds."""
        seen, began = Seen(), time.monotonic()
        while launch.poll() is None and time.monotonic() - began < self.options.seconds:
            self.look(name, before, seen)
            if until is not None and until():
                break
            time.sleep(0.2)
        seen.seconds = time.monotonic() - began
        return seen

    def finish(self, launch: subprocess.Popen[bytes]) -> int | None:
        """Return the exit code of a launch; None if it had to be killed."""
        try:
            return launch.wait(self.options.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.wait()
            return None

    def wait_until_free(self, before: dict[str, int], which: Sequence[str]) -> float | None:
        """Return the seconds until `which` have their memory back; None after a minute."""
        began = time.monotonic()
        while time.monotonic() - began < 60:
            now = self.used()
            if all(now[u] <= before[u] + SLACK for u in which):
                return time.monotonic() - began
            time.sleep(0.05)
        return None

    def working(self, name: str, count: int) -> bool:
        """Return whether `count` workers of `name` are answering and something is left to do."""
        state = state_of(self.paths(name))
        if state is None or state.done >= state.total:
            return False
        return sum(w.phase == "working" and w.answered > 0 for w in state.workers) >= count


def tree(pid: int) -> set[int]:
    """Return `pid` and all processes below it."""
    try:
        return {pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))}
    except psutil.NoSuchProcess:
        return set()


def alive(pids: set[int]) -> set[int]:
    """Return those that run; a zombie does not."""
    found = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            pass
    return found


def short(uuids: set[str], found: Sequence[GpuStats]) -> str:
    return ",".join(sorted(str(g.index) for g in found if g.uuid in uuids)) or "none"


def check_held(checks: Checks, host: Host, seen: Seen, expected: dict[str, set[str]]) -> None:
    """Each worker was told its GPUs, and its processes held memory of these and of no other."""
    checks.that(
        sorted(map(sorted, seen.told.values())) == sorted(map(sorted, expected.values())),
        "workers were told " + "; ".join(f"{w}: GPU {short(u, host.found)}" for w, u in sorted(seen.told.items())),
    )
    if any(seen.held.values()):
        checks.that(
            seen.held == seen.told,
            "by NVML they held " + "; ".join(f"{w}: GPU {short(u, host.found)}" for w, u in sorted(seen.held.items())),
        )
    else:
        print("     NVML names no process of ours here (another process namespace); memory has to tell")
    meant = set().union(*expected.values())
    checks.that(seen.grown == meant, f"memory was taken on GPU {short(seen.grown, host.found)} and no other")


def answers(paths: RunPaths, model: str = MODEL) -> dict[str, bytes]:
    return {p.parent.name: p.read_bytes() for p in sorted(paths.all_results.glob(f"{model}/*/predictions.jsonl"))}


def check_answers(checks: Checks, host: Host, name: str) -> None:
    one, other = answers(host.paths("one")), answers(host.paths(name))
    if not one:
        checks.that(False, "there are answers of one GPU to compare with (check `one`)")
        return
    unlike = sorted(data for data in one if one[data] != other.get(data))
    checks.that(
        not unlike, f"{name}: answers equal those of one GPU byte for byte{': not ' if unlike else ''}{unlike or ''}"
    )


# --- the checks --------------------------------------------------------------------------------------------------


def one(checks: Checks, host: Host) -> None:
    before = host.used()
    launch = host.start("one", "0")
    seen = host.watch("one", launch, before)
    checks.that(host.finish(launch) == 0, f"one GPU: {seen.seconds:.0f} s from start to end ({host.log('one')})")
    check_held(checks, host, seen, {"w0": {host.found[0].uuid}})


def forms(checks: Checks, host: Host) -> None:
    last = host.found[-1]
    mask = ",".join(str(g.index) for g in (last, *host.found[:-1]))
    for name, which, outer in (
        ("by-index", str(last.index), ""),
        ("by-uuid", last.uuid, ""),
        ("in-mask", "0", mask),
        ("in-uuid-mask", "all", last.uuid),
    ):
        before = host.used()
        launch = host.start(name, which, "--limit", "8", mask=outer)
        seen = host.watch(name, launch, before)
        what = f"--gpus {which}" + (f" within {gpus.MASK}={outer}" if outer else "")
        checks.that(host.finish(launch) == 0, f"{what}: ended ({host.log(name)})")
        check_held(checks, host, seen, {"w0": {last.uuid}})
        host.wait_until_free(before, [last.uuid])


def everywhere(checks: Checks, host: Host) -> None:
    before = host.used()
    launch = host.start("all", ",".join(str(g.index) for g in host.found))
    seen = host.watch("all", launch, before)
    checks.that(host.finish(launch) == 0, f"{len(host.found)} GPUs: {seen.seconds:.0f} s ({host.log('all')})")
    check_held(checks, host, seen, {f"w{i}": {g.uuid} for i, g in enumerate(host.found)})
    check_answers(checks, host, "all")


def kill(checks: Checks, host: Host) -> None:
    before = host.used()
    launch = host.start("kill", ",".join(str(g.index) for g in host.found), "--batch-size", "2")
    host.watch("kill", launch, before, lambda: host.working("kill", 2))
    state = state_of(host.paths("kill"))
    busy = [w for w in (state.workers if state else ()) if w.phase == "working" and w.answered > 0]
    if len(busy) < 2:
        host.finish(launch)
        checks.that(False, f"two workers were answering, so that one could be killed ({host.log('kill')})")
        return
    victim, others = busy[0], {w.worker: w.pid for w in busy[1:]}
    uuids = [g.uuid for g in victim.gpus]
    below = tree(victim.pid)
    os.kill(victim.pid, signal.SIGKILL)
    time.sleep(min(SOON, 1.0))
    freed = host.wait_until_free(before, uuids) if host.options.free else 0.0
    checks.that(freed is not None, f"worker {victim.worker} was killed; its GPU was free after {freed or 0:.1f} s")
    deadline = time.monotonic() + SOON
    while alive(below) and time.monotonic() < deadline:
        time.sleep(0.05)
    checks.that(not alive(below), f"none of its {len(below)} processes is left")
    checks.that(all(alive({pid}) for pid in others.values()) or launch.poll() is not None, "the others went on")
    checks.that(host.finish(launch) == 0, f"the run ended ({host.log('kill')})")
    check_answers(checks, host, "kill")


def tensor_parallel(checks: Checks, host: Host) -> None:
    before = host.used()
    two = host.found[:2]
    launch = host.start("tp", ",".join(str(g.index) for g in two), "--tp", "2", "--batch-size", "2")
    seen = host.watch("tp", launch, before, lambda: host.working("tp", 1))
    check_held(checks, host, seen, {"w0": {g.uuid for g in two}})
    state = state_of(host.paths("tp"))
    victim = next((w.pid for w in (state.workers if state else ()) if w.phase == "working"), 0)
    below = tree(victim)
    if not below:
        host.finish(launch)
        checks.that(False, f"the worker with two GPUs was answering and could be killed ({host.log('tp')})")
        return
    os.kill(victim, signal.SIGKILL)
    time.sleep(SOON)
    checks.that(not alive(below), f"5 s after SIGKILL none of its {len(below)} processes is left: {alive(below) or ''}")
    checks.that(host.finish(launch) == 0, f"the run with --tp 2 ended ({host.log('tp')})")


def mixed(checks: Checks, host: Host) -> None:
    before = host.used()
    launch = host.start("mixed", ",".join(str(g.index) for g in host.found), wide=True)
    seen = host.watch("mixed", launch, before)
    checks.that(host.finish(launch) == 0, f"one run on one and on two GPUs: {seen.seconds:.0f} s ({host.log('mixed')})")
    sizes = {name: {len(seen.told[w]) for w, model in seen.models.items() if model == name} for name in (MODEL, WIDE)}
    checks.that(sizes == {MODEL: {1}, WIDE: {2}}, f"workers of each model had this many GPUs: {sizes}")
    checks.that(not seen.shared, f"no GPU had two workers at a time: {short(seen.shared, host.found)}")
    if any(seen.held.values()):  # one that had little to do may have come and gone between two looks
        checks.that(
            all(held <= seen.told[worker] for worker, held in seen.held.items()),
            "by NVML they held " + "; ".join(f"{w}: GPU {short(u, host.found)}" for w, u in sorted(seen.held.items())),
        )
    check_answers(checks, host, "mixed")
    narrow, wide = answers(host.paths("mixed")), answers(host.paths("mixed"), WIDE)
    pairs = [pair for data in narrow for pair in zip(narrow[data].splitlines(), wide[data].splitlines(), strict=True)]
    print(f"     {sum(a != b for a, b in pairs)} of {len(pairs)} answers of two GPUs differ from those of one")


RUN: dict[str, Callable[[Checks, Host], None]] = {
    "one": one, "forms": forms, "all": everywhere, "kill": kill, "tp": tensor_parallel, "mixed": mixed,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=CHECKS, metavar="CHECK")
    parser.add_argument("--jobs", type=Path, default=ROOT / "jobs" / "smoke-gpus", help="where the runs are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "jobs" / "smoke-gpus", help="where logs go")
    parser.add_argument("--seconds", type=float, default=300, help="limit of each launch")
    parser.add_argument("--engine", default="vllm", help="'fake' to try this script without GPUs")
    parser.add_argument("--engine-args", type=json.loads, default={"dtype": "float32"})
    parser.add_argument("--data", nargs="+", default=(), help="of the demo's data sets; all if none is named")
    parser.add_argument("--limit", type=int, default=0, help="samples of each data set; 0: all")
    parser.add_argument(
        "--no-free",
        dest="free",
        action="store_false",
        help="do not wait for a killed worker's GPU to be empty: its successor may be faster",
    )
    options: Any = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = gpus.discover()
    gpus.require_gpus(found)
    for gpu in found:
        print(f"GPU {gpu.index}: {gpu.name}, {gpu.memory_total / 2**30:.0f} GiB, {gpu.uuid}")
    if len(found) < 2 and not set(FOR_ONE).issuperset(options.only):
        print(f"these checks need two GPUs or more; on one run --only {' '.join(FOR_ONE)}, or scripts/smoke-gpu")
        return 2
    checks, host = Checks(), Host(options, found)
    for name in options.only:
        print(f"--- {name}", flush=True)
        RUN[name](checks, host)
    print("everything held" if not checks.failed else f"{checks.failed} checks failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
