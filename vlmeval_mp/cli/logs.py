"""`logs`: shows the end of a run's log files and the lines that are added. Copies lines and does not interpret them.

What engines print may hold terminal escapes, so control characters are taken out on the way.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vlmeval_mp.cli import flags
from vlmeval_mp.cli.wanted import jobs_of
from vlmeval_mp.core.errors import EXIT_COMPLETE, ConfigError
from vlmeval_mp.core.paths import RunPaths

POLL_SECONDS = 0.2
TAIL_BYTES = 1 << 20
CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]"  # colours and cursor movement
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, clipboard, links
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # what is left: C0, C1, bidirectional overrides
)


def add_parser(verbs: flags.Verbs) -> None:
    verb = flags.verb(verbs, "logs", "everything a worker and its engine printed")
    flags.run_name(verb)
    verb.add_argument("--worker", metavar="N", help="worker number, or 'supervisor' (default: all)")
    verb.add_argument("-f", "--follow", action="store_true", help="go on as it grows, until the run ends")
    verb.add_argument("-n", type=int, default=20, metavar="LINES", help="how many last lines (default: 20)")
    flags.jobs(verb)


def run(arguments: argparse.Namespace) -> int:
    """Show the logs of the named run, or of the latest."""
    from vlmeval_mp.runs import find

    paths = find.chosen(jobs_of(arguments), arguments.run)
    return show(paths, arguments.worker, lines=arguments.n, follow=arguments.follow)


def show(paths: RunPaths, who: str | None, *, lines: int, follow: bool) -> int:
    """Print the last `lines` of one log (worker number or name) or of all; with `follow`, go on until the run ends.

    Raises:
        ConfigError: there is no such log.
    """
    chosen = _choose(paths, who)
    several = len(chosen) > 1
    places = {}
    for path in chosen:
        text, places[path] = _tail(path, lines)
        _print(path, text, several)
    while follow:
        over = _over(paths)  # before the last look, so that nothing that was written before the end is left out
        for path in chosen if who else _choose(paths, who):
            text, places[path] = _since(path, places.get(path, 0))
            _print(path, text, several)
        if over:
            break
        time.sleep(POLL_SECONDS)
    return EXIT_COMPLETE


def _over(paths: RunPaths) -> bool:
    """Return whether the last launch of the run has ended."""
    from vlmeval_mp.runs import snapshot

    return snapshot.read_supervisor(paths) is not None and snapshot.living_supervisor(paths) is None


def _choose(paths: RunPaths, who: str | None) -> list[Path]:
    found = sorted(paths.logs.glob("*.log"))
    if who is None:
        if not found:
            raise ConfigError(f"there are no logs in {paths.logs} yet")
        return found
    wanted = paths.log(f"w{who}" if who.isdigit() else who)
    if wanted not in found:
        have = ", ".join(p.stem for p in found) or "none yet"
        raise ConfigError(f"there is no log of worker {who!r}; there are: {have}")
    return [wanted]


def _tail(path: Path, lines: int) -> tuple[str, int]:
    """Return the last `lines` lines within the last MiB, and where the file ended."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - TAIL_BYTES))
        text = _decode(file)
    kept = text.removesuffix("\n").split("\n") if text else []
    return "".join(f"{line}\n" for line in kept[-lines:] if lines > 0), end


def _since(path: Path, start: int) -> tuple[str, int]:
    """Return what was added in whole lines since `start`, and where that ends."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    whole = data.rfind(b"\n") + 1
    return data[:whole].decode("utf-8", "replace"), start + whole


def _decode(file: BinaryIO) -> str:
    return file.read().decode("utf-8", "replace")


def _print(path: Path, text: str, several: bool) -> None:
    for line in _clean_lines(text):
        sys.stdout.write(f"{path.stem}: {line}\n" if several else f"{line}\n")
    sys.stdout.flush()


def _clean_lines(text: str) -> Iterator[str]:
    for line in text.split("\n")[:-1] if text.endswith("\n") else filter(None, text.split("\n")):
        shown = line.rstrip("\r").rsplit("\r", 1)[-1]  # the last state of a progress bar; vLLM ends some lines in \r\n
        yield CONTROL.sub("", shown)
