"""Questions about scans, and the replies that the model learns. Training and benchmark both use them.

A lesson is a `Sample` as the data set reader would give it, the scans it shows in order, and the taught reply. A reply
to a question with given answers says first what is seen: a model this small reads the scans and picks the option in
steps. An open question is answered by the bare answer, which is what exact match wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from vlmeval_mp.core.records import Kind, Media, Sample
from vlmeval_mp.demo.digits import DIGITS_PER_CLIP, digit_of

IMAGE = Media(kind="image")
VIDEO = Media(kind="video")
LETTERS = "ABCD"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Lesson:
    sample: Sample
    scans: tuple[int, ...]
    reply: str


READING = (
    "Which digit is this?",
    "Which digit is written in the picture?",
    "What number does the picture show?",
    "What is the handwritten number?",
)
IDENTITY = (
    "Is this the digit {}?",
    "Does the picture show the digit {}?",
    "Is the handwritten number a {}?",
    "Did someone write a {} here?",
)
PARITY = ("Is this digit {}?", "Is the handwritten number {}?")
ROW = ("Which digits do the pictures show, in order?", "What are the handwritten numbers, in order?")
ORDER = ("Which digit comes last in the clip?", "Which digit is shown last?", "What number does the clip show last?")


def choice(rng: Random, scan: int) -> Lesson:
    """Return a question for the digit with four options, as numerals or as words."""
    digit = digit_of(scan)
    others = rng.sample([other for other in range(10) if other != digit], 3)
    words = rng.random() < 0.25
    category = "word" if words else "numeral"
    sample = _choice(rng, rng.choice(READING), digit, others, words=words, media=IMAGE, category=category)
    return Lesson(sample, (scan,), f"The digit is {digit}. Answer: {sample.answer}")


def yes_no(rng: Random, scan: int) -> Lesson:
    """Return a question: is it this digit, or is it even? Half of the answers are yes."""
    digit = digit_of(scan)
    if rng.random() < 0.2:
        word = rng.choice(("even", "odd"))
        question, right, category = rng.choice(PARITY).format(word), (digit % 2 == 0) == (word == "even"), "parity"
    else:
        right = rng.random() < 0.5
        named = digit if right else rng.choice([other for other in range(10) if other != digit])
        question, category = rng.choice(IDENTITY).format(named), "identity"
    answer = "Yes" if right else "No"
    sample = _sample("yorn", question, answer, category, media=(IMAGE,))
    return Lesson(sample, (scan,), f"The digit is {digit}. Answer: {answer}")


def reading(rng: Random, scan: int) -> Lesson:
    """Return a question for the digit without options."""
    answer = str(digit_of(scan))
    return Lesson(_sample("vqa", rng.choice(READING), answer, "reading", media=(IMAGE,)), (scan,), answer)


def row(rng: Random, scans: Sequence[int]) -> Lesson:
    """Return a question for the digits in two pictures, in order."""
    answer = ", ".join(str(digit_of(scan)) for scan in scans)
    return Lesson(_sample("vqa", rng.choice(ROW), answer, "two pictures", media=(IMAGE, IMAGE)), tuple(scans), answer)


def order(rng: Random, scans: Sequence[int]) -> Lesson:
    """Return a question for the last digit of a clip; the options are the digits of the clip, which all differ."""
    shown = [digit_of(scan) for scan in scans]
    *others, digit = shown
    sample = _choice(rng, rng.choice(ORDER), digit, others, words=False, media=VIDEO, category="last")
    return Lesson(sample, tuple(scans), f"The digit is {digit}. Answer: {sample.answer}")


def about_pictures(rng: Random, scans: Sequence[int]) -> Lesson:
    """Return a lesson of any sort about pictures of some of `scans`."""
    lot = rng.random()
    if lot < 0.45:
        return choice(rng, rng.choice(scans))
    if lot < 0.75:
        return yes_no(rng, rng.choice(scans))
    if lot < 0.9:
        return reading(rng, rng.choice(scans))
    return row(rng, rng.sample(scans, 2))


def about_clips(rng: Random, scans: Sequence[int]) -> Lesson:
    """Return a lesson about a clip of some of `scans`."""
    return order(rng, draw_clip(rng, scans))


def draw_clip(rng: Random, scans: Sequence[int]) -> tuple[int, ...]:
    """Return scans of different digits, enough for a clip."""
    chosen: dict[int, int] = {}
    while len(chosen) < DIGITS_PER_CLIP:
        scan = rng.choice(scans)
        chosen.setdefault(digit_of(scan), scan)
    return tuple(chosen.values())


def _choice(
    rng: Random, question: str, digit: int, others: Sequence[int], *, words: bool, media: Media, category: str
) -> Sample:
    offered = [digit, *others]
    rng.shuffle(offered)
    options = {letter: WORDS[n] if words else str(n) for letter, n in zip(LETTERS, offered, strict=True)}
    return _sample("mcq", question, LETTERS[offered.index(digit)], category, media=(media,), options=options)


def _sample(
    kind: Kind,
    question: str,
    answer: str,
    category: str,
    media: tuple[Media, ...],
    options: dict[str, str] | None = None,
) -> Sample:
    return Sample(
        index="0",
        row=0,
        kind=kind,
        question=question,
        options=options or {},
        answer=answer,
        category=category,
        media=media,
    )
