"""Finds the samples that take long to prepare, so that small ones do not wait behind them. Opens no file.

An engine that is hungry needs many small inputs more than one large one.
"""

from __future__ import annotations

import contextlib

from vlmeval_mp.core.records import Draft, TextPart

LONG_BYTES = 4 << 20
"""Bytes of a sample's pictures from which decoding and processing them takes several tenths of a second."""
RECENT = 128
"""Samples among which there must be a quick one for a thread or process to be kept free of long ones."""


def may_begin(at_long: int, places: int, since_quick: int) -> tuple[bool, bool]:
    """Return two answers for the next free one of `places` (threads or processes): whether it may begin a long sample,
    and whether it may do so while quick ones wait.

    `at_long` of them are at long ones now. The last place is kept for quick ones, unless the last `RECENT` samples and
    more were all long: `since_quick` counts those. Half of the places are kept for quick ones that wait.
    """
    most = places if since_quick > RECENT else max(1, places - 1)
    return at_long < most, at_long < places // 2


def takes_long(draft: Draft) -> bool:
    """Return whether the media of `draft` take long: a video that is decoded, or pictures of `LONG_BYTES` together."""
    found = [part.media for message in draft.messages for part in message.parts if not isinstance(part, TextPart)]
    if draft.video != "whole" and any(media.kind == "video" for media in found):
        return True
    nbytes = 0
    for media in found:
        with contextlib.suppress(OSError, ValueError):  # whoever opens it says what is wrong with it
            nbytes += (draft.folder / media.file).stat().st_size if media.file else 0
    return nbytes >= LONG_BYTES
