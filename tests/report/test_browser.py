"""The report as somebody uses it: in a headless Chromium, by mouse, keyboard and link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.browser import Browser
from tests.report.runs import HOSTILE, choice_tsv, finished_run, png, replies
from vlmeval_mp.report import gather, write
from vlmeval_mp.report.pages import Options

pytestmark = pytest.mark.browser
SELECTED = "document.querySelector('.row[aria-selected=true] .first b')?.innerText ?? ''"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Path]:
    """Two models on a benchmark of 40: one gets rows 7 and 9 wrong, has a hostile reply, a failure and a thought."""
    tsv = choice_tsv(tmp_path / "MMStar.tsv", 40, pictures=[png(), png((20, 20, 240))])
    odd = {"r17": HOSTILE, "r3": "<think>First I look. Then I wonder.</think>B", "r5": " "}
    first = {"answers": replies(40, wrong=[7, 9], **odd), "fail": ["11"]}
    paths = await finished_run(tmp_path, [tsv], {"alpha": first, "beta": {"answers": replies(40)}})
    yield write.write(gather.run_view(paths), Options(inline_bytes=150))


def rows(browser: Browser) -> str:
    return browser.text("#count")


def test_the_report_is_used_by_link_keyboard_and_mouse(page: Path) -> None:
    with Browser() as browser:
        browser.open(page)
        assert browser.text(".matrix th[scope=row]") == "alpha"
        assert browser.js("document.querySelectorAll('.matrix .number').length") == 2

        # a filter by link
        browser.go("#samples?model=alpha&data=MMStar&show=wrong")
        assert rows(browser) == "4 of 40 samples"
        assert browser.js(SELECTED) == "5"

        # by keyboard
        browser.key("j")
        assert browser.js(SELECTED) == "7" and browser.js("location.hash").startswith("#MMStar/7?")
        browser.key("f")
        assert rows(browser) == "1 of 40 samples"
        assert "scripted to fail" in browser.text("#detail .problem")
        assert "1 × scripted to fail: request …" in browser.text("#why")
        browser.key("e")
        assert rows(browser) == "1 of 40 samples" and browser.js(SELECTED) == "5"
        browser.key("Escape")
        assert rows(browser) == "40 samples"

        # a sample by link, its thinking folded
        browser.go("#MMStar/3")
        assert browser.text("#detail h2") == "MMStar / 3"
        assert browser.text("#detail .answer") == "B"
        assert browser.js("document.querySelector('#detail .thinking').open") is False
        assert "w0" in browser.text(".sample-facts") and "UTC" in browser.text(".sample-facts")
        browser.key("m")
        assert "model=beta" in browser.js("location.hash") and browser.text("#detail .answer") == "The answer is B."

        # search and category
        browser.key("a")
        browser.key("/")
        browser.js("document.activeElement.value = 'is 17 EVEN'")
        browser.js("document.activeElement.dispatchEvent(new Event('input'))")
        assert rows(browser) == "1 of 40 samples"
        browser.go("#samples?model=beta&data=MMStar&category=part+1")
        assert rows(browser) == "13 of 40 samples"

        # other pages by number, once the search is left
        browser.key("Enter")
        browser.key("3")
        browser.wait("!document.getElementById('page-time').hidden")  # the page changes by an event
        browser.go("#MMStar/4711")
        assert "no sample MMStar/4711" in browser.text("#detail")
        assert browser.failures == []


def test_a_hostile_reply_is_shown_and_does_nothing(page: Path) -> None:
    with Browser() as browser:
        browser.open(page, "#MMStar/17?model=alpha")
        assert browser.text("#detail .answer") == HOSTILE
        assert browser.js("window.pwned") is None
        assert browser.js("document.querySelectorAll('#detail .answer *').length") == 0
        assert browser.failures == []
        outside = [url for url in browser.requests if not url.startswith(("file://", "data:", "about:"))]
        assert outside == []


def test_the_policy_stops_a_script_that_got_in_anyway(page: Path) -> None:
    with Browser() as browser:
        browser.open(page)
        browser.js("document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"window.pwned = 3\">')")
        script = "const s = document.createElement('script'); s.textContent = 'window.pwned = 4'"
        browser.js(f"{{ {script}; document.body.append(s) }}")
        browser.js("fetch('http://127.0.0.1:9/').catch(() => 0)")
        browser.js("new Promise((done) => setTimeout(done, 200))")
        assert browser.js("window.pwned") is None
        assert any("Content Security Policy" in failure for failure in browser.failures)


def test_pictures_inside_and_beside_the_file_are_drawn(page: Path) -> None:
    drawn = "document.querySelector('#detail .media img')?.naturalWidth > 0"
    with Browser() as browser:
        browser.open(page, "#MMStar/0?model=alpha")
        sources = set()
        for index in (0, 1):
            browser.go(f"#MMStar/{index}?model=alpha")
            browser.wait(drawn)
            sources.add(browser.js("document.querySelector('#detail .media img').getAttribute('src').slice(0, 5)"))
        assert sources == {"data:", "media"}
        assert browser.failures == []


def test_a_narrow_screen_shows_the_list_and_then_the_sample(page: Path) -> None:
    with Browser(400, 800) as browser:
        browser.open(page, "#samples?model=alpha&data=MMStar")
        assert browser.js("document.documentElement.scrollWidth <= 400") is True
        assert browser.js("getComputedStyle(document.getElementById('detail')).display") == "none"
        browser.js("document.querySelectorAll('.row')[2].click()")
        assert browser.text("#detail h2") == "MMStar / 2"
        browser.js("document.querySelector('.back').click()")
        assert browser.js("getComputedStyle(document.getElementById('detail')).display") == "none"


@pytest.mark.parametrize("dark", [False, True])
async def test_sixteen_data_sets_look_different_on_the_time_page(tmp_path: Path, dark: bool) -> None:
    names = [f"set{n:02d}" for n in range(16)]
    run = await finished_run(tmp_path, [choice_tsv(tmp_path / f"{name}.tsv", 1) for name in names], {"m": {}})
    html = write.write(gather.run_view(run))
    with Browser(dark=dark) as browser:
        browser.open(html, "#time")
        assert browser.js("[...document.querySelectorAll('.legend > span')].map((e) => e.innerText)")[1:-1] == names
        at = "({x, y, width, height}) => [x, y, x + width, y + height].map(Math.round)"
        boxes = browser.js(
            f"[...document.querySelectorAll('.legend .swatch')].map((e) => ({at})(e.getBoundingClientRect()))"
        )
        browser.picture(tmp_path / "time.png")
        assert browser.failures == []
    with Image.open(tmp_path / "time.png") as picture:
        seen = [np.asarray(picture.convert("RGB").crop(box), float) for box in boxes]
    for place, one in enumerate(seen):
        for other in seen[:place]:
            rows, columns = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
            assert np.abs(one[:rows, :columns] - other[:rows, :columns]).max(axis=2).mean() > 12


async def test_ten_thousand_samples_are_drawn_a_screenful_at_a_time(tmp_path: Path) -> None:
    tsv = choice_tsv(tmp_path / "large.tsv", 10_000, question="Is {} even? " + "words " * 60)
    paths = await finished_run(tmp_path, [tsv], {"m": {"answers": {"9999": "The answer is A."}}})
    html = write.write(gather.run_view(paths))
    with Browser() as browser:
        browser.open(html, "#large/9999")
        browser.wait("document.querySelector('#detail h2')?.innerText === 'large / 9999'")
        assert browser.js(SELECTED) == "9999"
        assert browser.js("document.querySelectorAll('.row').length") < 60
        browser.js("document.getElementById('list').scrollTop = 270000")
        browser.wait("[...document.querySelectorAll('.row .first b')].some((e) => e.innerText === '5000')")
        assert browser.failures == []
