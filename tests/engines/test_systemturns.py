"""Chat templates that refuse a system turn: which do, and what becomes of the turn's text then."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import msgspec
import pytest

from tests.builders import fake_run, worker_for
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Completion, DataSpec, Request, Sampling, TextPart
from vlmeval_mp.engines import systemturns
from vlmeval_mp.pool.worker.__main__ import live
from vlmeval_mp.runs import fingerprint
from vlmeval_mp.runs.merge import merge
from vlmeval_mp.runs.snapshot import read_record

REFUSES = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
ALTERNATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}{% endfor %}"
)
TURNS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | string }}{% if loop.last %}{% break %}{% endif %}"
TURNS += "{% endfor %}"
TEXTS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"


def folder(path: Path, template: object, name: str = "chat_template.jinja") -> Path:
    path.mkdir(exist_ok=True)
    text = template if name.endswith(".jinja") else json.dumps({"chat_template": template})
    (path / name).write_text(str(text))
    systemturns.refused_by.cache_clear()
    return path


@pytest.mark.parametrize(
    ("template", "refuses"),
    [
        (REFUSES + TURNS, True), (REFUSES + TEXTS, True), (ALTERNATE + TURNS, True), (TURNS, False), (TEXTS, False),
        ("{{ nonsense(", False), ("{{ raise_exception('never') }}", False), ("", False),
    ],
)  # fmt: skip
def test_a_template_refuses_a_system_turn_if_it_takes_the_users_alone(
    tmp_path: Path, template: str, refuses: bool
) -> None:
    assert systemturns.refused_by(folder(tmp_path / "m", template)) is refuses


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json", "tokenizer_config.json"])
def test_templates_are_found_where_transformers_keeps_them(tmp_path: Path, name: str) -> None:
    assert systemturns.refused_by(folder(tmp_path / "a", REFUSES + TURNS, name))
    listed = [{"name": "tool", "template": TURNS}, {"name": "default", "template": REFUSES + TURNS}]
    assert systemturns.refused_by(folder(tmp_path / "b", listed, name))
    (tmp_path / "b" / "chat_template.jinja").write_text(TURNS)
    systemturns.refused_by.cache_clear()
    assert not systemturns.refused_by(tmp_path / "b")
    assert not systemturns.refused_by(tmp_path / "none")


def test_a_folded_turn_is_in_the_fingerprint_only_where_it_changes_what_is_asked(tmp_path: Path) -> None:
    refusing, other = folder(tmp_path / "a", REFUSES + TURNS), folder(tmp_path / "b", TURNS)
    record = read_record(fake_run(tmp_path, 1))
    (model,) = record.spec.models
    plain = DataSpec(name="d", path="d.tsv")
    instructed = DataSpec(name="d", path="d.tsv", prompt="mvbench")

    def folds(path: Path, data: DataSpec = plain, **fields: str) -> bool:
        changed = msgspec.structs.replace(model, engine="vllm", path=str(path), sampling=Sampling(), **fields)
        return fingerprint._folds(changed, [data])

    assert folds(refusing, system_prompt="Be brief.")
    assert folds(refusing, instructed)
    assert not folds(refusing)
    assert not folds(other, system_prompt="Be brief.")
    assert not folds(refusing, system_prompt="Be brief.", roles="user")


def test_an_engine_that_refuses_system_turns_gets_them_in_the_users_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = fake_run(tmp_path, 40, config={"model": {"fake": {"system_prompt": "Be careful."}}})
    worker = worker_for(paths, read_record(paths), window=4)
    real, asked = worker.engine.generate, []

    async def generate(request: Request) -> Completion:
        if any(message.role == "system" for message in request.messages):
            await asyncio.sleep(0)
            raise RequestError("System role not supported")
        asked.append(request.messages)
        return await real(request)

    worker.engine.generate = generate
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(live(worker)) == 0
    assert (worker.counts.answered, worker.counts.failed, len(asked)) == (40, 0, 40)
    first = [messages[0].parts[0] for messages in asked]
    assert first == [TextPart(text="Be careful.\n\n")] * 40
    said = [record.getMessage() for record in caplog.records if "takes no system turn" in record.getMessage()]
    assert said == ["fake takes no system turn (System role not supported): it goes to the head of the user's"]
    assert all(p.error is None for p in merge(paths, read_record(paths).jobs[0])[1])


def test_a_refusal_of_the_system_turn_without_one_stays_an_error_with_the_way_out(tmp_path: Path) -> None:
    paths = fake_run(tmp_path, 3)
    worker = worker_for(paths, read_record(paths), window=4)
    asked = []

    async def generate(request: Request) -> Completion:
        asked.append(request)
        raise RequestError("Conversation roles must alternate")

    worker.engine.generate = generate
    assert asyncio.run(live(worker)) == 0
    assert (worker.counts.failed, len(asked)) == (3, 3)


@pytest.mark.parametrize("folded_helps", [False, True])
def test_one_odd_refusal_folds_nothing_for_the_others(tmp_path: Path, folded_helps: bool) -> None:
    """An endpoint's words about one sample's system prompt, after others were answered with theirs."""
    paths = fake_run(tmp_path, 12, config={"model": {"fake": {"system_prompt": "Be careful."}}})
    worker = worker_for(paths, read_record(paths), window=1)
    real, roles = worker.engine.generate, []

    async def generate(request: Request) -> Completion:
        told = [message.role for message in request.messages]
        if request.id == "5" and ("system" in told or not folded_helps):
            raise RequestError("the system prompt is too long here")
        roles.append(tuple(told))
        return await real(request)

    worker.engine.generate = generate
    assert asyncio.run(live(worker)) == 0
    assert worker.counts.failed == 1
    assert set(roles) == {("system", "user")}
