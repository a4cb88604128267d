"""What tests of several packages share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

TESTS = Path(__file__).resolve().parent
SLOW = (
    "e2e", "faults", "parity", "core/test_records.py", "engines/test_transformers", "runs/test_checkpoint_machine.py",
    "exchange/test_workdir.py", "cli/test_plan.py", "demo/test_model.py", "scoring/test_aggregates.py",
    "datasets/test_videobenchmarks.py", "hostile/test_manifest.py", "extending", "scoring/test_records.py",
    "engines/test_renderpool.py",
)  # fmt: skip
"""Whole runs, real processes by the dozen, large tables; and whatever loads torch or vLLM when it is imported."""
LONG = (
    "e2e/test_real_samples.py", "e2e/test_launch.py", "e2e/test_demo.py", "engines/vllm", "e2e/test_endpoint.py",
    "engines/openai/test_served.py", "faults", "e2e", "vlmevalkit", "scoring/test_parity.py", "parity", "scripts",
)  # fmt: skip
"""Files that take longest, begun first, so that no process is left alone with one of them at the end. Those with vLLM,
which compute, and those that wait for processes of their own take turns."""
KIT = ("parity", "vlmevalkit", "engines/modelclass", "scoring/test_parity.py", "scoring/test_docs.py")
"""Where every test needs ms-vlmeval installed."""
VLLM = ("engines/vllm",)
"""Where every test needs vLLM installed."""


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of hundreds of processes compiles the package again
sys.dont_write_bytecode = False


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files of which the marker expression wants nothing: some load torch, for ten seconds."""
    if not collection_path.is_relative_to(TESTS):
        return None
    place = collection_path.relative_to(TESTS).as_posix()
    marked = {"slow": SLOW, "kit": KIT, "vllm": VLLM}
    unwanted = [places for mark, places in marked.items() if f"not {mark}" in config.option.markexpr]
    return True if any(place.startswith(places) for places in unwanted) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole folders, so that `scripts/test quick` can leave them out, and put the longest files first."""
    for item in items:
        place = item.path.relative_to(TESTS).as_posix()
        if place.startswith(SLOW):
            item.add_marker("slow")
        if place.startswith(VLLM):
            item.add_marker("vllm")
        if place.startswith(KIT) or "both" in getattr(item, "fixturenames", ()):
            item.add_marker("kit")
    items.sort(key=lambda item: _length(item.path.relative_to(TESTS).as_posix()))


def _length(place: str) -> int:
    """Return the first of `LONG` that a file belongs to, by its number."""
    return next((number for number, long in enumerate(LONG) if place.startswith(long)), len(LONG))


def shared_data() -> Path:
    """The data pack beside the repository."""
    return Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def shared_case(name: str) -> Path:
    """The folder of a fault that somebody met, beside the repository: small inputs, what was seen, what is expected."""
    return shared_data().parent / "cases" / name


@pytest.fixture
def closed_kit() -> Iterator[None]:
    """Leaves no opened VLMEvalKit behind for tests that import it as it is, nor the limit it sets in Pillow."""
    before, most = set(sys.modules), Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = most
    for name in [n for n in sys.modules if n.partition(".")[0] == "vlmeval" and n not in before]:
        del sys.modules[name]
