"""The setup of a run, to get the same answers again: the command, the frozen configuration, versions and digests."""

from __future__ import annotations

import msgspec

from vlmeval_mp.report.document import render
from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.pages import Options, Page


def page(run: RunView, options: Options) -> Page:  # noqa: ARG001 - every page takes both
    """Return the tab with how to repeat `run`."""
    record = run.record
    spec = msgspec.json.format(msgspec.json.encode(record.spec), indent=2).decode()
    command = record.provenance.get("command", "")
    facts = {key: value for key, value in record.provenance.items() if value and key != "command"}
    html = render("setup.html", command=command, facts=facts, fingerprint=record.fingerprint, spec=spec)
    return Page(title="Setup", html=html, scripts=("setup.js",))
