"""A model family's prompt from outside: it shouts."""

from vlmeval_mp.core.records import Part, Sample, TextPart
from vlmeval_mp.requests.modelprompts import Family


def shout(sample: Sample, dataset: str) -> tuple[Part, ...]:
    """Return the question in capitals, and the name of the benchmark."""
    return (TextPart(text=f"{sample.question.upper()} ({dataset})"),)


FAMILY = Family(shout)
