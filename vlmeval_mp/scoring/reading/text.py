"""What every scorer does to model output before reading it: keep the answer, drop the reasoning and the decoration.

Sources of the conventions: `<think>…</think>` as DeepSeek-R1 and Qwen3 emit it (their chat templates may put the
opening tag into the prompt, so it can be missing); `<answer>…</answer>` from the same family of models; `\\boxed{…}`
from the MATH benchmark; `<s>` and `<|im_end|>` are tokens a sloppy decoder leaves behind. Knows nothing of options,
yes/no or references.
"""

from __future__ import annotations

import re
import unicodedata

_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"
_ANSWER_TAG = re.compile(r"<answer>([^<]*)</answer>", re.IGNORECASE)
_BOXED = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"[{}]")
_LATEX_WRAP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
_SPECIAL = re.compile(r"</?s>|<\|\w+\|>")
_MARK = re.compile(r"[*`#]+|__")

STATED = "Answer: "
"""Boxes and answer tags are rewritten to lines that start so, because they mean the same."""


def without_thinking(text: str) -> str:
    """`text` without its reasoning; reasoning that never ended leaves no answer behind it."""
    end = text.rfind(_THINK_CLOSE)
    if end >= 0:
        # whatever stands before the last closing tag led to the answer and is not it
        text = text[end + len(_THINK_CLOSE) :]
    start = text.find(_THINK_OPEN)
    return text if start < 0 else text[:start]


def answer_text(text: str) -> str:
    """`text` without reasoning, full-width forms folded (NFKC), boxes and answer tags as `Answer: …` lines."""
    text = unicodedata.normalize("NFKC", without_thinking(text))
    if "\\" in text:
        text = _rewrite_boxes(_LATEX_WRAP.sub(r"\1", text))
    if "<" in text:
        text = _SPECIAL.sub("", text)
        text = _ANSWER_TAG.sub(lambda m: f"\n{STATED}{m[1].strip()}\n", text)
    return text.strip()


def without_marks(text: str) -> str:
    """`text` without Markdown emphasis, code and heading marks."""
    return _MARK.sub("", text)


def _rewrite_boxes(text: str) -> str:
    pieces, position = [], 0
    for match in _BOXED.finditer(text):
        if match.start() < position:
            continue
        end = _closing_brace(text, match.end())
        if end < 0:
            break
        pieces += [text[position : match.start()], f"\n{STATED}{text[match.end() : end].strip()}\n"]
        position = end + 1
    return "".join((*pieces, text[position:]))


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return -1
