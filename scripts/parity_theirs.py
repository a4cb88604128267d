"""Verdicts of ms-vlmeval 0.0.20's own functions: JSONL rows in on stdin, one JSON list of verdicts out.

Runs in the light venv of scripts/parity. An empty package object keeps vlmeval's heavy __init__ files from running.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path

ROOT = Path(importlib.util.find_spec("vlmeval").submodule_search_locations[0])
for name in ("vlmeval", "vlmeval.utils", "vlmeval.dataset", "vlmeval.dataset.utils"):
    package = types.ModuleType(name)
    package.__path__ = [str(ROOT.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = package

out, sys.stdout = sys.stdout, sys.stderr
can_infer = importlib.import_module("vlmeval.utils.matching_util").can_infer
yorn = importlib.import_module("vlmeval.dataset.utils.yorn")
vqa = importlib.import_module("vlmeval.dataset.utils.vqa_eval")


def function(module, name):
    """One function of a module whose imports need torch."""
    import ast
    import re

    tree = ast.parse((ROOT / "dataset" / "utils" / f"{module}.py").read_text())
    body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    space = {"re": re}
    exec(compile(ast.Module(body, []), module, "exec"), space)
    return space[name]


LETTER = {m: function(m, "extract_characters_regex") for m in ("videomme", "longvideobench")}
tempcompass = function("tempcompass", "eval_rule_YorN")
METHOD = {"relaxed": ("relaxed_accuracy", "ChartQA"), "anls": ("anls", "DocVQA"), "exact": ("accuracy", "OCRVQA")}


def verdict(family, answer, prediction, options):
    if family == "mcq":
        return float((can_infer(prediction, dict(options)) or "Z") == answer)
    if family == "mmmu":
        options = options if "A" in options else {"A": answer, "B": "Other Answers"}
        gold = answer if len(answer) == 1 and answer.isupper() else "A"
        return float((can_infer(prediction, dict(options)) or "Z") == gold)
    if family == "yesno":
        return float(yorn.YOrN_Extraction(prediction) == answer)
    if family in METHOD:
        method, name = METHOD[family]
        row = vqa.process_line({"answer": answer, "prediction": prediction}, method=method)
        return float(vqa.hit_calculate([row], name)[0])
    if family in LETTER:
        return float(LETTER[family](prediction) == answer)
    return float(tempcompass(prediction) == answer)


json.dump([verdict(*json.loads(line)) for line in sys.stdin], out)
