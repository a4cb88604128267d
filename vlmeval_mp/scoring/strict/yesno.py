"""Scores yes/no: finds one of the two in a reply by stated rules, most explicit first.

1. A statement, "Answer: Yes", "the answer is no", "Answer: n", 答案是否; the last one counts.
2. The word that the reply opens with, if punctuation or the end of the line follows: "No, there is no dog."; 有, 没有
   and the like also before a noun (没有狗), but not as a part of another word (对不起, 有时).
   Behind rules 1 and 2 the last correction counts ("Actually, no.", not in quotes), and "true" or "false" counts only
   if no yes or no follows.
3. The word that stands alone, if only one of the two occurs (words, not substrings: "not" and "nothing" say neither).
4. The question as a statement: "Is there a dog?" – "There is a dog on the sofa."; see `reading.restated`.

A question that the reply repeats ("有没有狗？没有") is passed over. "no" in a phrase that denies nothing asked ("no
information", "no idea", "No. 5") is no answer, and a reply that says it cannot tell, or "if yes", gives none by rule 3.

Rule 3 is VLMEvalKit's `YOrN_Extraction` (vlmeval/dataset/utils/yorn.py) without its blindness to Markdown;
rule 2 follows POPE's evaluation, which reads the first sentence only.
"""

from __future__ import annotations

import re

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.negation import without_neutral_no
from vlmeval_mp.scoring.reading.outcome import cannot_tell
from vlmeval_mp.scoring.reading.restated import restated
from vlmeval_mp.scoring.reading.text import answer_text, without_marks

NEITHER = "neither yes nor no"

_YES = frozenset(
    {
        "yes", "是", "是的", "对", "对的", "正确", "對", "對的", "正確", "有", "有人", "はい", "ええ", "예", "네",
        "그렇습니다", "ใช่", "sí", "oui", "ja", "да", "sim", "evet", "tak", "có", "نعم", "हाँ", "हां",
        "yeah", "yep", "true", "y", "有的",
    }
)  # fmt: skip
_UNSURE = r"(?!.{0,4}?(?:清楚|[确確]定|知道|足[够夠]|信息|[办辦]法|提供|明[确確]|能|可能))"
_ENDS = r"(?=\s*(?:[，。！、；,.!;:)\]\"”’]|$|\n))"
_HAN = (
    rf"不是{_UNSURE}|是的|是{_ENDS}|否(?![定认認则則])|不[对對](?![称稱])|[对對]的|[对對]{_ENDS}|不正[确確]|正[确確](?![率性])"
    rf"|[错錯][误誤]?{_ENDS}"
    rf"|[没沒]有?{_UNSURE}|不存在(?!任何|疑|[问問][题題])|不存在任何(?!疑|[问問][题題])|有的{_ENDS}|不{_ENDS}|有(?![没沒时時些的关關可人点點限]|可能)|有人{_ENDS}"
    rf"|はい|ええ{_ENDS}|いいえ|예{_ENDS}|네{_ENDS}|아니요|아니오|아닙니다|그렇습니다|ไม่ใช่|ใช่|ไม่มี"
)
_LATIN = r"\b(?:yes|no)\b"
_FOREIGN = r"(?:sí|oui|non|ja|nein|да|нет|sim|não|evet|hayır|tak|nie|có|không|نعم|لا|हाँ|हां|नहीं)"
_PLAIN = r"yeah|yep|nope|nah|true|false|(?:absolutely|definitely|certainly)\s+not|not\s+really|no\s+way|[yn](?=\W*$)"
_STATED = re.compile(
    r"(?:\banswer(?:\s*[:=]|\s+(?:is|was|would\s+be|should\s+be|must\s+be)\b:?)|答案\s*(?:应该)?(?:是|为|:)\s*:?"
    r"|정답[은:]\s*|答え(?:は|:)\s*|\b(?:respuesta\s+es|réponse\s+est|antwort\s+(?:ist|lautet)|ответ)\b\s*:?)"
    rf"[\s\"'“‘(\[]*({_LATIN}(?!\s+(?:\w+\s+)?(?:information|idea|clue|way))|(?:yeah|yep|nope|nah|true|false)\b|[yn](?=[^\w\n/]*(?:\n|$))"
    rf"|{_HAN}|{_FOREIGN}\b)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    rf"[\s\"'“‘(\[-]*(?:({_HAN})|(yes|no|{_PLAIN})(?=\s*(?:[^\w\s'’/-]|\n|$))(?!\.?\s?\d)"
    rf"|({_FOREIGN})(?=\s*(?:[^\w\s'’/-]|\n|$)))",
    re.IGNORECASE,
)
_EITHER = re.compile(r"(?<![-/])\b(yes|no)\b(?![-/]\w)", re.IGNORECASE)
_QUESTION = re.compile(r"^[^。！!.\n??]*[??]\s*(?=\S)")
_NO_DOUBT = re.compile(r"^不存在(?:任何)?(?:疑[问問]|[问問][题題])[，,。;；\s]*(?=\S)")
_IF = re.compile(r"\bif\s+(?:yes|no)\b", re.IGNORECASE)
_TRUTH = ("true", "false")
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|‘[^’\n]*’|「[^」\n]*」|(?<!\w)'[^'\n]*'(?!\w)")
_CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|on\s+second\s+thought|sorry|oops|scratch\s+that|my\s+mistake)\b"
    r"[\s,:.;!…—–-]*(yes|no)\b(?=\s*(?:[.,;!]|$))",
    re.IGNORECASE,
)
_TITLE = re.compile(r"(?<=[a-z,] )[\"'“‘]?No [A-Z]\w+|[\"'“‘]No \w+")


def score_yesno(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply says what the answer says, else 0.0; None if the sample's answer says neither."""
    gold = read_yesno(sample.answer)[0]
    if not gold:
        return Score(index=sample.index, value=None, note=f"answer {sample.answer!r} is neither yes nor no")
    said, note = read_yesno(prediction.prediction, sample.question)
    return Score(index=sample.index, value=float(said == gold), extracted=said, note=note)


def read_yesno(text: str, question: str = "") -> tuple[str, str]:
    """ "Yes" or "No" as `text` says it in answer to `question`, or "" and why neither."""
    plain = without_marks(answer_text(text)).strip()
    rest = _NO_DOUBT.sub("", _QUESTION.sub("", plain))
    word = _explicit(plain, rest)
    if word:
        return _name(word), ""
    words = _said(rest) or {restated(question, plain)} - {""}
    if not words or cannot_tell(rest):
        return "", NEITHER
    return (words.pop(), "") if len(words) == 1 else ("", "both yes and no")


def _explicit(plain: str, rest: str) -> str:
    """Return the word that the reply states or, without a question it repeats, opens with; or that it corrects to."""
    word, behind = "", ""
    for stated in _STATED.finditer(plain):
        word, behind = stated[1], plain[stated.end() :]
    if not word and (lead := _LEAD.match(rest)):
        word, behind = lead[1] or lead[2] or lead[3], rest[lead.end() :]
    behind = _QUOTED.sub(" ", behind.lstrip("\"'”’"))
    for later in _CORRECTED.finditer(behind):
        word = later[1]
    return "" if word.lower() in _TRUTH and _said(behind) else word


def _said(text: str) -> set[str]:
    """Return which of the two words stand in `text`, but for names and phrases that deny nothing."""
    lowered = text.lower()
    if ("yes" not in lowered and "no" not in lowered) or _IF.search(text):
        return set()
    return {_name(m[1]) for m in _EITHER.finditer(without_neutral_no(_TITLE.sub(" ", text)))}


def _name(word: str) -> str:
    return "Yes" if word.lower() in _YES else "No"
