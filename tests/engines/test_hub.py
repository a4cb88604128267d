"""Weights that are neither here nor to be fetched: one message with the next step, and no worker started again."""

import asyncio

import pytest
from huggingface_hub import errors

from vlmeval_mp.core.errors import DependencyError
from vlmeval_mp.engines import hub
from vlmeval_mp.engines.base import EngineSpec


def test_the_hubs_exceptions_are_still_called_so():
    assert all(issubclass(getattr(errors, name), Exception) for name in hub.ABSENT | hub.UNKNOWN)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.LocalEntryNotFoundError("no snapshot"), "hf download owner/model"),
        (errors.OfflineModeIsEnabled("offline"), "hf download owner/model"),
        (errors.HFValidationError("bad name"), "check the name"),
    ],
)
def test_what_the_hub_says_becomes_a_missing_dependency_with_the_next_step(error, said):
    wrapped = OSError("we could not connect")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        found = hub.missing("owner/model", each)
        assert found is not None
        assert said in str(found)


def test_a_folder_that_is_not_there_is_said_to_be_missing():
    found = hub.missing("/no/such/model", errors.HFValidationError("not a repo id"))
    assert "there is no folder /no/such/model" in str(found)


def test_other_errors_are_another_matter():
    assert hub.missing("owner/model", ValueError("no such dtype")) is None


@pytest.mark.slow
def test_an_engine_without_weights_says_how_to_get_them(monkeypatch):
    from vlmeval_mp.engines.transformers.engine import TransformersEngine

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    engine = TransformersEngine(
        EngineSpec(model="nobody/no-such-model", args={}, device="cpu", tensor_parallel=1, max_images=1, max_videos=0)
    )
    with pytest.raises(DependencyError, match="hf download nobody/no-such-model"):
        asyncio.run(engine.start())
