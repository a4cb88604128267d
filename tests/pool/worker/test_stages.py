"""A worker's stage is read out of what its engine writes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vlmeval_mp.pool.worker.stages import Stages, stage_of

VLLM = "(EngineCore pid=7) INFO 11-29 10:00:00 [gpu_model_runner.py:5040] "


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (VLLM + "Starting to load model /m...", "reading weights"),
        ("Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:02<00:03,  1.1it/s]", "reading weights 3/7"),
        ("Multi-thread loading pt checkpoint shards:  50%|████ | 1/2", "reading weights 1/2"),
        ("Loading weights:  43%|████      | 129/300 [00:01<00:02]", "reading weights 129/300"),
        (VLLM + "Loading weights took 3.21 seconds", ""),
        (VLLM + "Model loading took 4.1 GiB memory and 5.2 seconds", "measuring memory"),
        (VLLM + "Dynamo bytecode transform time: 4.1 s", "compiling"),
        (VLLM + "Compiling a graph for compile range (1, 2048) takes 20.1 s", "compiling"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  10%|█ | 5/51 [00:01", "capturing graphs 5/51"),
        (VLLM + "Graph capturing finished in 20 secs, took 0.51 GiB", "warming up"),
        (VLLM + "init engine (profile, create kv cache, warmup model) took 50.1 s", "warming up"),
        ("anything else 3/7", ""),
    ],
)
def test_what_an_engine_writes_names_the_stage(line: str, stage: str) -> None:
    assert stage_of(f"noise\n{line}\nmore noise\n") == stage


def test_a_progress_bar_that_writes_over_itself_is_read_at_its_last_state() -> None:
    bar = "\r".join(f"Loading safetensors checkpoint shards: {n}0% Completed | {n}/7 [" for n in range(6))
    assert stage_of(bar) == "reading weights 5/7"


def test_each_stage_has_its_seconds_and_an_earlier_start_in_the_log_counts_for_nothing(tmp_path: Path) -> None:
    log, clock = tmp_path / "w0.log", [0.0]
    log.write_text("Capturing CUDA graphs\n")
    stages = Stages(log, lambda: clock[0])
    stages.look()
    assert stages.stage == "importing"
    for seconds, line in ((2.0, "Starting to load model"), (5.0, "Loading weights: | 2/3"), (9.0, "Compiling a graph")):
        clock[0] = seconds
        with log.open("a") as file:
            file.write(line + "\n")
        stages.look()
    assert (stages.stage, stages.since) == ("compiling", 9.0)
    clock[0] = 19.0
    stages.end()
    assert (stages.stage, stages.seconds) == ("", {"importing": 2.0, "reading weights": 7.0, "compiling": 10.0})


def test_a_look_that_the_end_overtakes_begins_no_stage(tmp_path: Path) -> None:
    log, ending, begun = tmp_path / "w0.log", list[threading.Thread](), threading.Event()

    def now() -> float:
        if ending and not ending[0].ident:  # the look is under way
            ending[0].start()
            begun.wait()
            ending[0].join(0.2)
        return 0.0

    stages = Stages(log, now)
    log.write_text("Compiling a graph\n")
    ending.append(threading.Thread(target=lambda: (begun.set(), stages.end())))
    stages.look()
    ending[0].join()
    assert stages.stage == ""
