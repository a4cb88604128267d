"""Scores the recorded predictions of published runs and compares with their published numbers.

What a rule made must come out to the digit; what a judge or a lot made is compared sample by sample. Which file is
scored how is `records_cases`'s, why a verdict differs `records_why`'s.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import tempfile
from collections import Counter
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import records_why
from records_cases import CASES, ROOT, Case, Row, compared, flat, gold_of, letters_only, measured

from vlmeval_mp.exchange import evaluate
from vlmeval_mp.exchange.evaluate import FileScores, FileToScore

DOC = ROOT / "docs" / "records.md"
BEGIN, END = "<!-- measured by scripts/records -->\n", "<!-- end -->\n"


# --- replies, where a judge or a lot read them officially ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raw:
    """Our reading of the replies of one record in each mode (right, of how many), beside the official one."""

    case: Case
    official: int
    strict: int
    compat: int
    unscored: int
    n: int
    differences: list[records_why.Difference]


def raw(case: Case, folder: Path) -> Raw:
    """A case's raw replies scored by our own rules, against the verdicts on its official column."""
    gold = gold_of(case, folder)
    theirs = evaluate.evaluate(case.asked(gold))
    ours = {mode: evaluate.evaluate(_for_replies(case, gold, folder, mode)) for mode in ("strict", "compat")}
    rows = {evaluate.canonical(str(r["index"])): r for r in read_rows(case.path)}
    pairs = zip(ours["strict"].scored, theirs.scored, strict=True)
    found = [
        records_why.difference((case.benchmark, case.name), mine, other, rows[mine.sample.index])
        for mine, other in pairs
    ]
    return Raw(
        case=case,
        official=_right(theirs),
        strict=_right(ours["strict"]),
        compat=_right(ours["compat"]),
        unscored=ours["compat"].summary.counts.unscored,
        n=len(theirs.scored),
        differences=[each for each in found if each],
    )


def _for_replies(case: Case, gold: Path | None, folder: Path, mode: Any) -> FileToScore:
    asked = case.asked(gold, raw=True)
    if case.benchmark == "blink" and gold:
        asked = replace(asked, data=str(letters_only(gold, folder)))
    return replace(asked, mode=mode)


def _right(found: FileScores) -> int:
    return sum(s.score.value == 1.0 for s in found.scored)


def read_rows(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# --- the page ------------------------------------------------------------------------------------------------------


def page(folder: Path) -> tuple[str, list[records_why.Difference]]:
    """The tables of docs/records.md as measured now, and every sample that differs."""
    lines = ["| record | column | numbers | reproduced |", "| --- | --- | --- | --- |"]
    for case in CASES:
        found = evaluate.evaluate(case.asked(gold_of(case, folder)))
        numbers = measured(
            case, msgspec.to_builtins(found.summary), [msgspec.to_builtins(s.score) for s in found.scored]
        )
        pairs = list(compared(case, numbers))
        said = _reproduced(case, pairs)
        lines.append(
            f"| {_named(case)} | `{case.official or 'prediction'}` | {len(pairs)}: {_headline(numbers)} | {said} |"
        )
    lines += ["", "| record | official | strict | compat | judged otherwise | read otherwise, by reason |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    differences: list[records_why.Difference] = []
    for case in CASES:
        if case.official:
            found = raw(case, folder)
            differences += found.differences
            lines.append(_raw_line(found))
    return "\n".join(lines) + "\n", differences


def _reproduced(case: Case, pairs: list[tuple[str, Any, Any]]) -> str:
    wrong = [pair for pair in pairs if pair[1] != pair[2]]
    if not wrong:
        return "all to the digit"
    if case.relabelled and all(name.startswith(case.relabelled) for name, _, _ in wrong):
        return f"all but {len(wrong)} of its skills, which were labelled otherwise (see above)"
    return "; ".join(f"{name}: {theirs} there, {ours} here" for name, theirs, ours in wrong)


def _named(case: Case) -> str:
    return f"{case.benchmark} {case.name}"


def _headline(numbers: Row) -> str:
    """The first few numbers that are no breakdown."""
    shown = {n: v for n, v in flat(numbers).items() if isinstance(v, float)}
    return ", ".join(f"{name.rpartition('.')[2].replace('_', ' ')} {value:g}" for name, value in shown.items())


def _raw_line(found: Raw) -> str:
    kinds = Counter(d.kind for d in found.differences)
    reasons = ", ".join(
        f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0]))
    )
    judged = sum(d.official_right != d.ours_right for d in found.differences)
    left = f" ({found.unscored} left to a judge)" if found.unscored else ""
    return (
        f"| {_named(found.case)} | {found.official} | {found.strict} | {found.compat}{left} | {judged} of {found.n} "
        f"| {reasons or 'none'} |"
    )


def main() -> int:
    """Print the page; write the samples that differ, and with --write the page's tables into docs/records.md."""
    out = ROOT / "build" / "records-differing.tsv"
    with tempfile.TemporaryDirectory() as folder:
        text, differences = page(Path(folder))
    print(text)
    out.parent.mkdir(exist_ok=True)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow([field.name for field in fields(records_why.Difference)])
        writer.writerows(astuple(each) for each in differences)
    print(f"{len(differences)} samples are read or judged otherwise; each with its reason in {out}")
    if "--write" in sys.argv[1:]:
        before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
        DOC.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
