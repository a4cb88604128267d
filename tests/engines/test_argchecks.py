"""Equal arguments of a processor are checked once, others as often as they come."""

import pytest

from vlmeval_mp.engines import argchecks
from vlmeval_mp.runs.submit import BUNDLED_MODELS


def counted():
    asked = []

    def check(schema, arguments):
        asked.append((schema, dict(arguments)))
        if arguments.get("bad"):
            raise TypeError("bad")

    return argchecks.once(check), asked


def test_what_passed_is_not_checked_again():
    checked, asked = counted()
    for _ in range(3):
        checked("images", {"size": {"height": 56}, "kinds": ["a", None], "scale": 0.5})
    assert len(asked) == 1


@pytest.mark.parametrize(
    "other",
    [{"n": True}, {"n": 1.0}, {"n": "1"}, {"n": [1]}, {"n": (1,)}, {"m": 1}, {"n": 1, "m": 1}, {"n": {"k": 1}}, {}],
)
def test_what_differs_is_checked(other):
    checked, asked = counted()
    checked("images", {"n": 1})
    checked("images", other)
    checked("videos", {"n": 1})
    assert len(asked) == 3


def test_a_refusal_is_repeated():
    checked, asked = counted()
    for _ in range(2):
        with pytest.raises(TypeError, match="bad"):
            checked("images", {"bad": 1})
    assert len(asked) == 2


def test_values_that_their_text_does_not_tell_are_checked_each_time():
    class Silent:
        def __repr__(self):
            return "1"

    checked, asked = counted()
    for value in (1, Silent(), Silent()):
        checked("images", {"n": value})
    assert len(asked) == 3


def test_arguments_that_always_differ_do_not_fill_the_memory():
    checked, asked = counted()
    for number in range(3 * argchecks.MOST):
        checked("images", {"n": number})
    checked("images", {"n": 3 * argchecks.MOST - 1})
    assert len(asked) == 3 * argchecks.MOST


def test_a_processor_refuses_after_it_accepted(monkeypatch):
    pytest.importorskip("torch", reason="transformers' processors need torch")
    from PIL import Image
    from transformers import AutoProcessor, image_processing_utils, processing_utils

    for module in (processing_utils, image_processing_utils):  # put back what `remember` replaces
        monkeypatch.setattr(module, "validate_typed_dict", module.validate_typed_dict)
    argchecks.remember()
    argchecks.remember()
    processor = AutoProcessor.from_pretrained(BUNDLED_MODELS["demo"])
    text, picture = "<|vision_start|><|image_pad|><|vision_end|>", Image.new("RGB", (56, 56))
    for _ in range(2):
        assert "pixel_values" in processor(text=[text], images=[picture], return_tensors="pt")
    with pytest.raises(Exception, match="do_resize"):
        processor(text=[text], images=[picture], return_tensors="pt", do_resize="perhaps")
