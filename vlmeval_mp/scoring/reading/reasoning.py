"""Separates the reasoning in a reply from the answer, by the marks around the reasoning. Pure.

Marks in use: `<think>` (DeepSeek-R1, Qwen3), `<thinking>`, `<thought>`, `<reason>`, `<reasoning>`, `<reflection>`,
`<scratchpad>`, `<rationale>`, `<analysis>` and `<seed:think>`; `[THINK]` (Magistral); `◁think▷` (Kimi-VL);
`<|begin_of_thought|>` (Sky-T1); `<|START_THINKING|>` (Command A); `<unused94>` (MedGemma); `[unused16]` (openPangu);
`<|channel|>analysis` before `<|channel|>final` (gpt-oss). A model may use another pair, which its entry in the config
names.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLAIN = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad"
_NAME = rf"(?:\w{{1,12}}:)?(?:{_PLAIN}|rationale|analysis|cot|inner_(?:monologue|thoughts?))"
# the other names are headings in square brackets: "[Analysis] … [Answer] B"
_BRACKETED = rf"(?:seed:)?(?:{_PLAIN})"
_OPEN = (
    rf"<\s*\|?{_NAME}\|?\s*>|\[{_BRACKETED}\]|◁{_BRACKETED}▷|<\|?begin_of_thoughts?\|?>|<\|START_THINKING\|>|<unused94>|\[unused16\]"
    r"|<\|channel\|>\s*(?:analysis|commentary)[^<]{0,40}<\|message\|>"
)
_CLOSE = (
    rf"<\s*\|?/\s*{_NAME}\|?\s*>|\[/{_BRACKETED}\]|◁/{_BRACKETED}▷|<\|?end_of_thoughts?\|?>|<\|END_THINKING\|>|<unused95>|\[unused17\]"
    r"|<\|channel\|>\s*final[^<]{0,40}<\|message\|>|assistantfinal"
)
_ANSWERED = re.compile(r"</(?:answer|final_answer|ans)>", re.IGNORECASE)


def without_reasoning(text: str, marks: tuple[str, ...] = ()) -> str:
    """Return `text` without its reasoning; nothing where the reasoning never ended.

    `marks` may be a pair of a model's own: what stands before its reasoning and what behind. What stands before the
    last closing mark led to the answer and is not it, unless nothing stands behind that mark: then the reasoning
    follows the answer. The opening mark can be missing, because a chat template may have put it into the prompt. Takes
    time linear in the length of `text`.
    """
    if not marks and "<" not in text and "[" not in text and "◁" not in text and "assistantfinal" not in text:
        return text
    outside: list[str] = []
    place, inside = 0, False
    for mark in _marks(marks).finditer(text):
        opens = mark["open"] is not None
        if opens and not inside:
            outside.append(text[place : mark.start()])
        elif not opens and not inside:
            outside.clear()
        if opens != inside:
            inside = opens
        place = mark.end()
    before = "\n".join(outside)
    if inside:
        return before if _ANSWERED.search(before) else ""
    last = text[place:]
    return last if last.strip() else before


@lru_cache(maxsize=64)
def _marks(own: tuple[str, ...]) -> re.Pattern[str]:
    first, last = (f"{re.escape(mark)}|" for mark in own) if own else ("", "")
    return re.compile(rf"(?P<open>{first}{_OPEN})|(?P<close>{last}{_CLOSE})", re.IGNORECASE)
