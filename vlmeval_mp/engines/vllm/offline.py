"""Runs vLLM in other ways for `bench`: `LLM.chat` with all samples, fixed batches, one by one; and its ceiling.

The ceiling is the engine's speed with inputs that were rendered beforehand and handed over all at once. No evaluation
uses this module.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Draft, Request, TextPart
from vlmeval_mp.engines import chattemplate
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.vllm.arguments import defaults
from vlmeval_mp.engines.vllm.engine import VllmEngine
from vlmeval_mp.requests import media

SIDES = ("one by one", "batches", "chat", "ceiling")
BATCH = 32


def time_side(side: str, spec: EngineSpec, drafts: Sequence[Draft]) -> tuple[list[str], float]:
    """Return the answers to `drafts` and the seconds from the first picture opened to the last answer.

    On the ceiling the pictures were opened and processed before. The weights are loaded before in any case.

    Raises:
        ConfigError: a draft has a video, which `LLM.chat` takes in other ways than we do.
    """
    if side == "ceiling":
        return asyncio.run(_ceiling(spec, drafts))
    if spec.max_videos:
        raise ConfigError("bench compares pictures and texts; choose data sets without videos")
    from vllm import LLM

    args = defaults(spec) | spec.args
    if "max_num_seqs" not in spec.args:
        args.pop("max_num_seqs", None)  # ours follows from the window, which `LLM.chat` does not have
    args.pop("enable_log_requests", None)
    llm = LLM(model=spec.model, **args)
    size = {"one by one": 1, "batches": BATCH, "chat": len(drafts)}[side]
    began = time.perf_counter()
    answers = [answer for start in range(0, len(drafts), size) for answer in _chat(llm, drafts[start : start + size])]
    return answers, time.perf_counter() - began


def _chat(llm: Any, drafts: Sequence[Draft]) -> list[str]:
    """Ask in one call; the samples of a bench all begin or none begins its answer, as their data set has it."""
    from vllm import SamplingParams

    requests = [media.open_draft(draft) for draft in drafts]
    s = requests[0].sampling
    fields = {name: getattr(s, name) for name in s.__struct_fields__} | {"stop": list(s.stop)}
    ending = chattemplate.ending(requests[0])
    found = llm.chat([conversation(r) for r in requests], SamplingParams(**fields), use_tqdm=False, **ending)
    return [output.outputs[0].text for output in found]


def conversation(request: Request) -> list[dict[str, Any]]:
    """Return `request` as the messages of `LLM.chat`."""
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


async def _ceiling(spec: EngineSpec, drafts: Sequence[Draft]) -> tuple[list[str], float]:
    engine = VllmEngine(spec)
    await engine.start()
    ready = [engine.rendered(media.open_draft(draft)) for draft in drafts]
    began = time.perf_counter()
    done = await asyncio.gather(*(engine.generate(request) for request in ready))
    return [completion.text for completion in done], time.perf_counter() - began


def leave() -> None:
    """End this process and its children at once: `LLM` may wait for them for ever when the interpreter ends."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(0)
