"""Scores by VLMEvalKit's evaluators: its numbers, its verdicts, its judge or the lack of one."""

import http.server
import json
import threading

import pytest

from tests.vlmevalkit.conftest import jpeg
from vlmeval_mp.core.records import DataSpec, Prediction
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.scoring.base import EVALUATOR, Rules
from vlmeval_mp.vlmevalkit import evaluation, registry
from vlmeval_mp.vlmevalkit.evaluation import FILES, LOG, evaluate_job


class Judge:
    """A chat server on this machine that gives every prediction 0.8 and remembers who asked."""

    def __init__(self):
        seen = self.keys = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                seen.append(self.headers["authorization"])
                body = json.dumps({"choices": [{"message": {"content": "0.8"}}]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1/chat/completions"


@pytest.fixture
def judge():
    judge = Judge()
    yield judge
    judge.server.shutdown()
    judge.server.server_close()


def score(path, tmp_path, answers, judge=""):
    """`answers` in the order of the file; None is a sample that failed."""
    dataset = prepare(DataSpec(name=path.stem, path=str(path), **registry.DEFAULTS), tmp_path / "store")
    samples = dataset.samples(0, len(dataset) - 1)
    pairs = [
        (s, Prediction(index=s.index, row=s.row, **({"error": "no"} if a is None else {"prediction": a})))
        for s, a in zip(samples, answers, strict=True)
    ]
    rules = Rules(scorer=EVALUATOR, source=str(path), judge=judge)
    return evaluate_job(tmp_path / "out", "a/b", path.stem, pairs, rules)


def test_metrics_are_the_evaluators_own(lmu, tmp_path):
    scored, summary = score(lmu.count_bench(), tmp_path, ["1", "two", "there are 3", None])
    assert (summary.primary_metric, summary.metrics) == ("accuracy", {"accuracy": 50.0})
    assert summary.as_reported
    assert summary.scoring == "vlmevalkit (ms-vlmeval 0.0.20)"
    assert summary.scorers == {"vlmevalkit": 4}
    counts = summary.counts
    assert (counts.total, counts.scored, counts.unscored, counts.failed) == (4, 3, 0, 1)
    assert [s.score.value for s in scored] == [None] * 4
    assert "no verdict on one sample" in scored[0].score.note
    assert scored[3].score.note == "failed: no"


def test_answers_reach_the_evaluator_as_they_were_given(lmu, tmp_path):
    """As numbers 1.0 would not contain "10", and "None" would be no text."""
    path = lmu.write("CountBenchQA", [
        {"index": i, "image": jpeg(i)[1], "question": "q", "answer": answer}
        for i, answer in enumerate(["10", "None", "1e3", "=1"])
    ])  # fmt: skip
    _, summary = score(path, tmp_path, ["10", "None", "1e3", "=1"])
    assert summary.metrics["accuracy"] == 75.0  # the TSV's own "None" is no text to VLMEvalKit


def test_a_second_evaluation_uses_nothing_of_the_first_and_keeps_its_files_under_the_evaluators_names(lmu, tmp_path):
    path = lmu.count_bench()
    assert score(path, tmp_path, ["1", "2", "3", "4"])[1].metrics == {"accuracy": 100.0}
    assert score(path, tmp_path, ["9", "9", "9", "9"])[1].metrics == {"accuracy": 0.0}
    assert {p.name for p in (tmp_path / "out" / FILES).iterdir()} == {
        LOG, "a--b_CountBenchQA.tsv", "a--b_CountBenchQA_acc.csv"
    }  # fmt: skip


def test_no_two_evaluators_run_at_once(lmu, tmp_path):
    """They write to names in /tmp that hold nothing but the second."""
    path = lmu.count_bench()
    found = []
    other = threading.Thread(target=lambda: found.append(score(path, tmp_path, ["1", "2", "3", "4"])))
    with evaluation.lock():
        other.start()
        other.join(5)
        assert found == []
        assert other.is_alive()
    other.join()
    assert found[0][1].metrics == {"accuracy": 100.0}


def test_verdicts_on_samples_are_taken_where_the_evaluator_writes_them(lmu, tmp_path):
    path = lmu.write("MUIRBench", [
        {"index": i, "image": jpeg(i)[1], "question": f"<image> {i}?", "A": "cat", "B": "dog", "answer": "AB"[i % 2],
         "task": "t", "image_type": "t", "image_relation": "r"}
        for i in range(4)
    ])  # fmt: skip
    scored, summary = score(path, tmp_path, ["A", "B", "B", "no idea"])
    assert [s.score.value for s in scored] == [1.0, 1.0, 0.0, 0.0]
    assert summary.metrics[summary.primary_metric] == 0.5
    assert summary.stderr == pytest.approx(0.2887, abs=1e-4)  # √(4·0.25 / 3 / 4)


def test_a_set_that_needs_a_judge_says_so_and_scores_nothing(lmu, tmp_path):
    scored, summary = score(lmu.mmvet(), tmp_path, ["thing 1", "thing 2", None])
    assert summary.metrics == {}
    assert (summary.counts.scored, summary.counts.unscored, summary.counts.failed) == (0, 2, 1)
    assert [s.score.value for s in scored] == [None] * 3
    assert summary.notes[0].startswith(
        "needs a judge: MMVet.evaluate asks one, and none was named. Name one with --judge"
    )
    assert summary.problem == ""


def test_rules_that_only_stand_in_for_a_judge_are_used_if_the_user_says_so(lmu, tmp_path):
    """Flames: a judge rates safety from 1 to 3; without one its evaluator looks for a digit in the answer itself."""
    path = lmu.write("Flames", [{"index": i, "question": "q", "category": "Safety"} for i in range(2)])
    _, summary = score(path, tmp_path, ["3", "2"])
    assert summary.metrics == {}
    assert "with --judge exact_matching it goes by rules of its own" in summary.notes[0]
    _, summary = score(path, tmp_path, ["3", "2"], judge="exact_matching")
    assert summary.metrics["harmless_rate"] == pytest.approx(10.0)  # half of one of five categories, in percent
    assert summary.scoring == "vlmevalkit (ms-vlmeval 0.0.20, exact matching)"


def test_an_evaluator_that_reads_excel_files_only_gets_one(lmu, tmp_path):
    """TreeBench refuses a prediction file that is no xlsx; it scores boxes and the letter in the answer tags."""
    path = lmu.write("TreeBench", [
        {"index": i, "image": jpeg(i)[1], "question": "q", "A": "cat", "B": "dog", "answer": "A",
         "category": "Perception/OCR", "target_instances": "[[0, 0, 10, 10]]"}
        for i in range(2)
    ])  # fmt: skip
    scored, summary = score(path, tmp_path, ["<answer>A</answer>", "<answer>B</answer>"])
    assert summary.problem == ""
    assert [s.score.value for s in scored] == [1.0, 0.0]


@pytest.mark.parametrize("name", ["LLaVABench", "CharXiv_descriptive_val", "MathVista_MINI"])
def test_evaluators_that_ask_a_judge_in_their_own_ways_are_recognised(lmu, tmp_path, name):
    rows = [{"index": 0, "image": jpeg(0)[1], "question": "q", "answer": "a", "category": "conv", "qid": 1,
             "caption": "c", "gpt_answer": "a", "question_type": "free_form", "answer_type": "text"}]  # fmt: skip
    _, summary = score(lmu.write(name, rows), tmp_path, ["a"])
    assert "needs a judge" in summary.notes[0], summary.problem
    assert summary.counts.unscored == 1


def test_a_judge_that_cannot_be_reached_is_not_replaced(lmu, tmp_path, monkeypatch):
    """MUIRBench would fall back to exact matching without a word."""
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1/chat/completions")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    path = lmu.write("MUIRBench", [
        {"index": 0, "image": jpeg(0)[1], "question": "<image>?", "A": "cat", "B": "dog", "answer": "A"}
    ])  # fmt: skip
    _, summary = score(path, tmp_path, ["A"], judge="gpt-4o-mini")
    assert summary.metrics == {}
    assert summary.counts.unscored == 1
    assert "needs a judge: the judge gpt-4o-mini cannot be reached" in summary.notes[0]
    assert "sk-very-secret" not in (tmp_path / "out" / FILES / LOG).read_text()


def test_a_judge_that_was_named_is_asked_with_the_users_key(lmu, tmp_path, monkeypatch, judge):
    monkeypatch.setenv("OPENAI_API_BASE", judge.address)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    scored, summary = score(lmu.mmvet(), tmp_path, ["thing 1", "thing 2", "no"], judge="gpt-4-turbo")
    assert summary.metrics[summary.primary_metric] == pytest.approx(80.0)
    assert summary.scoring == "vlmevalkit (ms-vlmeval 0.0.20, judge gpt-4-turbo)"
    assert [s.score.value for s in scored] == [0.8] * 3
    assert set(judge.keys) == {"Bearer sk-very-secret"}
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not [p for p in kept if b"sk-very-secret" in p.read_bytes()]


def test_an_evaluator_that_fails_is_said_with_its_log(lmu, tmp_path):
    rows = [{"index": 1, "image": jpeg(1)[1], "question": "q", "answer": "a"}]  # VizWiz wants a column "answers"
    scored, summary = score(lmu.write("VizWiz", rows), tmp_path, ["a"])
    assert summary.problem.startswith(
        "not scored: data set 'VizWiz': VLMEvalKit's code failed: AssertionError: assert "
    )
    assert str(tmp_path / "out" / FILES / LOG) in summary.problem
    assert "'answers' in data" in (tmp_path / "out" / FILES / LOG).read_text()
    assert summary.counts.unscored == 1
    assert scored[0].score.note == summary.problem
