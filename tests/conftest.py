"""What tests of several packages share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

TESTS = Path(__file__).resolve().parent
SLOW = (
    "e2e", "faults", "parity", "core/test_records.py", "engines/test_transformers.py", "engines/test_agreement.py",
    "demo/test_model.py", "scoring/test_aggregates.py", "datasets/test_videobenchmarks.py", "hostile/test_manifest.py",
)  # fmt: skip
KIT = ("parity", "vlmevalkit", "engines/modelclass", "scoring/test_parity.py", "scoring/test_docs.py")
"""Where every test needs ms-vlmeval installed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole folders, so that `scripts/test quick` can leave them out."""
    for item in items:
        place = item.path.relative_to(TESTS).as_posix()
        if place.startswith(SLOW):
            item.add_marker("slow")
        if place.startswith(KIT) or "both" in getattr(item, "fixturenames", ()):
            item.add_marker("kit")


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
