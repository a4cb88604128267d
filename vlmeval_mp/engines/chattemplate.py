"""Shared code of engines with a chat template: literal special tokens in texts, media digests, wording of errors.

Knows no engine library.
"""

from __future__ import annotations

import re
from typing import Any

from vlmeval_mp.core.records import Frames, ImagePart, Request, VideoPart


class Special:
    """The special tokens of one tokenizer, and how a text that spells one of them is kept a text.

    A question that contains "<|image_pad|>" would claim an image that is not there, and "<|im_end|>" would end the
    turn. A space after the first character makes either plain text again; other texts are unchanged.
    """

    def __init__(self, tokenizer: Any) -> None:
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        tokens = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
        longest_first = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def defuse(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def ending(request: Request) -> dict[str, bool]:
    """Return the template arguments for the end: it opens a turn of the assistant, or continues the last message.

    A last message of the assistant is the beginning of the answer; closing its turn would ask for another one.
    """
    begun = request.messages[-1].role == "assistant"
    return {"add_generation_prompt": not begun, "continue_final_message": begun}


def digests(request: Request) -> tuple[list[str | None], list[str | None]]:
    """Return digests of the images and of the videos of a request, in order; None where a digest is not known."""
    parts = [part for message in request.messages for part in message.parts]
    return (
        [part.media.digest or None for part in parts if isinstance(part, ImagePart)],
        [part.media.digest or None for part in parts if isinstance(part, VideoPart)],
    )


def metadata(video: Frames) -> dict[str, Any]:
    """Return what video processors want to know of frames that were already chosen, as `VideoMetadata` names it."""
    return {
        "fps": video.fps,
        "total_num_frames": video.total,
        "duration": video.total / video.fps if video.fps else 0.0,
        "frames_indices": list(video.indices),
        "video_backend": "pyav",
    }


def reason(error: BaseException) -> str:
    """Return one line that says why a request was refused: the deepest cause that has something to say."""
    said = ""
    seen: BaseException | None = error
    while seen is not None:
        text = " ".join(str(seen).split())
        said = text or said
        seen = seen.__cause__
    return said[:500] or type(error).__name__
