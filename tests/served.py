"""A real `vllm serve` of the bundled model on the CPU, for tests that ask an endpoint."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request

from tests.engines.contract import MODEL
from tests.faults.chaos import ENV


@contextlib.contextmanager
def vllm_serve(port, log):
    """`vllm serve` of the bundled model on the CPU, in a process group of its own; gives its process."""
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--served-model-name", "demo",
        "--dtype", "float32", "--enforce-eager", "--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", "64",
        "--max-model-len", "2048", "--limit-mm-per-prompt", '{"image": 8, "video": 0}', "--seed", "0",
    ]  # fmt: skip
    env = ENV | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
    with open(log, "ab") as out:
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield server
    finally:
        kill(server)


def kill(server):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def serves(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
