"""A run as one file that can be handed on: a zip of its folder, its samples and their media, with a digest of all.

    bundle.json                          run, version, and the SHA-256 of every other file
    <run>/run.json queue/ checkpoints/ workers/ results/
    <run>/datasets/<name>-<digest>/      dataset.json samples.jsonl media/<digest>.<ext>

The digest of a bundle is the SHA-256 of its `bundle.json`, so one line pins every answer in it. The same run always
makes the same bytes. Opened, a bundle is a run folder like any other. A file that does not match, or that would land
outside its folder, is refused.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from vlmeval_mp.core import files
from vlmeval_mp.core.errors import ConfigError, StorageError, nearest
from vlmeval_mp.core.paths import RunPaths, slug
from vlmeval_mp.core.records import ImagePart, Job, Media, Message, Sample, Struct, VideoPart
from vlmeval_mp.report.pictures import place_of
from vlmeval_mp.runs import kept, snapshot
from vlmeval_mp.runs.merge import dataset_of

VERSION = 1
MANIFEST = "bundle.json"
KEPT = ("run.json", "queue/done", "queue/failed", "queue/pending", "queue/claimed", "checkpoints", "workers", "results")
STORED = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".webm", ".mkv", ".avi", ".mov")
"""Media that are compressed already."""
BLOCK = 1 << 20


class Manifest(Struct, frozen=True, omit_defaults=False):
    """`bundle.json`. `files` maps each name in the bundle to its SHA-256; `media`: whether media are in it."""

    version: int
    run: str
    media: bool
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle. `missing` counts media files that could not be found."""

    file: Path
    digest: str
    size: int
    missing: int


def write(paths: RunPaths, file: Path, *, media: bool = True) -> Bundle:
    """Write the run at `paths` as one file, in one step; with `media=False` without pictures and videos.

    Raises:
        ConfigError: there is no run there, its samples are missing, or the run is at work.
        StorageError: the file cannot be written.
    """
    record = snapshot.read_record(paths)
    building = files.temporary(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(building, "w", zipfile.ZIP_DEFLATED) as archive:
            writer = _Writer(archive, f"{paths.root.name}/")
            for name, source in _run_files(paths):
                writer.add(name, source)
            for job in {job.folder: job for job in record.jobs}.values():
                _add_dataset(writer, paths, job, max(j.samples for j in record.jobs if j.folder == job.folder), media)
            manifest = Manifest(VERSION, paths.root.name, media, dict(sorted(writer.digests.items())))
            content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            archive.writestr(_entry(MANIFEST), content, zipfile.ZIP_DEFLATED)
        building.replace(file)
    except OSError as error:
        building.unlink(missing_ok=True)
        raise StorageError(f"cannot write {file}: {error.strerror or error}") from error
    return Bundle(file, hashlib.sha256(content).hexdigest(), file.stat().st_size, writer.missing)


def _run_files(paths: RunPaths) -> Iterator[tuple[str, Path]]:
    for part in KEPT:
        root = paths.root / part
        found = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        for path in found:
            if path.suffix != ".lock" and not path.name.startswith("."):
                yield path.relative_to(paths.root).as_posix(), path


class _Writer:
    """Adds files under `prefix` and keeps their digests."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self.digests: dict[str, str] = {}
        self.missing = 0
        self._archive, self._prefix = archive, prefix

    def add(self, name: str, source: Path | bytes) -> None:
        """Add a file or bytes under `name`, once."""
        whole = self._prefix + name
        if whole in self.digests:
            return
        digest = hashlib.sha256()
        entry = _entry(whole)
        entry.compress_type = zipfile.ZIP_STORED if name.lower().endswith(STORED) else zipfile.ZIP_DEFLATED
        with self._archive.open(entry, "w", force_zip64=True) as out:
            for block in _blocks(source):
                digest.update(block)
                out.write(block)
        self.digests[whole] = digest.hexdigest()


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry without a time of its own, so that the same run makes the same bytes."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    return entry


# --- samples and media -----------------------------------------------------------------------------------------


def _add_dataset(writer: _Writer, paths: RunPaths, job: Job, count: int, media: bool) -> None:
    """Add the samples of a data set and, with `media`, what they show, every name made relative to the bundle."""
    folders = kept.places_of(paths, job)
    dataset = dataset_of(paths, job)
    base = f"datasets/{job.folder}/"
    samples = dataset.samples(0, len(dataset) - 1) if len(dataset) else []

    def moved(found: Media) -> Media:
        place = place_of(found, folders) if found.file else None
        if place is None or not media:
            writer.missing += bool(found.file and media)
            return found
        name = f"media/{found.digest or hashlib.sha256(found.file.encode()).hexdigest()}{place.suffix.lower()}"
        for source in sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]:
            inside = f"/{source.relative_to(place).as_posix()}" if place.is_dir() else ""
            writer.add(base + name + inside, source)
        return msgspec.structs.replace(found, file=name)

    # a limited run shows the media of its own samples alone
    shown = [with_media(sample, moved) if sample.row < count else sample for sample in samples]
    lines = b"".join(msgspec.json.encode(sample) + b"\n" for sample in shown)
    info = msgspec.structs.replace(dataset.info, stored=hashlib.sha256(lines).hexdigest())
    writer.add(base + "dataset.json", msgspec.json.encode(info))
    writer.add(base + "samples.jsonl", lines)


def with_media(sample: Sample, moved: Callable[[Media], Media]) -> Sample:
    """Return `sample` with `moved` applied to all its media, those of a ready prompt and subtitles included."""

    def part(one: object) -> object:
        if isinstance(one, ImagePart):
            return msgspec.structs.replace(one, media=moved(one.media))
        if isinstance(one, VideoPart):
            spoken = one.subtitles
            if spoken is not None and spoken.media is not None:
                spoken = msgspec.structs.replace(spoken, media=moved(spoken.media))
            return msgspec.structs.replace(one, media=moved(one.media), subtitles=spoken)
        return one

    ready: tuple[Message, ...] = tuple(
        msgspec.structs.replace(message, parts=tuple(map(part, message.parts))) for message in sample.ready
    )
    return msgspec.structs.replace(
        sample,
        media=tuple(map(moved, sample.media)),
        subtitles=None if sample.subtitles is None else moved(sample.subtitles),
        ready=ready,
    )


# --- opening ---------------------------------------------------------------------------------------------------


def _nearest(file: Path) -> str:
    found = nearest(file.name, [path.name for path in file.absolute().parent.glob("*") if path.is_file()])
    return f"; did you mean {found[0]!r}?" if found else ""


def unpack(file: Path, folder: Path) -> tuple[RunPaths, str]:
    """Make the run in a bundle a folder below `folder`, in one step; return it and the bundle's digest.

    Raises:
        ConfigError: it is no bundle, was altered or damaged, or a run of that name is there already.
        StorageError: the folder cannot be written.
    """
    try:
        with _archive(file) as archive:
            manifest, digest = _manifest(file, archive)
            target = RunPaths(folder / manifest.run)
            if target.root.exists():
                raise ConfigError(f"{target.root} is there already; remove it or name another folder with --jobs")
            building = files.temporary(folder / manifest.run)
            try:
                for name, wanted in manifest.files.items():
                    _extract(file, archive, name, wanted, building)
                (building / manifest.run / "logs").mkdir(exist_ok=True)
                for state in ("pending", "claimed", "done", "failed"):
                    (building / manifest.run / "queue" / state).mkdir(parents=True, exist_ok=True)
                (building / manifest.run).chmod(0o700)
                (building / manifest.run).rename(target.root)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ConfigError(f"{file}: is no bundle that can be read ({error})") from None
    except OSError as error:
        raise StorageError(f"cannot open {file} in {folder}: {error.strerror or error}") from error
    return target, digest


def _archive(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such bundle{_nearest(file)}") from None


def _manifest(file: Path, archive: zipfile.ZipFile) -> tuple[Manifest, str]:
    try:
        content = archive.read(MANIFEST)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (KeyError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file}: is no bundle of vlmeval-mp ({error})") from None
    if manifest.version != VERSION:
        raise ConfigError(f"{file}: is a bundle of version {manifest.version}; this vlmeval-mp reads {VERSION}")
    if slug(manifest.run) != manifest.run or not all(map(_inside(manifest.run), manifest.files)):
        raise ConfigError(f"{file}: names files outside its own folder and is not opened")
    if not manifest.files:
        raise ConfigError(f"{file}: its list names no files, so there is no run in it")
    extra = [name for name in archive.namelist() if name not in manifest.files and name != MANIFEST]
    if extra or len(archive.namelist()) != len(manifest.files) + 1:
        raise ConfigError(f"{file}: holds files that its list does not name ({', '.join(extra[:3]) or 'one twice'})")
    return manifest, hashlib.sha256(content).hexdigest()


def _inside(run: str) -> Callable[[str], bool]:
    def check(name: str) -> bool:
        parts = PurePosixPath(name).parts
        return parts[:1] == (run,) and len(parts) > 1 and ".." not in parts and "\\" not in name and "\0" not in name

    return check


def _extract(file: Path, archive: zipfile.ZipFile, name: str, wanted: str, building: Path) -> None:
    path = building / name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(name) as source, path.open("xb") as out:
        for block in _pieces(source.read):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != wanted:
        raise ConfigError(f"{file}: {name} is not as it was bundled; get the file again")


def _pieces(read: Callable[[int], bytes]) -> Iterable[bytes]:
    while block := read(BLOCK):
        yield block
