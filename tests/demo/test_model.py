"""The committed model: small, loadable offline by stock transformers, and right about digits it never saw."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlmeval_mp.demo import benchmark, digits, lessons
from vlmeval_mp.demo.lessons import Lesson

pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

MODEL = Path(benchmark.__file__).parent / "model"


@pytest.fixture(scope="module")
def processor() -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoProcessor.from_pretrained(MODEL, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.bfloat16, local_files_only=True).eval()


def test_the_model_is_small(model: Any) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) <= 2_000_000
    assert (MODEL / "model.safetensors").stat().st_size <= 4_000_000


def test_the_whole_demo_is_small() -> None:
    files = [path for path in MODEL.parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 6_000_000


@pytest.mark.parametrize("text", ["7", "", "  \n\t ", "\u4f60\u597d " * 2000, "\x00\u202e\U0001f600", "x" * 20_000])
def test_any_text_survives_the_tokenizer(processor: Any, text: str) -> None:
    ids = processor.tokenizer.encode(text)
    assert processor.tokenizer.decode(ids) == text


def test_a_digit_is_the_same_token_in_a_question_an_option_and_a_reply(processor: Any) -> None:
    (seven,) = processor.tokenizer.encode(" 7")
    for text in ("B. 7\n", "The digit is 7.", "Did someone write a 7 here?"):
        assert seven in processor.tokenizer.encode(text), text


def test_the_chat_template_takes_every_role_and_kind_of_part(processor: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "Which?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "7"}]},
    ]
    assert processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|video_pad|><|vision_end|>"
        "Which?<|im_end|>\n"
        "<|im_start|>assistant\n7<|im_end|>\n<|im_start|>assistant\n"
    )


def test_training_sees_what_the_processor_gives(processor: Any) -> None:
    """Token for token and pixel for pixel: the training script has its own, faster way to the same tensors."""
    from vlmeval_mp.demo import train

    rng = random.Random(0)
    scans = digits.split()[0]
    for lesson in (lessons.choice(rng, scans[0]), lessons.row(rng, scans[:2]), lessons.about_clips(rng, scans)):
        taught = train.collate(processor.tokenizer, rng, [lesson], varied=False)
        given = prepare(processor, [lesson])
        length = given["input_ids"].shape[1]
        assert torch.equal(taught["input_ids"][:, :length], given["input_ids"])
        assert torch.equal(taught["mm_token_type_ids"][:, :length].long(), given["mm_token_type_ids"].long())
        for name in set(given) & set(taught) - {"input_ids", "attention_mask", "mm_token_type_ids"}:
            assert torch.allclose(taught[name].float(), given[name].float(), atol=1e-5), name


def test_greedy_answers_are_right(processor: Any, model: Any) -> None:
    rng = random.Random("a few")
    scans = digits.split()[1]
    asked = [ask(rng, scan) for scan in scans[:16] for ask in (lessons.choice, lessons.yes_no, lessons.reading)]
    asked += [lessons.about_clips(rng, scans) for _ in range(16)]
    replies = []
    for start in range(0, len(asked), 16):
        inputs = prepare(processor, asked[start : start + 16])
        tokens = model.generate(**inputs, max_new_tokens=20)[:, inputs["input_ids"].shape[1] :]
        replies += processor.batch_decode(tokens, skip_special_tokens=True)
    right = [reply == lesson.reply for reply, lesson in zip(replies, asked, strict=True)]
    pictures, clips = right[:48], right[48:]
    assert sum(pictures) >= 0.85 * len(pictures), list(zip(replies, asked, strict=True))
    assert sum(clips) >= 0.5 * len(clips), list(zip(replies, asked, strict=True))


def prepare(processor: Any, asked: list[Lesson]) -> dict[str, Any]:
    """What the processor makes of lessons, as an engine would ask it."""
    from vlmeval_mp.demo import train

    images: list[Image.Image] = []
    videos: list[Any] = []
    for lesson in asked:
        pictures = [digits.picture(digits.cells_of(scan)) for scan in lesson.scans]
        if lesson.sample.media[0].kind == "video":
            frames = [digits.on_strip(picture) for picture in pictures for _ in range(2)]
            videos.append(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))
        else:
            images += [Image.fromarray(picture) for picture in pictures]
    return dict(
        processor(
            text=[train.prompt_of(processor.tokenizer, lesson) for lesson in asked],
            images=images or None,
            videos=videos or None,
            padding=True,
            return_tensors="pt",
        )
    )
