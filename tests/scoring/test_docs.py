"""docs/scoring.md: every example of a difference is one, in our scorers and in ms-vlmeval's."""

from __future__ import annotations

import re
import string
from pathlib import Path

from tests.scoring.generated import COLUMNS, Row, prediction_of, rows, sample_of
from tests.scoring.test_parity import agrees, theirs
from vlmeval_mp.scoring.base import Scorer
from vlmeval_mp.scoring.families import FAMILIES, scorer_for

PAGE = Path(__file__).parents[2] / "docs" / "scoring.md"
LINE = re.compile(
    r"\| (?P<families>[\w, -]+) \| (?P<sample>(?:`[^`]*` ?)+)\| (?P<reply>`[^`]*`) "
    r"\| (?P<compat>\S+) \| (?P<strict>\S+) \|.*"
)
Example = tuple[str, Row, float | None, float | None]


def examples() -> list[Example]:
    """Family, row, compat and strict verdict of every line, once for each family that it names."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not (match := LINE.fullmatch(line)):
            assert not re.match(r"\| [\w, -]+ \| `", line), f"not understood: {line}"
            continue
        cells = dict(cell.split(": ", 1) for cell in re.findall("`([^`]*)`", match["sample"]))
        said = match["reply"][1:-1].replace("\\n", "\n")
        verdicts = [None if match[mode] == "–" else float(match[mode]) for mode in ("compat", "strict")]
        found += [(family, row_of(family, cells, said), *verdicts) for family in match["families"].split(", ")]
    return found


def row_of(family: str, cells: Row, said: str) -> Row:
    """A row of the family with these columns, and no options or choices but theirs."""
    base = rows(family, 1, seed=1)[0]
    emptied = {
        column: "" for column in base if column in (*string.ascii_uppercase, "choices", "candidates", "answer_option")
    }
    row = base | emptied | {"question": "Which?"} | cells | {"prediction": said}
    if "correct_choice" in cells:
        row["correct_choice"] = int(cells["correct_choice"])
    return row


def test_every_example_is_true_of_our_scorers_and_every_family_has_one() -> None:
    differing = set()
    for family, row, *wanted in examples():
        found = [
            scorer_for(family, mode)(sample_of(row, 0), prediction_of(row, 0)).value for mode in ("compat", "strict")
        ]
        assert [x if x is None else round(x, 6) for x in found] == wanted, (family, row)
        if found[0] != found[1]:
            differing.add(family)
    # what compat and strict differ in for visonlyqa are the examples of mcq: its scorers are the same
    assert scorers("visonlyqa") == scorers("mcq")
    # ms-vlmeval has no rule like math-verify's; its table is one of short answers there
    assert scorer_for("math-verify", "compat") is scorer_for("open", "compat")
    assert differing == set(FAMILIES) - {"judge", "visonlyqa", "math-verify"}


def scorers(family: str) -> list[Scorer]:
    return [scorer_for(family, mode) for mode in ("compat", "strict")]


def test_every_example_is_true_of_ms_vlmeval() -> None:
    asked: dict[str, list[Row]] = {family: [] for family in COLUMNS}
    for family, row, _, _ in examples():
        index = row["index"] if family == "hallusion" else len(asked[family])
        asked[family].append(row | {"index": index})
    said = theirs({family: listed for family, listed in asked.items() if listed and family != "hallusion"})
    for family, verdicts in said.items():
        for row, verdict in zip(asked[family], verdicts, strict=True):
            assert agrees(scorer_for(family, "compat")(sample_of(row, 0), prediction_of(row, 0)), verdict), (
                family,
                row,
                verdict,
            )
