"""Sentences that say which option is the answer: "Answer: B", "the correct option is (B)", "so it must be a dog". Pure.

The last one counts, and what takes it back counts against it ("The answer is A. Actually, it has a tail: B").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vlmeval_mp.scoring.reading.letters import Letters, letters_of, lone_letter
from vlmeval_mp.scoring.reading.negation import denied_after, denied_before
from vlmeval_mp.scoring.reading.options import SEVERAL, Options
from vlmeval_mp.scoring.reading.outcome import UNABLE

_REACH = 400
"""Characters behind a statement's beginning within which its option must stand."""

_MOST = 50
"""Statements that are looked at, from the end: a reply with more repeats itself."""

_VERB = (
    r"(?:\s*[:=]|\s+(?:is|was|(?:would|should|must|will|could)\s+(?:actually\s+|instead\s+)?be|(?:seems|appears)\s+to\s+be)"
    r"(?:\s+(?:likely|actually|indeed|therefore|thus|clearly|definitely|most\s+likely|probably))?\b:?)"
)
# a cheap scan for the words that statements begin with; the patterns proper are tried only there
_HINT = re.compile(
    "answer|on second|correct(?<!incorrect)|right|best|option|choice|choose|chose|select|pick|go with|going with|"
    "opt for|lean|preference|"
    r"therefore|thus|hence|"
    r"so(?<=\bso)\b|conclusion|should|must|thought|actually|wait|no,|rather|make that|hmm|scratch|revis|"
    "答案|正确|应|选|故|所以|因此|更正|정답|답|따라서|答え|正解|したがって|respuesta|opción|réponse|antwort|resposta|risposta|ответ|"
    "คำตอบ|đáp án|الإجابة|الجواب|उत्तर"
)
_MARKER = re.compile(
    rf"(?:(?:final\s+)?answer|(?:correct|right|best)\s+(?:option|choice|one|response|match)|(?:option|choice)(?=\s*:))"
    rf"(?:\s+(?:to|for)\s+(?:the|this|your)\s+\w+)?{_VERB}"
    r"|(?:choose|chose|select|pick|go(?:ing)?\s+with|opt\s+for|lean(?:ing)?\s+towards?|preference\s+for)\b"
    r"|(?:答案|正确选项|正确的选项|正解|答え)\s*(?:应该|应)?\s*(?:是|为|选|は|:)\s*:?|(?:应该?|故|所以|因此)?选择?(?!项)"
    r"|(?:정답|답)\s*(?:은|는|이)?\s*:?"
    r"|(?:respuesta|opción|resposta|risposta)(?:\s+(?:correcta|correta|corretta|final|es correcta))?"
    r"(?:\s+(?:es|é|è)\b|\s*:)\s*:?"
    r"|réponse(?:\s+correcte|\s+finale)?(?:\s+est\b|\s*:)\s*:?|antwort(?:\s+(?:ist|lautet)\b|\s*:)\s*:?"
    r"|ответ\s*[:—–-]\s*|(?:คำตอบ(?:ที่ถูกต้อง)?(?:คือ|:))|đáp án(?:\s+đúng)?(?:\s+là|\s*:)"
    r"|(?:الإجابة|الجواب)(?:\s+الصحيحة?)?\s*(?:هي|هو|:)"
    r"|(?:सही\s+)?उत्तर\s*(?:है|:)?"
)
# these speak of an answer only if an option follows at once
_LOOSE = re.compile(
    r"(?:on\s+second\s+thoughts?|correction|actually|wait|no,|or\s+rather|rather|make\s+that|hmm+|scratch\s+that|revised|更正|其实)"
    r"[\s,:.;…—–-]*(?:(?:i\s+think\s+|i\s+mean\s+|perhaps\s+)?(?:it(?:['’]s|\s+is|\s+should\s+be|\s+must\s+be)|that['’]s)\s+)?"
    r"|(?:should|must)\s+(?:actually\s+|instead\s+|rather\s+|therefore\s+)?be\b"
)
_CONCLUDES = re.compile(
    r"(?:therefore|thus|hence|so|in\s+conclusion|因此|所以|따라서|したがって)[,:]?\s*(?:the\s+statement\s+is\s+)?(?:(?:it|this|that)(?:['’]s|\s+is|\s+must\s+be)\s+)?"
)
_THING = re.compile(
    r"[\s:\"'*]*(?:the\s+)?(?:picture|image|figure|point|box|panel|graph|diagram|shape|statement)\s+(?=[(\[]?[A-Z](?![A-Za-z]))",
    re.IGNORECASE,
)
"""Things that a letter names ("picture D") if the options are such things."""
_CANNOT = re.compile(
    rf"\b(?:{UNABLE})\s+(?:for\s+me\s+)?(?:to\s+)?(?:\w+ly\s+)?$"
    r"|\b(?:was|were)\s+(?:\w+\s+)?(?:inclined|tempted|going|about)\s+to\s+$|\b(?:initially|originally|i\s+first)\s+$",
    re.IGNORECASE,
)
"""Words that take a statement back: "it is not possible to confidently select …", "I was inclined to choose …"."""
_NEAR = 48
_SENTENCE_START = re.compile(r"(?:^|[.!?。！？\n:]\s*)$")
_SENTENCE_END = re.compile(r"[.!?]\s|。|\n")
_HEDGE = re.compile(
    r"[)\]\"'.]*\s*(?:,(?!\s+(?:is|was|has|does|would|can|looks|shows|[A-Z]\s+(?:is|was|has|does|would|can))\b)|/|&|\bor\b|\band\b"
    r"|或|和|또는)\s*(?:(?:maybe|perhaps|possibly|also|even|and|or)\s+)?(?:option\s+)?[(\[]?([A-Z])(?![A-Za-z0-9'’])"
    r"(?!\s+(?:is|was|has|does|would|can)\b)"
)
_TAKEN_BACK = re.compile(
    r"\bon\s+second\s+thought|\bactually\b|\bcorrection\b|\bwait\b|\bhmm+\b|\bscratch\s+that\b|\bi\s+(?:made|was)\s+(?:an?\s+)?(?:mistake|wrong|error)"
    r"|\bneed\s+to\s+correct\b|\blet\s+me\s+(?:re|correct|double|look\s+again|think\s+again)|\brevis(?:e|ed|ing)\b|更正|等等|其实|不对，|重新",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"(?:^|[.!?…。;\n]|--|[–—])[\s\"'*(]{0,4}"
    r"(?:(?:my\s+(?:mistake|bad|apologies)|oops|(?:hold|hang)\s+on|i\s+(?:misread|misspoke|apologi[sz]e)|strike\s+that"
    r"|i\s+take\s+(?:that|it)\s+back|on\s+(?:further\s+|closer\s+)?(?:reflection|inspection)"
    r"|(?:up)?on\s+(?:a\s+)?(?:closer|second|further)\s+(?:look|inspection|examination|glance)"
    r"|looking\s+(?:again|closer|more\s+closely)|je\s+me\s+corrige|mejor\s+dicho|moment\s+mal)\b|訂正)",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"[\s.!…。)\]\"'*;(–—-]*(?:です。|입니다[.。]?\s*)?"
    r"(?:no|nope|sorry|non|nein|moment|нет|哦?不|抱歉|いや|いいえ|아니(?:요|다)?)"
    r"(?:\s?[,.:;!—–，。、：-]|\s+(?:for|about)\b)",
    re.IGNORECASE,
)
"""A "no" takes an answer back only right behind it: later it can answer a question ("Is it a cat? No")."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of a statement: a letter or `SEVERAL`, and the end. `in_passing`: a box within a sentence."""

    letter: str
    end: int
    in_passing: bool = False


def last_statement(text: str, options: Options) -> Statement | None:
    """The last statement of `text` that names an option; `SEVERAL` if it hedges, or disagrees with an earlier one that
    it does not clearly replace."""
    patterns = letters_of(options.letters)
    muddled = False
    later: Statement | None = None
    for said in _statements(text, options, patterns):
        if said.letter == "":
            muddled = True
            continue
        if later is not None:
            return later if later.letter == said.letter else Statement(SEVERAL, later.end)
        if muddled:
            return Statement(SEVERAL, said.end)
        if not said.in_passing:
            return said
        later = said
    return later


def taken_back(text: str, *, opening: bool = False) -> int | None:
    """Return where `text`, which follows an answer, takes something back ("on second thought", "wait").

    None if nowhere. `opening`: only words that open a clause count, not "the dog can wait".
    """
    places = (found.start() for found in _TAKEN_BACK.finditer(text))
    return next((place for place in places if not opening or _opens_clause(text[:place])), None)


def _opens_clause(before: str) -> bool:
    """Return whether a clause begins behind `before`."""
    before = before.rstrip(" \"'*(")
    return not before or before[-1] in ".!?,;:…。，—–-\n"


def corrected(text: str) -> int | None:
    """Return where `text`, which follows an answer, begins to correct it ("Sorry, …", "My mistake: …").

    None if nowhere. Such words also begin sentences that correct nothing, unless an option is stated behind them.
    """
    found = _DENIES.match(text) or _CORRECTS.search(text)
    return found.end() if found else None


def _statements(text: str, options: Options, patterns: Letters) -> Iterator[Statement]:
    """Yield the last `_MOST` statements from last to first; letter "" where one names several options in no order."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow when lowered, and places must agree
        lowered = text
    found = [(m.start(), m) for m in patterns.verdict.finditer(text)]
    for hint in _HINT.finditer(lowered):
        place = hint.start()
        for pattern, searched in (
            (_MARKER, lowered),
            (_LOOSE, lowered),
            (patterns.conclusion, text),
            (_CONCLUDES, lowered),
        ):
            match = pattern.match(searched, place)
            if match:
                found.append((place, match))
                break
    for start, match in sorted(found, key=lambda each: each[0], reverse=True)[:_MOST]:
        if denied_before(text, start) or _CANNOT.search(text, max(0, start - _NEAR), start):
            continue
        said = _said(text, match, options, patterns)
        if said is not None:
            yield said


def _said(text: str, match: re.Match[str], options: Options, patterns: Letters) -> Statement | None:
    end = match.end()
    if match.re is patterns.verdict or match.re is patterns.conclusion:
        return Statement(match[1], end)
    tail = text[end : end + _REACH]
    if match.re is _MARKER:
        letter = behind(tail, options, patterns, firm=True)
        passing = text[max(0, match.start() - 6) : match.start()] == "Boxed "
        return None if letter is None else Statement(letter, end + _line_length(tail), passing)
    if match.re is _CONCLUDES and not _SENTENCE_START.search(text[max(0, match.start() - 3) : match.start()]):
        return _in_sentence(tail, end, options) if text[: match.start()].endswith(", ") else None
    if (
        match.re is _LOOSE
        and (named := patterns.behind.match(tail))
        and denied_after(tail, named.end(named.lastindex or 0))
    ):
        return None  # "No, B is wrong"
    letter = behind(tail, options, patterns, firm=False)
    return Statement(letter, end + _line_length(tail)) if letter else None


def _in_sentence(tail: str, end: int, options: Options) -> Statement | None:
    """Return what a sentence ends with behind ", thus": an option's text alone."""
    length = _line_length(tail)
    letter = options.same(tail[:length])
    return Statement(letter, end + length) if letter else None


def behind(text: str, options: Options, patterns: Letters, *, firm: bool) -> str | None:
    """Return the option named right at the start of `text`, which follows a marker.

    "" if several are named there, None if none. Behind a `firm` marker it may also be the only option of its line.
    """
    if options.speak_of_letters and (thing := _THING.match(text)):
        text = text[thing.end() :]
    line = text.lstrip(" \t\n:\"'*").split("\n", 1)[0].strip()
    opens = options.opens(line)
    match = patterns.behind.match(text)
    if match and not (opens and opens != SEVERAL and _is_word_of(match, opens, options)):
        letter = next(group for group in match.groups() if group).upper()
        place = match.end(match.lastindex or 0)
        hedge = _HEDGE.match(text, place) or _HEDGE.match(text, behind_own(text, place, letter, options))
        return SEVERAL if hedge and hedge[1] in options.letters and hedge[1] != letter else letter
    alone = lone_letter(line, options.letters)
    if alone:
        return alone
    if opens:
        return opens
    if not firm:
        return None
    same = options.same(line)
    if same:
        return same
    named = options.named(line)
    return None if not named else named.pop() if len(named) == 1 else ""


def behind_own(text: str, place: int, letter: str, options: Options) -> int:
    """Return where the text of the option `letter` ends, if it stands at `place` behind its letter; else `place`."""
    rest = text[place:].lstrip(" )].:-*")
    own, end = options.prefix(rest)
    return len(text) - len(rest) + end if own == letter else place


def _is_word_of(match: re.Match[str], letter: str, options: Options) -> bool:
    """Return whether the letter that `match` found begins the words of the option `letter`: "C major" is no
    option C.
    """
    found = next(group for group in match.groups() if group)
    folded = options.folded[letter]
    return folded.startswith(found.lower()) and len(folded) > 1


def _line_length(text: str) -> int:
    """Return how much of `text` the statement takes: to the end of its sentence, at least its option."""
    lead = len(text) - len(text.lstrip())
    end = _SENTENCE_END.search(text, lead)
    return end.start() if end else len(text)
