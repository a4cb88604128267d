"""Kinds of replies that a choice was once read out of wrongly, each in many wordings and languages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score
from vlmeval_mp.scoring.strict.choice import read_choice

TRUTH = {"A": "True", "B": "False"}
PETS = {"A": "cat", "B": "dog"}
FOUR = {"A": "cat", "B": "dog", "C": "bird", "D": "fish"}
TIMES = {"A": "$12:22$", "B": "$12:55$", "C": "$15:15$", "D": "$15:55$"}
FORMULAS = {"A": "$\\frac{3}{8}$", "B": "$\\frac{1}{4}$", "C": "$4$", "D": "$2 \\pi$"}
RATIOS = {"A": "0.25", "B": "2", "C": "1", "D": "4", "E": "0.5"}
POINTS = {"A": "Point A", "B": "Point B", "C": "Point C"}
YES_NO = {"A": "Yes", "B": "No"}
KOREAN = {"A": "고양이", "B": "개"}
THAI = {"A": "แมว", "B": "สุนัข"}

Options = dict[str, str]

NAMES_OF_THINGS = [
    (TRUTH, "False\n\nThe vertices A, E, and C are explicitly connected by edges.", "B"),
    (TRUTH, "True.\n\nPoint B lies on the line through A.", "A"),
    (TRUTH, "In triangle ABC, AB is a side and A a vertex.\n\nFalse.", "B"),
    (TRUTH, "**False**, since A and C are not joined.", "B"),
    (TRUTH, "False, because point A lies outside the circle.", "B"),
    (TRUTH, "Point A is the centre. Thus the statement is **False**.", "B"),
    (TRUTH, "Looking at figure A, the two angles differ.\nTherefore, the statement is false.", "B"),
    (TRUTH, "Answer: False (point A is not on line B)", "B"),
    (TRUTH, "The answer is False. A is not the midpoint of the segment.", "B"),
    (PETS, "**dog** (see image A)", "B"),
    (PETS, "dog (panel A)", "B"),
    (PETS, "The animal in panel A is a dog.", "B"),
    (PETS, "Figure A and figure B both show the same dog.", "B"),
    (PETS, "The letter A is printed above a dog", "B"),
    (PETS, "dog\n\nThe object marked A is a tree.", "B"),
    (POINTS, "Point B", "B"),
    (POINTS, "It is point B that is closest.", "B"),
    (POINTS, "The answer is point C.", "C"),
    ({"A": "A is closer", "B": "B is closer"}, "The point B is nearer to the camera", "B"),
    ({"A": "", "B": ""}, "The second image, image B, matches.", "B"),
]
LATEX = [
    (TIMES, "15:55", "D"),
    (TIMES, "$15:55$", "D"),
    (TIMES, "The answer is 15:55.", "D"),
    (TIMES, "\\boxed{15:55}", "D"),
    (TIMES, "So the time shown is $\\boxed{15:55}$.", "D"),
    (TIMES, "The clock shows 15:55 o'clock", "D"),
    (FORMULAS, "Therefore the fraction is $\\boxed{\\frac{1}{4}}$.", "B"),
    (FORMULAS, "$\\dfrac{1}{4}$", "B"),
    (FORMULAS, "\\frac14", "B"),
    (FORMULAS, "1/4", "B"),
    (FORMULAS, "The answer is 0.25", "B"),
    (FORMULAS, "2\\pi", "D"),
    (FORMULAS, "The perimeter is \\(2\\pi\\).", "D"),
    (FORMULAS, "\\[\\boxed{2\\,\\pi}\\]", "D"),
    (FORMULAS, "2π", "D"),
    (FORMULAS, "\\boxed{4.0}", "C"),
    ({"A": "$3 \\text{ cm}$", "B": "$4 \\text{ cm}$"}, "The answer is 4 cm.", "B"),
    ({"A": "$\\sqrt{2}$", "B": "$\\sqrt{3}$"}, "It equals √3", "B"),
    ({"A": "$\\sqrt{2}$", "B": "$2\\sqrt{2}$"}, "so we get $2 \\sqrt{2}$ in the end", "B"),
    ({"A": "$90^{\\circ}$", "B": "$45^\\circ$"}, "The angle is 45°.", "B"),
    ({"A": "$x=1$", "B": "$x = -1$"}, "We find x = −1.", "B"),
    ({"A": "$\\text{Monday}$", "B": "$\\mathrm{Friday}$"}, "It was a Friday", "B"),
    ({"A": "10%", "B": "25\\%"}, "25%", "B"),
    ({"A": "\\$5", "B": "\\$6"}, "$6", "B"),
]
LETTER_FORMS = [
    (RATIOS, "The correct option is (e), since A is long.", "E"),
    (RATIOS, "So with points C and D, the ratio is (e) roughly half.", "E"),
    (RATIOS, "The answer is (e) because the side A is twice as long", "E"),
    (RATIOS, "Comparing A and B.\n\nAnswer: \\( D \\)", "D"),
    (RATIOS, "Comparing A and B.\n\nAnswer: $ D $", "D"),
    (RATIOS, "Comparing A and B.\n\nAnswer: \\[D\\]", "D"),
    (RATIOS, "Answer: \\(\\text{D}\\)", "D"),
    (RATIOS, "Answer: \\(\\mathrm{(D)}\\) 4", "D"),
    (RATIOS, "the answer is e.", "E"),
    (RATIOS, "\\boxed{e}", "E"),
    (RATIOS, "\\(\\boxed{(\\text{E})}\\)", "E"),
    (RATIOS, "Correct answer: [e]", "E"),
    (FOUR, "The best option is b, since it barks", "B"),
]
NOT_AVAILABLE = [
    "N/A",
    "n/a",
    "N / A",
    "The answer is N/A.",
    "Answer: N/A",
    "**N/A**",
    "N.A.",
    "Answer: n/a (not shown)",
    "[N/A]",
]
NEXT_TURN = [
    ("The answer is (A) cat.\n\nQuestion: Which one is it?\nChoices:\n(A) bird\n(B) dog\nAnswer: (B) dog", "A"),
    ("Answer: A\n\nHint: Please answer the question and provide the letter.\nQuestion: next\nAnswer: C", "A"),
    ("A\n\nUser: And this one?\nAssistant: C", "A"),
    ("A\nHuman: and now?\nThe answer is D", "A"),
    ("A</s>The answer is C", "A"),
    ("(A) cat<|im_end|>\n<|im_start|>user\nnext<|im_end|>\n<|im_start|>assistant\n(C)", "A"),
    ("The answer is A. USER: what about this? ASSISTANT: The answer is C.", "A"),
    ("A\n\n### Question 2:\nWhich?\n### Answer: C", "A"),
    ("答案是A\n问题：下一个？\n答案是C", "A"),
    ("정답은 A입니다.\n질문: 다음은?\n정답: C", "A"),
    ("Question: Which animal?\nChoices: (A) cat (B) dog\nAnswer: A", "A"),
    ("Question: Which?\nAnswer: A\nQuestion: Next?\nAnswer: C", "A"),
    ("Let me look at the question.\nQuestion: Which animal is it?\nThe answer is A", "A"),
]
LAST_WORD = [
    ("A\n\nOn second thought, B.", "B"),
    ("The answer is A. Actually, looking at the tail, it should be B.", "B"),
    ("Answer: A. Correction: B", "B"),
    ("Answer: A\nAfter checking, I need to correct this.\nAnswer: B", "B"),
    ("(A) Hmm, the ears are wrong; (B) fits better.", "B"),
    ("The answer is A. No, B.", "B"),
    ("I first thought A. Wait, it must be B.", "B"),
    ("Answer: cat. Correction: dog", "B"),
    ("The answer is A.\n\nWait, the tail is wrong.\n\nB", "B"),
    ("答案是A。更正：B", "B"),
    ('```json\n{"reasoning": "A cat has whiskers; C has wings", "answer": "B"}\n```', "B"),
    ('{"explanation": "(A) has whiskers", "choice": "B"}', "B"),
    ('{"answer": "B", "reasoning": "The answer is A only for cats"}', "B"),
    ('{"answer": "dog"}', "B"),
    ("{'answer': 'B'}", "B"),
    ('{"final_answer": "(B)", "confidence": 0.7}', "B"),
    ('Here it is:\n```json\n{"Answer": "B. dog"}\n```', "B"),
    ('{"thought": "A or C?", "answer": ["B"]}', "B"),
    ('{\n  "selected_option": "B",\n  "why": "A is wrong"\n}', "B"),
    ('{"answer": "A"}\nWait, that is wrong.\n{"answer": "B"}', "B"),
]
TAKEN_BACK = [
    "The answer is B.\n\nThe region \\boxed{C} in the picture is shaded.",
    "A\n\nHmm, but B has the tail.",
    "The answer is A. Actually, the tail is that of B.",
    "Answer: A. Wait, let me look again: the dog has such ears.",
    "The answer is B.\n\nNote the label \\boxed{C}",
    "True or false, A or B, who knows",
    "The answer is cat or dog.",
    "It is either (A) or (B).",
    '{"answer": null, "reasoning": "A or B"}',
]
THOUGHTS = [
    "◁think▷It has whiskers like (A), but the tail is wrong.◁/think▷The animal is a dog.",
    "[THINK]Maybe A.[/THINK]B",
    "<unused94>thought\nMaybe (A) or (C)<unused95>B",
    "<THINK>maybe A</THINK>B",
    "<thinking>The answer is A</thinking>\nB",
    "<Reasoning>The answer is A.</Reasoning>B",
    "<reason>A?</reason>\n\nAnswer: B",
    "<thought>(A)</thought><answer>B</answer>",
    "<answer>B</answer><reason>A would have whiskers, the answer is A there</reason>",
    "<|begin_of_thought|>A<|end_of_thought|><|begin_of_solution|>B<|end_of_solution|>",
    "<|START_THINKING|>A<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>",
    "<|channel|>analysis<|message|>A it is<|end|><|start|>assistant<|channel|>final<|message|>B",
    "analysisThe answer is A.assistantfinalB",
    "<seed:think>A</seed:think>B",
    "The answer is A.</thinking>B",
    "<SUMMARY>s</SUMMARY><REASONING>A or C</REASONING><CONCLUSION>B</CONCLUSION>",
    "<think>A</think>one more<think>C</think>B",
]
JOINED = [
    (KOREAN, "그것은 개입니다", "B"),
    (KOREAN, "사진에는 개가 있습니다.", "B"),
    (KOREAN, "고양이가 아니라 개입니다", "B"),
    (KOREAN, "이것은 고양이예요", "A"),
    (KOREAN, "정답은 개라고 생각합니다.", "B"),
    (KOREAN, "정답: B", "B"),
    (KOREAN, "정답은 B입니다.", "B"),
    (KOREAN, "개구리", ""),
    (KOREAN, "안개가 낀 사진", ""),
    ({"A": "cat", "B": "dog"}, "이것은 dog입니다", "B"),
    (THAI, "ภาพนี้แสดงสุนัข", "B"),
    (THAI, "สุนัขตัวใหญ่อยู่ในภาพ", "B"),
    (THAI, "ไม่ใช่แมวแต่เป็นสุนัข", "B"),
    (THAI, "คำตอบคือ B", "B"),
    ({"A": "ແມວ", "B": "ໝາ"}, "ນີ້ແມ່ນໝາໂຕໜຶ່ງ", "B"),
    ({"A": "ឆ្មា", "B": "ឆ្កែ"}, "នេះគឺជាឆ្កែមួយ", "B"),
    ({"A": "ကြောင်", "B": "ခွေး"}, "ဒါကခွေးပါ", "B"),
    ({"A": "猫", "B": "狗"}, "图中是一只狗。", "B"),
    ({"A": "猫", "B": "狗"}, "不是猫，是狗", "B"),
    ({"A": "ネコ", "B": "イヌ"}, "これはイヌです", "B"),
    ({"A": "ネコ", "B": "イヌ"}, "イヌイット", ""),
    ({"A": "猫", "B": "犬"}, "答えはBです。", "B"),
    ({"A": "gato", "B": "perro"}, "La respuesta correcta es B.", "B"),
    ({"A": "gato", "B": "perro"}, "No es un gato, es un perro.", "B"),
    ({"A": "chat", "B": "chien"}, "La réponse est (B) chien", "B"),
    ({"A": "Katze", "B": "Hund"}, "Die richtige Antwort ist B.", "B"),
    ({"A": "кошка", "B": "собака"}, "Ответ: B", "B"),
    ({"A": "mèo", "B": "chó"}, "Đáp án là B", "B"),
]
YES_NO_OPTIONS = [
    ("The picture provides no information about that.", ""),
    ("I have no idea.", ""),
    ("There is no way to tell", ""),
    ("No, there is no dog.", "B"),
    ("Yes, no doubt.", "A"),
    ("no", "B"),
    ("The answer is no.", "B"),
    ("There is no dog.", "B"),
]


@pytest.mark.parametrize(
    ("options", "text", "letter"), NAMES_OF_THINGS + LATEX + LETTER_FORMS + JOINED, ids=lambda x: str(x)[:40]
)
def test_an_option_is_read_by_its_words_in_whatever_script_and_no_name_of_a_thing_beats_them(
    options: Options, text: str, letter: str
) -> None:
    assert read_choice(text, options)[0] == letter


@pytest.mark.parametrize("text", NOT_AVAILABLE)
def test_not_available_is_no_option(text: str) -> None:
    assert read_choice(text, FOUR) == ("", "no option found")
    assert read_choice(text, {**FOUR, "D": "N/A"})[0] in ("D", "")


@pytest.mark.parametrize(("text", "letter"), NEXT_TURN)
def test_a_reply_ends_where_its_model_invents_the_next_question(text: str, letter: str) -> None:
    assert read_choice(text, FOUR)[0] == letter


@pytest.mark.parametrize(("text", "letter"), LAST_WORD)
def test_the_last_word_counts_and_an_answer_in_json_is_read(text: str, letter: str) -> None:
    assert read_choice(text, FOUR)[0] == letter


@pytest.mark.parametrize("text", TAKEN_BACK)
def test_an_answer_that_is_taken_back_is_unread_where_the_new_one_cannot_be_told(text: str) -> None:
    assert read_choice(text, FOUR)[0] == ""


@pytest.mark.parametrize("text", THOUGHTS)
def test_reasoning_is_no_answer_whatever_marks_enclose_it(text: str) -> None:
    assert read_choice(text, FOUR) == ("B", "")


@pytest.mark.parametrize(
    "mark", ["<think>", "<thinking>", "◁think▷", "[THINK]", "<unused94>", "<Reasoning>", "<|begin_of_thought|>"]
)
def test_a_thought_without_an_end_leaves_no_answer_and_is_told_apart(mark: str) -> None:
    verdict = score(
        Sample(index="1", row=0, kind="mcq", question="?", options=FOUR, answer="B"),
        Prediction(index="1", row=0, prediction=f"{mark}The answer is B. But wait"),
    )
    assert (verdict.value, verdict.extracted, verdict.reading) == (0.0, "", "unfinished thought")


@pytest.mark.parametrize(("text", "letter"), YES_NO_OPTIONS)
def test_no_in_a_phrase_is_not_the_option_no(text: str, letter: str) -> None:
    assert read_choice(text, YES_NO)[0] == letter


CLAIMS = [
    ({"A": "", "B": ""}, "Box B more accurately encloses the horse. It is tight, whereas Box A is too large.", "B"),
    ({"A": "16*\\pi/5", "B": "32*\\pi/5"}, "The length of the arc shown in the figure above is 32*\\pi/5.", "B"),
    ({"A": "95°", "B": "105°"}, "Given that ∠1 = 105°, the measure of ∠2 would be 95°.", "A"),
    ({"A": "(A)", "B": "(B)"}, "Region A is liquid.\nTherefore, the substance will be solid in region B.", "B"),
    ({"A": "True.", "B": "False."}, "False. The mean for (a) differs from the mean for (b).", "B"),
    ({"A": "4", "B": "5", "C": "5.5"}, "(E) 4.5\n(F) 5.5", ""),
    ({"A": "neither", "B": "sample B", "C": "sample A"}, "(D) sample C", ""),
    (
        {"A": "A", "B": "B", "C": "C", "D": "D"},
        "A square stands on a line. Therefore, the left view is (D) a square.",
        "D",
    ),
    (FOUR, "The cat is on the left. The dog is on the right.", ""),
]


@pytest.mark.parametrize(("options", "text", "letter"), CLAIMS, ids=lambda x: str(x)[:30])
def test_of_several_options_named_the_one_that_the_reply_ends_on_or_prefers_is_read(
    options: Options, text: str, letter: str
) -> None:
    assert read_choice(text, options)[0] == letter


UNCLEAR = [
    (PETS, "Panel A shows the subject."),
    (PETS, "See point A in the picture."),
    (TRUTH, "In triangle A the sides are equal."),
    (FOUR, "It is about 25 C outside."),
    (FOUR, "We have A = 5 and nothing else."),
    (FOUR, "Vitamin C is good for it."),
    (FOUR, "The voltage across the capacitor C rises."),
    (FOUR, "Mr B looks at it."),
    (FOUR, "A/B"),
    (FOUR, "Q&A"),
    (FOUR, "cat, dog"),
    (FOUR, "The cat chases the dog."),
    (RATIOS, "1. First, look at the picture.\n2. Then measure it."),
    (RATIOS, "Figure 2 shows it."),
]


@pytest.mark.parametrize(("options", "text"), UNCLEAR, ids=lambda x: str(x)[:30])
def test_what_a_careful_reader_would_call_unclear_is_unread(options: Options, text: str) -> None:
    assert read_choice(text, options)[0] == ""


@given(
    thing=st.sampled_from(["point", "figure", "Panel", "image", "vertex", "side", "circle"]),
    name=st.sampled_from("AB"),
    said=st.sampled_from([("True", "A"), ("False", "B")]),
    form=st.sampled_from(
        [
            "{said}\n\n{fact}",
            "**{said}**. {fact}",
            "{fact}\n\n{said}.",
            "{said}, because {fact}",
            "{fact} So the answer is {said}.",
        ]
    ),
)
@settings(max_examples=150, deadline=None)
def test_the_name_of_a_thing_never_outranks_the_option_that_is_said(
    thing: str, name: str, said: tuple[str, str], form: str
) -> None:
    fact = f"the {thing} {name} is on the left."
    assert read_choice(form.format(said=said[0], fact=fact), TRUTH)[0] == said[1]


@given(
    letter=st.sampled_from("ABCD"),
    other=st.sampled_from("ABCD"),
    cue=st.sampled_from(["Wait", "Hmm", "On second thought"]),
)
@settings(max_examples=60, deadline=None)
def test_an_answer_that_is_taken_back_never_counts_as_it_was(letter: str, other: str, cue: str) -> None:
    found = read_choice(f"The answer is {letter}. {cue}, I think ({other}) is closer to the truth.", FOUR)[0]
    assert found in {other, "", letter if letter == other else other}
