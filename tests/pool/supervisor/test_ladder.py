"""Out of memory: each step is smaller than the one before, and there is an end."""

import json

from vlmeval_mp.pool.supervisor.ladder import Ladder


def test_vllm_gets_half_the_window_then_smaller_batches_then_less_cache(tmp_path):
    ladder = Ladder(tmp_path / "a.jsonl", {"m": "vllm"}, {"m": 64})
    args = {"max_num_batched_tokens": 16384, "gpu_memory_utilization": 0.85}
    assert (ladder.window("m"), ladder.engine_args("m", args)) == (64, args)
    assert ladder.step("m", "OOM", args) == "32 samples in flight"
    second = ladder.step("m", "OOM", args)
    assert second == "16 samples in flight, max_num_batched_tokens 4096, max_num_seqs 16"
    assert "gpu_memory_utilization 0.75" in ladder.step("m", "OOM", args)
    assert ladder.step("m", "OOM", args) == ""
    kept = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(each["window"], each["why"]) for each in kept] == [(32, "OOM"), (16, "OOM"), (8, "OOM")]
    assert kept[2]["engine_args"]["gpu_memory_utilization"] == 0.75


def test_other_engines_get_smaller_windows_alone_and_one_is_the_least(tmp_path):
    ladder = Ladder(tmp_path / "a.jsonl", {"m": "transformers"}, {"m": 2})
    assert ladder.step("m", "OOM", {"dtype": "bfloat16"}) == "1 samples in flight"
    assert ladder.step("m", "OOM", {}) == ""
    assert ladder.engine_args("m", {"dtype": "bfloat16"}) == {"dtype": "bfloat16"}


def test_models_are_adjusted_by_themselves(tmp_path):
    ladder = Ladder(tmp_path / "a.jsonl", {"m": "fake", "n": "fake"}, {})
    ladder.step("m", "OOM", {})
    assert (ladder.window("m"), ladder.window("n")) == (32, 0)


def test_the_next_launch_goes_on_with_less_unless_it_is_told_otherwise(tmp_path):
    path, args = tmp_path / "a.jsonl", {"max_num_seqs": 128}
    first = Ladder(path, {"m": "vllm", "n": "vllm"}, {"m": 64})
    assert first.go_on("m", args) == ""
    first.step("m", "OOM", args)
    second_step = first.step("m", "OOM", args)
    with path.open("a") as file:
        file.write("torn")
    later = Ladder(path, {"m": "vllm", "n": "vllm"}, {"m": 64})
    assert later.go_on("m", args) == second_step
    assert later.go_on("n", args) == ""
    assert (later.window("m"), later.engine_args("m", args)["max_num_seqs"]) == (16, 16)
    assert "gpu_memory_utilization 0.8" in later.step("m", "OOM", args)
    told = Ladder(path, {"m": "vllm"}, {"m": 256})
    assert (told.go_on("m", args), told.window("m")) == ("", 256)


def test_a_cause_that_is_no_text_is_kept_all_the_same(tmp_path):
    path = tmp_path / "a.jsonl"
    assert Ladder(path, {"m": "fake"}, {"m": 4}).step("m", "OOM in \udcff", {}) == "2 samples in flight"
    assert json.loads(path.read_text())["why"] == "OOM in ?"
