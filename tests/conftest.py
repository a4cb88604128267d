"""What tests of several packages share."""

from __future__ import annotations

from pathlib import Path


def shared_data() -> Path:
    """The data pack beside the repository."""
    return Path(__file__).resolve().parent.parent.parent / "shared" / "data"
