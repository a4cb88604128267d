"""The command line: parse, call, print, exit code. Everything it does is one call into a module below.

Heavy modules are imported inside the verb that needs them: `--help` and `status` must answer at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmeval_mp.cli import evaluate, flags, kitflags, launch
from vlmeval_mp.config.apis import api_base
from vlmeval_mp.core.errors import EXIT_COMPLETE, EXIT_SIGINT, EXIT_SIGTERM, ConfigError, StorageError, VlmevalError
from vlmeval_mp.core.paths import JobsPaths, RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.core.records import RunSpec
    from vlmeval_mp.runs.state import RunState


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code of DESIGN §7. A user's mistake is one message, never a traceback."""
    arguments = flags.parser().parse_args(argv)
    _warn_on_stderr()
    try:
        return VERBS[arguments.verb](arguments)
    except VlmevalError as error:
        return _complain(error, arguments)
    except KeyboardInterrupt:
        return EXIT_SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush is quiet too
        return EXIT_COMPLETE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(StorageError(f"{where}{error.strerror or error}"), arguments)


def _warn_on_stderr() -> None:
    """What a module below warns of is a warning on the screen where no log is open for it yet."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))


def _complain(error: VlmevalError, arguments: argparse.Namespace) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"event": "error", "error": str(error), "exit_code": error.exit_code}), flush=True)
    print(f"vlmeval-mp: {error}", file=sys.stderr)
    return error.exit_code


# --- verbs ---------------------------------------------------------------------------------------------------------


def _launch(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.runs import find, submit

    jobs = JobsPaths(arguments.jobs.resolve())
    if arguments.work_dir:
        from vlmeval_mp.exchange.predictions import pred_format

        pred_format(os.environ)  # a wrong format is said before the night, not after it
    if not (arguments.configs or arguments.config or arguments.model or arguments.data):
        waiting = find.unfinished(jobs)
        if not waiting:
            raise ConfigError(
                f"nothing to do: no unfinished run under {arguments.jobs} and no config given (see --help)"
            )
        for paths in waiting:
            _reuse(paths, arguments)
        return _drain_all([(paths, None) for paths in waiting], arguments)
    specs = _specs(arguments)
    if arguments.dry_run:
        return _plan(specs, jobs)
    if arguments.mode == "eval":
        return _score_again(specs, jobs, arguments)
    return _drain_all([(_submitted(spec, jobs, arguments), submit.resolved(spec)) for spec in specs], arguments)


def _submitted(spec: RunSpec, jobs: JobsPaths, arguments: argparse.Namespace) -> RunPaths:
    """The run of `spec`; with `--reuse`, with the answers that are under `--work-dir`."""
    from vlmeval_mp.runs import submit

    paths, _, _ = submit.submit(spec, jobs)
    _reuse(paths, arguments)
    return paths


def _reuse(paths: RunPaths, arguments: argparse.Namespace) -> None:
    if arguments.work_dir and (arguments.reuse or arguments.mode == "eval"):
        from vlmeval_mp.cli import importing

        importing.reuse(paths, arguments.work_dir, unpickle=arguments.unpickle)


def _drain_all(waiting: Sequence[tuple[RunPaths, RunSpec | None]], arguments: argparse.Namespace) -> int:
    """One run after the other, whatever becomes of one; gives the worst exit code. An interrupt ends them all."""
    worst = EXIT_COMPLETE
    for paths, spec in waiting:
        try:
            worst = max(worst, launch.drain(paths, arguments, spec))
        except VlmevalError as error:
            worst = max(worst, _complain(error, arguments))
        if worst in (EXIT_SIGINT, EXIT_SIGTERM):
            break
    return worst


def _score_again(specs: Sequence[RunSpec], jobs: JobsPaths, arguments: argparse.Namespace) -> int:
    from vlmeval_mp.runs import submit

    worst = EXIT_COMPLETE
    for spec in specs:
        if not jobs.run(spec.name).record.exists() and not arguments.work_dir:
            raise ConfigError(
                f"--mode eval: there is no run {spec.name!r} in {jobs.root}; launch it without --mode first, or name "
                "the --work-dir that has VLMEvalKit's answers"
            )
        paths = _submitted(spec, jobs, arguments)
        worst = max(worst, evaluate.a_run(paths, submit.resolved(spec), arguments))
        launch.export(paths, arguments)
    return worst


def _submit(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.runs import submit

    jobs = JobsPaths(arguments.jobs.resolve())
    for spec in _specs(arguments):
        paths, record, new = submit.submit(spec, jobs)
        samples = sum(j.samples for j in record.jobs)
        print(f"{'queued' if new else 'is queued already'}: {record.spec.name}, {samples} samples, in {paths.root}")
    return EXIT_COMPLETE


def _import(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.cli import importing
    from vlmeval_mp.runs import submit

    jobs = JobsPaths(arguments.jobs.resolve())
    for spec in _specs(arguments):
        paths, record, _ = submit.submit(spec, jobs)
        importing.into(paths, record, arguments.source, unpickle=arguments.unpickle)
        importing.finish(paths, record, submit.resolved(spec))
    return EXIT_COMPLETE


def _resume(arguments: argparse.Namespace) -> int:
    return launch.drain(_find_run(arguments), arguments, None)


def _specs(arguments: argparse.Namespace) -> list[RunSpec]:
    """One spec per config file, or one from flags alone."""
    from vlmeval_mp.config import build, vlmevalkit
    from vlmeval_mp.runs import submit
    from vlmeval_mp.vlmevalkit import classes

    said = build.Overrides(
        models=tuple(arguments.model),
        data=tuple(arguments.data),
        engine=kitflags.engine(arguments),
        engine_args=arguments.engine_args,
        limit=arguments.limit,
        batch_size=getattr(arguments, "batch_size", None),
        max_workers=getattr(arguments, "max_workers", None),
        scoring=arguments.scoring,
        judge=arguments.judge,
        base_url=api_base(arguments.base_url or ""),
        run=arguments.run,
    )
    paths = [*arguments.configs, *arguments.config]
    if len(paths) > 1 and arguments.run:
        raise ConfigError("--run names one run, but several configs are given")
    given = [(p, build.loads(_read(p), str(p))) for p in paths] or [(None, {})]
    engine = submit.default_engine()
    specs = []
    for path, value in given:
        here = [[n for n in names if not Path(n).exists()] for names in (said.models, said.data)]
        ours, warnings = vlmevalkit.translate(
            value, default_engine=engine, engine=said.engine, models=here[0], data=here[1], environ=os.environ
        )
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        spec = build.build(ours, said, name=path.stem if path else None, default_engine=engine)
        folders = [*([path.parent] if path else []), Path.cwd()]
        specs.append(classes.resolve_all(spec, folders))
    return specs


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None


def _plan(specs: Sequence[RunSpec], jobs: JobsPaths) -> int:
    from vlmeval_mp.runs import submit

    for spec in specs:
        planned = submit.plan(spec, jobs)
        print(f"run {spec.name} in {jobs.run(spec.name).root}")
        for job in planned:
            print(f"  {job.model} on {job.dataset}: {job.samples} samples")
    return EXIT_COMPLETE


def _find_run(arguments: argparse.Namespace) -> RunPaths:
    from vlmeval_mp.runs import find

    jobs = JobsPaths(arguments.jobs.resolve())
    if arguments.run is None:
        return find.latest(jobs)
    given = Path(arguments.run)
    return RunPaths(given.resolve()) if (given / "run.json").exists() else find.named(jobs, arguments.run)


def _status(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.runs.snapshot import Reader
    from vlmeval_mp.runs.state import fold

    reader = Reader(_find_run(arguments))
    if arguments.watch and not arguments.json:
        return _watch(lambda: fold(reader.read(), time.time()))
    state = fold(reader.read(), time.time())
    if arguments.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(state)).decode())
    else:
        from vlmeval_mp import display

        display.show(state, sys.stdout)
    return EXIT_COMPLETE


def _watch(look: Callable[[], RunState]) -> int:
    from vlmeval_mp import display

    mode: display.Mode = "live" if sys.stdout.isatty() else "plain"
    with display.screen(mode, sys.stdout) as screen:
        while True:
            state = look()
            screen.update(state)
            if not state.running:
                return EXIT_COMPLETE
            time.sleep(0.5)


def _logs(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.cli import logs

    return logs.show(_find_run(arguments), arguments.worker, lines=arguments.n, follow=arguments.follow)


def _eval(arguments: argparse.Namespace) -> int:
    if arguments.predictions:
        return evaluate.a_file(arguments)
    evaluate.refuse_flags_of_files(arguments)
    return evaluate.a_run(_find_run(arguments), None, arguments)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "launch": _launch,
    "submit": _submit,
    "import": _import,
    "resume": _resume,
    "status": _status,
    "logs": _logs,
    "eval": _eval,
}
