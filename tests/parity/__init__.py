"""What ms-vlmeval itself makes of the files that we write, and files as it writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

THEIRS = Path(__file__).with_name("theirs.py")


def evaluated(asked: Sequence[Mapping[str, Any]], form: str, lmu_data: Path) -> list[dict[str, Any]]:
    """For each {class, dataset, file} the metrics that ms-vlmeval gives, by its flat names, or an error."""
    environ = {**os.environ, "PRED_FORMAT": form, "LMUData": str(lmu_data), "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [os.environ.get("VLMEVALKIT_PYTHON", sys.executable), str(THEIRS)],
        input="".join(json.dumps(each) + "\n" for each in asked),
        capture_output=True,
        text=True,
        env=environ,
        timeout=300,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(asked), done.stderr[-3000:]
    return lines
