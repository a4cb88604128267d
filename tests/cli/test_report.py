"""`report`, and the line at the end of a launch that leads to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest

from tests.report.runs import choice_tsv, finished_run, replies
from vlmeval_mp.cli import main, report


async def test_report_writes_the_page_of_the_named_run_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 3)
    paths = await finished_run(tmp_path, [tsv], {"m": {"answers": replies(3)}}, "mine")
    assert main.main(["report", "mine", "--jobs", str(tmp_path / "jobs"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    page = paths.root / "report" / "index.html"
    assert told == {"run": "mine", "report": str(page), "bytes": page.stat().st_size}
    assert main.main(["report", str(paths.root)]) == 0
    assert str(page) in capsys.readouterr().out


def test_a_run_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["report", "nothing", "--jobs", str(tmp_path)]) == 2
    assert "there is no run 'nothing'" in capsys.readouterr().err


def test_a_launch_ends_with_the_line_that_makes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 4)
    launch = ["launch", "--model", "fake", "--engine", "fake", "--data", str(tsv), "--run", "r", "--plain"]
    assert main.main([*launch, "--jobs", str(tmp_path / "jobs"), "--device", "cpu"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"look at every answer: vlmeval-mp report {tmp_path / 'jobs' / 'r'}"
    assert main.main(last.split("vlmeval-mp ")[1].split()) == 0
    assert (tmp_path / "jobs" / "r" / "report" / "index.html").exists()


def test_a_page_is_opened_only_where_there_is_a_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    report.open_page(tmp_path / "index.html", {})
    assert opened == []
    report.open_page(tmp_path / "index.html", {"DISPLAY": ":0"})
    assert opened == [(tmp_path / "index.html").as_uri()]


def test_the_browser_that_is_named_shows_the_report_of_a_launch_without_a_screen(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    tsv = choice_tsv(tmp_path / "x.tsv", 4)
    launch = ["launch", "--model", "fake", "--engine", "fake", "--data", str(tsv), "--run", "r", "--plain", "--open"]
    here = {name: value for name, value in os.environ.items() if name not in report.SCREENS}
    subprocess.run(
        [sys.executable, "-m", "vlmeval_mp.cli", *launch, "--jobs", str(tmp_path / "jobs"), "--device", "cpu"],
        env=here | {"BROWSER": str(browser)}, check=True, timeout=120,
    )  # fmt: skip
    page = tmp_path / "jobs" / "r" / "report" / "index.html"
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()
