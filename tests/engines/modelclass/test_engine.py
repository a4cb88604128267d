"""The vlmevalkit engine on classes as users write them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.engines.contract import EngineContract, ask, clip, picture
from tests.engines.modelclass import ownmodels
from vlmeval_mp.core.errors import ConfigError, DependencyError, EngineError, RequestError
from vlmeval_mp.core.records import (
    Completion,
    DataSpec,
    ImagePart,
    Media,
    Message,
    Request,
    Sample,
    SampleOrigin,
    Sampling,
    TextPart,
    VideoPart,
)
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.modelclass.engine import VlmevalkitEngine

MODELS = "tests.engines.modelclass.ownmodels"


pytestmark = pytest.mark.usefixtures("closed_kit")


class TestOneByOneContract(EngineContract):
    name = "vlmevalkit"
    model = f"{MODELS}:OneByOne"
    args = {"kwargs": {"style": "digest"}}


class TestBatchedContract(EngineContract):
    name = "vlmevalkit"
    model = "anything"
    args = {"class": f"{MODELS}:Batched", "batch_size": 4, "wait": 0.01}


async def started(class_: str, window: int = 0, **args: Any) -> VlmevalkitEngine:
    engine = VlmevalkitEngine(EngineSpec(model=f"{MODELS}:{class_}", args=args, window=window))
    await engine.start()
    return engine


async def outcomes(engine: VlmevalkitEngine, *requests: Request) -> list[Completion | BaseException]:
    return await asyncio.gather(*(engine.generate(request) for request in requests), return_exceptions=True)


def sourced(
    question: str, folder: Path, *, media: tuple[Media, ...] = (), data: DataSpec | None = None, **sample: Any
) -> Request:
    """A request as a worker makes it of a sample with these files."""
    whole = Sample(index="7", row=0, kind="mcq", question=question, media=media, **sample)
    parts = [VideoPart(media=m) if m.kind == "video" else ImagePart(media=m) for m in media]
    asked = Message(role="user", parts=(*parts, TextPart(text=question)))
    images = tuple(Image.open(folder / m.file).convert("RGB") for m in media if m.kind == "image")
    spec = data or DataSpec(name="numbers", path="/data/numbers.tsv")
    return Request("7", (asked,), Sampling(), images, origin=SampleOrigin(whole, spec, folder))


# --- batch or one by one ---------------------------------------------------------------------------------------


async def test_a_batch_is_bisected_so_that_the_poison_sample_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    engine = await started("Batched", batch_size=8, wait=0.05, kwargs={"style": "echo"})
    texts = [f"sample {n}" for n in range(8)]
    texts[5] = "poison"
    answered = await outcomes(engine, *(ask(t, t, max_tokens=100) for t in texts))
    for text, outcome in zip(texts, answered, strict=True):
        if text == "poison":
            assert isinstance(outcome, RequestError)
            assert "this sample is poison" in str(outcome)
        else:
            assert isinstance(outcome, Completion)
            assert outcome.text == text
    assert engine._model.sizes == [8, 4, 4, 2, 1, 1, 2]
    assert "generate_batch gets up to 8 samples a call, as the class has it" in caplog.text
    await engine.close()


async def test_a_class_with_generate_alone_is_asked_one_by_one_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    engine = await started("OneByOne", kwargs={"style": "echo"})
    answered = await outcomes(engine, ask("1", "one"), ask("2", "poison"), ask("3", "three"))
    assert [getattr(a, "text", str(a)) for a in answered] == ["one", "ValueError: this sample is poison", "three"]
    assert f"{MODELS}:OneByOne: generate is called sample by sample, as the class has no generate_batch" in caplog.text
    await engine.close()


async def test_only_the_first_failures_are_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    engine = await started("OneByOne")
    await outcomes(engine, *(ask(str(n), "poison") for n in range(9)))
    assert caplog.text.count("Traceback") == 3
    await engine.close()


async def test_a_batch_that_does_not_fit_is_halved() -> None:
    engine = await started("Batched", batch_size=8, wait=0.05, kwargs={"fits": 2})
    answered = await outcomes(engine, *(ask(str(n), f"{n}") for n in range(8)))
    assert all(isinstance(a, Completion) for a in answered)
    assert max(engine._model.sizes[-2:]) <= 2
    await engine.close()


@pytest.mark.parametrize("gives", ["text", [], ["one", "two", "three"], None])
async def test_a_batch_call_that_gives_another_number_of_answers_is_told(
    gives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownmodels.Batched, "generate_batch", lambda self, messages: gives)
    engine = await started("Batched", batch_size=2, wait=0.05)
    answered = await outcomes(engine, ask("1", "?"), ask("2", "?"))
    assert all("generate_batch gave" in str(a) for a in answered)
    assert all(isinstance(a, RequestError) for a in answered)
    await engine.close()


async def test_an_api_class_is_asked_in_as_many_threads_as_there_are_samples_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import threading

    together = threading.Barrier(3, timeout=10)
    monkeypatch.setattr(ownmodels.OneByOne, "is_api", True, raising=False)
    monkeypatch.setattr(ownmodels.OneByOne, "generate", lambda self, message: str(together.wait() >= 0))
    engine = await started("OneByOne", window=3)
    answered = await outcomes(engine, *(ask(str(n), "?") for n in range(3)))
    assert [getattr(a, "text", repr(a)) for a in answered] == ["True"] * 3
    await engine.close()


# --- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("B", "B"),
        ("", ""),
        ({"prediction": "B", "extra_records": {"calls": 3}}, "B"),
        (("B", "because"), "B"),
        (["B"], "B"),
    ],
)
async def test_text_is_recorded_from_what_classes_give(answer: Any, text: str) -> None:
    engine = await started("Answers", kwargs={"table": {"?": answer}})
    assert (await engine.generate(ask("1", "?"))).text == text
    await engine.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no text but None"),
        (3.5, "no text but a value of type float"),
        ({"text": "B"}, "without 'prediction'; its keys are ['text']"),
        (("B",)[:0], "no text but a value of type tuple"),
        (OSError("no such video"), "no such video"),
        ("Failed to obtain answer via API.", "Failed to obtain answer via API."),
    ],
)
async def test_what_holds_no_text_fails_its_sample_and_says_what_it_was(answer: Any, reason: str) -> None:
    engine = await started("Answers", kwargs={"table": {"?": answer, "!": "fine"}})
    refused, fine = await outcomes(engine, ask("1", "?"), ask("2", "!"))
    assert isinstance(refused, RequestError)
    assert reason in str(refused)
    assert getattr(fine, "text", None) == "fine"
    await engine.close()


async def test_out_of_gpu_memory_halves_and_a_dead_gpu_ends_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    raised: list[Exception] = [torch.cuda.OutOfMemoryError("CUDA out of memory")]

    def generate(self: Any, message: Any) -> str:
        if raised:
            raise raised.pop()
        return "fine"

    monkeypatch.setattr(ownmodels.OneByOne, "generate", generate)
    engine = await started("OneByOne")
    assert (await engine.generate(ask("1", "?"))).text == "fine", "one more try, with the memory given back"
    raised += [torch.cuda.OutOfMemoryError("CUDA out of memory")] * 2
    with pytest.raises(RequestError, match="out of memory"):
        await engine.generate(ask("2", "?"))
    raised.append(RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(EngineError, match="illegal memory access"):
        await engine.generate(ask("3", "?"))
    with pytest.raises(EngineError):
        await engine.generate(ask("4", "?"))
    await engine.close()


# --- files -----------------------------------------------------------------------------------------------------


async def test_a_plain_picture_is_passed_as_it_lies_and_any_other_as_a_png_that_is_removed(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "plain.jpg", quality=90)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(2, (84, 56)).save(tmp_path / "turned.jpg", exif=turned)
    picture(3).convert("RGBA").save(tmp_path / "clear.png")
    names = ("plain.jpg", "turned.jpg", "clear.png")
    media = tuple(Media(kind="image", file=name) for name in names)
    engine = await started("Choosy")
    request = sourced("Which?", tmp_path, media=media, data=DataSpec(name="x", path="/data/x.tsv"))
    said = (await engine.generate(request)).text.split("|")
    assert said[0] == str(tmp_path / "plain.jpg")
    assert [Path(path).suffix for path in said[1:3]] == [".png", ".png"]
    assert said[3] == "Which?"
    assert not any(Path(path).exists() for path in said[1:3])
    folder = Path(said[1]).parent
    assert folder.exists()
    await engine.close()
    assert not folder.exists()


async def test_a_scaled_picture_is_the_scaled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def size(self: Any, message: Any, dataset: Any) -> str:
        return str(Image.open(message[0]["value"]).size)

    picture(1, (200, 100)).save(tmp_path / "big.png")
    monkeypatch.setattr(ownmodels.Choosy, "generate", size)
    engine = await started("Choosy")
    request = sourced("?", tmp_path, media=(Media(kind="image", file="big.png"),))
    small = Request("7", request.messages, Sampling(), (picture(1, (20, 10)),), origin=request.origin)
    assert (await engine.generate(small)).text == "(20, 10)"
    await engine.close()


async def test_a_video_class_gets_the_file_and_the_data_set_s_frames_and_others_get_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not decoded here")
    media = (Media(kind="video", file="a.mp4"),)
    engine = await started("Watcher")
    assert engine.whole_videos
    for data, said in (
        (DataSpec(name="v", path="v.tsv", nframe=16), "video:a.mp4 nframe=16 fps=0"),
        (DataSpec(name="v", path="v.tsv"), "video:a.mp4 nframe=8 fps=0"),
    ):
        assert (await engine.generate(sourced("?", tmp_path, media=media, data=data))).text == said
    with pytest.raises(RequestError, match="takes nframe of a video, and the data entry says fps"):
        await engine.generate(sourced("?", tmp_path, media=media, data=DataSpec(name="v", path="v.tsv", fps=1.0)))
    await engine.close()
    both = await started("Watcher", kwargs={"fps": 2})
    data = DataSpec(name="v", path="v.tsv", fps=1.0)
    said = "video:a.mp4 nframe=None fps=1.0"
    assert (await both.generate(sourced("?", tmp_path, media=media, data=data))).text == said
    await both.close()
    other = await started("OneByOne", kwargs={"style": "digest"})
    assert not other.whole_videos
    frames = await other.generate(ask("1", "?", videos=(clip(1, frames=3),), max_tokens=99))
    pictures = await other.generate(ask("1", "?", tuple(picture(1 + n) for n in range(3)), max_tokens=99))
    assert frames.text == pictures.text
    await other.close()


async def test_a_part_of_a_video_is_no_file_and_comes_as_its_frames_beside_whole_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not decoded here")
    part = Media(kind="video", file="a.mp4", clip=(1.0, 2.0))
    whole = Media(kind="video", file="a.mp4")
    engine = await started("Watcher")
    asked = sourced("?", tmp_path, media=(part, whole))
    request = Request("7", asked.messages, Sampling(), (), (clip(1, frames=2),), asked.origin)
    said = (await engine.generate(request)).text.split()
    assert [each.partition(":")[0] for each in said[:3]] == ["image", "image", "video"]
    assert said[2] == "video:a.mp4"
    await engine.close()


# --- prompts and data sets -------------------------------------------------------------------------------------


async def test_a_class_builds_its_own_prompt_out_of_the_row_where_it_says_so(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "p.png")
    media = (Media(kind="image", file="p.png"),)
    engine = await started("Choosy")
    fields: dict[str, Any] = {
        "options": {"A": "one", "B": "two"}, "answer": "A", "category": "easy", "l2_category": "top",
        "extra": {"difficulty": "3"},
    }  # fmt: skip
    said = (await engine.generate(sourced("How many?", tmp_path, media=media, **fields))).text
    assert said == f"{tmp_path}/p.png|numbers/7: How many? A=one B=two"
    row = engine._model.rows[0]
    assert (row["answer"], row["category"], row["l2-category"], row["difficulty"]) == ("A", "easy", "top", "3")
    assert "hint" not in row
    await engine.close()


async def test_the_data_set_s_name_reaches_the_class_and_samples_of_two_sets_are_asked_apart(tmp_path: Path) -> None:
    engine = await started("Batched", batch_size=4, wait=0.05)
    one, two = (DataSpec(name=n, path=f"/data/{n}.tsv") for n in ("POPE", "MME"))
    asked = [sourced(f"{n}?", tmp_path, data=data) for n, data in enumerate((one, two, one, two))]
    assert all(isinstance(a, Completion) for a in await outcomes(engine, *asked))
    assert engine._model.datasets == ["POPE", "POPE", "MME", "MME"]
    assert engine._model.sizes == [2, 2]
    await engine.close()


DOCS = Path(__file__).resolve().parents[3] / "docs" / "vlmevalkit.md"


async def test_the_class_in_the_documentation_runs(tmp_path: Path) -> None:
    code = DOCS.read_text().partition("## Your own model class")[2].partition("```python\n")[2].partition("```")[0]
    stand_in = (
        "class Net:\n"
        "    def cuda(self): return self\n"
        "    def answer(self, files, text): return f'{[f[-5:] for f in files]} {text}'\n"
        "def load(path): return Net()\n"
    )
    (tmp_path / "documented_models.py").write_text(stand_in + code)
    (tmp_path / "a.mp4").write_bytes(b"not decoded here")
    args = {"class": "documented_models:VideoAgent", "folder": str(tmp_path), "kwargs": {"model_path": "/m"}}
    engine = VlmevalkitEngine(EngineSpec(model="x", args=args))
    await engine.start()
    said = await engine.generate(sourced("What?", tmp_path, media=(Media(kind="video", file="a.mp4"),)))
    assert said.text == "['a.mp4'] What?"
    await engine.close()


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_", "kwargs", "message"),
    [
        (f"{MODELS}:OneByOne", {"styl": "echo"}, "no argument 'styl'; did you mean 'style'?"),
        (f"{MODELS}:Answers", {}, "cannot be called: missing a required argument: 'table'"),
        (f"{MODELS}:OneByTwo", {}, "no class 'OneByTwo'; did you mean 'OneByOne'?"),
        (f"{MODELS}:Silent", {}, "neither generate nor generate_batch"),
        ("tests.engines.nowhere:Model", {}, "no module 'tests.engines.nowhere'"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_before_it_is_made(class_: str, kwargs: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        VlmevalkitEngine(EngineSpec(model=class_, args={"kwargs": kwargs}))
    assert message in str(raised.value)


async def test_a_class_that_lacks_a_package_says_what_to_install() -> None:
    with pytest.raises(DependencyError, match="pip install no_such_package_at_all"):
        await started("Lacking")


async def test_a_constructor_that_exits_the_process_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="ownmodels:Exiting could not be made: SystemExit"):
        await started("Exiting")
