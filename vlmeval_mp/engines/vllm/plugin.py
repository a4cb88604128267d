"""A plugin that vLLM loads in each of its processes; it changes something only below a worker that asks for it.

Naps: vLLM's scheduler and its model's process wait for each other in a loop that gives the core away and takes it back
at once. On a GPU's host there are cores for that. Of two cores it took a fifth from rendering and from the model.

Gate: where scheduler and model are one process, as on a single GPU, see `intake`.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.metadata import entry_points

from vlmeval_mp.engines.vllm import intake

GROUP, NAME = "vllm.general_plugins", "vlmeval-mp"
NAPS = "VLMEVAL_MP_NAPS"
"""Environment variable: set by a worker on the CPU, read by the processes of its vLLM."""
GATE = "VLMEVAL_MP_GATE"
"""Environment variable: set to 1 by a worker whose model and scheduler are one process, unless the user set it."""
NAP_SECONDS = 0.0002


def register() -> None:
    """Have processes sleep while they wait for each other where `NAPS` is set, and requests wait where `GATE` is 1.

    Versions of vLLM that wait, or take requests in, in another way keep theirs.
    """
    if os.environ.get(NAPS):
        from vllm.distributed.device_communicators import shm_broadcast

        if hasattr(shm_broadcast, "sched_yield"):  # what it calls between two looks
            shm_broadcast.sched_yield = nap
    core = sys.modules.get("vllm.v1.engine.core")  # the engine's process has it by now; render processes do not need it
    if os.environ.get(GATE) == "1" and intake.known(core):
        intake.install(core)


def works() -> bool:
    """Return whether vLLM's processes sleep below this worker.

    They do if the package is installed, VLLM_PLUGINS does not leave the plugin out, and vLLM waits as it is known to.
    """
    from vllm.distributed.device_communicators import shm_broadcast

    wanted = os.environ.get("VLLM_PLUGINS")
    there = any(each.name == NAME for each in entry_points(group=GROUP))
    return there and (wanted is None or NAME in wanted.split(",")) and hasattr(shm_broadcast, "sched_yield")


def nap() -> None:
    """Leave the core to others for a moment."""
    time.sleep(NAP_SECONDS)
