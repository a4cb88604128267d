"""Writes the report of a run: `<run>/report/index.html`, and beside it the pictures that are too many for the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import StorageError
from vlmeval_mp.report.document import document
from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.pages import Options, pages_of
from vlmeval_mp.report.waterfall import duration

NAME = "index.html"


def write(run: RunView, options: Options | None = None) -> Path:
    """Write the report of `run` and return its place; an older one is replaced in one step.

    Raises:
        StorageError: it cannot be written.
    """
    path = run.paths.report / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {path.parent}: {error.strerror or error}") from error
    html = document(run.name, pages_of(run, options or Options()), facts_of(run))
    files.atomic_write(path, html, durable=False)
    return path


def facts_of(run: RunView) -> dict[str, Any]:
    """Return what the head of every page says of `run`."""
    state = run.state
    done = "complete" if state.finished else "running" if state.running else "incomplete"
    chips = [{"text": done, "kind": "good" if state.finished else "warn"}]
    models = len({view.job.model for view in run.jobs})
    sets = len({view.job.dataset for view in run.jobs})
    chips.append({"text": f"{models} model{'s' * (models != 1)} × {sets} data set{'s' * (sets != 1)}", "kind": ""})
    samples = f"{state.total:,} samples" if state.finished else f"{state.done:,} of {state.total:,} samples"
    chips.append({"text": samples, "kind": ""})
    if state.failed:
        chips.append({"text": f"{state.failed:,} failed", "kind": "bad"})
    created = run.record.provenance.get("created", "").replace("T", " ").replace("Z", " UTC")
    took = f"last launch took {duration(state.elapsed)}" if state.elapsed else ""
    seen = time.strftime("seen %Y-%m-%d %H:%M UTC", time.gmtime(run.now))
    return {"chips": chips, "subtitle": " · ".join(filter(None, (created, took, seen)))}
