"""The prompts that model families build themselves, word for word as VLMEvalKit's classes do (ms-vlmeval 0.0.20). Pure.

Adding a family is one line of `FAMILIES`: a `Family`, or "module:name" of one, loaded when a model names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vlmeval_mp.core import named
from vlmeval_mp.core.records import ImagePart, Message, Part, Sample, TextPart, VideoPart

Builder = Callable[[Sample, str], "tuple[Part, ...] | None"]
"""A sample and the benchmark's name to the parts of the user message; None where the data set's wording counts."""
Habit = Callable[["tuple[Part, ...]", str], "tuple[Part, ...]"]
"""The parts of a message about a video, and the benchmark's name, to the parts that are sent."""


@dataclass(frozen=True, slots=True)
class Family:
    """The prompts of one family of models: its wording, and its change of a message about a video."""

    wording: Builder | None = None
    video: Habit | None = None

    def build(self, sample: Sample, dataset: str) -> tuple[Part, ...] | None:
        """Return the parts of the user message; None where the data set's wording counts."""
        return None if self.wording is None else self.wording(sample, dataset)

    def about_video(self, messages: tuple[Message, ...], dataset: str) -> tuple[Message, ...]:
        """Return `messages` as the family sends them on, where one is about a video."""
        habit = self.video
        if habit is None:
            return messages
        return tuple(
            msgspec.structs.replace(message, parts=habit(message.parts, dataset))
            if any(isinstance(part, VideoPart) for part in message.parts)
            else message
            for message in messages
        )


_CHINESE = re.compile("[\\u4e00-\\u9fff]")
_MMMU = ("MMMU_DEV_VAL", "MMMU_TEST")
_MMMU_PRO = ("MMMU_Pro_10c", "MMMU_Pro_10c_COT", "MMMU_Pro_V", "MMMU_Pro_V_COT")
"""Choice questions with a TYPE of their own in VLMEvalKit, which adds no text for choice questions to them."""


def _qwen2_vl(sample: Sample, dataset: str) -> tuple[Part, ...] | None:
    """Qwen2VLPromptMixin."""
    if dataset in _MMMU_PRO:
        return None
    if dataset in _MMMU:
        return _images_first(sample, _listed(sample, "Please select the correct answer from the options above."))
    if sample.kind == "mcq" and "LEGO" not in dataset:
        chinese = _CHINESE.search(_listed(sample, ""))
        request = "请直接回答选项字母。" if chinese else "Please select the correct answer from the options above."
        return _images_first(sample, _listed(sample, request))
    if sample.kind == "yorn" and dataset in ("HallusionBench", "POPE"):
        return _images_first(sample, f"{sample.question} Please answer yes or no.")
    if sample.kind == "vqa" and dataset not in (
        "MMVet",
        "ChartQAPro",
        "ChartQAPro_CoT",
        "ChartQAPro_PoT",
        "ChartMuseum",
    ):
        request = "\nPlease try to answer the question with short words or phrases if possible."
        return _images_first(sample, sample.question + request)
    return None


def _qwen3_vl(sample: Sample, dataset: str) -> tuple[Part, ...] | None:
    """Qwen3VLPromptMixin."""
    if dataset == "SSI_Bench" or dataset in _MMMU_PRO:
        return None
    if dataset in _MMMU:
        return _images_first(sample, _listed(sample, "Please select the correct answer from the options above."))
    if sample.kind == "mcq":
        return _images_first(sample, _listed(sample, "Answer with the option letter only."))
    if sample.kind == "yorn":
        return _images_first(sample, f"{sample.question} Please answer yes or no.")
    return _images_first(
        sample, f"{sample.question}\nPlease answer concisely with short words or phrases when possible."
    )


_INTERNVL_NOT = (
    "MMDU", "MME-RealWorld", "WeMath_COT", "MMAlignBench", "ChartQAPro", "ChartMuseum", "SSI_Bench", "MMSIVideo_U50",
    "MMSIVideo_SC",
)  # fmt: skip
_INTERNVL_BARE = (
    "MathVerse", "MathVista", "MathVision", "VCR", "MTVQA", "MMVet", "CRPE", "MIA-Bench", "MM-Math", "DynaMath",
    "QSpatial", "WeMath", "LogicVista", "MM-IFEval", "ChartMimic", "MMReason",
)  # fmt: skip
_LETTER = "Answer with the option's letter from the given choices directly."
_ONE_WORD = "Answer the question using a single word or phrase."


def _internvl(sample: Sample, dataset: str) -> tuple[Part, ...] | None:
    """InternVLChat without chain of thought; several images are numbered, as InternVL 2 and later are asked."""
    if any(part in dataset for part in _INTERNVL_NOT) or (sample.kind == "mcq" and "LEGO" in dataset):
        return None
    if dataset in _MMMU_PRO:
        text = sample.question  # the options are not shown, nor the picture's question asked: so does VLMEvalKit
    elif sample.kind == "mcq":
        text = _internvl_choice(sample)
    elif sample.kind == "yorn":
        text = sample.question
        if "MME" in dataset:
            text += f" {_ONE_WORD}"
        elif "HallusionBench" in dataset or "AMBER" in dataset:
            text += f" Please answer yes or no. {_ONE_WORD}"
    elif "LLaVABench" in dataset or "WildVision" in dataset:
        text = f"{sample.question}\nAnswer this question in detail."
    elif any(part in dataset for part in _INTERNVL_BARE):
        removed = "please directly answer the question and" if "MathVerse" in dataset else ""
        text = sample.question.replace(removed, "please") if removed else sample.question
    else:
        text = f"{sample.question}\n{_ONE_WORD}"
    if len(sample.media) < 2:
        return _images_first(sample, text)
    parts: list[Part] = []
    for number, media in enumerate(sample.media, 1):
        parts += (TextPart(text=f"Image-{number}: "), ImagePart(media=media), TextPart(text="\n"))
    return (*parts, TextPart(text=text))


def _internvl_choice(sample: Sample) -> str:
    text = f"{sample.hint}\n{sample.question}" if sample.hint else sample.question
    text += "".join(f"\n{letter}. {option}" for letter, option in sample.options.items())
    chinese = _CHINESE.search(text)
    if sample.options:
        return text + (
            "\n请直接回答选项字母。"
            if chinese
            else "\nAnswer with the option's letter from the given choices directly."
        )
    return text + ("\n请直接回答问题。" if chinese else "\nAnswer the question directly.")


def _listed(sample: Sample, request: str) -> str:
    hint = f"Hint: {sample.hint}\n" if sample.hint else ""
    options = "".join(f"{letter}. {option}\n" for letter, option in sample.options.items())
    listed = f"Options:\n{options}{request}" if sample.options else ""
    return f"{hint}Question: {sample.question}\n{listed}".rstrip()


def _images_first(sample: Sample, text: str) -> tuple[Part, ...]:
    return (*(ImagePart(media=media) for media in sample.media), TextPart(text=text))


def _about_images(builder: Builder) -> Builder:
    def build(sample: Sample, dataset: str) -> tuple[Part, ...] | None:
        pictures = bool(sample.media) and all(media.kind == "image" for media in sample.media)
        return builder(sample, dataset) if pictures else None

    return build


def _internvl_video(parts: tuple[Part, ...], dataset: str) -> tuple[Part, ...]:
    """InternVLChat's `reorganize_prompt` and `build_video_prompt`: numbered frames first, then all texts in one."""
    videos = [part for part in parts if isinstance(part, VideoPart)]
    if any(video.subtitles is not None and video.subtitles.between for video in videos):
        return parts
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    if "Video-MME" in dataset or "WorldSense" in dataset:
        text = text.replace("\nAnswer:", "") + f"\n{_LETTER}"
    elif "MVBench" in dataset:
        text = text.replace("Best option:(", "")
    numbered = (msgspec.structs.replace(video, label="Frame-{}: ") for video in videos)
    return (*numbered, TextPart(text=text))


FAMILIES: dict[str, Family | str] = {
    "qwen2_vl": Family(_about_images(_qwen2_vl)),
    "qwen3_vl": Family(_about_images(_qwen3_vl)),
    "internvl": Family(_about_images(_internvl), _internvl_video),
}


def family(name: str) -> Family:
    """Return the family that the table calls `name`."""
    found = FAMILIES[name]
    if isinstance(found, str):
        loaded: Family = named.load(found)
        return loaded
    return found
