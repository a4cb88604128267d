"""Whatever comes from outside, damaged in any way: it is read, or refused in a sentence. Nothing else ever happens.

The corpus beside this file holds what each kind of input looks like, and cases that once went wrong; each is tried as
it is and with random damage.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmeval_mp.config.build import Overrides, build, loads
from vlmeval_mp.core import linefiles
from vlmeval_mp.core.errors import ConfigError, RequestError, VlmevalError
from vlmeval_mp.core.records import DataSpec, ImagePart, Media, MediaLimits, Message, Sampling, Shard
from vlmeval_mp.datasets.store import prepare
from vlmeval_mp.requests import media, prompts
from vlmeval_mp.runs import checkpoint, owners, recorded, shards
from vlmeval_mp.runs.index import search

CORPUS = Path(__file__).parent / "corpus"
MOST_MEMORY = 64 << 20
"""Bytes that reading one input of a few kilobytes may take at most."""
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


NUMBER = st.text("0179²٣", min_size=1, max_size=30)
END = st.sampled_from(["", ".json", "@h~b~1~2~n", "@", "@h~b~x~2~n"])


def corpus(kind: str) -> list[Path]:
    return sorted((CORPUS / kind).iterdir())


def damaged(kind: str) -> st.SearchStrategy[bytes]:
    """Files of the corpus with up to four edits: bytes taken out, put in, written over, or repeated."""
    edit = st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=6), st.integers(1, 40))

    def apply(seed: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
        for place, removed, added, times in edits:
            at = int(place * len(seed))
            seed = seed[:at] + added * times + seed[at + removed :]
        return seed

    return st.builds(apply, st.sampled_from([p.read_bytes() for p in corpus(kind)]), st.lists(edit, max_size=4))


def bounded(read: Callable[[], object], refusal: type[Exception] = VlmevalError) -> None:
    """Read something; a refusal is fine, anything else is not, and neither is much memory."""
    tracemalloc.start()
    try:
        read()
    except refusal as error:
        assert str(error).strip() and "\n  File " not in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST_MEMORY


def read_tsv(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.tsv"
        path.write_bytes(content)
        dataset = prepare(DataSpec(name="rows", path=str(path)), Path(folder) / "store")
        for sample in dataset:
            prompts.build(sample)
        outside = [p for p in Path(folder).iterdir() if p.name not in ("rows.tsv", "store")]
        assert not outside


def read_config(content: bytes) -> None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return  # the reader of the file says so
    build(loads(text, "c.json"), Overrides(), name="run", default_engine="fake")


def read_checkpoint(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job").mkdir()
        (Path(folder) / "job" / "w0.jsonl").write_bytes(content)
        found = search(Path(folder), Shard(job="job", first=0, last=9))
        assert all(answer.prediction.row == row for row, answer in found.answers.items())
        checkpoint.withdraw_failures(Path(folder), "job", {0, 1, 2}, "again")
        search(Path(folder), Shard(job="job", first=0, last=9))


def open_picture(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.png").write_bytes(content)
        message = Message(role="user", parts=(ImagePart(media=Media(kind="image", file="x.png")),))
        request = media.prepare("x", [message], Sampling(), Path(folder), MediaLimits(), 0, 0.0)
        assert all(image.width * image.height <= MediaLimits().refuse_pixels for image in request.images)


READERS: dict[str, tuple[Callable[[bytes], None], type[Exception]]] = {
    "tsv": (read_tsv, ConfigError),
    "config": (read_config, ConfigError),
    "record": (lambda content: recorded.parse(content, "run.json") and None, ConfigError),
    "checkpoint": (read_checkpoint, VlmevalError),
    "media": (open_picture, RequestError),
}


@pytest.mark.parametrize(
    "path", [p for kind in READERS for p in corpus(kind)], ids=lambda p: f"{p.parent.name}-{p.name}"
)
def test_each_file_of_the_corpus_is_read_or_refused(path: Path) -> None:
    read, refusal = READERS[path.parent.name]
    bounded(lambda: read(path.read_bytes()), refusal)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow warns below the limit of ours
@pytest.mark.parametrize("kind", READERS)
def test_damage_is_read_over_or_refused(kind: str) -> None:
    read, refusal = READERS[kind]

    @few
    @given(damaged(kind))
    def check(content: bytes) -> None:
        bounded(lambda: read(content), refusal)

    check()


@few
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_a_line_of_a_checkpoint_may_say_anything(payloads: list[bytes]) -> None:
    """Its checksum is right: somebody wrote it on purpose."""
    read_checkpoint(b"".join(linefiles.encode(b"{" + payload.replace(b"\n", b"")) for payload in payloads))


@few
@given(
    st.text(max_size=80) | st.from_regex(r"[a-z+]{1,4}\.\d{1,30}-\d{1,9}@\d{1,5}-\d{1,5}(@[a-z~\d]{0,20})?(\.json)?")
)
def test_a_name_in_the_queue_is_ours_or_skipped(name: str) -> None:
    entry = shards.parse(name)
    if entry is not None:
        assert shards.parse(entry.name) == entry
    shard = shards.parse_stem(name)
    assert shard is None or f"{shards.stem(shard)}.json" == name
    owner = owners.parsed(name)
    assert owner is None or owners.is_dead(owner) in (True, False, None)
