"""The model before training: configuration, tokenizer, chat template and processor, written out by hand.

Qwen2-VL's architecture, shrunk until two CPU cores train it in minutes. Everything is saved in stock format, so that
`AutoModelForImageTextToText`, `AutoProcessor` and vLLM load it like any other Qwen2-VL, without a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCABULARY = 512
PATCH = 14
MERGE = 2
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 224 * 224}
"""Pictures of the benchmark keep their size; others are scaled to at most 64 tokens, to stay quick on a CPU."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] in ('image', 'image_url') -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] in ('video', 'video_url') -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'text' -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def tokenizer(texts: Iterable[str]) -> Any:
    """Return a byte-level BPE tokenizer whose merges are learnt from `texts`; any text can be encoded.

    A digit with its space, and a letter that stands alone, are tokens of their own, the same in option and reply.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bytewise = Tokenizer(models.BPE())
    bytewise.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d|\b[A-Z]\b"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bytewise.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bytewise.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        extra_special_tokens=list(SPECIAL[1:2] + SPECIAL[3:]),
        model_max_length=32768,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def processor(words: Any) -> Any:
    """Return the stock processor around a tokenizer."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    common = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=dict(PIXELS), **common),
        video_processor=Qwen2VLVideoProcessor(size=dict(PIXELS), cap_pixels_per_frame=False, **common),
        tokenizer=words,
        chat_template=CHAT_TEMPLATE,
    )


def model(words: Any) -> Any:
    """Return the model with random weights."""
    from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

    ids = dict(zip(SPECIAL, words.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    ends = {"eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"], "bos_token_id": None}
    # with the usual 0.02 a net this narrow never leaves the plateau on which every option is equally likely
    spread = {"initializer_range": 0.08}
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(words),
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "use_sliding_window": False,
            "tie_word_embeddings": True,
            **ends,
            **spread,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 128,
            "hidden_size": 128,
            "num_heads": 4,
            "mlp_ratio": 3,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            **spread,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        **ends,
        **spread,
    )
    built = Qwen2VLForConditionalGeneration(config)
    built.generation_config = GenerationConfig(do_sample=False, max_new_tokens=64, **ends)
    return built
