"""A model class of VLMEvalKit, or of the user's own, as an engine.

Calls `generate_batch` through the micro-batcher if the class has it, else `generate` sample by sample, and logs which
of the two. Asks in one thread, because model classes are not made for more. The class draws its answers as its
arguments say: `Sampling` reaches it only if `generate` takes a `sampling` argument. `prompt` makes its input, `answer`
reads its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import EngineError, RequestError
from vlmeval_mp.core.records import Completion, Json, Request
from vlmeval_mp.engines import chattemplate
from vlmeval_mp.engines.base import ENCODERS, EngineSpec, arguments
from vlmeval_mp.engines.microbatch import MicroBatcher, Outcome
from vlmeval_mp.engines.modelclass import answer as kitanswer
from vlmeval_mp.engines.modelclass.files import MediaFiles, RequestFiles
from vlmeval_mp.engines.modelclass.prompt import Prompter, dataset_of
from vlmeval_mp.engines.registry import ENGINES
from vlmeval_mp.vlmevalkit import classes

log = logging.getLogger(__name__)

TRACEBACKS = 3
"""So many exceptions of a class are logged whole; a class that fails on all samples must not fill the disk."""
SEED = 1234
"""The seed that VLMEvalKit gives torch when its model classes are imported."""


class VlmevalkitArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's arguments. `class` is VLMEvalKit's or "module:Class"; `kwargs` are its constructor's.

    `batch_size` bounds a `generate_batch` and is halved for good when a batch does not fit into memory; `wait` is how
    many seconds a batch may fill. `folder` is where a user's module lies that is not on PYTHONPATH.
    """

    class_: str = msgspec.field(default="", name="class")
    kwargs: Json = {}
    batch_size: int = 16
    wait: float = 0.02
    folder: str = ""


class VlmevalkitEngine:
    """Serves requests with one instance of a model class."""

    notice = None

    def __init__(self, spec: EngineSpec) -> None:
        self.args = arguments("vlmevalkit", spec.args, VlmevalkitArgs)
        self.name = self.args.class_ or spec.model
        self._class = classes.load(self.name, self.args.folder)
        classes.refuse_arguments(self._class, self.name, self.args.kwargs)
        self._batched = callable(getattr(self._class, "generate_batch", None))
        self._takes = _arguments(self._class.generate_batch if self._batched else self._class.generate)  # type: ignore[attr-defined]
        self._model: Any = None
        self._prompter: Prompter | None = None
        self._files = MediaFiles()
        self._batcher: MicroBatcher[RequestFiles] = MicroBatcher(
            self._answer, self.args.batch_size if self._batched else 1, self.args.wait
        )
        self._threads = spec.window or ENGINES["vlmevalkit"].window
        self._pool: ThreadPoolExecutor | None = None
        self._encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode")
        self._shown = 0

    @property
    def whole_videos(self) -> bool:
        return bool(getattr(self._model or self._class, "VIDEO_LLM", False))

    async def start(self) -> None:
        log.info("%s", self._choice())
        try:
            self._model = await asyncio.to_thread(self._construct)
        except ImportError as error:
            raise classes.missing(self.name, error) from error
        except (Exception, SystemExit) as error:
            raise EngineError(
                f"{self.name} could not be made: {credentials.masked(_named(error), os.environ)}"
            ) from error
        self._prompter = Prompter(self._model, self._takes)
        if getattr(self._model, "is_api", False) and not self._batched:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="ask")
            log.info("%s: asked in up to %d threads, because it says is_api", self.name, self._threads)

    async def generate(self, request: Request) -> Completion:
        asked = await asyncio.get_running_loop().run_in_executor(self._encoders, self._files.of, request)
        try:
            if self._pool is None:
                completion = await self._batcher.submit(asked)
            else:
                completion = await asyncio.get_running_loop().run_in_executor(self._pool, self._answer_alone, asked)
        finally:
            self._files.discard(asked)
        return completion

    async def close(self) -> None:
        await self._batcher.close()
        self._encoders.shutdown(wait=False)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown)
        self._files.close()
        self._model = self._prompter = None
        gc.collect()

    # --- the model's thread ----------------------------------------------------------------------------------------

    def _choice(self) -> str:
        if self._batched:
            return f"{self.name}: generate_batch gets up to {self.args.batch_size} samples a call, as the class has it"
        return f"{self.name}: generate is called sample by sample, as the class has no generate_batch"

    def _construct(self) -> Any:
        logging.getLogger("vlmeval").setLevel(logging.WARNING)  # at INFO, its API classes log their key
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.manual_seed(SEED)
        return self._class(**self.args.kwargs)

    def _answer(self, asked: Sequence[RequestFiles]) -> list[Outcome]:
        """Return all outcomes, in order. Samples of several data sets or samplings are asked apart."""
        outcomes: dict[int, Outcome] = {}
        groups: dict[Any, list[int]] = {}
        for place, each in enumerate(asked):
            groups.setdefault(self._alike(each.request), []).append(place)
        for places in groups.values():
            found = self._guarded([asked[place] for place in places])
            outcomes.update(zip(places, found, strict=True))
        return [outcomes[place] for place in range(len(asked))]

    def _alike(self, request: Request) -> tuple[Any, ...]:
        frames = (request.origin.data.nframe, request.origin.data.fps) if request.origin else ()
        return dataset_of(request), frames, request.sampling if "sampling" in self._takes else ()

    def _answer_alone(self, asked: RequestFiles) -> Completion:
        try:
            outcome = self._guarded([asked])[0]
        except (EngineError, RequestError):
            raise
        except Exception as error:
            raise RequestError(chattemplate.reason(error)) from error
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    def _guarded(self, asked: Sequence[RequestFiles], *, again: bool = True) -> list[Outcome]:
        """Return outcomes of samples that share a call; what the GPU says of itself becomes what `MicroBatcher`
        understands.

        A sample that does not fit alone is asked once more with what other samples left behind given back.
        """
        torch = sys.modules.get("torch")
        try:
            with torch.no_grad() if torch is not None else contextlib.nullcontext():
                return self._call(asked)
        except Exception as error:
            if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
                failure: Exception = MemoryError(chattemplate.reason(error))
            elif isinstance(error, getattr(torch, "AcceleratorError", ())) or "CUDA error" in str(error):
                raise EngineError(f"the GPU failed: {chattemplate.reason(error)}") from error
            elif isinstance(error, RequestError | MemoryError) or len(asked) > 1:
                raise
            else:
                raise RequestError(self._fault(error)) from error
        # outside the handler: its traceback would keep the failed call's tensors alive
        torch.cuda.empty_cache()
        if again and len(asked) == 1:
            return self._guarded(asked, again=False)
        raise failure

    def _fault(self, error: Exception) -> str:
        """Return what an exception of the class says; the log has where the first few came from."""
        if self._shown < TRACEBACKS:
            self._shown += 1
            log.warning("%s failed on a sample", self.name, exc_info=error)
        return credentials.masked(_named(error), os.environ)

    def _call(self, asked: Sequence[RequestFiles]) -> list[Outcome]:
        assert self._prompter is not None
        messages = [self._prompter.message(each) for each in asked]
        extra = self._prompter.arguments(asked[0].request)
        if not self._batched:
            return [kitanswer.outcome(self._model.generate(message, **extra), self._model) for message in messages]
        answers = self._model.generate_batch(messages, **extra)
        if not isinstance(answers, list | tuple) or len(answers) != len(messages):
            got = f"{len(answers)} answers" if isinstance(answers, list | tuple) else type(answers).__name__
            raise RequestError(f"generate_batch gave {got} for {len(messages)} samples; it must give a list, in order")
        return [kitanswer.outcome(answer, self._model) for answer in answers]


def _named(error: BaseException) -> str:
    name, said = type(error).__name__, chattemplate.reason(error)
    return said if said == name else f"{name}: {said}"


def _arguments(method: Callable[..., Any]) -> frozenset[str]:
    """Return which of "dataset" and "sampling" a method takes.

    `**kwargs` takes a data set, as VLMEvalKit's API classes do.
    """
    parameters = inspect.signature(method).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return frozenset(n for n in ("dataset", "sampling") if n in parameters or (n == "dataset" and anything))
