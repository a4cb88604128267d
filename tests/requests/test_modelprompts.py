"""The prompts of VLMEvalKit's model classes, word for word, and where they leave the prompt to the data set."""

import pytest

from vlmeval_mp.core.records import ImagePart, Media, Sample, TextPart
from vlmeval_mp.requests import prompts

IMAGE = Media(kind="image", file="a.png")
VIDEO = Media(kind="video", file="a.mp4")
OPTIONS = {"A": "cat", "B": "dog"}


def text(model, kind, dataset="X", question="What?", media=(IMAGE,), template="default", hint=""):
    sample = Sample(
        index="1", row=0, kind=kind, question=question, options=OPTIONS if kind == "mcq" else {}, media=media, hint=hint
    )
    (message,) = prompts.build(sample, template, model=model, dataset=dataset)
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


LETTER = "Answer with the option's letter from the given choices directly."
LIST = "Question: What?\nOptions:\nA. cat\nB. dog\n"


@pytest.mark.parametrize(
    ("model", "kind", "dataset", "expected"),
    [
        ("qwen2_vl", "mcq", "MMStar", LIST + "Please select the correct answer from the options above."),
        ("qwen2_vl", "yorn", "POPE", "What? Please answer yes or no."),
        ("qwen2_vl", "yorn", "MME", "What?"),
        ("qwen2_vl", "vqa", "X", "What?\nPlease try to answer the question with short words or phrases if possible."),
        ("qwen2_vl", "vqa", "MMVet", "What?\nAnswer the question using a single word or phrase."),
        ("qwen3_vl", "mcq", "MMStar", LIST + "Answer with the option letter only."),
        ("qwen3_vl", "yorn", "MME", "What? Please answer yes or no."),
        ("qwen3_vl", "vqa", "X", "What?\nPlease answer concisely with short words or phrases when possible."),
        (
            "internvl",
            "mcq",
            "X",
            f"What?\nA. cat\nB. dog\n{LETTER}",
        ),
        ("internvl", "yorn", "MME", "What? Answer the question using a single word or phrase."),
        ("internvl", "yorn", "POPE", "What?"),
        ("internvl", "vqa", "MathVista_MINI", "What?"),
        ("internvl", "vqa", "DocVQA_VAL", "What?\nAnswer the question using a single word or phrase."),
    ],
)
def test_a_builder_words_each_kind_as_its_class_does(model, kind, dataset, expected):
    assert text(model, kind, dataset) == expected


def test_a_chinese_choice_question_is_asked_in_chinese():
    assert text("qwen2_vl", "mcq", question="什么?").endswith("B. dog\n请直接回答选项字母。")
    assert text("internvl", "mcq", question="什么?").endswith("\n请直接回答选项字母。")


def test_a_hint_comes_first():
    assert text("qwen3_vl", "mcq", hint="look").startswith("Hint: look\nQuestion: What?")
    assert text("internvl", "mcq", hint="look").startswith("look\nWhat?")


@pytest.mark.parametrize("model", ["qwen2_vl", "qwen3_vl", "internvl"])
def test_videos_and_texts_are_left_to_the_data_set(model):
    for media in ((VIDEO,), ()):
        assert text(model, "mcq", media=media) == text("default", "mcq", media=media)


def test_a_models_own_prompt_goes_before_the_data_sets_template():
    with_marker = text("qwen2_vl", "vqa", "MMMU_DEV_VAL", question="See <image 1>", template="mmmu")
    assert with_marker == "Question: See <image 1>"
    assert text("default", "vqa", "MMMU_DEV_VAL", question="See <image 1>", template="mmmu").startswith("See \nAnswer")


def test_internvl_numbers_several_images():
    sample = Sample(index="1", row=0, kind="vqa", question="What?", media=(IMAGE, IMAGE))
    (message,) = prompts.build(sample, model="internvl")
    assert [p.text if isinstance(p, TextPart) else "<image>" for p in message.parts][:6] == [
        "Image-1: ", "<image>", "\n", "Image-2: ", "<image>", "\n",
    ]  # fmt: skip
    assert isinstance(message.parts[1], ImagePart)


def test_a_system_prompt_is_a_message_of_its_own():
    system, user = prompts.build(Sample(index="1", row=0, kind="vqa", question="What?"), system="Be brief.")
    assert (system.role, system.parts, user.role) == ("system", (TextPart(text="Be brief."),), "user")
