"""TSVs as VLMEvalKit's `generate_tsv` of each video benchmark writes them, with real videos where their columns say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from tests.conftest import shared_data

VIDEOS = shared_data() / "videos"
QUESTION = "What happens {next}, and why?"  # braces are no field
CANDIDATES = ["a cat", "(b) a dog: 50%", "None", "100 "]
SRT = """1
00:00:00,000 --> 00:00:01,200
<i>Good</i> morning,
everyone.

2
00:00:01,200 --> 00:00:02,000

3
00:00:02,000 --> 00:00:06,500
<font color="red">All {\\an8}quiet</font> in 1999
2000

4
00:01:00,000 --> 00:01:02,000
Never shown
"""
SPOKEN = [
    {"start": "00:00:10.000", "end": "00:00:10.400", "line": "short"},
    {"start": "00:00:11.5", "end": "00:00:16.0", "line": "long"},
    {"start": "01:00:00", "end": "01:00:05", "line": "never"},
]
STAMPED = [{"timestamp": [10.0, 10.2], "text": "first"}, {"timestamp": [12.25, None], "text": "to the end"}]


def write(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as a TSV, the way VLMEvalKit writes it: list columns by their repr, the index last."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    if "index" not in frame:
        frame = frame.assign(index=range(len(frame)))
    frame.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder / f"{name}.tsv"


def film(path: Path, video: str = "bottles") -> None:
    """One of the shared videos at `path`, whatever its name ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes((VIDEOS / f"{video}.mp4").read_bytes())


def video_mme(folder: Path) -> Path:
    rows = []
    for number, video in enumerate(("bottles", "cars")):
        film(folder / "video" / f"{video}.mp4", video)
        rows.append({
            "index": number, "video": video, "video_path": f"./video/{video}.mp4", "duration": "short",
            "domain": "Life Record", "candidates": [f"{k}. {c}" for k, c in zip("ABCD", CANDIDATES, strict=True)],
            "sub_category": "Daily Life", "task_type": "Action Reasoning", "subtitle_path": f"./subtitle/{video}.srt",
            "question": QUESTION, "answer": "BD"[number],
        })  # fmt: skip
    (folder / "subtitle").mkdir(exist_ok=True)
    (folder / "subtitle" / "bottles.srt").write_text(SRT)
    return write(folder, "Video-MME", rows)


def mvbench(folder: Path) -> Path:
    shared = {"question": QUESTION, "candidates": CANDIDATES}
    rows = [
        {"task_type": "Action Sequence", "prefix": "video/star/Charades_v1_480/", "data_type": "video", "bound": True,
         "start": 0.9, "end": 3.2, "video": "bottles.mp4", "answer": "a cat", **shared},
        {"task_type": "Moving Count", "prefix": "video/clevrer/", "data_type": "video", "bound": False, "start": None,
         "end": None, "video": "sub/cars.mp4", "answer": "100 ", **shared},
        {"task_type": "Episodic Reasoning", "prefix": "video/tvqa/frames_fps3_hq/", "data_type": "frame", "bound": True,
         "start": 1.0, "end": 4.0, "video": "castle_s01", "answer": "(b) a dog: 50%", **shared},
    ]  # fmt: skip
    film(folder / "video/star/Charades_v1_480/bottles.mp4")
    film(folder / "video/clevrer/sub/cars.mp4", "cars")
    frames = folder / "video/tvqa/frames_fps3_hq/castle_s01"
    frames.mkdir(parents=True, exist_ok=True)
    for number in range(1, 21):
        Image.new("L", (16, 8), 6 * number).save(frames / f"{number:05d}.jpg")
    return write(folder, "MVBench", rows)


def mvbench_mp4(folder: Path) -> Path:
    film(folder / "video/ssv2/bottles.mp4")
    return write(folder, "MVBench_MP4", [
        {"task_type": "Action Antonym", "prefix": "video/ssv2/", "video": "bottles.mp4", "question": QUESTION,
         "answer": "a cat", "candidates": CANDIDATES},
    ])  # fmt: skip


def mlvu_mcq(folder: Path) -> Path:
    film(folder / "MLVU/video/4_count/cars.mp4", "cars")
    film(folder / "MLVU/video/1_plotQA/bottles.mp4")
    shared = {"duration": 12.5, "question": QUESTION}
    return write(folder, "MLVU_MCQ", [
        {"task_type": "count", "prefix": "./MLVU/video/4_count", "video": "cars.mp4", **shared, "answer": "2",
         "candidates": ["1", "2", "3", "5"]},
        {"task_type": "plotQA", "prefix": "./MLVU/video/1_plotQA", "video": "bottles.mp4", **shared, "answer": "Blue",
         "candidates": ["Red", "Blue"]},
    ])  # fmt: skip


def mlvu_open(folder: Path) -> Path:
    film(folder / "MLVU/video/9_summary/cars.mp4", "cars")
    return write(folder, "MLVU_OpenEnded", [
        {"task_type": "summary", "prefix": "./MLVU/video/9_summary", "duration": 12.5, "video": "cars.mp4",
         "question": QUESTION, "answer": "Cars pass.", "scoring_points": ""},
    ])  # fmt: skip


def long_video_bench(folder: Path) -> Path:
    rows = []
    for number, (video, spoken) in enumerate((("bottles", SPOKEN), ("cars", STAMPED))):
        film(folder / "videos" / f"{video}.mp4", video)
        (folder / "subtitles").mkdir(exist_ok=True)
        (folder / "subtitles" / f"{video}_en.json").write_text(json.dumps(spoken))
        rows.append({
            "video_id": video, "question": QUESTION, "candidates": CANDIDATES, "correct_choice": 3 - number,
            "topic_category": "NP-News-Programs", "question_category": "S2E", "level": "L1-Perception",
            "id": f"{video}_0", "video_path": f"./videos/{video}.mp4", "subtitle_path": f"{video}_en.json",
            "duration_group": 15, "starting_timestamp_for_subtitles": 9.75, "duration": 14.5, "view_count": 7,
            "index": number, "video": video,
        })  # fmt: skip
    return write(folder, "LongVideoBench", rows)


def tempcompass(folder: Path, part: str) -> Path:
    film(folder / "videos/v_1034.mp4", "conveyor")
    shared = {"prefix": "./videos", "suffix": ".mp4", "video": "v_1034", "dim": "direction"}
    listed = (
        ["A. left", "B. right"],
        ["Caption A: It falls.", "Caption B: It rises."],
        ["Option 1: on", "Option 2: off"],
    )
    rows: list[dict[str, Any]] = {
        "MCQ": [
            {"task_type": "multi-choice" if lines[0][0] == "A" else "caption_matching", **shared, "question": QUESTION,
             "answer": lines[1], "candidates": lines}
            for lines in listed
        ],
        "YorN": [{"task_type": "yes_no", **shared, "question": QUESTION, "answer": "yes"}],
        "Captioning": [
            {"task_type": "captioning", **shared, "question": f"Describe:\nA. x\n{QUESTION}", "answer": "A. x",
             "mc_question": "Which?\nA. x\nB. y", "mc_answer": "A. x"},
        ],
    }[part]  # fmt: skip
    return write(folder, f"TempCompass_{part}", rows)
