"""Checkpoints under random writers that are killed in the middle of a line, torn tails, withdrawals and readers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vlmeval_mp.core.records import Prediction, Shard
from vlmeval_mp.runs import checkpoint
from vlmeval_mp.runs.checkpoint import Checkpoint
from vlmeval_mp.runs.index import Index, search

JOB, ROWS = "m+d", 3
SHARD = Shard(job=JOB, first=0, last=ROWS - 1)


TAILS = (b"\0" * 9, b'{"crc":"', b'{"crc":"00000000","row":1}\n', b"\n", b"\xff")


class CrashError(BaseException):
    """What a SIGKILL is to the code under test: nothing catches it."""


class CheckpointMachine(RuleBasedStateMachine):
    """The first line about a row that was written whole and not withdrawn counts, for every reader and at any time.

    What a finished shard rests on can be loaded for ever, whatever is written, torn or withdrawn afterwards.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        for name in ("fsync", "fdatasync"):
            self.patch.setattr(os, name, lambda _: None)
        self.lines: dict[int, list[tuple[str, int, Prediction]]] = {row: [] for row in range(ROWS)}
        self.gone: set[tuple[str, int]] = set()
        self.writers: list[Checkpoint] = []
        self.names = self.texts = 0
        self.done: list[tuple] = []
        self.kept = Index(self.folder, JOB, ROWS)

    def teardown(self):
        self.kept.close()
        for writer in self.writers:
            writer.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    def _prediction(self, row, fails):
        self.texts += 1
        text = f"answer {self.texts}"
        return Prediction(index=str(row), row=row, error=text) if fails else Prediction(str(row), row, text)

    @rule(before=st.booleans())
    def a_worker_begins(self, before):
        """Its name may come before those of others in the order in which answers count."""
        self.names += 1
        self.writers.append(Checkpoint(self.folder, f"{'a' if before else 'w'}{self.names:03}"))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), row=st.integers(0, ROWS - 1), fails=st.booleans())
    def answers(self, data, row, fails):
        self._record(data.draw(st.sampled_from(self.writers)), row, fails)

    def _record(self, writer, row, fails):
        answer = writer.record(JOB, self._prediction(row, fails))
        self.lines[row].append((answer.file, answer.start, answer.prediction))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), row=st.integers(0, ROWS - 1), share=st.floats(0, 1))
    def is_killed_within_a_line(self, data, row, share):
        writer = self.writers.pop(data.draw(st.integers(0, len(self.writers) - 1)))
        real, prediction = os.write, self._prediction(row, fails=False)

        def torn(handle, line):
            real(handle, line[: int(share * (len(line) - 1))])
            raise CrashError

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(CrashError):
            patch.setattr(os, "write", torn)
            writer.record(JOB, prediction)
        writer.close()

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), tail=st.sampled_from(TAILS))
    def loses_power(self, data, tail):
        writer = self.writers.pop(data.draw(st.integers(0, len(self.writers) - 1)))
        writer.open(JOB)
        name = f"{writer._writer}.jsonl"
        writer.close()
        with (self.folder / JOB / name).open("ab") as file:
            file.write(tail)

    @rule(rows=st.sampled_from([{0}, set(range(ROWS))]), kill=st.integers(0, 3))
    def failures_are_withdrawn(self, rows, kill):
        self.names += 1
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(CrashError):
            if kill == 3:
                patch.setattr(Path, "replace", self._crash)
            checkpoint.withdraw_failures(self.folder, JOB, rows, f"retry{self.names}")
            failures = ((f, at) for row in rows for f, at, p in self.lines[row] if p.error is not None)
            self.gone |= set(failures)

    @staticmethod
    def _crash(*_):
        raise CrashError

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def is_finished(self, data):
        """A worker answers what is left, and the shard is done."""
        self._finish(data.draw(st.sampled_from(self.writers)))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), failing=st.sets(st.integers(0, ROWS - 1)))
    def is_finished_after_a_retry(self, data, failing):
        """One worker answers every row, some with failures, which are withdrawn and asked again of the same worker."""
        writer = data.draw(st.sampled_from(self.writers))
        for row in range(ROWS):
            self._record(writer, row, row in failing)
        self.failures_are_withdrawn(set(range(ROWS)), kill=0)
        self._finish(writer)

    def _finish(self, writer):
        for row in set(range(ROWS)) - self._counting().keys():
            self._record(writer, row, fails=False)
        found = search(self.folder, SHARD)
        done = checkpoint.pin(SHARD, found.answers, "w0", found.withdrawn)
        self.done.append((done, [answer.prediction for _, answer in sorted(found.answers.items())]))

    def _counting(self):
        found = {}
        for row, lines in self.lines.items():
            left = sorted((f, at, p.prediction, p.error) for f, at, p in lines if (f, at) not in self.gone)
            if left:
                found[row] = left[0]
        return found

    @invariant()
    def every_reader_sees_the_line_that_counts(self):
        self.kept.refresh()
        for found in (search(self.folder, SHARD), self.kept.found(SHARD)):
            seen = {r: (a.file, a.start, a.prediction.prediction, a.prediction.error) for r, a in found.answers.items()}
            assert seen == self._counting()
        assert self.kept.answered == len(self._counting())

    @invariant()
    def what_is_finished_stays_as_it_was(self):
        with Index(self.folder, JOB, ROWS) as fresh:
            for done, predictions in self.done:
                assert fresh.load(done) == predictions


TestCheckpointMachine = CheckpointMachine.TestCase
TestCheckpointMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
