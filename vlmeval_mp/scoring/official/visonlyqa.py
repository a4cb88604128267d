"""VisOnlyQA's own reading (https://github.com/psunlpgroup/VisOnlyQA, `src/evaluation/evaluation.py`).

If just one response option stands in the reply in brackets, or else just one stands in it anywhere, in this very case,
that is the answer; for any other reply its authors ask GPT-4o, so it stays unscored here. The response options are the
options' texts where these are True and False, else their letters in lower case.
"""

from __future__ import annotations

from vlmeval_mp.core.records import Prediction, Sample, Score

JUDGED = "needs a judge: its authors ask GPT-4o here"


def score_visonlyqa(sample: Sample, prediction: Prediction) -> Score:
    """1.0 or 0.0 by the official rule; None where that asks a judge."""
    texts = list(sample.options.values())
    names = texts if {text.lower() for text in texts} == {"true", "false"} else [x.lower() for x in sample.options]
    letters = dict(zip(names, sample.options, strict=True))
    for form in ("({})", "{}"):
        found = [name for name in names if form.format(name) in prediction.prediction]
        if len(found) == 1:
            said = letters[found[0]]
            return Score(index=sample.index, value=float(said == sample.answer), extracted=said)
    return Score(index=sample.index, value=None, note=JUDGED)
