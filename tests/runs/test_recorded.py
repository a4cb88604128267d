"""A run.json from a later version, with more in it, or from somebody hostile is refused in a sentence."""

import json

import pytest

from tests.builders import fake_run
from vlmeval_mp import __version__
from vlmeval_mp.cli import main
from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.runs.snapshot import read_record


def changed(paths, change):
    raw = json.loads(paths.record.read_text())
    change(raw)
    paths.record.write_text(json.dumps(raw))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.update(version=2), "written by a later version; use vlmeval-mp 9.1, which made it"),
        (lambda raw: raw.update(extra=1), "has a field extra that this version does not know; use vlmeval-mp 9.1"),
        (lambda raw: raw["spec"]["models"][0].update(beam=4), r"has a field spec\.models\[0\]\.beam"),
        (lambda raw: raw["jobs"][0].update(weight=2), r"has a field jobs\[0\]\.weight"),
        (lambda raw: raw["jobs"][0].update(name="../../../x"), r"jobs\[0\]\.name '\.\./\.\./\.\./x' is no name"),
        (lambda raw: raw["jobs"][0].update(folder="/etc"), r"jobs\[0\]\.folder '/etc' is no name"),
        (lambda raw: raw["jobs"][0].update(model="other"), "is not one of the models"),
        (lambda raw: raw["jobs"].append(raw["jobs"][0]), "the same name twice"),
        (lambda raw: raw.update(jobs=7), "cannot be read"),
    ],
)
def test_what_this_version_does_not_know_is_refused_with_the_version_that_does(tmp_path, change, said):
    paths = fake_run(tmp_path, 10)
    assert read_record(paths).provenance["vlmeval_mp"] == __version__
    changed(paths, lambda raw: raw["provenance"].update(vlmeval_mp="9.1"))
    changed(paths, change)
    with pytest.raises(ConfigError, match=said):
        read_record(paths)


def test_a_launch_of_a_hostile_record_writes_nothing_outside(tmp_path, capsys):
    paths = fake_run(tmp_path, 10)
    changed(paths, lambda raw: raw["jobs"][0].update(name="../../../x"))
    before = sorted(path for path in tmp_path.rglob("*") if paths.root not in path.parents)
    assert main.main(["launch", "--jobs", str(tmp_path / "jobs"), "--plain", "--device", "cpu"]) == 2
    assert "is no name of a folder" in capsys.readouterr().err
    assert sorted(path for path in tmp_path.rglob("*") if paths.root not in path.parents) == before


def test_its_own_record_is_read(tmp_path):
    paths = fake_run(tmp_path, 10, config={"media": {"max_pixels": 4096}})
    assert read_record(paths).spec.media.max_pixels == 4096
