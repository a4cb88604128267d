"""Checks the needs of scoring: VLMEvalKit's package, a judge, a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vlmeval_mp.core import credentials, named
from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.records import DataSpec, RunSpec
from vlmeval_mp.engines.registry import API_ENGINE
from vlmeval_mp.runs.judges import JUDGES
from vlmeval_mp.runs.planning import Remark
from vlmeval_mp.scoring.base import EVALUATOR
from vlmeval_mp.vlmevalkit import client, registry
from vlmeval_mp.vlmevalkit.child.judging import BY_RULES

KEY = "OPENAI_API_KEY"
LOCAL = ("LOCAL_LLM", "OPENAI_API_BASE")
"""Variables that name another place to ask, as `judge_args.api_base` does; it may want no key."""

JUDGED = "judge"
"""The scorer that leaves every verdict to a judge."""
NOT_ASKED = "is not asked: VLMEvalKit's own class scores no data set here, and the scorers here go by rules"


AT = "with $OPENAI_API_KEY, and $OPENAI_API_BASE or --judge-base-url"
LATER = "the answers stay without a score until `vlmeval-mp eval RUN --judge NAME`"


def remarks(spec: RunSpec, environ: Mapping[str, str], *, scored: bool = True) -> list[Remark]:
    """Return what keys and the scoring of `spec` lack; nothing of it stops a launch, whose answers can be scored later.

    `scored` False leaves out what is about scores.
    """
    found = [*_judge(spec, environ), *_unjudged(spec)] if scored else []
    return found + [r for model in spec.models for r in _key(model.name, model.engine, model.engine_args, environ)]


def _unjudged(spec: RunSpec) -> list[Remark]:
    """Return a line about the data sets that only a judge can score, where none is named."""
    found: dict[str, list[str]] = {}
    for data in spec.datasets:
        if why := _lacks_judge(data, spec.judge):
            found.setdefault(why, []).append(data.name)
    return [Remark("warning", ", ".join(names), why) for why, names in found.items()]


def _lacks_judge(data: DataSpec, judge: str) -> str:
    if data.scorer == JUDGED and judge not in JUDGES:
        which = f"name one with --judge: {', '.join(JUDGES)}" if JUDGES else "docs/extending.md tells how to add one"
        return f"scored by a judge alone, and there is none; {which}"
    if data.scorer != EVALUATOR or judge not in BY_RULES:
        return ""
    try:
        known = registry.known().get(Path(data.path).stem)
    except VlmevalError:  # VLMEvalKit is not there, which `_judge` says
        return ""
    if known is None or not known.judge or (known.judge == "or rules" and judge):
        return ""
    rules = ", or --judge exact_matching for VLMEvalKit's rules in its place" if known.judge == "or rules" else ""
    return f"scored by VLMEvalKit with a judge, and none is named: give --judge NAME ({AT}){rules}; {LATER}"


def _judge(spec: RunSpec, environ: Mapping[str, str]) -> list[Remark]:
    """Return what is wrong with the judge that is named, and with VLMEvalKit where it scores."""
    found = []
    theirs = [data.name for data in spec.datasets if data.scorer == EVALUATOR]
    if theirs:
        try:
            client.version(client.interpreter())
        except VlmevalError as error:
            found.append(Remark("warning", ", ".join(theirs), f"VLMEvalKit scores it, and is not there: {error}"))
    if spec.judge in JUDGES:
        try:
            named.load(JUDGES[spec.judge])
        except ImportError as error:
            found.append(Remark("warning", f"judge {spec.judge}", f"cannot be imported: {error}"))
    elif spec.judge not in BY_RULES and not theirs:
        found.append(Remark("warning", f"judge {spec.judge}", NOT_ASKED))
    elif spec.judge not in BY_RULES and not (
        spec.judge_args.get("api_base") or any(environ.get(name) for name in (KEY, *LOCAL))
    ):
        found.append(Remark("warning", f"judge {spec.judge}", f"there is no ${KEY}; what it would judge stays open"))
    return found


def _key(model: str, engine: str, args: Mapping[str, object], environ: Mapping[str, str]) -> list[Remark]:
    name = str(args.get("api_key_env") or KEY)
    if engine != API_ENGINE or not credentials.is_placeholder(environ.get(name)):
        return []
    return [Remark("warning", model, f"there is no ${name}; an endpoint that wants a key will refuse every request")]
