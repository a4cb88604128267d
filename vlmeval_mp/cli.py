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

from vlmeval_mp import __version__
from vlmeval_mp.errors import EXIT_COMPLETE, EXIT_SIGINT, EXIT_SIGTERM, ConfigError, StorageError, VlmevalError
from vlmeval_mp.paths import JobsPaths, RunPaths

if TYPE_CHECKING:
    from vlmeval_mp.gpus import DeviceGroup
    from vlmeval_mp.records import Json, RunRecord, RunSpec
    from vlmeval_mp.state import RunState

EPILOG = """\
examples:
  vlmeval-mp launch jobs/demo.json                 the bundled model on its benchmark
  vlmeval-mp launch --config config.json --gpus 0,1,2,3
  vlmeval-mp launch --model /models/Qwen2-VL-2B --data MMBench_DEV_EN.tsv --gpus all --tp 2
  vlmeval-mp status --watch                        from a second terminal
  vlmeval-mp logs --worker 0 -f

The same launch again resumes. Ctrl-C once drains, twice stops now; nothing that was answered is asked again.
exit codes: 0 complete · 1 failed samples · 2 usage, config or data set · 3 missing dependency or device
            4 incomplete, resumable · 70 no worker could be kept alive · 74 disk · 130/143 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code of DESIGN §7. A user's mistake is one message, never a traceback."""
    arguments = parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.call
    try:
        return run(arguments)
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


def _complain(error: VlmevalError, arguments: argparse.Namespace) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"event": "error", "error": str(error), "exit_code": error.exit_code}), flush=True)
    print(f"vlmeval-mp: {error}", file=sys.stderr)
    return error.exit_code


# --- arguments -----------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="vlmeval-mp",
        description="Evaluate vision-language models on every GPU of a machine at once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"vlmeval-mp {__version__}")
    verbs = top.add_subparsers(metavar="COMMAND", required=True)
    _launch_parser(verbs)
    submit = verbs.add_parser("submit", help="queue a run without running it")
    _what(submit)
    submit.set_defaults(call=_submit)
    resume = verbs.add_parser("resume", help="go on with a run; other GPUs or batch sizes are fine")
    resume.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    _how(resume)
    resume.set_defaults(call=_resume)
    status = verbs.add_parser("status", help="what a run is doing, or how it ended")
    status.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    status.add_argument("--watch", action="store_true", help="keep showing it until it ends")
    status.add_argument("--json", action="store_true", help="the whole state as one JSON object")
    status.set_defaults(call=_status)
    logs = verbs.add_parser("logs", help="everything a worker and its engine printed")
    logs.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    logs.add_argument("--worker", metavar="N", help="worker number, or 'supervisor' (default: all)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.add_argument("-n", type=int, default=20, metavar="LINES", help="how many last lines (default: 20)")
    logs.set_defaults(call=_logs)
    score = verbs.add_parser("eval", help="score a run again; needs no GPU")
    score.add_argument("run", nargs="?", help="name of the run (default: the latest)")
    score.add_argument("--json", action="store_true", help="the summaries as JSON")
    score.set_defaults(call=_eval)
    for verb in (submit, resume, status, logs, score):
        verb.add_argument("--jobs", type=Path, default=Path("jobs"), metavar="DIR", help="jobs folder (default: jobs)")
    return top


def _launch_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    launch = verbs.add_parser(
        "launch",
        help="submit what is given and work until it is done; without a config, finish every unfinished run",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _what(launch)
    _how(launch)
    _as_vlmevalkit(launch)
    launch.add_argument("--dry-run", action="store_true", help="check config and data, show the plan, start nothing")
    launch.add_argument("--jobs", type=Path, default=Path("jobs"), metavar="DIR", help="jobs folder (default: jobs)")
    launch.set_defaults(call=_launch)


def _what(verb: argparse.ArgumentParser) -> None:
    what = verb.add_argument_group("what to run")
    what.add_argument("configs", nargs="*", metavar="CONFIG", type=Path, help="VLMEvalKit-style config.json")
    what.add_argument("--config", action="append", type=Path, default=[], metavar="FILE", help="the same, as a flag")
    what.add_argument("--model", nargs="+", default=[], metavar="M", help="folders, hub ids, or names of the config")
    what.add_argument(
        "--data", nargs="+", default=[], metavar="D", help="TSV files, or names of data sets or the config"
    )
    what.add_argument("--engine", metavar="NAME", help="vllm, transformers or fake (default: vllm if installed)")
    what.add_argument("--engine-args", type=_json_object, default={}, metavar="JSON", help="arguments of the engine")
    what.add_argument("--limit", type=int, metavar="N", help="only the first N samples of each data set")
    what.add_argument("--run", metavar="NAME", help="name of the run (default: the config's, or models and data)")


def _how(verb: argparse.ArgumentParser) -> None:
    how = verb.add_argument_group("how to run it (changes no answer)")
    how.add_argument("--gpus", metavar="IDS", help="indices, UUIDs or MIG ids, or 'all' (default: all)")
    how.add_argument("--tp", type=int, default=1, metavar="N", help="GPUs per worker (tensor parallel; default: 1)")
    how.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: a GPU if there is one")
    how.add_argument(
        "--batch-size", type=_count, metavar="N", help="samples in flight per worker (default: engine's own)"
    )
    how.add_argument("--max-workers", type=_count, metavar="N", help="at most so many workers")
    serial = "--no-parallel: one worker, one sample in flight"
    how.add_argument("--parallel", action=argparse.BooleanOptionalAction, default=True, help=serial)
    how.add_argument("--plain", action="store_true", help="lines instead of the live display")
    how.add_argument("--json", action="store_true", help="one JSON object per change, for programs")
    how.add_argument("--log-file", type=Path, metavar="FILE", help="the supervisor's log, also there")


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")
    return int(text)


def _as_vlmevalkit(verb: argparse.ArgumentParser) -> None:
    """Flags of VLMEvalKit's run.py. What has no effect here says so when it is given."""
    flags = verb.add_argument_group("as in VLMEvalKit's run.py")
    flags.add_argument("--work-dir", type=Path, metavar="DIR", help="also write VLMEvalKit's output tree there")
    flags.add_argument("--mode", choices=("all", "infer", "eval"), default="all", help="eval scores the run again")
    flags.add_argument("--use-vllm", action="store_true", help="the same as --engine vllm")
    for flag in ("--reuse", "--verbose"):
        flags.add_argument(flag, action="store_true", help="accepted; has no effect")
    flags.add_argument("--judge", metavar="NAME", help="accepted; answers are scored by rules")
    for flag in ("--retry", "--api-nproc"):
        flags.add_argument(flag, type=int, metavar="N", help="accepted; has no effect")


SHOWN = 20
"""Rows that a table cannot carry, named on the screen; a thousand would hide the result."""

INEFFECTIVE = {
    "reuse": "the same launch again always goes on where it was",
    "verbose": "answers are in predictions.jsonl, what the engine prints in `vlmeval-mp logs`",
    "retry": "a failed sample is an error in the results",
    "api_nproc": "say --batch-size for samples in flight",
}


def _warn_ineffective(arguments: argparse.Namespace) -> None:
    said = [f"--{k.replace('_', '-')}: has no effect; {w}" for k, w in INEFFECTIVE.items() if getattr(arguments, k)]
    if arguments.judge not in (None, "exact_matching"):
        said.append(f"--judge {arguments.judge}: there is no judge here; answers are scored by rules (strict)")
    if arguments.mode == "infer":
        said.append("--mode infer: the answers are scored as well; that needs no GPU and no time")
    for line in said:
        print(f"warning: {line}", file=sys.stderr)


def _json_object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object, such as '{\"max_model_len\": 8192}'")
    return value


# --- verbs ---------------------------------------------------------------------------------------------------------


def _launch(arguments: argparse.Namespace) -> int:
    from vlmeval_mp import runs

    jobs = JobsPaths(arguments.jobs.resolve())
    _warn_ineffective(arguments)
    if arguments.work_dir:
        from vlmeval_mp.workdir import pred_format

        pred_format(os.environ)  # a wrong format is said before the night, not after it
    if not (arguments.configs or arguments.config or arguments.model or arguments.data):
        waiting = runs.unfinished(jobs)
        if not waiting:
            raise ConfigError(
                f"nothing to do: no unfinished run under {arguments.jobs} and no config given (see --help)"
            )
        return _drain_all([(paths, None) for paths in waiting], arguments)
    specs = _specs(arguments)
    if arguments.dry_run:
        return _plan(specs, jobs)
    if arguments.mode == "eval":
        return _score_again(specs, jobs, arguments)
    return _drain_all([(runs.submit(spec, jobs)[0], spec) for spec in specs], arguments)


def _score_again(specs: Sequence[RunSpec], jobs: JobsPaths, arguments: argparse.Namespace) -> int:
    for spec in specs:
        paths = jobs.run(spec.name)
        if not paths.record.exists():
            raise ConfigError(
                f"--mode eval: there is no run {spec.name!r} in {jobs.root}; launch it without --mode first"
            )
        arguments.run = str(paths.root)
        _eval(arguments)
        _export(paths, arguments)
    return EXIT_COMPLETE


def _export(paths: RunPaths, arguments: argparse.Namespace) -> None:
    """VLMEvalKit's tree, if `--work-dir` asks for it."""
    if getattr(arguments, "work_dir", None) is None:
        return
    from vlmeval_mp import snapshot, workdir

    form = workdir.pred_format(os.environ)
    damaged = workdir.export(paths, snapshot.read_record(paths), arguments.work_dir, form, time.time())
    for row in damaged[:SHOWN]:
        print(f"warning: {row.file}, index {row.index}: is not carried whole ({row.reason})", file=sys.stderr)
    if damaged:
        rest = f"and {len(damaged) - SHOWN} more; " if len(damaged) > SHOWN else ""
        print(f"warning: {rest}all are in status.json, their texts in {paths.root}/results", file=sys.stderr)


def _drain_all(waiting: Sequence[tuple[RunPaths, RunSpec | None]], arguments: argparse.Namespace) -> int:
    """One run after the other, whatever becomes of one; gives the worst exit code. An interrupt ends them all."""
    worst = EXIT_COMPLETE
    for paths, spec in waiting:
        try:
            worst = max(worst, _drain(paths, arguments, spec))
        except VlmevalError as error:
            worst = max(worst, _complain(error, arguments))
        if worst in (EXIT_SIGINT, EXIT_SIGTERM):
            break
    return worst


def _submit(arguments: argparse.Namespace) -> int:
    from vlmeval_mp import runs

    jobs = JobsPaths(arguments.jobs.resolve())
    for spec in _specs(arguments):
        paths, record, new = runs.submit(spec, jobs)
        samples = sum(j.samples for j in record.jobs)
        print(f"{'queued' if new else 'is queued already'}: {record.spec.name}, {samples} samples, in {paths.root}")
    return EXIT_COMPLETE


def _resume(arguments: argparse.Namespace) -> int:
    return _drain(_find_run(arguments), arguments, None)


def _specs(arguments: argparse.Namespace) -> list[RunSpec]:
    """One spec per config file, or one from flags alone."""
    from vlmeval_mp import config, runs, vlmevalkit

    flags = config.Overrides(
        models=tuple(arguments.model),
        data=tuple(arguments.data),
        engine=arguments.engine or ("vllm" if getattr(arguments, "use_vllm", False) else None),
        engine_args=arguments.engine_args,
        limit=arguments.limit,
        batch_size=getattr(arguments, "batch_size", None),
        max_workers=getattr(arguments, "max_workers", None),
        run=arguments.run,
    )
    paths = [*arguments.configs, *arguments.config]
    if len(paths) > 1 and arguments.run:
        raise ConfigError("--run names one run, but several configs are given")
    given = [(p.stem, config.loads(_read(p), str(p))) for p in paths] or [(None, {})]
    engine = runs.default_engine()
    specs = []
    for name, value in given:
        here = [[n for n in names if not Path(n).exists()] for names in (flags.models, flags.data)]
        ours, warnings = vlmevalkit.translate(
            value, default_engine=engine, engine=flags.engine, models=here[0], data=here[1]
        )
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        specs.append(config.build(ours, flags, name=name, default_engine=engine))
    return specs


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None


def _drain(paths: RunPaths, arguments: argparse.Namespace, spec: RunSpec | None) -> int:
    """Supervise one run until it ends and show the results; gives its exit code."""
    from vlmeval_mp import display, gpus, runs, snapshot
    from vlmeval_mp.launchers.local import LocalLauncher
    from vlmeval_mp.supervisor import Options, Supervisor

    record = snapshot.read_record(paths)
    if spec is None:
        runs.check(paths, record)
    wanted = spec or record.spec
    groups = _device_groups(arguments, wanted)
    _log_to(paths.log("supervisor"), arguments.log_file)
    mode: display.Mode = (
        "json" if arguments.json else "live" if sys.stdout.isatty() and not arguments.plain else "plain"
    )
    options = Options(
        tensor_parallel=arguments.tp,
        window=1 if not arguments.parallel else (arguments.batch_size or wanted.batch_size),
        engine_args={m.name: m.engine_args for m in wanted.models},
    )
    held = gpus.hold(groups, f"run {record.spec.name} (pid {os.getpid()})")
    try:
        with display.screen(mode, sys.stdout) as screen:
            supervisor = Supervisor(paths, record, groups, LocalLauncher(), options, screen.update)
            code = supervisor.run()
    finally:
        for lock in held:
            lock.release()
    _show_results(paths, record, arguments.json, code)
    _export(paths, arguments)
    return code


def _device_groups(arguments: argparse.Namespace, spec: RunSpec) -> list[DeviceGroup]:
    from vlmeval_mp import gpus

    workers = 1 if not arguments.parallel else (arguments.max_workers or spec.max_workers)
    if arguments.tp < 1:
        raise ConfigError("--tp: must be at least 1")
    found = gpus.discover() if arguments.device != "cpu" else []
    needs_device = any(m.engine != "fake" for m in spec.models)
    if arguments.device == "cpu" or (arguments.device == "auto" and not found and not arguments.gpus):
        if arguments.device == "cpu" and arguments.gpus:
            raise ConfigError("--gpus and --device cpu exclude each other")
        return gpus.cpu_groups(workers, sorted(os.sched_getaffinity(0)))
    if needs_device:
        gpus.require_gpus(found)
    ids = gpus.select(arguments.gpus or "all", found, os.environ)
    groups = gpus.gpu_groups(ids, arguments.tp, found)
    return groups[:workers] if workers else groups


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


def _plan(specs: Sequence[RunSpec], jobs: JobsPaths) -> int:
    from vlmeval_mp import runs

    for spec in specs:
        print(f"run {spec.name} in {jobs.run(spec.name).root}")
        for job in runs.plan(spec, jobs):
            print(f"  {job.model} on {job.dataset}: {job.samples} samples")
    return EXIT_COMPLETE


def _find_run(arguments: argparse.Namespace) -> RunPaths:
    from vlmeval_mp import runs

    jobs = JobsPaths(arguments.jobs.resolve())
    if arguments.run is None:
        return runs.latest(jobs)
    given = Path(arguments.run)
    return RunPaths(given.resolve()) if (given / "run.json").exists() else jobs.run(arguments.run)


def _status(arguments: argparse.Namespace) -> int:
    from vlmeval_mp.snapshot import Reader
    from vlmeval_mp.state import fold

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
    from vlmeval_mp import logs

    return logs.show(_find_run(arguments), arguments.worker, lines=arguments.n, follow=arguments.follow)


def _eval(arguments: argparse.Namespace) -> int:
    from vlmeval_mp import results, snapshot
    from vlmeval_mp.merge import merge

    paths = _find_run(arguments)
    record = snapshot.read_record(paths)
    for job in record.jobs:
        samples, predictions = merge(paths, job)
        if len(samples) < job.samples:
            missing = job.samples - len(samples)
            print(
                f"{job.model} on {job.dataset}: {missing} of {job.samples} samples have no answer yet", file=sys.stderr
            )
            continue
        rules = results.rules_of(record.spec, job)
        results.write(paths.results(job.model, job.dataset), job.model, job.dataset, samples, predictions, rules)
    _show_results(paths, record, arguments.json, EXIT_COMPLETE)
    return EXIT_COMPLETE


def _show_results(paths: RunPaths, record: RunRecord, as_json: bool, code: int) -> None:
    from vlmeval_mp import display, results, snapshot

    supervisor = snapshot.read_supervisor(paths)
    rates = supervisor.rates if supervisor else {}
    summaries = []
    for job in record.jobs:
        folder = paths.results(job.model, job.dataset)
        summary = results.read_summary(folder)
        if summary is not None:
            summaries.append((summary, rates.get(job.name)))
    display.show_results(summaries, paths.root, sys.stdout, as_json=as_json, code=code)


if __name__ == "__main__":
    sys.exit(main())
