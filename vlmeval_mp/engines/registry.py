"""Engines by name. Each is named by a string until it is needed, so that listing them imports nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import ConfigError, DependencyError

if TYPE_CHECKING:
    from vlmeval_mp.engines.base import Engine

ENGINES = {
    "vllm": "vlmeval_mp.engines.vllm.engine:VllmEngine",
    "transformers": "vlmeval_mp.engines.transformers:TransformersEngine",
    "openai": "vlmeval_mp.engines.openai.engine:OpenaiEngine",
    "vlmevalkit": "vlmeval_mp.engines.modelclass.engine:VlmevalkitEngine",
    "fake": "vlmeval_mp.engines.fake:FakeEngine",
}

API_ENGINE = "openai"
DEFAULT_WINDOWS = {"vllm": 256, "transformers": 32, "openai": 32, "vlmevalkit": 32, "fake": 64}
"""Samples in flight per worker that each engine is good for, where nothing else limits them."""

INSTALL = {
    "vllm": "scripts/install (or: pip install 'vlmeval-mp[vllm]')",
    "transformers": "scripts/install (or: pip install 'vlmeval-mp[cpu]')",
    "openai": "pip install 'vlmeval-mp[api]'",
}

ROLES = {"openai": "system", "vlmevalkit": "chat"}
"""What becomes of a video benchmark's system text and begun answer (`videoprompts`) where an engine differs from
"user", as VLMEvalKit's like does: its API classes take the system text apart, a class of its own decides by itself."""

NEUTRAL_ARGUMENTS: dict[str, frozenset[str]] = {
    "vllm": frozenset(
        {"gpu_memory_utilization", "max_num_seqs", "disable_log_stats", "mm_processor_cache_gb", "limit_mm_per_prompt"}
    ),
    "transformers": frozenset({"batch_size", "batch_wait"}),
    "vlmevalkit": frozenset({"batch_size", "wait", "folder"}),
    "openai": frozenset({"api_key_env", "timeout", "max_retries", "wait", "start_wait", "media"}),
    "fake": frozenset(
        {
            "latency",
            "jitter",
            "concurrency",
            "load",
            "die",
            "hang",
            "raise_engine",
            "slow",
            "once",
            "log",
            "child",
            "start_error",
            "oom_above",
        }
    ),
}
"""Arguments that change how fast an engine is, not what it answers; they are not part of a run's fingerprint."""


def engine_class(name: str) -> type[Engine]:
    """The engine class called `name`.

    Raises:
        ConfigError: no engine has that name.
        DependencyError: its library is not installed or does not import; the message holds the install line.
    """
    if name not in ENGINES:
        raise ConfigError(f"no engine is called {name!r}; choose one of {', '.join(ENGINES)}")
    module, _, attribute = ENGINES[name].partition(":")
    try:
        found: type[Engine] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        hint = INSTALL.get(name, "pip install vlmeval-mp")
        raise DependencyError(f"engine {name!r} cannot be imported ({error}); install it with: {hint}") from error
    return found
