"""ms-vlmeval's own `evaluate` on a prediction file: one JSON object per line in, what it gives in one line out.

Run by a Python that has `vlmeval`; no package `__init__` runs, and what only some data sets import is stood in for
while importing. The file is read by vlmeval's own reader, damage included.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import types
from pathlib import Path

ROOT = Path(importlib.util.find_spec("vlmeval").submodule_search_locations[0])
HEAVY = (
    "cv2", "datasets", "decord", "imageio", "jieba", "joblib", "math_verify", "nltk", "openai", "pylatexenc", "rouge",
    "scipy", "sklearn", "torch", "torchvision", "transformers",
)  # fmt: skip


class Stub(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        child = type(name, (), {"__init__": lambda self, *a, **k: None})
        setattr(self, name, child)
        return child


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in HEAVY else None

    def create_module(self, spec):
        module = Stub(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


def light_import():
    package = types.ModuleType("vlmeval")
    package.__path__ = [str(ROOT)]
    sys.modules["vlmeval"] = package
    for name in ("vlmeval.api", "vlmeval.vlm"):
        sys.modules[name] = Stub(name)
        sys.modules[name].__path__ = []
    finder = Finder()
    sys.meta_path.insert(0, finder)  # before the real ones: torch would cost ten seconds
    try:
        return importlib.import_module("vlmeval.dataset")
    finally:
        sys.meta_path.remove(finder)


class Idle:
    """A judge that works and is never asked, as where every reply is read by rule."""

    def working(self):
        return True

    def generate(self, *_, **__):
        raise AssertionError("the judge is asked")


def evaluate(module, kind, dataset, file, meta=None, converted=None, judged=False):
    from vlmeval.smp import load
    from vlmeval.smp.file import copy_prediction_file
    from vlmeval.smp.status_report import flatten_summary_metrics

    if converted:  # what --reuse does with a file of another PRED_FORMAT
        assert copy_prediction_file(file, converted)
        file = converted
    built = object.__new__(getattr(module, kind))
    built.dataset_name = dataset
    built.data = load(meta or file)
    if judged:
        sys.modules[type(built).__module__].build_judge = lambda **_: Idle()
    found = built.evaluate(file, model="exact_matching", nproc=2, verbose=False)
    return flatten_summary_metrics(found)


def report(root, model, dataset, indices):
    """What `--reuse` takes of a tree, whether it takes it for complete, and the row of `run.py`'s last table."""
    from vlmeval.smp.file import is_prediction_complete, select_reuse_run
    from vlmeval.smp.status_report import collect_run_benchmark_report

    wanted = f"{root}/T99990101-000000/{model}_{dataset}.xlsx"
    found = select_reuse_run(root, "T99990101-000000", model, dataset, wanted, set())
    row = next(r for r in collect_run_benchmark_report(found["run_dir"]) if r["benchmark"] == dataset)
    complete = [is_prediction_complete(found["prediction_file"], indices, retry_failed=r) for r in (True, False)]
    return {"file": found["prediction_file"], "complete": complete, "row": row}


def main():
    out, sys.stdout = sys.stdout, sys.stderr
    module = light_import()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "root" in asked:
                said = report(*(asked[key] for key in ("root", "model", "dataset", "indices")))
            else:
                given = (asked.get(key) for key in ("class", "dataset", "file", "meta", "as", "judged"))
                said = {"metrics": evaluate(module, *given)}
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
