"""Makes the prediction of a sample: builds the prompt, opens its media, asks the engine.

A sample that cannot be served becomes a prediction with an error. Knows nothing of queues, shards or checkpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import msgspec

from vlmeval_mp.core import credentials
from vlmeval_mp.core.errors import MediaError, RequestError
from vlmeval_mp.core.records import (
    Completion,
    Draft,
    Job,
    ModelSpec,
    Prediction,
    Request,
    RunSpec,
    Sample,
    SampleOrigin,
)
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.engines import registry
from vlmeval_mp.engines.base import CanRender, Engine, EngineSpec, NotRenderedError, RendersInPlace
from vlmeval_mp.pool.worker import refusals
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.preparing import Preparer
from vlmeval_mp.requests import media, prompts, videoas
from vlmeval_mp.requests.longmedia import takes_long
from vlmeval_mp.requests.videoas import VideoAs

log = logging.getLogger("vlmeval_mp.worker")

PREPARED_BYTES = 1 << 30
"""Decoded pixels, and inputs made of them, in this process's memory above which nothing further is prepared."""
MOST_OPENERS = 8
"""Threads that open media, and render them where the engine does that in place."""

Noted = Callable[[Job, Sample], AbstractContextManager[None]]


class Refusal(Prediction, frozen=True):
    """A prediction whose error is the engine's word, not the fault of the sample's row or media."""


class Asker:
    """Asks one engine about the samples of one model's jobs, with at most `window_size` requests in the engine.

    `in_engine` counts the requests that the engine has now, `rendering` those that are being prepared for it; `changed`
    is called whenever either changes. `tokens_in` and `tokens_out` are those of all answers so far. `datasets` are
    those of `jobs` by job name. `in_flight` is entered with a sample while the engine has it, and `opening`,
    in a thread, while its media are opened.

    Raises:
        ConfigError: the engine refuses its arguments.
    """

    def __init__(
        self,
        spec: RunSpec,
        model: ModelSpec,
        jobs: Mapping[str, Job],
        datasets: Mapping[str, Dataset],
        assignment: Assignment,
        in_flight: Noted = lambda *_: nullcontext(),
        opening: Noted = lambda *_: nullcontext(),
    ) -> None:
        self._noted, self._noted_opening = in_flight, opening
        self._spec, self._model, self._datasets = spec, model, datasets
        by_name = {d.name: d for d in spec.datasets}
        self._data = {name: by_name[job.dataset] for name, job in jobs.items()}
        self._benchmarks = {name: Path(data.path).stem for name, data in self._data.items()}
        self.engine = self._build_engine(assignment)
        self._videos: dict[str, VideoAs] = {}
        self.window_size = assignment.window or registry.entry(model.engine).window
        self.window = asyncio.Semaphore(self.window_size)
        self.in_engine = self.rendering = 0
        self.tokens_in = self.tokens_out = 0
        self.changed: Callable[[], None] = lambda: None
        self._draining = self._folds = self._takes_system = False
        if self._roles() != prompts.ONE_TURN and registry.refuses_system(model.engine, model.path):
            self._fold("its chat template refuses one")
        cores = len(os.sched_getaffinity(0))
        self.openers = min(MOST_OPENERS, cores)
        # what is rendered here is rendered by one thread at a time; a further one only takes its core from the model
        quick = max(1, min(MOST_OPENERS, cores - isinstance(self.engine, RendersInPlace)))
        self._preparer = Preparer[Request](self.openers, PREPARED_BYTES, quick=quick)

    def drain(self) -> None:
        """Give the engine nothing more; `predict` returns None for a sample that the engine does not have yet."""
        self._draining = True

    async def predict(self, job: Job, sample: Sample) -> Prediction | None:
        """Return the sample's prediction, or None if `drain` was called before the engine had it.

        Raises:
            EngineError: the engine cannot go on.
        """
        try:
            if sample.error:
                raise MediaError(sample.error)
            draft = self.draft(job, sample)
            try:
                done = await self._ask(job, sample, draft)
            except RequestError as error:
                done = await self._ask_folded(job, sample, draft, error)
            else:
                self._takes_system |= prompts.has_system(draft.messages)
            if done is None:
                return None
            if not isinstance(done.text, str):
                raise RequestError(f"the engine answered with {type(done.text).__name__} in place of text")
        except RequestError as error:
            told = refusals.told(str(error), sample)
            outcome = failed(sample, credentials.masked(told, os.environ))
            return outcome if isinstance(error, MediaError) else Refusal(**msgspec.structs.asdict(outcome))
        self.tokens_in += done.prompt_tokens
        self.tokens_out += done.completion_tokens
        return Prediction(
            index=sample.index,
            row=sample.row,
            prediction=done.text,
            finish_reason=done.finish_reason,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
        )

    async def _ask(self, job: Job, sample: Sample, draft: Draft) -> Completion | None:
        """Return what the engine says to `draft`; None if `drain` was called before the engine had it."""
        request = await self._render(job, sample, draft)
        held = contextlib.ExitStack()
        held.callback(self._preparer.release, request.nbytes)
        if request.rendered is not None:
            request.rendered.on_take = held.close
        with held:
            async with self.window:
                if self._draining:
                    return None
                self._count(in_engine=1)
                try:
                    with self._noted(job, sample):
                        return await self.engine.generate(request)
                finally:
                    self._count(in_engine=-1)

    async def _ask_folded(self, job: Job, sample: Sample, draft: Draft, refusal: RequestError) -> Completion | None:
        """Ask `draft` again with its system turn inside the user's turn, if the engine refused the system turn.

        Raises:
            RequestError: it is not, or the engine refuses this too: `refusal`.
        """
        about = refusals.about_system(str(refusal)) and prompts.has_system(draft.messages)
        if not about or self._takes_system:
            raise refusal
        try:
            done = await self._ask(job, sample, dataclasses.replace(draft, messages=prompts.folded(draft.messages)))
        except RequestError:
            raise refusal from None
        self._fold(str(refusal))
        return done

    def _fold(self, refusal: str) -> None:
        """Put every system turn into the user's from now on, because the model's chat template knows none."""
        if not self._folds:
            self._folds = True
            log.warning("%s takes no system turn (%s): it goes to the head of the user's", self._model.name, refusal)

    def _count(self, *, in_engine: int = 0, rendering: int = 0) -> None:
        self.in_engine += in_engine
        self.rendering += rendering
        self.changed()

    async def _render(self, job: Job, sample: Sample, draft: Draft) -> Request:
        self._count(rendering=1)
        try:
            return await self._open(job, sample, draft) if sample.media else _without_media(draft)
        finally:
            self._count(rendering=-1)

    def _roles(self) -> str:
        """Return what becomes of roles; `roles: user` in a config means that there is no other turn at all."""
        if self._model.roles == "user":
            return prompts.ONE_TURN
        return self._model.roles or registry.entry(self._model.engine).roles

    def draft(self, job: Job, sample: Sample) -> Draft:
        """Return what `sample` asks, its media still files."""
        data = self._data[job.name]
        benchmark = self._benchmarks[job.name]
        messages = prompts.build(
            sample,
            data.prompt,
            model=self._model.prompt,
            dataset=benchmark,
            system=self._model.system_prompt,
            roles=self._roles(),
        )
        messages = prompts.folded(messages) if self._folds else messages
        folder = self._datasets[job.name].folder
        return Draft(
            id=sample.index,
            messages=messages,
            sampling=self._model.sampling,
            folder=folder,
            limits=self._spec.media,
            nframe=data.nframe,
            fps=data.fps,
            video=self._video_as(job.name),
            processor=self._model.processor.get(benchmark, {}),
            origin=SampleOrigin(sample, data, folder),
        )

    async def _open(self, job: Job, sample: Sample, draft: Draft) -> Request:
        """Return the request of `draft`: rendered, where the engine has processes for it, else with its media open."""
        if isinstance(self.engine, CanRender) and self.engine.renders:
            with contextlib.suppress(NotRenderedError):
                return await self.engine.render(draft)
        return await self._preparer.prepare(partial(self._opened, job, sample, draft), long=takes_long(draft))

    def _opened(self, job: Job, sample: Sample, draft: Draft) -> Request:
        """Return the request of `draft` with its media open, and rendered where the engine does that; in any thread.

        Decoding and rendering in one go keeps them in step: pictures that are decoded far ahead take the cores from
        rendering, and the engine gets them one by one. While the worker drains, nobody will ask what comes of it.
        """
        if self._draining:
            return _without_media(draft)
        with self._noted_opening(job, sample):  # a decoder or a processor may take this process with it
            request = media.open_draft(draft)
            if self._draining or not isinstance(self.engine, RendersInPlace):
                return request
            return self.engine.rendered(request)

    # --- the engine and how videos go to it ------------------------------------------------------------------------

    def _build_engine(self, assignment: Assignment) -> Engine:
        counts = [
            videoas.most_media(videoas.of_job(self._model, data), self._datasets[name].info, data, self._spec.media)
            for name, data in self._data.items()
        ]
        spec = EngineSpec(
            model=self._model.path,
            args=assignment.engine_args,
            device=assignment.device,
            tensor_parallel=assignment.tensor_parallel,
            max_images=max((images for images, _ in counts), default=0),
            max_videos=max((videos for _, videos in counts), default=0),
            window=assignment.window,
            render_processes=assignment.render_processes,
        )
        self.engine_spec = spec
        return registry.engine_class(self._model.engine)(spec)

    def _video_as(self, job: str) -> VideoAs:
        """Return how the videos of `job` go; the engine, which has started, knows whether it opens files itself."""
        if job not in self._videos:
            self._videos[job] = videoas.of_job(self._model, self._data[job], opens_files=self.engine.whole_videos)
        return self._videos[job]


def _without_media(draft: Draft) -> Request:
    return Request(draft.id, draft.messages, draft.sampling, origin=draft.origin)


def failed(sample: Sample, reason: str) -> Prediction:
    """Return the prediction of a sample that has no answer and will get none."""
    return Prediction(index=sample.index, row=sample.row, error=reason)
