"""Makes the messages of a sample: the wordings are named templates in one table.

Pure. Every wording of "default" is, word for word, what VLMEvalKit's data set classes send, so that scores compare.
Each wording gives the parts of one user message. Knows nothing of chat templates (an engine's matter) and
opens no media: parts carry a `Media`, which need not exist on disk.

    kind    images (first, in order)      text only             video (first)
    mcq     ImageMCQDataset               TextMCQDataset        Video-MME, frames without subtitles
    yorn    ImageYORNDataset: question    question              TempCompass_YorN
    vqa     ImageVQADataset               TextBaseDataset       ImageVQADataset's request

The published video benchmarks have wordings of their own, in `videoprompts`.

VLMEvalKit has no wording of its own for open answers on video (MovieChat1k sends the bare question to a judge). The
request of ImageVQADataset is nearest to how such answers are scored here: by matching a short answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vlmeval_mp.core.errors import ConfigError, did_you_mean
from vlmeval_mp.core.records import ImagePart, Media, Message, Part, Sample, TextPart, VideoPart
from vlmeval_mp.requests import modelprompts, videoprompts

Asked = tuple[Message, ...]
Wording = Callable[[Sample], tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Setting:
    """The setting of a template: the benchmark's name, and the model's `system` text and `roles`."""

    dataset: str = ""
    system: str = ""
    roles: str = "user"


Template = Callable[[Sample, Setting], Asked]

ONE_TURN = "one-turn"
READY = "vlmevalkit"
"""The template of data sets that are read through VLMEvalKit's classes: what `build_prompt` made is in the sample."""


def build(
    sample: Sample,
    template: str = "default",
    *,
    model: str = "default",
    dataset: str = "",
    system: str = "",
    roles: str = "user",
) -> Asked:
    """Return the messages that ask `sample`: `template` is the data set's, `model` the model's (see `choose`).

    `roles` says what becomes of the system text and the begun answer of a video benchmark (`videoprompts`). `ONE_TURN`
    is "user", with the model's own system text at the head of the user's turn: for chat templates without that role.

    Raises:
        ConfigError: no template has that name.
    """
    asked = choose(template, model)(sample, Setting(dataset, system, "user" if roles == ONE_TURN else roles))
    return folded(asked) if roles == ONE_TURN else asked


def choose(template: str, model: str = "default") -> Template:
    """Return the template that counts where a data set names `template` and a model names `model`.

    A model family (`qwen2_vl`, …) goes around the data set's template: where it has a wording of its own for the
    benchmark that wording counts, as in VLMEvalKit. Else the data set's template counts, then the model's. `READY`
    sends what the sample carries, whatever the model's family.

    Raises:
        ConfigError: no template has that name.
    """
    if template == READY:
        return _ready
    for name in (template, model):
        if name not in TEMPLATES and name not in modelprompts.FAMILIES and name not in videoprompts.WORDINGS:
            known = [*TEMPLATES, *videoprompts.WORDINGS, *modelprompts.FAMILIES, READY]
            hint = did_you_mean(name, known, f"choose one of {', '.join(known)}")
            raise ConfigError(f"no prompt template is called {name!r}; {hint}")
    own = next((name for name in (template, model) if name in modelprompts.FAMILIES), "")
    base = _base(template, model)
    return _around(base, modelprompts.family(own)) if own else base


def _base(template: str, model: str) -> Template:
    """Return the template without a model family's habits."""
    if template in videoprompts.WORDINGS:
        return lambda sample, setting: videoprompts.messages(sample, template, setting.roles, setting.system)
    name = next((n for n in (template, model) if n in TEMPLATES and n != "default"), "default")
    return lambda sample, setting: _turns(TEMPLATES[name](sample), setting.system)


def _around(base: Template, family: modelprompts.Family) -> Template:
    """Return the template that a model family makes of `base`: its own wording, and its habits about videos."""

    def template(sample: Sample, setting: Setting) -> Asked:
        own = family.build(sample, setting.dataset)
        asked = base(sample, setting) if own is None else _turns(own, setting.system)
        return family.about_video(asked, setting.dataset)

    return template


def _ready(sample: Sample, setting: Setting) -> Asked:
    if not sample.ready:
        raise ConfigError(f"sample {sample.index!r} carries no prompt of VLMEvalKit's; give its data set by name")
    if sample.ready[0].role == "system":
        return sample.ready
    return (*_system(setting.system), *sample.ready)


def may_instruct(template: str) -> bool:
    """Return whether the data set's template called `template` has a system text of its own, for any model."""
    return template == READY or (template in videoprompts.WORDINGS and bool(videoprompts.WORDINGS[template].system))


def has_system(asked: Asked) -> bool:
    """Return whether `asked` has a system turn with text in it."""
    return folded(asked) is not asked


def folded(asked: Asked) -> Asked:
    """Return `asked` with the texts of its system turns at the head of the first turn of the user."""
    texts = [part.text for each in asked if each.role == "system" for part in each.parts if isinstance(part, TextPart)]
    rest = [each for each in asked if each.role != "system"]
    place = next((n for n, each in enumerate(rest) if each.role == "user"), None)
    if not texts or place is None:
        return asked
    head = TextPart(text="\n".join(texts) + "\n\n")
    rest[place] = Message(role="user", parts=(head, *rest[place].parts))
    return tuple(rest)


def _turns(parts: tuple[Part, ...], system: str) -> Asked:
    return (*_system(system), Message(role="user", parts=parts))


def _system(text: str) -> Asked:
    return (Message(role="system", parts=(TextPart(text=text),)),) if text else ()


def text(sample: Sample) -> str:
    """Return the text of the default wording; of the sample's media, only their kind counts."""
    return _WORDINGS[sample.kind, _medium(sample)](sample)


# --- templates -------------------------------------------------------------------------------------------------


def _default(sample: Sample) -> tuple[Part, ...]:
    return (*map(_media_part, sample.media), TextPart(text=text(sample)))


def _amber(sample: Sample) -> tuple[Part, ...]:
    """AMBER: the question and a request that only this yes/no set has."""
    return (*map(_media_part, sample.media), TextPart(text=f"{text(sample)}\nPlease answer yes or no."))


def _bare(sample: Sample) -> tuple[Part, ...]:
    """ImageBaseDataset: the question and nothing else (OCRBench, MathVista, MathVision, MM-Vet)."""
    return (*map(_media_part, sample.media), TextPart(text=sample.question))


def _mmmu(sample: Sample) -> tuple[Part, ...]:
    """MMMUDataset: images go where the text says `<image 1>`; one that the text does not name is not sent."""
    return _interleaved(sample, text(sample))


def _mmmu_pro(request: str) -> Wording:
    """MMMUProDataset with the question as text: no hint, and a request of its own."""

    def template(sample: Sample) -> tuple[Part, ...]:
        options = f"Options:\n{_lines(sample)}{request}" if sample.options else ""
        return _interleaved(sample, f"Question: {sample.question}\n{options}")

    return template


def _mmmu_pro_pictured(request: str) -> Wording:
    """MMMUProDataset with the question in the picture."""

    def template(sample: Sample) -> tuple[Part, ...]:
        asked = f"Answer the following multiple-choice question in the image. {request}"
        return (*map(_media_part, sample.media), TextPart(text=asked))

    return template


def _interleaved(sample: Sample, asked: str) -> tuple[Part, ...]:
    pieces = _IMAGE_MARKER.split(asked)
    if len(pieces) == 1:
        return (*map(_media_part, sample.media), TextPart(text=asked))
    parts: list[Part] = [TextPart(text=pieces[0])]
    for number, after in zip(pieces[1::2], pieces[2::2], strict=True):
        place = int(number) - 1
        named = 0 <= place < len(sample.media)
        parts.append(_media_part(sample.media[place]) if named else TextPart(text=f"<image {number}>"))
        parts.append(TextPart(text=after))
    return tuple(part for part in parts if not isinstance(part, TextPart) or part.text)


# trailing spaces are VLMEvalKit's
_DIRECTLY = "Answer directly with the option letter from the given choices. "
_LAST_LINE = (
    "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where LETTER "
    "is one of the options. Think step by step before answering. "
)

TEMPLATES: dict[str, Wording] = {
    "default": _default,
    "bare": _bare,
    "amber": _amber,
    "mmmu": _mmmu,
    "mmmu-pro": _mmmu_pro(_DIRECTLY),
    "mmmu-pro-cot": _mmmu_pro(f"Answer the following multiple-choice question. {_LAST_LINE}"),
    "mmmu-pro-v": _mmmu_pro_pictured(_DIRECTLY),
    "mmmu-pro-v-cot": _mmmu_pro_pictured(_LAST_LINE),
}

_IMAGE_MARKER = re.compile(r"<image ([0-9])>")


def _media_part(media: Media) -> Part:
    return VideoPart(media=media) if media.kind == "video" else ImagePart(media=media)


def _medium(sample: Sample) -> str:
    if not sample.media:
        return "text"
    return "video" if any(media.kind == "video" for media in sample.media) else "image"


# --- wordings --------------------------------------------------------------------------------------------------


def _question(sample: Sample) -> str:
    return sample.question


def _choice(sample: Sample) -> str:
    hint = f"Hint: {sample.hint}\n" if sample.hint else ""
    question = f"Question: {sample.question}\n"
    if not sample.options:
        return hint + question
    return f"{hint}{question}Options:\n{_lines(sample)}{_CHOICE_REQUEST}"


# the trailing space is VLMEvalKit's
_CHOICE_REQUEST = "Please select the correct answer from the options above. \n"


def _short_answer(sample: Sample) -> str:
    return f"{sample.question}\nAnswer the question using a single word or phrase."


def _video_choice(sample: Sample) -> str:
    """Video-MME's wording; its letters are (A, B, C, or D), and follow the options where there are not four."""
    if not sample.options:
        return _short_answer(sample)
    return (
        "\nThese are the frames of a video. Select the best answer to the following multiple-choice question based on "
        f"the video. Respond with only the letter ({_letters(sample)}) of the correct option.\n"
        f"Question: {sample.question}\n{_lines(sample)}Answer: "
    )


def _video_yes_no(sample: Sample) -> str:
    return f"{sample.question}\nPlease answer yes or no:"


_WORDINGS: dict[tuple[str, str], Callable[[Sample], str]] = {
    ("mcq", "image"): _choice,
    ("mcq", "text"): _choice,
    ("mcq", "video"): _video_choice,
    ("yorn", "image"): _question,
    ("yorn", "text"): _question,
    ("yorn", "video"): _video_yes_no,
    ("vqa", "image"): _short_answer,
    ("vqa", "text"): _question,
    ("vqa", "video"): _short_answer,
}


def _lines(sample: Sample) -> str:
    return "".join(f"{letter}. {option}\n" for letter, option in sample.options.items())


def _letters(sample: Sample) -> str:
    letters = list(sample.options)
    if len(letters) < 3:
        return " or ".join(letters)
    return f"{', '.join(letters[:-1])}, or {letters[-1]}"
