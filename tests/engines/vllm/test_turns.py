"""In the engine's process requests are taken in between two steps: all that have come, and none during a step."""

import queue
import threading
import time
import types

import pytest

from vlmeval_mp.engines.vllm import turns

zmq = pytest.importorskip("zmq")
SECONDS = 10.0
"""Long enough for whatever must happen; what must not happen is looked for a fraction of it."""


class Engine:
    """What `turns` changes of vLLM's module: an input queue, and the thread that fills it from a socket."""

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


@pytest.fixture
def engine():
    """An engine with `turns` installed, its thread at work, and the socket to send it requests with."""
    made = Engine()
    made.turns = turns.install(made.core)
    made.process = made.core.EngineCoreProc()
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender, context.socket(zmq.PULL) as receiver:
        sender.bind("inproc://requests")
        receiver.connect("inproc://requests")
        made.send = sender.send
        made.between_steps = made.process._process_input_queue
        thread = threading.Thread(target=made.process.process_input_sockets, args=(receiver,), daemon=True)
        thread.start()
        yield made
        made.turns.rest()
        sender.send(b"end")
        thread.join(SECONDS)
        assert not thread.is_alive()


def seen(condition):
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_an_idle_engine_gets_its_first_request_at_once(engine):
    threading.Timer(0.05, engine.send, (b"first",)).start()
    engine.between_steps()
    assert engine.process.handled[0] == b"first"


def test_a_request_that_comes_during_a_step_is_taken_in_after_it_with_all_others(engine):
    engine.send(b"first")
    engine.between_steps()
    for number in range(50):
        engine.send(b"%d" % number)
    assert seen(lambda: engine.turns._taking), "the first of them wakes the thread"
    time.sleep(0.05)
    assert engine.process.input_queue.empty(), "but it waits for the step to end"
    engine.between_steps()
    assert engine.process.handled == [b"first", *(b"%d" % number for number in range(50))]


def test_steps_between_which_nothing_comes_wait_for_no_thread(engine, monkeypatch):
    engine.send(b"first")
    engine.between_steps()
    assert seen(lambda: engine.turns.rest() or not engine.turns._taking)
    monkeypatch.setattr(engine.turns._changed, "wait_for", lambda *_: pytest.fail("waited"))
    for _ in range(3):
        engine.between_steps()
    monkeypatch.undo()


def test_a_stream_without_end_does_not_keep_the_engine_from_its_next_step(engine):
    engine.send(b"first")
    engine.between_steps()
    ended = threading.Event()

    def stream():
        while not ended.is_set():
            engine.send(b"more")

    sender = threading.Thread(target=stream)
    sender.start()
    try:
        assert seen(lambda: engine.turns._taking)
        began = time.monotonic()
        engine.turns.rest()
        assert time.monotonic() - began < SECONDS / 2
    finally:
        ended.set()
        sender.join()


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
    assert not turns.known(core)


def test_the_installed_vllm_is_known():
    pytest.importorskip("vllm")
    from vllm.v1.engine import core

    assert turns.known(core)
