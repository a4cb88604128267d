"""Changes of an answer before its scoring, by name. Pure; the raw answer stays on disk."""

from __future__ import annotations

import msgspec

from vlmeval_mp.core.records import Prediction


def applied(name: str, prediction: Prediction) -> Prediction:
    """Return `prediction` as the scorer sees it under the post-processing called `name`; "" is none."""
    if not name or prediction.error is not None:
        return prediction
    assert name == "last_boxed"
    return msgspec.structs.replace(prediction, prediction=last_boxed(prediction.prediction))


def last_boxed(text: str) -> str:
    r"""Return the content of the last `\boxed{…}`, as VLMEvalKit's Qwen classes cut it: without one, up to
    a stray brace.
    """
    rest = text.rpartition("\\boxed{")[2]
    depth = 1
    for place, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[:place]
    return rest or text
