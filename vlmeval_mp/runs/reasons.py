"""Groups errors by cause: an error's text without the names and numbers of its own sample. Pure.

Names of files, quoted words, rows and numbers go; what is wrong stays.
"""

from __future__ import annotations

import re
from collections import Counter

MOST = 30
"""Different reasons that are counted apart; whatever else comes is `OTHER`."""
OTHER = "something else"
WIDTH = 70

_ROW = re.compile(r"^.{0,255}? row \d+, column '([^']*)': ")
_MEDIA = re.compile(r"^(image|video|subtitles) \d+(?: \([^)]*\))?:? ")
_MISSING = re.compile(r"^(?:its )?file '.*' does not exist|^file \S.* (?:cannot be read: No such file|does not exist)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]+://|/|\./)\S+")
_NUMBER = re.compile(r"\d[\d,.]*")
_KIND = {"image": "image", "image_path": "image", "video": "video", "video_path": "video"}


def reason(error: str) -> str:
    """Return what of `error` other samples may share, in at most `WIDTH` characters."""
    text, kind = " ".join(error.split()), ""
    while (named := _ROW.match(text) or _MEDIA.match(text)) is not None:
        kind = kind or _KIND.get(named[1], named[1])
        text = text[named.end() :]
    if _MISSING.match(text):
        return f"{kind or 'file'} missing"
    text = _NUMBER.sub("N", _PATH.sub("…", _QUOTED.sub("…", text))).strip()
    text = f"{kind} {text}" if kind else text
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


class Reasons:
    """The number of errors for each reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, error: str) -> None:
        """Count one more error."""
        found = reason(error)
        self._counts[found if found in self._counts or len(self._counts) < MOST else OTHER] += 1

    def counts(self) -> dict[str, int]:
        """Return them, the most frequent first."""
        return dict(self._counts.most_common())
