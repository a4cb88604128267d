"""The README's pictures: launch the demo in a folder of its own, draw its state when two thirds are answered, and
photograph its report in a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vlmeval_mp import display
from vlmeval_mp.cli import report
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.runs.snapshot import Reader
from vlmeval_mp.runs.state import fold

WIDTH = 104
SHOT = (1280, 900)
"""Pixels of the report's picture."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
        return launch.returncode or photograph(paths)


def photograph(paths: RunPaths) -> int:
    """Make the report of the run and its picture; return 1 where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("picture: there is no Chromium to show the report (apt-get install chromium)")
        return 1
    page, target = report.make(paths), ROOT / "docs" / "report.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SHOT[0]},{SHOT[1]}"]
    command = [browser, *flags, "--virtual-time-budget=4000", f"--screenshot={target}", page.as_uri()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    print(f"picture: {target} ({target.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
