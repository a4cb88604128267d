"""The wordings of video benchmarks, letter for letter those of VLMEvalKit's classes (ms-vlmeval 0.0.20). Pure.

One entry of `WORDINGS` per class. `build_prompt` gives its texts roles; what becomes of these is the model's `roles`:

    user    the texts of all roles in one turn of the user, in order: every local class of VLMEvalKit that takes frames
            (Qwen2VLChat, Qwen3VLChat, InternVLChat, LLaVA*, Gemma3, …) drops the roles, so that even the beginning of
            the answer ("Best option:(") is asked, not said
    system  the system text in its own turn, all else in the user's: VLMEvalKit's API classes, and SmolVLM2
    chat    each role in its own turn; the engine continues the answer that was begun (VideoChat2, PLLaVA)
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Literal

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Message, Part, Sample, Subtitles, TextPart, VideoPart


@dataclass(frozen=True, slots=True)
class Wording:
    """The words around a video.

    `asked` are the texts behind it. Their fields: `{question}`; `{listed}`, the options as the TSV words them, one a
    line; `{lettered}`, "A. cat" a line; `{bracketed}`, "(A) cat" a line. With subtitles, `spoken` takes the place of
    the first text, the lines between its two; or `between`: they stand between the frames.
    """

    asked: tuple[str, ...]
    system: str = ""
    begun: str = ""
    spoken: tuple[str, str] | None = None
    between: bool = False


_ATTENTION = "Carefully watch this video and pay attention to every detail. Based on your observations, "
_SEQUENCE = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question.\n"
)
_BEST = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only the letter "
    "(A, B, C, or D) of the correct option.\n"
)
_OPTIONS = "Question: {question}\nOptions:\n{bracketed}"

WORDINGS: dict[str, Wording] = {
    "video-mme": Wording(
        ("\nThese are the frames of a video. " + _BEST, "Question: {question}\n{listed}\nAnswer: "),
        spoken=("\nThese are the frames of a video. This video's subtitles are listed below:\n", "\n" + _BEST),
    ),
    "mvbench": Wording((_OPTIONS, "\nOnly give the best option."), _SEQUENCE, begun="Best option:("),
    "mlvu-mcq": Wording(
        (_OPTIONS, "\nOnly give the best option."),
        _ATTENTION + "select the best option that accurately addresses the question.",
    ),
    "mlvu-open": Wording(("{question}",), _ATTENTION + "answer the given questions."),
    "longvideobench": Wording(
        ("{question}\n{lettered}\nAnswer with the option's letter from the given choices directly.",), between=True
    ),
    "tempcompass-mcq": Wording(("{question}\n{listed}", "\nPlease directly give the best option:")),
    "tempcompass-yorn": Wording(("{question}", "\nPlease answer yes or no:")),
    "tempcompass-caption": Wording(("{question}",)),
}


def messages(sample: Sample, template: str, roles: str, system: str) -> tuple[Message, ...]:
    """Return the messages that ask `sample` in the wording `template`; `system` is the model's own system prompt."""
    wording = WORDINGS[template]
    asked, begun = _asked(sample, wording), _text(wording.begun)
    if roles == "user":
        parts = (*_text(wording.system), *asked, *begun)
        return (*_turn("system", _text(system)), Message(role="user", parts=parts))
    # VLMEvalKit's API classes end the data set's system text with a line break
    own = f"{wording.system}\n" if wording.system and roles == "system" else wording.system
    instructed = _turn("system", _text("\n".join(text for text in (system, own) if text)))
    if roles == "system":
        return (*instructed, Message(role="user", parts=(*asked, *begun)))
    return (*instructed, Message(role="user", parts=asked), *_turn("assistant", begun))


def _asked(sample: Sample, wording: Wording) -> tuple[Part, ...]:
    """Return the video and the texts behind it."""
    fields = _fields(sample)
    texts = [TextPart(text=text.format_map(fields)) for text in wording.asked]
    subtitles = None
    if sample.subtitles is not None:
        # a file that is not there is no error for a list of lines: it is empty
        missing = bool(sample.subtitles.error) and not wording.between
        before, after = wording.spoken or ("", "")
        subtitles = Subtitles(
            media=None if missing else sample.subtitles,
            between=wording.between,
            before=before,
            after=after,
            origin=float(sample.extra.get("starting_timestamp_for_subtitles", 0)),
            duration=float(sample.extra.get("duration", 0)) if wording.between else 0.0,
        )
        texts = texts[1:] if wording.spoken else texts
    videos = [VideoPart(media=media, subtitles=subtitles) for media in sample.media]
    return (*videos, *texts)


def _fields(sample: Sample) -> dict[str, str]:
    lines = [f"{letter}. {option}" for letter, option in sample.options.items()]
    bracketed = "\n".join(f"({letter}) {option}" for letter, option in sample.options.items())
    listed = listed_options(sample.extra.get("candidates", "")) or lines
    return {
        "question": sample.question,
        "listed": "\n".join(listed),
        "lettered": "\n".join(lines),
        "bracketed": bracketed.rstrip(),
    }


def listed_options(text: str) -> list[str]:
    """Return the strings of a list literal, such as a `candidates` cell; none where it is no such thing."""
    listed = literal(text)
    return [str(value) for value in listed][: len(string.ascii_uppercase)] if isinstance(listed, list | tuple) else []


def _text(text: str) -> tuple[TextPart, ...]:
    return (TextPart(text=text),) if text else ()


def _turn(role: Literal["system", "assistant"], parts: tuple[TextPart, ...]) -> tuple[Message, ...]:
    return (Message(role=role, parts=parts),) if parts else ()
