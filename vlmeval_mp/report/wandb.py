"""Writes a run as an offline run of Weights & Biases: plain files for `wandb sync`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.report import tables
from vlmeval_mp.report.gather import RunView

PROJECT = "vlmeval-mp"


def write(run: RunView, folder: Path) -> Path:
    """Write the offline run below `folder` and return the folder that `wandb sync` takes.

    Raises:
        DependencyError: wandb is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise DependencyError(
            "wandb-offline needs wandb, which is not installed: "
            "scripts/install wandb (or: pip install 'vlmeval-mp[wandb]')"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    config = {"spec": msgspec.to_builtins(run.record.spec), "provenance": run.record.provenance}
    settings = wandb.Settings(console="off", disable_git=True, silent=True)
    theirs = wandb.init(
        mode="offline", dir=str(folder), project=PROJECT, name=run.name, config=config, settings=settings
    )
    for view in run.jobs:
        if view.summary is not None:
            for metric, value in view.summary.metrics.items():
                theirs.summary[f"{view.job.model}/{view.job.dataset}/{metric}"] = value
    for table in (tables.results(run), tables.samples(run)):
        theirs.log({table.name: wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])})
    place = Path(theirs.dir).parent
    theirs.finish()
    return place
