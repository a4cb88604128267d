"""Data set names: where the TSV of each lies, and what goes with the name.

Owns the bundled names, the `$LMUData` folder and per-name defaults. Reads no TSV.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from vlmeval_mp.datasets import videobench
from vlmeval_mp.errors import ConfigError
from vlmeval_mp.records import DataSpec

BUNDLED = ("DigitsMCQ", "DigitsYORN", "DigitsVQA", "DigitsVideo")

_BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "demo" / "data"

_DEFAULTS: dict[str, dict[str, Any]] = {
    "DigitsVideo": {"nframe": 8},
    "MMMU_DEV_VAL": {"prompt": "mmmu"},
    "MMMU_TEST": {"prompt": "mmmu"},
    "AMBER": {"prompt": "amber"},
}


def defaults(name: str) -> dict[str, Any]:
    """Fields of `DataSpec` that the data set called `name` wants unless the user says otherwise.

    Of a path, the file's name counts if it is a video benchmark's: VLMEvalKit writes such a TSV beside the videos.
    """
    return {**videobench.defaults(Path(name).name.removesuffix(".tsv")), **_DEFAULTS.get(name, {})}


def lmu_data() -> Path:
    """VLMEvalKit's data folder: `$LMUData`, else `~/LMUData`."""
    given = os.environ.get("LMUData", "")  # noqa: SIM112 - VLMEvalKit spells it so
    return Path(given).expanduser() if given else Path("~/LMUData").expanduser()


def find(name_or_path: str) -> Path:
    """The TSV that is meant: a path, a bundled name, or a name in `$LMUData`.

    Raises:
        ConfigError: there is none; says everywhere it was looked for, and the nearest known name.
    """
    name = name_or_path.removesuffix(".tsv")
    places = [Path(name_or_path).expanduser(), lmu_data() / f"{name}.tsv"]
    if name in BUNDLED:
        places.insert(1, _BUNDLED_FOLDER / f"{name}.tsv")
    if name in videobench.LAYOUTS:
        places += [folder / f"{name}.tsv" for folder in (lmu_data() / name, *videobench.folders(name))]
    for place in places:
        if place.is_file():
            return place.resolve()
    near = difflib.get_close_matches(Path(name).name, known(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"names known here: {', '.join(known())}"
    looked = ", ".join(map(str, places))
    raise ConfigError(f"data set {name_or_path!r} was not found; looked for {looked}; {hint}")


def media_folders(spec: DataSpec) -> list[Path]:
    """Where the files that a TSV names are looked for, besides its own folder."""
    lmu = lmu_data()
    names = dict.fromkeys((spec.name, Path(spec.path).stem))
    own = [folder / name for folder in (lmu / "images", lmu) for name in names]
    return [*own, lmu, *videobench.folders(spec.layout)]


def known() -> list[str]:
    """The names that may be meant: the bundled ones, the TSVs in `$LMUData`, and the video benchmarks."""
    local = sorted(path.stem for path in lmu_data().glob("*.tsv"))
    cached = [
        name for name in videobench.LAYOUTS if any((f / f"{name}.tsv").is_file() for f in videobench.folders(name))
    ]
    return list(dict.fromkeys((*BUNDLED, *local, *cached)))
