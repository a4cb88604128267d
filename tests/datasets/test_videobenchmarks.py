"""Video benchmarks' own TSVs load unchanged, and ask word for word what VLMEvalKit's classes ask, frame for frame."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import worker_for
from tests.datasets import videobench_files as files
from vlmeval_mp.config import data
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.errors import ConfigError, RequestError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import (
    DataSpec,
    ImagePart,
    MediaLimits,
    Message,
    Prediction,
    Request,
    Sample,
    Sampling,
    TextPart,
)
from vlmeval_mp.datasets import benchmarks, gold, names, store, videobenchmarks
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.pool.worker.loop import Worker
from vlmeval_mp.requests import media, prompts
from vlmeval_mp.requests import video as videos
from vlmeval_mp.requests.videoas import VideoAs
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.runs import submit
from vlmeval_mp.runs.merge import merge

THEIRS = Path(__file__).with_name("vlmevalkit_prompts.py")
PYTHON = os.environ.get("VLMEVALKIT_PYTHON") or (
    sys.executable if importlib.util.find_spec("vlmeval") else "/tmp/vk/bin/python"
)
FILES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "VideoMME": ("Video-MME", files.video_mme),
    "MVBench": ("MVBench", files.mvbench),
    "MVBench_MP4": ("MVBench_MP4", files.mvbench_mp4),
    "MLVU_MCQ": ("MLVU_MCQ", files.mlvu_mcq),
    "MLVU_OpenEnded": ("MLVU_OpenEnded", files.mlvu_open),
    "LongVideoBench": ("LongVideoBench", files.long_video_bench),
    **{f"TempCompass_{p}": (f"TempCompass_{p}", lambda f, p=p: files.tempcompass(f, p)) for p in ("MCQ", "YorN")},
    "TempCompass_Captioning": ("TempCompass_Captioning", lambda folder: files.tempcompass(folder, "Captioning")),
}


@pytest.fixture(scope="module", autouse=True)
def decoded_once() -> Iterator[None]:
    """A video that several tests open is decoded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "open_video", functools.cache(videos.open_video))
        yield


@pytest.fixture(autouse=True)
def lmu_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "LMUData"
    monkeypatch.setenv("LMUData", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    return folder


def spec_of(tsv: Path | str, **fields: Any) -> DataSpec:
    name = Path(tsv).stem
    return DataSpec(**{"name": name, "path": str(tsv), **names.defaults(name), **fields})


def samples_of(tsv: Path, **fields: Any) -> list[Sample]:
    dataset = store.prepare(spec_of(tsv, **fields), tsv.parent / "store")
    return dataset.samples(0, len(dataset) - 1)


def request_of(sample: Sample, spec: DataSpec, as_images: bool = True, **said: str) -> Request:
    asked = prompts.build(sample, spec.prompt, dataset=spec.name, **said)
    video: VideoAs = "images" if as_images else "native"
    return media.prepare("1", asked, Sampling(), Path(), MediaLimits(), spec.nframe, spec.fps, video)


def parts_of(messages: tuple[Message, ...]) -> list[list[Any]]:
    """Every part as [type, role, text or the number of the image]."""
    numbers = iter(range(10_000))
    return [
        ["text", message.role, part.text] if isinstance(part, TextPart) else ["image", message.role, next(numbers)]
        for message in messages
        for part in message.parts
    ]


# --- against VLMEvalKit itself ---------------------------------------------------------------------------------


FRAMES: tuple[dict[str, Any], ...] = ({"nframe": 8}, {"nframe": 3}, {"nframe": 64}, {"fps": 2.0})
CASES: list[tuple[str, bool, dict[str, Any]]] = [
    *[(cls, False, frames) for cls in FILES for frames in FRAMES if cls != "MVBench" or "fps" not in frames],
    *[("LongVideoBench", True, frames) for frames in ({"nframe": 8}, {"fps": 0.5})],
    *[("VideoMME", True, frames) for frames in ({"nframe": 8}, {"fps": 1.0})],
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[Sample, DataSpec, Any, dict[str, Any]]]]:
    """Of each case, each row's sample, its spec, the frames that are taken here, and what VLMEvalKit builds."""
    folder = tmp_path_factory.mktemp("theirs")
    tsvs = {cls: write(folder / cls) for cls, (_, write) in FILES.items()}
    ours, cases = [], []
    for number, (cls, use_subtitle, frames) in enumerate(CASES):
        spec = spec_of(tsvs[cls], use_subtitle=use_subtitle, **frames)
        plain = [request_of(s, spec_of(tsvs[cls], **frames), as_images=False).videos[0] for s in samples_of(tsvs[cls])]
        ours.append(
            [(s, spec, v) for s, v in zip(samples_of(tsvs[cls], use_subtitle=use_subtitle), plain, strict=True)]
        )
        # 0.0.20 shows LongVideoBench's subtitles if told not to, and the reverse; later versions mended it (#1588)
        shown = not use_subtitle if cls == "LongVideoBench" else use_subtitle
        cases.append({
            "class": cls, "tsv": str(tsvs[cls]), "root": str(folder / cls), "frames": str(folder / f"frames{number}"),
            "nframe": 0, "fps": 0.0, "use_subtitle": shown, "videos": [(v.total, v.fps) for v in plain], **frames,
        })  # fmt: skip
    done = subprocess.run([PYTHON, str(THEIRS)], input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout)
    return [[(*o, t) for o, t in zip(*case, strict=True)] for case in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{cls}-{sub}-{frames}" for cls, sub, frames in CASES])
def test_prompts_and_frames_are_those_of_vlmevalkit(both: list[list[Any]], number: int) -> None:
    for sample, spec, video, theirs in both[number]:
        said = [part for part in theirs["parts"] if part[2] != ""]
        assert list(video.indices) == theirs["frames"]
        assert parts_of(request_of(sample, spec, roles="chat").messages) == said
        flat = [[kind, "user", value] for kind, _, value in said]
        assert parts_of(request_of(sample, spec).messages) == flat


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{cls}-{sub}-{frames}" for cls, sub, frames in CASES])
def test_internvl_is_asked_as_its_class_asks_it(both: list[list[Any]], number: int) -> None:
    for sample, spec, _, theirs in both[number]:
        if spec.use_subtitle and spec.layout == "LongVideoBench":
            continue  # there, InternVL moves the frames away from their subtitles; here they stay between them
        (message,) = request_of(sample, spec, model="internvl").messages
        said = "".join(part.text if isinstance(part, TextPart) else "<image>" for part in message.parts)
        assert said == theirs["internvl"]


# --- without it ------------------------------------------------------------------------------------------------


def first(cls: str, tmp_path: Path, row: int = 0) -> Sample:
    return samples_of(FILES[cls][1](tmp_path / "data"))[row]


def test_video_mme_rows_carry_what_its_scorer_needs(tmp_path: Path) -> None:
    sample = first("VideoMME", tmp_path)
    assert (sample.kind, sample.answer, sample.error) == ("mcq", "B", "")
    assert sample.options == dict(zip("ABCD", files.CANDIDATES, strict=True))
    assert (sample.split, sample.l2_category, sample.category) == ("short", "Life Record", "Action Reasoning")
    columns = {"duration", "domain", "sub_category", "task_type", "candidates", "subtitle_path", "video", "video_path"}
    assert set(sample.extra) == columns


def test_an_answer_that_is_an_option_s_text_becomes_its_letter(tmp_path: Path) -> None:
    samples = samples_of(files.mvbench(tmp_path / "data"))
    assert [s.answer for s in samples] == ["A", "D", "B"]
    assert [s.extra["answer"] for s in samples] == ["a cat", "100 ", "(b) a dog: 50%"]
    assert samples[0].category == "Action Sequence"
    assert [s.answer for s in samples_of(files.mlvu_mcq(tmp_path / "m"))] == ["B", "B"]


def test_an_answer_that_is_a_place_becomes_a_letter(tmp_path: Path) -> None:
    samples = samples_of(files.long_video_bench(tmp_path / "data"))
    assert [(s.answer, s.extra["correct_choice"]) for s in samples] == [("D", "3"), ("C", "2")]
    assert (samples[0].split, samples[0].category) == ("15", "S2E")


def test_tempcompass_options_lose_what_leads_them(tmp_path: Path) -> None:
    samples = samples_of(files.tempcompass(tmp_path / "data", "MCQ"))
    assert [s.options for s in samples] == [
        {"A": "left", "B": "right"},
        {"A": "It falls.", "B": "It rises."},
        {"A": "on", "B": "off"},
    ]
    assert [(s.answer, s.extra["answer"]) for s in samples][1] == ("B", "Caption B: It rises.")
    assert (samples[0].category, samples[0].split) == ("direction", "multi-choice")
    assert first("TempCompass_YorN", tmp_path / "y").kind == "yorn"
    assert first("TempCompass_Captioning", tmp_path / "c").extra["mc_answer"] == "A. x"


def test_an_answer_that_is_none_of_the_options_stays(tmp_path: Path) -> None:
    files.film(tmp_path / "v/a.mp4")
    rows = [
        {"task_type": "t", "prefix": "v", "video": "a.mp4", "question": "q", "answer": "x", "candidates": ["a", "b"]}
    ]
    (sample,) = samples_of(files.write(tmp_path, "MVBench_MP4", rows))
    assert (sample.answer, sample.error) == ("x", "")


def test_mvbench_is_worded_as_vlmevalkit_words_it(tmp_path: Path) -> None:
    tsv = files.mvbench_mp4(tmp_path)
    (sample,) = samples_of(tsv)
    chat = request_of(sample, spec_of(tsv, nframe=1), roles="chat").messages
    system = (
        "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
        "objects, and the action and pose of persons. Based on your observations, select the best option that "
        "accurately addresses the question.\n"
    )
    question = "Question: What happens {next}, and why?\nOptions:\n(A) a cat\n(B) (b) a dog: 50%\n(C) None\n(D) 100"
    assert parts_of(chat) == [
        ["text", "system", system],
        ["image", "user", 0],
        ["text", "user", question],
        ["text", "user", "\nOnly give the best option."],
        ["text", "assistant", "Best option:("],
    ]
    api = request_of(sample, spec_of(tsv, nframe=1), roles="system", system="Be brief.").messages
    assert parts_of(api)[0] == ["text", "system", f"Be brief.\n{system}\n"]
    assert parts_of(api)[-1] == ["text", "user", "Best option:("]
    local = request_of(sample, spec_of(tsv, nframe=1), system="Be brief.").messages
    assert [part[:2] for part in parts_of(local)][:3] == [["text", "system"], ["text", "user"], ["image", "user"]]


def test_subtitles_of_video_mme_are_listed_behind_the_frames(tmp_path: Path) -> None:
    tsv = files.video_mme(tmp_path)
    spoken, silent = samples_of(tsv, use_subtitle=True)
    spec = spec_of(tsv, use_subtitle=True, fps=2.0)
    made = request_of(spoken, spec, as_images=False)
    text = made.messages[0].parts[1].text
    assert text.startswith(
        "\nThese are the frames of a video. This video's subtitles are listed below:\n{\\i1}Good{\\i0}"
    )
    assert text.count("{\\i1}Good{\\i0} morning, everyone.\n") == 2
    assert "\nAll {\\an8}quiet in 1999 2000\nAll" in text
    assert text.endswith("option.\n")
    # a video without subtitles is asked with an empty list, as in VLMEvalKit
    assert "listed below:\n\nSelect the best answer" in request_of(silent, spec).messages[0].parts[-2].text


def test_subtitles_of_long_video_bench_stand_between_the_frames(tmp_path: Path) -> None:
    tsv = files.long_video_bench(tmp_path)
    sample = samples_of(tsv, use_subtitle=True)[0]
    made = request_of(sample, spec_of(tsv, use_subtitle=True, fps=1.0), as_images=False)
    parts = parts_of(made.messages)
    assert [p[2] for p in parts[:4]] == [0, "short\n", 1, 2]
    assert "long\n" in [p[2] for p in parts]
    assert "never\n" not in [p[2] for p in parts]
    assert len({p.media.digest for p in made.messages[0].parts if isinstance(p, ImagePart)}) == len(made.images)


def test_missing_subtitles_between_frames_are_the_sample_s_error(tmp_path: Path) -> None:
    tsv = files.long_video_bench(tmp_path)
    (tmp_path / "subtitles" / "cars_en.json").unlink()
    good, bad = samples_of(tsv, use_subtitle=True)
    spec = spec_of(tsv, use_subtitle=True, nframe=2)
    request_of(good, spec)
    with pytest.raises(RequestError, match=r"subtitles 1: file 'subtitles/cars_en.json' does not exist"):
        request_of(bad, spec)
    (tmp_path / "subtitles" / "bottles_en.json").write_text('{"no": "list"}')
    with pytest.raises(RequestError, match="is no list of subtitles"):
        request_of(good, spec)


def test_a_clip_is_cut_from_its_video(tmp_path: Path) -> None:
    tsv = files.mvbench(tmp_path)
    clipped, whole, folder = samples_of(tsv)
    spec = spec_of(tsv, nframe=4)
    seconds = [index / 30 for index in request_of(clipped, spec, as_images=False).videos[0].indices]
    assert 0.9 < seconds[0] < seconds[-1] < 3.2
    assert whole.media[0].clip is None
    frames = request_of(folder, spec, as_images=False).videos[0]
    assert (frames.fps, frames.total, frames.indices) == (3.0, 20, (4, 6, 8, 11))
    assert [round(float(p.mean()) / 6) for p in frames.pixels] == [4, 6, 8, 11]


def test_a_missing_video_costs_its_sample_only(tmp_path: Path) -> None:
    tsv = files.video_mme(tmp_path)
    (tmp_path / "video" / "cars.mp4").unlink()
    good, bad = samples_of(tsv)
    spec = spec_of(tsv, nframe=2)
    assert request_of(good, spec).images
    with pytest.raises(RequestError, match=r"row 2, column 'video': file './video/cars.mp4' does not exist"):
        request_of(bad, spec)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("candidates", "dog", "is not a list of options"),
        ("start", "soon", "'soon' is not a number"),
        ("video", "", "is empty"),
    ],
)
def test_a_cell_that_makes_no_sense_costs_its_sample_only(
    tmp_path: Path, column: str, value: str, message: str
) -> None:
    path = files.mvbench(tmp_path)
    frame = files.pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    frame.loc[0, column] = value
    frame.to_csv(path, sep="\t", index=False)
    bad, *good = samples_of(path)
    assert bad.error == f"MVBench.tsv row 1, column {column!r}: {message}"
    assert not any(sample.error for sample in good)


# --- runs ------------------------------------------------------------------------------------------------------


def worked(
    tmp_path: Path, tsv: Path, data: dict[str, Any] | None = None, **model: Any
) -> tuple[Worker, list[Prediction]]:
    """A run over `tsv` on an engine that says the last text it was asked."""
    config = {
        "model": {"m": {"path": "m", **model}},
        "data": {"d": {"path": str(tsv), "nframe": 3, **(data or {})}},
        "engine_args": {"answers": "echo"},
    }
    spec = build(config, Overrides(engine="fake"), name="run", default_engine="fake")
    paths, record, _ = submit.submit(spec, JobsPaths(tmp_path / "jobs"))
    worker = worker_for(paths, record)
    assert asyncio.run(live(worker)) == 0
    return worker, merge(paths, record.jobs[0])[1]


def test_a_run_asks_what_is_there_and_reports_what_is_not(tmp_path: Path) -> None:
    tsv = files.mvbench(tmp_path / "data")
    (tmp_path / "data/video/clevrer/sub/cars.mp4").unlink()
    worker, (clip, gone, frames) = worked(tmp_path, tsv)
    assert (worker.engine.spec.max_images, worker.engine.spec.max_videos) == (0, 1)
    assert clip.prediction == frames.prediction == "Best option:("
    assert "row 2, column 'video': file 'video/clevrer/sub/cars.mp4' does not exist inside" in str(gone.error)


def test_frames_are_counted_as_images_where_they_are_sent_as_such(tmp_path: Path) -> None:
    worker, (done,) = worked(tmp_path, files.mvbench_mp4(tmp_path / "data"), video="images", roles="chat")
    assert (worker.engine.spec.max_images, worker.engine.spec.max_videos) == (3, 0)
    assert done.prediction == "Best option:("
    tsv = files.long_video_bench(tmp_path / "long")
    (tmp_path / "s").mkdir()
    spoken, _ = worked(tmp_path / "s", tsv, {"use_subtitle": True})
    assert (spoken.engine.spec.max_images, spoken.engine.spec.max_videos) == (3, 0)


def test_subtitles_and_roles_are_part_of_what_a_run_is(tmp_path: Path) -> None:
    tsv = files.video_mme(tmp_path / "data")
    worked(tmp_path, tsv)
    for changed in ({"data": {"use_subtitle": True}}, {"roles": "chat"}, {"video": "images"}):
        with pytest.raises(ConfigError, match="exists with another configuration"):
            worked(tmp_path, tsv, **changed)


# --- where files are looked for --------------------------------------------------------------------------------


def test_a_benchmark_is_found_in_lmu_data_and_in_hugging_face_s_cache(tmp_path: Path, lmu_data: Path) -> None:
    tsv = files.mvbench_mp4(tmp_path / "hub" / "datasets--OpenGVLab--MVBench" / "snapshots" / "abc")
    assert names.find("MVBench_MP4") == tsv
    in_lmu = files.mvbench_mp4(lmu_data / "MVBench_MP4")
    assert names.find("MVBench_MP4") == in_lmu


def test_videos_are_found_in_hugging_face_s_cache_for_a_tsv_elsewhere(tmp_path: Path, lmu_data: Path) -> None:
    cache = tmp_path / "hub" / "datasets--OpenGVLab--MVBench"
    tsv = files.mvbench_mp4(cache / "snapshots" / "abc")
    video = cache / "snapshots/abc/video/ssv2/bottles.mp4"
    (cache / "blobs").mkdir()
    video.rename(cache / "blobs" / "0123")
    video.symlink_to(cache / "blobs" / "0123")
    lmu_data.mkdir()
    moved = tsv.rename(lmu_data / "MVBench_MP4.tsv")
    (sample,) = samples_of(moved)
    assert sample.media[0].file == str(cache / "blobs" / "0123")
    assert request_of(sample, spec_of(moved, nframe=2)).images


def test_a_file_of_that_name_with_other_columns_is_read_by_the_general_ones(tmp_path: Path) -> None:
    files.film(tmp_path / "videos/a.mp4")
    rows = [{"video_path": "videos/a.mp4", "question": "q", "A": "x", "B": "y", "answer": "B"}]
    (sample,) = samples_of(files.write(tmp_path, "MVBench", rows))
    assert (sample.options, sample.answer, sample.media[0].error) == ({"A": "x", "B": "y"}, "B", "")


def test_a_data_set_that_is_read_with_subtitles_is_another_one(tmp_path: Path) -> None:
    tsv = files.long_video_bench(tmp_path)
    plain, spoken = (store.prepare(spec_of(tsv, use_subtitle=s), tmp_path / "store") for s in (False, True))
    assert plain.info.digest != spoken.info.digest
    assert store.prepare(spec_of(tsv, use_subtitle=True), tmp_path / "store").folder == spoken.folder


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layout": "MVBench", "fps": 1.0}, r"data.x.fps: MVBench has no rule .* take MVBench_MP4"),
        ({"use_subtitle": True}, "only Video-MME and LongVideoBench have subtitles"),
        ({"layout": "Video-MME", "use_subtitle": True}, "only 'video-mme' shows subtitles"),
    ],
)
def test_what_a_benchmark_does_not_have_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        videobenchmarks.check(DataSpec(name="x", path="x", **fields))


def test_one_entry_more_is_a_benchmark_more_for_configs_and_for_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(VIDEO_BENCHMARKS["Video-MME"], joined="Both", shortcuts=("4frame_subs",), md5="0")
    monkeypatch.setitem(VIDEO_BENCHMARKS, "Mine", entry)
    warnings: list[str] = []
    made = data.translate("Mine_4frame_subs", {}, warnings)
    assert (made, warnings) == ({"dataset": "Mine", "nframe": 4, "use_subtitle": True}, [])
    assert data.translate("Both", {}, [])["joins"] == {"Mine": {"dataset": "Mine"}}
    assert names.defaults("Mine") == {"layout": "Mine", "prompt": "video-mme", "scorer": "videomme"}
    assert benchmarks.md5("Mine") == "0"
    with pytest.raises(ConfigError, match="only Video-MME and LongVideoBench and Mine have subtitles"):
        videobenchmarks.check(DataSpec(name="x", path="x", use_subtitle=True))


def test_somebody_else_s_predictions_are_held_against_the_same_answers(tmp_path: Path) -> None:
    tsv = files.mvbench(tmp_path / "data")
    frame = files.pd.read_csv(tsv, sep="\t", dtype=str, keep_default_na=False)
    frame.loc[1, "video"] = ""
    frame.to_csv(tsv, sep="\t", index=False)
    samples = gold.read(spec_of(tsv))
    assert [(s.answer, len(s.options), s.error) for s in samples] == [("A", 4, ""), ("D", 4, ""), ("B", 4, "")]
    assert all(s.media[0].digest for s in (samples[0], samples[2]))
