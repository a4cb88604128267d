"""Asks vLLM about a model before its weights are read: lengths of prompts, and the limits that vLLM chooses."""

from __future__ import annotations

from typing import Any

from vlmeval_mp.core.records import Request
from vlmeval_mp.engines.base import Length, Ruler
from vlmeval_mp.engines.vllm import rendering


def ruler(config: Any) -> Ruler:
    """Return what measures requests by the renderer of a `vllm_config`, which opens no weights."""
    render = rendering.build(config)

    def measure(request: Request) -> Length:
        made = render(request)
        places = made.get("mm_placeholders") or {}
        media = sum(place.length for several in places.values() for place in several)
        return Length(len(made["prompt_token_ids"]), media)

    return Ruler(config.model_config.max_model_len, measure, settings(config))


def settings(config: Any, context: int = 0) -> dict[str, Any]:
    """Return the limits that decide how much vLLM does at once, as its engine arguments name them.

    `kv_cache_tokens` is there once the cache is, and `model_context` where the cache holds less of it: `context` is how
    long a prompt and its answer might have been.
    """
    multimodal, cache = config.model_config.multimodal_config, config.cache_config
    limits = {} if multimodal is None else {m: multimodal.get_limit_per_prompt(m) for m in ("image", "video")}
    found = {
        "max_model_len": config.model_config.max_model_len,
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        "enable_prefix_caching": bool(cache.enable_prefix_caching),
        "limit_mm_per_prompt": {medium: most for medium, most in limits.items() if most},
    }
    if config.parallel_config.tensor_parallel_size > 1 and multimodal is not None:
        found["mm_encoder_tp_mode"] = multimodal.mm_encoder_tp_mode
    if config.model_config.max_model_len < context:
        found["model_context"] = context
    if cache.num_gpu_blocks:
        found["kv_cache_tokens"] = cache.num_gpu_blocks * cache.block_size
    return found
