"""Train the bundled model on the training scans: `python -m vlmeval_mp.demo.train [--steps N] [--device D] [--out F]`.

Seeded; the same kind of processor and library versions give the same lessons and weights that differ in the last bits
at most. Prompts come from `vlmeval_mp.prompts` and the chat
template of the model itself, so that training sees what evaluation sends. Only the reply is learnt.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from vlmeval_mp.demo import blueprint, digits, lessons
from vlmeval_mp.demo.digits import Cells, Pixels
from vlmeval_mp.demo.lessons import Lesson
from vlmeval_mp.requests import prompts

SEED = 20240601
PICTURES = 44
CLIPS = 20
"""Lessons of a step."""
BLIND_STEPS = 1500
LEARNING_RATE = 2e-3
Tensors = dict[str, torch.Tensor]
PAIRS = digits.SAMPLED_FRAMES // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000, help="steps of the whole schedule")
    parser.add_argument("--stop-at", type=int, default=0, help="end after so many of them (default: all)")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    scans, _ = digits.split()
    tokenizer = blueprint.tokenizer(_corpus(rng, scans))
    processor, model = blueprint.processor(tokenizer), blueprint.model(tokenizer).to(args.device)
    processor.save_pretrained(args.out)
    words = len(processor.tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {words} tokens", flush=True)  # noqa: T201
    train(model, processor, rng, scans, (args.steps, args.stop_at or args.steps), args.out)


def train(
    model: Any, processor: Any, rng: random.Random, scans: Sequence[int], steps: tuple[int, int], out: Path
) -> None:
    """Run a schedule of steps as far as the second number says, the first `BLIND_STEPS` without pictures.

    The weights are saved every 250 steps and at the end.
    """
    whole, last = steps
    _multiply_instead_of_convolving(model)
    # on a CPU, the backward pass of the fused attention costs as much as all the rest together
    model.set_attn_implementation({"text_config": "eager"})
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=whole, pct_start=0.03, cycle_momentum=False
    )
    model.train()
    began, smooth = time.monotonic(), 0.0
    for step in range(1, last + 1):
        optimizer.zero_grad()
        mean = 0.0
        for batch, share in _batches(processor.tokenizer, rng, scans, blind=step <= BLIND_STEPS):
            with torch.autocast(model.device.type, dtype=torch.bfloat16):
                loss = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).loss * share
            loss.backward()
            mean += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        smooth = mean if step == 1 else 0.98 * smooth + 0.02 * mean
        if step % 50 == 0:
            print(f"step {step}  loss {smooth:.4f}  {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        if step % 250 == 0 or step == last:
            save(model, out)


def save(model: Any, out: Path) -> None:
    """Write the weights as bfloat16, in stock format."""
    from transformers import Qwen2VLForConditionalGeneration

    narrow = Qwen2VLForConditionalGeneration(model.config).to(torch.bfloat16)
    narrow.load_state_dict(model.state_dict())
    narrow.generation_config = model.generation_config
    narrow.config.dtype = torch.bfloat16
    narrow.save_pretrained(out)


def prompt_of(tokenizer: Any, lesson: Lesson) -> str:
    """Return the lesson as the model is asked, one placeholder for each picture or clip."""
    messages = [
        {"role": message.role, "content": [msgspec.to_builtins(part) for part in message.parts]}
        for message in prompts.build(lesson.sample)
    ]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def collate(tokenizer: Any, rng: random.Random, batch: Sequence[Lesson], varied: bool = True) -> Tensors:
    """Return the tensors of one step, padded on the right; labels are the reply and its end."""
    rows = [_tokens(tokenizer, lesson) for lesson in batch]
    images: list[Pixels] = []
    clips: list[Pixels] = []
    for lesson in batch:
        cells = [_varied(rng, digits.cells_of(scan)) if varied else digits.cells_of(scan) for scan in lesson.scans]
        pictures = [digits.picture(ink) for ink in cells]
        if lesson.sample.media[0].kind == "video":
            clips += [digits.on_strip(picture) for picture in pictures]
        else:
            images += pictures
    return (
        _padded(tokenizer, rows)
        | (_vision("pixel_values", "image_grid_thw", images, 1, 1) if images else {})
        | (_vision("pixel_values_videos", "video_grid_thw", clips, PAIRS, 2) if clips else {})
    )


def _batches(tokenizer: Any, rng: random.Random, scans: Sequence[int], blind: bool) -> list[tuple[Tensors, float]]:
    """Return the batches of one step, each with its share in the loss.

    Clips apart, since their prompts are twice as long.
    """
    if blind:
        return [(blindfolded(tokenizer, [_closed(rng, scans) for _ in range(PICTURES + CLIPS)]), 1.0)]
    pictures = [lessons.about_pictures(rng, scans) for _ in range(PICTURES)]
    clips = [lessons.about_clips(rng, scans) for _ in range(CLIPS)]
    both = PICTURES + CLIPS
    return [(collate(tokenizer, rng, pictures), PICTURES / both), (collate(tokenizer, rng, clips), CLIPS / both)]


def _closed(rng: random.Random, scans: Sequence[int]) -> Lesson:
    return (lessons.choice if rng.random() < 0.6 else lessons.yes_no)(rng, rng.choice(scans))


def blindfolded(tokenizer: Any, batch: Sequence[Lesson]) -> Tensors:
    """Return lessons without their pictures: the prompt names the digit, and only the answer that follows from it is
    learnt.

    Matching a digit with its option is what takes longest to be found. Alone it is found within a few hundred steps;
    beside pictures that cannot be read yet, it was not within 700.
    """
    rows = []
    for lesson in batch:
        ask = _VISION.sub("", prompt_of(tokenizer, lesson))
        *told, answer = tokenizer.encode(lesson.reply)
        rows.append((tokenizer.encode(ask) + told, [answer, tokenizer.eos_token_id]))
    tensors = _padded(tokenizer, rows)
    del tensors["mm_token_type_ids"]
    return tensors


_VISION = re.compile(r"<\|vision_start\|>.*?<\|vision_end\|>")


def _tokens(tokenizer: Any, lesson: Lesson) -> tuple[list[int], list[int]]:
    """Return the prompt, every placeholder repeated as often as its picture or clip has tokens, and the
    reply with its end.
    """
    ask = prompt_of(tokenizer, lesson)
    side = blueprint.PATCH * blueprint.MERGE
    square = (digits.SIDE // side) ** 2
    for placeholder, count in (("<|image_pad|>", square), ("<|video_pad|>", PAIRS * square * 2)):
        ask = ask.replace(placeholder, placeholder * count)
    return tokenizer.encode(ask), [*tokenizer.encode(lesson.reply), tokenizer.eos_token_id]


def _padded(tokenizer: Any, rows: Sequence[tuple[list[int], list[int]]]) -> Tensors:
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad([torch.tensor(ask + reply) for ask, reply in rows], True, tokenizer.pad_token_id)
    labels = pad([torch.tensor([-100] * len(ask) + reply) for ask, reply in rows], True, -100)
    image, video = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
    return {
        "input_ids": ids,
        "attention_mask": (ids != tokenizer.pad_token_id).long(),
        "labels": labels,
        "mm_token_type_ids": (ids == image).int() + 2 * (ids == video).int(),
    }


def _vision(values: str, grids: str, frames: Sequence[Pixels], pairs: int, aspect: int) -> Tensors:
    side = digits.SIDE // blueprint.PATCH
    return {values: _patches(frames), grids: torch.tensor([[pairs, side, side * aspect]] * (len(frames) // pairs))}


def _corpus(rng: random.Random, scans: Sequence[int]) -> list[str]:
    drawn = [draw(rng, scans) for draw in (lessons.about_pictures, lessons.about_clips) for _ in range(2000)]
    return [f"user\n{prompts.text(lesson.sample)}\nassistant\n{lesson.reply}" for lesson in drawn]


def _varied(rng: random.Random, cells: Cells) -> Cells:
    """Return the scan a little turned, scaled, shifted and faded, so that 1,397 scans do not get learnt by heart."""
    from scipy.ndimage import affine_transform

    turn, scale = rng.gauss(0, 0.12), 1 + rng.gauss(0, 0.07)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix[0, 1] += rng.gauss(0, 0.1)
    shift = np.array([rng.gauss(0, 0.35), rng.gauss(0, 0.35)])
    centre = np.array([3.5, 3.5])
    moved = affine_transform(cells, matrix, offset=centre - matrix @ centre + shift, order=1)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 0.5, moved.shape)
    faded: Cells = np.clip(moved * rng.uniform(0.85, 1.15) + noise, 0, 16).round()
    return faded


def _patches(frames: Sequence[Pixels]) -> torch.Tensor:
    """Return frames as the processor would hand them to the model, each one held for a pair."""
    pixels = torch.from_numpy(np.stack(frames)).float().permute(0, 3, 1, 2) / 127.5 - 1
    count, colours, height, width = pixels.shape
    patch, merge = blueprint.PATCH, blueprint.MERGE
    down, across = height // (patch * merge), width // (patch * merge)
    tiles = pixels.reshape(count, colours, down, merge, patch, across, merge, patch)
    tiles = tiles.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)
    return tiles.expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(-1, colours * 2 * patch * patch)


def _multiply_instead_of_convolving(model: Any) -> None:
    """A Conv3d whose stride is its kernel is a matrix product, which is ten times faster to train on a CPU."""
    embed = model.model.visual.patch_embed
    embed.forward = lambda patches: torch.nn.functional.linear(patches, embed.proj.weight.flatten(1))


if __name__ == "__main__":
    main()
