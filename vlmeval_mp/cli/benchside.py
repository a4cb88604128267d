"""Asks a run's samples in one of vLLM's own ways and measures the time. `bench` starts this process.

`python -m vlmeval_mp.cli.benchside RUN SIDE OUT [flags of launch]` writes answers by sample and seconds to OUT.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import devices_of
from vlmeval_mp.core.paths import JobsPaths, RunPaths

SERIAL = 64
"""Samples that are asked one by one; more would only take longer."""


def main(words: list[str]) -> None:
    """Ask and leave."""
    parser = argparse.ArgumentParser()
    for name in ("run", "side", "out"):
        parser.add_argument(name, type=str if name == "side" else Path)
    flags.how(parser)
    kitflags.add_running(parser)
    arguments = parser.parse_args(words)
    from vlmeval_mp.datasets.store import Dataset
    from vlmeval_mp.pool.devices import gpus, layout
    from vlmeval_mp.pool.worker.asking import Asker
    from vlmeval_mp.pool.worker.assignment import Assignment
    from vlmeval_mp.runs import snapshot

    paths = RunPaths(arguments.run)
    record = snapshot.read_record(paths)
    (model,) = record.spec.models
    wanted = devices_of(arguments)
    laid_out = layout.lay_out(record.spec, wanted)
    group = laid_out.groups[0]
    os.environ.update(gpus.worker_environment(os.environ, group))
    os.environ.update(OMP_NUM_THREADS="1", VLLM_WORKER_MULTIPROC_METHOD="spawn")  # what is best for `LLM.chat`, too
    if group.cores:
        os.sched_setaffinity(0, group.cores)
    jobs = {job.name: job for job in record.jobs}
    store = JobsPaths(paths.root.parent).datasets
    datasets = {name: Dataset(store / job.folder) for name, job in jobs.items()}
    engine_args = laid_out.engine_args[model.name]
    assignment = Assignment(
        "bench",
        model.name,
        group.device,
        group.label,
        group.gpus,
        laid_out.tp[model.name],
        laid_out.windows[model.name],
        engine_args,
    )
    asker = Asker(record.spec, model, jobs, datasets, assignment)
    named = {
        f"{name} {sample.row}": asker.draft(job, sample)
        for name, job in jobs.items()
        for sample in datasets[name].samples(0, job.samples - 1)
        if not sample.error
    }
    if arguments.side == "one by one":
        named = dict(list(named.items())[:SERIAL])
    from vlmeval_mp.engines.vllm import offline

    answers, seconds = offline.time_side(arguments.side, asker.engine_spec, list(named.values()))
    found = {"answers": dict(zip(named, answers, strict=True)), "seconds": seconds}
    part = arguments.out.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(arguments.out)
    offline.leave()


if __name__ == "__main__":
    main(sys.argv[1:])
