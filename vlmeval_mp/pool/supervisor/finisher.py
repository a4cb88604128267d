"""Scores shards as they are done and finishes jobs when their last shard is, on a thread, while workers go on.

With `scored=False` answers are written and not scored. With `collected=True` the predictions of shards that become done
from now on wait in `answers` until the caller shows them.

The running tallies are telemetry; a finished job's files come from `merge` and `results` alone, so that an interrupted
and an undisturbed run write the same bytes.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import Any

from vlmeval_mp.core.errors import StorageError, VlmevalError
from vlmeval_mp.core.paths import RunPaths
from vlmeval_mp.core.records import Done, Job, Prediction, RunRecord, RunSpec, Tally
from vlmeval_mp.datasets.store import Dataset
from vlmeval_mp.pool.supervisor import story
from vlmeval_mp.pool.supervisor.live import Live
from vlmeval_mp.pool.supervisor.status import Level
from vlmeval_mp.runs import results, stops
from vlmeval_mp.runs.index import Index
from vlmeval_mp.runs.merge import MergedJob, dataset_of
from vlmeval_mp.runs.state import ShardCounts
from vlmeval_mp.runs.verdicts import Verdicts
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.families import aggregator_of
from vlmeval_mp.scoring.metrics.stopping import Stopping
from vlmeval_mp.vlmevalkit import client

log = logging.getLogger(__name__)


class Finisher:
    """One run's scoring thread. `error` is the first thing that went wrong there, for the caller to raise.

    `left`: a job is answered and was not scored, because `stop` was called. `news` are messages for people, which the
    caller takes: each sign of trouble in the answers once, and each job that is done with its score.

    `asked` decides how answers are scored, not the frozen spec, because scoring changes no answer.
    """

    def __init__(
        self, paths: RunPaths, record: RunRecord, asked: RunSpec, *, scored: bool = True, collected: bool = False
    ) -> None:
        self.error: VlmevalError | None = None
        self.left = self._stopping = False
        self.answers: deque[tuple[Job, Prediction]] = deque()
        self._scored, self._collected = scored, collected
        self._paths = paths
        self._rules = {j.name: results.rules_of(asked, j) for j in record.jobs}
        self._jobs = {j.name: j for j in record.jobs}
        self._alone = len({j.model for j in record.jobs}) == 1
        self._datasets: dict[str, Dataset] = {}
        self._indexes: dict[str, Index] = {}
        self._verdicts = {name: Verdicts(rules) for name, rules in self._rules.items()}
        self._tallies = {j.name: Tally() for j in record.jobs}
        self._running = {name: Live(rules) for name, rules in self._rules.items()}
        self._stops = {j.name: self._stopping_of(asked, j) for j in record.jobs if asked.stop_at}
        self.news: deque[tuple[str, Level]] = deque()
        self._looked_at = -1  # nothing yet, not even what was done when this launch began
        self._begun: set[str] = set()
        self._finished: list[str] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finisher")
        self._waiting: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        # while the workers load: imported at the first score, it would take a core from them as they answer
        self._at_work: Future[Any] | None = self._pool.submit(import_module, "scipy.special") if scored else None

    def advance(self, shards: Mapping[str, ShardCounts], done: Mapping[str, Done]) -> None:
        """Take up shards that became done, and jobs of which every sample is settled."""
        old = self._looked_at < 0
        for each in itertools.islice(done.values(), max(0, self._looked_at), None):  # which only ever grows
            self._waiting.append((self._look_at, (each, old)))
        self._looked_at = len(done)
        for name, job in self._jobs.items():
            if shards.get(name, ShardCounts()).settled >= job.samples and name not in self._begun:
                self._begun.add(name)
                self._waiting.append((self._finish, (job, list(done.values()))))
        self._begin()

    def tallies(self) -> dict[str, Tally]:
        return dict(self._tallies)

    def finished(self) -> tuple[str, ...]:
        """Return names of jobs whose results are on disk."""
        return tuple(self._finished)

    def idle(self) -> bool:
        self._begin()
        return self._at_work is None or self._at_work.done()

    def stop(self) -> None:
        """Wait for no evaluator of VLMEvalKit's, which may take hours; the next launch or `eval` asks it again."""
        self._stopping = True
        client.stop()

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _begin(self) -> None:
        """Have the thread work off what waits, unless it does. A future for each shard would take 2.5 kB each."""
        if self._waiting and (self._at_work is None or self._at_work.done()):
            self._at_work = self._pool.submit(self._work_off)

    def _work_off(self) -> None:
        while self._waiting:
            work, arguments = self._waiting.popleft()
            self._guarded(work, *arguments)

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except client.StoppedError:
            self.left = True
        except VlmevalError as error:
            log.error("%s", error)
            self.error = self.error or error
        except Exception as error:
            log.exception("scoring failed")
            self.error = self.error or StorageError(f"scoring failed: {error!r}; the traceback is in supervisor.log")

    def _look_at(self, done: Done, old: bool) -> None:
        job = self._jobs[done.shard.job]
        if job.name in self._finished:  # what was answered behind the end of a job that was stopped early
            return
        shown = self._collected and not old
        if not shown and not self._scored:
            return
        predictions = self._index(job).load(done)
        if shown:
            self.answers.extend((job, prediction) for prediction in predictions)
        if self._scored:
            self._tally(job, done, predictions)

    def _index(self, job: Job) -> Index:
        if job.name not in self._indexes:
            self._indexes[job.name] = Index(self._paths.checkpoints, job.name, job.samples)
        return self._indexes[job.name]

    def _tally(self, job: Job, done: Done, predictions: Sequence[Prediction]) -> None:
        if job.name not in self._datasets:
            self._datasets[job.name] = dataset_of(self._paths, job)
        samples = self._datasets[job.name].samples(done.shard.first, done.shard.last)
        made: list[ScoredSample] = []
        live, rules = self._running[job.name], self._rules[job.name]
        for sample, prediction in zip(samples, predictions, strict=True):
            verdict, other = self._verdicts[job.name].of(sample, prediction)
            live.add(sample, prediction, verdict, verdict if rules.mode == "strict" else other)
            if job.name in self._stops:
                cluster = sample.cell(rules.cluster) if rules.cluster else ""
                made.append(ScoredSample(sample, prediction, verdict, cluster))
        self._tallies[job.name] = live.tally()
        if made:
            self._decide(job, done.shard.first, made)
        name = story.name_of(job.model, job.dataset, alone=self._alone)
        self.news.extend((f"{name}: {text}", "warning") for text in live.news())

    def _stopping_of(self, asked: RunSpec, job: Job) -> Stopping:
        rules = self._rules[job.name]
        aggregate = aggregator_of(rules.scorer, circular=rules.circular)
        return Stopping(aggregate, rules.mode, job.samples, asked.stop_at)

    def _decide(self, job: Job, first: int, scored: Sequence[ScoredSample]) -> None:
        """End the job if the beginning of its order is enough. Once decided, what else comes in changes nothing."""
        stop = self._stops[job.name].add(first, scored)
        if stop is not None:
            stops.publish(self._paths, job.name, stop)
            del self._stops[job.name]

    def _finish(self, job: Job, done: Sequence[Done]) -> None:
        rules, folder = self._rules[job.name], self._paths.results(job.model, job.dataset)
        if self._stopping and self._scored and not rules.by_rules:
            raise client.StoppedError
        with self._index(job) as index:
            merged = MergedJob(self._paths, job, index=index, done=done)
            if self._scored:
                verdicts = self._verdicts[job.name]
                rules = replace(rules, stop=merged.stop)
                summary = results.write_pairs(folder, job.model, job.dataset, merged, rules, verdicts)
                if summary.problem:
                    self.error = self.error or VlmevalError(f"{job.model} on {job.dataset}: {summary.problem}")
                self._tallies[job.name] = self._running[job.name].published(summary)
                self.news.append((story.scored(summary, alone=self._alone), "info"))
            else:
                results.write_predictions(folder, merged)
        of_jobs: tuple[dict[str, Any], ...] = (
            self._indexes,
            self._verdicts,
            self._running,
            self._datasets,
            self._stops,
        )
        for kept in of_jobs:  # memory must not grow with the jobs of a run
            kept.pop(job.name, None)
        self._finished.append(job.name)
