"""Times the real `vlmeval-mp launch` on one GPU against vLLM's own ways with the same samples and random weights.

Sides: `ours` is a whole launch, checkpoints and all, from first request to last answer; `chat` is one `LLM.chat`
with everything, with one OpenMP thread, which is its best setting; `ceiling` is the engine alone, every input rendered
and queued beforehand. Each runs in a session of its own with a log and a time limit, and prints a JSON line when it is
done. `chat` is timed as it comes, like a launch, and once more with other questions, warm ("steady"); the ceiling has
been warmed by a few samples. Of `ours`, "steady" is the rate between a fifth and four fifths of the answers. All sides
ask the same words: where their prompt tokens or engine arguments differ, no ratio is given.

    scripts/bench-gpu                              everything
    scripts/bench-gpu --model 2b --side ours       one piece, for machines that are lent by the minute
    scripts/bench-gpu --report                     ratios of what has been measured in --work so far
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

import bench_gpu_files as made

ENGINE_ARGS = {
    "load_format": "dummy", "dtype": "bfloat16", "max_model_len": 4096, "enable_prefix_caching": False,
    "mm_processor_cache_gb": 0, "gpu_memory_utilization": 0.85, "seed": 0,
}  # fmt: skip
DEMO = ROOT / "vlmeval_mp" / "demo" / "model"
DEMO_ARGS = {
    "dtype": "float32", "enforce_eager": True, "max_model_len": 4096, "enable_prefix_caching": False,
    "mm_processor_cache_gb": 0, "kv_cache_memory_bytes": 1 << 30, "seed": 0,
}  # fmt: skip
MAX_TOKENS = 16
WARM = 32
STEADY_SAMPLES = 5120
"""Of fewer, a window of 1,024 is not full at a fifth and at four fifths of the answers, and the rate between lies."""
IMAGES = 4
SIDES = ("ours", "chat", "ceiling")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=(*made.SIZES, "all"), default="all", help="demo: to try this on a CPU")
    parser.add_argument("--side", choices=(*SIDES, "files", "all"), default="all")
    parser.add_argument("--data", type=Path, default=Path("/work/shared/data"), help="folder of MCQ_mini, VQA_mini")
    parser.add_argument("--work", type=Path, default=Path("bench-gpu.out"), help="models, pictures, runs, results")
    parser.add_argument("--repeat", type=int, default=0, help="copies of each picture (default: 8 for 2b, 2 for 7b)")
    parser.add_argument("--questions", type=int, default=1, help="questions about each picture, in consecutive rows")
    parser.add_argument("--limit-seconds", type=float, default=540, help="for each side")
    parser.add_argument("--engine-args", type=json.loads, default={}, help="further ones, for every side")
    parser.add_argument("--render-processes", default="auto")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu only to try this script")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    models = ["2b", "7b"] if options.model == "all" else [options.model]
    if options.report:
        return report(options)
    if options.child:
        return child(options, models[0])
    failed = 0
    for model in models:
        prepare(options, model)
        for side in SIDES if options.side == "all" else [options.side]:
            if side != "files":
                failed += run(options, model, side) is None
    report(options)
    return 1 if failed else 0


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def prepare(options: argparse.Namespace, model: str) -> None:
    """Write the model's folder and pictures, unless they are there."""
    size = made.SIZES[model]
    began = time.monotonic()
    if model != "demo":
        made.model(size, folder_of(options, model))
    table = pictures_of(options, model)
    if not table.exists():
        sources = [options.data / f"{name}.tsv" for name in ("MCQ_mini", "VQA_mini")]
        rows = made.pictures(size, options.repeat or size.repeat, sources, table, options.questions)
        say(model=model, side="files", samples=rows, seconds=round(time.monotonic() - began, 1))


def folder_of(options: argparse.Namespace, model: str) -> Path:
    return DEMO if model == "demo" else Path(options.work / "models" / model)


def engine_args(options: argparse.Namespace, model: str) -> dict[str, Any]:
    return {**(DEMO_ARGS if model == "demo" else ENGINE_ARGS), **options.engine_args}


def pictures_of(options: argparse.Namespace, model: str) -> Path:
    return Path(options.work / "data" / f"{set_name(options, model)}.tsv")


def set_name(options: argparse.Namespace, model: str) -> str:
    repeat = options.repeat or made.SIZES[model].repeat
    return f"bench{model}x{repeat}" + (f"q{options.questions}" if options.questions > 1 else "")


def run(options: argparse.Namespace, model: str, side: str) -> dict[str, Any] | None:
    """Time one side in a session of its own; print and keep what it found, or say how it failed and return None."""
    log = options.work / f"{model}-{side}.log"
    if side == "ours":
        command = launch_command(options, model)
    else:
        command = [sys.executable, __file__, *sys.argv[1:], "--model", model, "--side", side, "--child"]
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment(options), cwd=ROOT, start_new_session=True
        )
    try:
        seen = watch(process, options, model if side == "ours" else None, began + options.limit_seconds)
    finally:
        end(process)
    wall = round(time.monotonic() - began, 1)
    found = measured_launch(options, model, seen) if side == "ours" else last_result(log)
    if found is None or process.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        say(model=model, side=side, failed=process.returncode, wall_s=wall, log=str(log), tail=tail)
        if found is None:
            return None
    found = {"model": model, "side": side, **found, "wall_s": wall, "exit": process.returncode}
    say(**found)
    found["engine_args"] = engine_args(options, model)
    with (options.work / "results.jsonl").open("a") as results:
        results.write(json.dumps(found) + "\n")
    return found


def environment(options: argparse.Namespace) -> dict[str, str]:
    env = dict(os.environ)
    env.setdefault("OMP_NUM_THREADS", "1")
    env.setdefault("HF_HUB_OFFLINE", "1")
    env.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    env["PYTHONPATH"] = f"{ROOT}:{env.get('PYTHONPATH', '')}"
    if options.device == "cuda":
        env.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
    return env


def watch(
    process: subprocess.Popen[bytes], options: argparse.Namespace, model: str | None, deadline: float
) -> list[tuple[float, int]]:
    """Wait for `process` until `deadline`; return how many answers a launch had when."""
    seen: list[tuple[float, int]] = []
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        if model is not None:
            answers = answered(options.work / "jobs" / run_name(options, model))
            if not seen or answers > seen[-1][1]:
                seen.append((time.monotonic(), answers))
    return seen


def answered(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("checkpoints/*/*.jsonl"))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the session, and see its leader gone."""
    if process.poll() is None:
        process.terminate()  # a launch ends its workers itself
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# --- ours --------------------------------------------------------------------------------------------------------


def run_name(options: argparse.Namespace, model: str) -> str:
    stamp = options.work / "stamp"
    if not stamp.exists():
        stamp.write_text(str(int(time.time())))
    return f"{set_name(options, model)}-{stamp.read_text()}"


def launch_command(options: argparse.Namespace, model: str) -> list[str]:
    """Return a launch of a new run."""
    (options.work / "stamp").write_text(f"{int(time.time())}")
    table = pictures_of(options, model)
    path = options.work / f"{model}.json"
    made_of = config(model, folder_of(options, model), "vllm", engine_args(options, model), table)
    path.write_text(json.dumps(made_of, indent=2))
    return [
        sys.executable, "-m", "vlmeval_mp.cli", "launch", str(path), "--jobs", str(options.work / "jobs"),
        "--run", run_name(options, model), "--device", options.device, "--max-workers", "1", "--plain",
        "--mode", "infer", "--render-processes", str(options.render_processes),
    ]  # fmt: skip


def config(name: str, folder: Path, engine: str, args: dict[str, Any], table: Path) -> dict[str, Any]:
    """Return the config of a launch that asks the questions of `table` in their own words and no others."""
    asked = {"model_path": str(folder), "engine": engine, "sampling": {"max_tokens": MAX_TOKENS}, "engine_args": args}
    return {"model": {name: asked}, "data": {table.stem: {"path": str(table), "type": "vqa", "prompt": "bare"}}}


def measured_launch(options: argparse.Namespace, model: str, seen: list[tuple[float, int]]) -> dict[str, Any] | None:
    """Return what the run says of itself, and the rate between a fifth and four fifths of its answers."""
    folder = options.work / "jobs" / run_name(options, model)
    workers = [json.loads(path.read_text()) for path in sorted(folder.glob("workers/w*.json"))]
    spans = [span for worker in workers for span in worker.get("spans", {}).values()]
    answers = sum(span["answered"] for span in spans)
    if not answers:
        return None
    seconds = max(span["last"] for span in spans) - min(span["first"] for span in spans)
    total = sum(1 for _ in pictures_of(options, model).open("rb")) - 1
    inner = [(at, count) for at, count in seen if 0.2 * total <= count <= 0.8 * total]
    steady = None
    if total >= STEADY_SAMPLES and len(inner) > 1 and inner[-1][0] > inner[0][0]:
        steady = round((inner[-1][1] - inner[0][1]) / (inner[-1][0] - inner[0][0]), 2)
    return {
        "samples": answers,
        "failed": sum(worker.get("failed", 0) for worker in workers),
        "prompt_tokens": sum(span.get("tokens_in", 0) for span in spans),
        "seconds": round(seconds, 2),
        "samples_per_s": round(answers / seconds, 2),
        "steady_samples_per_s": steady,
    }


# --- vLLM's own ways, in a child ---------------------------------------------------------------------------------


def child(options: argparse.Namespace, model: str) -> int:
    from vllm import LLM, SamplingParams

    items = list(conversations(pictures_of(options, model)))
    args = engine_args(options, model) | {"limit_mm_per_prompt": {"image": IMAGES, "video": 0}}
    began = time.monotonic()
    llm = LLM(model=str(folder_of(options, model)), **args)
    loaded = time.monotonic() - began
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    timing = {"chat": time_chat, "ceiling": time_ceiling}[options.side](llm, params, items)
    print("RESULT " + json.dumps({"samples": len(items), **timing, "load_s": round(loaded, 1)}), flush=True)
    os._exit(0)  # `LLM` may wait for its children for ever when the interpreter ends


def conversations(table: Path) -> Any:
    """Yield each row as the parts of a chat message, its pictures still encoded."""
    import ast
    import base64

    import pandas as pd

    for _, row in pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False).iterrows():
        cell = row["image"]
        images = ast.literal_eval(cell) if cell.startswith("[") else [cell]
        yield [base64.b64decode(image) for image in images], row["question"]


def messages(item: tuple[list[bytes], str], more: str = "") -> list[dict[str, Any]]:
    """Return one conversation with its pictures decoded, which is part of the work on every side."""
    import io

    from PIL import Image

    images, question = item
    parts: list[dict[str, Any]] = [
        {"type": "image_pil", "image_pil": Image.open(io.BytesIO(image)).convert("RGB")} for image in images
    ]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question + more}]}]


def time_chat(llm: Any, params: Any, items: list[Any]) -> dict[str, Any]:
    half = items[: len(items) // 4 or 1]
    began = time.monotonic()
    outputs = llm.chat([messages(item) for item in items], params, use_tqdm=False)
    first = time.monotonic() - began
    began = time.monotonic()
    llm.chat([messages(item, "!") for item in half], params, use_tqdm=False)
    again = time.monotonic() - began
    return {
        "prompt_tokens": prompt_tokens(outputs),
        "seconds": round(first, 2),
        "samples_per_s": round(len(items) / first, 2),
        "steady_samples_per_s": round(len(half) / again, 2),
    }


def time_ceiling(llm: Any, params: Any, items: list[Any]) -> dict[str, Any]:
    """Queue everything while the scheduler sleeps, then time how long it takes awake. Warmed up by a few samples."""
    llm.chat([messages(item, "?") for item in items[:WARM]], params, use_tqdm=False)
    llm.sleep(level=0)
    began = time.monotonic()
    llm.enqueue_chat([messages(item) for item in items], params, use_tqdm=False)
    rendered = time.monotonic() - began
    began = time.monotonic()
    llm.wake_up(tags=["scheduling"])
    outputs = llm.wait_for_completion(use_tqdm=False)
    seconds = time.monotonic() - began
    return {
        "prompt_tokens": prompt_tokens(outputs),
        "rendering_s": round(rendered, 2),
        "seconds": round(seconds, 2),
        "samples_per_s": round(len(items) / seconds, 2),
        "steady_samples_per_s": None,  # there is no telling when which answer came
    }


def prompt_tokens(outputs: list[Any]) -> int:
    return sum(len(output.prompt_token_ids) for output in outputs)


def last_result(log: Path) -> dict[str, Any] | None:
    lines = re.findall(r"^RESULT (.*)$", log.read_text(errors="replace"), re.M)
    return json.loads(lines[-1]) if lines else None


# --- what it comes to --------------------------------------------------------------------------------------------


def report(options: argparse.Namespace) -> int:
    """Print the ratios of the last result of each side, model by model."""
    path = options.work / "results.jsonl"
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        result = json.loads(line)
        latest[result["model"], result["side"]] = result
    for model in made.SIZES:
        rates = {side: latest[model, side] for side in SIDES if (model, side) in latest}
        if "ours" not in rates:
            continue
        line: dict[str, Any] = {"model": model, "report": "ours against"}
        for side in ("ceiling", "chat"):
            if side in rates:
                line |= against(rates["ours"], side, rates[side])
        say(**line)
    return 0


def against(ours: dict[str, Any], side: str, other: dict[str, Any]) -> dict[str, Any]:
    """Return what `ours` is of the `side` called `other`; of sides that did not do the same, why there is no ratio."""
    if ours["failed"]:
        return {side: f"no ratio: {ours['failed']} samples of ours failed"}
    for key in ("engine_args", "prompt_tokens"):
        if key not in other or other[key] != ours.get(key):
            return {side: f"no ratio: {key} {other.get(key)} there, {ours.get(key)} in ours; measure both again, alike"}
    found = {side: round(ours["samples_per_s"] / other["samples_per_s"], 3)}
    if ours["steady_samples_per_s"] and other["steady_samples_per_s"]:
        found[f"{side}, steady"] = round(ours["steady_samples_per_s"] / other["steady_samples_per_s"], 3)
    return found


if __name__ == "__main__":
    sys.exit(main())
