"""A report's file holds hostile text without obeying it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.runs import HOSTILE, choice_tsv, finished_run, replies
from vlmeval_mp.report import gather, write
from vlmeval_mp.report.document import document, embedded, render
from vlmeval_mp.report.pages import PAGES, Page

TEXTS = ("</script>", "<!-- <script>", "]]>", "&lt;", "\u2028\u2029", "\x00\x1b", "'\"\\", "half \ud83d", "思考")


class Tags(HTMLParser):
    """Counts what a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.others: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs))
        self.others.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.parametrize("text", TEXTS)
def test_embedded_json_reads_back_and_holds_nothing_that_html_knows(text: str) -> None:
    found = str(embedded({"text": [text]}))
    assert json.loads(found) == {"text": [text.encode("utf-8", "replace").decode()]}
    assert not set(found) & set("<>&\u2028\u2029")


async def test_a_hostile_run_adds_no_script_and_no_handler(tmp_path: Path) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 4, question=HOSTILE + " {}")
    pages = []
    for name, said in (("tame", "A"), (HOSTILE[:30], HOSTILE)):
        folder = tmp_path / str(len(pages))
        paths = await finished_run(folder, [tsv], {name: {"answers": replies(4, r0=said, r1=said)}}, "tame")
        pages.append(write.write(gather.run_view(paths)).read_text())
    tame, hostile = Tags(), Tags()
    tame.feed(pages[0])
    hostile.feed(pages[1])
    assert hostile.scripts == tame.scripts
    assert hostile.handlers == []
    assert "img" not in hostile.others and "<svg onload" not in pages[1]


def test_the_policy_names_every_script_and_allows_nothing_from_elsewhere() -> None:
    page = document(
        "x",
        {"one": Page("One", render("setup.html", command="", facts={}, fingerprint={}, spec=""))},
        {"chips": [], "subtitle": ""},
    )
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page.decode())
    assert policy
    rules = policy[1].replace("&#39;", "'")
    assert rules.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in rules and "http" not in rules
    assert rules.count("sha256-") == 2


def test_the_assets_name_no_address() -> None:
    from vlmeval_mp.report.document import ASSETS

    found = [
        path.name for path in ASSETS.iterdir() if re.search(r"https?://|//\w+\.\w|@import|url\((?!#)", path.read_text())
    ]
    assert found == []


def test_every_page_of_the_table_can_be_found() -> None:
    import importlib

    for where in PAGES.values():
        module, _, name = where.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


async def test_a_page_of_a_strangers_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirpage.py").write_text(
        "from markupsafe import Markup\nfrom vlmeval_mp.report.pages import Page\n"
        "def page(run, options): return Page('Mine', Markup('<p>{}</p>').format(run.name), {'mine': [1]})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PAGES, "mine", "theirpage:page")
    paths = await finished_run(tmp_path, [choice_tsv(tmp_path / "x.tsv", 2)], {"m": {}})
    html = write.write(gather.run_view(paths)).read_text()
    assert '<a href="#mine" data-page="mine">Mine</a>' in html
    assert "<p>run</p>" in html and '<script type="application/json" id="data-mine">[1]</script>' in html
