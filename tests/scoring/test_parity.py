"""Our compat verdicts against ms-vlmeval 0.0.20's own, row by row, over every family that runs offline.

Theirs come out of each class's `evaluate`; scripts/parity_theirs.py says how, and what stands in for it where it wants
a judge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.scoring.generated import Row, prediction_of, rows, sample_of
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring import Rules, score, score_all
from vlmeval_mp.scoring.compat import readback
from vlmeval_mp.scoring.compat.letters import STOPS
from vlmeval_mp.scoring.compat.maths import JUDGE, RUNS_CODE
from vlmeval_mp.scoring.families import FAMILIES, check, scorer_for

# a Python that has ms-vlmeval: this one after scripts/install vlmevalkit
PYTHON = os.environ.get("VLMEVALKIT_PYTHON", sys.executable)
THEIRS = Path(__file__).parents[2] / "scripts" / "parity_theirs.py"
EACH = 1050


def theirs(asked: dict[str, list[Row]]) -> dict[str, list[float | str | None]]:
    """What ms-vlmeval says of each row: a number, None (a judge's), or "stops" (it raises)."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, THEIRS], input=json.dumps(asked), capture_output=True, text=True, timeout=280, env=environment
    )
    assert done.returncode == 0, (
        f"{PYTHON} has no ms-vlmeval 0.0.20? scripts/install dev vlmevalkit\n{done.stderr[-2000:]}"
    )
    found: dict[str, list[float | str | None]] = json.loads(done.stdout)
    return found


def ours(family: str, row: Row, place: int) -> Score:
    return scorer_for(family, "compat")(sample_of(row, place), prediction_of(row, place))


def agrees(own: Score, other: float | str | None) -> bool:
    if other is None:
        return own.value is None and own.note == JUDGE
    if other == "stops":
        return own.value is None and own.note == STOPS
    # NumPy adds ten numbers in another order than Python
    return own.value == pytest.approx(other, abs=1e-12)


def test_every_family_is_compared_or_is_a_judges() -> None:
    compared = [family for group in GROUPS.values() for family in group]
    assert {*compared, "judge", "math-verify"} == set(FAMILIES)  # in compat, the latter is "open"
    assert EACH * len(compared) >= 20_000


GROUPS = {
    "choices": ["mcq", "blink", "circular", "visonlyqa", "mmmu", "mmmu-cot"],
    "yes or no": ["yesno", "mme", "pope", "hallusion", "vsr", "amber"],
    "short answers": ["open", "exact", "gqa", "textvqa", "relaxed", "anls", "ocrbench"],
    "videos": ["videomme", "longvideobench", "mvbench", "mlvu", "tempcompass-mcq", "tempcompass-yesno"],
    "mathematics": ["mathvista", "mathvision"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_compat_verdict_is_ms_vlmevals(group: str) -> None:
    asked = {family: rows(family, EACH, seed=3) for family in GROUPS[group]}
    said = theirs(asked)
    wrong, untold = [], 0
    for family, generated in asked.items():
        verdicts = said[family]
        for place, (row, other) in enumerate(zip(generated, verdicts, strict=True)):
            own = ours(family, row, place)
            if own.note == RUNS_CODE:
                untold += 1
            elif not agrees(own, other):
                wrong.append((family, row, other, own))
        kinds = Counter("right" if v == 1.0 else "wrong" if v == 0.0 else "other" for v in verdicts)
        # a comparison that one answer could win by saying always the same would show nothing
        assert kinds["right"] >= 0.05 * EACH, (family, kinds)
        assert kinds["wrong"] >= 0.05 * EACH, (family, kinds)
    assert not wrong, (len(wrong), wrong[:5])
    # the only rows that are not compared: answers that MathVision's rule would run as code
    assert untold <= (0.05 * EACH if group == "mathematics" else 0)


# --- what reading a table does to text ---------------------------------------------------------------------------

COLUMN_TEXTS = [
    ["7", "6.5", "x"],
    ["7", "6.5", ""],
    ["7", "8", "None"],
    ["007", "8", "1e5"],
    [" 7", "8 ", "+9"],
    ["true", "FALSE", "True"],
    ["True", "", "False"],
    ["True", "1", "0"],
    ["1,000", "2", "3"],
    ["inf", "2", "nan"],
    ["1_000", "0x10", "2"],
    ["7.", ".5", "-0"],
    ["123456789012345678901", "2", ""],
    ["12345678901234567890", "2", "3"],
    ["1e400", "-2", "NA"],
    ["yes", "None", "n/a"],
    ["\u0663", "2", "3"],
    ["5%", "2", "3"],
]


@pytest.mark.parametrize("texts", COLUMN_TEXTS)
def test_a_column_is_read_back_as_pandas_reads_it(texts: list[str], tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "table.tsv"
    pd.DataFrame({"index": range(len(texts)), "prediction": texts}).to_csv(path, sep="\t", index=False)
    wanted = [str(x) for x in pd.read_csv(path, sep="\t")["prediction"]]
    pairs = [(_short(str(place)), _said(place, text)) for place, text in enumerate(texts)]
    read = [readback.cell(p.prediction) for _, p in readback.as_read(pairs) if p is not None]
    assert read == wanted


def _short(index: str, answer: str = "7") -> Sample:
    return Sample(index=index, row=int(index), kind="vqa", question="What?", answer=answer)


def _said(place: int, text: str) -> Prediction:
    return Prediction(index=str(place), row=place, prediction=text)


TABLES: dict[str, list[Row]] = {
    # one empty answer makes numbers of "7" and "8": 7.0 is not "7"
    "exact": [
        {"question": "What?", "answer": answer, "prediction": said}
        for answer, said in [("7", "7"), ("8", ""), ("9", "9"), ("9", "09")]
    ],
    "mcq": [
        # a gap in the column C makes 3.0 of its "3"
        {"question": "What?", "A": "7", "B": "8", "C": third, "answer": answer, "prediction": said}
        for third, answer, said in [("", "A", "is 7"), ("3", "C", "is 3"), ("None", "B", "B"), ("3", "C", "3.0")]
    ],
}


def test_whole_tables_of_numbers_get_ms_vlmevals_verdicts() -> None:
    """Without a row of text that keeps columns what they are: numbers are read as numbers, and a gap makes floats."""
    tables = {family: [{"index": place, **row} for place, row in enumerate(table)] for family, table in TABLES.items()}
    said = theirs({f"{family}=": table for family, table in tables.items()})
    for family, table in tables.items():
        pairs = [(sample_of(row, place), prediction_of(row, place)) for place, row in enumerate(table)]
        own = [scored.score.value for scored in score_all(pairs, Rules(scorer=family, mode="compat"))]
        assert own == said[f"{family}="], family
        assert own != [score(*pair, Rules(scorer=family, mode="compat")).value for pair in pairs], family


# --- known mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "answer", "text", "compat"),
    [
        ("mcq", "B", "B. because it barks, unlike all the others here", 0.0),
        ("yesno", "No", "**No**", 0.0),
        ("exact", "1000", "1,000", 0.0),
        ("videomme", "C", "Best option: C", 0.0),
        ("tempcompass-yesno", "no", "nothing", 1.0),
    ],
)
def test_a_known_mistake_stays_in_compat_and_is_counted(family: str, answer: str, text: str, compat: float) -> None:
    options = dict(zip("ABCD", ("cat", "dog", "bird", "hot dog"), strict=True))
    sample = Sample(index="0", row=0, kind="vqa", options=options, answer=answer)
    assert scorer_for(family, "compat")(sample, _said(0, text)).value == compat
    assert scorer_for(family, "strict")(sample, _said(0, text)).value != compat


def test_an_unknown_scorer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'relaxed'"):
        check("relax")
