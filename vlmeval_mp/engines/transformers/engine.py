"""Any model that transformers loads as image-text-to-text, batched through the shared micro-batcher.

Owns how a batch of requests becomes one `generate` call and back; how it becomes that call's inputs is `inputs`'
matter, and can be that of render processes. Slower than vLLM, and runs models that vLLM does not have. On the CPU,
weights are float32 by default, as in the vLLM engine: answers then agree between the two.
The model's own sampling defaults are not used; what a request says is all there is.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, BatchFeature, GenerationConfig

from vlmeval_mp.core.errors import ConfigError, EngineError, RequestError, VlmevalError
from vlmeval_mp.core.records import Completion, Request, Sampling
from vlmeval_mp.engines import chattemplate, hub
from vlmeval_mp.engines.base import EngineSpec, Length, Ruler, arguments
from vlmeval_mp.engines.microbatch import MicroBatcher
from vlmeval_mp.engines.renderpool import HasPool, RenderPool
from vlmeval_mp.engines.transformers import inputs as making
from vlmeval_mp.engines.transformers.inputs import Inputs, Tensors

log = logging.getLogger("vlmeval_mp.worker")


class TransformersArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's arguments. `dtype` "" means float32 on the CPU and the model's own elsewhere.

    `batch_size` is halved for good when a batch does not fit into memory. `wait` is how many seconds a batch may fill.
    `max_model_len` bounds prompt and answer together; 0 takes the model's. `model` and `processor` are passed on to
    their `from_pretrained`.
    """

    dtype: str = ""
    batch_size: int = 16
    wait: float = 0.02
    max_model_len: int = 0
    trust_remote_code: bool = False
    revision: str = "main"
    model: dict[str, Any] = {}
    processor: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """A request in a batch, with its inputs if a render process has made them."""

    request: Request
    inputs: Tensors | None

    @property
    def shape(self) -> tuple[Sampling, tuple[str, ...], bool, bool]:
        """A key that is equal for items that can share a `generate` call."""
        r = self.request
        return r.sampling, tuple(sorted(self.inputs or ())), bool(r.images), bool(r.videos)


class TransformersEngine(HasPool):
    """Serves requests with transformers' `generate`."""

    whole_videos = False
    notice = None

    def __init__(self, spec: EngineSpec) -> None:
        self.args = arguments("transformers", spec.args, TransformersArgs)
        if spec.tensor_parallel > 1:
            raise ConfigError("engine 'transformers' runs on one GPU; use --tp 1, or --engine vllm")
        self.spec = spec
        self._model: Any = None
        self._inputs: Inputs | None = None
        self._batcher = MicroBatcher(self._answer, self.args.batch_size, self.args.wait)

    def ruler(self) -> Ruler:
        """Return what measures prompts as `generate` makes them; loads the processor and no weights.

        Raises:
            EngineError: the processor cannot be loaded.
        """
        try:
            self._load_inputs()
            config = AutoConfig.from_pretrained(self.spec.model, **self._common()).get_text_config()
        except Exception as error:
            raise self._not_loaded(error) from None
        return Ruler(self.args.max_model_len or config.max_position_embeddings, self._length)

    def _length(self, request: Request) -> Length:
        assert self._inputs is not None
        try:
            (row,) = self._inputs([request])["input_ids"].tolist()
        except (ValueError, RuntimeError) as error:
            raise RequestError(chattemplate.reason(error)) from error
        names = ("image_token_id", "video_token_id")
        media = {found for name in names if (found := getattr(self._inputs.processor, name, None)) is not None}
        return Length(len(row), sum(token in media for token in row))

    async def start(self) -> None:
        try:
            await asyncio.to_thread(self._load_inputs)
            self._start_pool()
            await asyncio.to_thread(self._load)
        except Exception as error:
            raise self._not_loaded(error) from error
        if self._pool is not None:
            self._pool.attach()

    def _start_pool(self) -> None:
        """Start render processes, which get ready while the weights load, where they are of use."""
        spec = self.spec
        if not spec.render_processes or not spec.max_images + spec.max_videos:
            return
        assert self._inputs is not None
        if not self._inputs.can_put_together(spec.max_images, spec.max_videos):
            log.info("inputs of this model's processor are those of a batch; the worker makes them by itself")
            return
        target = "vlmeval_mp.engines.transformers.inputs:build"
        self._pool = RenderPool(spec.render_processes, target, making.packed(spec.model, self._options()))
        self._pool.start()

    def _not_loaded(self, error: Exception) -> VlmevalError:
        said = f"transformers could not load {self.spec.model}: {chattemplate.reason(error)}"
        return hub.missing(self.spec.model, error) or EngineError(said)

    async def generate(self, request: Request) -> Completion:
        inputs = None if request.rendered is None else request.rendered.take()
        return await self._batcher.submit(Item(request, inputs))

    async def close(self) -> None:
        await self._close_pool()
        await self._batcher.close()
        self._model = self._inputs = None

    def _load(self) -> None:
        dtype = self.args.dtype or ("float32" if self.spec.device == "cpu" else "auto")
        model = AutoModelForImageTextToText.from_pretrained(
            self.spec.model, **self._common(), **({"dtype": dtype} | self.args.model)
        )
        self._model = model.to(self.spec.device).eval()
        assert self._inputs is not None
        tokenizer = self._inputs.tokenizer
        ends = model.generation_config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [tokenizer.eos_token_id if ends is None else ends])
        model.generation_config = GenerationConfig(eos_token_id=sorted(self._ends), pad_token_id=tokenizer.pad_token_id)
        self._longest = self.args.max_model_len or model.config.get_text_config().max_position_embeddings

    def _common(self) -> dict[str, Any]:
        return {"trust_remote_code": self.args.trust_remote_code, "revision": self.args.revision}

    def _options(self) -> dict[str, Any]:
        return self._common() | self.args.processor

    def _load_inputs(self) -> None:
        self._inputs = Inputs(self.spec.model, self._options())

    def _answer(self, items: Sequence[Item]) -> list[Completion]:
        """Return all completions, in order; items that cannot share a `generate` call are answered apart."""
        answers: dict[int, Completion] = {}
        numbered = sorted(enumerate(items), key=lambda pair: repr(pair[1].shape))
        for _, group in itertools.groupby(numbered, key=lambda pair: pair[1].shape):
            places, alike = zip(*group, strict=True)
            try:
                answers.update(zip(places, self._generate(alike), strict=True))
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                raise MemoryError(chattemplate.reason(error)) from error
            except torch.AcceleratorError as error:
                raise EngineError(f"the GPU failed: {chattemplate.reason(error)}") from error
        return [answers[place] for place in range(len(items))]

    def _batch(self, items: Sequence[Item]) -> BatchFeature:
        assert self._inputs is not None
        singles = [item.inputs for item in items if item.inputs is not None]
        return self._inputs.together(singles) if singles else self._inputs([item.request for item in items])

    def _generate(self, items: Sequence[Item]) -> list[Completion]:
        sampling = items[0].request.sampling
        inputs = self._batch(items).to(self._model.device, dtype=self._model.dtype)
        prompt = inputs["input_ids"].shape[1]
        if prompt >= self._longest:
            raise RequestError(f"the prompt has {prompt} tokens; the model takes {self._longest} with the answer")
        room = min(sampling.max_tokens, self._longest - prompt)
        with torch.inference_mode():
            made = self._model.generate(**inputs, **self._generation(sampling), max_new_tokens=room)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._completion(row[prompt:], n, sampling) for row, n in zip(made.tolist(), lengths, strict=True)]

    @property
    def _tokenizer(self) -> Any:
        assert self._inputs is not None
        return self._inputs.tokenizer

    def _generation(self, sampling: Sampling) -> dict[str, Any]:
        if sampling.presence_penalty:
            raise RequestError("transformers has no presence_penalty; leave it out or use --engine vllm")
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        chosen: dict[str, Any] = {"repetition_penalty": sampling.repetition_penalty, "do_sample": False}
        if sampling.temperature > 0:
            drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": max(0, sampling.top_k)}
            chosen |= {"do_sample": True, **drawn}
        if sampling.stop:
            chosen |= {"stop_strings": list(sampling.stop), "tokenizer": self._tokenizer}
        return chosen

    def _completion(self, tokens: list[int], prompt_tokens: int, sampling: Sampling) -> Completion:
        end = next((n for n, token in enumerate(tokens) if token in self._ends), None)
        # an answer cut inside a character ends in replacement characters; vLLM leaves them out, and so do we
        text = self._tokenizer.decode(tokens[:end], skip_special_tokens=True).rstrip("\ufffd")
        cuts = [text.index(stop) for stop in sampling.stop if stop in text]
        return Completion(
            text=text[: min(cuts)] if cuts else text,
            finish_reason="length" if end is None and not cuts else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(tokens) if end is None else end + 1,
        )
