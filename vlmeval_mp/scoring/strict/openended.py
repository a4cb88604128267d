"""Scores open answers by exact match with one of the references, after normalisation.

Normalisation is that of the VQA evaluation (https://visualqa.org/evaluation.html): lower case, number words to digits,
articles and punctuation dropped, with every period handled (VLMEvalKit's port stops after 32) and a single reference
counting in full (there it always scores 0). Numbers are compared as numbers, "7.0" = "7", "1,000" = "1000"; a percent
sign is part of the number. Any of Unicode's minus signs is one, and signs that change an answer are kept: "-5" is not
"5", "C++" not "C", "1/2" not "1 2". A reply may state its answer ("Answer: 7.", \\boxed{7}); the last statement counts.
Apart from that nothing is searched for inside a sentence.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from vlmeval_mp.core.literals import literal
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.text import answer_text, compatible, minus, without_marks
from vlmeval_mp.scoring.reading.words import ARTICLES, NUMBER_WORDS

_STATED = re.compile(
    r"(?:\banswer(?:\s*:|\s+(?:is|was|would\s+be|should\s+be)\b:?)|答案\s*(?:是|为|:)\s*:?)\s*", re.IGNORECASE
)
_NUMBER = re.compile(r"[$€£]?\s*([+-]?)\s*[$€£]?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?)\s*(%?)")
_APOSTROPHE = re.compile(r"['’`]")
_PUNCTUATION = re.compile(r"(?<![0-9])[.,]|[.,](?![0-9])|[^\w\s.,%\ue000-\ue0ff]|_")
_SIGNS = re.compile(
    r"(?<![\w)\]}])[-±](?=[\d.(a-z\\√])|\+(?=\+)|(?<=\+)\+|(?<=\w)\+|\+(?=\d)(?<=[\w)] \+)|(?<=[a-z])#|[<>≤≥≠√^]"
    r"|(?<=\d)/(?=\d)|(?<=[\w)])\s-\s(?=[\d(])|(?<=\w)-$|@(?=\w)|♭"
)
"""Marks that change an answer: a minus before a number or a name, "C++", "C#", "a+b", "x<5", a root, a fraction."""
_SPACED_SIGN = re.compile(r"([-±+<>≤≥≠√^/#])\s+(?=[\d(])|\s+(?=[<>≤≥≠^+])")
_HIDDEN = {sign: chr(0xE000 + place) for place, sign in enumerate("-±+#<>≤≥≠√^/@♭")}
_DIFFERENCE = re.compile(r"(?<=[\w)])\s*-\s*(?=[\w(])")
_LONGEST_NUMBER = 60


def score_open(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply is one of the references, else 0.0."""
    said = read_open(prediction.prediction)
    keys = {key(said), key(prediction.prediction)}
    right = any(key(reference) in keys for reference in references(sample.answer))
    return Score(index=sample.index, value=float(right), extracted=said, note="" if said else "no answer found")


def read_open(text: str) -> str:
    """Return the answer in `text`: what its last statement says, or all of it."""
    plain = without_marks(answer_text(text)).strip()
    end = 0
    for stated in _STATED.finditer(plain):
        if stated.end() < len(plain):
            end = stated.end()
    said = plain[end:].split("\n", 1)[0] if end else plain
    return said.strip().rstrip(".。").strip()


@lru_cache(maxsize=1024)
def references(answer: str) -> tuple[str, ...]:
    """Return the references in `answer`: the items of a list literal, or `answer` itself."""
    if answer.lstrip().startswith("["):
        items = literal(answer)
        if isinstance(items, list) and items:
            return tuple(str(item) for item in items)
    return (answer,)


def key(text: str) -> str:
    """Return what two answers have in common exactly if they are the same answer."""
    text = minus(compatible(text)).strip().replace("♯", "#")
    if "=" in text:
        text = _DIFFERENCE.sub(" - ", text)
    number = _as_number(text.rstrip(".")) or _as_number(text)
    if number:
        return number
    signed = _SIGNS.sub(lambda m: _HIDDEN[m[0].strip()], _SPACED_SIGN.sub(r"\1", _APOSTROPHE.sub("", text.lower())))
    lowered = _PUNCTUATION.sub(" ", signed)
    words = [NUMBER_WORDS.get(word, word) for word in lowered.split() if word not in ARTICLES]
    joined = " ".join(words)
    # what consists of articles and punctuation only would otherwise equal every other such text
    return _as_number(joined) or joined or text.lower()


def _as_number(text: str) -> str:
    """Return `text` as a number in one spelling; "" if it is none."""
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None or not match[2]:
        return ""
    value = Decimal(match[1] + match[2].replace(",", ""))
    if not value:
        return "0" + match[3]
    return f"{value.normalize():f}{match[3]}"
