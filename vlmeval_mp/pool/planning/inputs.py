"""The samples of a job before they are asked: their media, and the rows that are worth measuring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vlmeval_mp.core.records import Job, Media, Sample
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.runs import planning
from vlmeval_mp.runs.planning import Remark

LOST = "does not exist inside "
"""The words about a missing file in the errors of reading a data set, before the folders."""


@dataclass(slots=True)
class Inputs:
    """The contents of a job's samples: media by kind, those that cannot be opened, rows to measure.

    `shared` counts the `samples` that ask about a picture or video that another one asks about, `faulty` those that
    cannot be asked at all.
    """

    media: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    samples: int = 0
    shared: int = 0
    faulty: int = 0
    fault: str = ""

    def remarks(self, about: str) -> list[Remark]:
        """Return a line for each kind of media that is missing, for media that are shared, and for rows without use."""
        found = []
        for kind, missing in self.missing.items():
            count, reason = self.media[kind], self.reasons[kind]
            _, lost, folders = reason.partition(LOST)
            why = f"under {folders}" if lost else f"the first: {reason}"
            plural = f"{kind}s" if not kind.endswith("s") and count != 1 else kind
            verb = "is" if count == 1 else "are"
            text = f"{missing:,} of {count:,} {plural} {verb} missing {why}"
            found.append(Remark("error" if missing == count else "warning", about, text))
        if self.shared:
            text = f"{self.shared:,} of {self.samples:,} samples share a picture or video, which is processed once"
            found.append(Remark("info", about, text))
        if self.faulty:
            found.append(Remark("warning", about, f"{self.faulty:,} samples cannot be asked; the first: {self.fault}"))
        return found


def look(dataset: Dataset, job: Job) -> Inputs:
    """Look at every sample of `job`: at files' sizes, into none of them."""
    found = Inputs()
    weights, named = [], list[set[str]]()
    known: dict[str, int | str] = {}
    for row in range(job.samples):
        (sample,) = dataset.samples(row, row)
        weights.append((planning.text_bytes(sample), _media_bytes(found, sample, dataset.folder, known)))
        named.append({media.digest for media in sample.media if media.digest})
        if sample.error and not any(media.error for media in _all(sample)):
            found.faulty += 1
            found.fault = found.fault or sample.error
    found.samples = job.samples
    times = Counter(digest for digests in named for digest in digests)
    found.shared = sum(any(times[digest] > 1 for digest in digests) for digests in named)
    found.rows = planning.rows_to_measure(job, weights)
    return found


def _all(sample: Sample) -> tuple[Media, ...]:
    return (*sample.media, *([sample.subtitles] if sample.subtitles else []))


def _media_bytes(found: Inputs, sample: Sample, folder: Path, known: dict[str, int | str]) -> int:
    nbytes = 0
    for media in _all(sample):
        found.media[media.kind] += 1
        size = media.error or _size(folder / media.file, known)
        if isinstance(size, str):
            found.missing[media.kind] += 1
            found.reasons.setdefault(media.kind, size)
        else:
            nbytes += size
    return nbytes


def _size(path: Path, known: dict[str, int | str]) -> int | str:
    """Return the bytes of a file, or why it cannot be opened."""
    key = str(path)
    if key not in known:
        try:
            known[key] = path.stat().st_size
        except OSError as error:
            known[key] = f"file {path}: {error.strerror or error}"
    return known[key]
