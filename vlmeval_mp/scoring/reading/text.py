"""Cleans model output before any scorer reads it: keeps the answer, drops the reasoning and the decoration.

Sources of the conventions: `<answer>…</answer>` from the DeepSeek-R1 family; `\\boxed{…}` from the MATH benchmark;
`<s>` and `<|im_end|>` are tokens that a sloppy decoder leaves behind. Knows nothing of options, yes/no or references.
"""

from __future__ import annotations

import re
import unicodedata

from vlmeval_mp.scoring.reading.reasoning import without_reasoning
from vlmeval_mp.scoring.reading.structured import as_statement
from vlmeval_mp.scoring.reading.turns import first_turn

_ANSWER_TAG = re.compile(r"<(answer|final_answer|ans|conclusion)>([^<]*)</\1>", re.IGNORECASE)
_BOXED = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"[{}]")
_LATEX_WRAP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox)\s*\{([^{}]*)\}")
_SPECIAL = re.compile(r"</?s>|<\|\w+\|>")
_STYLE = re.compile(r"<(b|i|em|strong|u|span)\s*>((?:(?!</?\1\s*>).)+)</\1\s*>(?=([A-Z])?)", re.DOTALL)
_BREAK = re.compile(
    r"(?<=[\w.,;!?)*%°])(?:</?(?:p|br)\s*/?>)+|(?<=[:>])(?:</?(?:p|br)\s*/?>){1,4}(?=\s*[\w(*])|</?final\s*>"
)
_BLOCK = re.compile(r"<(p|center)\s*>([^<]+)(?:</\1\s*>|\Z)")
_MARK = re.compile(r"\*{2,}|(?<![\d)}])\*|\*(?![\d\\(a-zA-Z])|`+|^[ \t]{0,3}#+|__", re.MULTILINE)
"""Emphasis, code and headings; a star between two factors ("5*a") and the sign of "C#" are none."""
_NESTED = 4
_WORD = re.compile(r"\w")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2069\ufeff]")
_SUPERSCRIPT = re.compile("(?<=[0-9)])([⁰¹²³⁴-⁹])")
_MINUS = re.compile(r"[\u2010-\u2013\u2212\ufe63\uff0d](?=\s?[$€£]?\.?\d)|\u2212")

STATED = "Answer: "
"""Boxes and answer tags are rewritten to lines that start so, because they mean the same."""
IN_PASSING = "Boxed answer: "
"""The same for a box in the middle of a sentence, which may speak of something else."""
_GOES_ON = re.compile(r"[$)*.,; \t]{0,6}(?:[A-Za-z][\w'’-]{0,20} ){2}")
_CONCLUDES_AT_END = re.compile(
    r"(?:answer|option|choice|therefore|thus|hence|so|final|\bis|\bbe|\bare|choose|select|[:=,]|答案|选)[^\w\n]*(?:the[^\w\n]*)?$",
    re.IGNORECASE,
)


def without_thinking(text: str) -> str:
    """Return `text` without its reasoning; reasoning that never ended leaves no answer behind it."""
    return without_reasoning(text)


def answer_text(text: str) -> str:
    """Return what of a reply may be its answer.

    Drops reasoning, an invented next turn and invisible characters; folds full-width forms (NFKC) and the many minus
    signs; turns a JSON answer, boxes and answer tags into lines "Answer: …".
    """
    text = without_reasoning(text)
    if not text.isascii():
        text = minus(compatible(_UNSEEN.sub("", text)))
    text = first_turn(text)
    if "{" in text:
        text = as_statement(text, STATED)
    if "\\" in text:
        text = _rewrite_boxes(_LATEX_WRAP.sub(r"\1", text))
    if "<" in text:
        text = _without_style(_SPECIAL.sub("", text))
        text = _ANSWER_TAG.sub(lambda m: f"\n{STATED}{m[2].strip()}\n", text)
    return text.strip()


def _without_style(text: str) -> str:
    """Return `text` without tags of HTML around text; a tag that encloses nothing may be the answer itself."""
    for _ in range(_NESTED):
        text, count = _STYLE.subn(_enclosed, text)
        if not count:
            break
    return _BLOCK.sub(lambda m: f"\n{m[2]}\n" if _WORD.search(m[2]) else m[0], _BREAK.sub("\n", text))


def _enclosed(match: re.Match[str]) -> str:
    if not _WORD.search(match[2]):
        return match[0]
    return match[2] + (" " if match[3] and match[2][-1].isalnum() else "")


def compatible(text: str) -> str:
    """Return `text` in NFKC, full-width forms folded, but with 10² as 10^2 and not as 102."""
    return text if text.isascii() else unicodedata.normalize("NFKC", _SUPERSCRIPT.sub(r"^\1", text))


def minus(text: str) -> str:
    """Return `text` with "-" for every other sign that stands for a minus before a number (U+2212 and its like)."""
    return text if text.isascii() else _MINUS.sub("-", text)


def without_marks(text: str) -> str:
    """Return `text` without Markdown emphasis, code and heading marks."""
    marked = "*" in text or "`" in text or "#" in text or "__" in text
    return _MARK.sub("", text) if marked else text


def _rewrite_boxes(text: str) -> str:
    pieces, position = [], 0
    for match in _BOXED.finditer(text):
        if match.start() < position:
            continue
        end = _closing_brace(text, match.end())
        if end < 0:
            break
        before = text[position : match.start()]
        lead = IN_PASSING if _in_passing(before, text, end + 1) else STATED
        pieces += [before, f"\n{lead}{text[match.end() : end].strip()}\n"]
        position = end + 1
    return "".join((*pieces, text[position:]))


def _in_passing(before: str, text: str, end: int) -> bool:
    """Return whether a box between `before` and `end` is a word of its sentence, not what the sentence leads to."""
    line = before[-60:].rpartition("\n")[2]
    if _CONCLUDES_AT_END.search(line):
        return False
    return bool(line.strip()) or bool(_GOES_ON.match(text, end))


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return -1
