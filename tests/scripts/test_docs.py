"""The docs: their site builds offline and strict; what they say of commands, files and tests is what there is."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlmeval_mp.cli import main

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {"--allowed-local-media-path", "--no-deps"}
"""Flags of other programs: `vllm serve` and pip."""
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"(https?:)?//|<link[^>]*rel=\"stylesheet\"[^>]*href=\"https?://"
)


def test_the_reference_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("COLUMNS", "80")
    reference = importlib.import_module("reference")
    assert reference.DOC.read_text(encoding="utf-8") == reference.page(), "scripts/reference --write"


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "scripts" / "mkdocs.yml")]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([*command, "-d", str(tmp_path / "site")], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= pages.keys()
    assert [name for name, text in pages.items() if FETCHED.search(text)] == []


def test_every_page_of_the_docs_is_in_the_site() -> None:
    listed = (ROOT / "scripts" / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in listed] == []


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "vlmeval_mp" / "demo" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_of_ours_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:vlmeval_mp|tests|scripts)/[^`\s]*)", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The flags of a parser and of its subcommands."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    inner = [options(each) for action in below for each in action.choices.values()]
    return set().union(*(action.option_strings for action in parser._actions), *inner)


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_flag_that_a_page_names_is_one_of_ours(page: Path) -> None:
    known = set().union(*(options(main.parser([verb])) for verb in main.VERBS)) | FOREIGN
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts").iterdir() if path.is_file())
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text(encoding="utf-8")))
    assert sorted(flag for flag in named - known if f'"{flag}"' not in scripts) == []


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in headings(target)):
            lost.append(link)
    assert lost == []


def headings(page: Path) -> list[str]:
    """The anchors of a page, as GitHub and mkdocs make them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines]


def test_every_test_that_the_page_of_faults_names_is_in_its_file() -> None:
    """The last column has a file or a folder below `tests/`, then the beginnings (…) or ends of its tests' names."""
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    cells = [row.strip("| ").rpartition(" | ")[2] for row in rows]
    named = [each for cell in cells if cell != "test" for each in re.findall(r"`([^`]+)`", cell)]
    where, missing = ROOT, []
    for name in named:
        if "/" in name or (ROOT / "tests" / name).is_dir():
            where = ROOT / "tests" / name
            where = where if where.is_dir() else where.with_suffix(".py")
            missing += [] if where.exists() else [name]
        elif where.is_dir() or not re.search(pattern(name), where.read_text(encoding="utf-8")):
            missing.append(name)
    assert len(named) > 60
    assert missing == []


def pattern(name: str) -> str:
    """Return the expression for a definition of the test whose name `name` abbreviates, with … for what is left out."""
    return r"def (test_)?" + r"\w*".join(map(re.escape, name.split("…"))) + r"\("
