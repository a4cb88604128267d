"""Prints how well the strict reader reads: its letters and its yes and no against official readings of real replies.

Of each record every reply counts out of which somebody official read a choice or a yes or no:

    same     both read the same
    other    we read another one, silently: the worst that a reader can do
    unread   the official tool read one, we none
    extra    we read one, the official tool none

Precision is same / (same + other), recall same / (same + other + unread). *Grounded* are those of `other` in which the
official answer's letter or text stands at all; in the rest a judge guessed, or the record and its options belong to
different prints of the data set.

An unread reply is *empty*, or it holds *no answer* (see `lacking`: it lists options, says that it cannot tell, ends on
a value that is no option, breaks off, or nothing of the official answer is in it), or it was *missed*: a careful reader
might have found the answer. The goal of at most 2 % unread is for the replies that hold an answer.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
import re
import string
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmeval_mp.scoring.official.mmmu import read_letter
from vlmeval_mp.scoring.reading.options import options_of
from vlmeval_mp.scoring.reading.outcome import cannot_tell, cannot_tell_which
from vlmeval_mp.scoring.reading.sentences import last_sentence, result_of
from vlmeval_mp.scoring.reading.text import answer_text
from vlmeval_mp.scoring.strict.choice import read_choice
from vlmeval_mp.scoring.strict.yesno import read_yesno

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "records"
_POINTS = ["Point A", "Point B", "Point C", "Point D"]
BLINK_OPTIONS = {
    "Art_Style": ["the second image", "the third image"],
    "Forensic_Detection": ["the first image", "the second image", "the third image", "the fourth image"],
    "Functional_Correspondence": _POINTS,
    "Jigsaw": ["the second image", "the third image"],
    "Multi-view_Reasoning": ["left", "right"],
    "Object_Localization": ["Box A", "Box B"],
    "Relative_Depth": ["A is closer", "B is closer"],
    "Relative_Reflectance": ["A is darker", "B is darker", "About the same"],
    "Semantic_Correspondence": _POINTS,
    "Spatial_Relation": ["yes", "no"],
    "Visual_Correspondence": _POINTS,
    "Visual_Similarity": ["the second image", "the third image"],
}
"""The options of BLINK's tasks that ask with the same each time; not in the record, but replies repeat them."""
_LED = re.compile(r"\(?[A-Za-z]{1,2}[).:]\s*\S|\([A-Za-z]+\b[^)]*\)$|\.?\d+$")
_BROKEN = re.compile(r"\(?[A-Z]{0,2}")
_NO_CHOICE = re.compile(
    r"\b(?:none|neither|any|all|both)\s+of\s+(?:the|these)\b|\bor\s+image\b|\([A-D]\)(?:,? or|,? and)\s+\([A-D]\)"
)
_END = 300
KINDS = ("same", "other", "unread", "extra", "neither")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a record: what it was officially read as ("" for nothing), and the options of its question."""

    record: str
    index: str
    text: str
    official: str
    options: dict[str, str]
    question: str = ""

    @property
    def ours(self) -> str:
        read = (
            read_choice(self.text, self.options, self.question)
            if self.options
            else read_yesno(self.text, self.question)
        )
        return read[0]

    @property
    def grounded(self) -> bool:
        """Whether the official reading stands in the reply: its letter as a word, or its option's text."""
        letter = re.search(rf"(?<![A-Za-z]){self.official}(?![A-Za-z'’])", self.text) is not None
        option = self.options.get(self.official, "").strip().lower()
        return letter or (bool(option) and option in self.text.lower())


def lacking(reply: Reply) -> str:
    """What an unread reply has in place of an answer; "" if it may hold one."""
    text = answer_text(reply.text).strip()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return "empty"
    if all(_LED.match(line) for line in lines[:-1]) and (_LED.match(lines[-1]) or _BROKEN.fullmatch(lines[-1])):
        return "lists options"
    if cannot_tell(text[-_END:]) or cannot_tell(text) or cannot_tell_which(text) or _NO_CHOICE.search(text):
        return "cannot tell"
    if (
        len(text) > _END
        and text[-1] not in ".!?)]}\"'”*"
        and not text.endswith(tuple(map(str, reply.options.values())))
    ):
        return "breaks off"
    result = result_of(last_sentence(lines[-1])).rstrip(".")
    if result[-1:] and any(x.isdigit() for x in result) and not options_of(tuple(reply.options.items())).opens(result):
        return "another value"
    polar = {option.lower() for option in reply.options.values()} & {"yes", "no", "true", "false"}
    return "" if reply.grounded or polar else "nothing of it"


def kind(reply: Reply, ours: str) -> str:
    """One of `KINDS`."""
    if ours == reply.official:
        return "same" if ours else "neither"
    if not ours:
        return "unread"
    return "other" if reply.official else "extra"


# --- records -------------------------------------------------------------------------------------------------------


def replies() -> Iterator[Reply]:
    """Every reply of all records that has an official reading of a choice or of a yes or no."""
    for split in ("random", "popular", "adversarial"):
        for row in _lines(f"pope/llava-v1.5-7b_greedy_{split}.jsonl.gz"):
            # POPE's tool reads "No" where the first sentence holds "No", "no" or "not", else "Yes"
            words = row["prediction"].split(".")[0].replace(",", "").split(" ")
            said = "No" if {"No", "no", "not"} & set(words) else "Yes"
            yield Reply(f"pope {split}", str(row["index"]), row["prediction"], said, {}, row["question"])
    tasks = {row["index"]: row for row in _table("blink/gold_val.tsv")}
    last = {
        t: max(r["answer"][1] for r in tasks.values() if r["task"] == t) for t in {r["task"] for r in tasks.values()}
    }
    for model in ("llava_v1.5_7b", "Yi_VL_6B", "GPT4V"):
        for row in _lines(f"blink/{model}.jsonl.gz"):
            task = tasks[row["index"]]["task"]
            letters = [x for x in "ABCD" if x <= last[task]]
            options = dict(zip(letters, BLINK_OPTIONS.get(task, [""] * len(letters)), strict=True))
            said = row["extracted"].strip("()")[:1]
            yield Reply(f"blink {model}", row["index"], row["prediction"], said if said in options else "", options)
    gold = {row["index"]: row for row in _table("mmmu/gold_val.tsv")}
    for row in _lines("mmmu/qwen_vl.jsonl.gz"):
        own = gold[row["index"]]
        if own["question_type"] == "multiple-choice":
            options = {x: own[x] for x in string.ascii_uppercase[:9] if own[x]}
            said = row["official_parsed"] if read_letter(row["prediction"], options) else ""  # a lot is no reading
            yield Reply("mmmu qwen_vl", row["index"], row["prediction"], said, options)
    asked = {row["index"]: row for row in _table("mathvista/gold_testmini.tsv")}
    for model in ("llava_llama_2_13b", "instruct_blip2_vicuna_13b", "random_guess"):
        for row in _lines(f"mathvista/{model}.jsonl.gz"):
            own = asked[str(row["index"])]
            if own["question_type"] == "multi_choice":
                options = dict(zip(string.ascii_uppercase, map(str, ast.literal_eval(own["choices"])), strict=False))
                said = next((x for x, text in options.items() if text == str(row["normalized"])), "")
                text = str(row["prediction"] or "")
                yield Reply(f"mathvista {model}", str(row["index"]), text, said, options, own["question"])


def _lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(RECORDS / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _table(name: str) -> list[dict[str, str]]:
    csv.field_size_limit(2**30)
    with (RECORDS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


# --- the table -----------------------------------------------------------------------------------------------------


def table(found: list[tuple[Reply, str]]) -> str:
    """One line per record and one over all of them, in Markdown."""
    names = "record replies same other grounded unread empty no_answer missed extra precision recall"
    head = f"| {' | '.join(names.split())} |".replace("_", " ")
    lines = [head, "|" + " --- |" * 12]
    for name in [*dict.fromkeys(reply.record for reply, _ in found), ""]:
        part = [(reply, ours) for reply, ours in found if name in ("", reply.record)]
        lines.append(_line(name or "**all**", part))
    return "\n".join(lines) + "\n"


def _line(name: str, part: list[tuple[Reply, str]]) -> str:
    kinds = Counter(kind(reply, ours) for reply, ours in part)
    grounded = sum(kind(reply, ours) == "other" and reply.grounded for reply, ours in part)
    lacks = Counter(lacking(reply) for reply, ours in part if kind(reply, ours) == "unread")
    same, other, unread = kinds["same"], kinds["other"], kinds["unread"]
    empty, missed = lacks["empty"], lacks[""]
    holding = len(part) - unread + missed
    cells = (
        name, len(part), same, _share(other, len(part)), _share(grounded, len(part)), _share(unread, len(part)), empty,
        unread - empty - missed, _share(missed, holding), kinds["extra"], _percent(same, same + other),
        _percent(same, same + other + unread),
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.2f} %)" if count else "0"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "–"


def main() -> int:
    """Print the table; with --list also each reply that is read otherwise."""
    found = [(reply, reply.ours) for reply in replies()]
    print(table(found))
    if "--list" in sys.argv[1:]:
        for reply, ours in found:
            if (said := kind(reply, ours)) not in ("same", "neither"):
                why = f" ({lacking(reply) or 'missed'})" if said == "unread" else ""
                read = f"{ours or '–'} for {reply.official or '–'}"
                print(f"{reply.record} {reply.index} {said}{why}: {read}: {reply.text!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
