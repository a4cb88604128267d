"""Replaces `vlmeval.api` for evaluators: gives them the named judge, or an honest stand-in if none was named.

A stand-in never works and never answers. What happened with the judge is noted in a file, because evaluators run in
pools of processes and catch exceptions: whether a score rests on a judge is decided by those notes, not by the score.
"""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import Any

EXACT = "exact_matching"
"""The judge that is none, as in VLMEvalKit's `--judge`: an evaluator that knows this name goes by rules."""
BY_RULES = ("", EXACT)
"""Names of a judge that mean: nobody judges."""
MATCHING = ("MCQ", "Y/N", "MCQ_MMMU_Pro")
"""TYPEs of data sets that are mostly scored by rules; elsewhere rules only stand in for a judge."""
FAILED = "Failed to obtain answer via API."


class NoJudgeError(Exception):
    """An evaluator asked a judge that nobody named."""


class Notes:
    """Events of the judge: `built`, `asked` without one, `exact` known, `failed` calls of one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, what: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{what}\n")

    def count(self, what: str) -> int:
        return self._path.read_text().split().count(what) if self._path.exists() else 0


class ExactMatching(str):
    """`exact_matching`; an evaluator that recognises it is noted."""

    __slots__ = ("notes",)
    notes: Notes

    def __eq__(self, other: object) -> bool:
        same = str.__eq__(self, other)
        if same is True:
            self.notes.add("exact")
        return same

    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, (str(self),)


def exact_matching(notes: Notes) -> str:
    """Return the name to give an evaluator where there is no judge."""
    name = ExactMatching(EXACT)
    name.notes = notes
    return name


def missed(kind: str, type_: str, judge: str, notes: Notes, fault: Exception | None) -> str:
    """Return why what the evaluator `kind` gave is no score: it wanted a judge, and there was none.

    "" if it did not.
    """
    if judge not in BY_RULES:
        return ""
    direct = fault is not None and type(fault).__module__.partition(".")[0] == "openai"
    if notes.count("built") or notes.count("asked") or direct:
        what = "knows no exact matching: it asks a judge" if judge else "asks one"
        return f"{kind}.evaluate {what}, and none was named"
    if notes.count("exact") and not judge and type_ not in MATCHING:
        return f"{kind}.evaluate asks one, and none was named; with --judge {EXACT} it goes by rules of its own"
    return ""


def api_module(folder: Path, notes: Notes, judge: str) -> types.ModuleType:
    """Return the module to stand for `vlmeval.api`; `judge` is "", `EXACT` or the name of a judge."""

    class StandIn:
        is_api, fail_msg, verbose = True, FAILED, False

        def __init__(self, *arguments: Any, **named: Any) -> None:
            self.model = str(named.get("model") or (arguments[0] if arguments else "a judge"))
            notes.add("built")

        def working(self) -> bool:
            return False

        def generate(self, *_arguments: Any, **_named: Any) -> str:
            notes.add("asked")
            raise NoJudgeError(f"the evaluator asked {self.model}, and no judge was named")

        chat = generate_inner = chat_inner = generate

    module = types.ModuleType("vlmeval.api")
    module.__path__ = [str(folder / "api")]
    if judge in BY_RULES:
        module.__getattr__ = lambda name: _class(name, StandIn)  # type: ignore[method-assign]
        return module

    def lookup(name: str) -> Any:
        return _class(name, _noting(notes) if name == "OpenAIWrapper" else StandIn)

    module.__getattr__ = lookup  # type: ignore[method-assign]
    return module


def _class(name: str, kind: type) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return kind


def _noting(notes: Notes) -> type:
    real: type = importlib.import_module("vlmeval.api.gpt").OpenAIWrapper

    class Judge(real):  # type: ignore[misc]
        """The named judge. `reachable` asked it already; evaluators would do so with half a minute of retries."""

        def working(self) -> bool:
            return True

        def generate(self, *arguments: Any, **named: Any) -> Any:
            answer = super().generate(*arguments, **named)
            if answer is None or self.fail_msg.strip() in str(answer):
                notes.add("failed")
            return answer

    return Judge


def reachable(judge: str, arguments: dict[str, Any]) -> str:
    """Return why the named judge does not answer; "" if it does."""
    build = importlib.import_module("vlmeval.dataset.utils.judge_util").build_judge
    try:
        model = build(model=judge, **{**arguments, "retry": 1, "timeout": 30, "verbose": False})
        answer = model.generate("hello")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer and model.fail_msg.strip() not in str(answer) else "no answer to a first question"
