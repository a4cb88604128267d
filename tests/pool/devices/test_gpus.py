"""Devices are chosen by id, grouped for tensor parallelism, and reach a worker through its environment only."""

import os
import py_compile
import subprocess
import sys
from types import SimpleNamespace

import pytest

from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.core.records import GpuStats
from vlmeval_mp.pool.devices import gpus

FOUND = [GpuStats(f"GPU-{c * 8}", i, "NVIDIA H200", 1 << 30, 141 << 30, 0) for i, c in enumerate("abcd")]


@pytest.mark.parametrize(
    ("wanted", "environ", "chosen"),
    [
        ("all", {}, ["0", "1", "2", "3"]),
        ("all", {"CUDA_VISIBLE_DEVICES": "2,3"}, ["2", "3"]),
        ("all", {"CUDA_VISIBLE_DEVICES": "GPU-bbbbbbbb"}, ["1"]),
        # indices count within an outer mask, which is read as CUDA reads it: up to the first id that is none
        ("0,1", {"CUDA_VISIBLE_DEVICES": "2,3"}, ["2", "3"]),
        ("1", {"CUDA_VISIBLE_DEVICES": "3,GPU-bbbbbbbb"}, ["1"]),
        ("all", {"CUDA_VISIBLE_DEVICES": "0,1,-1,2"}, ["0", "1"]),
        ("all", {"CUDA_VISIBLE_DEVICES": "0,1,99,2"}, ["0", "1"]),
        ("GPU-bbbbbbbb", {"CUDA_VISIBLE_DEVICES": "1,2"}, ["1"]),
        ("3,1", {}, ["3", "1"]),
        ("GPU-cccccccc", {}, ["2"]),
        ("GPU-c", {}, ["2"]),
        ("MIG-11111111-2222", {}, ["MIG-11111111-2222"]),
    ],
)
def test_ids_of_every_form_are_understood(wanted, environ, chosen):
    assert gpus.select(wanted, FOUND, environ) == chosen


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("7", r"there is no GPU 7; this host has 0 \(NVIDIA H200\)"),
        ("1,1", "GPU 1 is given twice"),
        ("1,GPU-bbbbbbbb", "GPU 1 is given twice"),
        ("GPU-x", "no index, UUID or MIG id"),
        (",", "no GPU is named"),
    ],
)
def test_a_wrong_id_says_what_there_is(wanted, message):
    with pytest.raises(ConfigError, match=message):
        gpus.select(wanted, FOUND, {})


@pytest.mark.parametrize(
    ("wanted", "mask", "message"),
    [
        ("2", "2,3", "no GPU 2 within CUDA_VISIBLE_DEVICES, which allows 2, 3; indices count within it"),
        ("GPU-aaaaaaaa", "2,3", "GPU GPU-aaaaaaaa is outside of CUDA_VISIBLE_DEVICES, which allows 2, 3"),
        ("all", "-1", "CUDA_VISIBLE_DEVICES='-1' allows no GPU"),
        ("all", "1,1", "CUDA_VISIBLE_DEVICES='1,1' allows no GPU"),
        ("all", "", "CUDA_VISIBLE_DEVICES='' allows no GPU"),
    ],
)
def test_what_an_outer_mask_does_not_allow_is_refused_by_its_name(wanted, mask, message):
    with pytest.raises(ConfigError, match=message):
        gpus.select(wanted, FOUND, {"CUDA_VISIBLE_DEVICES": mask})


def test_gpus_are_grouped_by_tensor_parallel_size_and_pinned_by_environment():
    groups = gpus.gpu_groups(["0", "1", "2", "3"], 2, FOUND)
    assert [g.env["CUDA_VISIBLE_DEVICES"] for g in groups] == ["0,1", "2,3"]
    assert groups[1].gpus == ("GPU-cccccccc", "GPU-dddddddd")
    assert groups[0].env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_gpus_that_do_not_fill_a_group_are_in_none():
    (group,) = gpus.gpu_groups(["0", "1", "2"], 2, FOUND)
    assert group.label == "GPU 0,1"
    assert gpus.gpu_groups(["0"], 2, FOUND) == []


def test_groups_meet_where_they_share_a_gpu_and_serve_models_of_their_size():
    (both,), (first, second) = gpus.gpu_groups(["0", "1"], 2, FOUND), gpus.gpu_groups(["0", "1"], 1, FOUND)
    assert both.meets(first) and second.meets(both) and not first.meets(second)
    assert both.serves(2) and not both.serves(1) and first.serves(1)
    (core, other) = gpus.cpu_groups(2, [0, 1])
    assert core.serves(1) and core.serves(2) and not core.meets(other)


def test_a_gpu_of_two_groups_is_held_once(monkeypatch, tmp_path):
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    groups = gpus.gpu_groups(["0", "1"], 1, FOUND) + gpus.gpu_groups(["0", "1"], 2, FOUND)
    held = gpus.hold(groups, "run r (pid 1)")
    assert len(held) == 2
    with pytest.raises(ConfigError, match=r"GPU GPU-aaaaaaaa is in use by run r \(pid 1\)"):
        gpus.hold(groups[:1], "run s (pid 2)")
    for lock in held:
        lock.release()


def test_cores_are_divided_and_shared_when_there_are_more_workers():
    assert [g.cores for g in gpus.cpu_groups(2, [0, 1, 2, 3, 4])] == [(0, 2, 4), (1, 3)]
    assert [g.cores for g in gpus.cpu_groups(4, [0, 1])] == [(0,), (1,), (0,), (1,)]
    assert len(gpus.cpu_groups(0, list(range(64)))) == 4
    assert gpus.cpu_groups(1, [3])[0].env["VLLM_CPU_OMP_THREADS_BIND"] == "3"
    assert gpus.cpu_groups(1, [3, 4, 5])[0].env["VLLM_CPU_OMP_THREADS_BIND"] == "4,5"  # one core feeds them


def test_a_worker_never_sees_torchruns_variables():
    outer = {"RANK": "0", "WORLD_SIZE": "8", "MASTER_ADDR": "x", "TORCHELASTIC_RUN_ID": "y", "PATH": "/bin"}
    env = gpus.worker_environment(outer, gpus.cpu_groups(1, [0])[0])
    assert env["PATH"] == "/bin"
    assert not env.keys() & (outer.keys() - {"PATH"})


def test_a_worker_on_a_gpu_has_one_openmp_thread_unless_the_user_chose():
    (group,) = gpus.gpu_groups(["0"], 1, FOUND)
    assert gpus.worker_environment({"PATH": "/bin"}, group)["OMP_NUM_THREADS"] == "1"
    assert gpus.worker_environment({"OMP_NUM_THREADS": "6"}, group)["OMP_NUM_THREADS"] == "6"
    assert gpus.worker_environment({"CUDA_VISIBLE_DEVICES": "5"}, group)["CUDA_VISIBLE_DEVICES"] == "0"
    (shared,) = gpus.cpu_groups(1, [0, 1, 2])
    assert gpus.worker_environment({"OMP_NUM_THREADS": "6"}, shared)["OMP_NUM_THREADS"] == "3"


def test_bytecode_that_is_there_is_used_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "large_library.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(gpus, "LARGE_LIBRARIES", ("no_such_library", "large_library"))
    outer = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    (group,) = gpus.cpu_groups(1, [0])
    prefix = f"{tmp_path}/.cache/vlmeval-mp/bytecode"
    assert gpus.worker_environment(outer, group)["PYTHONPYCACHEPREFIX"] == prefix
    py_compile.compile(str(tmp_path / "large_library.py"))
    assert "PYTHONPYCACHEPREFIX" not in gpus.worker_environment(outer, group)


def test_a_worker_that_may_not_write_bytecode_beside_the_sources_keeps_it_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "LARGE_LIBRARIES", ())
    (group,) = gpus.cpu_groups(1, [0])
    outer = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path)}
    assert "PYTHONPYCACHEPREFIX" not in gpus.worker_environment(outer, group)
    outer["PYTHONDONTWRITEBYTECODE"] = "1"
    env = gpus.worker_environment(outer, group)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "library.py").write_text("")
    subprocess.run([sys.executable, "-c", "import library"], env=env, cwd=tmp_path / "lib", check=True)
    assert [p.name for p in (tmp_path / "lib").iterdir()] == ["library.py"]
    assert list((tmp_path / "vlmeval-mp" / "bytecode").rglob("library.*.pyc"))
    theirs = gpus.worker_environment(outer | {"PYTHONPYCACHEPREFIX": "/theirs"}, group)
    assert (theirs["PYTHONPYCACHEPREFIX"], theirs["PYTHONDONTWRITEBYTECODE"]) == ("/theirs", "1")


def test_a_host_without_gpus_says_so():
    with pytest.raises(DependencyError, match="use --device cpu"):
        gpus.require_gpus([])


def test_a_gpu_is_held_by_one_launch_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    groups = gpus.gpu_groups(["0"], 1, FOUND)
    held = gpus.hold(groups, "run a (pid 1)")
    with pytest.raises(ConfigError, match=r"GPU GPU-aaaaaaaa is in use by run a \(pid 1\)"):
        gpus.hold(groups, "run b (pid 2)")
    held[0].release()
    gpus.hold(groups, "run b (pid 2)")[0].release()


def test_memory_counts_as_back_within_half_a_gibibyte_of_before():
    group = gpus.gpu_groups(["0"], 1, FOUND)[0]
    before = {"GPU-aaaaaaaa": 1 << 30}
    busy = [GpuStats("GPU-aaaaaaaa", 0, "x", 60 << 30, 141 << 30, 0)]
    assert gpus.memory_is_back(group, before, FOUND)
    assert not gpus.memory_is_back(group, before, busy)


def test_a_meter_opens_nvml_once_for_all_its_readings(monkeypatch):
    calls = []
    nvml = SimpleNamespace(
        nvmlInit=lambda: calls.append("init"),
        nvmlShutdown=lambda: calls.append("shutdown"),
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=1, total=2),
        nvmlDeviceGetUUID=lambda handle: b"GPU-a",
        nvmlDeviceGetName=lambda handle: "H100",
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=3),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = gpus.GpuMeter()
    assert [meter.read() for _ in range(3)] == [[GpuStats("GPU-a", 0, "H100", 1, 2, 3)]] * 3
    assert calls == ["init"]
    meter.close()
    assert calls == ["init", "shutdown"]


def test_devices_that_are_alike_have_one_name() -> None:
    found = [GpuStats(f"GPU-{n}", n, "NVIDIA H200", 0, 1, 0) for n in range(2)]
    one, two = gpus.gpu_groups(["0", "1"], 1, found)
    assert gpus.kind(one, found) == gpus.kind(two, found) == "NVIDIA H200"
    first, second = gpus.cpu_groups(2, [0, 1])
    assert gpus.kind(first, []) == gpus.kind(second, [])
    assert gpus.kind(first, []).endswith(", 1 core")
