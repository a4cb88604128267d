"""Scores multiple choice: finds the option in a reply by stated rules, most explicit first. Nothing is guessed.

1. The reply is nothing but a letter ("B", "(b).", "**B**"), or nothing but one option's text or value.
2. A statement: "Answer: B", "the correct option is (B)", "B is correct", "I choose B", "Therefore, B.", "答案是B",
   \\boxed{B}, <answer>B</answer>, {"answer": "B"}; also with an option's text behind it. The last statement counts;
   what takes it back afterwards ("wait", "on second thought") and names another option leaves none, and so does what
   corrects it ("Sorry, …" right behind it, "My mistake: …") and states another; this holds for rules 3 and 4, too.
3. A line or bold words that are nothing but a letter or an option's text. A line at the end counts before a statement
   in front of it.
4. The words that the reply opens with ("False, because A and C are joined"), or a marked letter: "(B)", "**B**",
   "option B", a line led by "B." or "B)" or "B:" (but "A: 10%, B: 80%" is unread). "It is X" opens with X if no other
   option is named anywhere. If several are marked, the reply compares or repeats the options; then only the letter that
   leads the last line counts, unless a list of options ends there.
5. A bare capital letter or an option's text as whole words, if all of them are one option's. "A" and "I" in front of a
   word are words of English; a letter that names a point, figure, panel or the like ("point A") is no option, unless
   the options themselves are such names. Where several are named, the one that the reply claims (see `claims`). A reply
   that ends on a number which is no option is unread, whatever it passed on its way.
6. Where the options are Yes and No, or True and False, and nothing names one: the question as a statement ("The sky is
   not blue."; see `reading.restated`), and "Yes" or "No" for True or False.

Whatever names two options at the rank that decides is unread. Letters are those the sample has. Rules 1 and 5 state
what VLMEvalKit's `can_infer_option` and `can_infer_text` (vlmeval/utils/matching_util.py) are after, without their
windows and substrings; rule 2 follows the wordings of MMMU's parser (eval_utils.py, `parse_multi_choice_response`) and
of the benchmarks' prompts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

from vlmeval_mp.core.records import Prediction, Sample, Score
from vlmeval_mp.scoring.reading.letters import Letters, letters_of, lone_letter, without_not_available
from vlmeval_mp.scoring.reading.options import SEVERAL, Options, options_of
from vlmeval_mp.scoring.reading.outcome import cannot_tell_which
from vlmeval_mp.scoring.reading.sentences import last_sentence, result_of
from vlmeval_mp.scoring.reading.statements import Statement, behind_own, corrected, last_statement, taken_back
from vlmeval_mp.scoring.reading.text import answer_text, without_marks
from vlmeval_mp.scoring.strict import polarity
from vlmeval_mp.scoring.strict.claims import claimed
from vlmeval_mp.scoring.strict.several import gold_set, read_set

NOT_FOUND = "no option found"

_SHORT = 200
"""Characters of a reply that is remembered: many samples get the same few words."""

_MATHS = re.compile(r"\\[()\[\]]|(?<!\\)\$(?=\s*[A-Za-z]\s*\$)|(?<=[A-Za-z])\s*\$")
_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]+)(?:\*\*|__)")
_DIGIT = re.compile(r"\d")
_LISTED = re.compile(r"\d+[.)]\s")
_LED_TEXT = re.compile(r"[\s>#*\"'-]*[(\[]?([A-Z])[.:)\]]+\s+(\S.*)")
_NUMBER = re.compile(r"[-+$€£(]*\d[\d.,/]*\)?\s*(?:[%°]|\\?[a-zA-Z²³]{0,12}[²³]?)\.?$")
_FOREIGN = re.compile(r"[(\[]?[A-Z][)\].:]+\s+\S")
_IT_IS = re.compile(r"(?:it|this|that)(?:['’]s|\s+is)\s+", re.IGNORECASE)
_INSTEAD = re.compile(r"\s+(?:instead|then|rather|after\s+all)\s*$", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[.,;:!—–。，、：；\n]|\b(?:because|since|as)\b|[^.!\n]*\?")
_OPENING_ENDS = re.compile(r"[)\"'”’*]*\s*(?:[.,;:!—–]|\s-\s|\n|$|\(|because\b|since\b|as\b)")


def score_choice(sample: Sample, prediction: Prediction) -> Score:
    """1.0 if the reply names the right option, 0.0 if another or none; None if the sample's answer is no option.

    Where the answer names several options ("AC"), the reply must name just these.
    """
    options = sample.options
    gold = _gold(sample.answer.strip(), options)
    if not gold and (right := gold_set(sample.answer.strip(), options)):
        said = read_set(prediction.prediction, options)
        note = "" if said else NOT_FOUND
        return Score(index=sample.index, value=float(said == right), extracted="".join(sorted(said)), note=note)
    if not gold:
        return Score(index=sample.index, value=None, note=f"answer {sample.answer!r} is none of its options")
    letter, note = read_choice(prediction.prediction, options, sample.question)
    return Score(index=sample.index, value=float(letter == gold), extracted=letter, note=note)


def read_choice(text: str, options: Mapping[str, str], question: str = "") -> tuple[str, str]:
    """Return the letter of the option that `text` names in answer to `question`, or "" and why there is none."""
    if text in options:
        return text, ""
    items = tuple(options.items())
    letter, note = _read_short(text, items) if len(text) <= _SHORT else _read(text, items)
    if note == NOT_FOUND and (letter := polarity.read(text, options_of(items), question)):
        return letter, ""
    return letter, note


def _read(text: str, items: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    found = _Reply(answer_text(text), options_of(items)).letter()
    return (found, "") if found not in ("", SEVERAL) else ("", found or NOT_FOUND)


_read_short = lru_cache(maxsize=4096)(_read)


def _gold(answer: str, options: Mapping[str, str]) -> str:
    if answer in options:
        return answer
    return lone_letter(answer, "".join(options)) or options_of(tuple(options.items())).same(answer)


class _Reply:
    """One reply and the options of its question; each rule gives a letter, `SEVERAL`, or "" for nothing."""

    def __init__(self, text: str, options: Options) -> None:
        self.options = options
        self.patterns: Letters = letters_of(options.letters)
        text = without_not_available(text)
        self.text = _MATHS.sub(" ", text) if "\\" in text or "$" in text else text
        self.plain = without_marks(self.text).strip()
        self.lines = [line.strip() for line in self.plain.split("\n") if line.strip()]
        self.has_letter = any(letter in text for letter in options.letters)

    def letter(self) -> str:
        """Return the letter by the first rule that applies."""
        whole = lone_letter(self.plain, self.options.letters) or self.options.same(self.plain)
        if whole:
            return whole
        said = last_statement(self.plain, self.options)
        if said is not None:
            return self._unless_taken_back(self._closing(said), said.end)
        alone = self._alone()
        if len(alone) == 1:
            letter = alone.pop()
            return self._unless_taken_back(letter, 0, self._behind_line(letter))
        found = self._marked_or_opening(several=len(alone) > 1)
        leads = self.patterns.led.match(self.plain)
        if found and leads and leads[1] == found:
            if self.patterns.shares.match(self.lines[0]):
                return SEVERAL  # "A: 10%, B: 80%"
            return self._unless_taken_back(found, leads.end(), opening=True)
        return found or self._weak()

    # --- the rules -------------------------------------------------------------------------------------------------

    def _closing(self, said: Statement) -> str:
        """Return the letter of a statement, or that of a last line behind it which is nothing but an option."""
        if said.end < len(self.plain) and len(self.lines) > 1:
            last = self._whole(self.lines[-1])
            if last and not self._whole(self.lines[-2]) and self.plain.rfind(self.lines[-1]) >= said.end:
                return last
        return said.letter

    def _whole(self, line: str) -> str:
        """Return the option that `line` is: its letter, its text, or both."""
        letter = lone_letter(line, self.options.letters)
        if letter:
            return letter
        if len(line) > 3 * self.options.longest + 40:
            return ""
        led = _LED_TEXT.fullmatch(line)
        if led and led[1] in self.options.letters:
            return led[1] if self.options.same(led[2]) == led[1] else ""
        return self.options.same(line)

    def _alone(self) -> set[str]:
        """Return options that are all of a line, or all of what is in bold."""
        spans: list[str] = _BOLD.findall(self.text) if "**" in self.text or "__" in self.text else []
        lines = self.lines if self.has_letter or len(self.lines) > 1 else []  # the first rule has seen an only line
        return {letter for each in dict.fromkeys((*lines, *spans)) if (letter := self._whole(each.strip()))}

    def _marked_or_opening(self, *, several: bool) -> str:
        marked = self._marked() if self.has_letter else set()
        opening = "" if several else self._opening()
        if opening == SEVERAL:
            return "" if marked else SEVERAL
        if opening:
            return opening if marked <= {opening} else SEVERAL
        found = marked or self._small()
        return "".join(found) if len(found) <= 1 else self._last_led()

    def _marked(self) -> set[str]:
        """Letters in brackets or in bold, behind "option", or leading a line."""
        return {
            next(filter(None, m.groups()))
            for m in self.patterns.marked.finditer(self.text)
            if not self.patterns.denied(self.text, m) and not self._names_thing(self.text, m)
        }

    def _small(self) -> set[str]:
        """Lower-case letters in brackets, where no capital one is marked."""
        return {m[1].upper() for m in self.patterns.small.finditer(self.text) if not self._names_thing(self.text, m)}

    def _opening(self) -> str:
        """Return the option that the reply opens with, if its sentence or clause ends there."""
        first = self.lines[0] if self.lines else ""
        reason = self.patterns.leads_reason.match(first)
        if reason:
            return reason[1]
        if _LISTED.match(first):
            return ""  # "1." begins a list
        folded = self.options.fold(first[: 3 * self.options.longest + 80])
        letter, end = self.options.begins(folded)
        if not letter and (it := _IT_IS.match(first)):
            first = first[it.end() :]
            folded = self.options.fold(first[: 3 * self.options.longest + 80])
            letter, end = self.options.begins(folded)
            if (self.options.named(self.plain) | self._bare_options()) - {letter}:
                return ""  # "It's black, but the shoe is red": it speaks of another thing
        if not letter or not _OPENING_ENDS.match(folded, end):
            return ""
        return self.options.opens(first)

    def _bare_options(self) -> set[str]:
        """Return the letters that stand as words, but none where the options are true and false, or yes and no: there
        they are rather points of a drawing."""
        return set() if {"true", "yes"} & set(self.options.by_text) else self._bare(self.plain)

    def _last_led(self) -> str:
        lines = [line for line in self.text.split("\n") if line.strip()]
        *_, before, last = ["", *lines]
        leads, led = self.patterns.led.match(last), self.patterns.led.match(before)
        ends_list = leads and led and ord(leads[1]) == ord(led[1]) + 1
        compares = len({next(filter(None, m.groups())) for m in self.patterns.marked.finditer(last)}) > 1
        return leads[1] if leads and not ends_list and not compares else ""

    def _weak(self) -> str:
        """Return the only option that letters and words name, else the one that the end or the beginning claims."""
        text = self._without_foreign_list()
        bare, named = self._bare(text), self.options.named(text)
        found = bare | named
        if not found or self._other_result():
            return SEVERAL if found else self._value_of_result()
        if cannot_tell_which(self.plain):
            return self._claim() or SEVERAL
        if len(named) == 1 and self.options.hold_names and not self._lists_letters:
            return named.pop()  # "starts at B and moves to C": the letters are words of the options
        if len(found) == 1 and not (named and self._lists_letters):
            return found.pop()
        return self._claim() or SEVERAL

    def _other_result(self) -> bool:
        """Return whether the reply ends on a number that is none of the options, wherever it passed one on its way."""
        number = _NUMBER.match(self._result) is not None
        return number and not (self.options.ends(self._last) or self.options.opens(self._result))

    def _value_of_result(self) -> str:
        """Return the option that the last sentence's result is by its value: "the length is 3.0" is 3."""
        numeric = bool(self.lines) and _DIGIT.search(self.lines[-1]) and _NUMBER.fullmatch(self._result)
        return self.options.same(self._result) if numeric else ""

    @cached_property
    def _last(self) -> str:
        """The last sentence."""
        return last_sentence(self.lines[-1]) if self.lines else ""

    @cached_property
    def _result(self) -> str:
        """Return the result that the last sentence states, "" if it states none."""
        return result_of(self._last)

    def _claim(self) -> str:
        return claimed(self.lines, self.options, self._mentioned, listed=self._lists_letters)

    def _mentioned(self, text: str) -> set[str]:
        return self._bare(text) | self.options.named(text)

    @cached_property
    def _lists_letters(self) -> bool:
        """Return whether several letters begin lines, so that the reply repeats the options."""
        return self.has_letter and len({m[1] for m in self.patterns.led.finditer(self.plain)}) > 1

    def _without_foreign_list(self) -> str:
        """Return the reply without lines led by letters that the question does not have: options that the
        model made up.
        """
        if not any(_FOREIGN.match(line) and line.lstrip("([")[:1] not in self.options.letters for line in self.lines):
            return self.plain
        return "\n".join(line for line in self.lines if not _FOREIGN.match(line))

    def _bare(self, text: str) -> set[str]:
        """Capital letters that stand as words, but not in lines that such a letter leads (a repeated list)."""
        if not self.has_letter:
            return set()
        if self._lists_letters:
            text = "\n".join(line for line in text.split("\n") if not self.patterns.led.match(line))
        return {
            m[1]
            for m in self.patterns.bare.finditer(text)
            if not self.patterns.denied(text, m) and not self._names_thing(text, m, bare=True)
        }

    # --- what counts against a letter ------------------------------------------------------------------------------

    def _names_thing(self, text: str, match: re.Match[str], *, bare: bool = False) -> bool:
        start = match.start(match.lastindex or 0)
        name = self.patterns.names_thing(text, start) or (bare and self.patterns.names_word_before(text, start))
        return name and not self.options.speak_of_letters

    def _unless_taken_back(
        self, letter: str, end: int, corrected_from: int | None = None, *, opening: bool = False
    ) -> str:
        """Return `letter`, unless what follows takes it back and names another option, or corrects it to one.

        A correction counts only behind `corrected_from`, which is `end` if left out; `opening` as in `taken_back`.
        """
        if letter in ("", SEVERAL):
            return letter
        rest = self.plain[behind_own(self.plain, end, letter, self.options) :]
        back = taken_back(rest, opening=opening)
        others = set() if back is None else self._letters_in(rest[back:]) | self.options.named(rest[back:])
        start = end if corrected_from is None else corrected_from
        rest = self.plain[behind_own(self.plain, start, letter, self.options) :]
        if (behind := corrected(rest)) is not None:
            others |= self._stated_in(rest[behind:])
        return SEVERAL if others - {letter} else letter

    def _behind_line(self, letter: str) -> int:
        """Return where the last line ends that is nothing but the option `letter`; the end if none is."""
        found = [line for line in self.lines if self._whole(line) == letter]
        return self.plain.rfind(found[-1]) + len(found[-1]) if found else len(self.plain)

    def _stated_in(self, text: str) -> set[str]:
        """Return the options that clauses of `text` end with or prefer: "it is B", "B is better", not "B has wings"."""
        found: set[str] = set()
        for clause in _CLAUSE_END.split(text):
            clause = _INSTEAD.sub("", clause)
            found |= {letter for letter in self._letters_in(clause) if _ends_with(clause, letter)}
            found |= self.options.named(clause) if self.options.ends(clause) else set()
        return found

    def _letters_in(self, text: str) -> set[str]:
        found = (m for p in (self.patterns.marked, self.patterns.bare) for m in p.finditer(text))
        return {
            next(filter(None, m.groups()))
            for m in found
            if not self.patterns.denied(text, m) and not self._names_thing(text, m)
        }


def _ends_with(clause: str, letter: str) -> bool:
    preferred = r"(?:is|fits|matches)\b.*\b(?:better|best|closer|right|correct)\b.*|it\s+is"
    return re.search(rf"{letter}[)\]\"'”’*\s]*(?:입니다|です|だ|{preferred})?\s*$", clause) is not None
