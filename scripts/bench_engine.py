"""Times vLLM's offline `LLM.chat` with all samples in one call against `VllmEngine` fed through a window of requests.

Each side runs in a process of its own, one after the other: load, warm up on inverted pictures (not with `--cold`),
then `--rounds` times from first request to last answer with every cache cleared. Prints one JSON object; the exit code
says whether the answers are equal. Run it through `scripts/bench-engine`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vlmeval_mp.core.records import DataSpec, Media, MediaLimits, Request, Sampling, TextPart
from vlmeval_mp.datasets import store as datasets
from vlmeval_mp.requests import media, prompts

SAMPLING = Sampling(max_tokens=16)
MAX_MODEL_LEN = 4096


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(ROOT / "vlmeval_mp/demo/model"))
    parser.add_argument("--data", default=str(ROOT / "vlmeval_mp/demo/data/DigitsMCQ.tsv"))
    parser.add_argument("--window", type=int, default=0, help="0: the engine's default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="one round, straight after loading")
    parser.add_argument("--side", choices=("chat", "engine"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cold:
        options.rounds = 1
    if options.side:
        requests = load(Path(options.data))
        answers, seconds = SIDES[options.side](options, requests)
        print("RESULT " + json.dumps({"answers": answers, "seconds": seconds}), flush=True)
        leave()
    sides = {side: run_side(side) for side in SIDES}
    return report(sides)


def run_side(side: str) -> dict[str, Any]:
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--side", side], env=env, stdout=subprocess.PIPE, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        sys.exit(f"bench-engine: side {side!r} ended with code {done.returncode}; its output is above")
    return json.loads(lines[-1].removeprefix("RESULT "))


def leave() -> NoReturn:
    """End at once: `LLM` may wait for its children for ever when the interpreter ends."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(0)


def report(sides: dict[str, dict[str, Any]]) -> int:
    chat, engine = sides["chat"], sides["engine"]
    samples = len(chat["answers"])
    rates = {side: samples / statistics.median(found["seconds"]) for side, found in sides.items()}
    equal = sum(a == b for a, b in zip(chat["answers"], engine["answers"], strict=True))
    result = {
        "samples": samples,
        "LLM.chat samples/s": round(rates["chat"], 1),
        "VllmEngine samples/s": round(rates["engine"], 1),
        "ratio": round(rates["engine"] / rates["chat"], 3),
        "equal answers": equal,
        "seconds": {side: [round(s, 3) for s in found["seconds"]] for side, found in sides.items()},
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    return 0 if equal == samples else 1


def load(path: Path) -> list[Request]:
    with tempfile.TemporaryDirectory() as store:
        dataset = datasets.prepare(DataSpec(name=path.stem, path=str(path)), Path(store))
        return [
            media.prepare(s.index, prompts.build(s), SAMPLING, dataset.folder, MediaLimits(), 0, 0.0)
            for s in dataset.samples(0, len(dataset) - 1)
        ]


def inverted(requests: list[Request]) -> list[Request]:
    from PIL import ImageOps

    return [Request(r.id, bare(r).messages, r.sampling, (ImageOps.invert(r.images[0]),)) for r in requests[:64]]


def bare(request: Request) -> Request:
    """Without digests, so that an altered picture is never taken for the original."""
    import msgspec

    cleared = tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(
                p if isinstance(p, TextPart) else msgspec.structs.replace(p, media=Media(kind="image"))
                for p in message.parts
            ),
        )
        for message in request.messages
    )
    return Request(request.id, cleared, request.sampling, request.images)


def time_chat(options: argparse.Namespace, requests: list[Request]) -> tuple[list[str], list[float]]:
    from vllm import LLM, SamplingParams

    from vlmeval_mp.engines.base import EngineSpec
    from vlmeval_mp.engines.vllm.arguments import defaults

    args = defaults(EngineSpec(model=options.model, device=device()))
    args.pop("enable_log_requests")
    llm = LLM(model=options.model, max_model_len=MAX_MODEL_LEN, **args)
    params = SamplingParams(temperature=0.0, max_tokens=SAMPLING.max_tokens)

    def ask(asked: list[Request]) -> list[str]:
        found = llm.chat([conversation(r) for r in asked], params, use_tqdm=False)
        return [output.outputs[0].text for output in found]

    if not options.cold:
        ask(inverted(requests))
    answers, seconds = [], []
    for _ in range(options.rounds):
        llm.reset_prefix_cache()
        llm.reset_mm_cache()
        llm.llm_engine.reset_encoder_cache()
        began = time.perf_counter()
        answers = ask(requests)
        seconds.append(time.perf_counter() - began)
    return answers, seconds


def conversation(request: Request) -> list[dict[str, Any]]:
    images = iter(request.images)
    return [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part.text}
                if isinstance(part, TextPart)
                else {"type": "image_pil", "image_pil": next(images)}
                for part in message.parts
            ],
        }
        for message in request.messages
    ]


def time_engine(options: argparse.Namespace, requests: list[Request]) -> tuple[list[str], list[float]]:
    return asyncio.run(_time_engine(options, requests))


async def _time_engine(options: argparse.Namespace, requests: list[Request]) -> tuple[list[str], list[float]]:
    from vlmeval_mp.engines.base import EngineSpec
    from vlmeval_mp.engines.registry import entry
    from vlmeval_mp.engines.vllm.engine import VllmEngine

    engine = VllmEngine(EngineSpec(model=options.model, device=device(), args={"max_model_len": MAX_MODEL_LEN}))
    window = asyncio.Semaphore(options.window or entry("vllm").window)
    await engine.start()

    async def ask(request: Request) -> str:
        async with window:
            return (await engine.generate(request)).text

    if not options.cold:
        await asyncio.gather(*map(ask, inverted(requests)))
    answers, seconds = [], []
    for _ in range(options.rounds):
        await clear_caches(engine._llm)
        began = time.perf_counter()
        answers = await asyncio.gather(*map(ask, requests))
        seconds.append(time.perf_counter() - began)
    await engine.close()
    return answers, seconds


async def clear_caches(llm: Any) -> None:
    """Every cache that the timed requests could profit from; the processor's own has no call for it."""
    await llm.reset_prefix_cache()
    await llm.reset_mm_cache()
    await llm.reset_encoder_cache()
    readonly = getattr(llm.renderer, "_readonly_mm_processor", None)
    cache = readonly.cache if readonly else llm.renderer._mm_processor_only_cache
    if cache is not None:
        cache.clear_cache()


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


SIDES = {"chat": time_chat, "engine": time_engine}

if __name__ == "__main__":
    sys.exit(main())
