"""Small samples are rendered beside long ones, whichever were asked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmeval_mp.core.records import Draft, ImagePart, Media, MediaLimits, Message, Sampling, TextPart, VideoPart
from vlmeval_mp.engines.renderqueue import IN_FLIGHT, Job, Place, RenderQueue
from vlmeval_mp.requests import longmedia
from vlmeval_mp.requests.longmedia import RECENT, takes_long


class Rendering:
    """A queue with as many processes, which are given drafts and done with them as the test says."""

    def __init__(self, count: int) -> None:
        self.places = [Place(number, process=object()) for number in range(count)]  # type: ignore[arg-type]
        self.queue = RenderQueue(self.places)
        self.count = 0

    def ask(self, kind: str, medium: str = "") -> None:
        draft: Any = kind
        outcome: Any = None
        self.queue.put(Job(self.count, draft, medium or f"{kind} {self.count}", outcome, kind == "long"))
        self.count += 1

    def give(self) -> list[list[str]]:
        """Give out as the pool does; return what every process has now."""
        for turn in range(IN_FLIGHT):
            for place in self.places:
                while len(place.given) <= turn and (job := self.queue.next(place)):
                    place.given[job.number] = job
        return [[str(job.draft) for job in place.given.values()] for place in self.places]

    def finish(self, kind: str) -> int:
        """End all drafts of that kind which processes have; return how many these were."""
        done = 0
        for place in self.places:
            gone = [number for number, job in place.given.items() if job.draft == kind]
            done += len(gone)
            for number in gone:
                del place.given[number]
        return done


def test_long_ones_have_half_of_the_processes_while_small_ones_wait() -> None:
    rendering = Rendering(4)
    for _ in range(20):
        rendering.ask("long")
    for _ in range(20):
        rendering.ask("small")
    given = rendering.give()
    assert sum(has == ["long"] for has in given) == 2
    assert sum(has == ["small", "small"] for has in given) == 2


def test_every_small_one_is_rendered_while_the_first_long_ones_last() -> None:
    rendering = Rendering(2)
    for _ in range(10):
        rendering.ask("long")
    for _ in range(50):
        rendering.ask("small")
    small = 0
    while rendering.give() and (done := rendering.finish("small")):
        small += done
    assert small == 50
    assert sum(has == ["long"] for has in rendering.give()) == 1, "the last process is kept for what may come"


def test_a_process_alone_does_small_ones_first_and_long_ones_then() -> None:
    rendering = Rendering(1)
    for kind in ("long", "small", "small"):
        rendering.ask(kind)
    assert rendering.give() == [["small", "small"]]
    rendering.finish("small")
    assert rendering.give() == [["long"]]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_set_of_long_ones_alone_has_every_process(count: int) -> None:
    rendering = Rendering(count)
    for _ in range(RECENT + 1):
        rendering.ask("long")
    assert rendering.give() == [["long"]] * count


def test_nothing_stands_behind_a_long_one_in_its_process() -> None:
    rendering = Rendering(2)
    rendering.ask("small")
    rendering.ask("long")
    assert rendering.give() == [["small"], ["long"]]
    rendering.ask("small")
    rendering.ask("small")
    assert rendering.give() == [["small", "small"], ["long"]]


def test_questions_about_one_video_go_to_one_process_and_idle_ones_help() -> None:
    rendering = Rendering(2)
    for _ in range(RECENT + 1):
        rendering.ask("long", medium="one video")
    assert rendering.give() == [["long"], ["long"]]
    assert len(rendering.places[0].queue) == RECENT - 1


def draft(folder: Path, *media: Media, video: Any = "native") -> Draft:
    parts = tuple((VideoPart if m.kind == "video" else ImagePart)(media=m) for m in media)
    return Draft(
        "a", (Message(role="user", parts=(*parts, TextPart(text="?"))),), Sampling(), folder, MediaLimits(), video=video
    )


def test_videos_and_large_pictures_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longmedia, "LONG_BYTES", 100)
    (tmp_path / "large.png").write_bytes(bytes(100))
    (tmp_path / "small.png").write_bytes(bytes(60))
    large, small, absent = (Media(kind="image", file=f"{name}.png") for name in ("large", "small", "absent"))
    clip = Media(kind="video", file="clip.mp4")
    assert takes_long(draft(tmp_path, large))
    assert takes_long(draft(tmp_path, small, small))
    assert not takes_long(draft(tmp_path, small))
    assert not takes_long(draft(tmp_path, absent))
    assert not takes_long(draft(tmp_path))
    assert takes_long(draft(tmp_path, clip))
    assert takes_long(draft(tmp_path, clip, video="images"))
    assert not takes_long(draft(tmp_path, clip, video="whole")), "its engine opens it"
