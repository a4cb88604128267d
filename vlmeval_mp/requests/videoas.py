"""Decides how an engine gets a video: as a video, as images or as a whole file. Once per job, or per video. Pure.

native    its frames, in one piece
images    each frame is an image
whole     a file, which the engine opens itself
"""

from __future__ import annotations

from typing import Literal

from vlmeval_mp.core.records import DatasetInfo, DataSpec, MediaLimits, ModelSpec, VideoPart
from vlmeval_mp.requests.frames import DEFAULT_NFRAME
from vlmeval_mp.requests.videoprompts import WORDINGS

VideoAs = Literal["native", "images", "whole"]


def of_job(model: ModelSpec, data: DataSpec, *, opens_files: bool = False) -> VideoAs:
    """Return how videos of `data` go to `model`; `opens_files`: its engine opens video files itself.

    Frames are images where the model takes nothing else, and where the data set's wording puts subtitles between them.
    """
    if opens_files:
        return "whole"
    wording = WORDINGS.get(data.prompt)
    parted = data.use_subtitle and wording is not None and wording.between
    return "images" if parted or model.video == "images" else "native"


def of_part(wanted: VideoAs, part: VideoPart) -> VideoAs:
    """Return how one video goes where its job's go as `wanted`.

    Subtitles between frames make images of these; a clip of a video, or a folder of frames, is no file.
    """
    if part.subtitles is not None and part.subtitles.between:
        return "images"
    return "native" if wanted == "whole" and part.media.is_clip else wanted


def most_media(wanted: VideoAs, info: DatasetInfo, data: DataSpec, limits: MediaLimits) -> tuple[int, int]:
    """Return the most images and the most videos that one request about the data set carries."""
    if wanted != "images":
        return info.max_images, info.max_videos
    frames = data.nframe or (limits.max_frames if data.fps else DEFAULT_NFRAME)
    return info.max_images + frames * info.max_videos, 0
