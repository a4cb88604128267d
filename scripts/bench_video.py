"""Renders videos in render processes, with the demo's model and no engine, and says what it took.

Makes the clips, renders each in the pool and takes it a moment later, as an engine would. Prints one JSON object: the
highest memory of the worker, of its processes and of what was rendered and not yet taken, and CPU seconds of either.
Exit code 0 only if every input equals that of the worker, memory kept to its bound and the worker decoded nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

os.environ["OMP_NUM_THREADS"] = "1"  # as a worker has it

import numpy as np
import psutil

from vlmeval_mp.core.records import Draft, Media, MediaLimits, Message, Sampling, TextPart, VideoPart
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.renderpool import RenderPool
from vlmeval_mp.requests import media

MODEL = ROOT / "vlmeval_mp" / "demo" / "model"
WIDTH, HEIGHT = 1920, 1080
MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--frames", type=int, default=48, help="of each clip, of which 8 are taken")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--most-mib", type=int, default=256, help="of rendered inputs in memory")
    parser.add_argument("--compared", type=int, default=3, help="inputs that are rendered in the worker, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        drafts = [draft(clip(Path(folder), number, options.frames)) for number in range(options.clips)]
        made = time.monotonic() - began
        found = asyncio.run(render(options, drafts))
    print(json.dumps({"clips": options.clips, "made_s": round(made, 1), **found}, indent=2))
    return 0 if found["equal"] and found["bounded"] and found["worker CPU s"] < found["processes CPU s"] / 4 else 1


def clip(folder: Path, number: int, frames: int) -> Path:
    """Write a clip whose every frame is another one."""
    import av

    path = folder / f"{number}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        ramp = np.linspace(0, 255, WIDTH, dtype=np.uint8)
        for at in range(frames):
            pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
            pixels[..., 0], pixels[..., 1], pixels[..., 2] = np.roll(ramp, 40 * at), (at * 5) % 256, (number * 6) % 256
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def draft(path: Path) -> Draft:
    video = VideoPart(media=Media(kind="video", file=str(path), digest=path.stem))
    parts = (video, TextPart(text="What happens?"))
    return Draft(path.stem, (Message(role="user", parts=parts),), Sampling(), path.parent, MediaLimits(), nframe=8)


async def render(options: argparse.Namespace, drafts: list[Draft]) -> dict[str, Any]:
    import cloudpickle
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.renderers.registry import renderer_from_config
    from vllm.usage.usage_lib import UsageContext

    from vlmeval_mp.engines.vllm.arguments import defaults
    from vlmeval_mp.engines.vllm.rendering import Rendering

    spec = EngineSpec(str(MODEL), max_images=0, max_videos=1)
    args = AsyncEngineArgs(model=spec.model, **{**defaults(spec), "max_model_len": 32768})
    config = args.create_engine_config(UsageContext.LLM_CLASS)
    target = "vlmeval_mp.engines.vllm.rendering:build"
    pool = RenderPool(options.processes, target, cloudpickle.dumps(config), options.most_mib * MIB)
    pool.start()
    pool.attach()
    await asyncio.gather(*(taken(pool, each, 0.0) for each in drafts[: 2 * options.processes]))  # they are up now
    watch = Watch(pool)
    before, began = watch.cpu(), time.monotonic()
    sizes = await asyncio.gather(*(taken(pool, each, 0.2) for each in drafts))
    seconds, after = time.monotonic() - began, watch.cpu()
    peaks = watch.end()
    rendering = Rendering(renderer_from_config(config))
    equal = 0
    for each in drafts[: options.compared]:
        request = await pool.render(each)
        assert request.rendered is not None
        equal += same(request.rendered.take(), rendering(media.open_draft(each)))
    await pool.close()
    return {
        "seconds": round(seconds, 1),
        "MiB rendered": round(sum(sizes) / MIB),
        "MiB held at most": round(peaks["held"] / MIB),
        "MiB of the worker at most": round(peaks["worker"] / MIB),
        "MiB of each process at most": round(peaks["process"] / MIB),
        "worker CPU s": round(after[0] - before[0], 2),
        "processes CPU s": round(after[1] - before[1], 2),
        "compared": options.compared,
        "equal": equal == options.compared,
        "bounded": peaks["held"] <= options.most_mib * MIB + 2 * options.processes * max(sizes),
    }


async def taken(pool: RenderPool, wanted: Draft, after: float) -> int:
    """Take the input as an engine does, `after` seconds from when it is there; return its bytes."""
    request = await pool.render(wanted)
    await asyncio.sleep(after)
    assert request.rendered is not None
    return sum(leaf.nbytes for leaf in tensors(request.rendered.take()))


def tensors(value: Any) -> list[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]  # their order is a matter of the process's hash seed
    elif hasattr(value, "__dict__"):
        value = list(vars(value).values())
    elif hasattr(type(value), "data") and not isinstance(value, str | bytes | int | float):
        value = [value.data]
    return [leaf for each in value for leaf in tensors(each)] if isinstance(value, list | tuple) else []


def same(one: Any, other: Any) -> bool:
    import torch

    ours, theirs = tensors(one), tensors(other)
    return bool(ours) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


class Watch:
    """Looks at the memory of the worker and its render processes from a thread."""

    def __init__(self, pool: RenderPool) -> None:
        self._pool, self._own = pool, psutil.Process()
        self._processes = [psutil.Process(pid) for pid in pool.pids]
        self._peaks = {"held": 0, "worker": 0, "process": 0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            seen = {
                "held": self._pool.held_bytes,
                "worker": self._own.memory_info().rss,
                "process": max(process.memory_info().rss for process in self._processes),
            }
            self._peaks = {name: max(value, seen[name]) for name, value in self._peaks.items()}

    def cpu(self) -> tuple[float, float]:
        """Return CPU seconds of the worker and of its processes."""
        return sum(self._own.cpu_times()[:2]), sum(sum(p.cpu_times()[:2]) for p in self._processes)

    def end(self) -> dict[str, int]:
        self._over.set()
        self._thread.join()
        return self._peaks


if __name__ == "__main__":
    sys.exit(main())
