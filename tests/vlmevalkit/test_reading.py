"""A benchmark read through VLMEvalKit's class: its prompts, its pictures, and what is said where it cannot be."""

import hashlib

import pytest

from tests.vlmevalkit.conftest import jpeg
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import DataSpec, TextPart
from vlmeval_mp.datasets import names
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.requests import prompts
from vlmeval_mp.vlmevalkit import registry


def read(path, tmp_path):
    spec = DataSpec(name=path.stem, path=str(path), **registry.DEFAULTS)
    return prepare(spec, tmp_path / "store")


def test_samples_carry_the_prompt_of_the_class(lmu, tmp_path):
    dataset = read(lmu.count_bench(), tmp_path)
    sample = dataset.samples(2, 2)[0]
    (message,) = prompts.build(sample, prompts.READY)
    picture, text = message.parts
    assert text == TextPart(
        text="How many cats are in picture 3? Note that: answer with a number directly e.g. 3. "
        "Do not include any additional text."
    )
    assert picture.media == sample.media[0]
    assert (sample.index, sample.row, sample.answer) == ("3", 2, "3")
    system, _ = prompts.build(sample, prompts.READY, system="Be brief.")
    assert (system.role, system.parts[0].text) == ("system", "Be brief.")


def test_pictures_keep_their_bytes(lmu, tmp_path):
    dataset = read(lmu.count_bench(), tmp_path)
    media = dataset.samples(0, 0)[0].media[0]
    data = (dataset.folder / media.file).read_bytes()
    assert data == jpeg(1)[0]
    assert media.digest == hashlib.sha256(data).hexdigest()
    assert not (dataset.folder / "dumped").exists()
    assert not (lmu.folder / "images").exists() or not list((lmu.folder / "images").rglob("*.png"))


def test_several_pictures_are_kept_in_their_order(lmu, tmp_path):
    both = str([jpeg(1)[1], jpeg(5)[1]])
    rows = [{"index": 0, "image": both, "question": "Is <image> like <image>?", "answer": "A", "A": "yes", "B": "no"}]
    dataset = read(lmu.write("MUIRBench", rows), tmp_path)
    found = dataset.samples(0, 0)[0]
    assert [m.digest for m in found.media] == [hashlib.sha256(jpeg(n)[0]).hexdigest() for n in (1, 5)]
    assert dataset.info.max_images == 2


def test_it_is_read_once_and_again_when_the_file_changed(lmu, tmp_path):
    first = read(lmu.count_bench(), tmp_path)
    made = (first.folder / "samples.jsonl").stat().st_mtime_ns
    assert (read(lmu.folder / "CountBenchQA.tsv", tmp_path).folder / "samples.jsonl").stat().st_mtime_ns == made
    again = read(lmu.count_bench(samples=5), tmp_path)
    assert again.folder != first.folder
    assert len(again) == 5


def test_a_file_that_is_not_the_official_one_is_used_with_a_warning(lmu, tmp_path, caplog):
    read(lmu.count_bench(), tmp_path)
    assert "MD5" in caplog.text
    assert "fc73c8d4ffa665431448753f094d56ff" in caplog.text


def test_a_row_that_its_class_cannot_ask_costs_one_sample(lmu, tmp_path):
    pictures = [jpeg(0)[1], "A" * 65, jpeg(2)[1]]  # 65 characters are no whole bytes
    rows = [{"index": i, "image": picture, "question": "q", "answer": 1} for i, picture in enumerate(pictures)]
    samples = read(lmu.write("CountBenchQA", rows), tmp_path).samples(0, 2)
    assert [bool(s.error) for s in samples] == [False, True, False]
    assert samples[1].error.startswith("CountBenchQA.build_prompt: Error: Invalid base64")


def test_a_file_of_which_no_row_can_be_asked_is_refused(lmu, tmp_path):
    rows = [{"index": i, "image": jpeg(i)[1], "question": "q", "answer": "A"} for i in range(2)]  # has no "prompt"
    with pytest.raises(ConfigError, match=r"none of the 2 rows .* can be asked; the first, index '0': .*'prompt'"):
        read(lmu.write("CV-Bench-2D", rows), tmp_path)


def test_an_index_that_stands_twice_is_refused(lmu, tmp_path):
    rows = [{"index": 1, "image": jpeg(i)[1], "question": "q", "answer": 1} for i in range(2)]
    with pytest.raises(ConfigError, match="index '1' stands twice"):
        read(lmu.write("CountBenchQA", rows), tmp_path)


def test_names_of_no_table_here_go_through_vlmevalkit(lmu):
    assert names.defaults("VizWiz") == registry.DEFAULTS
    assert names.defaults("MMStar")["scorer"] == "mcq"
    assert names.defaults("my_own_file") == {}
    assert names.defaults("/data/VizWiz.tsv") == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CountBenchQ", "did you mean 'CountBenchQA'"),
        ("VizWiz", "official file is https://opencompass.openxlab.space/utils/VLMEval/VizWiz.tsv"),
        ("ScreenSpot", "ScreenSpot_Mobile, ScreenSpot_Desktop, ScreenSpot_Web"),
    ],
)
def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(lmu, name, said):
    with pytest.raises(ConfigError) as caught:
        names.find(name)
    assert f"{lmu.folder}/{name}.tsv" in str(caught.value)
    assert said in str(caught.value)
