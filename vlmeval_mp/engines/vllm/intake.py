"""In vLLM's engine process, requests are taken in between two steps of the model, not during them.

One thread of that process schedules and launches the model's kernels, another receives requests and unpacks them. Both
hold the interpreter's lock for most of what they do, and each time it changes hands, the GPU may run out of kernels.
A request that comes during a step could not be scheduled before the next one anyway. The price: what was unpacked while
the model waited for its GPU is now unpacked between two steps.
"""

from __future__ import annotations

import threading
import types
from typing import Any

LONGEST_WAIT_SECONDS = 0.05
"""A step begins after this time even if requests do not cease to come."""


class Gate:
    """Lets the thread that receives requests in while the model is not at a step."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._inside = False

    def shut(self) -> None:
        """Model: a step begins."""
        self._shut = True

    def open(self) -> None:
        """Model: the step has ended, in whatever way."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def await_those_inside(self) -> None:
        """Model: wait until what has come is taken in, if anything has."""
        if self._inside:
            with self._changed:
                self._changed.wait_for(lambda: not self._inside, LONGEST_WAIT_SECONDS)

    def enter(self) -> None:
        """Receiver: something has come; wait until it may be taken in."""
        with self._changed:
            self._inside = True
            self._changed.wait_for(lambda: not self._shut)

    def leave(self) -> None:
        """Receiver: all that has come is taken in."""
        if self._inside:
            with self._changed:
                self._inside = False
                self._changed.notify_all()


def known(core: Any) -> bool:
    """Return whether vLLM's module `v1.engine.core` takes requests in as this module expects."""
    process = getattr(core, "EngineCoreProc", None)
    methods = ("_process_input_queue", "_process_engine_step", "process_input_sockets")
    return all(hasattr(process, name) for name in methods) and hasattr(getattr(core, "zmq", None), "Poller")


def install(core: Any) -> Gate:
    """Put a gate between the steps of the engine in vLLM's module `v1.engine.core` and its receiving thread."""
    gate = Gate()
    look_for_requests, make_step = core.EngineCoreProc._process_input_queue, core.EngineCoreProc._process_engine_step

    class Poller(core.zmq.Poller):  # type: ignore[misc]
        """Waits for requests without holding the interpreter's lock, and then at the gate."""

        def poll(self, timeout: int | None = None) -> Any:
            if timeout is not None:
                return super().poll(timeout)
            ready = super().poll(0)
            if not ready:
                gate.leave()
                ready = super().poll()
            gate.enter()
            return ready

    def between_steps(engine: Any) -> None:
        gate.await_those_inside()
        look_for_requests(engine)

    def step(engine: Any) -> Any:
        gate.shut()
        try:
            return make_step(engine)
        finally:
            gate.open()

    core.EngineCoreProc._process_input_queue, core.EngineCoreProc._process_engine_step = between_steps, step
    core.zmq = types.SimpleNamespace(**(vars(core.zmq) | {"Poller": Poller}))  # only for this module of vLLM's
    return gate
