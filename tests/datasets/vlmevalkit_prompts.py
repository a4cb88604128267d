"""What ms-vlmeval 0.0.20's own video classes build: a JSON list of cases in on stdin, one JSON list of prompts out.

Runs under an interpreter that has ms-vlmeval. Its classes are taken out of their modules, whose imports need torch and
decord; their methods run unchanged, on a TSV that is read as they read it. A stand-in for decord gives a video's length
and rate as the case says, and notes which frames are asked for.
"""

import ast
import importlib.util
import io
import json
import os
import os.path as osp
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import portalocker
from PIL import Image

ROOT = Path(importlib.util.find_spec("vlmeval").submodule_search_locations[0]) / "dataset"
MODULES = {
    "VideoMME": "videomme", "MVBench": "mvbench", "MVBench_MP4": "mvbench", "MLVU_MCQ": "mlvu",
    "MLVU_OpenEnded": "mlvu", "LongVideoBench": "longvideobench", "TempCompass_MCQ": "tempcompass",
    "TempCompass_YorN": "tempcompass", "TempCompass_Captioning": "tempcompass",
}  # fmt: skip
asked = []


class VideoReader:
    """A gray video of the length and rate that the case names; `asked` gets every frame that is read."""

    length, rate = 0, 0.0

    def __init__(self, path, **_):
        assert Path(path).exists(), path

    def __len__(self):
        return self.length

    def get_avg_fps(self):
        return self.rate

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        asked.append(int(index))
        return types.SimpleNamespace(asnumpy=lambda: np.zeros((2, 2, 3), np.uint8))


class Picture:
    """In the place of PIL.Image: notes the numbers of frames that are read from a folder."""

    fromarray = staticmethod(Image.fromarray)

    @staticmethod
    def open(path):
        asked.append(int(Path(path).stem))
        return Image.open(path)


sys.modules["decord"] = types.SimpleNamespace(VideoReader=VideoReader, cpu=lambda _: None)


def body(module):
    return ast.parse((ROOT / f"{module}.py").read_text()).body


def their_class(name):
    """The class with the functions of its module around it, its base the methods of VideoBaseDataset."""
    space = {"os": os, "osp": osp, "np": np, "pd": pd, "json": json, "Image": Picture, "portalocker": portalocker}
    base = next(node for node in body("video_base") if getattr(node, "name", "") == "VideoBaseDataset")
    base.keywords = []
    base.body = [node for node in base.body if getattr(node, "name", "") in ("frame_paths", "frame_paths_fps")]
    kept = [node for node in body(MODULES[name]) if isinstance(node, ast.FunctionDef)]
    wanted = next(node for node in body(MODULES[name]) if getattr(node, "name", "") == name)
    exec(compile(ast.Module([base, *kept, wanted], []), name, "exec"), space)
    return space[name]


def prompts(case):
    """Of each row, its prompt."""
    cls = their_class(case["class"])
    made = object.__new__(cls)
    made.data_root, made.frame_root = case["root"], case["frames"]
    made.frame_tmpl, made.frame_tmpl_fps = "frame-{}-of-{}.jpg", "frame-{}-of-{}-{}fps.jpg"
    made.nframe, made.fps, made.use_subtitle = case["nframe"], case["fps"] or -1, case["use_subtitle"]
    made.decord_method = {"video": getattr(made, "read_video", None), "frame": getattr(made, "read_frame", None)}
    made.transform = list
    made.data = pd.read_csv(case["tsv"], sep="\t")
    if case["class"].startswith("MVBench"):  # saving goes through torch
        paths = made.frame_paths_fps if made.fps > 0 else lambda video, _: made.frame_paths(video)
        made.save_video_frames = lambda _, video, count: paths(video, count)
    return [prompt(made, row, case) for row in range(len(made.data))]


def prompt(made, row, case):
    asked.clear()
    VideoReader.length, VideoReader.rate = case["videos"][row]
    # the frame cache would answer for a video that was read before
    made.frame_root = f"{case['frames']}/{row}"
    message = made.build_prompt(made.data.iloc[row].copy(), False)
    shown = [each["value"] for each in message if each["type"] == "image"]
    parts = [
        ["image", "user", shown.index(each["value"])] if each["type"] == "image" else
        ["text", each.get("role", "user"), each["value"]]
        for each in message
    ]  # fmt: skip
    return {"parts": parts, "frames": asked.copy(), "internvl": as_internvl(message, len(shown), case["class"])}


def as_internvl(message, count, name):
    """The text that InternVLChat gives its model for this message."""
    tree = ast.parse((ROOT.parent / "vlm" / "internvl" / "utils.py").read_text())
    wanted = ("reorganize_prompt", "build_video_prompt")
    kept = [node for node in tree.body if getattr(node, "name", "") in wanted]
    space = {"listinstr": lambda names, text: any(each in text for each in names)}
    exec(compile(ast.Module(kept, []), "internvl", "exec"), space)
    dataset = "Video-MME" if name == "VideoMME" else name
    return space["build_video_prompt"](space["reorganize_prompt"](message, count, dataset=dataset), dataset)


out, sys.stdout = sys.stdout, io.StringIO()
json.dump([prompts(case) for case in json.load(sys.stdin)], out)
