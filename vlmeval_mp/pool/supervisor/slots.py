"""The slots, one per device group: the model of each, the meaning of a worker's end, and the rests.

Never imports the worker or an engine: a worker is `python -m vlmeval_mp.pool.worker` in a process of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from vlmeval_mp.core import credentials, jsonfiles
from vlmeval_mp.core.errors import (
    EXIT_COMPLETE,
    EXIT_DEPENDENCY,
    EXIT_DISK,
    EXIT_INCOMPLETE,
    EXIT_NO_WORKER,
    EXIT_USAGE,
)
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import STARTING, RunRecord, WorkerStatus
from vlmeval_mp.engines.registry import API_ENGINE
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.launchers.base import Command, Dumps, Handle, Launcher
from vlmeval_mp.pool.supervisor import blame, causes, choosing
from vlmeval_mp.pool.supervisor.ladder import Ladder
from vlmeval_mp.pool.supervisor.options import Options
from vlmeval_mp.pool.supervisor.orphans import RUN_MARKER
from vlmeval_mp.pool.supervisor.slot import Slot, back_off
from vlmeval_mp.pool.supervisor.status import Telemetry
from vlmeval_mp.pool.supervisor.stuck import Limits, Watch
from vlmeval_mp.runs import inflight
from vlmeval_mp.runs.shards import Entry
from vlmeval_mp.runs.state import Snapshot
from vlmeval_mp.runs.suspects import Death, Suspects

RESTART_LIMIT = 7
"""Deaths in a row without one answered sample after which a worker is not started again."""
KILLS_LIMIT = 50
"""The same for deaths that somebody else caused, such as kills by a scheduler."""
MEMORY_WAIT = 60.0
KILL_WAIT = 15.0
LOADING = frozenset({"start", "loading"})
"""All that a worker has spent its time on whose engine never began to work."""
DUMP_SECONDS = 1.0
"""Time for the stacks of a stuck worker to reach its log."""
MEANING = {
    EXIT_USAGE: "its configuration is refused",
    EXIT_DEPENDENCY: "something it needs is missing",
    EXIT_DISK: "the disk failed or is full",
    EXIT_INCOMPLETE: "what its engine depends on is not there",
}
"""Exit codes of a worker that a fresh one would end with too: its model is not served again in this launch."""
BECAUSE: dict[blame.Cause, str] = {
    "inside": "", "outside": " from outside", "memory": ": the host ran out of memory", "stuck": "",
}  # fmt: skip


class Slots:
    """The slots of one launch.

    `fatal` holds the exit code of each model that is not served again, `unavailable` the reason where its endpoint was
    not there, `ended_owners` the owners of claims that have ended. `memory_is_back` tells whether the memory that a
    dead worker had on its GPUs is free again.
    """

    def __init__(
        self,
        paths: RunPaths,
        record: RunRecord,
        groups: Sequence[DeviceGroup],
        launcher: Launcher,
        options: Options,
        telemetry: Telemetry,
        memory_is_back: Callable[[DeviceGroup], bool],
    ) -> None:
        self.fatal: dict[str, int] = {}
        self.unavailable: dict[str, str] = {}
        self.ended_owners: set[str] = set()
        self._suspects = Suspects(paths.suspects, f"{int(time.time())}-{os.getpid()}-{secrets.token_hex(3)}")
        self._blamed: dict[str, list[Death]] = {}
        self._slots = [Slot(f"w{i}", group) for i, group in enumerate(groups)]
        self._models = {j.name: j.model for j in record.jobs}
        self._paths, self._record, self._launcher, self._options = paths, record, launcher, options
        self._telemetry, self._memory_is_back = telemetry, memory_is_back
        self._most = max(sum(self._fits(s, m.name) for s in self._slots) for m in record.spec.models)
        self._watch = Watch()
        engines = {m.name: m.engine for m in record.spec.models}
        self._ladder = Ladder(paths.adjustments, engines, options.windows)
        for model in engines:
            if less := self._ladder.go_on(model, self._args_of(model)):
                said = f"{model} goes on with less, as memory ran out before: {less}"
                telemetry.event(f"{said}; delete {paths.adjustments} to try with all again", "warning")

    # --- all of them -----------------------------------------------------------------------------------------------

    def any_running(self) -> bool:
        return bool(self._running())

    def without_worker(self) -> list[str]:
        """Return the names of the models of which no slot starts a worker again."""
        return [m.name for m in self._record.spec.models if all(s.parked for s in self._slots if self._fits(s, m.name))]

    def servable(self) -> list[str]:
        """Return the names of the models that a fresh worker might serve."""
        gone = {*self.fatal, *self.without_worker()}
        return [m.name for m in self._record.spec.models if m.name not in gone]

    def _fits(self, slot: Slot, model: str) -> bool:
        return slot.group.serves(self._options.tensor_parallel.get(model, 1))

    def drain(self) -> None:
        for _, handle in self._running():
            handle.drain()

    def kill(self) -> None:
        for _, handle in self._running():
            handle.kill()

    def kill_and_wait(self, seconds: float = KILL_WAIT) -> None:
        """Leave no process behind; return after `seconds` at the latest. Guardians end what is left then."""
        self.kill()
        deadline = time.monotonic() + seconds
        while (running := self._running()) and time.monotonic() < deadline:
            for slot, handle in running:
                if handle.poll() is not None:
                    slot.handle = None
            time.sleep(0.01)

    def end_stuck(self, snapshot: Snapshot) -> None:
        """Have stuck workers write where they are, and kill them a moment later."""
        now = time.monotonic()
        self._watch.look(now)
        statuses = {status.worker: status for status in snapshot.workers}
        for slot, handle in self._running():
            if slot.stuck:
                if now >= slot.kill_at:
                    handle.kill()
                continue
            slot.stuck = self._verdict(slot, handle.pid, statuses.get(slot.name), now)
            if slot.stuck:
                slot.kill_at = now + DUMP_SECONDS
                if isinstance(handle, Dumps):
                    handle.dump()
                log_file = self._paths.log(slot.name)
                said = f"{slot.name} is stuck: {slot.stuck}; it is killed, where it was is in {log_file}"
                self._telemetry.event(said, "warning")

    def _verdict(self, slot: Slot, pid: int, status: WorkerStatus | None, now: float) -> str:
        size, limits, patience = self._log_size(slot), self._limits(slot.model), 2**slot.stalls
        if status is None or status.pid != pid:
            return self._watch.unborn(slot.name, size, limits, patience, now)
        return self._watch.verdict(status, size, limits, patience, now)

    def end_late(self, finished: Collection[str]) -> None:
        """Kill workers that still load one of the models of which nothing is left: nobody should wait for them."""
        for slot, handle in self._running():
            if slot.late or slot.model not in finished:
                continue
            status = self._status_of(slot)
            if status is None or status.pid != handle.pid or status.phase in STARTING:
                slot.late = True
                self._telemetry.event(f"{slot.name} is not needed any more: nothing is left for {slot.model}")
                handle.kill()

    def _limits(self, model: str) -> Limits:
        engine = next(m.engine for m in self._record.spec.models if m.name == model)
        return Limits(self._options.sample_timeout, self._options.stall_timeout, learned=engine != API_ENGINE)

    def _log_size(self, slot: Slot) -> int:
        try:
            return self._paths.log(slot.name).stat().st_size
        except OSError:
            return 0

    def _running(self) -> list[tuple[Slot, Handle]]:
        return [(s, s.handle) for s in self._slots if s.handle is not None]

    # --- a worker's end --------------------------------------------------------------------------------------------

    def collect_ended(self, stopping: bool) -> bool:
        """Judge the workers that have ended; return whether there were any. No end is a death while `stopping`."""
        ended = False
        for slot, handle in self._running():
            code = handle.poll()
            if code is not None:
                slot.handle, slot.ended, ended = None, time.monotonic(), True
                self._judge_end(slot, handle.pid, code, stopping)
        return ended

    def _judge_end(self, slot: Slot, pid: int, code: int, stopping: bool) -> None:
        stuck, slot.stuck = slot.stuck, ""
        self._watch.forget(slot.name)
        status = self._status_of(slot)
        if status is not None and status.pid != pid:
            status = None  # it died before its first heartbeat; this is its predecessor's
        if status is not None:
            self.ended_owners.add(status.owner)
        message = status.message if status and status.phase == "failed" else ""
        late, slot.late = slot.late, False
        if code == EXIT_COMPLETE or stopping or late:
            slot.deaths = 0
            slot.idle_ends = 0 if late or (status is not None and status.answered) else slot.idle_ends + 1
            slot.start_after = time.monotonic() + (back_off(slot.idle_ends) if slot.idle_ends else 0.0)
            return
        if code in MEANING and not stuck:
            self.fatal[slot.model] = code
            why = message or f"{MEANING[code]}; see {self._paths.log(slot.name)}"
            if code == EXIT_INCOMPLETE:
                self.unavailable[slot.model] = why
            self._telemetry.event(f"{slot.name} cannot serve {slot.model}: {why}", "error")
            return
        cause: blame.Cause = "stuck" if stuck else blame.cause(code, status, blame.memory_kills() > slot.memory_kills)
        log_file = self._paths.log(slot.name)
        message, kind = self._told(slot, status, cause, message)
        if kind == "lasting":
            self.fatal[slot.model] = EXIT_NO_WORKER
            said = f"{slot.name} cannot serve {slot.model}: {message} (every start would end alike); see {log_file}"
            self._telemetry.event(said, "error")
            return
        less = self._ladder.step(slot.model, message, self._args_of(slot.model)) if kind == "memory" else ""
        if cause != "outside" and not less:
            self._suspect(slot, status)
        if status is not None and status.proven:
            slot.deaths = slot.kills = 0
        slot.deaths += cause != "outside" and not less
        slot.kills += cause == "outside"
        self._telemetry.note_death(slot.name, status.time if status else time.time())
        slot.stalls = slot.stalls + 1 if stuck else 0
        why = stuck or message or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        why += BECAUSE[cause]
        if slot.deaths >= RESTART_LIMIT or slot.kills >= KILLS_LIMIT:
            slot.parked = True
            self._telemetry.event(
                f"{slot.name} died {slot.deaths + slot.kills} times without an answer ({why}); see {log_file}", "error"
            )
            return
        wait = back_off(slot.deaths)
        slot.start_after = time.monotonic() + wait
        how = f" with less, as memory ran out: {less}" if less else ""
        said = f"{slot.name} died ({why}); starting it again in {wait:.1f} s{how}; see {log_file}"
        self._telemetry.event(said, "warning")

    def _told(
        self, slot: Slot, status: WorkerStatus | None, cause: blame.Cause, message: str
    ) -> tuple[str, causes.Kind]:
        """Return why a worker died, its engine's first cause if there is one, and what that means for the next one."""
        if cause != "inside" or status is None:
            return message, "memory" if cause == "memory" else "passing"
        loading = not set(status.spent) - LOADING
        text, kind = causes.told(message, self._paths.log(slot.name), slot.log_start, loading=loading)
        return credentials.masked(text, os.environ), kind

    def _suspect(self, slot: Slot, status: WorkerStatus | None) -> None:
        """Record the samples that the engine of a worker had when it died from inside."""
        if status is None:  # what its file holds is its predecessor's
            return
        had = inflight.read(self._paths.in_flight(slot.name))
        rows: dict[str, list[int]] = {}
        for number, row in had:
            if number < len(self._record.jobs):
                rows.setdefault(self._record.jobs[number].name, []).append(row)
        proven = len(had) == 1 and status.proven
        deaths = [Death(job=job, rows=tuple(sorted(found)), proven=proven) for job, found in rows.items()]
        self._suspects.note(deaths)
        self._blamed[status.owner] = deaths

    def is_suspected(self, entry: Entry) -> bool:
        """Return whether samples of a claimed entry were in its owner's engine when that died from inside."""
        shard = entry.shard
        deaths = [d for d in self._blamed.get(entry.owner, ()) if d.job == shard.job]
        return any(shard.first <= row <= shard.last for death in deaths for row in death.rows)

    def _status_of(self, slot: Slot) -> WorkerStatus | None:
        return jsonfiles.read_if_whole(self._paths.worker(slot.name), WorkerStatus)

    # --- a worker's start ------------------------------------------------------------------------------------------

    def start_idle(self, snapshot: Snapshot) -> None:
        """Start a worker on each slot that is free and has waited long enough, while shards wait for one."""
        free = [slot for slot in self._slots if self._is_free(slot)] if EXIT_DISK not in self.fatal.values() else []
        while free and len(self._running()) < self._most:
            model = self._choose_model(snapshot, [m for m in self.servable() if any(self._fits(s, m) for s in free)])
            if model is None:
                return
            fitting = [s for s in free if self._fits(s, model)]
            slot = min(fitting, key=lambda s: sum(s.group.meets(other.group) for other in free))
            self._start(slot, model)  # where it is least in the way of models that take more GPUs, or fewer
            free = [s for s in free if s is not slot and not s.group.meets(slot.group)]

    def _is_free(self, slot: Slot) -> bool:
        """Return whether a worker can start here: none is on these devices, and what the last one had is free again."""
        now = time.monotonic()
        if slot.handle is not None or slot.parked or now < slot.start_after:
            return False
        others = [s for s in self._slots if s.group.meets(slot.group)]
        if any(s.handle is not None for s in others):
            return False
        late = any(s.ended and now < s.ended + MEMORY_WAIT for s in others)
        return not late or self._memory_is_back(slot.group)

    def at_work(self) -> dict[str, int]:
        """Return how many workers each model has, loading ones included."""
        return dict(Counter(slot.model for slot, _ in self._running()))

    def _choose_model(self, snapshot: Snapshot, models: Sequence[str]) -> str | None:
        """Return which of `models` has most pending work per worker; None if every shard of theirs is spoken for."""
        waiting = Counter(dict.fromkeys(models, 0))
        for job in self._record.jobs:
            counts = snapshot.shards.get(job.name)
            if counts is not None and counts.pending and job.model in waiting:
                waiting[job.model] += job.samples - counts.settled - counts.claimed_samples
        at_work = Counter(s.model for s, _ in self._running())
        served = {w.worker for w in snapshot.workers if w.phase == "working" and w.held and w.worker in snapshot.live}
        for slot, _ in self._running():
            if slot.name not in served and slot.model in waiting:
                waiting[slot.model] -= self._record.spec.shard_size  # it holds nothing yet and will claim at least one
        return choosing.most_left(waiting, at_work, choosing.pace(self._models, self._telemetry.served()))

    def _args_of(self, model: str) -> dict[str, Any]:
        spec = next(m for m in self._record.spec.models if m.name == model)
        return self._options.engine_args.get(model, spec.engine_args)

    def _start(self, slot: Slot, model: str) -> None:
        args = self._ladder.engine_args(model, self._args_of(model))
        argv = [
            # -P: a random.py or a folder vllm/ where the launch was started must not stand before the libraries
            sys.executable, "-P", "-m", "vlmeval_mp.pool.worker", str(self._paths.root), "--name", slot.name,
            "--model", model, "--device", slot.group.device, "--devices", slot.group.label,
            "--gpus", ",".join(slot.group.gpus), "--tp", str(self._options.tensor_parallel.get(model, 1)),
            "--window", str(self._ladder.window(model)), "--engine-args", json.dumps(args),
            "--render-processes", str(self._options.render_processes),
            *(["--verbose"] if self._options.verbose else []),
        ]  # fmt: skip
        env = gpus.worker_environment(os.environ, slot.group) | {RUN_MARKER: str(self._paths.root)}
        env.setdefault("PYTHONFAULTHANDLER", "1")  # a child of the engine that crashes says where it was, too
        slot.model, slot.memory_kills, slot.log_start = model, blame.memory_kills(), self._log_size(slot)
        handle = self._launcher.start(Command(tuple(argv), env, self._paths.log(slot.name), slot.group.cores))
        slot.handle = handle
        self._telemetry.note_start(slot.name)
        self._telemetry.event(f"{slot.name} started for {model} on {slot.group.label} (pid {handle.pid})")
