"""A run as one file: opened elsewhere it is the same run, altered it is refused, and its answers can be asked again."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.report.runs import choice_tsv, finished_run, png, replies
from vlmeval_mp.cli import main
from vlmeval_mp.core.paths import JobsPaths, RunPaths
from vlmeval_mp.report import bundle
from vlmeval_mp.report.gather import run_view


@pytest.fixture
async def made(tmp_path: Path) -> tuple[RunPaths, Path]:
    """A finished run of 12 samples with pictures, and its bundle."""
    pictures = [png((20 * i, 0, 0)) for i in range(4)]
    tsv = choice_tsv(tmp_path / "mine.tsv", 12, pictures=pictures)
    args = {"answers": replies(12, wrong=[4]), "fail": ["6"]}
    paths = await finished_run(tmp_path, [tsv], {"m": args}, "handed")
    file = tmp_path / "handed.zip"
    assert main.main(["export", str(paths.root), "--bundle", str(file)]) == 0
    return paths, file


async def test_an_opened_bundle_is_the_run_without_anything_else(
    made: tuple[RunPaths, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, file = made
    before = (paths.results("m", "mine") / "summary.json").read_bytes()
    digest = hashlib.sha256(zipfile.ZipFile(file).read(bundle.MANIFEST)).hexdigest()
    shutil.rmtree(tmp_path / "jobs")
    (tmp_path / "mine.tsv").unlink()
    elsewhere = ["--jobs", str(tmp_path / "elsewhere")]
    assert main.main(["open", str(file), *elsewhere]) == 0
    assert f"digest {digest}" in capsys.readouterr().out
    opened = JobsPaths(tmp_path / "elsewhere").run("handed")
    assert main.main(["status", "handed", "--json", *elsewhere]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 12
    (opened.results("m", "mine") / "summary.json").unlink()
    assert main.main(["eval", "handed", *elsewhere]) == 0
    assert (opened.results("m", "mine") / "summary.json").read_bytes() == before
    assert main.main(["report", "handed", *elsewhere]) == 0
    assert "data:image/webp" in (opened.report / "index.html").read_text()
    (job,) = run_view(opened).jobs
    assert [origin.worker for origin in job.origins] == ["w0"] * 12
    assert main.main(["open", str(file), *elsewhere]) == 2
    assert "is there already" in capsys.readouterr().err


async def test_the_same_run_makes_the_same_bundle(made: tuple[RunPaths, Path], tmp_path: Path) -> None:
    paths, file = made
    again = bundle.write(paths, tmp_path / "again.zip")
    assert again.file.read_bytes() == file.read_bytes()
    assert again.digest == hashlib.sha256(zipfile.ZipFile(file).read(bundle.MANIFEST)).hexdigest()
    small = bundle.write(paths, tmp_path / "small.zip", media=False)
    assert not any("/media/" in name for name in zipfile.ZipFile(small.file).namelist())


def altered(file: Path, to: Path, change: dict[str, bytes]) -> Path:
    """A copy of a bundle with other contents under some names."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, change.get(name, old.read(name)))
        for name in change.keys() - set(old.namelist()):
            new.writestr(name, change[name])
    return to


async def test_an_altered_bundle_is_refused_and_leaves_nothing(
    made: tuple[RunPaths, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, file = made
    manifest = json.loads(zipfile.ZipFile(file).read(bundle.MANIFEST))
    outside = manifest | {"files": {**manifest["files"], "../evil": "0"}}
    cases = {
        "handed/run.json is not as it was bundled": {"handed/run.json": b"{}"},
        "holds files that its list does not name (handed/more)": {"handed/more": b"x"},
        "names files outside its own folder": {bundle.MANIFEST: json.dumps(outside).encode(), "../evil": b"x"},
        "is a bundle of version 9": {bundle.MANIFEST: json.dumps(manifest | {"version": 9}).encode()},
    }
    for number, (why, change) in enumerate(cases.items()):
        bad = altered(file, tmp_path / f"bad{number}.zip", change)
        assert main.main(["open", str(bad), "--jobs", str(tmp_path / "there")]) == 2
        assert why in capsys.readouterr().err
    (tmp_path / "no.zip").write_bytes(b"PK no zip")
    assert main.main(["open", str(tmp_path / "no.zip"), "--jobs", str(tmp_path / "there")]) == 2
    assert list((tmp_path / "there").iterdir()) == []


def verify(file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main.main(["verify", str(file), "--device", "cpu", "--json", *words])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
async def test_verify_asks_answered_samples_again_and_counts_what_agrees(
    made: tuple[RunPaths, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, file = made
    shutil.rmtree(tmp_path / "jobs")
    code, told = verify(file, capsys, "-n", "50")
    assert (code, told["asked"], told["same"], told["same_verdict"]) == (0, 11, 11, 11)
    # an engine that answers otherwise, once with the same verdict
    other = {"answers": replies(12, wrong=[4, 5], r2="A")}
    code, told = verify(file, capsys, "-n", "50", "--engine-args", json.dumps(other))
    assert (code, told["asked"], told["same"], told["same_verdict"]) == (1, 11, 9, 10)
    drawn = [verify(file, capsys, "-n", "3", "--seed", "7")[1] for _ in range(2)]
    assert drawn[0] == drawn[1] and drawn[0]["asked"] == 3
    assert not paths.root.exists()
    assert main.main(["verify", str(file), "--device", "cpu", "--plain"]) == 0
    assert "answers without scores" not in capsys.readouterr().out  # in a folder that is deleted when it ends


async def test_a_bundle_that_is_not_there_is_said_with_the_one_beside_it(
    made: tuple[RunPaths, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, file = made
    assert main.main(["open", str(file.with_suffix(".zp"))]) == 2
    assert f": there is no such bundle; did you mean {file.name!r}?" in capsys.readouterr().err


def test_a_bundle_without_files_is_one_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hollow.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            bundle.MANIFEST, json.dumps({"version": bundle.VERSION, "run": "hollow", "media": False, "files": {}})
        )
    assert main.main(["open", str(file), "--jobs", str(tmp_path / "jobs")]) == 2
    assert "hollow.zip: its list names no files" in capsys.readouterr().err
