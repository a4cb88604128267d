"""Finds the place where a model goes on after its reply and writes the user's next turn. Pure.

A base model, or one that misses its stop token, invents another question behind its answer and answers that one, too.
"""

from __future__ import annotations

import re

_WHO = r"(?:next\s+)?question|hint|user|human|instruction|q|问题|用户|提问|質問|질문|사용자|pregunta|frage|вопрос"
_TURN = re.compile(
    rf"^[ \t>*#_]{{0,12}}(?:{_WHO})[ \t]{{0,3}}(?:\#?\d{{1,4}})?[ \t]{{0,3}}[*_]{{0,3}}:"
    r"|^[ \t>*#_]{0,12}(?P<unsure>question[ \t]?\#?\d{1,4}[ \t*_]*$"
    r"|ex(?:ample|ercise)[ \t]{0,3}\d{1,4}[ \t]{0,3}[*_]{0,3}:)"
    r"|^[ \t>*#_]{0,12}(?:q[ \t]?\d{1,4}[.)][ \t](?=[^\n]{0,400}\n{1,3}a(?:nswer)?[ \t]?:))"
    r"|<\|im_start\|>\s?user\b|\[INST\]|<start_of_turn>\s?user\b|<\|(?:user|start_header_id)\|>"
    r"|</s>|<\|(?:im_end|endoftext|eot_id|end|return|eos)\|>|<end_of_turn>|<eos>",
    re.IGNORECASE | re.MULTILINE,
)
_GIVEN = re.compile(
    r"(?i:\banswer(?:\s+is\b|\W{0,4}[:=]))|答案|정답|答え|\\boxed|</answer>"
    r"|\A\W*(?:[A-Z](?:[).:]|[*_ \t]*\n|\W*\Z)|(?i:yes|no|-?\d[\d.,]*%?|(?:an?|the)\s+\w+)\W*\Z)"
)
"""An answer that is surely given: only behind one does a line "Example 2:" or "Question 2" begin another turn."""
_SPEAKER = re.compile(r"\b(?:USER|HUMAN):")
_ANNOUNCES = re.compile(r"\bquestion\b|问题", re.IGNORECASE)
_ANSWERS = re.compile(r"\banswer\b|答案|정답|答え|respuesta|réponse|antwort|ответ", re.IGNORECASE)


def first_turn(text: str) -> str:
    """Return `text` up to the turn that its model invented, or all of it.

    A reply that begins with the question is repeating its prompt: there the first answer ends the turn. So does a line
    that announces the question ("Let me look at the question:").
    """
    if ":" not in text and "<" not in text and "[" not in text and "question" not in text.lower():
        return text
    restated = False
    place = 0
    for mark in sorted((*_TURN.finditer(text), *_SPEAKER.finditer(text)), key=re.Match.start):
        head = text[place : mark.start()]
        if not head.strip() and not restated:
            restated = not mark[0].startswith("<")
            place = mark.end()
            continue
        if mark.lastgroup == "unsure" and not _GIVEN.search(head):
            continue
        last = head.rstrip().rpartition("\n")[2]
        announced = last.endswith(":") or _ANNOUNCES.search(last)
        if (restated and not _ANSWERS.search(head)) or (not restated and announced):
            restated, place = True, mark.end()
            continue
        return text[: mark.start()]
    return text
