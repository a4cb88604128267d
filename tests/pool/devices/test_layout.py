"""A launch's layout: what the flags say is kept to, the rest follows from the machine."""

from types import SimpleNamespace

import pytest

from vlmeval_mp.cli.main import parser
from vlmeval_mp.cli.wanted import devices_of
from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices import gpus, layout, memory
from vlmeval_mp.runs.submit import BUNDLED_MODELS

GB = 10**9
DEMO = str(BUNDLED_MODELS["demo"])


def spec(engine="vllm", path=DEMO, **config):
    return build(config, Overrides(models=(path,), data=("d",), engine=engine), name="r", default_engine="vllm")


def fit(spec, *words):
    return layout.lay_out(spec, devices_of(parser(["launch"]).parse_args(["launch", *words])))


@pytest.fixture
def two_gpus(monkeypatch):
    found = [GpuStats(f"GPU-{n}", n, "H100", n * 30 * GB, 80 * GB, 0) for n in range(2)]
    monkeypatch.setattr(gpus, "discover", lambda: found)
    monkeypatch.setattr(memory, "free_memory", lambda: 100 * GB)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_on_gpus_the_fullest_decides_for_all(two_gpus):
    found = fit(spec())
    assert [g.label for g in found.groups] == ["GPU 0", "GPU 1"]
    assert found.windows == {"model": 1024}
    assert found.engine_args["model"]["gpu_memory_utilization"] == 0.61
    ((level, text),) = found.notes
    assert level == "info"
    assert text.startswith("model: window 1024: 1.5 M parameters (2.9 MB bf16) on 80 GB, 30 GB of it taken by others")


def test_render_processes_follow_from_the_cores_of_each_worker_or_are_as_asked(two_gpus, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    assert fit(spec()).render_processes == 6
    assert fit(spec(), "--gpus", "0").render_processes == 8
    assert fit(spec(), "--render-processes", "3").render_processes == 3
    assert fit(spec(), "--render-processes", "0").render_processes == 0
    assert fit(spec(), "--render-processes", "auto").render_processes == 6
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert fit(spec(), "--device", "cpu", "--max-workers", "1").render_processes == 0


def test_a_gpu_that_nobody_uses_gets_no_share_said(two_gpus):
    assert fit(spec(), "--gpus", "0").engine_args["model"] == {}


def test_what_is_said_wins_and_nothing_is_noted(two_gpus):
    found = fit(spec(), "--batch-size", "7", "--max-workers", "1")
    assert (found.windows["model"], len(found.groups), found.notes) == (7, 1, ())
    assert fit(spec(batch_size=9)).windows["model"] == 9
    assert fit(spec(batch_size=9), "--batch-size", "auto").windows["model"] == 1024
    assert fit(spec(), "--no-parallel").windows["model"] == 1


def test_weights_that_do_not_fit_are_a_warning_whatever_the_window(two_gpus, tmp_path):
    from tests.pool.devices.test_weights import safetensors

    safetensors(tmp_path / "m.safetensors", w=("BF16", [10**6, 72_700]))
    for words in ((), ("--batch-size", "7")):
        ((level, text),) = fit(spec(path=str(tmp_path)), *words).notes
        assert level == "warning"
        assert "needs about 145 GB in bf16, and 80 GB cannot hold that" in text


def test_on_the_cpu_the_memory_decides_how_many_workers(monkeypatch, tmp_path):
    from tests.pool.devices.test_weights import safetensors

    safetensors(tmp_path / "m.safetensors", w=("BF16", [10**6, 2_200]))
    monkeypatch.setattr(memory, "free_memory", lambda: 13 * GB)
    found = fit(spec(path=str(tmp_path)), "--device", "cpu")
    assert len(found.groups) == 1
    assert found.notes[0][1].split(": ", 1)[1].startswith("window 17, 1 worker: 2.2 B parameters (8.8 GB float32) on ")


def test_an_unknown_size_leaves_window_and_workers_as_they_were(two_gpus):
    found = fit(spec(path="nobody/knows"))
    assert (found.windows, found.notes) == ({"knows": 0}, ())


def test_an_api_needs_no_gpu_and_one_worker(two_gpus):
    found = fit(spec("openai", "m"), "--api-nproc", "7", "--retry", "3")
    assert [g.device for g in found.groups] == ["cpu"]
    assert (found.windows, found.engine_args) == ({"m": 7}, {"m": {"max_retries": 3}})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--tp", "0"], ConfigError),
        (["--gpus", "0", "--device", "cpu"], ConfigError),
        (["--tp", "3"], ConfigError),
        (["--gpus", "5"], ConfigError),
    ],
)
def test_flags_that_cannot_be_are_refused(two_gpus, words, error):
    with pytest.raises(error):
        fit(spec(), *words)


def mixed(**sizes):
    models = {m: {"path": DEMO, "engine_args": {"tensor_parallel_size": n} if n else {}} for m, n in sizes.items()}
    return build({"model": models}, Overrides(data=("d",), engine="vllm"), name="r", default_engine="vllm")


def test_models_of_one_run_may_want_different_numbers_of_gpus(two_gpus):
    found = fit(mixed(small=0, large=2))
    assert found.tp == {"small": 1, "large": 2}
    assert [g.label for g in found.groups] == ["GPU 0", "GPU 1", "GPU 0,1"]
    assert [g.label for g in found.groups_of("small")] == ["GPU 0", "GPU 1"]
    assert [g.label for g in found.groups_of("large")] == ["GPU 0,1"]
    assert found.workers == 2
    assert all("tensor_parallel_size" not in args for args in found.engine_args.values()), "workers are told by --tp"


def test_the_flag_says_it_for_all_models(two_gpus):
    found = fit(mixed(small=0, large=2), "--tp", "1")
    assert found.tp == {"small": 1, "large": 1}
    assert [g.label for g in found.groups] == ["GPU 0", "GPU 1"]


@pytest.mark.parametrize(
    ("sizes", "words", "message"),
    [
        ({"m": 3}, [], "model m: tensor_parallel_size 3 needs 3 GPUs; 2 are given"),
        ({"m": 0}, ["--tp", "3"], "--tp 3 needs 3 GPUs; 2 are given"),
        ({"m": "2"}, [], "model m: engine_args.tensor_parallel_size: must be a whole number of at least 1, not '2'"),
        ({"m": True}, [], "must be a whole number of at least 1, not True"),
        ({"m": -1}, [], "must be a whole number of at least 1, not -1"),
        ({"m": 0}, ["--tp", "0"], "--tp: must be a whole number of at least 1, not 0"),
    ],
)
def test_numbers_of_gpus_that_cannot_be_are_refused(two_gpus, sizes, words, message):
    with pytest.raises(ConfigError) as caught:
        fit(mixed(**sizes), *words)
    assert message in str(caught.value)


def test_gpus_that_no_model_would_use_are_refused(monkeypatch, two_gpus):
    monkeypatch.setattr(gpus, "discover", lambda: [GpuStats(f"GPU-{n}", n, "H100", 0, 80 * GB, 0) for n in range(3)])
    with pytest.raises(ConfigError, match="model m: tensor_parallel_size 2 needs a multiple of 2 GPUs; 3 are given"):
        fit(mixed(m=2))
    assert [g.label for g in fit(mixed(m=2, n=1)).groups] == ["GPU 0", "GPU 1", "GPU 2", "GPU 0,1"]


@pytest.mark.parametrize("share", ["0.8", 0, 80, True])
def test_a_share_of_a_gpu_that_is_none_is_refused_before_a_worker_starts(two_gpus, share):
    with pytest.raises(ConfigError, match=r"model: engine_args\.gpu_memory_utilization: must be a number above 0"):
        fit(spec(engine_args={"gpu_memory_utilization": share}))


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(gpus, "discover", list)
    with pytest.raises(DependencyError):
        fit(spec(), "--device", "cuda")


def test_free_memory_is_the_systems_within_the_containers_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=64_000_000_000))
    assert memory.free_memory(tmp_path) == 64_000_000_000
    for name, text in (("max", "max"), ("current", "3000000"), ("stat", "anon 2\ninactive_file 1000000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.free_memory(tmp_path) == 64_000_000_000
    (tmp_path / "memory.max").write_text("8000000")
    assert memory.free_memory(tmp_path) == 6_000_000
