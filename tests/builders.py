"""Small runs for tests: a benchmark of texts or of pictures, a spec on the fake engine, a worker in this process."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from vlmeval_mp.config.build import Overrides, build
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import RunRecord, RunSpec
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.loop import Worker
from vlmeval_mp.pool.worker.stages import Stages
from vlmeval_mp.runs import submit


def text_tsv(path: Path, samples: int) -> Path:
    """A choice benchmark without pictures whose right answers alternate between A and B."""
    rows = (f"{i}\tIs {i} even?\tyes\tno\t{'AB'[i % 2]}" for i in range(samples))
    path.write_text("\n".join(["index\tquestion\tA\tB\tanswer", *rows]) + "\n")
    return path


def picture_cell() -> str:
    """A small PNG as a TSV's `image` cell has it."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def picture_tsv(path: Path, samples: int) -> Path:
    """An open benchmark whose samples have a picture each."""
    rows = (f"{row}\t{picture_cell()}\tq{row}\ta" for row in range(samples))
    path.write_text("\n".join(["index\timage\tquestion\tanswer", *rows]) + "\n")
    return path


def fake_spec(*tsvs: Path, config: dict[str, Any] | None = None, **engine_args: Any) -> RunSpec:
    flags = Overrides(models=("fake",), data=tuple(map(str, tsvs)), engine="fake", engine_args=engine_args)
    return build(config or {}, flags, name="run", default_engine="fake")


def fake_run(tmp_path: Path, samples: int, config: dict[str, Any] | None = None, **engine_args: Any) -> RunPaths:
    """A queued run on the fake engine with one text benchmark."""
    tsv = text_tsv(tmp_path / "numbers.tsv", samples)
    return submit.submit(fake_spec(tsv, config=config, **engine_args), JobsPaths(tmp_path / "jobs"))[0]


def worker_for(
    paths: RunPaths,
    record: RunRecord,
    name: str = "w0",
    window: int = 0,
    stages: Stages | None = None,
    **engine_args: Any,
) -> Worker:
    model = record.spec.models[0]
    return Worker(
        paths,
        record,
        Assignment(name, model.name, "cpu", "core 0", (), 1, window, {**model.engine_args, **engine_args}),
        stages=stages,
    )
