"""Windows and workers follow from the model's size and the memory there is, and say so."""

import pytest

from vlmeval_mp.pool.devices import sizing
from vlmeval_mp.pool.devices.sizing import GB
from vlmeval_mp.pool.devices.weights import Weights

TWO_B = Weights(2_200_000_000, 4_400_000_000, 4_400_000_000, "BF16", 28672)
EIGHT_B = Weights(8_300_000_000, 16_600_000_000, 16_600_000_000, "BF16", 57344)
SEVENTY_B = Weights(72_700_000_000, 145_400_000_000, 145_400_000_000, "BF16", 327680)
HOST = 200 * GB


def on_gpu(weights, total=80 * GB, used=0, host=HOST, **more):
    return sizing.on_gpu(weights, total, used, host, **({"tp": 1, "workers": 1, "default": 256} | more))


def test_a_small_model_on_a_big_gpu_has_the_engines_window_and_says_why():
    assert on_gpu(TWO_B).note == "window 256: 2.2 B parameters (4.4 GB bf16) on 80 GB"
    assert on_gpu(TWO_B).window == 256
    assert on_gpu(TWO_B).warning == ""


def test_what_the_kv_cache_does_not_hold_is_not_in_flight():
    found = on_gpu(EIGHT_B, total=24 * GB)
    assert found.window == int(1.1 * (0.9 * 24 * GB - 2 * GB - 16.6 * GB) / (2048 * 57344))
    assert 20 < found.window < 40
    assert found.note.endswith("on 24 GB; the KV cache holds no more")


def test_more_gpus_per_worker_hold_more():
    four, eight = on_gpu(SEVENTY_B, tp=4), on_gpu(SEVENTY_B, tp=8)
    assert four.window == 220
    assert four.note.startswith("window 220: 72.7 B parameters (145 GB bf16) on 4 x 80 GB; the KV cache holds")
    assert eight.window == 256


def test_gpus_that_are_not_needed_together_are_said_to_answer_more_apart():
    assert "one GPU holds that too: a worker on each" in on_gpu(EIGHT_B, tp=2).note
    assert "holds that too" not in on_gpu(EIGHT_B, tp=1).note
    assert "holds that too" not in on_gpu(SEVENTY_B, tp=4).note, "one GPU does not hold it"
    assert "holds that too" not in on_gpu(EIGHT_B, tp=2, total=24 * GB).note, "one GPU would hold a smaller window only"


@pytest.mark.parametrize(("tp", "advice"), [(1, "--tp 4 has 4 x 80 GB"), (2, "--tp 4 has 4 x 80 GB")])
def test_weights_that_cannot_fit_are_said_before_anything_starts(tp, advice):
    found = on_gpu(SEVENTY_B, tp=tp)
    cards = "2 x 80 GB" if tp == 2 else "80 GB"
    assert found.warning == f"needs about 145 GB in bf16, and {cards} cannot hold that beside its work; {advice}"
    assert found.note == ""


def test_weights_too_big_for_sixteen_gpus_get_no_false_advice():
    giant = Weights(10**12, 2 * 10**12, 2 * 10**12, "BF16")
    assert "no number of such GPUs up to 16" in on_gpu(giant).warning


def test_the_memory_of_the_host_bounds_the_window_of_all_workers_together():
    found = on_gpu(TWO_B, host=16 * GB, workers=8)
    assert found.window == int(0.5 * 16 * GB / 8 / 20e6)
    assert found.note.endswith("the host's memory holds no more pictures")


def test_memory_that_others_have_lowers_what_the_engine_is_told_to_take():
    found = on_gpu(TWO_B, used=30 * GB)
    assert found.utilization == 0.61
    assert "30 GB of it taken by others" in found.note
    assert on_gpu(TWO_B, used=GB).utilization is None
    assert on_gpu(TWO_B, used=30 * GB, utilization=0.5).utilization is None


def test_a_share_that_was_said_decides_what_fits():
    assert on_gpu(EIGHT_B, total=24 * GB, utilization=0.5).warning
    assert not on_gpu(EIGHT_B, total=24 * GB).warning


@pytest.mark.parametrize(
    ("weights", "dtype", "cpu", "size"),
    [
        (TWO_B, "", False, 4.4), (TWO_B, "", True, 8.8), (TWO_B, "bfloat16", True, 4.4),
        (Weights(10**9, 4 * 10**9, 4 * 10**9, "F32"), "", False, 2.0),
        (Weights(10**9, 4 * 10**9, 4 * 10**9, "F32"), "float32", False, 4.0),
        (Weights(10**9, 5 * 10**9, 10**9, "I32"), "", False, 5.0),
        (Weights(10**9, 5 * 10**9, 10**9, "I32"), "float32", False, 6.0),
    ],
)  # fmt: skip
def test_weights_take_what_the_engine_loads_them_as(weights, dtype, cpu, size):
    assert sizing.loaded(weights, dtype, cpu=cpu) == size * GB


def test_quantised_weights_claim_no_number_of_parameters():
    assert on_gpu(Weights(10**9, 5 * 10**9, 10**9, "I32")).note == "window 256: 5.0 GB of quantised weights on 80 GB"


def on_cpu(weights, host, cores=16, **more):
    return sizing.on_cpu(weights, host, cores, **({"asked": 0, "default": 256} | more))


@pytest.mark.parametrize(("host", "workers"), [(200, 4), (40, 3), (25, 2), (13, 1), (5, 1)])
def test_as_many_workers_as_the_memory_carries(host, workers):
    """One worker needs 8.8 GB of float32 weights and 3.5 GB."""
    assert on_cpu(TWO_B, host * GB).workers == workers


def test_one_worker_a_core_and_four_at_most():
    assert on_cpu(TWO_B, HOST, cores=2).workers == 2
    assert on_cpu(TWO_B, HOST, cores=64).workers == 4
    assert on_cpu(TWO_B, HOST, cores=64, asked=9).workers == 9


def test_the_cpu_says_what_it_chose():
    found = on_cpu(TWO_B, 40 * GB, cores=8)
    assert found.note == "window 25, 3 workers: 2.2 B parameters (8.8 GB float32) on 8 cores with 40 GB free"


def test_workers_that_do_not_fit_are_obeyed_and_warned_about():
    found = on_cpu(TWO_B, 20 * GB, asked=4)
    assert found.workers == 4
    need = "2.2 B parameters (8.8 GB float32) and the engine"
    assert found.warning.startswith(f"4 x 12 GB are needed ({need}), and 20 GB are free")
    assert "the host may end the worker" in on_cpu(EIGHT_B, 20 * GB).warning


def test_an_estimate_says_that_it_is_one():
    guess = Weights(2_200_000_000, 4_400_000_000, 4_400_000_000, "BF16", 28672, estimated=True)
    assert on_gpu(guess).note == "window 256: about 2.2 B parameters (4.4 GB bf16 by config.json) on 80 GB"
