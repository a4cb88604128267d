"""VLMEvalKit's own `evaluate` accepts the tables under --work-dir, and gives our compat numbers, group by group."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.builders import worker_for
from tests.parity import evaluated
from vlmeval_mp import demo
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.exchange import workdir
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import results, snapshot, submit
from vlmeval_mp.runs.merge import merge

NOW = 1_700_000_000.0
VIDEOS = Path(demo.__file__).parent / "data" / "videos"
SAMPLES = 40
REPLIES = ["A", "b", "(B)", "**C**", "The answer is D.", "cat", "no idea", "B. because of its ears", "A cat is here"]
REPLIES += ["=1+1", "None", "yes", "No", "Yes, it is.", "**No**", "7", "6.9", "100%", "1,000", "invoice 12", "猫\n狗"]


@dataclass(frozen=True)
class Benchmark:
    """A data set of VLMEvalKit in small: its class there, and its columns, given a row's number."""

    name: str
    kind: str
    columns: dict[str, object]
    replies: list[str] = field(default_factory=lambda: REPLIES)


def each(*values: object):
    """A column that goes through `values`."""
    return lambda row: values[row % len(values)]


CHOICE = {
    "question": lambda row: f"What is in picture {row}?",
    "A": each("cat"),
    "B": each("dog", "hot dog"),
    "C": each("bird", "None"),
    "D": each("fish"),
    "answer": each("A", "B", "C", "D"),
}
ASKED = {"question": lambda row: f"What does line {row} say?"}
READ = [reply for reply in REPLIES if reply != "None"]
"""Where an evaluator stops at a reply that its reader takes for a missing one."""
YES_NO = ASKED | {"answer": each("Yes", "No")}
AREAS = ["OCR", "count", "code_reasoning", "text_translation"]
MATHS = ["Handwritten Mathematical Expression Recognition"]
VIDEO = ASKED | {"video": each("digits-00.mp4"), "video_path": each("digits-00.mp4")}
LISTED = VIDEO | {
    "prefix": each("."),
    "candidates": each("['cat', 'dog', 'bird', 'fish']"),
    "answer": each("cat", "dog", "bird", "fish"),
}
BENCHMARKS = [
    Benchmark("MMStar", "ImageMCQDataset", CHOICE | {"category": each("x", "y"), "l2-category": each("p", "q", "r")}),
    Benchmark("AI2D_TEST", "ImageMCQDataset", CHOICE | {"split": each("test", "dev"), "category": each("x", "y")}),
    Benchmark("MyYN", "ImageYORNDataset", ASKED | {"answer": each("Yes", "No"), "category": each("p", "q")}),
    Benchmark(
        "ChartQA_TEST",
        "ImageVQADataset",
        ASKED | {"answer": each("7", "0", "5%", "dog"), "split": each("test_human", "test_augmented")},
    ),
    Benchmark("DocVQA_VAL", "ImageVQADataset", ASKED | {"answer": each("['invoice 12', 'invoice']", "['dog']")}),
    Benchmark("OCRVQA_TESTCORE", "ImageVQADataset", ASKED | {"answer": each("7", "dog")}),
    Benchmark("GQA_TestDev_Balanced", "ImageVQADataset", ASKED | {"answer": each("7", "dog")}),
    Benchmark(
        "TextVQA_VAL",
        "ImageVQADataset",
        ASKED | {"answer": each("['cat', 'a cat', 'the cat', 'dog']", "['7', '7', 'seven', '6.9']")},
    ),
    Benchmark(
        "MyVQA", "ImageVQADataset", ASKED | {"answer": each("['cat', 'cats']", "dog"), "category": each("x", "y")}
    ),
    Benchmark(
        "OCRBench",
        "OCRBench",
        ASKED
        | {"answer": each("['cat']", "['7', '6.9']", "['Invoice\\n12']", "['1 , 000']")}
        | {"category": each("Regular Text Recognition", "Doc-oriented VQA", "Scene Text-centric VQA", *MATHS)},
    ),
    Benchmark(
        "MMBench_DEV_EN",
        "ImageMCQDataset",
        CHOICE
        | {
            "index": lambda row: row // 4 + row % 4 * 1_000_000,
            "question": lambda row: f"What is in picture {row // 4}?",
        }
        | {"category": lambda row: "xy"[row // 4 % 2], "answer": lambda row: "ABCD"[row // 4 % 4]}
        | {"l2-category": lambda row: ("attribute_reasoning", "logic_reasoning")[row // 8 % 2]},
        replies=[*"ABCD", "A", "B", "C", "D", "A", "cat"],
    ),
    Benchmark("MMMU_DEV_VAL", "MMMUDataset", CHOICE | {"split": each("validation", "dev")}),
    Benchmark("BLINK", "ImageMCQDataset", CHOICE | {"category": each("x", "y", "y", "z", "z")}),
    Benchmark(
        "MME",
        "ImageYORNDataset",
        YES_NO | {"image_path": lambda row: f"{row // 2}.jpg", "category": lambda row: AREAS[row // 2 % len(AREAS)]},
    ),
    Benchmark("POPE", "ImageYORNDataset", YES_NO | {"category": each("random,popular", "adversarial")}),
    Benchmark(
        "HallusionBench",
        "ImageYORNDataset",
        YES_NO
        | {"index": lambda row: f"VD_x_y_{row // 4}_{row // 2 % 2}_{row % 2}_{row}"}
        | {"category": lambda row: ("VD", "VS")[row // 20], "l2-category": lambda row: "abc"[row // 4 % 3]},
    ),
    Benchmark(
        "AMBER",
        "ImageYORNDataset",
        YES_NO
        | {"image_path": lambda row: f"{row // 2}.jpg", "answer": each("yes", "no")}
        | {"category": each("discriminative-attribute-state", "discriminative-relation", "relation")},
    ),
    Benchmark("VSR-zeroshot", "ImageYORNDataset", YES_NO),
    Benchmark(
        "Video-MME",
        "VideoMME",
        VIDEO
        | {"answer": each("A", "B", "C", "D"), "domain": each("Knowledge", "Life Record")}
        | {"candidates": each("['A. cat', 'B. dog', 'C. bird', 'D. fish']")}
        | {"sub_category": each("Astronomy", "Biology & Medicine"), "duration": each("short", "medium", "long")}
        | {"task_type": each("Counting Problem", "OCR Problems")},
    ),
    Benchmark("MVBench_MP4", "MVBench_MP4", LISTED | {"task_type": each("Action Count", "Object Shuffle")}),
    Benchmark("MLVU_MCQ", "MLVU_MCQ", LISTED | {"task_type": each("count", "ego", "needle")}, replies=READ),
    Benchmark(
        "LongVideoBench",
        "LongVideoBench",
        VIDEO
        | {"candidates": each("['cat', 'dog', 'bird', 'fish', 'none']"), "correct_choice": each(0, 1, 2, 3, 4)}
        | {"question_category": each("S2E", "T3O"), "duration_group": each(15, 60, 600, 3600)},
    ),
    Benchmark(
        "TempCompass_MCQ",
        "TempCompass_MCQ",
        LISTED
        | {"candidates": each("['A. cat', 'B. dog']"), "answer": each("A. cat", "B. dog"), "suffix": each(".mp4")}
        | {"video": each("digits-00"), "dim": each("action", "speed", "order"), "task_type": each("multi-choice")},
        replies=READ,
    ),
    Benchmark(
        "TempCompass_YorN",
        "TempCompass_YorN",
        VIDEO
        | {"answer": each("yes", "no"), "prefix": each("."), "suffix": each(".mp4"), "video": each("digits-00")}
        | {"dim": each("action", "speed"), "task_type": each("yes_no")},
        replies=READ,
    ),
]


NO_FILE = ("MLVU_MCQ", "TempCompass_MCQ", "TempCompass_YorN")
"""Their evaluators give numbers, which become status.json's, and leave no score file."""


def written(folder: Path, benchmark: Benchmark) -> Path:
    """Its TSV, without media."""
    (folder / "digits-00.mp4").write_bytes((VIDEOS / "digits-00.mp4").read_bytes())
    path = folder / f"{benchmark.name}.tsv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file, delimiter="\t")
        columns = {"index": lambda row: row} | benchmark.columns
        lines.writerow(columns)
        lines.writerows([cell(row) for cell in columns.values()] for row in range(SAMPLES))
    return path


@pytest.fixture(autouse=True)
def lmu_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path))


async def finished(tmp_path: Path, benchmarks: list[Benchmark], replies: list[dict[str, str]]) -> tuple:
    """Runs on the fake engine, one per benchmark, all answered and scored."""
    found = []
    for benchmark, answers in zip(benchmarks, replies, strict=True):
        written(tmp_path, benchmark)
        config = {
            "model": {"org/m": {"path": "m"}},
            "data": {benchmark.name: {}},
            "engine_args": {"answers": answers, "fail": ["3"]},
        }
        spec = build(config, Overrides(engine="fake"), name=benchmark.name, default_engine="fake")
        paths = submit.submit(spec, JobsPaths(tmp_path / "jobs"))[0]
        record = snapshot.read_record(paths)
        assert await live(worker_for(paths, record)) == 0
        (job,) = record.jobs
        folder = paths.results(job.model, job.dataset)
        rules = results.rules_of(record.spec, job)
        results.write(folder, job.model, job.dataset, *merge(paths, job), rules)
        found.append((paths, record))
    return tuple(found)


@pytest.mark.parametrize("form", ["xlsx", "tsv"])
async def test_their_evaluate_gives_our_compat_numbers(tmp_path: Path, form: str) -> None:
    draw = random.Random(5)
    replies = [{str(row): draw.choice(b.replies) for row in range(SAMPLES)} for b in BENCHMARKS]
    made = await finished(tmp_path, BENCHMARKS, replies)
    asked, ours, files = [], [], []
    for benchmark, (paths, record) in zip(BENCHMARKS, made, strict=True):
        exported = workdir.export(paths, record, tmp_path / "out", form, NOW)
        (folder,) = exported.folders
        entry = json.loads((folder / "status.json").read_text())["datasets"][benchmark.name]
        ours.append(entry)
        file = folder / entry["prediction_file"]
        asked.append({"class": benchmark.kind, "dataset": benchmark.name, "file": str(file)})
        left = [p for p in folder.iterdir() if p.name not in ("status.json", file.name) and "_whole" not in p.name]
        files.append([(scores, read(scores)) for scores in left])
    theirs = evaluated(asked, form, tmp_path)
    for benchmark, entry, left, said in zip(BENCHMARKS, ours, files, theirs, strict=True):
        assert "error" not in said, (benchmark.name, said)
        assert entry["metrics"], benchmark.name
        assert entry["metrics"] == pytest.approx(said["metrics"], abs=1e-9), benchmark.name
        assert bool(left) != (benchmark.name in NO_FILE)
        for scores, written in left:
            assert written == pytest.approx(read(scores), abs=1e-9, nan_ok=True), scores  # theirs by now


def read(file: Path) -> dict[str, object]:
    """An evaluator's file as flat values, in no order; what has no value in it is left out."""
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        cells = {f"{row.get('split')}|{name}": cell for row in rows for name, cell in row.items() if cell}
        return {key: cell if key.endswith("|split") else float(cell) for key, cell in cells.items()}
    return dict(flat(json.loads(file.read_text())))


def flat(value: object, name: str = ""):
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(each, f"{name}|{key}")
    elif value != "nan":
        yield name, value


async def test_reuse_there_turns_our_json_into_their_table(tmp_path: Path) -> None:
    # evaluate of ms-vlmeval 0.0.20 reads no JSON, be it its own; its --reuse with another PRED_FORMAT does
    benchmark = BENCHMARKS[0]
    replies = {str(row): REPLIES[row % len(REPLIES)] for row in range(SAMPLES)}
    ((paths, record),) = await finished(tmp_path, [benchmark], [replies])
    exported = workdir.export(paths, record, tmp_path / "out", "json", NOW)
    entry = json.loads((exported.folders[0] / "status.json").read_text())["datasets"][benchmark.name]
    file = exported.folders[0] / entry["prediction_file"]
    assert file.suffix == ".json"
    asked = {"class": benchmark.kind, "dataset": benchmark.name, "file": str(file), "as": str(tmp_path / "m.tsv")}
    (said,) = evaluated([asked], "tsv", tmp_path)
    assert said["metrics"] == pytest.approx(entry["metrics"], abs=1e-9)
