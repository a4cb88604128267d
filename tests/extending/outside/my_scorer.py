"""A scorer from outside: an answer is right if it is as long as the reference."""

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.families import Family


def score_length(sample: Sample, prediction: Prediction) -> Score:
    """Return 1 where the reply has as many characters as the answer."""
    same = len(prediction.prediction) == len(sample.answer)
    return Score(index=sample.index, value=float(same), extracted=str(len(prediction.prediction)))


FAMILY = Family(compat=score_length, strict=score_length)
