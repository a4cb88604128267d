"""Brings one run to its end: chooses devices and screen, supervises, shows what came of it.

The supervisor does the work; `outcome` prints the end.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import kitflags, outcome
from vlmeval_mp.cli.specs import rescored
from vlmeval_mp.cli.wanted import LaunchWanted
from vlmeval_mp.core.errors import EXIT_SIGINT
from vlmeval_mp.core.paths import RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunSpec

LIVE_ANSWERS = "--verbose: each answer is in its worker's log; follow them with `vlmeval-mp logs -f`, or say --plain"


def drain(paths: RunPaths, wanted: LaunchWanted, spec: RunSpec | None) -> int:
    """Supervise one run until it ends, show the results and return its exit code.

    `spec` is the spec of this launch; only its scoring counts here. None keeps the frozen one.
    """
    from vlmeval_mp import display
    from vlmeval_mp.pool.devices import gpus, layout, preflight
    from vlmeval_mp.pool.launchers import registry
    from vlmeval_mp.pool.planning import before
    from vlmeval_mp.pool.supervisor.loop import Supervisor
    from vlmeval_mp.pool.supervisor.options import Options
    from vlmeval_mp.runs import snapshot, submit

    record = snapshot.read_record(paths)
    if spec is None:
        submit.check(paths, record)
    asked = spec or record.spec
    for line in kitflags.warnings(wanted, {m.engine for m in asked.models}):
        print(f"warning: {line}", file=sys.stderr)
    findings = preflight.before_launch(paths.root.parent, {m.engine for m in asked.models})
    preflight.refuse(findings)
    launcher = registry.launcher(wanted.launcher)
    laid_out = layout.lay_out(asked, wanted.devices, launcher.devices)
    screen_wanted = wanted.screen
    _log_to(paths.log("supervisor"), screen_wanted.log_file)
    mode: display.Mode = (
        "json" if screen_wanted.as_json else "live" if sys.stdout.isatty() and not screen_wanted.plain else "plain"
    )
    verbose = screen_wanted.verbose
    remarks = before.remarks(paths, record, asked, os.environ, scored=wanted.tree.scored)
    options = Options(
        tensor_parallel=laid_out.tp,
        windows=laid_out.windows,
        render_processes=laid_out.render_processes,
        engine_args=laid_out.engine_args,
        asked=rescored(record.spec, asked, wanted.scoring, numbers=wanted.numbers),
        scored=wanted.tree.scored,
        verbose=verbose,
        sample_timeout=wanted.time.sample,
        stall_timeout=wanted.time.stall,
        drain_seconds=wanted.time.drain,
        notes=tuple(("warning", str(f)) for f in findings if f.level == "warning")
        + tuple(("warning", text) for text in remarks)
        + laid_out.notes
        + ((("info", LIVE_ANSWERS),) if verbose and mode == "live" else ()),
    )
    interrupted = EXIT_SIGINT
    held = gpus.hold(laid_out.groups, f"run {record.spec.name} (pid {os.getpid()})")
    try:
        with display.screen(mode, sys.stdout) as screen:
            on_answer = screen.answer if verbose else None
            supervisor = Supervisor(paths, record, laid_out.groups, launcher, options, screen.update, on_answer)
            try:
                code = supervisor.run()
            finally:
                interrupted = supervisor.interrupted
    except KeyboardInterrupt:  # a third one: workers die with this process, and no thread is waited for
        logging.shutdown()
        os._exit(interrupted)
    finally:
        launcher.close()
        for lock in held:
            lock.release()
    as_json = screen_wanted.as_json
    if wanted.tree.scored:
        warnings = [*outcome.failures(paths, record), *outcome.unfinished(paths, record, code)]
        outcome.show_results(paths, record, as_json, code, warnings)
    elif as_json or screen_wanted.answers_shown:
        outcome.show_answers(paths, record, as_json, code)
    outcome.show_time(paths, as_json)
    outcome.export(paths, wanted.tree, as_json)
    if wanted.tree.scored:
        outcome.point_to_report(paths, record, as_json, opened=screen_wanted.open_report)
    for model, why in supervisor.slots.unavailable.items():
        print(f"vlmeval-mp: {model}: {why}. {outcome.how_to_go_on(paths)}", file=sys.stderr)
    return code


def _log_to(*paths: Path | None) -> None:
    root = logging.getLogger("vlmeval_mp")
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in root.handlers[:]:  # those of the run before
        root.removeHandler(handler)
        handler.close()
    for path in paths:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path, encoding="utf-8")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            root.addHandler(file)
