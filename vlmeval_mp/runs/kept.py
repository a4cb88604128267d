"""A copy of the samples in the run's own folder, so that the folder can be scored on another machine.

Owns `<run>/datasets/`. It holds the texts and right answers of the samples, which scoring needs; pictures and videos
stay in the store that runs share. The copies are hard links where the file system has them, and then cost nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from vlmeval_mp.core.errors import ConfigError, StorageError
from vlmeval_mp.core.files import temporary
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import Job

FILES = ("dataset.json", "samples.jsonl")
"""The files of a data set's folder that are kept. The last one is copied last, and shows that the copy is whole."""


def keep(paths: RunPaths, folders: Iterable[Path]) -> None:
    """Copy the samples of each data set folder into the run at `paths`, unless they are there.

    Raises:
        StorageError: they could not be written.
    """
    for folder in folders:
        target = paths.datasets / folder.name
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                _link(folder / name, target / name)
        except OSError as error:
            raise StorageError(f"cannot keep {folder.name} in {target}: {error.strerror or error}") from error


def _link(source: Path, target: Path) -> None:
    """Make `target` appear whole, as a link to `source` or else a copy; one that is there stays."""
    if target.exists():
        return
    building = temporary(target)
    try:
        os.link(source, building)
    except OSError:
        shutil.copyfile(source, building)
    building.replace(target)


def folder_of(paths: RunPaths, job: Job) -> Path:
    """Return the folder with the samples of `job`.

    Raises:
        ConfigError: there is none; says how to get it.
    """
    places = places_of(paths, job)
    if not places:
        raise ConfigError(
            f"the samples of {job.dataset} are not here: neither {paths.datasets / job.folder} nor "
            f"{JobsPaths(paths.root.parent).datasets / job.folder} exists. A run that an earlier version made keeps no "
            "copy of them: resume it once where it was made and copy it again, or copy the second folder, too"
        )
    return places[0]


def places_of(paths: RunPaths, job: Job) -> list[Path]:
    """Return the folders that may have the samples or media of `job`: the run's own, then the shared store's."""
    own, shared = paths.datasets / job.folder, JobsPaths(paths.root.parent).datasets / job.folder
    return [folder for folder in (own, shared) if (folder / FILES[-1]).exists()]
