"""What tests of several packages share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image


def shared_data() -> Path:
    """The data pack beside the repository."""
    return Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture
def closed_kit() -> Iterator[None]:
    """Leaves no opened VLMEvalKit behind for tests that import it as it is, nor the limit it sets in Pillow."""
    before, most = set(sys.modules), Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = most
    for name in [n for n in sys.modules if n.partition(".")[0] == "vlmeval" and n not in before]:
        del sys.modules[name]
