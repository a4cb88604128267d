"""Signs that replies are no sound base of a score: empty, cut off, unread, refused, looping, and others. Pure.

A score says how many answers are right. A prompt template that is wrong, a token limit that is too low or an engine
that breaks off shows in the replies long before: this module counts what can be seen of each one alone (`signs`), and
of all together (identical replies, letters that replies name more often than they are right), and reports each number
beyond its threshold.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

from vlmeval_mp.core.records import Health, Prediction, Sample, Score
from vlmeval_mp.scoring.base import ScoredSample
from vlmeval_mp.scoring.metrics.bounds import Reasons

LIMITS: dict[str, tuple[float, str]] = {
    "empty": (0.01, "are empty"),
    "truncated": (0.02, "were cut off at the token limit; raise sampling.max_tokens"),
    "unread": (0.02, "say nothing that could be read as an answer, and count as wrong"),
    "refused": (0.01, "refuse to answer, and count as wrong"),
    "unfinished thought": (0.02, "end in the middle of their reasoning; raise sampling.max_tokens"),
    "looped": (0.01, "repeat themselves until they end"),
    "other language": (0.02, "are not in the script of their question"),
}
"""The share of replies from which each sign gets a warning, and the text of the warning."""
LEAST = 20
"""Replies below which no share is warned of."""
SKEWED = 0.1
"""The greatest distance (total variation) between the letters in replies and the right letters."""
SAME = 0.5
"""The share of identical replies that is warned of, where no answer is right nearly as often."""

_TAIL = 1200
_TURNS = 4
"""The least number of times that a passage must stand at the end, in a row, to be a loop."""
_LOOP = 120
"""Characters of a loop at least."""
_SCRIPTS = {
    "Latin": re.compile("[A-Za-z\u00c0-\u024f]"),
    "Han": re.compile("[\u4e00-\u9fff\u3400-\u4dbf]"),
    "kana": re.compile("[\u3040-\u30ff]"),
    "Hangul": re.compile("[\uac00-\ud7af]"),
    "Cyrillic": re.compile("[\u0400-\u04ff]"),
    "Arabic": re.compile("[\u0600-\u06ff]"),
    "Devanagari": re.compile("[\u0900-\u097f]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
}
_LOOKED_AT = 400
_LETTERS = 20
"""Letters that a reply must have for its script to say something; an option's letter says nothing."""


# --- one reply -------------------------------------------------------------------------------------------------


def signs(sample: Sample, prediction: Prediction, score: Score) -> list[str]:
    """Return which of `LIMITS` one answered sample shows; `score` is that of strict rules."""
    text = prediction.prediction
    found = []
    if not text.strip():
        found.append("empty")
    if prediction.finish_reason == "length":
        found.append("truncated")
    if prediction.finish_reason in ("refusal", "content_filter"):
        found.append("refused")
    if score.reading in LIMITS and score.reading not in found:
        found.append(score.reading)
    if loops(text):
        found.append("looped")
    if in_other_script(sample.question, text):
        found.append("other language")
    return found


def loops(text: str) -> bool:
    """Return whether `text` ends in one passage, four times or more in a row."""
    if len(text) < _LOOP:
        return False
    tail = text[-_TAIL:].rstrip()
    if len(tail) < _LOOP or len(zlib.compress(tail.encode("utf-8", "replace"), 1)) > 0.6 * len(tail):
        return False
    return _repeated(tail[::-1])


def _repeated(text: str) -> bool:
    """Return whether `text` begins with a passage, `_TURNS` times in a row.

    It is found by the borders of its beginnings (Knuth, Morris and Pratt 1977).
    """
    border = 0
    borders = [0] * len(text)
    for place in range(1, len(text)):
        while border and text[place] != text[border]:
            border = borders[border - 1]
        border += text[place] == text[border]
        borders[place] = border
        length = place + 1
        if length >= _LOOP and length >= _TURNS * (length - border):
            return True
    return False


def in_other_script(question: str, reply: str) -> bool:
    """Return whether less than a fifth of a reply's letters are of the script that its question is mostly in."""
    if len(reply) < _LETTERS or (reply.isascii() and question.isascii()):
        return False
    said = _counted(reply)
    letters = sum(said.values())
    if letters < _LETTERS:
        return False
    asked = _counted(question)
    if sum(asked.values()) < _LETTERS:
        return False
    main = max(asked, key=lambda script: asked[script])
    alike = ("Han", "kana") if main in ("Han", "kana") else (main,)
    return 5 * sum(said[script] for script in alike) < letters


def _counted(text: str) -> Mapping[str, int]:
    part = text[:_LOOKED_AT]
    if part.isascii():
        return {**dict.fromkeys(_SCRIPTS, 0), "Latin": len(_SCRIPTS["Latin"].findall(part))}
    return {script: len(pattern.findall(part)) for script, pattern in _SCRIPTS.items()}


# --- all replies of a job --------------------------------------------------------------------------------------


class Watch:
    """Counts what the replies of one job show, sample by sample; keeps eight bytes of a reply and of an answer.

    `counts` says how many "replies" there are, and how many of them show each of `LIMITS`.
    """

    def __init__(self) -> None:
        self.reasons = Reasons()
        self.counts: Counter[str] = Counter()
        self._by_category: dict[str, Counter[str]] = {}
        self._replies, self._gold = array("q"), array("q")
        self._said: Counter[str] = Counter()
        self._right: Counter[str] = Counter()

    def add(self, sample: Sample, prediction: Prediction | None, score: Score, strict: Score) -> None:
        """Take in one sample: its verdict in the mode that is published, and in the strict one."""
        self.reasons.add(sample, prediction, score)
        if prediction is None or prediction.error is not None:
            return
        found = ["replies", *signs(sample, prediction, strict)]
        for sign in found:
            self.counts[sign] += 1
        if sample.category:
            self._by_category.setdefault(sample.category, Counter()).update(found)
        self._replies.append(hash(prediction.prediction.strip()))
        self._gold.append(hash(sample.answer.strip()))
        if sample.kind == "mcq" and strict.extracted in sample.options:
            self._said[strict.extracted] += 1
            self._right[sample.answer.strip()] += 1

    def health(self) -> Health:
        """Return what was seen."""
        return Health(
            replies=self.counts["replies"],
            counts={sign: self.counts[sign] for sign in LIMITS},
            by_category={
                name: {sign: found[sign] for sign in ("replies", *LIMITS) if found[sign]}
                for name, found in sorted(self._by_category.items())
            },
            most_common=_most_common(self._replies),
            most_common_gold=_most_common(self._gold),
            letters={letter: (self._said[letter], self._right[letter]) for letter in sorted(self._said | self._right)},
        )


def _most_common(digests: array[int]) -> int:
    """Return how often the most frequent one occurs."""
    import numpy as np

    if not digests:
        return 0
    return int(np.unique(np.frombuffer(digests, dtype=np.int64), return_counts=True)[1].max())


def watched(scored: Sequence[ScoredSample], strict: Sequence[ScoredSample]) -> Watch:
    """Return what a whole job shows: its samples in the mode that is published, and in the strict one."""
    watch = Watch()
    for each, read in zip(scored, strict, strict=True):
        watch.add(each.sample, each.prediction, each.score, read.score)
    return watch


def warnings(health: Health) -> list[str]:
    """Return a sentence for each thing that is beyond its threshold."""
    return [said for _, said in findings(health)]


def findings(health: Health, when: str = "") -> list[tuple[str, str]]:
    """Return a name and a sentence for each number beyond its threshold; `when` stands after the number of replies."""
    overall = beyond(health.counts, health.replies)
    found = [(sign, _said(sign, health.counts[sign], health.replies, when)) for sign in overall]
    for name, counts in health.by_category.items():
        n = counts["replies"]
        worse = [sign for sign in beyond(counts, n) if sign not in overall]
        found += [(f"{sign} in {name}", _said(sign, counts[sign], n, f" of category {name}{when}")) for sign in worse]
    if _all_the_same(health):
        said = f"{health.most_common:,} of {health.replies:,} replies{when} are the very same, "
        found.append(("same", f"{said}and no answer is right more than {health.most_common_gold:,} times"))
    if skew := _skewed(health.letters):
        letter, times, right = skew
        said = f"{letter} is said {times:,} times{when} and right {right:,} times: the model prefers some letters"
        found.append(("letters", said))
    return found


def beyond(counts: Mapping[str, int], replies: int) -> list[str]:
    """Return the signs whose share of `replies` is beyond its limit."""
    if replies < LEAST:
        return []
    return [sign for sign, (limit, _) in LIMITS.items() if counts.get(sign, 0) > limit * replies]


def _said(sign: str, count: int, replies: int, where: str) -> str:
    return f"{count:,} of {replies:,} replies{where} ({100 * count / replies:.1f} %) {LIMITS[sign][1]}"


def _all_the_same(health: Health) -> bool:
    most = health.most_common / max(1, health.replies)
    return health.replies >= LEAST and most > SAME and most > health.most_common_gold / health.replies + 0.25


def _skewed(letters: Mapping[str, Sequence[int]]) -> tuple[str, int, int] | None:
    """Return the letter that replies name too often, the number of these replies, and how often it is right.

    That the two distributions differ is Pearson's chi-squared test of homogeneity (Pearson 1900) at p < 0.001.
    """
    from scipy.special import chdtrc

    said, right = ([pair[side] for pair in letters.values()] for side in (0, 1))
    n = sum(said)
    if n < LEAST or len(letters) < 2 or sum(right) != n:
        return None
    distance = sum(abs(a - b) for a, b in zip(said, right, strict=True)) / (2 * n)
    statistic = sum((a - b) ** 2 / (a + b) for a, b in zip(said, right, strict=True) if a + b)
    if distance <= SKEWED or chdtrc(len(letters) - 1, statistic) >= 0.001:
        return None
    letter = max(letters, key=lambda each: letters[each][0] - letters[each][1])
    return letter, letters[letter][0], letters[letter][1]
