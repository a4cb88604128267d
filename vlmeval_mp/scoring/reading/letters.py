"""Finds capital letters that can be options, and leaves out articles, names of points and pictures, and units. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from vlmeval_mp.scoring.reading.negation import denied_after, denied_before

EDGE = r"(?![A-Za-z0-9'’])"
_ARTICLE_LIKE = frozenset("AI")
_AFTER_A = r"\s+(?!(?:because|since|as|for|due|given|which|based|is|was|and|or|with|in|from)\b)[a-z]"
_LONE = re.compile(
    r"(?:(?:option|choice|answer|选项|选|보기)\s*)?[\s\"'“‘(\[{$*_.:\\]*([A-Za-z])[\s\"'”’)\]}$*_.:,;!。\\]*(?:입니다|です|번)?[.。]?",
    re.IGNORECASE,
)
_NAMES = (
    "points?|figures?|fig\\.?|panels?|images?|pictures?|photos?|photographs?|vert(?:ex|ices)|angles?|triangles?|lines?|segments?|sides?"
    "|circles?|nodes?|curves?|plots?|graphs?|diagrams?|charts?|regions?|areas?|labels?|labell?ed|marked|tables?|columns?|rows?|edges?"
    "|rays?|sets?|vitamin|hepatitis|types?|groups?|class|grade|sections?|parts?|steps?|appendix|players?|persons?|teams?|cars?|city"
    "|cities|towns?|beakers?|tubes?|blocks?|frames?|views?|planes?|shapes?|lengths?|radius|letters?|called|named|objects?|arcs?|chords?"
    "|quadrilaterals?|squares?|rectangles?|polygons?|centers?|centres?|positions?|locations?|stations?|events?|matrix|matrices"
)
_NAMED_SO = re.compile(
    rf"\b(?:{_NAMES})\s*[(\[\"'“‘]*(?:[A-Z][)\]\"'”’]*\s*(?:,|and|or|&|to|vs\.?|,\s*and)\s*[(\[\"'“‘]*)*$",
    re.IGNORECASE,
)
_LEADS_TO_LETTER = re.compile(
    r"(?:^|[^A-Za-z])(?:is|be|was|are|as|to|with|for|by|option|choice|answer|box|candidate|statement|choose|chose|pick|select|say|said"
    r"|guess|think|it|and|or|than|not|so|then|thus|therefore|hence|probably|likely|maybe|perhaps|definitely|clearly|only|just|namely"
    r"|rather|sondern|sino|mais|(?:it|that|this)['’]s"
    r"|between|both|either|neither|from|of|in|on|at|ist|est|es|son|und|oder|ou|et|y|o)$",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(r"(?:not|n['’]t)\b[^.;:!?]*\bbut$", re.IGNORECASE)
"""Of "anything but B" no option is the answer, of "not A but B" it is B."""
_NOT_AVAILABLE = re.compile(r"\bn\s?/\s?a\b", re.IGNORECASE)
_REACH = 40


def lone_letter(text: str, letters: str) -> str:
    """Return the letter that is all of `text` but for punctuation; alone, a lower-case one counts."""
    match = _LONE.fullmatch(text) if len(text) < 40 else None
    letter = match[1].upper() if match else ""
    return letter if letter and letter in letters else ""


def without_not_available(text: str) -> str:
    """Return `text` without "N/A", whose letters are no options."""
    return _NOT_AVAILABLE.sub("—", text) if "/" in text else text


class Letters:
    """The patterns of one set of letters."""

    def __init__(self, letters: str) -> None:
        self.all = letters
        any_letter = f"[{re.escape(letters)}]" if letters else r"(?!)"
        small = re.escape("".join(x for x in letters.lower() if x.isascii() and x.isalpha())) or "\0"
        one = _word(letters)
        opening = r"[\s\"'“‘(\[{<$:]*"
        noun = (
            r"(?i:(?:(?:the|la|a)\s+)?(?:option|choice|letter|answer|opción|letra|lettre|opção|opzione|lettera)\s+"
            r"|(?:la|die)\s+|选项|选)?"
        )
        clear = "".join(x for x in small if x not in "ai") or "\0"
        self.behind = re.compile(
            rf"{opening}{noun}{opening}(?:{one}|(?<=[(\[])([{small}])(?=[)\]])"
            rf"|(?<![^\s:\"'])([{clear}])(?=[.,;:)]?\s*(?:$|\n|because\b|since\b|as\b|\()))"
        )
        self.verdict = re.compile(
            rf"({any_letter})(?<![A-Za-z0-9].)[)\]\"'.:]*\s*"
            r"(?:(?:is|would be|must be|seems|looks|是)\s*(?:to be\s+)?(?:the\s+)?"
            r"(?:most\s+likely\s+|most\s+|likely\s+|best\s+)?"
            r"(?:correct|right\b(?!\s+of)|best(?=\s*(?:$|[.,;!)]|\w+$|answer|option|choice|match|fit))"
            r"|true\b|accurate|appropriate|answer\b|option\b|choice\b|正确|对的|better(?=\s*(?:$|[.,;!)\n])))"
            r"|(?:fits?|matches|suits|works)\s+(?:much\s+|far\s+)?(?:better|best)\b|makes\s+(?:more|the\s+most)\s+sense)"
        )
        self.conclusion = re.compile(
            rf"(?:\b(?:[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o)\b|因此|所以|따라서|したがって)[,:]?\s*(?:it(?:'s|\s+is|\s+must\s+be)\s+)?"
            rf"(?:the\s+)?(?:[Oo]ption\s+)?[(\[]?({any_letter})[)\]]?[.!。]?[^\S\n]*$",
            re.MULTILINE,
        )
        self.marked = re.compile(
            rf"(?<![A-Za-z])[(\[]\s?({any_letter})\s?[)\]]|(?:\*\*|__)\s*[(\[]?({any_letter}){EDGE}(?=[^*_\n]*(?:\*\*|__))"
            rf"|^[^\S\n]*[>*#\"' -]*({any_letter})(?:[.:)]|[^\S\n]*$)(?![A-Za-z0-9.])"
            rf"|\b(?:[Oo]ption|[Cc]hoice)\s+[(\[\"']*({any_letter}){EDGE}",
            re.MULTILINE,
        )
        self.small = re.compile(rf"[(\[](?<![A-Za-z0-9].)([{small.replace('i', '')}])[)\]]")
        self.led = re.compile(
            rf"^[^\S\n]*[>*#\"' -]*[(\[]?({any_letter})(?:[.:)\]*]|[^\S\n]*$)(?![A-Za-z0-9.])", re.MULTILINE
        )
        self.shares = re.compile(rf"[>*#\"' -]*[(\[]?{any_letter}[)\]]?\s?:.*[,;|][^\S\n]*[(\[]?{any_letter}[)\]]?\s?:")
        self.leads_reason = re.compile(
            rf"[\s\"'(\[]*({any_letter})[)\]\"']*[,;:.–—-]*\s+(?:because|since|as|for|due|given)\b"
        )
        # a capital A inside a sentence ("Box A holds more") is no article
        inner = "|(?<=[a-z0-9,] )A" + EDGE if "A" in letters else ""
        self.bare = re.compile(
            rf"(?<![A-Za-z0-9'’\-./&+=<>°^_])(?<![_^]\{{)(?<!\d )(?<![\w\s)][<>] )({one[1:-1]}{inner})"
            r"(?![-/+&#°^]|\s?[=<>]|\s[+*/]\s|\.[A-Za-z])"
        )

    def names_thing(self, text: str, start: int) -> bool:
        """Return whether the letter at `start` is the name of a thing: "point A", "panels A and B", "triangle (C)"."""
        before = text[max(0, start - _REACH) : start].rpartition("\n")[2].rstrip(" ([\"'“‘")
        if not before or not (before[-1].isalpha() or before[-1] in ",&."):
            return False
        return _NAMED_SO.search(before + " ") is not None

    def names_word_before(self, text: str, start: int) -> bool:
        """Return whether the bare letter at `start` follows a noun, and so is rather its name ("capacitor
        C", "Mr B").
        """
        if not text[start - 1 : start].isspace() or start < 2:
            return False
        before = text[max(0, start - _REACH) : start].rpartition("\n")[2].rstrip(" ([\"'“‘")
        if not before or not before[-1].isascii() or not before[-1].isalpha():
            return False
        return not _LEADS_TO_LETTER.search(before) and not _NOT_BUT.search(before)

    def denied(self, text: str, match: re.Match[str]) -> bool:
        return denied_before(text, match.start()) or denied_after(text, match.end())


def _word(letters: str) -> str:
    """Return one of `letters` as a word of its own, in a group."""
    plain = "".join(x for x in letters if x not in _ARTICLE_LIKE)
    wordy = "".join(x for x in letters if x in _ARTICLE_LIKE)
    ways = [f"[{re.escape(plain)}]{EDGE}"] if plain else []
    ways += [f"[{wordy}]{EDGE}(?!{_AFTER_A})"] if wordy else []
    return f"({'|'.join(ways) or '(?!)'})"


@lru_cache(maxsize=64)
def letters_of(letters: str) -> Letters:
    """Return the patterns of `letters`, made once."""
    return Letters(letters)
