"""Chooses the samples in flight per worker and the workers per host, and checks that a model fits. Pure.

Why not simply the most: beyond what the KV cache holds, further requests only wait inside the engine, each with its
processed pictures in host memory (19 MB for one of 1024 x 768), and vLLM drops and computes
again what it cannot hold. Ray Data caps requests in flight at 1.1 times what runs, because deep queues
made it slow. Why not fewer: VLMEvalKit's 4 to 8 and Ray's 8 x 32 underfeed a big GPU. So the window is the engine's
default for a GPU, lowered to 1.1 times the requests whose tokens fit beside the weights, and to what the
memory of the host carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlmeval_mp.pool.devices.weights import BYTES, NAMES, Weights

GB = 10**9
UTILIZATION = 0.9
"""Share of a GPU that vLLM takes unless told otherwise (0.9 to 0.92 by version)."""
GPU_RESERVE = 2 * GB
"""Per GPU, beside weights and KV cache: activations of a long prefill, the vision tower's, CUDA's own."""
GPU_SLACK = GB // 2
"""Left free when other programs have memory of the GPU, since theirs moves."""
TOKENS = 2048
"""Tokens of a sample: an image of 1024 x 768 is 1,000 for Qwen2-VL, a tiled one of InternVL up to 3,300, plus text."""
KV_TOKEN = 128 * 1024
"""Bytes of a token's keys and values where the config does not say: those of an 8 B model with grouped heads."""
DEEP = 1.1
SMALLEST = 4
PICTURE = 20_000_000
"""Bytes of a sample's processed pictures in host memory."""
HOST_SHARE = 0.5
"""Share of the host's free memory, after the workers', that waiting pictures may take."""
CPU_WORKERS = 4
"""Most workers on the CPU unless told otherwise."""
FASTER_ALONE = "; one GPU holds that too: a worker on each, with tensor_parallel_size 1, answers more"
"""Measured on two H200s (8 B parameters, 1280 px): a worker on each 23.5 samples/s, one worker on both 10.6."""
MOST_RENDER_PROCESSES = 8
CPU_WORKER = 3_500_000_000
"""Bytes of one worker on the CPU without its weights: 2.4 GB in three processes of vLLM (measured), 1 GiB KV cache."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """The choices for one model. `window` 0 leaves it to the engine; `workers` 0 are as many as there are groups.

    `utilization` is the share of a GPU to say to vLLM, None for its own. `note` says what was chosen and why, `warning`
    what will go wrong.
    """

    window: int
    workers: int = 0
    utilization: float | None = None
    note: str = ""
    warning: str = ""


def on_gpu(
    weights: Weights,
    total: int,
    used: int,
    host: int,
    *,
    tp: int,
    workers: int,
    default: int,
    utilization: float | None = None,
    dtype: str = "",
) -> Sizing:
    """For `workers` workers of `tp` GPUs each, of `total` bytes, `used` by others; `host` bytes of memory are free.

    `default` is the engine's window; `utilization` and `dtype` are what the user said to the engine, if anything.
    """
    need = loaded(weights, dtype, cpu=False)
    suggested = None
    if utilization is None and total - used < UTILIZATION * total:
        suggested = max(0.05, int((total - used - GPU_SLACK) / total * 100) / 100)
    share = utilization or suggested or UTILIZATION
    each = share * total - GPU_RESERVE
    room = tp * each - need
    about, cards = _about(weights, need, dtype, cpu=False), f"{tp} x {_gb(total)}" if tp > 1 else _gb(total)
    if room <= 0:
        least = next((n for n in (1, 2, 4, 8, 16) if n * each > need), 0)
        advice = f"--tp {least} has {least} x {_gb(total)}" if least else "no number of such GPUs up to 16 has that"
        kind = f" in {NAMES[_chosen(weights, dtype, cpu=False)]}" if weights.dtype in NAMES else ""
        return Sizing(
            default, warning=f"needs about {_gb(need)}{kind}, and {cards} cannot hold that beside its work; {advice}"
        )
    fits = _fitting(weights, room)
    carried = int(HOST_SHARE * host / max(1, workers) / PICTURE)
    window = max(SMALLEST, min(default, fits, carried))
    free = f", {_gb(used)} of it taken by others" if suggested else ""
    note = f"window {window}: {about} on {cards}{free}{_why(window, default, fits, carried)}"
    alone = _fitting(weights, each - need)
    return Sizing(window, 0, suggested, note + (FASTER_ALONE if tp > 1 and alone >= window else ""))


def _fitting(weights: Weights, room: float) -> int:
    """Return how many samples in flight `room` bytes of KV cache are for."""
    return int(DEEP * room / (TOKENS * (weights.kv_token or KV_TOKEN)))


def on_cpu(weights: Weights, host: int, cores: int, *, asked: int, default: int, dtype: str = "") -> Sizing:
    """For a host with `host` bytes of free memory. `asked` workers; 0: as many as fit, up to one a core and four."""
    need = loaded(weights, dtype, cpu=True) + CPU_WORKER
    carried = max(1, int(host / need))
    workers = asked or max(1, min(CPU_WORKERS, cores, carried))
    left = max(0, host - workers * need)
    fits = int(HOST_SHARE * left / workers / PICTURE)
    window = max(SMALLEST, min(default, fits))
    about = _about(weights, need - CPU_WORKER, dtype, cpu=True)
    place = f"{cores} core{'s' * (cores > 1)} with {_gb(host)} free"
    warning = ""
    if workers > carried or need > host:
        warning = f"{workers} x {_gb(need)} are needed ({about} and the engine), and {_gb(host)} are free"
        warning += "; --max-workers 1 needs least" if workers > 1 else "; the host may end the worker"
    plural = f"{workers} workers" if workers > 1 else "1 worker"
    return Sizing(window, workers, None, f"window {window}, {plural}: {about} on {place}", warning)


def loaded(weights: Weights, dtype: str, *, cpu: bool) -> int:
    """Return bytes of the weights as the engine holds them: floats in its own type, anything else as it is stored.

    On the CPU our engines take float32. On a GPU floats of 32 bits become 16, as vLLM's `dtype="auto"` does.
    """
    stored = BYTES[weights.dtype] if weights.dtype in NAMES else 2
    chosen = _chosen(weights, dtype, cpu)
    wanted = BYTES[chosen] if chosen in NAMES else stored
    return weights.nbytes - weights.floats + weights.floats * wanted // stored


def _chosen(weights: Weights, dtype: str, cpu: bool) -> str:
    said = {"float32": "F32", "float": "F32", "bfloat16": "BF16", "float16": "F16", "half": "F16"}.get(dtype)
    return said or ("F32" if cpu else "BF16" if weights.dtype == "F32" else weights.dtype)


def _about(weights: Weights, need: int, dtype: str, *, cpu: bool) -> str:
    if weights.dtype not in NAMES:  # packed: what is stored tells no number of parameters
        return f"{_gb(need)} of quantised weights"
    kind = NAMES[_chosen(weights, dtype, cpu) if weights.floats else weights.dtype]
    roughly, said = ("about ", " by config.json") if weights.estimated else ("", "")
    return f"{roughly}{_short(weights.parameters)} parameters ({_gb(need)} {kind}{said})"


def _why(window: int, default: int, fits: int, carried: int) -> str:
    if window >= default:
        return ""
    return "; the KV cache holds no more" if fits <= carried else "; the host's memory holds no more pictures"


def _short(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f} {letter}" if count < 100 * size else f"{count / size:.0f} {letter}"
    return str(count)


def _gb(nbytes: float) -> str:
    if nbytes < GB / 10:
        return f"{nbytes / 10**6:.1f} MB"
    return f"{nbytes / GB:.1f} GB" if nbytes < 10 * GB else f"{nbytes / GB:.0f} GB"


def render_processes(cores: int) -> int:
    """Return how many render processes a worker with `cores` has: two are left to itself and to its engine's scheduler.

    Measured on one H200: of 162 samples/s that the GPU can do, 4 processes feed 147, 8 feed 154.
    """
    return max(0, min(MOST_RENDER_PROCESSES, cores - 2))


def narrowest(sizings: Sequence[Sizing]) -> int:
    """Return workers that a host carries whichever model they serve; 0 if no sizing says."""
    said = [s.workers for s in sizings if s.workers]
    return min(said) if said else 0
