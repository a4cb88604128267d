"""Checks the needs of scoring: VLMEvalKit's package, a judge, a key."""

from __future__ import annotations

from collections.abc import Mapping

from vlmeval_mp.core import credentials, named
from vlmeval_mp.core.errors import VlmevalError
from vlmeval_mp.core.records import RunSpec
from vlmeval_mp.engines.registry import API_ENGINE
from vlmeval_mp.runs.judges import JUDGES
from vlmeval_mp.runs.planning import Remark
from vlmeval_mp.scoring.base import EVALUATOR
from vlmeval_mp.vlmevalkit import client
from vlmeval_mp.vlmevalkit.child.judging import BY_RULES

KEY = "OPENAI_API_KEY"
LOCAL = ("LOCAL_LLM", "OPENAI_API_BASE")
"""Variables that name another place to ask, which may want no key."""

NOT_ASKED = "is not asked: VLMEvalKit's own class scores no data set here, and the scorers here go by rules"


def remarks(spec: RunSpec, environ: Mapping[str, str]) -> list[Remark]:
    """Return what the scoring of `spec` lacks; nothing of it stops a launch, whose answers can be scored later."""
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
    elif spec.judge not in BY_RULES and not any(environ.get(name) for name in (KEY, *LOCAL)):
        found.append(Remark("warning", f"judge {spec.judge}", f"there is no ${KEY}; what it would judge stays open"))
    found += [remark for model in spec.models for remark in _key(model.name, model.engine, model.engine_args, environ)]
    return found


def _key(model: str, engine: str, args: Mapping[str, object], environ: Mapping[str, str]) -> list[Remark]:
    name = str(args.get("api_key_env") or KEY)
    if engine != API_ENGINE or not credentials.is_placeholder(environ.get(name)):
        return []
    return [Remark("warning", model, f"there is no ${name}; an endpoint that wants a key will refuse every request")]
