"""Answers of endpoints that somebody met: the shared folders' own server, asked by a worker in this process."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import worker_for
from tests.conftest import shared_case
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.errors import EXIT_INCOMPLETE
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Prediction
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.snapshot import read_record

KEY = "OPENAI_API_KEY"
ROW = "index\tquestion\tA\tB\tanswer\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(shared_case("api-200-with-error") / "server.py"), str(port)])
    for _ in range(200):
        with socket.socket() as there:
            if there.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/v1"
    server.terminate()
    server.wait()


def asked(data: Path, url: str, folder: Path, code: int = 0) -> dict[str, Prediction]:
    """What comes of each sample of `data`, by index; the worker ends with `code`."""
    args = {"base_url": url, "max_retries": 1, "wait": 1.0}
    flags = Overrides(models=("m",), data=(str(data),), engine="openai", engine_args=args)
    paths = submit.submit(build({}, flags, name="run", default_engine="openai"), JobsPaths(folder / "jobs"))[0]
    record = read_record(paths)
    assert asyncio.run(live(worker_for(paths, record, window=8))) == code
    return {p.index: p for p in merge(paths, record.jobs[0])[1]} if code == 0 else {}


def part(data: Path, folder: Path, word: str) -> Path:
    """A copy of the few rows of `data` round the one whose question has `word` in it."""
    head, *rows = data.read_text(encoding="utf-8").splitlines()
    place = next(n for n, row in enumerate(rows) if word in row)
    folder.mkdir(exist_ok=True)
    copy = folder / "part.tsv"
    copy.write_text("\n".join([head, *rows[max(0, place - 8) : place + 8]]) + "\n", encoding="utf-8")
    return copy


def ends(data: Path, url: str, folder: Path) -> tuple[str, str, str]:
    """Text, finish reason and error of the one odd sample (7); the others must be answered."""
    found = asked(data, url, folder)
    assert {p.prediction for index, p in found.items() if index != "7"} == {"B"}
    return found["7"].prediction, found["7"].finish_reason or "", found["7"].error or ""


def test_a_busy_upstream_in_the_body_of_a_200_is_waited_for_and_ends_in_its_own_words(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its code, 502, says busy: the run can be resumed, and no sample is failed for it."""
    asked(shared_case("api-200-with-error") / "ERR200.tsv", url, tmp_path, code=EXIT_INCOMPLETE)
    assert "Upstream provider is overloaded: code 1305" in caplog.text


def test_missing_counts_of_tokens_lose_no_answer(url: str, tmp_path: Path) -> None:
    assert ends(shared_case("api-200-with-error") / "NULLUSAGE.tsv", url, tmp_path) == ("B", "stop", "")


def test_a_403_about_one_samples_content_costs_that_sample(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "sk-x")
    said, _, error = ends(shared_case("api-403-one-sample") / "FLAGGED.tsv", url, tmp_path)
    assert said == ""
    assert "flagged for violence" in error
    many = part(shared_case("api-403-one-sample") / "FLAG200.tsv", tmp_path / "200", "FLAGGED")
    found = asked(many, url, tmp_path / "200")
    assert [p.index for p in found.values() if p.error is not None and "flagged" in p.error] == [
        index for index, p in found.items() if p.prediction != "B"
    ]
    assert sum(p.error is None for p in found.values()) == len(found) - 1


def test_an_answer_in_parts_is_its_text_and_one_that_is_a_number_an_error(url: str, tmp_path: Path) -> None:
    case = shared_case("api-answer-not-text")
    assert ends(case / "LISTCONTENT.tsv", url, tmp_path / "a") == ("B", "stop", "")
    said, _, error = ends(case / "INTCONTENT.tsv", url, tmp_path / "b")
    assert (said, bool(error)) == ("", True)
    many = part(case / "LIST200.tsv", tmp_path / "c", "LISTCONTENT")
    assert {p.prediction for p in asked(many, url, tmp_path / "c").values()} == {"B"}


def test_a_broken_off_answer_is_a_failed_try_and_a_refusal_keeps_its_words(url: str, tmp_path: Path) -> None:
    case = shared_case("api-unfinished-answer-counts")
    said, _, error = ends(case / "FINISHERR.tsv", url, tmp_path / "a")
    assert (said, bool(error)) == ("", True)
    said, finish, error = ends(case / "REFUSAL.tsv", url, tmp_path / "b")
    assert (said, finish, error) == ("I can't help with identifying people.", "refusal", "")


@pytest.mark.parametrize(
    ("word", "said", "finish", "failed"),
    [("NOCHOICES", "", "", True), ("FILTERPARTIAL", "B", "content_filter", False), ("REASONONLY", "", "length", False),
     ("SURROGATE", None, "stop", False), ("Plain", "B", "stop", False)],
)  # fmt: skip
def test_others_that_the_server_knows(
    word: str, said: str | None, finish: str, failed: bool, url: str, tmp_path: Path
) -> None:
    data = tmp_path / "d.tsv"
    data.write_text(f"{ROW}0\tPlain?\tcat\tdog\tB\n7\t{word} question?\tcat\tdog\tB\n")
    text, ended, error = ends(data, url, tmp_path)
    assert bool(error) is failed
    if not failed:
        assert ended == finish
    assert text == said if said is not None else text.startswith("B")
