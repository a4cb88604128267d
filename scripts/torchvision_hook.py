"""Makes a CUDA build of torchvision importable beside a CPU build of torch; `scripts/install` puts it into the venv.

PyPI has no CPU build of torchvision. The CUDA build's C++ library does not load without CUDA, so the operators that
its Python part refers to at import do not exist and the import fails. They are only referred to, never called, by
image processing; declaring them, empty, is enough. A `.pth` file imports this module at every interpreter start
(vLLM's child processes too), so it costs nothing until something imports torchvision.
"""

import sys
from importlib.machinery import PathFinder

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class TorchvisionHook:
    """Waits on `sys.meta_path` for the first import of torchvision, prepares torch for it, and is gone."""

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.submodule_search_locations:
            declare_missing(spec.submodule_search_locations[0])
        return spec


def declare_missing(folder):
    """Declare the operators of the torchvision in `folder` if its own library cannot be loaded by a CPU torch."""
    from pathlib import Path

    import torch

    if torch.version.cuda is not None or torch.version.hip is not None:
        return
    try:
        for library in Path(folder).glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        # the library object must live as long as the process, or its declarations are withdrawn
        declare_missing.library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
                declare_missing.library.define(schema)


def install():
    if not any(isinstance(finder, TorchvisionHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionHook())


install()
