"""Adds to an engine's refusal of a sample the file that is meant, and advice. Pure."""

from __future__ import annotations

import re
from collections import Counter

from vlmeval_mp.core.records import Sample

_ABOUT_MEDIA = re.compile(
    r"aspect ratio|image|picture|pixel|video|frame|resolution|height|width|temporal_factor"
    r"|channel dimension|\bpatch(?:es)?\b|\bmean must have\b|\binput size\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(image|video|subtitles) \d+\b")
_ABOUT_SYSTEM = re.compile(
    r"\bfirst message must (?:be|have|come)\b[^.]{0,20}\buser\b|\bsystem_instruction"
    r"|\bsystem\b[^.]{0,30}\b(?:role|message|turn|prompt|instruction)s?\b|\brole\b[^.]{0,20}\bsystem\b"
    r"|\broles? must alternate|\bonly user(?:,| and)[^.]{0,30}\broles?\b|\bdeveloper instruction is not enabled",
    re.IGNORECASE,
)
SHOWN = 3
"""Files that are named at most."""
IN_ONE_TURN = 'say "roles": "user" in the model\'s entry, and its system prompt stands in the user\'s turn'


def about_system(error: str) -> bool:
    """Return whether an engine refuses a request for its system turn."""
    return _ABOUT_SYSTEM.search(error) is not None


def told(error: str, sample: Sample) -> str:
    """Return an engine's refusal of `sample` with the files that it may be about, or with the way out."""
    if about_system(error):
        return f"{error}; {IN_ONE_TURN}"
    if not sample.media or _NAMED.match(error) or not _ABOUT_MEDIA.search(error):
        return error
    if any(media.file and media.file in error for media in sample.media):
        return error
    numbers: Counter[str] = Counter()
    places = []
    for media in sample.media:
        numbers[media.kind] += 1
        places.append(f"{media.kind} {numbers[media.kind]}" + (f" ({media.file})" if media.file else ""))
    more = f" or one of {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{' or '.join(places[:SHOWN])}{more}: {error}"
