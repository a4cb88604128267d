"""Brings a run to its end: keeps workers going, gives back what dead ones held, finishes jobs, stops everything.

Never imports the worker, an engine or the display: a worker is a process of its own, and the display is an `on_tick`
callable. What the supervisor knows beyond the disk (restarts, events) is telemetry; a supervisor that is killed is
replaced by the next `launch` of the same run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Literal

import msgspec

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
)
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.core.records import GpuStats, Job, Prediction, RunRecord, SupervisorStatus
from vlmeval_mp.pool.devices import gpus
from vlmeval_mp.pool.devices.gpus import DeviceGroup
from vlmeval_mp.pool.launchers.base import Launcher
from vlmeval_mp.pool.supervisor import past
from vlmeval_mp.pool.supervisor.finisher import Finisher
from vlmeval_mp.pool.supervisor.leases import LEASE_SECONDS, Leases
from vlmeval_mp.pool.supervisor.options import Options
from vlmeval_mp.pool.supervisor.orphans import sweep_orphans
from vlmeval_mp.pool.supervisor.slots import KILL_WAIT, Slots
from vlmeval_mp.pool.supervisor.status import GpuHistory, Telemetry
from vlmeval_mp.pool.supervisor.story import Story, total
from vlmeval_mp.runs import history, inspection, owners, progress, reopening, stops
from vlmeval_mp.runs.holding import hold
from vlmeval_mp.runs.notices import NoticeLog
from vlmeval_mp.runs.owners import Owner
from vlmeval_mp.runs.queue import Queue
from vlmeval_mp.runs.shards import shards_of
from vlmeval_mp.runs.snapshot import Reader
from vlmeval_mp.runs.state import RunState, ShardCounts, Snapshot, fold, noticed
from vlmeval_mp.scoring.metrics import stopping

TICK = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Each drains: batch systems send any of the last four before they end a job."""
LOOKING = 0.02
"""Share of one core that reading the queue and the heartbeats may take, where a large run makes a look long."""
STOPS = 2
"""Signals that end a run in order: the first drains, the second kills. One more and this process leaves at once."""
REAP_SECONDS = 2.0


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
        self.paths, self.record, self.options, self.launcher = paths, record, options, launcher
        self.on_tick, self.on_answer = on_tick, on_answer
        self.telemetry = Telemetry(paths.supervisor, owners.current())
        self.slots = Slots(paths, record, groups, launcher, options, self.telemetry, self._memory_is_back)
        self.groups = list(groups)
        self.has_gpus = any(group.gpus for group in groups)
        self.queue = Queue(paths.queue)
        self.reader = Reader(paths, record, self.queue)
        self.finisher = Finisher(
            paths, record, options.asked or record.spec, scored=options.scored, collected=on_answer is not None
        )
        self.leases = Leases()
        self.notice_log, self.story = NoticeLog(), Story()
        self.waited_for: set[str] = set()
        self.told: set[str] = set()
        self.signals: list[int] = []
        self.stopping: Literal["", "draining", "killed"] = ""
        self.gpu_stats: tuple[GpuStats, ...] = ()
        self.gpu_history = GpuHistory()
        self.baseline: dict[str, int] = {}
        self._next_reap = self._next_look = self._drain_until = 0.0
        self._snapshot: Snapshot | None = None

    @property
    def _history(self) -> Path:
        return JobsPaths(self.paths.root.parent).history

    @property
    def interrupted(self) -> int:
        """The exit code of a launch that a signal ended."""
        return EXIT_SIGTERM if self.signals and self.signals[0] != signal.SIGINT else EXIT_SIGINT

    # --- life ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until the run is finished, cannot go on, or is interrupted; return the exit code.

        Raises:
            ConfigError: another supervisor is at work on this run.
        """
        with hold(self.paths, self.record.spec.name):
            return self._run_alone()

    def _run_alone(self) -> int:
        previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            return self._run()
        finally:
            if not self.finisher.idle():  # an error ended the run; the process must not wait for hours to leave
                self.finisher.stop()
            self._stop_all()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        sweep_orphans(self.paths.root)
        for sentence in inspection.inspect(self.paths, self.record).sentences():
            self.telemetry.event(sentence, "warning")
        self._restore()
        self._look_at_gpus()
        self.baseline = {g.uuid: g.memory_used for g in self.gpu_stats}
        self.telemetry.usual = past.usual(self._history, self._settings(), self.record)
        self.telemetry.phase = "working"
        for level, text in self.options.notes:
            self.telemetry.event(text, level)
        snapshot = self._look()
        if self._left(snapshot):
            if not self.signals:
                self.slots.start_idle(snapshot)  # workers load while their predecessors' answers are counted
            self.telemetry.kept = self._on_disk(self._state(snapshot))
        else:
            self.telemetry.end(0.0)  # a run that was finished before took as long as it did then
        while True:
            self._obey_signals()
            if self.slots.collect_ended(stopping=bool(self.stopping)):
                self._next_reap = self._next_look = 0.0
            self._reap()
            snapshot = self._look()
            self._withdraw(snapshot)
            self.finisher.advance(snapshot.shards, self.reader.done)
            if not self.stopping:
                self.slots.end_stuck(snapshot)
                self.slots.end_late({m.name for m in self.record.spec.models if not self._left(snapshot, m.name)})
                self.slots.start_idle(snapshot)
            self._show(snapshot)
            if self._over(snapshot):
                return self._end()
            time.sleep(TICK)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)
        if len(self.signals) > STOPS:
            raise KeyboardInterrupt

    def _obey_signals(self) -> None:
        if len(self.signals) == 1 and not self.stopping:
            self.stopping, self.telemetry.phase = "draining", "draining"
            most = self.options.drain_seconds
            self._drain_until = time.monotonic() + most
            self.telemetry.event(
                f"finishing what is in flight, for {most:.0f} s at most; Ctrl-C again stops at once", "warning"
            )
            self.slots.drain()
        elif len(self.signals) > 1 and self.stopping != "killed":
            self._kill("stopping at once; what was answered is safe")
        elif self.stopping == "draining" and time.monotonic() >= self._drain_until and self.slots.any_running():
            self._kill(f"not finished after {self.options.drain_seconds:.0f} s; stopping, what was answered is safe")

    def _kill(self, why: str) -> None:
        self.stopping = "killed"
        self.telemetry.event(why, "warning")
        self.slots.kill()

    def _over(self, snapshot: Snapshot) -> bool:
        if self.slots.any_running():
            return False
        if self.stopping or EXIT_DISK in self.slots.fatal.values():
            return True
        if not self._left(snapshot):
            return self.finisher.idle()
        if not any(c.pending or c.claimed for c in snapshot.shards.values()):
            self._restore()
        return not any(self._left(snapshot, m) for m in self.slots.servable())

    def _end(self) -> int:
        """Let the last results be written, show the end and return the exit code."""
        while not self.finisher.idle():
            self._obey_signals()
            if self.stopping == "killed":
                self.finisher.stop()  # each time: one evaluator may have begun since
            self._show(self._look())
            time.sleep(TICK)
        self.finisher.close()
        self._next_look = 0.0
        snapshot = self._look()
        state = self._state(snapshot)
        self.telemetry.kept = self._on_disk(state)
        done = min(state.total, sum(self.telemetry.kept.values()))
        self.telemetry.event(total(msgspec.structs.replace(state, done=done), self.telemetry.spent()))
        self.telemetry.write_time(self.paths.time)
        self._keep_history()
        self.telemetry.phase = "stopped"  # only now: who follows the run leaves at that
        self._show(snapshot)
        if self.finisher.error is not None:
            raise self.finisher.error
        if self._left(snapshot) or self.finisher.left:
            if self.signals:
                return self.interrupted
            for code in (EXIT_DISK, EXIT_USAGE, EXIT_DEPENDENCY, EXIT_NO_WORKER):
                if code in self.slots.fatal.values():
                    return code
            return EXIT_NO_WORKER if self.slots.without_worker() else EXIT_INCOMPLETE
        failed = any(c.failed_samples or c.failed for c in snapshot.shards.values())
        return EXIT_FAILED_SAMPLES if failed else EXIT_COMPLETE

    def _on_disk(self, state: RunState) -> dict[str, int]:
        """Return how many samples of each job are answered, also those in unfinished shards, which nobody holds now."""
        return {
            job.name: job.done if job.finished else max(job.done, progress.answered(self.paths.checkpoints, job.name))
            for job in state.jobs
        }

    def _keep_history(self) -> None:
        """Write down what this launch took, for `plan` and for what later launches expect."""
        lines = past.launches(self.record, self._settings(), self.telemetry.workers(), self.telemetry.served())
        history.append(self._history, lines)

    def _settings(self) -> dict[str, history.Setting]:
        tensor_parallel = self.options.tensor_parallel
        return {
            m.name: past.setting(self.record, m.name, self.groups[0], tensor_parallel.get(m.name, 1), self.gpu_stats)
            for m in self.record.spec.models
        }

    def _stop_all(self) -> None:
        """Leave no process and no claim behind; quick when `_run` ended normally."""
        self.slots.kill_and_wait(0.0 if len(self.signals) > STOPS else KILL_WAIT)
        self.queue.reap(self._is_dead, to_blame=lambda _: False)
        self.telemetry.phase = "stopped"
        self._write_status()

    # --- queue and facts -------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        if time.monotonic() < self._next_reap:
            return
        self._next_reap = time.monotonic() + REAP_SECONDS
        reaped = self.queue.reap(self._is_dead, to_blame=self.slots.is_suspected)
        if reaped:
            self.telemetry.event(f"{len(reaped)} shards of dead workers are pending again", "warning")

    def _withdraw(self, snapshot: Snapshot) -> None:
        """Take what is left of jobs that ended early out of the queue, and say so once."""
        for job, stop in self.reader.stops.items():
            if snapshot.shards.get(job, ShardCounts()).pending:
                self.queue.withdraw(job, stop.asked)
            if job not in self.told:
                self.told.add(job)
                self.telemetry.event(f"{job}: {stopping.sentence(stop)}")

    def _restore(self) -> None:
        if again := reopening.finish(self.queue):
            self.telemetry.event(f"a retry that was interrupted goes on: {again} shards are asked again")
        shards = [s for j in self.record.jobs for s in shards_of(j.name, j.samples, self.record.spec.shard_size)]
        restored = self.queue.restore(stops.still_wanted(self.paths, shards))
        if restored:
            self.telemetry.event(f"{restored} shards were in no folder; they are pending again", "warning")

    def _is_dead(self, owner: Owner) -> bool:
        if str(owner) in self.slots.ended_owners:
            return True  # its launcher saw the end, on whichever host that was
        dead = owners.is_dead(owner)
        if dead is not None:
            return dead
        if str(owner) not in self.waited_for:
            self.waited_for.add(str(owner))
            who = f"process {owner.pid} on {owner.host}"
            self.telemetry.event(
                f"{who} holds shards; they are taken over once it was silent for {LEASE_SECONDS:.0f} s", "warning"
            )
        beats = {w.owner: w.beat for w in self._snapshot.workers} if self._snapshot else {}
        return self.leases.expired(str(owner), beats.get(str(owner)), time.monotonic())

    def _look(self) -> Snapshot:
        """Return the facts, read again at most as often as costs a tenth of the time and `LOOKING` of one core."""
        now, used = time.monotonic(), time.thread_time()
        if self._snapshot is None or now >= self._next_look:
            self._snapshot = self.reader.read()
            if self.reader.damage is not None:
                raise self.reader.damage
            self._look_at_gpus()
            wall, processor = time.monotonic() - now, time.thread_time() - used
            self._next_look = now + max(TICK, 10 * wall, processor / LOOKING)
            self.telemetry.note_served(self._snapshot.workers)
            for text, level in self.notice_log.changes(noticed(self._snapshot), time.time()):
                self.telemetry.event(text, level)
            for text in self.story.changes(self._snapshot):
                self.telemetry.event(text)
        return self._snapshot

    def _look_at_gpus(self) -> None:
        if self.has_gpus:
            self.gpu_stats = self.gpu_history.with_recent(self.launcher.devices(), time.monotonic())

    def _memory_is_back(self, group: DeviceGroup) -> bool:
        self._look_at_gpus()
        return gpus.memory_is_back(group, self.baseline, self.gpu_stats)

    def _left(self, snapshot: Snapshot, model: str | None = None) -> int:
        """Return how many samples stand in shards that are neither done nor failed."""
        return sum(
            job.samples - snapshot.shards.get(job.name, ShardCounts()).settled
            for job in self.record.jobs
            if model is None or job.model == model
        )

    def _show(self, snapshot: Snapshot) -> None:
        while self.finisher.news:
            self.telemetry.event(*self.finisher.news.popleft())
        while self.on_answer is not None and self.finisher.answers:
            self.on_answer(*self.finisher.answers.popleft())
        self.on_tick(self._state(snapshot))

    def _state(self, snapshot: Snapshot) -> RunState:
        status = self._write_status()
        return fold(msgspec.structs.replace(snapshot, supervisor=status, supervisor_alive=True), time.time())

    def _write_status(self) -> SupervisorStatus:
        self.telemetry.at_work = self.slots.at_work()
        finished = self.finisher.finished()
        if len(finished) == len(self.record.jobs):
            self.telemetry.end()
        return self.telemetry.write(self.finisher.tallies(), finished, self.gpu_stats)
