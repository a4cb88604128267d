"""Starts workers, watches them, reaps and restarts them, finishes jobs, stops everything.

Never imports the worker or an engine: a worker is `python -m vlmeval_mp.pool.worker` in a process of its own. Never
imports the display: it is given an `on_tick` callable. What it knows beyond the disk (restarts, events) is telemetry; a
supervisor that is killed is replaced by the next `launch` of the same run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec
from filelock import FileLock, Timeout

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import (
    EXIT_COMPLETE,
    EXIT_DEPENDENCY,
    EXIT_DISK,
    EXIT_FAILED_SAMPLES,
    EXIT_INCOMPLETE,
    EXIT_NO_WORKER,
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_USAGE,
    ConfigError,
    StorageError,
)
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import (
    Event,
    GpuStats,
    Job,
    Phase,
    Prediction,
    RunRecord,
    RunSpec,
    Served,
    SupervisorStatus,
    WorkerStatus,
)
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.launchers.base import Command, Handle, Launcher
from vlmeval_mp.pool.supervisor.finisher import Finisher
from vlmeval_mp.pool.supervisor.leases import LEASE_SECONDS, Leases
from vlmeval_mp.runs import owners
from vlmeval_mp.runs.notices import Heard
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.queue import Queue, shards_of
from vlmeval_mp.runs.snapshot import Reader
from vlmeval_mp.runs.state import RunState, ShardCounts, Snapshot, fold, noticed

log = logging.getLogger("vlmeval_mp.supervisor")

TICK = 0.2
REAP_SECONDS = 2.0
RESTART_LIMIT = 7
"""Deaths in a row without one answered sample after which a worker is not started again.

More than the five that it may take to find one sample that kills its worker (`worker.ALONE_AFTER_DEATHS` and
`ALONE_LIMIT`).
"""
BACKOFF_FIRST, BACKOFF_MOST = 0.25, 30.0
MEMORY_WAIT = 60.0
KILL_WAIT = 15.0
MEANING = {
    EXIT_USAGE: "its configuration is refused",
    EXIT_DEPENDENCY: "something it needs is missing",
    EXIT_DISK: "the disk failed or is full",
    EXIT_INCOMPLETE: "what its engine depends on is not there",
}
"""Exit codes of a worker that a fresh one would end with too: its model is not served again in this launch."""
RUN_MARKER = "VLMEVAL_MP_RUN"
"""Environment variable by which a run's processes are recognised, whoever their parent is now."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, as opposed to what: nothing here can change an answer.

    `windows` and `engine_args` are those of this launch by model; a window of 0 is left to the engine. `asked` is what
    this launch asked for, of which scoring counts here; None is what was frozen. `scored` False leaves the scores to a
    later `eval`. `verbose` has every answer logged by its worker. `notes` are said at the start.
    """

    tensor_parallel: int = 1
    windows: Mapping[str, int] = field(default_factory=dict)
    engine_args: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    asked: RunSpec | None = None
    scored: bool = True
    verbose: bool = False
    notes: tuple[tuple[Literal["info", "warning"], str], ...] = ()


@dataclass(slots=True)
class Slot:
    """One device group and the worker on it, if any. `deaths` counts those in a row that brought no answer."""

    name: str
    group: DeviceGroup
    handle: Handle | None = None
    model: str = ""
    deaths: int = 0
    start_after: float = 0.0
    ended: float = 0.0
    parked: bool = False


class Supervisor:
    """Brings one run to its end on the given device groups."""

    def __init__(
        self,
        paths: RunPaths,
        record: RunRecord,
        groups: Sequence[DeviceGroup],
        launcher: Launcher,
        options: Options,
        on_tick: Callable[[RunState], None],
        on_answer: Callable[[Job, Prediction], None] | None = None,
    ) -> None:
        self.on_answer = on_answer
        self.paths, self.record, self.launcher, self.options, self.on_tick = paths, record, launcher, options, on_tick
        self.slots = [Slot(f"w{i}", group) for i, group in enumerate(groups)]
        self.owner = owners.current()
        self.queue = Queue(paths.queue)
        self.reader = Reader(paths, record)
        self.finisher = Finisher(
            paths, record, options.asked or record.spec, scored=options.scored, collected=on_answer is not None
        )
        self.leases = Leases()
        self.models = {j.name: j.model for j in record.jobs}
        self.events: deque[Event] = deque(maxlen=50)
        self.phase: Phase = "starting"
        self.started = time.time()
        self.fatal: dict[str, int] = {}
        self.unavailable: dict[str, str] = {}
        self.fallen: set[int] = set()
        self.heard = Heard()
        self.waited_for: set[str] = set()
        self.signals: list[int] = []
        self.stopping: Literal["", "draining", "killed"] = ""
        self.gpu_stats: tuple[GpuStats, ...] = ()
        self.baseline: dict[str, int] = {}
        self.served: dict[tuple[str, str], Served] = {}
        self._next_reap = self._next_look = 0.0
        self._snapshot: Snapshot | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until the run is finished, cannot go on, or is interrupted; gives the exit code.

        Raises:
            ConfigError: another supervisor is at work on this run.
        """
        lock = FileLock(self.paths.supervisor_lock, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"run {self.record.spec.name!r} is being worked on by another launch; watch it with: "
                f"vlmeval-mp status {self.record.spec.name} --watch"
            ) from None
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return self._run()
        finally:
            if not self.finisher.idle():  # an error ended the run; the process must not wait for hours to leave
                self.finisher.stop()
            self._stop_all()
            for number, handler in previous.items():
                signal.signal(number, handler)
            lock.release()

    def _run(self) -> int:
        sweep_orphans(self.paths.root)
        self._restore()
        self._look_at_gpus()
        self.baseline = {g.uuid: g.memory_used for g in self.gpu_stats}
        self.phase = "working"
        for level, text in self.options.notes:
            self._event(text, level)
        while True:
            self._obey_signals()
            self._collect_ended()
            self._reap()
            snapshot = self._look()
            self.finisher.advance(snapshot.shards, self.reader.done)
            if not self.stopping:
                self._start_idle(snapshot)
            self._show(snapshot)
            if self._over(snapshot):
                return self._end()
            time.sleep(TICK)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)

    def _obey_signals(self) -> None:
        if len(self.signals) == 1 and not self.stopping:
            self.stopping, self.phase = "draining", "draining"
            self._event("finishing what is in flight; Ctrl-C again stops at once", "warning")
            for slot in self._running():
                slot.handle.drain()  # type: ignore[union-attr]
        elif len(self.signals) > 1 and self.stopping != "killed":
            self.stopping = "killed"
            self._event("stopping at once; what was answered is safe", "warning")
            for slot in self._running():
                slot.handle.kill()  # type: ignore[union-attr]

    def _running(self) -> list[Slot]:
        return [s for s in self.slots if s.handle is not None]

    def _over(self, snapshot: Snapshot) -> bool:
        if self._running():
            return False
        if self.stopping or EXIT_DISK in self.fatal.values():
            return True
        if not self._left(snapshot):
            return self.finisher.idle()
        if not any(c.pending or c.claimed for c in snapshot.shards.values()):
            self._restore()
        return all(s.parked for s in self.slots) or not any(self._left(snapshot, m) for m in self._servable())

    def _end(self) -> int:
        """Let the last results be written, show the end, and say how it went."""
        while not self.finisher.idle():
            self._obey_signals()
            if self.stopping == "killed":
                self.finisher.stop()  # each time: one evaluator may have begun since
            self._show(self._look())
            time.sleep(TICK)
        self.finisher.close()
        self._next_look = 0.0
        snapshot = self._look()
        self.phase = "stopped"
        self._show(snapshot)
        if self.finisher.error is not None:
            raise self.finisher.error
        if self._left(snapshot) or self.finisher.left:
            if self.signals:
                return EXIT_SIGINT if self.signals[0] == signal.SIGINT else EXIT_SIGTERM
            for code in (EXIT_DISK, EXIT_USAGE, EXIT_DEPENDENCY):
                if code in self.fatal.values():
                    return code
            return EXIT_NO_WORKER if all(s.parked for s in self.slots) else EXIT_INCOMPLETE
        failed = any(c.failed_samples or c.failed for c in snapshot.shards.values())
        return EXIT_FAILED_SAMPLES if failed else EXIT_COMPLETE

    def _stop_all(self) -> None:
        """Leave no process and no claim behind; quick when `_run` ended normally."""
        for slot in self._running():
            slot.handle.kill()  # type: ignore[union-attr]
        deadline = time.monotonic() + KILL_WAIT
        while self._running() and time.monotonic() < deadline:
            for slot in self._running():
                if slot.handle is not None and slot.handle.poll() is not None:
                    slot.handle = None
            time.sleep(0.01)
        self.queue.reap(self._is_dead, to_blame=lambda _: False)
        self.phase = "stopped"
        self._write_status()

    # --- workers ---------------------------------------------------------------------------------------------------

    def _collect_ended(self) -> None:
        for slot in self._running():
            handle = slot.handle
            code = handle.poll() if handle else None
            if handle is not None and code is not None:
                slot.handle, slot.ended = None, time.monotonic()
                self._next_reap = self._next_look = 0.0
                self._judge_end(slot, handle.pid, code)

    def _judge_end(self, slot: Slot, pid: int, code: int) -> None:
        status = self._status_of(slot)
        if status is not None and status.pid != pid:
            status = None  # it died before its first heartbeat; this is its predecessor's
        message = status.message if status and status.phase == "failed" else ""
        if code == EXIT_COMPLETE or self.stopping:
            slot.deaths = 0
            return
        if code in MEANING:
            self.fatal[slot.model] = code
            why = message or f"{MEANING[code]}; see {self.paths.log(slot.name)}"
            if code == EXIT_INCOMPLETE:
                self.unavailable[slot.model] = why
            self._event(f"{slot.name} cannot serve {slot.model}: {why}", "error")
            return
        self.fallen.add(pid)
        slot.deaths = 1 if status and status.answered > status.failed else slot.deaths + 1
        why = message or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        log_file = self.paths.log(slot.name)
        if slot.deaths >= RESTART_LIMIT:
            slot.parked = True
            self._event(f"{slot.name} died {slot.deaths} times without an answer ({why}); see {log_file}", "error")
            return
        wait = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (slot.deaths - 1))
        slot.start_after = time.monotonic() + wait
        self._event(f"{slot.name} died ({why}); starting it again in {wait:.1f} s; see {log_file}", "warning")

    def _status_of(self, slot: Slot) -> WorkerStatus | None:
        try:
            return msgspec.json.decode(self.paths.worker(slot.name).read_bytes(), type=WorkerStatus)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return None

    def _start_idle(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if slot.handle is not None or slot.parked or now < slot.start_after or EXIT_DISK in self.fatal.values():
                continue
            if slot.ended and now < slot.ended + MEMORY_WAIT and slot.group.gpus:
                self._look_at_gpus()
                if not gpus.memory_is_back(slot.group, self.baseline, self.gpu_stats):
                    continue
            model = self._choose_model(snapshot)
            if model is None:
                return
            self._start(slot, model)

    def _choose_model(self, snapshot: Snapshot) -> str | None:
        """The model with most pending shards per worker; None if every shard is spoken for."""
        waiting = Counter(
            {m: sum(c.pending for j, c in snapshot.shards.items() if self.models[j] == m) for m in self._servable()}
        )
        at_work = Counter(s.model for s in self._running())
        working = {w.worker for w in snapshot.workers if w.phase == "working" and w.worker in snapshot.live}
        for slot in self._running():
            if slot.name not in working:
                waiting[slot.model] -= 1  # it is loading and will claim at least one
        best = max(waiting, key=lambda m: waiting[m] / (at_work[m] + 1), default=None)
        return best if best is not None and waiting[best] > 0 else None

    def _servable(self) -> list[str]:
        return [m.name for m in self.record.spec.models if m.name not in self.fatal]

    def _start(self, slot: Slot, model: str) -> None:
        spec = next(m for m in self.record.spec.models if m.name == model)
        args = self.options.engine_args.get(model, spec.engine_args)
        argv = [
            sys.executable, "-m", "vlmeval_mp.pool.worker", str(self.paths.root), "--name", slot.name, "--model", model,
            "--device", slot.group.device, "--devices", slot.group.label, "--gpus", ",".join(slot.group.gpus),
            "--tp", str(self.options.tensor_parallel), "--window", str(self.options.windows.get(model, 0)),
            "--engine-args", json.dumps(args), *(["--verbose"] if self.options.verbose else []),
        ]  # fmt: skip
        env = gpus.worker_environment(os.environ, slot.group) | {RUN_MARKER: str(self.paths.root)}
        slot.model = model
        slot.handle = self.launcher.start(Command(tuple(argv), env, self.paths.log(slot.name), slot.group.cores))
        self._event(f"{slot.name} started for {model} on {slot.group.label} (pid {slot.handle.pid})")

    # --- queue and facts -------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        if time.monotonic() < self._next_reap:
            return
        self._next_reap = time.monotonic() + REAP_SECONDS
        reaped = self.queue.reap(self._is_dead, to_blame=self._fell)
        if reaped:
            self._event(f"{len(reaped)} shards of dead workers are pending again", "warning")

    def _fell(self, owner: Owner) -> bool:
        """Whether it was a worker of this supervisor that died on its own."""
        return owner.pid in self.fallen and owners.is_dead(owner) is True

    def _restore(self) -> None:
        shards = [s for j in self.record.jobs for s in shards_of(j.name, j.samples, self.record.spec.shard_size)]
        restored = self.queue.restore(shards)
        if restored:
            self._event(f"{restored} shards were in no folder; they are pending again", "warning")

    def _is_dead(self, owner: Owner) -> bool:
        dead = owners.is_dead(owner)
        if dead is not None:
            return dead
        if str(owner) not in self.waited_for:
            self.waited_for.add(str(owner))
            who = f"process {owner.pid} on {owner.host}"
            self._event(
                f"{who} holds shards; they are taken over once it was silent for {LEASE_SECONDS:.0f} s", "warning"
            )
        beats = {w.owner: w.beat for w in self._snapshot.workers} if self._snapshot else {}
        return self.leases.expired(str(owner), beats.get(str(owner)), time.monotonic())

    def _look(self) -> Snapshot:
        """The facts, at most as often as costs a tenth of the time."""
        now = time.monotonic()
        if self._snapshot is None or now >= self._next_look:
            self._snapshot = self.reader.read()
            if self.reader.damage is not None:
                raise self.reader.damage
            self._next_look = now + max(TICK, 10 * (time.monotonic() - now))
            self._look_at_gpus()
            for worker in self._snapshot.workers:
                if worker.started >= self.started - 1.0:
                    self.served |= {(worker.owner, job): span for job, span in worker.spans.items()}
            for text, level in self.heard.news(noticed(self._snapshot), time.time()):
                self._event(text, level)
        return self._snapshot

    def _look_at_gpus(self) -> None:
        if any(s.group.gpus for s in self.slots):
            self.gpu_stats = tuple(gpus.discover())

    def _left(self, snapshot: Snapshot, model: str | None = None) -> int:
        """Samples of shards that are neither done nor failed."""
        return sum(
            job.samples - snapshot.shards.get(job.name, ShardCounts()).settled
            for job in self.record.jobs
            if model is None or job.model == model
        )

    def _show(self, snapshot: Snapshot) -> None:
        status = self._write_status()
        while self.on_answer is not None and self.finisher.answers:
            self.on_answer(*self.finisher.answers.popleft())
        self.on_tick(fold(msgspec.structs.replace(snapshot, supervisor=status, supervisor_alive=True), time.time()))

    def _write_status(self) -> SupervisorStatus:
        status = SupervisorStatus(
            pid=os.getpid(),
            owner=str(self.owner),
            phase=self.phase,
            time=time.time(),
            started=self.started,
            tallies=self.finisher.tallies(),
            rates=rates(self.served),
            finished=self.finisher.finished(),
            gpus=self.gpu_stats,
            events=tuple(self.events),
        )
        try:
            files.atomic_write(self.paths.supervisor, msgspec.json.encode(status), durable=False)
        except StorageError as error:
            log.warning("%s", error)
        return status

    def _event(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        self.events.append(Event(time=time.time(), text=text, level=level))
        log.log({"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}[level], "%s", text)


def rates(served: Mapping[tuple[str, str], Served]) -> dict[str, float]:
    """Samples/s of each job over all workers, from its first request to its last answer."""
    by_job: dict[str, list[Served]] = {}
    for (_, job), span in served.items():
        by_job.setdefault(job, []).append(span)
    found = {}
    for job, spans in by_job.items():
        seconds = max(s.last for s in spans) - min(s.first for s in spans)
        if seconds > 0:
            found[job] = sum(s.answered for s in spans) / seconds
    return found


def sweep_orphans(run: Path) -> int:
    """Kill this host's leftover processes of `run`; gives how many groups. The caller holds the run's lock.

    There are some only if a supervisor and a guardian were both killed: what a worker had started may then live on.
    """
    marker = f"{RUN_MARKER}={run}".encode()
    swept = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if marker in (folder / "environ").read_bytes().split(b"\0"):
                swept.add(os.getpgid(int(folder.name)))
        except (OSError, ProcessLookupError):
            continue
    for group in swept - {os.getpgrp()}:
        log.warning("killing leftover processes of this run (group %d)", group)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    return len(swept)
