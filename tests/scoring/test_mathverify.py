"""Formulas that math-verify finds equal, and what becomes of a run where it is not installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from vlmeval_mp.cli.main import main
from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.core.records import DataSpec, Prediction, Sample
from vlmeval_mp.runs import submit
from vlmeval_mp.scoring import Rules, score
from vlmeval_mp.scoring.strict import mathverify

RULES = Rules(scorer="math-verify")


def value(reply: str, answer: str, **options: str) -> float | None:
    sample = Sample(index="1", row=0, kind="vqa", question="?", answer=answer, options=options)
    return score(sample, Prediction(index="1", row=0, prediction=reply), RULES).value


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("\\boxed{b+a}", "a+b", 1.0),
        ("The answer is $\\frac{2}{4}$.", "0.5", 1.0),
        ("Answer: x = 5", "5", 1.0),
        ("\\boxed{2\\sqrt{3}}", "\\sqrt{12}", 1.0),
        ("\\{2, 1\\}", "\\{1,2\\}", 1.0),
        ("So we get \\boxed{7}", "['seven', '7']", 1.0),
        ("a dog", "dog", 1.0),
        ("(2,1)", "(1,2)", 0.0),
        ("[1,2]", "[1,2)", 0.0),
        ("-5", "5", 0.0),
        ("cat", "dog", 0.0),
        ("First 5, then 7", "5", 0.0),
        ("", "5", 0.0),
        ("\\frac{", "1", 0.0),
        ("9^{9^{9}}", "1", 0.0),
        ("10000!", "1", 0.0),
        ("1" * 400, "1", 0.0),
    ],
)
def test_a_free_answer_is_right_if_it_is_equal_as_text_or_as_a_formula(reply: str, answer: str, right: float) -> None:
    assert value(reply, answer) == right


def test_a_choice_is_read_as_any_other() -> None:
    assert value("The answer is (B).", "B", A="$1$", B="$2$") == 1.0
    assert value("\\boxed{2}", "B", A="$1$", B="$2$") == 1.0


def test_without_the_package_a_run_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "d.tsv"
    data.write_text("index\tquestion\tanswer\tprediction\n1\tq\ta+b\tb+a\n")
    monkeypatch.setitem(sys.modules, "math_verify", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "math_verify" else find(name, *more)
    )
    with pytest.raises(DependencyError, match="needs math_verify, which is not installed: scripts/install"):
        submit.resolved_data(DataSpec(name="d", path=str(data), scorer="math-verify"))
    assert main(["eval", "--predictions", str(data), "--scorer", "math-verify", "--out", str(tmp_path / "o")]) == 3
    assert mathverify.INSTALL in capsys.readouterr().err
    mathverify._package.cache_clear()
    with pytest.raises(DependencyError, match="pip install"):
        mathverify.equal("a+b", "b+a")
    mathverify._package.cache_clear()
