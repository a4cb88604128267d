"""vLLM through its asynchronous engine: continuous batching, one request in, one completion out.

The scheduler and the model run in child processes; a request that vLLM refuses is a `RequestError`, a dead child an
`EngineError`. What vLLM is started with stands in `arguments`, what is done to its processes in `processes`, and how a
request becomes its input in `rendering`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.renderers import ChatParams
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM

from vlmeval_mp.core.errors import ConfigError, EngineError, EngineKilledError, RequestError
from vlmeval_mp.core.records import Completion, RenderedInput, Request, Sampling
from vlmeval_mp.engines import chattemplate, hub
from vlmeval_mp.engines.base import EngineSpec, Ruler
from vlmeval_mp.engines.renderpool import HasPool, RenderPool
from vlmeval_mp.engines.vllm import arguments, measuring, plugin, processes
from vlmeval_mp.engines.vllm.rendering import Rendering, is_refusal, tensor_bytes

LOOK_SECONDS = 0.5
"""Time between two looks after the engine."""
SHUTDOWN_SECONDS = 1.0
"""Time for vLLM's processes to leave by themselves; its default of 5 goes by unused on a GPU, at every worker's end."""


class VllmEngine(HasPool):
    """Serves requests with vLLM. Every field of `AsyncEngineArgs` but `model` is an engine argument."""

    whole_videos = False
    notice = None

    def __init__(self, spec: EngineSpec) -> None:
        arguments.refuse_misspelt(spec)
        self.spec = spec
        self._numbers = itertools.count()
        self._params: dict[Sampling, SamplingParams] = {}
        self._llm: Any = None
        self._rendering: Rendering | None = None
        self._context = 0
        self._turn, self._lock = asyncio.Lock(), threading.Lock()
        self._warm = False
        self._waiting: set[asyncio.Timeout] = set()
        self._watch: asyncio.Task[None] | None = None
        self._core: list[BaseProcess] = []

    def ruler(self) -> Ruler:
        """Return what measures prompts as the engine would make them; reads no weights.

        Raises:
            ConfigError: vLLM refuses the model or an argument.
        """
        try:
            return measuring.ruler(arguments.of(self.spec).create_engine_config(UsageContext.LLM_CLASS))
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
            os.environ[plugin.NAPS] = "1"
            os.environ["OMP_NUM_THREADS"] = "1"  # threads that spin starve others; vLLM gives its model worker its own
        others = multiprocessing.active_children()
        args = arguments.of(self.spec)
        try:
            self._llm = self._load(args)
        except Exception as error:
            failed = EngineError(f"vLLM could not load {self.spec.model}: {error}")
            raise hub.missing(self.spec.model, error) or failed from error
        fresh = [child for child in multiprocessing.active_children() if child not in others]
        self._core = [child for child in fresh if child.name.startswith("EngineCore")]
        torch.set_num_threads(1)  # as vLLM itself does where it is not told
        await self._llm.get_supported_tasks()  # asked of the engine's process; every request up to its answer would ask
        if self.spec.device == "cpu":
            processes.give_way(self._core, naps=plugin.works())
        self._rendering = Rendering(self._llm.renderer)
        if self._pool is not None:
            self._pool.attach()  # its processes warm up themselves
        else:  # `LLM` and `vllm serve` do this; `AsyncLLM` leaves it to its caller
            await asyncio.to_thread(self._llm.renderer.warmup, ChatParams())
            self._warm = True
        self._watch = asyncio.create_task(self._look_after_the_engine())

    def _load(self, args: AsyncEngineArgs) -> AsyncLLM:
        """Return the engine with its weights loaded; render processes get ready meanwhile, unless all is text."""
        usage = UsageContext.LLM_CLASS  # batches sized for throughput
        config = args.create_engine_config(usage)
        self._context = config.model_config.max_model_len
        if config.parallel_config.distributed_executor_backend == "uni":
            os.environ.setdefault(plugin.GATE, "1")
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
        return processes.exit_code(self._core)

    async def _look_after_the_engine(self) -> None:
        """Do from time to time what waits, in vLLM, for an occasion that may never come.

        Version 0.26 lets go of an input that it has sent when it sends another; while such inputs fill the memory
        there is for rendering, there is none to send. And vLLM fails the requests it knows when a child dies; one that
        is just being added would wait for ever.
        """
        while not self._llm.errored:
            if hasattr(self._llm.engine_core, "free_pending_messages"):
                self._llm.engine_core.free_pending_messages()
            await asyncio.sleep(LOOK_SECONDS)
        while True:
            for patience in self._waiting:
                patience.reschedule(0)
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self._close_pool()
        if self._llm is not None:
            llm, self._llm = self._llm, None
            children = multiprocessing.active_children()
            left = processes.family(child.pid for child in children if child.pid)
            if llm.output_handler is not None:  # else it may log the end of its engine as a death, traceback and all
                llm.output_handler.cancel()
            await asyncio.to_thread(llm.shutdown, SHUTDOWN_SECONDS)
            processes.end(left, children)

    async def _prompt(self, request: Request) -> Any:
        """Return the request as vLLM's engine takes it: rendered one by one, each handed on before the next begins.

        A text is rendered right here, unless that would have to wait: handing it to a thread and back takes longer. The
        first one in a worker with render processes is not, since what it needs is loaded first, which takes seconds.
        """
        assert self._rendering is not None
        async with self._turn:
            await asyncio.sleep(0)  # answers are looked after between any two
            if self._warm and not request.images and not request.videos and self._lock.acquire(blocking=False):
                try:
                    return self._rendering(request)
                finally:
                    self._lock.release()
            return await asyncio.to_thread(self._render, request)

    def rendered(self, request: Request) -> Request:
        """Return `request` rendered right here, for `generate` at any later time.

        Raises:
            RequestError: the template, the tokenizer or the processor refuses the request.
        """
        made = self._render(request)
        rendered = RenderedInput(made, tensor_bytes(made.get("mm_kwargs")))
        return dataclasses.replace(request, images=(), videos=(), rendered=rendered)

    def _render(self, request: Request) -> Any:
        assert self._rendering is not None
        with self._lock:  # a tokenizer serves one thread at a time
            made = self._rendering(request)
            self._warm = True
            return made

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
