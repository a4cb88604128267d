"""The arguments that vLLM starts with: defaults for evaluations, and the user's own arguments, which win.

On the CPU, weights are float32 by default, as in the transformers engine: answers then agree between the two.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs

from vlmeval_mp.core.errors import ConfigError, refuse_unknown
from vlmeval_mp.engines import hub
from vlmeval_mp.engines.base import EngineSpec

CPU_KV_CACHE = 1 << 30
"""Bytes of KV cache on the CPU unless told otherwise: several workers share the machine's memory."""
LEAST_SEQS = 256
"""vLLM's own `max_num_seqs` where that is least; on large GPUs it is 1024."""


def refuse_misspelt(spec: EngineSpec) -> None:
    """Raise `ConfigError` for a user's argument that vLLM does not have."""
    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)} - {"model"}
    refuse_unknown("engine 'vllm': there is no argument", spec.args, known)


def of(spec: EngineSpec) -> AsyncEngineArgs:
    """Return the arguments of the engine that `spec` describes.

    Raises:
        ConfigError: vLLM refuses one.
        DependencyError: the model's files are not to be had.
    """
    try:
        return AsyncEngineArgs(model=spec.model, **(defaults(spec) | spec.args))
    except (TypeError, ValueError) as error:
        raise hub.missing(spec.model, error) or ConfigError(f"engine 'vllm': {error}") from error
    except Exception as error:
        if missing := hub.missing(spec.model, error):
            raise missing from error
        raise


def defaults(spec: EngineSpec) -> dict[str, Any]:
    """Return engine arguments that an evaluation wants; the caller's win over them. None of them changes an answer.

    `max_model_len` -1 is the model's own where the KV cache holds it, else the most that it holds: without it, vLLM
    refuses to start a model of a long context on a small GPU. A length taken from the data would be shorter, and some
    models look at it: Llama 4 scales its attention by it, others cut pictures to it.
    """
    chosen: dict[str, Any] = {
        "seed": 0,
        "max_model_len": -1,
        "tensor_parallel_size": spec.tensor_parallel,
        "limit_mm_per_prompt": {"image": spec.max_images, "video": spec.max_videos},
        "disable_log_stats": True,
        "enable_log_requests": False,
    }
    if 0 < spec.window < LEAST_SEQS:  # no more can be in the engine, and graphs for more would be captured in vain
        chosen["max_num_seqs"] = spec.window
    if spec.device == "cpu":
        chosen |= {"dtype": "float32", "enforce_eager": True}
        if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            chosen["kv_cache_memory_bytes"] = CPU_KV_CACHE
    return chosen
