"""What is in a run's fingerprint and what is not; how a change is refused."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.paths import JobsPaths
from vlmeval_mp.core.records import DataSpec, MediaLimits, ModelSpec, RunRecord, RunSpec, Sampling
from vlmeval_mp.runs import fingerprint, submit
from vlmeval_mp.runs.fingerprint import LEFT_OUT, fingerprint_of, refuse_changed, weights_digest
from vlmeval_mp.runs.snapshot import read_record

HALFWAY = Path(__file__).parent / "halfway"
CONTENT = {"d": SimpleNamespace(info=SimpleNamespace(digest="abc"))}
SPEC = RunSpec("run", (ModelSpec("m", "fake", "fake"),), (DataSpec("d", "d.tsv"),))
APART = {RunSpec: ("name", "models", "datasets"), ModelSpec: ("name", "engine", "engine_args"), DataSpec: ("name",)}
"""Fields that are in the fingerprint in another form: as part of its keys, or taken apart."""


def with_part(part: msgspec.Struct) -> RunSpec:
    if isinstance(part, ModelSpec):
        return msgspec.structs.replace(SPEC, models=(part,))
    return msgspec.structs.replace(SPEC, datasets=(part,)) if isinstance(part, DataSpec) else part


def changed(value: object) -> object:
    """Another value of the same type."""
    match value:
        case bool() | None:
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case tuple():
            return ("<<", ">>")
        case dict():
            return {**value, "x": {"y": 1}}
        case MediaLimits():
            return MediaLimits(max_pixels=1)
        case Sampling():
            return Sampling(top_k=3)
    raise AssertionError(f"say in this test what another {type(value).__name__} is")


def fields() -> list[tuple[msgspec.Struct, str]]:
    parts = (SPEC, SPEC.models[0], SPEC.datasets[0])
    return [(p, f) for p in parts for f in p.__struct_fields__ if f not in APART[type(p)]]


@pytest.mark.parametrize(("part", "field"), fields(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_field_of_a_spec_is_either_in_the_fingerprint_or_named_as_left_out(part, field):
    other = msgspec.structs.replace(part, **{field: changed(getattr(part, field))})
    before, after = fingerprint_of(SPEC, CONTENT), fingerprint_of(with_part(other), CONTENT)
    differing = {key.rpartition(".")[2] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert differing == (set() if field in LEFT_OUT[type(part)] else {field})


def test_only_fields_that_exist_are_left_out_each_with_a_reason():
    for kind, reasons in LEFT_OUT.items():
        assert reasons.keys() <= set(kind.__struct_fields__)
        assert all(reasons.values())
    for kind, names in fingerprint.ALWAYS_WRITTEN.items():
        assert names <= set(kind.__struct_fields__) - LEFT_OUT[kind].keys()


def test_the_fields_that_stand_in_another_form_change_the_fingerprint():
    before, model, data = fingerprint_of(SPEC, CONTENT), SPEC.models[0], SPEC.datasets[0]
    for other in (
        msgspec.structs.replace(model, name="n"),
        msgspec.structs.replace(model, engine="vllm"),
        msgspec.structs.replace(model, engine_args={"answers": "echo"}),
    ):
        assert fingerprint_of(with_part(other), CONTENT) != before
    assert fingerprint_of(SPEC, {"d": SimpleNamespace(info=SimpleNamespace(digest="abd"))}) != before
    renamed = with_part(msgspec.structs.replace(data, name="e"))
    assert fingerprint_of(renamed, {"e": CONTENT["d"]}) != before


def test_an_argument_that_changes_the_speed_only_is_not_in_it():
    slow = msgspec.structs.replace(SPEC.models[0], engine_args={"latency": 3})
    assert fingerprint_of(with_part(slow), CONTENT) == fingerprint_of(SPEC, CONTENT)


def test_an_argument_that_was_frozen_before_it_counted_as_neutral_is_not_compared():
    new = fingerprint_of(SPEC, CONTENT)
    old = {**new, "model.m.engine_args.latency": "3"}
    refuse_changed(RunRecord(1, SPEC, (), old, {}), new)
    with pytest.raises(ConfigError, match=r"model\.m\.engine_args\.answers: was \"echo\", is not there"):
        refuse_changed(RunRecord(1, SPEC, (), {**old, "model.m.engine_args.answers": '"echo"'}, {}), new)


def test_a_run_that_an_older_commit_froze_is_the_same_run_today(tmp_path):
    shutil.copytree(HALFWAY / "jobs", tmp_path / "jobs")
    paths = JobsPaths(tmp_path / "jobs").run("half")
    submit.check(paths, read_record(paths))


def test_other_weights_in_the_same_folder_are_another_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"1" * 100)
    before = weights_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"2" * 100)
    assert weights_digest(tmp_path) != before
    assert weights_digest(tmp_path / "no-folder") == ""


def test_a_large_model_counts_by_size_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "FULL_DIGEST_BYTES", 10)
    monkeypatch.setattr(fingerprint, "SAMPLE_BYTES", 4)
    (tmp_path / "model.safetensors").write_bytes(b"head....tail")
    before = weights_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"head....tale")
    assert weights_digest(tmp_path) != before


def test_a_refusal_shows_the_beginning_of_a_long_value():
    with pytest.raises(ConfigError) as caught:
        refuse_changed(RunRecord(1, SPEC, (), {"model.m.engine_args.x": "y" * 5000}, {}), {})
    assert f"was {'y' * 200}… (5,000 characters), is not there" in str(caught.value)


def test_media_limits_are_part_of_it_in_a_stable_form():
    spec = msgspec.structs.replace(SPEC, media=MediaLimits(max_pixels=5))
    assert fingerprint_of(spec, CONTENT)["media"] == '{"max_pixels":5}'
