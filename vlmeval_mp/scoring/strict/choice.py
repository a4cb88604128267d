"""Multiple choice: which option a reply names, by stated rules, most explicit first. Nothing is guessed.

1. The reply is nothing but a letter ("B", "(b).", "**B**"), or nothing but one option's text.
2. A statement: "Answer: B", "the correct option is (B)", "B is correct", "I choose B", "Therefore, B.", "答案是B",
   \\boxed{B}, <answer>B</answer>; also with an option's text behind it. The last statement counts.
3. A marked letter: "(B)", "**B**", a line led by "B." or "B)" or "B:". If several are marked, the reply compares or
   repeats the options; then the only one that is all of a line counts, else only one that leads the last line, unless a
   list of options ends there.
4. A bare capital letter, if it is the only one. "A" and "I" in front of a word are words of English.
5. An option's text as whole words, the longest where one holds another, if it is the only option so named.

Letters are those the sample has. Rules 1, 4 and 5 state what VLMEvalKit's `can_infer_option` and `can_infer_text`
(vlmeval/utils/matching_util.py) are after, without their windows and substrings; rule 2
follows the wordings of MMMU's parser (eval_utils.py, `parse_multi_choice_response`) and of the benchmarks' prompts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.phrases import whole_words
from vlmeval_mp.scoring.reading.text import answer_text, without_marks

NOT_FOUND = "no option found"
SEVERAL = "several options named"

_OPEN = r"[\s\"'“‘(\[{<$:]*"
_REACH = 400  # characters behind a statement's beginning within which its option must stand
_EDGE = r"(?![A-Za-z0-9'’])"
_NOUN = r"(?i:(?:the\s+)?(?:option|choice|letter|answer)\s+|选项|选)?"
_VERB = r"(?:\s*[:=]|\s+(?:is|was|(?:would|should|must|will|could)\s+be|(?:seems|appears)\s+to\s+be)(?:\s+likely)?\b:?)"
# a cheap scan for the words that statements begin with; the patterns proper are tried only there
_HINT = re.compile(
    "answer|(?<!in)correct|right|best|option|choice|choose|select|pick|go with|opt for|therefore|thus|hence|so|"
    "答案|正确|应|选|故|所以|因此"
)
_MARKER = re.compile(
    rf"(?:answer|(?:correct|right|best)\s+(?:option|choice|one|response|match)|(?:option|choice)(?=\s*:))"
    rf"(?:\s+(?:to|for)\s+(?:the|this)\s+\w+)?{_VERB}"
    r"|(?:choose|select|pick|go\s+with|opt\s+for)\b"
    r"|(?:答案|正确选项|正确的选项)\s*(?:应该|应)?\s*(?:是|为|选|:)\s*:?|(?:应该?|故|所以|因此)?选择?"
)
_ARTICLE_LIKE = frozenset("AI")
_AFTER_A = r"\s+(?!(?:because|since|as|for|due|given|which|based|is|was|and|or|with|in|from)\b)[a-z]"
_HEDGE = re.compile(r"[)\]\"'.]*\s*(?:,|/|&|\bor\b|\band\b|或|和)\s*(?:option\s+)?[(\[]?([A-Z])(?![A-Za-z0-9'’])")
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|n't|\bnor|\bneither|\bthan|\bwrong|\bincorrect|不是|不选)\s+(?:(?:an?|the|option|choice)\s+)?[(\[*]*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[)\]*.:]*\s+(?:(?:is|are|was|would\s+be)\s+(?:not|wrong|incorrect|false|eliminated)|(?:is|does|would)n't"
    r"|cannot|can't)\b"
)
_LONE = re.compile(r"(?:(?:option|choice)\s+)?[\s\"'(\[{$*_.:]*([A-Za-z])[\s\"')\]}$*_.:,;!]*", re.IGNORECASE)


def score_choice(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply names the right option, 0.0 if another or none; None if the sample's answer is no option."""
    options = sample.options
    gold = _gold(sample.answer.strip(), options)
    if not gold:
        return Score(index=sample.index, value=None, note=f"answer {sample.answer!r} is none of its options")
    letter, note = read_choice(prediction.prediction, options)
    return Score(index=sample.index, value=float(letter == gold), extracted=letter, note=note)


def read_choice(text: str, options: Mapping[str, str]) -> tuple[str, str]:
    """The letter of the option that `text` names, or "" and why there is none."""
    if text in options:
        return text, ""
    text = answer_text(text)
    plain = without_marks(text).strip()
    letters = "".join(options)
    found = (
        _lone_letter(plain, letters)
        or _same_text(plain, options)
        or _statement(plain, options)
        or _marked(text, letters)
    )
    if found:
        return ("", SEVERAL) if found == SEVERAL else (found, "")
    bare = _bare(plain, letters)
    named = _named(plain, options) if len(bare) != 1 else set()
    for ways in (bare, named):
        if len(ways) == 1:
            return ways.pop(), ""
    return "", SEVERAL if bare or named else NOT_FOUND


def _gold(answer: str, options: Mapping[str, str]) -> str:
    if answer in options:
        return answer
    return _lone_letter(answer, "".join(options)) or _same_text(answer, options)


def _lone_letter(text: str, letters: str) -> str:
    """The letter that is all of `text` but for punctuation; alone, a lower-case one counts."""
    match = _LONE.fullmatch(text) if len(text) < 40 else None
    letter = match[1].upper() if match else ""
    return letter if letter and letter in letters else ""


def _same_text(text: str, options: Mapping[str, str]) -> str:
    """The one option whose text is all of `text`."""
    if len(text) > 2 * max(map(len, options.values()), default=0) + 8:
        return ""
    wanted = _fold(text)
    same = [letter for letter, option in options.items() if wanted and _folded_option(option) == wanted]
    return same[0] if len(same) == 1 else ""


def _statement(text: str, options: Mapping[str, str]) -> str:
    """What the last statement that names an option names; `SEVERAL` if it hedges."""
    patterns = _patterns("".join(options))
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow when lowered, and places must agree
        lowered = text
    said = [(m.start(), m) for m in patterns.verdict.finditer(text)]
    for hint in _HINT.finditer(lowered):
        place = hint.start()
        match = _MARKER.match(lowered, place) or patterns.conclusion.match(text, place)
        if match:
            said.append((place, match))
    for start, match in sorted(said, key=lambda place: place[0], reverse=True):
        denied = _DENIED_BEFORE.search(text[max(0, start - 24) : start])
        if match.re is _MARKER:
            found = "" if denied else _behind(text[match.end() : match.end() + _REACH], options)
        else:
            found = "" if denied else match[1]
        if found:
            return found
    return ""


def _behind(text: str, options: Mapping[str, str]) -> str:
    """The option named right at the start of `text`, which follows a marker."""
    letters = "".join(options)
    match = _patterns(letters).behind.match(text)
    if match:
        hedge = _HEDGE.match(text, match.end(1))
        return SEVERAL if hedge and hedge[1] in letters and hedge[1] != match[1] else match[1]
    line = text.lstrip(" \t\n:\"'").split("\n", 1)[0].strip()
    alone = _lone_letter(line, letters)
    if alone:
        return alone
    named = _named(line, options)
    return named.pop() if len(named) == 1 else ""


def _marked(text: str, letters: str) -> str:
    """The only letter in brackets, in bold or leading its line; of several, the one that is all
    of a line, else the one that leads the last line."""
    patterns = _patterns(letters)
    found = {m[1] or m[2] or m[3] for m in patterns.marked.finditer(text) if not _denied(text, m)}
    if len(found) <= 1:
        return "".join(found)
    lines = [line for line in text.split("\n") if line.strip()]
    alone = {letter for line in lines if (letter := _lone_letter(line, letters))}
    if len(alone) == 1:
        return alone.pop()
    *_, before, last = ["", *lines]
    leads, led = patterns.led.match(last), patterns.led.match(before)
    ends_list = leads and led and ord(leads[1]) == ord(led[1]) + 1
    compares = len({m[1] or m[2] or m[3] for m in patterns.marked.finditer(last)}) > 1
    return leads[1] if leads and not ends_list and not compares else ""


def _bare(text: str, letters: str) -> set[str]:
    """Capital letters that stand as words, but not in lines that such a letter leads (a repeated list)."""
    patterns = _patterns(letters)
    led = {m[1] for m in patterns.led.finditer(text)}
    if len(led) > 1:
        text = "\n".join(line for line in text.split("\n") if not patterns.led.match(line))
    return {m[1] for m in patterns.bare.finditer(text) if not _denied(text, m)}


def _denied(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 24) : match.start()], text[match.end() : match.end() + 24]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


def _named(text: str, options: Mapping[str, str]) -> set[str]:
    """Letters of the options whose text stands in `text` as whole words, outside a longer option's text."""
    folded = _fold(text)
    letters: dict[str, list[str]] = {}
    for letter, option in options.items():
        letters.setdefault(_folded_option(option), []).append(letter)
    found: set[str] = set()
    for wanted in sorted(filter(None, letters), key=len, reverse=True):
        places = whole_words(wanted, folded)
        if not all(_DENIED_BEFORE.search(folded[max(0, place - 24) : place]) for place in places):
            found.update(letters[wanted])
        folded = _blank(folded, places, len(wanted))
    return found


def _blank(text: str, places: list[int], length: int) -> str:
    """`text` with what stands at `places` made unmatchable."""
    pieces, position = [], 0
    for place in places:
        pieces += [text[position:place], "\0" * length]
        position = place + length
    return "".join((*pieces, text[position:]))


def _fold(text: str) -> str:
    """`text` without case, outer punctuation and odd spacing."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;:!?\"'`*")


_folded_option = lru_cache(maxsize=4096)(_fold)


class _Patterns:
    """The patterns of one set of letters."""

    def __init__(self, letters: str) -> None:
        one = _letter_pattern(letters)
        any_letter = f"[{re.escape(letters)}]"
        self.behind = re.compile(rf"{_OPEN}{_NOUN}{_OPEN}{one}")
        self.verdict = re.compile(
            rf"(?<![A-Za-z0-9])({any_letter})[)\]\"'.:]*\s*(?:is|would be|must be|seems|是)\s*(?:the\s+)?"
            r"(?:most\s+likely\s+|most\s+|likely\s+|best\s+)?(?:correct|right|best|true|accurate|appropriate|answer\b|正确|对的)"
        )
        self.conclusion = re.compile(
            rf"(?:\b(?:[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o)\b|因此|所以)[,:]?\s*(?:it(?:'s|\s+is|\s+must\s+be)\s+)?"
            rf"(?:the\s+)?(?:[Oo]ption\s+)?[(\[]?({any_letter})[)\]]?[.!。]?[^\S\n]*$",
            re.MULTILINE,
        )
        self.marked = re.compile(
            rf"[(\[]({any_letter})[)\]]|(?:\*\*|__)\s*[(\[]?({any_letter})(?![A-Za-z0-9'’])(?=[^*_\n]*(?:\*\*|__))"
            rf"|^[^\S\n]*[>*#\"' -]*({any_letter})(?:[.:)]|[^\S\n]*$)(?![A-Za-z0-9.])",
            re.MULTILINE,
        )
        self.led = re.compile(
            rf"^[^\S\n]*[>*#\"' -]*[(\[]?({any_letter})(?:[.:)\]*]|[^\S\n]*$)(?![A-Za-z0-9.])", re.MULTILINE
        )
        # a capital A inside a sentence ("Box A holds more") is no article
        inner = "|(?<=[a-z0-9,] )A" + _EDGE if "A" in letters else ""
        self.bare = re.compile(rf"(?<![A-Za-z0-9'’\-.])({one[1:-1]}{inner})(?!-)")


def _letter_pattern(letters: str) -> str:
    """One of `letters` as a word of its own, in a group."""
    plain = "".join(x for x in letters if x not in _ARTICLE_LIKE)
    wordy = "".join(x for x in letters if x in _ARTICLE_LIKE)
    ways = [f"[{re.escape(plain)}]{_EDGE}"] if plain else []
    ways += [f"[{wordy}]{_EDGE}(?!{_AFTER_A})"] if wordy else []
    return f"({'|'.join(ways)})"


@lru_cache(maxsize=64)
def _patterns(letters: str) -> _Patterns:
    return _Patterns(letters)
