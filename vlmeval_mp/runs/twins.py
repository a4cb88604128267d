"""Samples that a second worker asks once more while their first worker still waits for the answer.

    queue/twins/<job>.<row>         somebody asks this sample a second time; created once, so there is never a third
    queue/twins/<job>.<row>.json    the answer, for the worker that holds the sample

Only the worker that holds a sample records its outcome, also if the other engine answered first. So a sample has one
line in one checkpoint, and losing any of these files costs only time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Set
from pathlib import Path

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.records import Prediction

log = logging.getLogger(__name__)

Key = tuple[str, int]
"""A job's name and a row of it."""


class TwinFiles:
    """The files in `folder`, which exists from the first twin on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, job: str, row: int) -> bool:
        """Return whether this call was the first for that sample; where it cannot be known, it was not."""
        try:
            self._folder.mkdir(exist_ok=True)
            self._marker(job, row).touch(exist_ok=False)
        except OSError:
            return False
        return True

    def publish(self, job: str, prediction: Prediction) -> None:
        """Leave an answer to the worker that holds its sample; a full disk costs a warning only."""
        try:
            files.atomic_write(self._answer(job, prediction.row), jsonfiles.encode(prediction), durable=False)
        except StorageError as error:
            log.warning("%s", error)

    def answered(self) -> Set[Key]:
        """Return the samples whose answers are there."""
        found = set()
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                job, _, row = path.name.removesuffix(".json").rpartition(".")
                if path.suffix == ".json" and row.isdigit():
                    found.add((job, int(row)))
        return found

    def take(self, job: str, row: int) -> Prediction | None:
        """Return the answer to a sample and forget it; None if there is none that can be read."""
        found = jsonfiles.read_if_whole(self._answer(job, row), Prediction)
        with contextlib.suppress(OSError):
            self._answer(job, row).unlink()
        return found if found is not None and found.row == row and found.error is None else None

    def _marker(self, job: str, row: int) -> Path:
        return self._folder / f"{job}.{row}"

    def _answer(self, job: str, row: int) -> Path:
        return self._folder / f"{job}.{row}.json"
