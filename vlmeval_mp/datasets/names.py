"""Data set names: the place of each TSV, and the settings that belong to the name.

Owns the bundled names, the `$LMUData` folder and per-name defaults. `benchmarks` and
`requests.videosets` have the published benchmarks, `vlmevalkit.registry` all of VLMEvalKit's names. Reads no TSV.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vlmeval_mp.core.errors import ConfigError, did_you_mean, nearest
from vlmeval_mp.core.records import DataSpec
from vlmeval_mp.datasets import benchmarks, videobenchmarks
from vlmeval_mp.requests.videosets import VIDEO_BENCHMARKS
from vlmeval_mp.vlmevalkit import registry

BUNDLED = ("DigitsMCQ", "DigitsYORN", "DigitsVQA", "DigitsVideo")

_BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "demo" / "data"

_DEFAULTS: dict[str, dict[str, Any]] = {
    "DigitsVideo": {"nframe": 8},
}


def defaults(name: str) -> dict[str, Any]:
    """Return fields of `DataSpec` that the data set called `name` wants unless the user says otherwise.

    Of a path, the file's name counts if it is exactly that of a benchmark in a table here. A benchmark of VLMEvalKit's
    that is in none is asked and scored by VLMEvalKit's own class.
    """
    stem = Path(name).name.removesuffix(".tsv")
    own = {**videobenchmarks.defaults(stem), **benchmarks.defaults(stem), **_DEFAULTS.get(name, {})}
    if own or name in BUNDLED:
        return own
    found = registry.known().get(name)
    theirs = found is not None and found.modality in ("IMAGE", "TEXT")
    return dict(registry.DEFAULTS) if theirs else {}


def lmu_data() -> Path:
    """VLMEvalKit's data folder: `$LMUData`, else `~/LMUData`."""
    given = os.environ.get("LMUData", "")  # noqa: SIM112 - VLMEvalKit spells it so
    return Path(given).expanduser() if given else Path("~/LMUData").expanduser()


def find(name_or_path: str) -> Path:
    """Return the TSV that is meant: a path, a bundled name, or a name in `$LMUData`.

    Raises:
        ConfigError: there is none; says everywhere it was looked for, and the nearest known name.
    """
    name = name_or_path.removesuffix(".tsv")
    places = [Path(name_or_path).expanduser(), lmu_data() / f"{name}.tsv"]
    if name in BUNDLED:
        places.insert(1, _BUNDLED_FOLDER / f"{name}.tsv")
    if name in VIDEO_BENCHMARKS:
        places += [folder / f"{name}.tsv" for folder in (lmu_data() / name, *videobenchmarks.folders(name))]
    for place in places:
        if place.is_file():
            return place.absolute()  # a link keeps its name, which may be a benchmark's
    if places[0].is_dir() and (places[0].is_absolute() or "/" in name_or_path):
        raise ConfigError(f"data set {name_or_path!r} is a folder; name a TSV in it{_an_example(places[0])}")
    looked = ", ".join(dict.fromkeys(map(str, places)))
    root = "" if os.environ.get("LMUData") else " (LMUData is not set)"  # noqa: SIM112
    raise ConfigError(f"data set {name_or_path!r} was not found; looked for {looked}{root}; {_hint(places[0])}")


def _an_example(folder: Path) -> str:
    found = sorted(path.name for path in folder.glob("*.tsv"))
    return f", such as {folder / found[0]}" if found else "; there is none"


def _hint(place: Path) -> str:
    """Return what to do about a name or path that has no file: first for an official name, then for
    one like that of a TSV beside it.
    """
    name = place.name.removesuffix(".tsv")
    official = registry.known()
    if name in official:
        return _where(official[name])
    beside = nearest(place.name, [path.name for path in place.parent.glob("*.tsv")], least=0.8)
    if beside:
        return f"did you mean {str(place.with_name(beside[0]))!r}?"
    return did_you_mean(name, [*known(), *official], f"names known here: {', '.join(known())}")


def _where(benchmark: registry.Benchmark) -> str:
    if benchmark.modality == "SEVERAL":
        return f"in VLMEvalKit it is several data sets; name them one by one: {benchmark.source}"
    if not benchmark.source:
        return "VLMEvalKit fetches it by itself and names no TSV; nothing is downloaded here"
    place = lmu_data() / f"{benchmark.name}.tsv"
    return f"nothing is downloaded here; the official file is {benchmark.source}: put it at {place}"


def media_folders(spec: DataSpec) -> list[Path]:
    """Return where the files that a TSV names are looked for, besides its own folder."""
    lmu = lmu_data()
    called = dict.fromkeys((spec.name, Path(spec.path).stem))
    own = [folder / name for folder in (lmu / "images", lmu) for name in called]
    return [*own, lmu, *videobenchmarks.folders(spec.layout)]


def known() -> list[str]:
    """Return the names whose files are here: the bundled ones, the TSVs in `$LMUData`, and video benchmarks
    in HF's cache.
    """
    local = sorted(path.stem for path in lmu_data().glob("*.tsv"))
    cached = [
        name for name in VIDEO_BENCHMARKS if any((f / f"{name}.tsv").is_file() for f in videobenchmarks.folders(name))
    ]
    return list(dict.fromkeys((*BUNDLED, *local, *cached)))
