"""VLMEvalKit's model classes and model shortcuts, and their settings here. Facts only.

`CLASSES` has one line per class, with the defaults of ms-vlmeval 0.0.20's constructor; `MODELS` one per shortcut. What
is done with them is `vlmevalkit`'s matter. A class that is not here runs in VLMEvalKit itself (`engine: vlmevalkit`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelClass:
    """The defaults of a model class, which its kwargs can change.

    `sampling` holds what it draws with; `always_greedy`: VLMEvalKit's vLLM path ignores the sampling kwargs.
    `builder` is the template of its own prompts; `foreign`: it has own prompts that are not known here. `video`: it
    takes a video as such (`VIDEO_LLM`), not its frames as images. `roles` is its way to send roles, if not "user".
    `floors` are the `min_pixels` of data sets for which it ignores the value in its kwargs.
    """

    max_tokens: int
    builder: str = ""
    pixels: bool = False
    foreign: bool = False
    always_greedy: bool = False
    sampling: dict[str, Any] = field(default_factory=dict)
    system_prompt: str = ""
    path: str = ""
    note: str = ""
    video: bool = False
    roles: str = ""
    floors: dict[str, int] = field(default_factory=dict)


_BEAMS = "VLMEvalKit searches with 3 beams; here one greedy answer is taken"
_QWEN3 = {"temperature": 0.01, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5}
_LLAMA4 = {"temperature": 0.01}
_ASSISTANT = "You are a helpful assistant. "

CLASSES: dict[str, ModelClass] = {
    "Qwen2VLChat": ModelClass(
        2048, "qwen2_vl", pixels=True, always_greedy=True, video=True, floors={"OCRBench": 10 * 10 * 28 * 28}
    ),
    "Qwen3VLChat": ModelClass(
        32768, "qwen3_vl", pixels=True, sampling=_QWEN3, video=True, floors={"OCRBench": 10 * 10 * 32 * 32}
    ),
    "InternVLChat": ModelClass(4096, "internvl", path="OpenGVLab/InternVL-Chat-V1-5"),
    "LLaVA": ModelClass(2048, foreign=True, path="liuhaotian/llava-v1.5-7b"),
    "LLaVA_Next": ModelClass(2048, foreign=True, path="llava-hf/llava-v1.6-vicuna-7b-hf"),
    "LLaVA_Next2": ModelClass(2048, path="lmms-lab/llama3-llava-next-8b"),
    "LLaVA_OneVision": ModelClass(2048, path="lmms-lab/llava-onevision-qwen2-7b-si", video=True),
    "LLaVA_OneVision_HF": ModelClass(2048, path="llava-hf/llava-onevision-qwen2-0.5b-ov-hf", video=True),
    "SmolVLM": ModelClass(2048, foreign=True, path="HuggingFaceTB/SmolVLM-Instruct"),
    "SmolVLM2": ModelClass(2048, foreign=True, path="HuggingFaceTB/SmolVLM2-2.2B-Instruct", roles="system"),
    "Gemma3": ModelClass(4096, always_greedy=True, system_prompt=_ASSISTANT, path="google/gemma-3-4b-it"),
    "llama4": ModelClass(4096, foreign=True, sampling=_LLAMA4, path="meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    "llama_vision": ModelClass(2048, foreign=True, path="meta-llama/Llama-3.2-11B-Vision-Instruct"),
    "MiniCPM_V": ModelClass(1024, foreign=True, path="openbmb/MiniCPM-V", note=_BEAMS),
    "MiniCPM_Llama3_V": ModelClass(1024, foreign=True, path="openbmb/MiniCPM-Llama3-V-2_5", note=_BEAMS),
    "MiniCPM_V_2_6": ModelClass(2048, foreign=True, path="openbmb/MiniCPM-V-2_6", note=_BEAMS),
    "MiniCPM_o_2_6": ModelClass(2048, foreign=True, path="openbmb/MiniCPM-o-2_6", note=_BEAMS),
    "MiniCPM_V_4": ModelClass(2048, foreign=True, path="openbmb/MiniCPM-V-4", note=_BEAMS),
    "MiniCPM_V_4_5": ModelClass(2048, foreign=True, path="openbmb/MiniCPM-V-4_5", note=_BEAMS),
    "molmo": ModelClass(200, foreign=True, path="allenai/Molmo-7B-D-0924"),
    "Pixtral": ModelClass(2048, path="mistralai/Pixtral-12B-2409"),
    "Phi3Vision": ModelClass(2048, path="microsoft/Phi-3-vision-128k-instruct"),
    "Phi3_5Vision": ModelClass(2048, path="microsoft/Phi-3.5-vision-instruct"),
    "Phi4Multimodal": ModelClass(1000, path="microsoft/Phi-4-multimodal-instruct"),
}  # fmt: skip

REPUBLISHED = {
    "liuhaotian/llava-v1.5-7b": "llava-hf/llava-1.5-7b-hf",
    "liuhaotian/llava-v1.5-13b": "llava-hf/llava-1.5-13b-hf",
    **{
        f"lmms-lab/llava-onevision-qwen2-{size}-{kind}": f"llava-hf/llava-onevision-qwen2-{size}-{kind}-hf"
        for size in ("0.5b", "7b", "72b")
        for kind in ("si", "ov")
    },
}
"""Weights in the authors' own format, which no engine here reads, and the same weights in transformers' format."""


def _entry(class_: str, path: str, **kwargs: Any) -> dict[str, Any]:
    return {"class": class_, "model_path": path, **kwargs}


def _qwen(path: str, low: int = 1280, high: int = 16384, **kwargs: Any) -> dict[str, Any]:
    return _entry("Qwen2VLChat", f"Qwen/{path}", min_pixels=low * 28 * 28, max_pixels=high * 28 * 28, **kwargs)


def _qwen3(path: str) -> dict[str, Any]:
    instruct = {"temperature": 0.7, "max_new_tokens": 16384, "presence_penalty": 1.5, "top_p": 0.8}
    thinking = {"temperature": 1.0, "max_new_tokens": 40960, "presence_penalty": 0.0, "top_p": 0.95}
    drawn = thinking if path.endswith("Thinking") else instruct
    return _entry("Qwen3VLChat", f"Qwen/{path}", use_custom_prompt=False, use_vllm=True, top_k=20, **drawn)


_QWEN2 = ("2B-Instruct", "2B-Instruct-AWQ", "7B-Instruct", "7B-Instruct-AWQ", "72B-Instruct")
_QWEN25 = ("3B-Instruct", "3B-Instruct-AWQ", "7B-Instruct", "7B-Instruct-AWQ", "32B-Instruct", "72B-Instruct", "72B-Instruct-AWQ")  # fmt: skip  # noqa: E501
_QWEN3_SIZES = ("2B", "4B", "8B", "32B", "30B-A3B", "235B-A22B")
_INTERN = {
    "InternVL2": ("1B", "2B", "4B", "8B", "26B", "40B"),
    "InternVL2_5": ("1B", "2B", "4B", "8B", "26B", "38B", "78B"),
    "InternVL3": ("1B", "2B", "8B", "9B", "14B", "38B", "78B"),
    "InternVL3_5": ("1B", "2B", "4B", "8B", "14B", "30B-A3B", "38B"),
}
_ONEVISION = [f"{size}_{kind}" for size in ("0.5b", "7b") for kind in ("si", "ov")]

MODELS: dict[str, dict[str, Any]] = {
    **{f"Qwen2-VL-{s}": _qwen(f"Qwen2-VL-{s}") for s in _QWEN2},
    **{f"Qwen2.5-VL-{s}": _qwen(f"Qwen2.5-VL-{s}", use_custom_prompt=False) for s in _QWEN25},
    **{
        f"Qwen2.5-VL-{s}-ForVideo": _qwen(
            f"Qwen2.5-VL-{s}", 128, 768, total_pixels=24576 * 28 * 28, use_custom_prompt=False
        )
        for s in ("7B-Instruct", "72B-Instruct")
    },
    **{f"Qwen3-VL-{s}-{k}": _qwen3(f"Qwen3-VL-{s}-{k}") for s in _QWEN3_SIZES for k in ("Instruct", "Thinking")},
    **{f"{n}-{s}": _entry("InternVLChat", f"OpenGVLab/{n}-{s}", version="V2.0") for n, z in _INTERN.items() for s in z},
    **{
        f"llava_onevision_qwen2_{s}": _entry("LLaVA_OneVision", f"lmms-lab/llava-onevision-qwen2-{s.replace('_', '-')}")
        for s in _ONEVISION
    },
    **{
        f"llava-onevision-qwen2-{s}-hf": _entry("LLaVA_OneVision_HF", f"llava-hf/llava-onevision-qwen2-{s}-hf")
        for s in (each.replace("_", "-") for each in _ONEVISION)
    },
    "llava_v1.5_7b": _entry("LLaVA", "liuhaotian/llava-v1.5-7b"),
    "llava_v1.5_13b": _entry("LLaVA", "liuhaotian/llava-v1.5-13b"),
    "llava_next_vicuna_7b": _entry("LLaVA_Next", "llava-hf/llava-v1.6-vicuna-7b-hf"),
    "llava_next_vicuna_13b": _entry("LLaVA_Next", "llava-hf/llava-v1.6-vicuna-13b-hf"),
    "llava_next_mistral_7b": _entry("LLaVA_Next", "llava-hf/llava-v1.6-mistral-7b-hf"),
    "llava_next_llama3": _entry("LLaVA_Next", "llava-hf/llama3-llava-next-8b-hf"),
    "SmolVLM-256M": _entry("SmolVLM", "HuggingFaceTB/SmolVLM-256M-Instruct"),
    "SmolVLM-500M": _entry("SmolVLM", "HuggingFaceTB/SmolVLM-500M-Instruct"),
    "SmolVLM": _entry("SmolVLM", "HuggingFaceTB/SmolVLM-Instruct"),
    "SmolVLM2-256M": _entry("SmolVLM2", "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"),
    "SmolVLM2-500M": _entry("SmolVLM2", "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"),
    "SmolVLM2": _entry("SmolVLM2", "HuggingFaceTB/SmolVLM2-2.2B-Instruct"),
    "Gemma3-4B": _entry("Gemma3", "google/gemma-3-4b-it"),
    "Gemma3-12B": _entry("Gemma3", "google/gemma-3-12b-it"),
    "Gemma3-27B": _entry("Gemma3", "google/gemma-3-27b-it"),
    "Llama-4-Scout-17B-16E-Instruct": _entry("llama4", "meta-llama/Llama-4-Scout-17B-16E-Instruct", use_vllm=True),
    "MiniCPM-V-2_6": _entry("MiniCPM_V_2_6", "openbmb/MiniCPM-V-2_6"),
    "MiniCPM-V-4": _entry("MiniCPM_V_4", "openbmb/MiniCPM-V-4"),
    "MiniCPM-V-4_5": _entry("MiniCPM_V_4_5", "openbmb/MiniCPM-V-4_5"),
    "molmo-7B-D-0924": _entry("molmo", "allenai/Molmo-7B-D-0924"),
    "Pixtral-12B": _entry("Pixtral", "mistralai/Pixtral-12B-2409"),
    "Phi-3.5-Vision": _entry("Phi3_5Vision", "microsoft/Phi-3.5-vision-instruct"),
    "Phi-4-Vision": _entry("Phi4Multimodal", "microsoft/Phi-4-multimodal-instruct"),
}

DATA_TYPES = {
    "ImageMCQDataset": "mcq",
    "CustomMCQDataset": "mcq",
    "TextMCQDataset": "mcq",
    "CustomTextMCQDataset": "mcq",
    "ImageYORNDataset": "yorn",
    "ImageVQADataset": "vqa",
    "CustomVQADataset": "vqa",
}
"""Classes with one kind of questions. For any other class the columns of the file decide."""
