"""Measures prompts in a process of its own: engines print, import for seconds and change the process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vlmeval_mp.core import jsonfiles
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import Job, ModelSpec, RunSpec
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.devices.layout import Layout
from vlmeval_mp.pool.worker.task import Measurement, Task

SECONDS = 600.0
TAIL = 600
"""Characters of what a failed process said that are repeated."""


def measure(
    spec: RunSpec,
    model: ModelSpec,
    jobs: tuple[Job, ...],
    rows: dict[str, tuple[int, ...]],
    store: JobsPaths,
    fit: Layout,
) -> Measurement:
    """Return how long the prompts in `rows` of the model's `jobs` are, with the processor that its engine would use."""
    group = fit.groups_of(model.name)[0]
    task = Task(
        spec=spec,
        model=model.name,
        jobs=jobs,
        rows=rows,
        store=str(store.datasets),
        device=group.device,
        tensor_parallel=fit.tp[model.name],
        window=fit.windows.get(model.name, 0),
        engine_args=dict(fit.engine_args.get(model.name, model.engine_args)),
    )
    with tempfile.TemporaryDirectory(prefix="vlmeval-mp-plan-") as folder:
        return _run(task, Path(folder) / "measurement.json", group)


def _run(task: Task, out: Path, group: DeviceGroup) -> Measurement:
    # -P: a random.py or a folder vllm/ where the plan is asked for must not stand before the libraries
    command = [sys.executable, "-P", "-m", "vlmeval_mp.pool.worker.measuring", str(out)]
    env = gpus.worker_environment(os.environ, group)
    try:
        done = subprocess.run(
            command, input=jsonfiles.encode(task), env=env, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Measurement(error=f"measuring took longer than {SECONDS:.0f} s")
    if (found := jsonfiles.read_if_whole(out, Measurement)) is not None:
        return found
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-TAIL:]
    return Measurement(error=f"measuring ended with code {done.returncode}: {said}")
