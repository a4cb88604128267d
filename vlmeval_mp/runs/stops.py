"""Jobs that ended early because their score is known well enough: `queue/stopped/<job>.json`, written once.

The file decides: rows behind `Stop.asked` are not asked any more, and do not count, though some may have been answered
while the decision was made; their answers stay in the checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from vlmeval_mp.core import files, jsonfiles
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Job, Shard, Stop

ADVICE = "delete it and launch again to have the end of the job decided again"


def publish(paths: RunPaths, job: str, stop: Stop) -> None:
    """End `job` here; what was decided before stays.

    Raises:
        StorageError: the file could not be written.
    """
    folder = paths.queue / "stopped"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror or error}") from error
    files.publish_new(folder / f"{job}.json", msgspec.json.encode(stop))


def read(paths: RunPaths) -> dict[str, Stop]:
    """Return where each job ended that ended early.

    Raises:
        StorageError: a file is damaged; the message says how to have the decision made again.
    """
    found = {}
    for path in (paths.queue / "stopped").glob("[!.]*.json"):
        found[path.stem] = jsonfiles.read(path, Stop, ADVICE)
    return found


def of(paths: RunPaths, job: Job) -> Stop | None:
    """Return where `job` ended early, None if it did not."""
    return read(paths).get(job.name)


def expected(paths: RunPaths, job: Job) -> int:
    """Return how many samples of `job` count: all, or those before it ended early."""
    stop = of(paths, job)
    return job.samples if stop is None else stop.asked


def still_wanted(paths: RunPaths, shards: Iterable[Shard]) -> list[Shard]:
    """Return those of `shards` that are not behind the end of their job."""
    ends = read(paths)
    return [shard for shard in shards if shard.job not in ends or shard.first < ends[shard.job].asked]
