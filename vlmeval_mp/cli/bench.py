"""`bench`: asks the same samples in several ways, each in a process of its own, and compares their speed.

Ours is a whole launch of the real worker; the others are vLLM's own: one by one, in fixed batches, in one `LLM.chat`,
and the ceiling, with everything rendered beforehand. Rounds alternate, so that a busy machine is unfair to none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import SpecWanted, devices_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_FAILED_SAMPLES, ConfigError, EngineError
from vlmeval_mp.core.paths import JobsPaths, RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunRecord
    from vlmeval_mp.pool.devices.layout import DevicesWanted

OURS = "ours"
SIDES = ("one by one", "batches", "chat", "ceiling", OURS)
ABOUT = {
    "one by one": "LLM.chat, one sample at a time",
    "batches": "LLM.chat, 32 samples at a time",
    "chat": "LLM.chat, all samples in one call",
    "ceiling": "the engine alone, inputs rendered beforehand",
    OURS: "vlmeval-mp launch",
}


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One side in one round: answers by sample id, and the seconds that they took."""

    answers: dict[str, str]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.answers) / self.seconds


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "bench", "this machine's samples/s against vLLM's own ways and its ceiling")
    flags.what(verb)
    flags.how(verb)
    kitflags.add_choosing(verb.add_argument_group("as in VLMEvalKit's run.py"))
    kitflags.add_running(verb)
    verb.add_argument("--rounds", type=kitflags.count, default=1, metavar="N", help="times that each side is asked")
    verb.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, metavar="SIDE", help=", ".join(SIDES))


def run(arguments: argparse.Namespace) -> int:
    """Time every side and print what came of it; exit code 1 if answers differ."""
    import tempfile

    from vlmeval_mp.cli.specs import specs_of
    from vlmeval_mp.runs import submit

    what = SpecWanted.of(arguments, batch_size=arguments.batch_size, max_workers=arguments.max_workers)
    specs = specs_of(what)
    if len(specs) != 1 or len(specs[0].models) != 1 or specs[0].models[0].engine not in ("", "vllm"):
        raise ConfigError("bench takes one model, with --engine vllm")
    devices = devices_words(devices_of(arguments))
    timed: dict[str, list[TimedRun]] = {side: [] for side in arguments.sides}
    with tempfile.TemporaryDirectory(prefix="vlmeval-mp-bench-") as folder:
        for number in range(arguments.rounds):
            for side in arguments.sides:
                jobs = JobsPaths(Path(folder) / f"{number}")
                paths, record, _ = submit.submit(specs[0], jobs)
                timed[side].append(
                    _ours(paths, record, devices) if side == OURS else _theirs(side, paths, Path(folder), devices)
                )
                where = sys.stderr if arguments.json else sys.stdout
                print(
                    f"round {number + 1}: {ABOUT[side]}: {timed[side][-1].rate:.2f} samples/s", file=where, flush=True
                )
    found = compared(timed)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _show(found)
    return EXIT_COMPLETE if all(side["unequal"] == 0 for side in found["sides"].values()) else EXIT_FAILED_SAMPLES


# --- sides -------------------------------------------------------------------------------------------------------


def devices_words(wanted: DevicesWanted) -> list[str]:
    """Return the flags for the devices of `wanted`, with one worker: all sides have one."""
    words = ["--device", wanted.device, "--max-workers", "1"]
    words += [] if wanted.tp is None else ["--tp", str(wanted.tp)]
    words += ["--gpus", wanted.gpus] if wanted.gpus else []
    words += [] if wanted.batch_size is None else ["--batch-size", str(wanted.batch_size or "auto")]
    words += [] if wanted.render_processes is None else ["--render-processes", str(wanted.render_processes)]
    return words


def _ours(paths: RunPaths, record: RunRecord, devices: list[str]) -> TimedRun:
    import subprocess

    from vlmeval_mp.runs import snapshot
    from vlmeval_mp.runs.merge import merge

    command = [sys.executable, "-m", "vlmeval_mp.cli", "resume", record.spec.name, "--jobs", str(paths.root.parent)]
    done = subprocess.run([*command, "--plain", *devices], capture_output=True, text=True)
    supervisor = snapshot.read_supervisor(paths)
    if supervisor is None or supervisor.spent is None or not supervisor.spent.samples:
        raise EngineError(f"the launch answered nothing; it said:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    answers = {
        f"{job.name} {p.row}": p.prediction if p.error is None else f"failed: {p.error}"
        for job in record.jobs
        for p in merge(paths, job)[1]
    }
    return TimedRun(answers, supervisor.spent.serving)


def _theirs(side: str, paths: RunPaths, folder: Path, devices: list[str]) -> TimedRun:
    import subprocess

    out = folder / "answers.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "vlmeval_mp.cli.benchside", str(paths.root), side, str(out), *devices]
    done = subprocess.run(command, capture_output=True, text=True)
    if not out.exists():
        raise EngineError(f"{ABOUT[side]}: ended with code {done.returncode}; it said:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return TimedRun(found["answers"], found["seconds"])


# --- what it comes to --------------------------------------------------------------------------------------------


def compared(timed: dict[str, list[TimedRun]]) -> dict[str, Any]:
    """Return samples/s (the median of the rounds) and the ratios to one `LLM.chat` and to the ceiling.

    `unequal` counts the answers that differ from those of `chat` (or of the first side, where that was not asked).
    """
    import statistics

    rates = {side: statistics.median(t.rate for t in rounds) for side, rounds in timed.items()}
    reference = timed["chat" if "chat" in timed else next(iter(timed))][0].answers
    sides = {}
    for side, rounds in timed.items():
        unequal = sum(answer != reference.get(id_, answer) for id_, answer in rounds[0].answers.items())
        line: dict[str, Any] = {
            "samples": len(rounds[0].answers),
            "seconds": [round(t.seconds, 3) for t in rounds],
            "samples_per_s": round(rates[side], 3),
            "unequal": unequal,
        }
        for other in ("chat", "ceiling"):
            if other in rates and other != side:
                line[f"of_{other}"] = round(rates[side] / rates[other], 3)
        sides[side] = line
    return {"sides": sides, "load": round(os.getloadavg()[0], 1)}


def _show(found: dict[str, Any]) -> None:
    from vlmeval_mp.display.plaintable import plain_table

    heading = ("side", "samples", "samples/s", "× chat", "× ceiling", "other answers")
    columns = ("samples", "samples_per_s", "of_chat", "of_ceiling", "unequal")
    rows = [(ABOUT[side], *(str(line.get(key, "")) for key in columns)) for side, line in found["sides"].items()]
    print("\n".join(plain_table(heading, rows, heading[:1])))
