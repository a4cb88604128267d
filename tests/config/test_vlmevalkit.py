"""A VLMEvalKit config means here what it means there, and what has no effect is said."""

import pytest

from vlmeval_mp.config import apis, build, vlmevalkit
from vlmeval_mp.config import data as dataentries
from vlmeval_mp.config.build import Overrides
from vlmeval_mp.config.entries import DATA_KEYS, MODEL_KEYS
from vlmeval_mp.config.models import CLASSES, MODELS
from vlmeval_mp.core.errors import ConfigError


def spec_of(model, data=None, engine="vllm", **top):
    value = {"model": model, "data": data or {"d": {}}, **top}
    ours, warnings = vlmevalkit.translate(value, default_engine=engine)
    return build.build(ours, Overrides(), name="run", default_engine=engine), warnings


def test_an_empty_shortcut_is_the_registry_s_model():
    spec, warnings = spec_of({"Qwen2.5-VL-7B-Instruct": {}})
    model = spec.models[0]
    assert (model.path, model.prompt) == ("Qwen/Qwen2.5-VL-7B-Instruct", "default")
    assert model.engine_args == {"mm_processor_kwargs": {"min_pixels": 1280 * 784, "max_pixels": 16384 * 784}}
    assert model.processor == {"OCRBench": {"min_pixels": 100 * 784}}
    assert (model.sampling.temperature, model.sampling.max_tokens) == (0.0, 2048)
    assert warnings == []


def test_a_shortcut_with_kwargs_overrides_the_registry_s():
    spec, _ = spec_of({"Qwen2-VL-7B-Instruct": {"model_path": "/m", "max_new_tokens": 7}})
    assert (spec.models[0].path, spec.models[0].sampling.max_tokens) == ("/m", 7)
    assert spec.models[0].prompt == "qwen2_vl"


def test_qwen3_draws_with_the_sampling_of_its_class():
    drawn = spec_of({"m": {"class": "Qwen3VLChat", "model_path": "/m"}})[0].models[0].sampling
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.presence_penalty) == (0.01, 0.8, 20, 1.5)
    assert drawn.max_tokens == 32768
    assert spec_of({"Qwen3-VL-8B-Instruct": {}})[0].models[0].sampling.temperature == 0.7


def test_qwen2_is_greedy_and_says_so_when_told_otherwise():
    spec, warnings = spec_of({"m": {"class": "Qwen2VLChat", "model_path": "/m", "temperature": 0.7}})
    assert spec.models[0].sampling.temperature == 0
    assert "temperature have no effect" in warnings[0]


def test_system_prompt_and_post_processing_carry_over():
    kwargs = {"class": "Qwen2VLChat", "model_path": "/m", "system_prompt": "Be brief.", "post_process": True}
    model = spec_of({"m": kwargs})[0].models[0]
    assert (model.system_prompt, model.post_process) == ("Be brief.", "last_boxed")


def test_own_keys_beside_a_class_win():
    kwargs = {"class": "Qwen2VLChat", "model_path": "/m", "min_pixels": 4, "engine_args": {"dtype": "half"}}
    model = spec_of({"m": kwargs | {"sampling": {"temperature": 0.5}, "prompt": "default"}})[0].models[0]
    assert model.engine_args == {"mm_processor_kwargs": {"min_pixels": 4}, "dtype": "half"}
    assert (model.sampling.temperature, model.sampling.max_tokens, model.prompt) == (0.5, 2048, "default")


def test_the_fake_engine_is_given_no_pixels():
    value = {"model": {"Qwen2-VL-2B-Instruct": {}}, "engine": "fake"}
    ours, warnings = vlmevalkit.translate(value, default_engine="vllm")
    assert "engine_args" not in ours["model"]["Qwen2-VL-2B-Instruct"]
    assert warnings == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"class": "Qwen2VLChatt"}, "'Qwen2VLChatt' is not known here; did you mean 'Qwen2VLChat'?"),
        ({"class": "Emu3_chat"}, '"engine": "vlmevalkit" any class'),
        ({"class": "Qwen2VLChat", "model_path": "/m", "max_new_token": 1}, "did you mean 'max_new_tokens'?"),
        ({"class": "Qwen2VLChat"}, "model.m.model_path: is missing"),
    ],
)
def test_a_mistake_in_a_model_names_the_nearest_valid_one(entry, message):
    with pytest.raises(ConfigError) as caught:
        spec_of({"m": entry})
    assert message in str(caught.value)


def test_a_mistake_in_a_data_entry_names_the_nearest_valid_kwarg():
    entry = {"class": "VideoMME", "dataset": "Video-MME", "use_subtitles": True}
    with pytest.raises(ConfigError, match=r"data\.d: there is no kwarg 'use_subtitles'; did you mean 'use_subtitle'\?"):
        vlmevalkit.translate({"model": {}, "data": {"d": entry}}, default_engine="vllm")


def test_kwargs_without_effect_are_warned_about_with_the_reason():
    kwargs = {"class": "Qwen2VLChat", "model_path": "/m", "gpu_utils": 0.8, "use_vllm": True, "verbose": False}
    video = {"class": "VideoMME", "dataset": "Video-MME", "nframe": 8, "pack": True}
    warnings = spec_of({"m": kwargs}, {"v": video})[1]
    assert [w.split(":")[0] for w in warnings] == ["model.m.gpu_utils", "model.m.use_vllm", "data.v.pack"]
    assert "gpu_memory_utilization" in warnings[0]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Video-MME_8frame", {}, ("Video-MME", 8, 0.0)),
        ("Video-MME_0.5fps", {}, ("Video-MME", 0, 0.5)),
        ("mine", {"class": "MVBench", "dataset": "MVBench_MP4", "nframe": 0, "fps": 1.0}, ("MVBench_MP4", 0, 1.0)),
        ("mine", {"class": "VideoMME", "dataset": "Video-MME", "nframe": 16, "fps": -1}, ("Video-MME", 16, 0.0)),
        ("MMStar", {"class": "ImageMCQDataset", "dataset": "MMStar"}, ("MMStar", 0, 0.0)),
    ],
)
def test_data_entries_name_a_file_and_its_frames(name, value, expected):
    data = spec_of({"m": {}}, {name: value})[0].datasets[0]
    assert (data.path, data.nframe, data.fps) == expected


def test_a_generic_data_class_tells_the_kind():
    assert spec_of({"m": {}}, {"x": {"class": "ImageYORNDataset", "dataset": "x"}})[0].datasets[0].type == "yorn"


def test_subtitles_are_shown_where_the_shortcut_or_kwarg_says_so():
    for name, value in (
        ("Video-MME_8frame_subs", {}),
        ("LongVideoBench_8frame_subs", {}),
        ("mine", {"class": "LongVideoBench", "dataset": "LongVideoBench", "nframe": 8, "use_subtitle": True}),
    ):
        spec, warnings = spec_of({"m": {}}, {name: value})
        assert (spec.datasets[0].use_subtitle, warnings) == (True, [])
    assert not spec_of({"m": {}}, {"Video-MME_8frame": {}})[0].datasets[0].use_subtitle


def test_subtitles_that_are_not_shown_are_said():
    spec, warnings = spec_of({"m": {}}, {"WorldSense_8frame_subs": {}})
    assert "use_subtitle: has no effect here; subtitles of Video-MME and LongVideoBench only" in warnings[0]
    assert not spec.datasets[0].use_subtitle


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("MLVU_8frame", {}, {"MLVU_MCQ_8frame": "MLVU_MCQ", "MLVU_OpenEnded_8frame": "MLVU_OpenEnded"}),
        (
            "mine",
            {"class": "MLVU", "dataset": "MLVU", "nframe": 8, "fps": -1},
            {"mine_MLVU_MCQ": "MLVU_MCQ", "mine_MLVU_OpenEnded": "MLVU_OpenEnded"},
        ),
    ],
)
def test_a_name_that_joins_files_becomes_an_entry_for_each(name, value, parts):
    spec, warnings = spec_of({"m": {}}, {name: value})
    assert {data.name: data.path for data in spec.datasets} == parts
    assert {data.nframe for data in spec.datasets} == {8}
    assert "each with results of its own" in warnings[0]


def test_a_joined_name_on_the_command_line_does_so_too():
    said = ["TempCompass", "MVBench_8frame"]
    ours, _ = vlmevalkit.translate({}, default_engine="vllm", data=said)
    spec = build.build(ours, Overrides(models=("m",), data=tuple(said)), name="run", default_engine="vllm")
    names = ["TempCompass_MCQ", "TempCompass_Captioning", "TempCompass_YorN", "MVBench_8frame"]
    assert [data.name for data in spec.datasets] == names
    assert spec.datasets[3].nframe == 8


def test_frames_are_images_to_a_class_that_takes_no_video():
    classes = {name: spec_of({"m": {"class": name, "model_path": "/m"}})[0].models[0] for name in CLASSES}
    native = {name for name, model in classes.items() if model.video == "native"}
    assert native == {"Qwen2VLChat", "Qwen3VLChat", "LLaVA_OneVision", "LLaVA_OneVision_HF"}
    assert {name for name, model in classes.items() if model.roles} == {"SmolVLM2"}


def test_native_configs_stay_as_they_are():
    value = {"model": {"demo": {"sampling": {"max_tokens": 32}}}, "data": {"DigitsMCQ": {"limit": 3}}}
    assert vlmevalkit.translate(value, default_engine="vllm") == (value, [])


def test_names_on_the_command_line_are_shortcuts_too():
    ours, _ = vlmevalkit.translate({}, default_engine="vllm", models=["InternVL3-8B"], data=["MVBench_8frame"])
    assert ours["model"]["InternVL3-8B"]["path"] == "OpenGVLab/InternVL3-8B"
    assert ours["data"]["MVBench_8frame"] == {"dataset": "MVBench", "nframe": 8}


def test_every_shortcut_translates():
    for name in MODELS:
        model = spec_of({name: {}})[0].models[0]
        assert "/" in model.path
    assert {entry["class"] for entry in MODELS.values()} <= CLASSES.keys()


@pytest.mark.parametrize(("name", "warned"), [("Qwen2-VL-2B-Instrct", 1), ("mine", 0), ("Qwen/Qwen2-VL-2B-Instrct", 0)])
def test_a_misspelt_shortcut_after_model_is_warned_about(name, warned):
    _, warnings = vlmevalkit.translate({}, default_engine="vllm", models=[name], local={"vllm"})
    assert len(warnings) == warned
    assert all("did you mean 'Qwen2-VL-2B-Instruct'?" in line for line in warnings)
    assert vlmevalkit.translate({}, default_engine="vllm", engine="fake", models=[name], local={"vllm"})[1] == []


ODD = ("x", 5, -1, 2.5, True, None, [], ["a"], {}, {"a": 1}, [{}])
ENTRIES = (
    {"class": "GPT4V", "model": "m"},
    {"class": "LMDeployAPI", "model": "m", "api_base": "http://h/v1"},
    {"class": "Qwen2VLChat", "model_path": "/m"},
    {"class": "C", "engine": "vlmevalkit"},
    {"path": "/m"},
)
MODEL_WORDS = {*MODEL_KEYS, *apis._USED, *apis.IGNORED, *vlmevalkit._MODEL_KWARGS, "class"}
DATA = ({"path": "d.tsv"}, {"class": "VideoMME", "dataset": "Video-MME", "nframe": 8})
DATA_WORDS = {*DATA_KEYS, *dataentries.IGNORED_DATA_KWARGS, "class"}


def told(model, data):
    """What a user is told of a config; anything but our own errors fails the test."""
    try:
        spec_of(model, data)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_value_of_another_type_in_a_model_is_a_message_never_a_traceback(entry):
    said = [told({"m": {**entry, word: odd}}, {"d": DATA[0]}) for word in sorted(MODEL_WORDS) for odd in ODD]
    assert sum(map(bool, said)) > len(MODEL_WORDS)


@pytest.mark.parametrize("entry", DATA)
def test_a_value_of_another_type_in_a_data_entry_is_a_message_never_a_traceback(entry):
    said = [told({"m": {"path": "/m"}}, {"d": {**entry, word: odd}}) for word in sorted(DATA_WORDS) for odd in ODD]
    assert sum(map(bool, said)) > len(DATA_WORDS)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"class": ["GPT4V"], "model": "m"}, "model.m.class: must be text, not ['GPT4V']"),
        ({"class": "Qwen2VLChat", "model_path": ["/m"]}, "model.m.model_path: must be text, not ['/m']"),
        ({"class": "GPT4V", "model": "m", "img_size": "512"}, "model.m.img_size: must be a whole number of pixels"),
    ],
)
def test_what_is_wrong_with_the_type_is_named(entry, message):
    assert message in told({"m": entry}, {"d": DATA[0]})
