"""The worker's process: its arguments, its log, its exit code. Started as `python -m vlmeval_mp.pool.worker`."""

import argparse
import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from vlmeval_mp.core import credentials, files, jsonfiles
from vlmeval_mp.core.errors import (
    EXIT_COMPLETE,
    EXIT_FAILED_SAMPLES,
    EngineError,
    EngineKilledError,
    StorageError,
    UnavailableError,
    VlmevalError,
)
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.worker.assignment import Assignment
from vlmeval_mp.pool.worker.heartbeat import Heart, birth
from vlmeval_mp.pool.worker.loop import Worker
from vlmeval_mp.pool.worker.stages import Stages
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.snapshot import read_record

log = logging.getLogger("vlmeval_mp.worker")
E = TypeVar("E", bound=Exception)


async def live(worker: Worker) -> int:
    """Run one worker to its end; return the exit code that says why it ended (see `core.errors`)."""
    code = EXIT_COMPLETE
    try:
        await worker.run()
    except* VlmevalError as group:
        error = _first(group)
        level = logging.ERROR if isinstance(error, EngineError | StorageError) else logging.CRITICAL
        ours = isinstance(error, EngineError) and not isinstance(error, UnavailableError)
        log.log(level, "%s", error, exc_info=ours)
        worker.phase, worker.message, code = "failed", credentials.masked(str(error), os.environ), error.exit_code
        # whoever told this worker to leave may have told its engine, too
        from_outside = isinstance(error, EngineKilledError) or (worker.draining and isinstance(error, EngineError))
        worker.ended_by = worker.message if from_outside else ""
    except* Exception as group:
        log.exception("the worker failed")
        said = credentials.masked(repr(_first(group)), os.environ)
        worker.phase, worker.message, code = "failed", said, EXIT_FAILED_SAMPLES
    try:
        await worker.close()
    except StorageError as error:
        log.error("%s", error)
        worker.message, code = worker.message or str(error), code or error.exit_code
    return code


def _first(group: BaseExceptionGroup[E]) -> E:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def parse_arguments(argv: Sequence[str]) -> tuple[RunPaths, Assignment]:
    parser = argparse.ArgumentParser(prog="python -m vlmeval_mp.pool.worker", description="started by the supervisor")
    parser.add_argument("run", type=Path)
    for option in ("name", "model", "device", "devices"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--gpus", default="")
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--window", type=int, default=0)
    parser.add_argument("--engine-args", default="{}")
    parser.add_argument("--render-processes", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args(argv)
    gpus = tuple(g for g in given.gpus.split(",") if g)
    args = json.loads(given.engine_args)
    return RunPaths(given.run), Assignment(
        given.name,
        given.model,
        given.device,
        given.devices,
        gpus,
        given.tp,
        given.window,
        args,
        given.verbose,
        given.render_processes,
    )


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    credentials.guard_logs(os.environ)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):  # what an engine starts inherits it
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGQUIT)  # where every thread is, into the log, before a stuck worker is killed
    paths, assignment = parse_arguments(sys.argv[1:] if argv is None else argv)
    log.info("worker %s for model %s on %s, pid %d", assignment.name, assignment.model, assignment.devices, os.getpid())
    owner, stages = owners.current(), Stages(paths.log(assignment.name))
    heart = Heart(paths.worker(assignment.name), lambda: birth(assignment, owner, stages))
    heart.start()
    try:
        worker = Worker(paths, read_record(paths), assignment, owner, stages)
    except VlmevalError as error:
        log.critical("%s", error)
        heart.stop()
        _report_stillbirth(paths, birth(assignment, owner, stages), credentials.masked(str(error), os.environ))
        return error.exit_code
    heart.stop()
    return asyncio.run(live(worker))


def _report_stillbirth(paths: RunPaths, status: WorkerStatus, message: str) -> None:
    """Leave a heartbeat that says why this worker never came to life."""
    status = msgspec.structs.replace(status, phase="failed", time=time.time(), message=message)
    files.atomic_write(paths.worker(status.worker), jsonfiles.encode(status), durable=False)


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(exit_code)  # an engine's leftover threads must not keep a finished worker alive
