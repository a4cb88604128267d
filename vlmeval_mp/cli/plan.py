"""`plan`: shows the needs and the expected time of a run before weights are loaded, as `launch --dry-run` does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vlmeval_mp.cli import flags, kitflags
from vlmeval_mp.cli.wanted import SpecWanted, TreeWanted, devices_of, jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_DEPENDENCY, EXIT_FAILED_SAMPLES, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlmeval_mp.core.paths import JobsPaths
    from vlmeval_mp.core.records import RunSpec
    from vlmeval_mp.pool.devices.layout import DevicesWanted

CODES = """
exit codes: 0 a launch can start · 1 it can, and samples would fail · 2 usage, config or data set · 3 it cannot start
"""


def add_parser(verbs: flags.Verbs) -> None:
    does = "fit, tokens, time and what is missing, before any weights are loaded (launch --dry-run)"
    verb = flags.verb(verbs, "plan", does, CODES)
    flags.what(verb)
    flags.how(verb)
    kitflags.add(verb)
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show the plans of the runs that the flags describe."""
    from vlmeval_mp.cli.specs import specs_of

    what = SpecWanted.of(arguments, batch_size=arguments.batch_size, max_workers=arguments.max_workers)
    if what.empty:
        raise ConfigError("plan: name a config, or a model and data (see --help)")
    scored = TreeWanted.of(arguments).scored
    return show(specs_of(what), jobs_of(arguments), devices_of(arguments), as_json=arguments.json, scored=scored)


def show(specs: Sequence[RunSpec], jobs: JobsPaths, wanted: DevicesWanted, *, as_json: bool, scored: bool) -> int:
    """Print the plan of each spec, one JSON object a line for programs; return the exit code."""
    import msgspec

    from vlmeval_mp.display import plan as display
    from vlmeval_mp.pool.planning import gather

    code = EXIT_COMPLETE
    for spec in specs:
        found = gather.plan(spec, jobs, wanted, scored=scored)
        print(msgspec.json.encode(found).decode() if as_json else "\n".join(display.lines(found)))
        code = max(code, EXIT_DEPENDENCY if found.forbidden else EXIT_FAILED_SAMPLES if found.costly else code)
    return code
