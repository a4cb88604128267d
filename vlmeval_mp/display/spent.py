"""One line about the time of a launch's workers, and the answers of that time."""

from __future__ import annotations

from vlmeval_mp.core.records import Occupation, TimeSpent
from vlmeval_mp.display.text import rate
from vlmeval_mp.runs.words import duration

WORDS: dict[Occupation, str] = {
    "busy": "engine busy",
    "rendering": "waiting for rendering",
    "idle": "waiting for work",
    "loading": "loading",
    "start": "starting up",
    "draining": "draining",
    "lost": "lost to deaths",
}


def line(spent: TimeSpent | None) -> str:
    """Return the line, or "" where nothing is known; shares are of all worker-seconds, the largest first."""
    whole = sum(spent.seconds.values()) if spent else 0.0
    if spent is None or not whole:
        return ""
    shares = sorted(spent.seconds.items(), key=lambda pair: -pair[1])
    named = [f"{100 * seconds / whole:.0f} % {WORDS[kind]}" for kind, seconds in shares if seconds >= 0.005 * whole]
    brought = ""
    if spent.serving > 0:
        tokens = [f"{n / spent.serving:,.0f} tokens/s {way}" for n, way in _tokens(spent) if n]
        brought = "; " + ", ".join([rate(spent.samples / spent.serving).replace("/s", " samples/s"), *tokens])
    return f"{duration(whole)} of workers: {', '.join(named)}{brought}"


def _tokens(spent: TimeSpent) -> tuple[tuple[int, str], ...]:
    return (spent.tokens_in, "in"), (spent.tokens_out, "out")
