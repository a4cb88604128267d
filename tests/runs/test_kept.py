"""A run keeps its samples, so that its folder alone can be scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.builders import fake_run, worker_for
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import kept, snapshot, submit
from vlmeval_mp.runs.merge import dataset_of, info_of, merge


async def answered(tmp_path: Path) -> RunPaths:
    paths = fake_run(tmp_path, 5)
    await live(worker_for(paths, snapshot.read_record(paths)))
    return paths


async def test_a_copied_run_has_its_samples_without_the_store(tmp_path: Path) -> None:
    paths = await answered(tmp_path)
    job = snapshot.read_record(paths).jobs[0]
    expected = merge(paths, job)
    copy = RunPaths(tmp_path / "elsewhere" / "run")
    shutil.copytree(paths.root, copy.root)
    shutil.rmtree(JobsPaths(paths.root.parent).datasets)
    assert merge(copy, job) == expected
    assert len(expected[0]) == 5


async def test_a_run_without_its_samples_says_what_to_copy(tmp_path: Path) -> None:
    paths = await answered(tmp_path)
    job = snapshot.read_record(paths).jobs[0]
    copy = RunPaths(tmp_path / "elsewhere" / "run")
    shutil.copytree(paths.root, copy.root, ignore=shutil.ignore_patterns("datasets"))
    with pytest.raises(ConfigError, match=f"samples of numbers are not here: .*{job.folder}.*resume it once"):
        merge(copy, job)


async def test_an_old_run_keeps_its_samples_from_its_next_resume_on(tmp_path: Path) -> None:
    paths = await answered(tmp_path)
    record = snapshot.read_record(paths)
    shutil.rmtree(paths.datasets)
    assert kept.folder_of(paths, record.jobs[0]).parent == JobsPaths(paths.root.parent).datasets
    submit.check(paths, record)
    assert kept.folder_of(paths, record.jobs[0]).parent == paths.datasets


async def test_what_is_known_of_a_data_set_is_read_without_its_samples(tmp_path: Path) -> None:
    paths = await answered(tmp_path)
    job = snapshot.read_record(paths).jobs[0]
    info, folder = dataset_of(paths, job).info, kept.folder_of(paths, job)
    (folder / "samples.jsonl").write_bytes(b"broken")
    assert info_of(paths, job) == info
    (folder / "dataset.json").write_bytes(b"{")
    with pytest.raises(ConfigError, match=r"is no usable data set folder .*dataset\.json cannot be read"):
        info_of(paths, job)
