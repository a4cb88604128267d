"""The wordings are VLMEvalKit 0.0.20's, letter for letter; the expected texts were taken from its source."""

from __future__ import annotations

import pytest

from vlmeval_mp.core.errors import ConfigError
from vlmeval_mp.core.records import ImagePart, Kind, Media, Sample, TextPart, VideoPart
from vlmeval_mp.requests import prompts

IMAGE = Media(kind="image", file="a.png")
OTHER = Media(kind="image", file="b.png")
VIDEO = Media(kind="video", file="a.mp4")
CHOICE = "Question: What?\nOptions:\nA. cat\nB. dog\nPlease select the correct answer from the options above. \n"


def ask(kind: Kind, *media: Media, template: str = "default", **fields: object) -> tuple[object, ...]:
    values = {"question": "What?", "options": {"A": "cat", "B": "dog"} if kind == "mcq" else {}} | fields
    (message,) = prompts.build(Sample(index="1", row=0, kind=kind, media=media, **values), template)
    assert message.role == "user"
    return message.parts


def test_an_image_choice_question_is_worded_as_image_mcq_dataset_words_it() -> None:
    assert ask("mcq", IMAGE) == (ImagePart(media=IMAGE), TextPart(text=CHOICE))


def test_a_hint_opens_a_choice_question() -> None:
    assert ask("mcq", IMAGE, hint="look left")[-1] == TextPart(text="Hint: look left\n" + CHOICE)


def test_a_choice_question_without_options_asks_for_none() -> None:
    assert ask("mcq", IMAGE, options={})[-1] == TextPart(text="Question: What?\n")


def test_as_many_options_are_listed_as_there_are() -> None:
    options = {chr(65 + i): f"option {i}" for i in range(26)}
    text = ask("mcq", IMAGE, options=options)[-1].text
    assert "Options:\nA. option 0\nB. option 1\n" in text
    assert "Z. option 25\nPlease select" in text


def test_a_yes_no_question_about_an_image_is_the_bare_question() -> None:
    assert ask("yorn", IMAGE) == (ImagePart(media=IMAGE), TextPart(text="What?"))


def test_an_open_question_about_an_image_asks_for_a_word_or_phrase() -> None:
    assert ask("vqa", IMAGE)[-1] == TextPart(text="What?\nAnswer the question using a single word or phrase.")


def test_several_images_come_first_in_their_order() -> None:
    assert ask("vqa", IMAGE, OTHER)[:2] == (ImagePart(media=IMAGE), ImagePart(media=OTHER))


@pytest.mark.parametrize(("kind", "text"), [("mcq", CHOICE), ("yorn", "What?"), ("vqa", "What?")])
def test_text_only_samples_are_one_text_part(kind: Kind, text: str) -> None:
    assert ask(kind) == (TextPart(text=text),)


def test_a_video_choice_question_is_worded_as_video_mme_words_it() -> None:
    options = dict(zip("ABCD", ("1", "2", "3", "4"), strict=True))
    assert ask("mcq", VIDEO, options=options) == (
        VideoPart(media=VIDEO),
        TextPart(
            text="\nThese are the frames of a video. Select the best answer to the following multiple-choice question "
            "based on the video. Respond with only the letter (A, B, C, or D) of the correct option.\n"
            "Question: What?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: "
        ),
    )


@pytest.mark.parametrize(("count", "letters"), [(2, "A or B"), (3, "A, B, or C"), (5, "A, B, C, D, or E")])
def test_a_video_choice_question_names_the_letters_there_are(count: int, letters: str) -> None:
    options = {chr(65 + i): str(i) for i in range(count)}
    assert f"only the letter ({letters}) of" in ask("mcq", VIDEO, options=options)[-1].text


def test_a_yes_no_question_about_a_video_is_worded_as_temp_compass_words_it() -> None:
    assert ask("yorn", VIDEO) == (VideoPart(media=VIDEO), TextPart(text="What?\nPlease answer yes or no:"))


def test_an_open_question_about_a_video_asks_for_a_word_or_phrase() -> None:
    assert ask("vqa", VIDEO)[-1] == TextPart(text="What?\nAnswer the question using a single word or phrase.")


def test_amber_adds_its_own_request() -> None:
    assert ask("yorn", IMAGE, template="amber")[-1] == TextPart(text="What?\nPlease answer yes or no.")


def test_mmmu_puts_images_where_the_text_names_them() -> None:
    parts = ask("vqa", IMAGE, OTHER, template="mmmu", question="See <image 2> and <image 1>.")
    assert parts == (
        TextPart(text="See "),
        ImagePart(media=OTHER),
        TextPart(text=" and "),
        ImagePart(media=IMAGE),
        TextPart(text=".\nAnswer the question using a single word or phrase."),
    )


def test_mmmu_without_markers_is_the_default() -> None:
    assert ask("mcq", IMAGE, template="mmmu") == ask("mcq", IMAGE)


def test_mmmu_leaves_a_marker_of_no_image_as_text() -> None:
    texts = [part.text for part in ask("yorn", IMAGE, template="mmmu", question="<image 7>?")]
    assert "".join(texts) == "<image 7>?"


def test_an_unknown_template_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"'defualt'; did you mean 'default'\?"):
        ask("mcq", IMAGE, template="defualt")


def test_internvl_numbers_the_frames_of_a_video_and_puts_all_texts_behind_them() -> None:
    sample = Sample(index="1", row=0, kind="yorn", question="What?", media=(VIDEO,))
    (message,) = prompts.build(sample, model="internvl", dataset="VIDEO_mini")
    video, text = message.parts
    assert video == VideoPart(media=VIDEO, label="Frame-{}: ")
    assert text == TextPart(text="What?\nPlease answer yes or no:")


def test_the_data_set_s_template_counts_before_the_model_s() -> None:
    sample = Sample(index="1", row=0, kind="vqa", question="What?", media=(IMAGE,))
    setting = prompts.Setting()
    assert prompts.choose("amber", "bare")(sample, setting) == prompts.choose("amber")(sample, setting)
    assert prompts.choose("default", "bare")(sample, setting) == prompts.choose("bare")(sample, setting)


def test_a_family_s_habit_about_videos_goes_around_every_template() -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="What?", options={"A": "cat"}, media=(VIDEO,))
    for template in ("default", "video-mme", "mvbench"):
        (message,) = prompts.choose(template, "internvl")(sample, prompts.Setting("Video-MME"))
        video, text = message.parts
        assert isinstance(video, VideoPart) and video.label == "Frame-{}: "
        assert isinstance(text, TextPart) and text.text.endswith("from the given choices directly.")


@pytest.mark.parametrize("template", ["default", "mvbench"])
def test_in_one_turn_the_system_text_stands_at_the_head_of_the_user_s(template: str) -> None:
    sample = Sample(index="1", row=0, kind="mcq", question="What?", options={"A": "cat"}, media=(VIDEO,))
    (message,) = prompts.build(sample, template, system="Be careful.", roles=prompts.ONE_TURN)
    with_turn = prompts.build(sample, template, system="Be careful.", roles="user")
    assert message.role == "user"
    assert message.parts == (TextPart(text="Be careful.\n\n"), *with_turn[-1].parts)
    assert prompts.build(sample, template, roles=prompts.ONE_TURN) == prompts.build(sample, template, roles="user")
