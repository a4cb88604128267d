"""`scripts/smoke-gpus` finds what it looks for: real launches of the fake engine under an NVML of eight GPUs."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def smoke(folder: Path, gpus: int, latency: float, limit: int, *only: str) -> tuple[int, str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests/scripts/nvml_stub"),
        "STUB_GPUS": str(gpus),
        "STUB_HOST": secrets.token_hex(4),
    }
    env.pop("CUDA_VISIBLE_DEVICES", None)
    command = [
        sys.executable, str(ROOT / "scripts/smoke_gpus.py"), "--engine", "fake", "--jobs", str(folder),
        "--out", str(folder), "--data", "DigitsMCQ", "--seconds", "100", "--no-free", "--limit", str(limit),
        "--engine-args", f'{{"latency": {latency}, "child": true, "concurrency": 4}}', "--only", *only,
    ]  # fmt: skip
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_one_worker_is_pinned_to_each_of_eight_gpus(tmp_path):
    code, said = smoke(tmp_path, 8, 0.02, 260, "one")
    assert code == 0, said
    code, said = smoke(tmp_path, 8, 1.2, 260, "all")
    assert code == 0, said
    assert "w7: GPU 7" in said and "everything held" in said


@pytest.mark.slow
def test_one_worker_on_two_gpus_is_seen_on_both_and_ends_with_its_children(tmp_path):
    code, said = smoke(tmp_path, 2, 0.1, 60, "tp")
    assert code == 0, said
    assert "by NVML they held w0: GPU 0,1" in said


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [2, 3])
def test_models_on_one_and_on_two_gpus_take_turns_where_they_meet(tmp_path, gpus):
    code, said = smoke(tmp_path, gpus, 0.02, 60, "one", "mixed")
    assert code == 0, said
    assert "workers of each model had this many GPUs: {'demo': {1}, 'wide': {2}}" in said


@pytest.mark.slow
def test_a_worker_on_a_gpu_that_was_not_named_is_noticed(tmp_path, monkeypatch):
    """The script can fail: a worker that sees the wrong GPU, and one whose process holds two."""
    monkeypatch.setenv("STUB_WRONG", "1")
    code, said = smoke(tmp_path, 2, 0.1, 60, "one")
    assert code == 1, said
    assert "FAIL by NVML they held w0: GPU 0,1" in said
    assert "FAIL memory was taken on GPU 0,1 and no other" in said


@pytest.mark.slow
def test_on_one_gpu_the_checks_that_need_two_are_refused_and_the_others_run(tmp_path):
    code, said = smoke(tmp_path, 1, 0.5, 8, "forms")
    assert code == 0, said
    code, said = smoke(tmp_path, 1, 0.02, 8, "forms", "all")
    assert (code, "on one run --only one forms" in said) == (2, True), said
