"""How much of a job is answered on disk, whether its shards are finished or not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from vlmeval_mp.core import linefiles
from vlmeval_mp.core.records import Struct
from vlmeval_mp.runs import checkpoint


class _Line(Struct, frozen=True):
    """What of a checkpoint line tells an answer from an intent (`checkpoint.Intent`), which has a type."""

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
