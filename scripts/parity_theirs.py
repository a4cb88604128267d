"""Verdicts of ms-vlmeval's own classes on tables of predictions: {family: [row, …]} as JSON in on stdin, verdicts out.

A row is a dictionary of columns. Each family's rows become one TSV in an empty folder, which the benchmark's own
`evaluate` reads and scores; a verdict is a number, null where only a judge could tell, or "stops" where evaluating that
row raises. The package is imported without its heavy `__init__` files, and with stand-ins for what no scorer needs.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import string
import sys
import tempfile
import types
import warnings
from pathlib import Path

os.environ["PRED_FORMAT"] = "tsv"
os.environ["LMUData"] = tempfile.mkdtemp()  # noqa: SIM112 - VLMEvalKit spells it so
ROOT = Path(importlib.util.find_spec("vlmeval").submodule_search_locations[0])
HEAVY = ("torch", "torchvision", "cv2", "decord", "imageio", "transformers", "datasets", "openai", "sklearn", "scipy")
HEAVY += ("nltk", "rouge", "jieba", "math_verify", "pylatexenc", "matplotlib")
OUT, sys.stdout = sys.stdout, sys.stderr


class Standin(types.ModuleType):
    """A module of which everything can be had, and nothing works."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Standins(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, *_):
        heavy = name.split(".")[0] in HEAVY or name in ("vlmeval.api", "vlmeval.vlm")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if heavy else None

    def create_module(self, spec):
        return Standin(spec.name)

    def exec_module(self, module):
        pass


def imported():
    """Their modules by name."""
    for name in ("vlmeval", "vlmeval.dataset"):
        package = types.ModuleType(name)
        package.__path__ = [str(ROOT.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    finder = Standins()
    sys.meta_path.insert(0, finder)
    names = ("image_mcq", "image_yorn", "image_vqa", "videomme", "mvbench", "mlvu", "longvideobench", "tempcompass")
    names += ("utils.mathvista", "utils.mathv", "utils.vqa_eval")
    found = {name: importlib.import_module(f"vlmeval.dataset.{name}") for name in names}
    sys.meta_path.remove(finder)
    return types.SimpleNamespace(**{name.rpartition(".")[2]: module for name, module in found.items()})


class Serial:
    """A pool that works in this process."""

    def __init__(self, size):
        pass

    def map(self, function, rows):
        return list(map(function, rows))


class JudgeWantedError(Exception):
    pass


class NoJudge:
    def generate(self, *_, **__):
        raise JudgeWantedError


def spare(dump):
    """`dump` without the snapshots of a growing dictionary: only one that did not grow since the last is written."""
    last = [-1]

    def dumped(value, path, *rest):
        if len(value) in (0, last[0]):
            dump(value, path, *rest)
        last[0] = len(value)

    return dumped


IT = imported()
IT.image_vqa.mp = types.SimpleNamespace(Pool=Serial)
IT.mathv.is_equal = IT.mathv.is_equal.__wrapped__  # without the process that each comparison gets
PROGRESS = importlib.import_module("vlmeval.utils.mp_util")
PROGRESS.dump = spare(PROGRESS.dump)
SUPPORT = importlib.import_module("vlmeval.smp")

CLASSES = {
    "mcq": (IT.image_mcq.ImageMCQDataset, "MMStar"),
    "blink": (IT.image_mcq.ImageMCQDataset, "BLINK"),
    "circular": (IT.image_mcq.ImageMCQDataset, "MMBench_DEV_EN"),
    "visonlyqa": (IT.image_mcq.ImageMCQDataset, "VisOnlyQA-VLMEvalKit"),
    "mmmu": (IT.image_mcq.MMMUDataset, "MMMU_DEV_VAL"),
    "mmmu-cot": (IT.image_mcq.MMMUProDataset, "MMMU_Pro_10c_COT"),
    "yesno": (IT.image_yorn.ImageYORNDataset, "tiny"),
    "mme": (IT.image_yorn.ImageYORNDataset, "MME"),
    "pope": (IT.image_yorn.ImageYORNDataset, "POPE"),
    "hallusion": (IT.image_yorn.ImageYORNDataset, "HallusionBench"),
    "vsr": (IT.image_yorn.ImageYORNDataset, "VSR-zeroshot"),
    "amber": (IT.image_yorn.ImageYORNDataset, "AMBER"),
    "open": (IT.image_vqa.ImageVQADataset, "tiny"),
    "exact": (IT.image_vqa.ImageVQADataset, "OCRVQA_TESTCORE"),
    "gqa": (IT.image_vqa.ImageVQADataset, "GQA_TestDev_Balanced"),
    "textvqa": (IT.image_vqa.ImageVQADataset, "TextVQA_VAL"),
    "relaxed": (IT.image_vqa.ImageVQADataset, "ChartQA_TEST"),
    "anls": (IT.image_vqa.ImageVQADataset, "DocVQA_VAL"),
    "ocrbench": (IT.image_vqa.OCRBench, "OCRBench"),
    "videomme": (IT.videomme.VideoMME, "Video-MME"),
    "longvideobench": (IT.longvideobench.LongVideoBench, "LongVideoBench"),
    "mvbench": (IT.mvbench.MVBench, "MVBench"),
    "mlvu": (IT.mlvu.MLVU_MCQ, "MLVU_MCQ"),
    "tempcompass-mcq": (IT.tempcompass.TempCompass_MCQ, "TempCompass_MCQ"),
    "tempcompass-yesno": (IT.tempcompass.TempCompass_YorN, "TempCompass_YorN"),
}
OCR = ("Regular Text Recognition", "Key Information Extraction", "Handwritten Mathematical Expression Recognition")
# a row that every rule can read: it keeps each column of a small table a column of text
ANCHOR = {"question": "What is it?", "prediction": "one cat and no dog", "answer": "A", "split": "anchor"}


def frame(rows, path):
    """The rows as their own reader gives them, from the TSV at `path`."""
    import pandas as pd

    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return SUPPORT.load(str(path))


def evaluated(family, rows):
    """The verdicts of one `evaluate` over `rows`; raises what it raises."""
    kind, name = CLASSES[family]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model_{name}.tsv"
        data = frame(rows, path)
        dataset = object.__new__(kind)
        dataset.dataset_name, dataset.data = name, data
        metrics = dataset.evaluate(str(path), model="exact_matching")
        tables = {p.stem.removeprefix(f"model_{name}"): p for p in Path(folder).glob("*.tsv")}
        return verdicts(family, name, tables, metrics, data)


def verdicts(family, name, tables, metrics, data):
    def column(suffix, key):
        table = SUPPORT.load(str(tables[suffix]))
        by_index = dict(zip(table["index"], table[key], strict=True))
        return [by_index[index] for index in data["index"]]

    if family in ("mcq", "blink", "circular", "visonlyqa", "mmmu"):
        return column("_exact_matching_result", "hit")
    if family == "mmmu-cot":
        return column("_cotpost_exact_matching_result", "hit")
    if family in ("yesno", "mme", "pope", "hallusion", "vsr", "amber"):
        return column("_auxmatch", "score")
    if family == "ocrbench":
        return [float(metrics["Final Score"])] * len(data)  # asked row by row
    if family.startswith("tempcompass"):
        return column("_exact_matching_score", "score")
    if "_results" in tables:
        matches = [{"match": ast.literal_eval(match)} for match in column("_results", "eval_match")]
        return IT.vqa_eval.hit_calculate(matches, name)
    scores = column("_score", "score")
    # what MVBench counts is whether the score is anything but zero
    return [float(bool(score)) for score in scores] if family == "mvbench" else scores


def all_verdicts(family, rows):
    """Of one `evaluate` over all rows, or of as few as it takes to single out those on which it raises."""
    if family in ("mathvista", "mathvision"):
        return maths(family, rows)
    if family == "ocrbench" and len(rows) > 1:
        return [all_verdicts(family, [row])[0] for row in rows]
    if family != "hallusion":  # some write a row's score under its index, whatever its place
        rows = [{**row, "index": place} for place, row in enumerate(rows)]
    try:
        return list(evaluated(family, [*rows, anchor(rows)]))[:-1]
    except Exception as error:
        if len(rows) == 1:
            print(family, repr(error), file=sys.stderr)
            return ["stops"]
    lost = [row["prediction"] in ("", "None", "NA", "nan", "null") for row in rows]
    if any(lost) and not all(lost):
        good = iter(all_verdicts(family, [row for row, gone in zip(rows, lost, strict=True) if not gone]))
        return [all_verdicts(family, [row])[0] if gone else next(good) for row, gone in zip(rows, lost, strict=True)]
    half = len(rows) // 2
    return all_verdicts(family, rows[:half]) + all_verdicts(family, rows[half:])


def anchor(rows):
    """`ANCHOR` with the columns of `rows`."""
    last = {**rows[-1], **{key: value for key, value in ANCHOR.items() if key in rows[-1] or key == "prediction"}}
    for letter in set(string.ascii_uppercase) & set(last):
        last[letter] = f"text {letter}"
    index = rows[-1]["index"]
    last["index"] = index + 1 if isinstance(index, int) else f"{index}9"
    plain = {"candidates": "['A', 'B']", "correct_choice": 0}
    plain |= {"task_type": "multi-choice"} if last.get("task_type") == "caption_matching" else {}
    plain |= {"answer": "['zebra']"} if last.get("category") in OCR else {}
    return {**last, **{key: value for key, value in plain.items() if key in last}}


def maths(family, rows):
    """What `evaluate` does with each row, with a judge that is noticed when it is asked."""
    module, auxeval = {
        "mathvista": (IT.mathvista, IT.mathvista.MathVista_auxeval),
        "mathvision": (IT.mathv, IT.mathv.MATH_V_auxeval),
    }[family]
    with tempfile.TemporaryDirectory() as folder:
        table = frame([*rows, {**rows[-1], **ANCHOR}], Path(folder) / "model.tsv")
    found = []
    for place in range(len(rows)):
        line = table.iloc[place]
        try:
            line = {**line, "res": auxeval(NoJudge(), line)["res"]}
            found.append(float(module.post_check(line, prefetch=False)))
        except JudgeWantedError:
            # what no reply of a judge can make right is wrong already
            hopeless = family == "mathvista" and line["answer_type"] not in ("integer", "float")
            hopeless = hopeless and line["question_type"] != "multi_choice"
            tries = [{**line, "res": res} for res in (line["answer"], "None", "x")] if hopeless else []
            right = any(module.post_check(each, prefetch=False) for each in tries)
            found.append(float(right) if hopeless else None)
        except Exception:
            found.append("stops")
    return found


def plain(verdict):
    return verdict if verdict is None or isinstance(verdict, str) else float(verdict)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    # a family's name with "=" behind it: its table as it is, without a row that keeps its columns text
    said = {
        name: evaluated(name[:-1], rows) if name.endswith("=") else all_verdicts(name, rows)
        for name, rows in asked.items()
    }
    json.dump({name: [plain(verdict) for verdict in verdicts] for name, verdicts in said.items()}, OUT)
