"""What `bench_gpu` needs on disk: a model of a real size without weights, and pictures that no cache has seen.

The model folder has a real architecture's configuration and a made-up tokenizer with the real vocabulary's size; vLLM
fills in random weights (`load_format: dummy`). Pictures come from TSV files in VLMEvalKit's form, or are noise; each
copy of one differs in a corner, so that neither a processor's cache nor the engine's takes it for another.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'].startswith('video') %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Size:
    """A model, the longer side of its pictures in pixels (0: as they are), and copies of each picture."""

    architecture: str
    vocabulary: int
    side: int
    repeat: int


SIZES = {
    "2b": Size("Qwen2VLForConditionalGeneration", 151_936, 0, 8),
    "7b": Size("Qwen2_5_VLForConditionalGeneration", 152_064, 1280, 2),
    "demo": Size("Qwen2VLForConditionalGeneration", 0, 0, 1),
}


def model(size: Size, folder: Path) -> Path:
    """Write the model folder, unless it is there."""
    if (folder / "preprocessor_config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    ids = _tokenizer(size.vocabulary, folder)
    config = _config(size, ids)
    config.architectures = [size.architecture]
    config.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    written["torch_dtype"] = written["dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(written, indent=2))
    processor = "Qwen2VLProcessor" if size.architecture.startswith("Qwen2VL") else "Qwen2_5_VLProcessor"
    pictures = {
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": processor, "do_convert_rgb": True,
        "min_pixels": 3136, "max_pixels": 12_845_056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures, indent=2))
    return folder


def _tokenizer(vocabulary: int, folder: Path) -> dict[str, int]:
    """Write a tokenizer of bytes; the rest of the vocabulary are words that no text has. Return the special ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {byte: number for number, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    words.update({f"w{number:06d}": number for number in range(len(words), vocabulary - len(SPECIAL))})
    bare = Tokenizer(models.BPE(vocab=words, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    end, pad = "<|im_end|>", "<|endoftext|>"
    others = [token for token in SPECIAL if token not in (end, pad)]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token=end, pad_token=pad, additional_special_tokens=others
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return {token: fast.convert_tokens_to_ids(token) for token in SPECIAL}


def _config(size: Size, ids: dict[str, int]) -> Any:
    common = {
        "image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"],
    }  # fmt: skip
    text = {
        "vocab_size": size.vocabulary, "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"], "max_position_embeddings": 32768, "num_hidden_layers": 28,
        "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    if size.architecture.startswith("Qwen2VL"):
        from transformers import Qwen2VLConfig

        text |= {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2}
        vision = {
            "depth": 32, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16, "mlp_ratio": 4, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        }  # fmt: skip
        tied = {"tie_word_embeddings": True}
        return Qwen2VLConfig(text_config=text | tied, vision_config=vision, **tied, **common)
    from transformers import Qwen2_5_VLConfig

    text |= {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4}
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2,
    }  # fmt: skip
    return Qwen2_5_VLConfig(text_config=text | {"tie_word_embeddings": False}, vision_config=vision, **common)


# --- pictures ----------------------------------------------------------------------------------------------------


def pictures(size: Size, repeat: int, sources: list[Path], path: Path, questions: int = 1) -> int:
    """Write a TSV of `questions` about each picture, `repeat` times those of `sources`; return how many rows it has."""
    rows = list(_rows(sources)) or list(_noise())
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write("index\timage\tquestion\tanswer\n")
        for copy in range(repeat):
            for images, question in rows:
                cells = [_encoded(image, size.side, number, place) for place, image in enumerate(images)]
                cell = cells[0] if len(cells) == 1 else str(cells)
                for which in range(questions):
                    label = f"{copy}.{which}" if questions > 1 else f"{copy}"
                    text = " ".join(f"{question} #{label}".split()).replace('"', "'")
                    file.write(f'{number}\t"{cell}"\t"{text}"\tnone\n')
                    number += 1
    part.rename(path)
    return number


def _rows(sources: list[Path]) -> Iterator[tuple[list[bytes], str]]:
    import pandas as pd

    for source in sources:
        if not source.exists():
            continue
        table = pd.read_csv(source, sep="\t", dtype=str, keep_default_na=False)
        cells = dict(zip(table["index"], table["image"], strict=True))
        for _, row in table.iterrows():
            cell = cells[row["image"]] if len(row["image"]) <= 64 else row["image"]
            images = ast.literal_eval(cell) if cell.startswith("[") else [cell]
            options = "".join(f" {letter}. {row[letter]}" for letter in "ABCDE" if row.get(letter))
            yield [base64.b64decode(image) for image in images], row["question"] + options


def _noise() -> Iterator[tuple[list[bytes], str]]:
    """Yield 200 pictures of noise, up to 512 pixels wide, where there are none to read."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(200):
        height, width = (int(side) for side in draw.integers(256, 512, 2))
        coarse = Image.fromarray(draw.integers(0, 255, (height // 8, width // 8, 3), np.uint8))
        yield [_jpeg(coarse.resize((width, height)))], f"What is in picture {number}?"


def _encoded(image: bytes, side: int, number: int, place: int) -> str:
    """Return base64 of the picture, scaled, with a corner that is its own."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        picture = opened.convert("RGB")
    if side:
        factor = side / max(picture.size)
        picture = picture.resize(
            (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC
        )
    draw = random.Random(f"{number}-{place}")
    corner = Image.new("RGB", (8, 8), tuple(draw.randrange(256) for _ in range(3)))
    picture.paste(corner, (0, 0))
    return base64.b64encode(_jpeg(picture)).decode()


def _jpeg(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()
