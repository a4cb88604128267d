"""A judge from outside: it likes replies with a 7, and notes down every sample that it is asked about."""

import os

from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import Prediction, Sample, Score


async def judge(sample: Sample, prediction: Prediction) -> Score:
    """Return 1 for a reply with a 7. Sample 3 is too hard for this judge while $HARD is set."""
    _note(sample.index)
    if sample.index == "3" and os.environ.get("HARD"):
        raise RequestError("too hard")
    return Score(index=sample.index, value=float("7" in prediction.prediction), note="looked for a 7")


def _note(index: str) -> None:
    with open(os.environ["JUDGED"], "a", encoding="utf-8") as file:
        file.write(f"{index}\n")
