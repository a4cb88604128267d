"""Prints how well the strict reader reads: its letters and its yes and no against official readings of real replies.

Of each record in shared/data/records every reply counts out of which somebody official read a choice or a yes or no:

    same     both read the same
    other    we read another one, silently: the worst that a reader can do
    unread   the official tool read one, we none
    extra    we read one, the official tool none

Precision is same / (same + other), recall same / (same + other + unread). Two more columns say how many of `other` and
`unread` are grounded: the official answer's letter or text stands in the reply at all. Where it does not, a judge
guessed, a lot was drawn, or the record and its options belong to different prints of the data set.
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

from vlmeval_mp.scoring.strict.choice import read_choice
from vlmeval_mp.scoring.strict.yesno import read_yesno

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "records"
KINDS = ("same", "other", "unread", "extra", "neither")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a record: what it was officially read as ("" for nothing), and the options of its question."""

    record: str
    index: str
    text: str
    official: str
    options: dict[str, str]

    @property
    def ours(self) -> str:
        return read_choice(self.text, self.options)[0] if self.options else read_yesno(self.text)[0]

    @property
    def grounded(self) -> bool:
        """Whether the official reading stands in the reply: its letter as a word, or its option's text."""
        letter = re.search(rf"(?<![A-Za-z]){self.official}(?![A-Za-z'’])", self.text) is not None
        option = self.options.get(self.official, "").strip().lower()
        return letter or (bool(option) and option in self.text.lower())


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
            yield Reply(f"pope {split}", str(row["index"]), row["prediction"], said, {})
    tasks = {row["index"]: row for row in _table("blink/gold_val.tsv")}
    last = {
        t: max(r["answer"][1] for r in tasks.values() if r["task"] == t) for t in {r["task"] for r in tasks.values()}
    }
    for model in ("llava_v1.5_7b", "Yi_VL_6B", "GPT4V"):
        for row in _lines(f"blink/{model}.jsonl.gz"):
            letters = [x for x in "ABCD" if x <= last[tasks[row["index"]]["task"]]]
            said = row["extracted"].strip("()")[:1]
            yield Reply(
                f"blink {model}",
                row["index"],
                row["prediction"],
                said if said in letters else "",
                dict.fromkeys(letters, ""),
            )
    gold = {row["index"]: row for row in _table("mmmu/gold_val.tsv")}
    for row in _lines("mmmu/qwen_vl.jsonl.gz"):
        own = gold[row["index"]]
        if own["question_type"] == "multiple-choice":
            options = {x: own[x] for x in string.ascii_uppercase[:9] if own[x]}
            yield Reply("mmmu qwen_vl", row["index"], row["prediction"], row["official_parsed"], options)
    asked = {row["index"]: row for row in _table("mathvista/gold_testmini.tsv")}
    for model in ("llava_llama_2_13b", "instruct_blip2_vicuna_13b", "random_guess"):
        for row in _lines(f"mathvista/{model}.jsonl.gz"):
            own = asked[str(row["index"])]
            if own["question_type"] == "multi_choice":
                options = dict(zip(string.ascii_uppercase, map(str, ast.literal_eval(own["choices"])), strict=False))
                said = next((x for x, text in options.items() if text == str(row["normalized"])), "")
                yield Reply(f"mathvista {model}", str(row["index"]), str(row["prediction"] or ""), said, options)


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
    head = "| record | replies | same | other | grounded | unread | grounded | extra | precision | recall |"
    lines = [head, "| --- |" + " --- |" * 9]
    for name in [*dict.fromkeys(reply.record for reply, _ in found), ""]:
        part = [(reply, ours) for reply, ours in found if name in ("", reply.record)]
        lines.append(_line(name or "**all**", part))
    return "\n".join(lines) + "\n"


def _line(name: str, part: list[tuple[Reply, str]]) -> str:
    kinds = Counter(kind(reply, ours) for reply, ours in part)
    sure = Counter(kind(reply, ours) for reply, ours in part if reply.official and reply.grounded)
    same, other, unread = kinds["same"], kinds["other"], kinds["unread"]
    cells = (
        name, len(part), same, _share(other, len(part)), _share(sure["other"], len(part)), _share(unread, len(part)),
        _share(sure["unread"], len(part)), kinds["extra"], _percent(same, same + other),
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
                print(f"{reply.record} {reply.index} {said}: {ours or '–'} for {reply.official or '–'}: {reply.text!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
