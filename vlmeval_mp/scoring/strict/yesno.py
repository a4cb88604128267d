"""Yes/no: which of the two a reply says, by stated rules, most explicit first.

1. A statement, "Answer: Yes", "the answer is no", 答案是否; the last one counts.
2. The word that the reply opens with, if punctuation or the end of the line follows: "No, there is no dog."
3. The word that stands alone, if only one of the two occurs (words, not substrings: "not" and "nothing" say neither).

Rule 3 is VLMEvalKit's `YOrN_Extraction` (vlmeval/dataset/utils/yorn.py) without its blindness to Markdown;
rule 2 follows POPE's evaluation, which reads the first sentence only.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.text import answer_text, without_marks

_YES = frozenset({"yes", "是", "是的", "对", "对的", "正确", "有"})
_HAN = r"不是|是的?|否|不对|对的?|不正确|正确|错误?|没有|有"
_WORD = rf"\b(?:yes|no)\b|{_HAN}"
_STATED = re.compile(
    rf"(?:\banswer(?:\s*[:=]|\s+(?:is|was|would\s+be|should\s+be|must\s+be)\b:?)|答案\s*(?:应该)?(?:是|为|:)\s*:?)"
    rf"[\s\"'“‘(\[]*({_WORD})",
    re.IGNORECASE,
)
_LEAD = re.compile(rf"[\s\"'“‘(\[-]*(?:({_HAN})|(yes|no)(?=\s*(?:[^\w\s'’]|\n|$)))", re.IGNORECASE)
_EITHER = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def score_yesno(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply says what the answer says, else 0.0; None if the sample's answer says neither."""
    gold = read_yesno(sample.answer)[0]
    if not gold:
        return Score(index=sample.index, value=None, note=f"answer {sample.answer!r} is neither yes nor no")
    said, note = read_yesno(prediction.prediction)
    return Score(index=sample.index, value=float(said == gold), extracted=said, note=note)


def read_yesno(text: str) -> tuple[str, str]:
    """ "Yes" or "No" as `text` says it, or "" and why neither."""
    plain = without_marks(answer_text(text)).strip()
    word = ""
    for stated in _STATED.finditer(plain):
        word = stated[1]
    if not word and (lead := _LEAD.match(plain)):
        word = lead[1] or lead[2]
    if word:
        return _name(word), ""
    words = {_name(m[1]) for m in _EITHER.finditer(plain)}
    if len(words) == 1:
        return words.pop(), ""
    return "", "both yes and no" if words else "neither yes nor no"


def _name(word: str) -> str:
    return "Yes" if word.lower() in _YES else "No"
