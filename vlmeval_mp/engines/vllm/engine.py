"""vLLM through its asynchronous engine: continuous batching, one request in, one completion out.

Owns which defaults an evaluation wants, and the life of vLLM's processes and of the render processes beside them. The
scheduler and the model run in child processes; a request that vLLM refuses is a `RequestError`, a dead child an
`EngineError`. How a request becomes vLLM's input is `rendering`'s matter.

On the CPU, weights are float32 by default, as in the transformers engine: answers then agree between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import psutil
import torch
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.renderers import ChatParams
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM

from vlmeval_mp.core.errors import ConfigError, EngineError, EngineKilledError, RequestError, refuse_unknown
from vlmeval_mp.core.records import Completion, RenderedInput, Request, Sampling
from vlmeval_mp.engines import chattemplate, hub
from vlmeval_mp.engines.base import EngineSpec, Ruler
from vlmeval_mp.engines.renderpool import HasPool, RenderPool
from vlmeval_mp.engines.vllm import measuring
from vlmeval_mp.engines.vllm.rendering import Rendering, is_refusal

CPU_KV_CACHE = 1 << 30
"""Bytes of KV cache on the CPU unless told otherwise: several workers share the machine's memory."""
SMALL_PIXELS = 1 << 14
"""Pixels of a request's images up to which processing them is quicker than handing them to a thread and back."""
LEAST_SEQS = 256
"""vLLM's own `max_num_seqs` where that is least; on large GPUs it is 1024."""
SCHEDULER_NICE = 5
DEATH_CHECK_SECONDS = 0.5
KILL_SECONDS = 5.0
EXIT_SECONDS = 0.5
"""Time for the exit code of a process that has died to be known."""


class VllmEngine(HasPool):
    """Serves requests with vLLM. Every field of `AsyncEngineArgs` but `model` is an engine argument."""

    whole_videos = False
    notice = None

    def __init__(self, spec: EngineSpec) -> None:
        known = {field.name for field in dataclasses.fields(AsyncEngineArgs)} - {"model"}
        refuse_unknown("engine 'vllm': there is no argument", spec.args, known)
        self.spec = spec
        self._numbers = itertools.count()
        self._params: dict[Sampling, SamplingParams] = {}
        self._llm: Any = None
        self._rendering: Rendering | None = None
        self._context = 0
        self._turn = asyncio.Lock()
        self._waiting: set[asyncio.Timeout] = set()
        self._watch: asyncio.Task[None] | None = None
        self._core: list[BaseProcess] = []

    def ruler(self) -> Ruler:
        """Return what measures prompts as the engine would make them; reads no weights.

        Raises:
            ConfigError: vLLM refuses the model or an argument.
        """
        try:
            return measuring.ruler(self._arguments().create_engine_config(UsageContext.LLM_CLASS))
        except Exception as error:
            refused = ConfigError(f"engine 'vllm': {chattemplate.reason(error)}")
            raise hub.missing(self.spec.model, error) or refused from error

    async def start(self) -> None:
        # a fork would inherit the worker's threads half alive
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # nothing is in flight any more when an engine is closed, so that its processes need not be waited for
        os.environ.setdefault("VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", "1")
        if self.spec.device == "cpu":
            os.environ["OMP_NUM_THREADS"] = "1"  # threads that spin starve others; vLLM gives its model worker its own
        others = multiprocessing.active_children()
        args = self._arguments()
        try:
            self._llm = self._load(args)
        except Exception as error:
            failed = EngineError(f"vLLM could not load {self.spec.model}: {error}")
            raise hub.missing(self.spec.model, error) or failed from error
        fresh = [child for child in multiprocessing.active_children() if child not in others]
        self._core = [child for child in fresh if child.name.startswith("EngineCore")]
        torch.set_num_threads(1)  # as vLLM itself does where it is not told
        # `LLM` and `vllm serve` warm up; `AsyncLLM` leaves it to its caller, and the first requests would pay
        await asyncio.to_thread(self._llm.renderer.warmup, ChatParams())
        await self._llm.get_supported_tasks()  # asked of the engine's process; every request up to its answer would ask
        if self.spec.device == "cpu":
            give_way()
        self._rendering = Rendering(self._llm.renderer)
        if self._pool is not None:
            self._pool.attach()
        self._watch = asyncio.create_task(self._end_waiting_with_the_engine())

    def _arguments(self) -> AsyncEngineArgs:
        try:
            return AsyncEngineArgs(model=self.spec.model, **(defaults(self.spec) | self.spec.args))
        except (TypeError, ValueError) as error:
            raise hub.missing(self.spec.model, error) or ConfigError(f"engine 'vllm': {error}") from error
        except Exception as error:
            if missing := hub.missing(self.spec.model, error):
                raise missing from error
            raise

    def _load(self, args: AsyncEngineArgs) -> AsyncLLM:
        """Return the engine with its weights loaded; render processes get ready meanwhile, unless all is text."""
        usage = UsageContext.LLM_CLASS  # batches sized for throughput
        config = args.create_engine_config(usage)
        self._context = config.model_config.max_model_len
        if self.spec.render_processes and self.spec.max_images + self.spec.max_videos:
            import cloudpickle  # type: ignore[import-untyped]

            target = "vlmeval_mp.engines.vllm.rendering:build"
            self._pool = RenderPool(self.spec.render_processes, target, cloudpickle.dumps(config))
            self._pool.start()
        return AsyncLLM.from_vllm_config(
            config,
            usage_context=usage,
            enable_log_requests=args.enable_log_requests,
            disable_log_stats=args.disable_log_stats,
        )

    def limits(self) -> dict[str, Any]:
        """Return what bounds the engine's work: what the user said, what we chose and what vLLM made of it."""
        return measuring.settings(self._llm.vllm_config, self._context) if self._llm is not None else {}

    async def generate(self, request: Request) -> Completion:
        llm = self._llm
        try:
            async with asyncio.timeout(None) as patience:
                self._waiting.add(patience)
                final = await self._answer(request)
        except Exception as error:
            if llm.errored:
                raise self._died(error) from error
            if isinstance(error, RequestError) or not is_refusal(error):
                raise
            raise RequestError(chattemplate.reason(error)) from error
        finally:
            self._waiting.discard(patience)
        return self._completion(final)

    async def _answer(self, request: Request) -> Any:
        """Return vLLM's last output for `request`.

        Does what `AsyncLLM.generate` does, which would hold the input until the answer is complete: inputs of a whole
        window of pictures are gigabytes.
        """
        llm, number = self._llm, str(next(self._numbers))
        params = self._sampling(request.sampling)
        if request.rendered is not None:
            queue = await llm.add_request(number, request.rendered.take(), params)
        else:
            queue = await llm.add_request(number, await self._prompt(request), params)
        try:
            while True:
                output = queue.get_nowait() or await queue.get()
                if output.finished:
                    return output
        except BaseException:
            if not llm.errored:
                await llm.abort(queue.request_id, internal=True)
            raise
        finally:
            queue.close()

    def _died(self, error: Exception) -> EngineError:
        """Return what to raise for a dead engine: somebody else's signal to its one process blames no sample.

        Of several processes vLLM ends those that are left by a signal of its own, which would look the same.
        """
        if self._exit_code in (-signal.SIGKILL, -signal.SIGTERM):
            name = signal.Signals(-self._exit_code).name
            return EngineKilledError(f"vLLM's engine was killed by {name} from outside")
        return EngineError(f"vLLM's engine died: {error or 'its process is gone'}")

    @functools.cached_property
    def _exit_code(self) -> int:
        """How vLLM's one process ended, negative for a signal; 0 of several, or where it is not known in time.

        A thread of vLLM's waits for the process, too. While that one has collected the exit code and not kept it yet,
        there seems to be none.
        """
        if len(self._core) != 1:
            return 0
        end = time.monotonic() + EXIT_SECONDS
        while (code := self._core[0].exitcode) is None and time.monotonic() < end:
            time.sleep(0.01)
        return code or 0

    async def _end_waiting_with_the_engine(self) -> None:
        """vLLM fails the requests it knows when a child dies; one that is just being added would wait for ever."""
        while not self._llm.errored:
            await asyncio.sleep(DEATH_CHECK_SECONDS)
        while True:
            for patience in self._waiting:
                patience.reschedule(0)
            await asyncio.sleep(DEATH_CHECK_SECONDS)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self._close_pool()
        if self._llm is not None:
            llm, self._llm = self._llm, None
            children = multiprocessing.active_children()
            left = family(child.pid for child in children if child.pid)
            await asyncio.to_thread(llm.shutdown)
            end(left, children)

    async def _prompt(self, request: Request) -> Any:
        """Return the request as vLLM's engine takes it: rendered one by one, each handed on before the next begins.

        Small pictures are rendered right here: handing them to a thread and back takes longer.
        """
        async with self._turn:
            await asyncio.sleep(0)  # answers are looked after between any two
            if sum(i.width * i.height for i in request.images) <= SMALL_PIXELS and not request.videos:
                return self._render(request)
            return await asyncio.to_thread(self._render, request)

    def rendered(self, request: Request) -> Request:
        """Return `request` rendered right here, for `generate` at any later time."""
        return dataclasses.replace(request, images=(), videos=(), rendered=RenderedInput(self._render(request)))

    def _render(self, request: Request) -> Any:
        assert self._rendering is not None
        return self._rendering(request)

    def _sampling(self, sampling: Sampling) -> SamplingParams:
        found = self._params.get(sampling)
        if found is None:
            fields = {name: getattr(sampling, name) for name in sampling.__struct_fields__} | {
                "stop": list(sampling.stop)
            }
            # nobody reads a partial answer, and streaming each token back is a good part of vLLM's overhead
            found = SamplingParams(**fields, output_kind=RequestOutputKind.FINAL_ONLY)
            self._params[sampling] = found
        return found

    def _completion(self, output: Any) -> Completion:
        answer = output.outputs[0]
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason or "stop",
            prompt_tokens=len(output.prompt_token_ids or ()),
            completion_tokens=len(answer.token_ids),
        )


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


def give_way() -> None:
    """Let this process, which feeds vLLM's scheduler, have a core before the scheduler, which spins while it waits.

    Niceness is a property of threads; those that are started later inherit it.
    """
    for scheduler in multiprocessing.active_children():
        with contextlib.suppress(psutil.NoSuchProcess):
            for thread in psutil.Process(scheduler.pid).threads():
                with contextlib.suppress(ProcessLookupError):
                    nicer = os.getpriority(os.PRIO_PROCESS, thread.id) + SCHEDULER_NICE
                    os.setpriority(os.PRIO_PROCESS, thread.id, nicer)  # the kernel takes what is above 19 for 19


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """Return the processes `pids` and all below them, as far as they are still there; any may end at any moment."""
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found.append(process)
            found += process.children(recursive=True)
    return found


def end(processes: Sequence[psutil.Process], children: Sequence[BaseProcess] = ()) -> None:
    """Kill what is left of `processes` and see it gone: vLLM gives up on a child that does not leave by itself.

    Those of them that are `children` of multiprocessing's are collected by it alone. If psutil did that, their exit
    codes would be lost, and multiprocessing would count them as alive for ever.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for child in children:
        child.join(KILL_SECONDS)
    theirs = {child.pid for child in children}
    psutil.wait_procs([process for process in processes if process.pid not in theirs], timeout=KILL_SECONDS)
