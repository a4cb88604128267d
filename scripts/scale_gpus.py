"""What several GPUs bring: whole launches with random weights on 1, 2, 4 and 8 of them, and tensor parallelism.

Each launch answers `--repeat` copies of the benchmark's pictures per GPU, so that every GPU has the same work however
many there are. Printed for each: samples/s from the first request to the last answer, the share of N times one GPU,
seconds until the first and the last worker answer (loading included), and the tail: the time between the first and the
last worker's last answer. Then, with two GPUs and more: one worker on two GPUs (`--tp 2`) with each
`mm_encoder_tp_mode`, against two workers on one GPU each.

    scripts/scale-gpus                       2b and 7b, on as many GPUs as there are
    scripts/scale-gpus --model 2b --counts 1 2 --no-tp    a piece, for machines that are lent by the minute
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

import bench_gpu as bench
import bench_gpu_files as made

from vlmeval_mp.pool.devices import gpus


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=(*made.SIZES, "all"), default="all")
    parser.add_argument("--counts", type=int, nargs="+", default=(1, 2, 4, 8), help="how many GPUs")
    parser.add_argument(
        "--single", type=float, default=0.0, help="samples/s of one GPU, where that was measured before"
    )
    parser.add_argument("--no-tp", dest="tp", action="store_false", help="without the launches on two GPUs a worker")
    parser.add_argument("--data", type=Path, default=Path("/work/shared/data"), help="folder of MCQ_mini, VQA_mini")
    parser.add_argument("--work", type=Path, default=Path("scale-gpus.out"), help="models, pictures, runs, results")
    parser.add_argument(
        "--repeat", type=int, default=0, help="copies of each picture per GPU (default: 8 for 2b, 2 for 7b)"
    )
    parser.add_argument("--limit-seconds", type=float, default=540, help="for each launch")
    parser.add_argument("--engine-args", type=json.loads, default={}, help="further ones")
    parser.add_argument("--engine", default="vllm", help="'fake' to try this script without GPUs")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    found = gpus.discover()
    gpus.require_gpus(found)
    print(f"{len(found)} x {found[0].name}, {len(os.sched_getaffinity(0))} cores", flush=True)
    failed = 0
    for model in ["2b", "7b"] if options.model == "all" else [options.model]:
        if options.engine == "vllm" and model != "demo":
            made.model(made.SIZES[model], options.work / "models" / model)
        seen = scaling(options, model, [n for n in options.counts if n <= len(found)])
        if options.tp and len(found) > 1:
            seen |= tensor_parallel(options, model, seen.get("x2"))
        failed += sum(each is None for each in seen.values())
    return 1 if failed else 0


Seen = dict[str, dict[str, Any] | None]
"""What launches said of themselves, by their names; None for one that failed."""


def scaling(options: argparse.Namespace, model: str, counts: list[int]) -> Seen:
    """Answer with each number of GPUs and print a line for each: its rate as a share of so many times the first."""
    found: Seen = {}
    single = options.single
    for count in counts:
        seen = found[f"x{count}"] = launch(options, model, f"x{count}", count, 1, {})
        if seen is not None:
            single = single or seen["samples_per_s"] / count
            bench.say(model=model, gpus=count, **seen, share=round(seen["samples_per_s"] / (count * single), 3))
    return found


def tensor_parallel(options: argparse.Namespace, model: str, replicas: dict[str, Any] | None) -> Seen:
    """Answer in each way to use two GPUs and print a line for each; `replicas` is what two workers gave, if known."""
    ways = {
        "replicas": (1, {}),
        "tp-weights": (2, {"mm_encoder_tp_mode": "weights"}),
        "tp-data": (2, {"mm_encoder_tp_mode": "data"}),
    }
    found: Seen = {}
    for name, (tp, args) in ways.items():
        seen = replicas if name == "replicas" else None
        seen = seen or launch(options, model, name, 2, tp, args if options.engine == "vllm" else {})
        found[name] = seen
        if seen is not None:
            bench.say(model=model, gpus=2, how=name, **seen)
    return found


def launch(
    options: argparse.Namespace, model: str, name: str, count: int, tp: int, more: dict[str, Any]
) -> dict[str, Any] | None:
    """Answer the pictures on `count` GPUs; return what the run says of itself, None where it failed."""
    table = pictures(options, model, count)
    run = f"{model}-{name}-{int(time.time())}"
    args = {**bench.engine_args(options, model), **more} if options.engine == "vllm" else options.engine_args
    path = bench.DEMO if model == "demo" or options.engine != "vllm" else options.work / "models" / model
    file = options.work / f"{run}.json"
    file.write_text(json.dumps(bench.config(model, path, options.engine, args, table), indent=2))
    command = [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", str(file), "--jobs", str(options.work / "jobs"), "--run", run,
        "--device", "cuda", "--gpus", ",".join(map(str, range(count))), "--tp", str(tp), "--plain", "--mode", "infer",
    ]  # fmt: skip
    log, began = options.work / f"{run}.log", time.time()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        )  # fmt: skip
    try:
        process.wait(options.limit_seconds)
    except subprocess.TimeoutExpired:
        bench.say(model=model, run=run, failed="took longer than --limit-seconds", log=str(log))
    finally:
        bench.end(process)
    seen = measured(options.work / "jobs" / run, began)
    if process.returncode != 0 or seen is None:
        bench.say(model=model, run=run, exit=process.returncode, log=str(log), tail=log.read_text().splitlines()[-5:])
        return None
    with (options.work / "results.jsonl").open("a") as results:
        results.write(json.dumps({"run": run, "gpus": count, "tp": tp, **more, **seen}) + "\n")
    return seen


def pictures(options: argparse.Namespace, model: str, count: int) -> Path:
    repeat = (options.repeat or made.SIZES[model].repeat) * count
    table = Path(options.work / "data" / f"scale{model}x{repeat}.tsv")
    if not table.exists():
        sources = [options.data / f"{name}.tsv" for name in ("MCQ_mini", "VQA_mini")]
        made.pictures(made.SIZES[model], repeat, sources, table)
    return table


def measured(folder: Path, began: float) -> dict[str, Any] | None:
    """Return rate, start-up and tail by the workers' own records; None where there is no answer."""
    workers = [json.loads(path.read_text()) for path in sorted(folder.glob("workers/w*.json"))]
    spans = [list(worker["spans"].values()) for worker in workers if worker.get("spans")]
    answers = sum(span["answered"] for those in spans for span in those)
    if not answers:
        return None
    first = [min(span["first"] for span in those) for those in spans]
    last = [max(span["last"] for span in those) for those in spans]
    return {
        "samples": answers,
        "failed": sum(worker.get("failed", 0) for worker in workers),
        "samples_per_s": round(answers / (max(last) - min(first)), 2),
        "start_s": [round(min(first) - began, 1), round(max(first) - began, 1)],
        "tail_s": round(max(last) - min(last), 2),
        "workers_answered": sorted(sum(span["answered"] for span in those) for those in spans),
    }


if __name__ == "__main__":
    sys.exit(main())
