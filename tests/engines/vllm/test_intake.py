"""In the engine's process requests are taken in between two steps: all that have come, and none during a step."""

import queue
import threading
import time
import types

import pytest

from tests.helpers import wait_until
from vlmeval_mp.engines.vllm import intake

zmq = pytest.importorskip("zmq")
SECONDS = 10.0
"""Long enough for whatever must happen."""


class Engine:
    """What `intake` changes of vLLM's module: steps, the queue between them, and the thread that fills it."""

    def __init__(self):
        engine = self

        class EngineCoreProc:
            def __init__(self):
                self.input_queue = queue.Queue()
                self.handled = []

            def _process_input_queue(self):
                while not self.handled:
                    self.handled.append(self.input_queue.get(timeout=SECONDS))
                while not self.input_queue.empty():
                    self.handled.append(self.input_queue.get_nowait())

            def _process_engine_step(self):
                return engine.body()

            def process_input_sockets(self, socket):
                poller = engine.core.zmq.Poller()
                poller.register(socket, zmq.POLLIN)
                while True:
                    for ready, _ in poller.poll():
                        message = ready.recv()
                        if message == b"end":
                            return
                        self.input_queue.put_nowait(message)

        self.core = types.SimpleNamespace(zmq=zmq, EngineCoreProc=EngineCoreProc)
        self.body = lambda: True


@pytest.fixture
def engine(monkeypatch):
    """An engine with a gate, its receiving thread at work, and the socket to send it requests with."""
    monkeypatch.setattr(intake, "LONGEST_WAIT_SECONDS", SECONDS)
    made = Engine()
    made.gate = intake.install(made.core)
    made.process = made.core.EngineCoreProc()
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender, context.socket(zmq.PULL) as receiver:
        sender.bind("inproc://requests")
        receiver.connect("inproc://requests")
        made.send = sender.send
        made.between_steps = made.process._process_input_queue
        made.step = made.process._process_engine_step
        thread = threading.Thread(target=made.process.process_input_sockets, args=(receiver,), daemon=True)
        thread.start()
        yield made
        made.gate.open()
        sender.send(b"end")
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_an_idle_engine_gets_its_first_request_at_once(engine):
    threading.Timer(0.05, engine.send, (b"first",)).start()
    began = time.monotonic()
    engine.between_steps()
    assert engine.process.handled == [b"first"]
    assert time.monotonic() - began < SECONDS / 2


def test_what_comes_during_a_step_is_taken_in_after_it_and_all_of_it(engine):
    engine.send(b"first")
    engine.between_steps()
    many = [b"%d" % number for number in range(50)]

    def body():
        for message in many:
            engine.send(message)
        wait_until(lambda: engine.gate._inside, SECONDS)  # the first of them wakes the thread
        time.sleep(0.05)
        return engine.process.input_queue.empty()

    engine.body = body
    wait_until(lambda: not engine.gate._inside, SECONDS)
    assert engine.step(), "but it waits at the gate"
    began = time.monotonic()
    engine.between_steps()
    assert engine.process.handled == [b"first", *many]
    assert time.monotonic() - began < SECONDS / 2, "the engine goes on when all is taken in"


def test_a_step_that_fails_opens_the_gate(engine):
    engine.send(b"first")
    engine.between_steps()

    def body():
        engine.send(b"second")
        raise RuntimeError("out of memory")

    engine.body = body
    with pytest.raises(RuntimeError):
        engine.step()
    assert engine.process.input_queue.get(timeout=SECONDS) == b"second"


def test_steps_between_which_nothing_comes_wait_for_no_thread(engine, monkeypatch):
    engine.send(b"first")
    engine.between_steps()
    wait_until(lambda: not engine.gate._inside, SECONDS)
    monkeypatch.setattr(engine.gate._changed, "wait_for", lambda *_: pytest.fail("waited"))
    for _ in range(3):
        engine.step()
        engine.between_steps()
    monkeypatch.undo()


def test_a_stream_without_end_does_not_keep_the_engine_from_its_next_step(monkeypatch):
    monkeypatch.setattr(intake, "LONGEST_WAIT_SECONDS", 0.05)
    gate, ended = intake.Gate(), threading.Event()
    gate.enter()  # and is never through

    def model():
        gate.await_those_inside()
        ended.set()

    threading.Thread(target=model, daemon=True).start()
    assert ended.wait(SECONDS)
    gate.leave()


def test_a_poll_with_a_time_limit_is_left_alone(engine):
    engine.send(b"first")
    engine.between_steps()
    with zmq.Context() as context, context.socket(zmq.PULL) as quiet:
        poller = engine.core.zmq.Poller()
        poller.register(quiet, zmq.POLLIN)
        assert poller.poll(1) == []


def test_the_rest_of_zmq_is_as_it_was(engine):
    assert engine.core.zmq.Context is zmq.Context
    assert zmq.Poller is not engine.core.zmq.Poller
    assert issubclass(engine.core.zmq.Poller, zmq.Poller)


@pytest.mark.parametrize("core", [None, types.SimpleNamespace(zmq=zmq), types.SimpleNamespace(EngineCoreProc=object)])
def test_a_vllm_that_takes_requests_in_in_another_way_is_not_touched(core):
    assert not intake.known(core)


def test_the_installed_vllm_is_known():
    pytest.importorskip("vllm")
    from vllm.v1.engine import core

    assert intake.known(core)
