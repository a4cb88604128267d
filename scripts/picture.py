"""The README's picture: launch the demo in a folder of its own, and draw its state when two thirds are answered."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vlmeval_mp import display
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.runs.snapshot import Reader
from vlmeval_mp.runs.state import fold

WIDTH = 104


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        paths = JobsPaths(Path(name)).run("demo")
        command = [sys.executable, "-m", "vlmeval_mp.cli", "launch", "jobs/demo.json", "--jobs", name, "--plain"]
        launch = subprocess.Popen([*command, *sys.argv[1:]], cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        picture = ""
        while launch.poll() is None:
            time.sleep(0.2)
            state = fold(Reader(paths).read(), time.time()) if paths.record.exists() else None
            if state and state.done >= 2 * state.total / 3 and not picture:
                picture = display.svg(state, WIDTH)
        if not picture:
            print("picture: the run ended before two thirds were seen")
            return launch.returncode or 1
        target = ROOT / "docs" / "live.svg"
        target.parent.mkdir(exist_ok=True)
        target.write_text(picture)
        print(f"picture: {target} ({len(picture):,} bytes)")
        return launch.returncode


if __name__ == "__main__":
    sys.exit(main())
