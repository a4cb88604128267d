"""Why a recorded sample's official verdict, made by a judge or a lot, is not the one that our rules give.

A reason names what the official tool did and what our reading of the reply was; it is told from the record itself:
the reply, what the official extraction left, and our verdict's note. Knows nothing of files.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from vlmeval_mp.scoring.base import ScoredSample

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One sample that is read or judged differently. `kind` is the reason in few words, `reason` in full."""

    benchmark: str
    record: str
    index: str
    answer: str
    official: str
    ours: str
    official_right: bool
    ours_right: bool
    kind: str
    reason: str


def blink(ours: ScoredSample, row: Row, official_right: bool) -> tuple[str, str] | None:  # noqa: ARG001 - one signature for all
    """BLINK: its judge is an LLM that reads a letter, or (Z) for none, out of the reply."""
    said, judge = ours.score.extracted, row["extracted"]
    if f"({said or 'Z'})" == judge:
        return None
    if said and judge == "(Z)":
        return "the judge read nothing", f"the reply names {said}; the judge recorded none"
    if said:
        return "the judge read another letter", f"the reply states {said}; the judge recorded {judge!r}"
    return _none(ours), f"{_none(ours)}; the judge chose {judge} by its sense"


def mathvista(ours: ScoredSample, row: Row, official_right: bool) -> tuple[str, str] | None:
    """MathVista: an LLM extracts, then a choice is the nearest in spelling and a whole number is cut."""
    if (ours.score.value == 1.0) == official_right:
        return None
    taken, normalized = row["extraction"], row["normalized"]
    if not official_right:
        said = ours.score.extracted
        return "the judge read something else", f"the reply says {said!r}; the judge took {taken!r} out of it"
    if ours.sample.extra["question_type"] == "multi_choice":
        letters = "ABCDEFGHIJ"[: len(ast.literal_eval(ours.sample.extra["choices"]))]
        if taken not in tuple(letters) and taken != normalized:
            kind = "the nearest choice in spelling"
            return kind, f"{taken!r} is no choice; the official score takes the nearest in spelling, {normalized!r}"
        return _none(ours), f"{_none(ours)}; the judge took {taken!r} out of it"
    if taken != normalized:
        return "a number was cut", f"the official score cuts {taken!r} to {normalized!r}"
    kind = "the answer is unstated in a sentence"
    return kind, f"the reply states no answer that stands alone; the judge took {taken!r} out of it"


def mmmu(ours: ScoredSample, row: Row, official_right: bool) -> tuple[str, str] | None:
    """MMMU: the official parser takes the last option named in brackets, bare, or by text, and else draws one."""
    said, official = ours.score.extracted, row["official_parsed"]
    if ours.sample.extra["question_type"] != "multiple-choice":
        if (ours.score.value == 1.0) == official_right:
            return None
        return (
            "an earlier sentence answers",
            f"the official parser keeps {official!r} alone; an earlier sentence answers",
        )
    if said == official:
        return None
    how = named_by(row["prediction"], ours.sample.options)
    if how is None:
        return "drawn by lot", f"the official parser finds no option and drew {official}; here: {said or _none(ours)}"
    here = f"the reply states {said}" if said else _none(ours)
    return f"the last {how}", f"{here}; the official parser takes the last {how}, {official}"


def named_by(text: str, options: dict[str, str]) -> str | None:
    """How MMMU's `parse_multi_choice_response` finds an option in `text`; None where it draws one."""
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    if any(f"({letter})" in text for letter in options):
        return "letter in brackets"
    if any(f" {letter} " in text for letter in options):
        return "capital letter between blanks"
    if len(text.split()) > 5 and any(option.lower() in text.lower() for option in options.values()):
        return "option text within the reply"
    return None


def _none(ours: ScoredSample) -> str:
    """What our rules say of a reply in which they find no option."""
    note = ours.score.note
    return {"several options named": "several options are named, none stated"}.get(note, "no option is named")


REASONS = {"blink": blink, "mathvista": mathvista, "mmmu": mmmu}


def difference(case: tuple[str, str], ours: ScoredSample, theirs: ScoredSample, row: Row) -> Difference | None:
    """The difference between our verdict on a raw reply and the official one, if there is any."""
    benchmark, record = case
    official_right = theirs.score.value == 1.0
    found = REASONS[benchmark](ours, row, official_right)
    if found is None:
        return None
    return Difference(
        benchmark=benchmark,
        record=record,
        index=ours.sample.index,
        answer=ours.sample.answer,
        official=theirs.score.extracted,
        ours=ours.score.extracted,
        official_right=official_right,
        ours_right=ours.score.value == 1.0,
        kind=found[0],
        reason=found[1],
    )
