"""A plugin that vLLM loads in each of its processes; it changes something only below a worker that asks for it.

vLLM's scheduler and its model's process wait for each other in a loop that gives the core away and takes it back at
once. On a GPU's host there are cores for that. Of two cores it took a fifth from rendering and from the model.
"""

from __future__ import annotations

import os
import time
from importlib.metadata import entry_points

GROUP, NAME = "vllm.general_plugins", "vlmeval-mp"
NAPS = "VLMEVAL_MP_NAPS"
"""Environment variable: set by a worker on the CPU, read by the processes of its vLLM."""
NAP_SECONDS = 0.0002


def register() -> None:
    """Have processes that wait for each other sleep between two looks, where `NAPS` is set."""
    if not os.environ.get(NAPS):
        return
    from vllm.distributed.device_communicators import shm_broadcast

    if hasattr(shm_broadcast, "sched_yield"):  # what it calls between two looks; other versions of vLLM keep theirs
        shm_broadcast.sched_yield = nap


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
