"""Which samples take long to prepare, so that they do not stand before many small ones. Opens nothing."""

from __future__ import annotations

import contextlib

from vlmeval_mp.core.records import Draft, TextPart

LONG_BYTES = 4 << 20
"""Bytes of a sample's pictures from which decoding and processing them takes several tenths of a second."""


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
