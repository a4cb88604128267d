"""What of each sample goes into a report, and under which filters it falls."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.report.runs import choice_tsv, finished_run, png, replies
from vlmeval_mp.core.records import Prediction, Score
from vlmeval_mp.report import gather, pictures, samples, write
from vlmeval_mp.report.pages import Options
from vlmeval_mp.scoring.compat.vqa import SINGLE

RIGHT, WRONG, NOTHING = Score("0", 1.0, "A"), Score("0", 0.0, "B"), Score("0", 0.0)


def said(text: str = "A", **more: str) -> Prediction:
    return Prediction(index="0", row=0, prediction=text, **more)


@pytest.mark.parametrize(
    ("prediction", "verdicts", "flags"),
    [
        (said(), [RIGHT, RIGHT], 0),
        (said("B"), [WRONG, WRONG], samples.WRONG),
        (said("B"), [WRONG, RIGHT], samples.WRONG | samples.DIFFER),
        (said("A"), [RIGHT, Score("0", 0.0, "a", note=SINGLE)], 0),
        (said("B", finish_reason="length"), [WRONG], samples.WRONG | samples.TRUNCATED),
        (said("who knows"), [NOTHING], samples.WRONG | samples.UNREAD),
        (said(" \n"), [NOTHING], samples.WRONG | samples.UNREAD | samples.EMPTY),
        (said("x"), [Score("0", None)], samples.UNREAD),
        (said("", error="no such picture"), [Score("0", None), Score("0", 0.0)], samples.FAILED),
    ],
)
def test_a_sample_falls_under_the_filters_that_it_should(
    prediction: Prediction, verdicts: list[Score], flags: int
) -> None:
    assert samples.flags_of(prediction, verdicts) == flags


def test_a_long_reply_keeps_its_beginning_and_its_end() -> None:
    text = "a" * 5000 + "b" * 5000
    found = samples.shortened(text, 100)
    assert found.startswith("a" * 50) and found.endswith("b" * 50)
    assert "9,900 characters left out" in found
    assert samples.shortened("short", 100) == "short"


def test_replies_are_cut_only_as_far_as_all_of_them_need() -> None:
    assert samples._cut(["x" * 100] * 10) == samples.CUTS[0]
    assert samples._cut(["x" * 10_000] * 10_000) == samples.CUTS[2]


async def test_each_sample_says_who_answered_it_and_when(tmp_path: Path) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 3)
    paths = await finished_run(tmp_path, [tsv], {"m": {}, "n": {}})
    view = gather.run_view(paths)
    assert [{origin.worker for origin in job.origins} for job in view.jobs] == [{"w0"}, {"w1"}]
    assert all(view.now - 600 < origin.at <= view.now + 1 for job in view.jobs for origin in job.origins)


async def test_both_modes_are_there_and_the_runs_own_is_first(tmp_path: Path) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 2)
    paths = await finished_run(tmp_path, [tsv], {"m": {"answers": replies(2, wrong=[1])}})
    (job,) = gather.run_view(paths).jobs
    assert list(job.verdicts) == ["strict", "compat"]
    assert [score.value for score in job.verdicts["strict"]] == [1.0, 0.0]


# --- pictures ------------------------------------------------------------------------------------------------------


async def test_pictures_beyond_the_limit_lie_beside_and_those_of_wrong_samples_are_inside(tmp_path: Path) -> None:
    several = [png((40 * i, 30, 200 - 30 * i)) for i in range(6)]
    tsv = choice_tsv(tmp_path / "x.tsv", 6, pictures=several)
    paths = await finished_run(tmp_path, [tsv], {"m": {"answers": replies(6, wrong=[4])}})
    view = gather.run_view(paths)
    found = samples.thumbnails(view.jobs, paths.report, Options(inline_bytes=200))
    wrong = pictures.id_of(view.jobs[0].samples[4].media[0])
    assert found.sources[wrong].startswith("data:image/webp;base64,")
    assert found.beside == 5 and found.inline_bytes <= 200
    beside = {source for source in found.sources.values() if not source.startswith("data:")}
    assert {f"media/{path.name}" for path in (paths.report / "media").iterdir()} == beside
    html = write.write(view, Options(inline_bytes=200)).read_text()
    assert "the other 5 are in the folder media beside it" in html


async def test_a_report_without_pictures_says_so(tmp_path: Path) -> None:
    tsv = choice_tsv(tmp_path / "x.tsv", 2, pictures=[png()])
    paths = await finished_run(tmp_path, [tsv], {"m": {}})
    html = write.write(gather.run_view(paths), Options(pictures=False)).read_text()
    assert "made without pictures" in html and "data:image" not in html


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"", b"GIF89a", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_picture_has_no_thumbnail(tmp_path: Path, content: bytes) -> None:
    from vlmeval_mp.core.records import Media

    path = tmp_path / "x.svg"
    path.write_bytes(content)
    assert pictures.thumbnail(Media("image", str(path)), path) is None


def test_a_video_shows_a_frame_and_a_large_picture_becomes_small(tmp_path: Path) -> None:
    import io

    from PIL import Image

    from vlmeval_mp.core.records import Media

    video = Path(__file__).parents[2] / "vlmeval_mp" / "demo" / "data" / "videos" / "digits-00.mp4"
    frame = pictures.thumbnail(Media("video", str(video)), video)
    assert frame and Image.open(io.BytesIO(frame)).format == "WEBP"
    large = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 1500), (10, 200, 30)).save(large)
    small = pictures.thumbnail(Media("image", str(large)), large)
    assert small and Image.open(io.BytesIO(small)).size == (pictures.SIDE, pictures.SIDE // 2)


async def test_a_benchmark_with_a_rule_of_its_authors_has_a_third_verdict_first_where_it_was_asked_for(
    tmp_path: Path,
) -> None:
    own = choice_tsv(tmp_path / "VisOnlyQA-VLMEvalKit.tsv", 3)
    paths = await finished_run(tmp_path, [own, choice_tsv(tmp_path / "x.tsv", 3)], {"m": {}})
    theirs, plain = gather.run_view(paths).jobs
    assert list(theirs.verdicts) == ["strict", "compat", "official"]
    assert list(plain.verdicts) == ["strict", "compat"]
    summary = theirs.summary
    assert summary is not None
    assert gather._first("strict", msgspec.structs.replace(summary, scoring="official")) == "official"
    assert gather._first("strict", msgspec.structs.replace(summary, scoring="compat (ms-vlmeval 0.0.20)")) == "compat"
