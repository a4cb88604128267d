"""Reads a reply to a Yes/No or True/False choice that names neither: the statement decides. Pure."""

from __future__ import annotations

from vlmeval_mp.scoring.reading.options import Options
from vlmeval_mp.scoring.reading.outcome import cannot_tell
from vlmeval_mp.scoring.reading.restated import restated
from vlmeval_mp.scoring.reading.text import answer_text, without_marks
from vlmeval_mp.scoring.strict.yesno import read_yesno

_PAIRS = (("yes", "no"), ("true", "false"))


def read(text: str, options: Options, question: str) -> str:
    """Return the letter of the option that `text` means: of Yes and No by the question as a statement, of True and
    False also by "Yes" or "No"; "" where the options are no such pair or the reply says neither."""
    pair = next((each for each in _PAIRS if set(each) <= options.by_text.keys()), None)
    if pair is None or any(len(options.by_text[word]) != 1 for word in pair):
        return ""
    plain = without_marks(answer_text(text)).strip()
    said = (read_yesno(plain)[0] if pair[0] == "true" else "") or restated(question, plain)
    if not said or cannot_tell(plain):
        return ""
    return options.by_text[pair[0] if said == "Yes" else pair[1]][0]
