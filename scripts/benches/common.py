"""What the measurements share: a text benchmark of any size, the command line in a process that is watched."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(os.environ.get("BENCH_ROOT", Path(__file__).resolve().parents[2]))
"""The checkout that is measured; another one can be named to compare with."""
sys.path.insert(0, str(ROOT))
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
ENV = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
ENV.pop("PYTHONDONTWRITEBYTECODE", None)  # a start costs what it costs a user, whose modules are compiled once
SIZES = (10_000, 100_000, 1_000_000)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command cost: seconds of wall clock, CPU seconds with all its children, and of its own process alone
    CPU seconds, those of its main thread, and the most MB that it held."""

    wall: float
    cpu: float
    own_cpu: float
    main_cpu: float
    own_mb: float
    output: str


def command(jobs: Path, *words: str, ok: tuple[int, ...] = (0,)) -> Cost:
    """Run `vlmeval-mp WORDS --jobs JOBS` to its end and give its cost."""
    argv = [PYTHON, "-m", "vlmeval_mp.cli", *words, "--jobs", str(jobs)]
    before, began = os.times(), time.perf_counter()
    used = (0.0, 0.0, 0.0)
    with subprocess.Popen(argv, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        log = Log(run)
        while run.poll() is None:
            used = usage(run.pid) or used
            time.sleep(0.02)
        output = log.text()
    wall, after = time.perf_counter() - began, os.times()
    if run.returncode not in ok:
        sys.exit(f"bench: {' '.join(argv)} ended with exit code {run.returncode}:\n{output[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, cpu, *used, output)


class Log:
    """Reads a process's output on a thread, so that it never waits for us."""

    def __init__(self, run: subprocess.Popen[str]) -> None:
        import threading

        self._parts: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(run,), daemon=True)
        self._thread.start()

    def _read(self, run: subprocess.Popen[str]) -> None:
        assert run.stdout is not None
        self._parts.extend(run.stdout)

    def text(self) -> str:
        self._thread.join(10)
        return "".join(self._parts)


def usage(pid: int) -> tuple[float, float, float] | None:
    """CPU seconds of one process, those of its main thread, and the most MB it held; None once it is gone."""
    try:
        whole, main = processor(Path(f"/proc/{pid}/stat")), processor(Path(f"/proc/{pid}/task/{pid}/stat"))
        status = Path(f"/proc/{pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
    return whole, main, int(peak.split()[1]) / 1024


def processor(stat: Path) -> float:
    """CPU seconds that a `stat` file of /proc tells, without those of children."""
    fields = stat.read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def write_benchmark(path: Path, samples: int) -> Path:
    """A text choice benchmark of `samples` rows."""
    with path.open("w") as file:
        file.write("index\tquestion\tA\tB\tanswer\n")
        for i in range(samples):
            file.write(f"{i}\tIs {i} even?\tyes\tno\t{'AB'[i % 2]}\n")
    return path


def each_size(name: str, wanted: Iterable[int]) -> Iterator[tuple[Path, int]]:
    """Yield each size with a folder of its own, in $BENCH_TMP if that is set, which is removed afterwards."""
    for size in wanted:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=os.environ.get("BENCH_TMP")) as folder:
            yield Path(folder), size


def import_half(jobs: Path, tsv: Path, run: str) -> None:
    """Import answers to every second row of `tsv` into `run` of the fake engine."""
    table = tsv.with_name(f"fake_{tsv.name}")
    with tsv.open() as rows, table.open("w") as file:
        file.write(next(rows).rstrip("\n") + "\tprediction\n")
        file.writelines(f"{line.rstrip()}\tA\n" for number, line in enumerate(rows) if number % 2)
    command(jobs, "import", str(table), "--engine", "fake", "--model", "fake", "--data", str(tsv), "--run", run)


def sizes(arguments: list[str]) -> list[int]:
    """The sizes named on the command line, or all three."""
    return [int(float(word)) for word in arguments] or list(SIZES)
