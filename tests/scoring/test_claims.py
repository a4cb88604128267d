"""Replies that name several options and claim one, or none by its words: what a careful reader reads, and what not."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.records import Prediction, Sample
from vlmeval_mp.scoring import score
from vlmeval_mp.scoring.reading.latex import one_spelling
from vlmeval_mp.scoring.reading.restated import restated
from vlmeval_mp.scoring.strict.choice import read_choice
from vlmeval_mp.scoring.strict.yesno import read_yesno

Options = dict[str, str]

POINTS = {letter: f"Point {letter}" for letter in "ABCD"}
IMAGES = {"A": "the second image", "B": "the third image"}
SIDES = {"A": "left", "B": "right"}
YES_NO = {"A": "yes", "B": "no"}
TRUTH = {"A": "True", "B": "False"}
BARE = dict.fromkeys("ABCD", "")
PLACES = "\n\n- Point A is on the roof.\n- Point B is on the wing.\n- Point C is on the wheel.\n\n"
CUT_BEFORE = "so, the third image (B) is the one in mind. It is of wood".ljust(1599, "d") + "."
"""As long as the end of a reply that is searched for a conclusion: what stands before it is cut off."""
CUT_BEHIND = "Look.".ljust(1985, "\n") + "The sky is blue"
"""As long as the beginning of a reply that is searched for a restatement."""
PAINTED = "(A) The second image is loose.\n\n(B) The third image is exact.\n\n"

CLAIMED = [
    (POINTS, f"Compare:{PLACES}The corresponding point is Point C, as it is on the wheel.", "C"),
    (POINTS, f"Compare:{PLACES}The corresponding point is therefore Point B, which is on the wing of the plane.", "B"),
    (POINTS, f"Compare:{PLACES}The point that matches the REF point on the first image is (D) Point D.", "D"),
    (POINTS, "Point A is too high. The correct point is point (B) in the second image, as it is at the top.", "B"),
    (IMAGES, f"{PAINTED}Based on these observations, the third image (B) is most similar to the first one.", "B"),
    (IMAGES, f"{PAINTED}Therefore, the second image shares the same style as the reference, which is Cubism.", "A"),
    (IMAGES, f"{PAINTED}Given this, (B) the third image is the closer one. The second image (A) lacks the tail.", "B"),
    (IMAGES, f"{PAINTED}Considering light, line, colour, and form, the second image (A) shares its style.", "A"),
    (BARE, "(A) shows a cat. (B) shows a dog.\n\nBased on this, option (B) is most likely to be real.", "B"),
    (SIDES, "The camera is moving to the right (clockwise). This is evident because the left side appears.", "B"),
    (SIDES, "The camera moves left. You can tell by the shelf, which shifts to the right.", "A"),
    (BARE, "Picture A has one dot, picture B two.\nThe correct answer is Picture B, as it has two.", "B"),
    (IMAGES, f"{PAINTED}If I had to choose, I would lean towards (A) the second image due to its brushwork.", "A"),
    (
        {"A": "cat", "B": "dog"},
        "The animal nearest to us is the dog, which has a tail. The other animal is a cat.",
        "B",
    ),
    ({"A": "3", "B": "4"}, "Based on the given information, the length of AB is 3.0.", "A"),
    ({"A": "larger than", "B": "smaller than"}, "The derivative at x=2 is smaller than at x=5.", "B"),
    ({"A": "4.5mm", "B": "6mm"}, "The wall is 4.5 mm thick.", "A"),
    ({"A": "W=817Btu", "B": "W=917Btu"}, "Therefore, the work is W=917 Btu.", "B"),
    ({"A": "Frogs", "B": "Deer"}, "The animal that would lack food is the frog.", "A"),
    ({"A": "cat", "B": "dog"}, "I see two dogs.", "B"),
    ({"A": "1940's", "B": "1960's"}, "It dates from the 1940s.", "A"),
    ({"A": "Pot bound", "B": "Healthy"}, "The tree is pot-bound.", "A"),
    ({"A": "Parkinson's disease", "B": "Huntington's disease"}, "It shows signs of Huntington’s disease.", "B"),
    ({"A": "Parkinson’s disease", "B": "Huntington’s disease"}, "It shows signs of Huntington's disease.", "B"),
]
NOT_CLAIMED = [
    (POINTS, f"Compare:{PLACES}It is difficult to determine which of them it is."),
    (IMAGES, "It is not possible to determine which fits. I cannot select either the second or the third image."),
    (IMAGES, f"{PAINTED}Therefore, neither the second nor the third image shares its style."),
    (IMAGES, f"{PAINTED}Based on this, the second image is less similar to the first one."),
    (IMAGES, f"{PAINTED}Based on this, the second image is similar. However, the third image has its colours."),
    (BARE, "There are nine. Therefore, none of the choices (A) 6, (B) 3, (C) 4, or (D) 5 apply here."),
    (BARE, "Based on the analysis, the likely ones are (B), (C), and (D)."),
    (BARE, "I would lean towards (A) or (B) as the most likely."),
    ({"A": "the first", "B": "the second"}, "I would lean towards (A) the first or (B) the second, as both look real."),
    (SIDES, "It could be left. It could be right."),
    ({"A": "3", "B": "4"}, "Based on the given information, the length of AB is 3.5."),
    ({"A": "4.5mm", "B": "6mm"}, "The wall is 4.5 km thick."),
    ({"A": "cat", "B": "cats"}, "I see a catsuit."),
    ({"A": "bus", "B": "car"}, "bu"),
    ({"A": "Point A", "B": "Point B"}, "It is the same point as in the first image."),
    ({"A": "hot dogs", "B": "dog"}, "These are not hot dogs at all."),
    ({"A": "cat", "B": "dog"}, "It isn’t a cat, as it has a tail."),
    (IMAGES, f"{PAINTED}Nobody would say that it is {CUT_BEFORE}"),
]


@pytest.mark.parametrize(("options", "text", "letter"), CLAIMED, ids=lambda each: str(each)[-40:])
def test_the_option_that_a_reply_claims_is_read_though_it_names_others(
    options: Options, text: str, letter: str
) -> None:
    assert read_choice(text, options) == (letter, "")


@pytest.mark.parametrize(("options", "text"), NOT_CLAIMED, ids=lambda each: str(each)[-40:])
def test_a_reply_that_claims_none_is_unread(options: Options, text: str) -> None:
    assert read_choice(text, options)[0] == ""


# --- the question as a statement -----------------------------------------------------------------------------------

RESTATED = [
    ("Is Sky Blue the minimum?", "Based on the image, Sky Blue is not the minimum. The minimum is red.", "No"),
    ("Is Violet Red less than Crimson?", "Based on the image, Violet Red is less than Crimson.", "Yes"),
    ("Does Indigo have the lowest value?", "Based on the image, Indigo does not have the lowest value.", "No"),
    ("Does Aqua have the lowest value?", "Aqua has the lowest value.", "Yes"),
    ("Is the donut more than half eaten?", "The donut is more than half eaten, as it has been bitten into.", "Yes"),
    ("Can the boy reach the highest book?", "The boy can reach the highest book on the shelf.", "Yes"),
    ("Is there a dog in the image?", "There is a dog in the image.", "Yes"),
    ("Is there a dog in the image?", "There is a dog lying there.", ""),
    ("Is there a traffic light in the picture?", "In the picture, there is a traffic light.", "Yes"),
    ("Are there people on the beach?", "There are no people on the beach.", "No"),
    ("Are there fewer jets than trucks?", "There are fewer jets than trucks.", "Yes"),
    ("Is the cat on the box?", "The cat isn't on the box.", "No"),
    ("Is the cat on the box?", "The cat is on the box, and it sleeps.", "Yes"),
    ("Does the dog bark?", "The dog barks.", "Yes"),
    ("Is the sky blue?", f"The sky is blue. {'It is a fine day. ' * 200}", "Yes"),
    ("Is the dog’s tail long?", "The dog's tail is long.", "Yes"),
    ("Is the dog's tail long?", "The dog’s tail isn’t long.", "No"),
    ("Do the dogs bark?", "The dogs don’t bark.", "No"),
    ("Is there a dog in the image?", "There’s no dog in the image.", "No"),
]
NOT_RESTATED = [
    ("Is the cat on the box?", "The cat is in the box."),
    ("Is the cat on the left of the dog?", "The cat on the left of the dog is black."),
    ("Is the cat on the left of the dog?", "The cat is on the right of the dog."),
    ("Is Sky Blue the minimum?", "Light Sky Blue is the minimum."),
    ("Is Black greater than Deep Sky?", "Black is greater than Deep Sky Blue."),
    ("Is Sky Blue the minimum?", "It is not clear whether Sky Blue is the minimum."),
    ("Is Sky Blue the minimum?", "If Sky Blue is the minimum, the line would be low."),
    ("Is Sky Blue the minimum?", "Sky Blue may be the minimum."),
    ("Is the function continuous?", "The function is continuous except at zero."),
    ("Is the function continuous?", "The function is continuous, but not at zero."),
    ("Is the function continuous there?", "The function is continuous there. So the function is not continuous there."),
    ("Is it a cat or a dog?", "It is a cat or a dog."),
    ("Which animal is it?", "The animal is a cat."),
    ("Isn't the sky blue?", "The sky is blue."),
    ("Is there a dog in the image?", "There is a doghouse in the image."),
    ("Are there fewer jets than trucks?", "There are fewer trucks than jets."),
    ("Are most of the stones square?", "The stones are square."),
    ("", "The sky is blue."),
    ("Are there dogs in the image?", "There are hot dogs in the image."),
    ("Are there three dogs in the image?", "Are there three dogs in the image"),
    ("Is the sky blue?", "So, is the sky blue. Let me see."),
    ("Does the dog bark?", "Does the dog bark."),
    ("Is the sky blue?", f"{CUT_BEHIND} only in a few places."),
    ("Is the sky blue?", f"Nothing. {'I look at it ' * 200}the sky is blue."),
    ("Isn’t the sky blue?", "The sky is blue."),
]


@pytest.mark.parametrize(("question", "reply", "said"), RESTATED, ids=lambda each: str(each)[-40:])
def test_the_question_as_a_statement_is_an_answer(question: str, reply: str, said: str) -> None:
    assert read_yesno(reply, question)[0] == said
    assert read_choice(reply, YES_NO, question)[0] == {"Yes": "A", "No": "B", "": ""}[said]
    for kind, options in (("yorn", {}), ("mcq", YES_NO)):
        answer = (said or "Yes") if kind == "yorn" else {"No": "B"}.get(said, "A")
        sample = Sample(index="1", row=0, kind=kind, question=question, answer=answer, options=options)  # type: ignore[arg-type]
        assert score(sample, Prediction(index="1", row=0, prediction=reply)).value == float(bool(said))


@pytest.mark.parametrize(("question", "reply"), NOT_RESTATED, ids=lambda each: str(each)[-40:])
def test_what_is_nearly_the_question_is_no_answer(question: str, reply: str) -> None:
    assert restated(question, reply) == ""


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("Yes, we can use that mapping.", "A"), ("No.", "B"), ("There is no information about it.", ""), ("False.", "B")],
)
def test_true_and_false_are_also_said_by_yes_and_no(reply: str, letter: str) -> None:
    assert read_choice(reply, TRUTH, "The mapping works. True or false?")[0] == letter


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["the sky is blue ", "is not ", "Therefore, the third image (B) is it. ", "so, (A), ", "<b>x", "<p>"]
)
def test_long_replies_are_read_in_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    restated("Is the sky blue today?", text)
    read_choice(text, IMAGES, "Is the sky blue today?")


@pytest.mark.timeout(20)
def test_white_space_in_a_formula_is_read_in_linear_time() -> None:
    assert one_spelling("x" + " " * 200_000 + "z", formula=True) == "x z"
