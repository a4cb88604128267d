"""Counts the answered samples of a job on disk, in finished and in unfinished shards."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.records import Struct
from vlmeval_mp.runs import checkpoint


class _Line(Struct, frozen=True):
    """The part of a checkpoint line that tells an intent (`checkpoint.Intent`), which has a type, from an answer."""

    row: int
    type: str = ""


_DECODER = msgspec.json.Decoder(_Line)


def answered(checkpoints: Path, job: str) -> int:
    """Return how many rows of `job` have an answer or an error in its checkpoints; each row counts once."""
    rows = set()
    gone = checkpoint.withdrawn(checkpoints, job)
    for path in (checkpoints / job).glob("*.jsonl"):
        for start, _, payload in linefiles.read(path):
            if (f"{job}/{path.name}", start) in gone:
                continue
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                line = _DECODER.decode(payload)
                if not line.type:
                    rows.add(line.row)
    return len(rows)
