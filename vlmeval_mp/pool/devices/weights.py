"""The size of a model, read from its folder: parameters, bytes, and bytes per token in the KV cache.

Reads headers and file sizes, never a tensor. Where only `config.json` is there, the parameters are
estimated from its layer sizes and the value says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BYTES = {
    "F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
NAMES = {"F32": "float32", "BF16": "bf16", "F16": "fp16", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
ODD = (TypeError, KeyError, AttributeError)
"""Errors of a value with another shape: some configs have a list, a width per layer, where others have a number."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights. `floats` are bytes stored as floats of 32 or 16 bits, which an engine may convert.

    `dtype` is the type of most bytes ("" unknown), `kv_token` bytes of keys and values of one token at 16 bits (0
    unknown), `estimated`: from `config.json` alone.
    """

    parameters: int
    nbytes: int
    floats: int = 0
    dtype: str = ""
    kv_token: int = 0
    estimated: bool = False


def weigh(model: str, cache: Path | None = None) -> Weights | None:
    """Return the weights of a local folder, or of a hub id that is in Hugging Face's cache; None if neither is there.

    `cache` is where the hub's files are kept; None leaves that to its library and environment.
    """
    folder = folder_of(model, cache)
    if folder is None:
        return None
    config = _config(folder)
    kv = _or_unknown(kv_token, config)
    try:
        found = _safetensors(folder) or _binaries(folder)
    except (OSError, ValueError, *ODD):
        found = None
    if found is not None:
        return Weights(found.parameters, found.nbytes, found.floats, found.dtype, kv)
    count = _or_unknown(estimate, config)
    said = DTYPES.get(str(config.get("torch_dtype") or config.get("dtype")), "BF16")
    size = count * BYTES[said]
    return Weights(count, size, size, said, kv, estimated=True) if count else None


def folder_of(model: str, cache: Path | None = None) -> Path | None:
    """Return the folder of a local model, or of a hub id that is in the local cache; None if neither is there."""
    return Path(model) if Path(model).is_dir() else cached(model, cache)


def cached(model: str, cache: Path | None = None) -> Path | None:
    """Return the folder of a hub id in Hugging Face's cache, at its main revision; None if there is none."""
    if model.count("/") != 1:
        return None
    import huggingface_hub

    try:
        found = huggingface_hub.try_to_load_from_cache(model, "config.json", cache_dir=cache)
    except huggingface_hub.errors.HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _safetensors(folder: Path) -> Weights | None:
    counts = Counter[str]()
    paths = sorted(folder.glob("*.safetensors"))
    if paths:
        import huggingface_hub

        try:
            for path in paths:
                counts.update(huggingface_hub.parse_local_safetensors_file_metadata(path).parameter_count)
        except huggingface_hub.errors.SafetensorsParsingError as error:
            raise ValueError(str(error)) from error
    if not counts:
        return None
    sizes = {dtype: count * BYTES.get(dtype, 1) for dtype, count in counts.items()}
    floats = sum(size for dtype, size in sizes.items() if dtype in ("F32", "BF16", "F16"))
    return Weights(counts.total(), sum(sizes.values()), floats, max(sizes, key=lambda d: sizes[d]))


def _binaries(folder: Path) -> Weights | None:
    """Return sizes of PyTorch's own files, taken for 16-bit floats."""
    size = sum(path.stat().st_size for path in folder.glob("*.bin") if "training_args" not in path.name)
    return Weights(size // 2, size, size) if size else None


# --- what a config alone tells ---------------------------------------------------------------------------------------


def _or_unknown(tell: Callable[[Mapping[str, Any]], int], config: Mapping[str, Any]) -> int:
    """Return what `tell` reads off `config`; 0 for one that is laid out otherwise: no config may stop a launch."""
    try:
        return tell(config)
    except (ValueError, *ODD):
        return 0


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), dict):
            return {**config, **config[key]}
    return config


def _heads(text: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return attention heads, key-value heads, width of a head."""
    heads = int(text.get("num_attention_heads") or 0)
    grouped = int(text.get("num_key_value_heads") or heads)
    width = int(text.get("head_dim") or (int(text.get("hidden_size") or 0) // heads if heads else 0))
    return heads, grouped, width


def kv_token(config: Mapping[str, Any]) -> int:
    """Return bytes of keys and values of one token at 16 bits: 2 x layers x key-value heads x head width x 2.

    0 if unknown.
    """
    text = _text(config)
    _, grouped, width = _heads(text)
    return 2 * int(text.get("num_hidden_layers") or 0) * grouped * width * 2


def estimate(config: Mapping[str, Any]) -> int:
    """Return parameters of a transformer with a gated feed-forward part, from its layer sizes; 0 where they are not
    given.

    Per text layer: query and output 2·h·heads·width, key and value 2·h·kv·width, feed-forward 3·h·i per expert. Plus
    the embeddings, twice if they are not tied, and a vision tower of depth·(4·d² + 2·d·i).
    """
    text = _text(config)
    hidden, layers = int(text.get("hidden_size") or 0), int(text.get("num_hidden_layers") or 0)
    heads, grouped, width = _heads(text)
    experts = int(text.get("num_experts") or text.get("num_local_experts") or 1)
    narrow = text.get("moe_intermediate_size") if experts > 1 else 0
    inner = int(narrow or text.get("intermediate_size") or 4 * hidden)
    layer = 2 * hidden * heads * width + 2 * hidden * grouped * width + 3 * hidden * inner * experts
    tables = 1 if config.get("tie_word_embeddings", text.get("tie_word_embeddings")) else 2
    vision = config.get("vision_config")
    return layers * layer + tables * int(text.get("vocab_size") or 0) * hidden + _tower(vision if vision else {})


def _tower(vision: Mapping[str, Any]) -> int:
    deep = int(vision.get("depth") or vision.get("num_hidden_layers") or 0)
    wide = int(vision.get("embed_dim") or vision.get("hidden_size") or 0)
    inner = int(vision.get("intermediate_size") or wide * float(vision.get("mlp_ratio") or 4))
    return deep * (4 * wide * wide + 2 * wide * inner)
