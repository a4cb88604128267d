"""Replies that somebody met and that were scored wrong: every row of the shared folders, and others of each kind.

What a row wants is told by its gold answer: these folders hold replies that a careful reader reads right, unless said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shared_case
from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.exchange.evaluate import FileToScore, evaluate
from vlmeval_mp.scoring import Rules, score
from vlmeval_mp.scoring.reading.options import SEVERAL
from vlmeval_mp.scoring.strict.choice import NOT_FOUND, read_choice
from vlmeval_mp.scoring.strict.several import read_set
from vlmeval_mp.scoring.strict.yesno import read_yesno

PETS = {"A": "cat", "B": "dog", "C": "bird"}
TAGS = {"A": "<b>", "B": "<i>", "C": "<u>", "D": "<p>"}
ANIMALS = {"A": "a cat", "B": "a dog", "C": "a bird", "D": "a fish"}
ANGLES = {"A": "30", "B": "60", "C": "90", "D": "45"}
COLOURS = {"A": "red", "B": "blue", "C": "black", "D": "green"}
YES_NO = {"A": "Yes", "B": "No"}
NUMBERS = ("open", "exact", "gqa", "mmmu", "textvqa", "relaxed")


def verdicts(case: str, **fields: Any) -> dict[str, tuple[float | None, str]]:
    """Value and extraction of each row of a shared folder, by index."""
    folder = shared_case(case)
    whole = folder / "rows.tsv"
    asked = (
        {"file": whole} if whole.exists() else {"file": folder / "predictions.jsonl", "data": str(folder / "data.tsv")}
    )
    return {s.sample.index: (s.score.value, s.score.extracted) for s in evaluate(FileToScore(**asked, **fields)).scored}


@pytest.mark.parametrize(
    "case",
    [
        "bare-letter-beats-option-text", "lower-case-and-latex-letters", "option-text-with-particles",
        "options-in-dollars", "reasoning-tags", "runs-on-into-next-question", "several-right-options",
    ],
)  # fmt: skip
def test_every_row_is_read_as_its_answer(case: str) -> None:
    found = verdicts(case)
    assert found
    assert {value for value, _ in found.values()} == {1.0}, found


def test_an_answer_taken_back_is_never_the_one_that_was_taken_back() -> None:
    found = verdicts("answer-corrected-or-in-json")
    assert {said for _, said in found.values()} <= {"B", ""}
    assert [found[index][1] for index in ("2", "4", "6")] == ["B"] * 3


def test_not_available_is_no_option() -> None:
    assert {said for _, said in verdicts("na-read-as-option-A").values()} == {""}


def test_the_failure_sentence_among_other_text_is_read_whole_in_compat() -> None:
    found = verdicts("failure-sentence-with-more-text", mode="compat", scorer="mme")
    assert {value for value, _ in found.values()} == {1.0}


def test_words_that_hold_a_yes_or_a_no_are_read_as_a_reader_would() -> None:
    found = {index: said for index, (_, said) in verdicts("yes-no-words-inside-sentences", scorer="pope").items()}
    assert found["0"] == ""
    assert found["2"] == "No"
    assert found["4"] == ""


def test_signs_that_change_an_answer_are_kept() -> None:
    found = verdicts("sign-and-symbols-dropped", scorer="open")
    assert [found[index][0] for index in ("0", "2")] == [0.0, 0.0]


@pytest.mark.parametrize("scorer", [*NUMBERS, "mathvista", "ocrbench"])
def test_every_minus_is_one_in_every_family_that_compares_numbers(scorer: str) -> None:
    found = verdicts("unicode-minus", scorer=scorer)
    assert {index: value for index, (value, _) in found.items()} == {
        index: float(index not in ("0", "4")) for index in found
    }


# --- others of each kind -------------------------------------------------------------------------------------------

READ = {
    "bare-letter-beats-option-text": [
        ({"A": "Yes", "B": "No"}, "No.\n\nVertex A and vertex C lie on different faces.", "B"),
        ({"A": "obtuse", "B": "acute"}, "Angle A is smaller than 90°, so it is **acute**.", "B"),
        ({"A": "red", "B": "blue"}, "Line A is the dashed one. It is blue.", "B"),
        (PETS, "bird (compare panels A and B)", "C"),
        ({"A": "12", "B": "15"}, "In rectangle A, the side is 15.", "B"),
        ({"A": "True", "B": "False"}, "The edge from A to D is missing, thus False.", "B"),
        ({"A": "True", "B": "False"}, "It's false. A and B do not touch.", "B"),
        ({"A": "3 cm", "B": "5 cm"}, "AB = 5 cm", "B"),
        ({"A": "Vitamin C", "B": "Vitamin D", "C": "Vitamin A"}, "Vitamin A", "C"),
        (PETS, "The answer is not A but B.", "B"),
        (PETS, "The answer is A. Is it B? No, B is wrong.", "A"),
        (PETS, "The answer is A. B, no; C, no.", "A"),
        (PETS, "La respuesta correcta es la B.", "B"),
        (PETS, "La bonne réponse est la B", "B"),
        (PETS, "=> B", "B"),
        (PETS, "It isn't A; it's B", "B"),
        (PETS, "Die Antwort ist nicht A, sondern B.", "B"),
    ],
    "options-in-dollars": [
        ({"A": "$3\\sqrt{2}$", "B": "$2\\sqrt{3}$"}, "We get \\boxed{2 \\sqrt{3}}", "B"),
        ({"A": "$\\dfrac{2}{5}$", "B": "$\\dfrac{3}{5}$"}, "The ratio is 3/5.", "B"),
        ({"A": "$30^{\\circ}$", "B": "$60^\\circ$"}, "\\(60^{\\circ}\\)", "B"),
        ({"A": "$\\text{even}$", "B": "$\\text{odd}$"}, "It is odd.", "B"),
        ({"A": "$x^2$", "B": "$x^{3}$"}, "$x^3$", "B"),
        ({"A": "$10\\%$", "B": "$20\\%$"}, "20%", "B"),
        ({"A": "$\\sqrt{2}$", "B": "$\\sqrt3$"}, "sqrt(3)", "B"),
        ({"A": "$1{,}000$", "B": "$10{,}000$"}, "10,000", "B"),
        ({"A": "$1{,}000$", "B": "$10{,}000$"}, "10000", "B"),
        ({"A": "$90^\\circ$", "B": "$45^\\circ$"}, "45 degrees", "B"),
        ({"A": "$90^\\circ$", "B": "$45^\\circ$"}, "45 Degrees", "B"),
        ({"A": "$(1,2)$", "B": "$(2,1)$"}, "The point is (2, 1).", "B"),
        ({"A": "(1, 2)", "B": "(2, 1)"}, "(2,1)", "B"),
        ({"A": "$\\triangle ABC$", "B": "$\\triangle DEF$"}, "△DEF", "B"),
    ],
    "lower-case-and-latex-letters": [
        (PETS, "The correct answer is (c), because it flies.", "C"),
        (PETS, "\\(\\boxed{\\mathbf{C}}\\)", "C"),
        (PETS, "Answer: $\\text{(b)}$", "B"),
        (PETS, "answer: b) dog", "B"),
        (PETS, "Final answer: \\[ \\mathrm{C} \\]", "C"),
        (PETS, "After comparing A with B: the answer is (c)", "C"),
    ],
    "runs-on-into-next-question": [
        ("B\n\nQ: What colour is it?\nA: red", "B"),
        ("The answer is B.\n\n### User:\nAnd now?\n### Assistant:\nC", "B"),
        ("B<end_of_turn>\n<start_of_turn>user\nNext<end_of_turn>\n<start_of_turn>model\nA", "B"),
        ("Answer: B\n\nQuestion 2: Which?\nAnswer: A", "B"),
        ("B\n[INST] And this? [/INST] C", "B"),
        ("(B)\nInstruction: choose again.\nAnswer: (C)", "B"),
        ("B\n\nExample 2:\nQuestion: Which?\nAnswer: C", "B"),
        ("Answer: B\n---\nQ2. Which?\nAnswer: C", "B"),
        ("B\n## Question 2\nAnswer: C", "B"),
        ("Q3. sales are a dog.", "B"),  # a quarter, no question
        ("The dog barks.\nExample 1: foxes.\nAnswer: B", "B"),
        ("I compare with past cases.\nExercise 3: a cow.\nSo the answer is B.", "B"),
        ("See\nQuestion 2\nand so the answer is B", "B"),
        ("The answer is B.\nExample 2: another\nAnswer: C", "B"),
        ("B\n\nQuestion 2\nC", "B"),
    ],
    "answer-corrected-or-in-json": [
        ("Answer: A. Hmm, wait. Answer: B", "B"),
        ("I choose A. Scratch that, I choose B.", "B"),
        ('{"reason": "not A", "label": "B"}', "B"),
        ('{"steps": ["A?", "C?"], "final answer": "B"}', "B"),
        ('```\n{"option": "b"}\n```', "B"),
        ("A is tempting; on second thought the answer is B.", "B"),
        ('{"answer": "A", "revised_answer": "B"}', "B"),
        ('{"answer": "A", "corrected_answer": "B"}', "B"),
        ("The answer is B. No, not A.", "B"),
        ("The answer is B, no doubt. A is a cat.", "B"),
        ("The answer is B. Wait for the next question.", "B"),
    ],
    "reasoning-tags": [
        ("<Thinking>A</Thinking>\n\nB", "B"),
        ("[REASONING]The answer is A.[/REASONING] The answer is B.", "B"),
        ("<scratchpad>A or C</scratchpad>dog", "B"),
        ("◁THINK▷ C ◁/THINK▷ B", "B"),
        ("Let me see: A?</think>\n**B**", "B"),
        ("<reflection>(A)</reflection><thought>(C)</thought>(B)", "B"),
        ("<|thinking|>A<|/thinking|>B", "B"),
        ("<rationale>A</rationale>B", "B"),
        ("<analysis>A</analysis><final>B</final>", "B"),
        ("<inner_monologue>A</inner_monologue>B", "B"),
        ("<mm:think>A</mm:think>B", "B"),
        ("[unused16]A[unused17]B", "B"),
        ("<b>B</b>", "B"),
        ("<b><i>B</i></b>", "B"),
        ("[Analysis] The animal barks. [Answer] B", "B"),
        ("Answer: B [Rationale] it barks.", "B"),
        ("B\n[Rationale] It barks.", "B"),
        ("[CoT] it barks. B", "B"),
    ],
    "tags-of-html": [
        ("Answer: B<br>Because it barks.", "B"),
        ("Answer:<br/>B", "B"),
        ("Answer: B<p>Because it barks.", "B"),
        ("<b>Answer: B</b>Because it barks.", "B"),
        ("<p>The answer is <b>B</b></p><p>Because A meows</p>", "B"),
        (TAGS, "<i>", "B"),
        (TAGS, "The tag is <i>.", "B"),
        ({"A": "<p>", "B": "<br>"}, "The tag is <br>.", "B"),
    ],
    "option-text-with-particles": [
        ({"A": "자동차", "B": "기차"}, "사진에는 기차가 보입니다.", "B"),
        ({"A": "빨간색", "B": "파란색"}, "옷은 파란색이며 모자는 없습니다.", "B"),
        ({"A": "แดง", "B": "น้ำเงิน"}, "รถคันนี้สีน้ำเงิน", "B"),
        ({"A": "左", "B": "右"}, "物体在右边。", "B"),
        ({"A": "りんご", "B": "みかん"}, "これはみかんです。", "B"),
        ({"A": "ສີແດງ", "B": "ສີຟ້າ"}, "ລົດນີ້ແມ່ນສີຟ້າ", "B"),
    ],
}


@pytest.mark.parametrize(
    ("options", "reply", "letter"),
    [(row[0], row[1], row[2]) if len(row) == 3 else (PETS, *row) for rows in READ.values() for row in rows],
    ids=lambda each: str(each)[:40],
)
def test_others_of_the_kind_are_read(options: dict[str, str], reply: str, letter: str) -> None:
    assert read_choice(reply, options) == (letter, "")


@pytest.mark.parametrize(
    "reply",
    [
        "B (initially I was inclined to choose A)",
        "A\n\nSorry, B.", "Answer: A\nOops, B.", "The answer is A. No, that is wrong: B.", "(A)\n\nNope, (B).",
        "The answer is A. My bad, it's B.", "A. Strike that, B.", "A. My mistake, B.",
        "The answer is A. Upon closer inspection, it is B.", "The answer is A. Looking again, it is a dog.",
        "The answer is A. Je me corrige : B.", "Réponse : A. Non, plutôt B.", "Respuesta: A. Mejor dicho, B.",
        "Die Antwort ist A. Moment, doch B.", "Ответ: A. Нет, правильный ответ B.", "答案是A。抱歉，应该是B。",
        "答案：A。哦不，是B。", "정답은 A입니다. 아니요, B입니다.", "答えはA。いや、B。", "答えはAです。訂正：Bです。",
    ],
)  # fmt: skip
def test_other_words_take_an_answer_back(reply: str) -> None:
    assert read_choice(reply, PETS) == ("", SEVERAL)


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        (ANIMALS, "The answer is B. No, it is not A, because a cat has whiskers."),
        (ANIMALS, "Answer: B. Is it a cat? No, it barks. C has wings."),
        (ANIMALS, "Answer: B. Looking closer at the picture, the ears are long, while option A has short ears."),
        (ANIMALS, "The answer is B. The child must hold on to it, unlike in C."),
        (ANIMALS, "Answer: B. Sorry, no other option (like A) works."),
        (YES_NO, "B. No, because yes would need a dog."), (YES_NO, "B. No, A would need a dog."),
        (YES_NO, "Answer: B. No, A would need a dog."),
        (ANGLES, "B. In the triangle, A = 30° and C = 90°."), (ANGLES, "B: in the triangle, A = 30°, C = 90°."),
        ({"A": "πr", "B": "2πr", "C": "r"}, "B: given the circle, C = 2πr."),
        (ANIMALS, "It isn't A but B."), (ANIMALS, "B. The dog can wait while a cat runs."),
        (ANIMALS, "B) The ears actually differ from those in A."),
    ],
)  # fmt: skip
def test_an_answer_is_not_taken_back_by_a_mention_of_another(options: dict[str, str], reply: str) -> None:
    assert read_choice(reply, options) == ("B", "")


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: B. Hold on, it is C.", "Answer: B. On closer inspection C is a better match.", "B. Oops, (C)",
        "B. Hmm, maybe A.", "Answer: B. Sorry for the confusion, it's C.",
        "Answer: B. Looking closer, I would now say it is a bird instead.", "Answer: B. My bad, C because it flies",
    ],
)  # fmt: skip
def test_an_answer_is_taken_back_by_another_that_is_stated(reply: str) -> None:
    assert read_choice(reply, ANIMALS) == ("", SEVERAL)


@pytest.mark.parametrize("reply", ["Anything but B.", "all options but B", "it could be any option but B"])
def test_all_options_but_one_are_not_this_one(reply: str) -> None:
    assert read_choice(reply, ANIMALS) == ("", NOT_FOUND)


@pytest.mark.parametrize(
    ("options", "reply", "letter"),
    [
        (COLOURS, "It's black, but the question asks for the shoe, which is red.", "A"),
        (ANIMALS, "It is a cat: wrong. A dog: right.", ""), (ANIMALS, "It is a cat. B fits.", ""),
        (ANIMALS, "This is a cat, that is a dog. The second is asked for.", ""),
        (ANIMALS, "It is a cat, because it has whiskers.", "A"),
    ],
)  # fmt: skip
def test_it_is_names_the_answer_if_no_other_option_is_named(options: dict[str, str], reply: str, letter: str) -> None:
    assert read_choice(reply, options)[0] == letter


@pytest.mark.parametrize(
    "reply", ["The answer cannot be B.", "B > A > C", "A: 10%, B: 80%, C: 10%", "A: cat, B: dog", "Not B"]
)
def test_replies_that_single_no_option_out_name_none(reply: str) -> None:
    assert read_choice(reply, PETS)[0] == ""


@pytest.mark.parametrize(
    "reply", ["N/A", "It is n/a.", "N/A - cannot be answered", "\\boxed{N/A}", "Not available (N/A)", "答案：N/A"]
)
def test_other_ways_to_say_not_available_name_no_option(reply: str) -> None:
    assert read_choice(reply, PETS)[0] == ""


@pytest.mark.parametrize(
    "reply", ["<think>The answer is B", "[THINK]B", "◁think▷ B. dog", "<reasoning>So: B", "<thought>B"]
)
def test_a_thought_without_an_end_leaves_no_answer_and_is_counted(reply: str) -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="?", answer="B", options=PETS)
    verdict = score(sample, Prediction(index="1", row=0, prediction=reply))
    assert (verdict.value, verdict.extracted, verdict.reading) == (0.0, "", "unfinished thought")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("对不起，图片里看不清楚。", ""), ("抱歉，我没有办法判断。", ""), ("有没有猫？有。", "Yes"), ("沒有", "No"),
        ("I have no clue.", ""), ("There is no data on that.", ""), ("No doubt about it, yes.", "Yes"),
        ("知らない", ""), ("沒有足夠的信息", ""), ("不對", "No"), ("對的。", "Yes"), ("有沒有狗？", ""),
        ("No way!", "No"), ("There's no way to tell.", ""), ("Not really.", "No"), ("Nope", "No"), ("Yeah, one", "Yes"),
        ("Definitely not.", "No"), ("نعم", "Yes"), ("नहीं", "No"), ("Evet", "Yes"), ("Y", "Yes"), ("n.", "No"),
        ("N/A", ""),
        ("False", "No"), ("true.", "Yes"), ('{"answer": false}', "No"), ("不存在", "No"), ("有的", "Yes"),
        ("有的人认为有", ""), ("No response", ""), ("In no particular order: cat", ""),
        ("If yes, it is a dog", ""),
        ("No, wait, yes.", "Yes"), ("Yes. Actually, no.", "No"), ("No. Actually, there is no dog at all.", "No"),
        ("Yes, there's actually no collar on the dog.", "Yes"),
        ("Answer: yes. Actually, no.", "No"), ("Yes, the sign says 'Sorry, no.'", "Yes"),
        ('Answer: "yes". The sign says "Sorry, no."', "Yes"), ("Answer: N", "No"), ("Answer: nope", "No"),
        ("Answer: y\nIt barks", "Yes"), ("Answer: N/A", ""), ("Answer: Y is taller", ""),
        ("True, no dog is visible.", "No"), ("True, no doubt.", "Yes"), ("Answer: true, no dog is visible.", "No"),
        ("不存在疑问，是的", "Yes"), ("不存在任何疑问，是的", "Yes"), ("不存在任何狗", "No"),
        ("If yes, then no", ""), ("If no, then yes", ""), ("No. If yes, it would bark.", "No"),
    ],
)  # fmt: skip
def test_other_sentences_with_such_words(reply: str, said: str) -> None:
    assert read_yesno(reply)[0] == said


@pytest.mark.parametrize(
    ("answer", "reply", "right"),
    [
        ("AC", "A and C", 1.0), ("A;C", "(A), (C)", 1.0), ("['A', 'C']", "Answer: A, C", 1.0), ("AC", "CA", 1.0),
        ("AC", "both A and C", 1.0), ("AC", "The answer is A and C. B is wrong.", 1.0), ("AC", "选AC", 1.0),
        ("AC", "Options A and C", 1.0), ("AC", "A and C, because B barks", 1.0), ("AC", "A or C", 0.0),
        ("A|C", "AC", 1.0), ("[A, C]", "AC", 1.0), ("AC", "Neither A nor C", 0.0), ("AC", "A and C are wrong", 0.0),
        ("AC", "A", 0.0), ("AC", "ABC", 0.0), ("A C", "The correct options are A and C.", 1.0),
    ],
)  # fmt: skip
def test_other_sets_of_right_options(answer: str, reply: str, right: float) -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="?", answer=answer, options=PETS)
    assert score(sample, Prediction(index="1", row=0, prediction=reply)).value == right


@pytest.mark.parametrize(
    "reply",
    [
        "A and B, but B is wrong.", "A and C, but not C", "A and C. But C is wrong.",
        "A, B, C, D. Let me see each.\nA is right.\nC is right.",
    ],
)  # fmt: skip
def test_a_first_line_whose_options_are_weighed_is_no_set(reply: str) -> None:
    assert read_set(reply, ANIMALS) == frozenset()


@pytest.mark.parametrize(
    ("answer", "reply", "right"),
    [
        ("-3", "3", 0.0), ("F#", "F", 0.0),
        ("C++", "C", 0.0), ("a+b", "a b", 0.0), ("x<2", "x>2", 0.0),
        ("3/4", "3 4", 0.0), ("±2", "2", 0.0), ("-3", "- 3", 1.0), ("well-known", "well known", 1.0),
        ("10:30", "10:30", 1.0),
        ("A+", "A", 0.0), ("Cl-", "Cl", 0.0), ("@home", "home", 0.0), ("B♭", "B", 0.0), ("F♯", "F", 0.0),
        ("F♯", "F#", 1.0), ("y = 2x - 1", "y=2x-1", 1.0), ("y = 2x - 1", "y = 2x + 1", 0.0), ("5-", "5", 0.0),
        ("8-bit", "8 bit", 1.0), ("<p>", "Answer: <p>", 1.0), ("12", "Answer: 12<br>as counted", 1.0),
    ],
)  # fmt: skip
def test_other_signs(answer: str, reply: str, right: float) -> None:
    sample = Sample(index="1", row=0, kind="vqa", question="?", answer=answer)
    assert score(sample, Prediction(index="1", row=0, prediction=reply), Rules(scorer="open")).value == right


@pytest.mark.parametrize("scorer", NUMBERS)
@pytest.mark.parametrize("minus", "−‐‑–﹣－")
def test_each_sign_of_a_minus_counts_as_one(scorer: str, minus: str) -> None:
    for answer, right in (("-7.5", 1.0), ("7.5", 0.0)):
        sample = Sample(index="1", row=0, kind="vqa", question="?", answer=answer)
        found = score(sample, Prediction(index="1", row=0, prediction=f"{minus}7.5"), Rules(scorer=scorer))
        assert found.value == right, (answer, found)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Failed to obtain answer via API. The answer is No.", 1.0), ("No. (Failed to obtain answer via API.)", 1.0),
        ("No\n\nFailed to obtain answer via API.", 1.0), ("Failed to obtain answer via API.", 0.0),
        ("Yes. Failed to obtain answer via API.", 0.0),
    ],
)  # fmt: skip
def test_other_places_of_the_failure_sentence_in_compat(reply: str, right: float, tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(f'index\tquestion\tanswer\tprediction\n0\tq\tNo\t"{reply}"\n1\tq\tYes\tYes\n')
    found = evaluate(FileToScore(file=path, mode="compat", scorer="mme")).scored
    assert found[0].score.value == right
