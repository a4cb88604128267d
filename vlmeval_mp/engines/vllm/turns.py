"""In vLLM's engine process, requests are taken in between two steps of the model, not during them.

One thread of that process schedules and launches the model's kernels, another receives requests and unpacks them. Both
hold the interpreter's lock for most of what they do, and each time it changes hands, the GPU may run out of kernels.
Nothing is lost by waiting: a request that comes during a step cannot be scheduled before the next one.
"""

from __future__ import annotations

import threading
import types
from typing import Any

LONGEST_REST_SECONDS = 0.05
"""The model waits no longer than this for a stream of requests that does not end."""


class Turns:
    """Says which of two threads may work: the one that computes, or the one that takes requests in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing = False
        self._taking = False

    def rest(self) -> None:
        """Computing thread: let the other one take in what has come since the last rest."""
        with self._changed:
            self._computing = False
            if self._taking:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._taking, LONGEST_REST_SECONDS)

    def compute(self) -> None:
        """Computing thread: end the rest."""
        self._computing = True

    def take(self) -> None:
        """Other thread: wait for a rest, to take something in."""
        with self._changed:
            self._taking = True
            self._changed.wait_for(lambda: not self._computing)

    def taken(self) -> None:
        """Other thread: say that all that has come is taken in."""
        if self._taking:
            with self._changed:
                self._taking = False
                self._changed.notify_all()


def known(core: Any) -> bool:
    """Return whether vLLM's module `v1.engine.core` takes requests in as this module expects."""
    process = getattr(core, "EngineCoreProc", None)
    return all(hasattr(process, name) for name in ("_process_input_queue", "process_input_sockets")) and hasattr(
        getattr(core, "zmq", None), "Poller"
    )


def install(core: Any) -> Turns:
    """Have the engine of vLLM's module `v1.engine.core` and the thread that receives its requests take turns."""
    turns, look_for_requests = Turns(), core.EngineCoreProc._process_input_queue

    class Poller(core.zmq.Poller):  # type: ignore[misc]
        """Waits for requests without holding the interpreter's lock, and then for the turn to take them in."""

        def poll(self, timeout: int | None = None) -> Any:
            if timeout is not None:
                return super().poll(timeout)
            ready = super().poll(0)
            if not ready:
                turns.taken()
                ready = super().poll()
            turns.take()
            return ready

    def between_steps(engine: Any) -> None:
        turns.rest()
        look_for_requests(engine)
        turns.compute()

    core.EngineCoreProc._process_input_queue = between_steps
    core.zmq = types.SimpleNamespace(**(vars(core.zmq) | {"Poller": Poller}))  # only for this module of vLLM's
    return turns
