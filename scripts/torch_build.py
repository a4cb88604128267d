"""Exit code 0 if pip, as configured, gives a CPU build of the torch named in argv[1]; `scripts/install` asks.

An installed torch counts. Run with the venv's Python: it uses the venv's pip and what pip brings along.
"""

import json
import subprocess
import sys

from pip._vendor.packaging.requirements import Requirement


def is_cpu_build(metadata):
    """Whether a torch with this core metadata runs without CUDA's libraries on this machine."""
    if metadata["version"].endswith("+cpu"):
        return True
    needed = map(Requirement, metadata.get("requires_dist", []))
    here = (r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""}))
    return not any(r.name.startswith(("nvidia", "cuda", "triton")) for r in here)


def main():
    plan = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--report", "-", sys.argv[1]]
    done = subprocess.run(plan, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode:
        return 1
    found = json.loads(done.stdout)["install"]
    return 0 if all(is_cpu_build(torch["metadata"]) for torch in found) else 1


if __name__ == "__main__":
    sys.exit(main())
