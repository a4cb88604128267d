"""The installed ms-vlmeval as `kit` reads it, and its classes imported without the rest of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vlmeval_mp.core.errors import ConfigError, DependencyError
from vlmeval_mp.core.records import ModelSpec
from vlmeval_mp.vlmevalkit import kinds as kitdata
from vlmeval_mp.vlmevalkit import package as kit
from vlmeval_mp.vlmevalkit.classes import find, load, refuse_arguments, resolve, source_digest

pytestmark = pytest.mark.usefixtures("closed_kit")


@pytest.fixture
def root() -> Path:
    folder = kit.folder()
    assert folder is not None, "ms-vlmeval is not installed; scripts/install vlmevalkit"
    return folder


@pytest.fixture(scope="module")
def kinds() -> kitdata.Kinds:
    folder = kit.folder()
    assert folder is not None
    return kitdata.Kinds(folder / "dataset")


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def wrapped(path: str, **args: object) -> ModelSpec:
    return ModelSpec(name="m", path=path, engine="vlmevalkit", engine_args=dict(args))


def test_classes_and_model_names_are_read_without_importing_any(root: Path) -> None:
    code = (
        "import sys; from vlmeval_mp.vlmevalkit import package; root = package.folder()\n"
        "print(package.model_classes(root)['Qwen2VLChat']); print(package.registry(root)['Qwen2.5-VL-7B-Instruct'])\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'torch', 'pandas', 'vlmeval', 'PIL', 'numpy'}))"
    )
    class_, named, loaded = run(code)
    assert class_ == "vlmeval.vlm.qwen2_vl:Qwen2VLChat"
    assert "class_='Qwen2VLChat'" in named
    assert "'max_pixels': 12845056" in named
    assert loaded == "[]"


def test_every_model_name_stands_for_a_class_that_is_found(root: Path) -> None:
    classes, names = kit.model_classes(root), kit.registry(root)
    assert len(names) > 500
    assert {named.class_ for named in names.values()} <= classes.keys()
    for place in classes.values():
        assert find(place.partition(":")[0], [str(root.parent)]) is not None, place


@pytest.mark.parametrize(
    ("name", "type_", "modality"),
    [
        ("MMStar", "MCQ", "IMAGE"),
        ("POPE", "Y/N", "IMAGE"),
        ("OCRBench", "VQA", "IMAGE"),
        ("MMRarebench_Diagnosis", "VQA", "IMAGE"),
        ("CCOCR_Kie_Sroie2019Word", "VQA", "IMAGE"),
        ("ScreenSpot", "GUI", "IMAGE"),
        ("Video-MME", "Video-MCQ", "VIDEO"),
        ("VSI-Bench", "MCQ", "VIDEO"),
        ("mine", "MCQ", "IMAGE"),
        ("mine_openended", "VQA", "IMAGE"),
    ],
)
def test_type_and_modality_of_a_benchmark_are_those_of_vlmevalkit(
    kinds: kitdata.Kinds, name: str, type_: str, modality: str
) -> None:
    assert (kinds.type_of(name), kinds.modality_of(name)) == (type_, modality)


def test_a_custom_name_has_no_type_where_the_caller_wants_none(kinds: kitdata.Kinds) -> None:
    assert kinds.type_of("mine", default=None) is None
    kinds.videos.add("mine_too")
    assert kinds.modality_of("mine_too") == "VIDEO"


def test_a_class_of_vlmevalkit_is_imported_alone_and_its_prompts_know_the_benchmarks() -> None:
    code = (
        "import ssl, sys, os; before = ssl._create_default_https_context, dict(os.environ)\n"
        "from vlmeval_mp.vlmevalkit.classes import load\n"
        "made = load('Qwen2VLChat', '')\n"
        "print(made.__module__, sum(n.startswith('vlmeval.vlm.') for n in sys.modules) < 12)\n"
        "print(any(n.startswith('vlmeval.dataset.') for n in sys.modules))\n"
        "print(before == (ssl._create_default_https_context, dict(os.environ)))\n"
        "model = object.__new__(made); model._use_custom_prompt = True\n"
        "print([model.use_custom_prompt(n) for n in ('MMStar', 'MME', 'POPE', 'MMVet', 'OCRBench', 'my_own')])\n"
        "from vlmeval.dataset import MMMUDataset; print(MMMUDataset.__module__)\n"
    )
    where, benchmarks, untouched, prompts, mmmu = run(code)
    assert where == "vlmeval.vlm.qwen2_vl.model True"
    assert benchmarks == "False"
    assert untouched == "True"
    assert prompts == "[True, False, True, False, True, False]"
    assert mmmu == "vlmeval.dataset.image_mcq"


def test_a_function_of_a_package_s_own_runs_all_of_it_only_when_it_is_called() -> None:
    code = (
        "import sys; from vlmeval_mp.vlmevalkit.classes import load\n"
        "print(load('InternVLChat', '').__name__, any(n.startswith('vlmeval.dataset.') for n in sys.modules))\n"
        "from vlmeval.dataset import infer_dataset_basename as name\n"
        "try: print(name('MMStar_8frame'))\n"
        "except ImportError as error: print(error.name)\n"
        "print(any(n.startswith('vlmeval.dataset.') for n in sys.modules))"
    )
    first, answer, loaded = run(code)
    assert first == "InternVLChat False"
    assert answer in ("MMStar", "cv2", "datasets", "decord", "jieba", "joblib", "nltk", "scipy", "torchvision")
    assert loaded == "True"


def test_a_class_derived_from_vlmevalkit_s_base_is_imported_without_the_rest(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from vlmeval.vlm.base import BaseModel\n"
        "class Mine(BaseModel):\n"
        "    def generate_inner(self, message, dataset=None): return message[0]['value']\n"
    )
    code = (
        "import sys; from vlmeval_mp.vlmevalkit.classes import load\n"
        f"model = load('mine:Mine', {str(tmp_path)!r})()\n"
        "print(model.generate([{'type': 'text', 'value': 'hello'}]), 'torch' in sys.modules)"
    )
    assert run(code) == ["hello False"]


# --- resolving -------------------------------------------------------------------------------------------------


def test_a_model_name_becomes_its_class_and_arguments_and_the_config_s_win() -> None:
    args = resolve(wrapped("Qwen2.5-VL-7B-Instruct", kwargs={"min_pixels": 4}), []).engine_args
    assert args["class"] == "Qwen2VLChat"
    assert args["kwargs"]["min_pixels"] == 4
    assert args["kwargs"]["model_path"] == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_local_weights_are_made_absolute_so_that_they_count_in_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    model = resolve(wrapped("SmolVLM", kwargs={"model_path": "weights"}), [])
    assert model.path == model.engine_args["kwargs"]["model_path"] == str(tmp_path / "weights")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (wrapped("Qwen2VLChatt"), "did you mean 'Qwen2VLChat'"),
        (wrapped("Qwen2.5-VL-7B-Instuct"), "'Qwen2.5-VL-7B-Instruct'"),
        (wrapped("GPT4V", kwargs={"key": "s3cret"}), "model.m.key: a key is read from the environment only"),
        (wrapped("no_such_module:Model"), "'no_such_module' was not found"),
        (wrapped("GPT4V", kwargs=[1]), "must be an object"),
    ],
)
def test_what_cannot_be_resolved_is_refused_with_a_way_on(model: ModelSpec, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(model, [Path("/nowhere")])
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_without_vlmevalkit_its_classes_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "folder", lambda: None)
    with pytest.raises(DependencyError, match="pip install --no-deps ms-vlmeval"):
        resolve(wrapped("Qwen2VLChat"), [])


@pytest.mark.parametrize("config", ["import nowhere_to_be_found", "supported_VLM = {", "supported_vlm = {}"])
def test_a_vlmevalkit_whose_config_was_broken_is_said_with_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """Its users write their own models into that file."""
    for package in ("vlm", "api"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("from .m import Known\n")
    (tmp_path / "config.py").write_text(config)
    monkeypatch.setattr(kit, "folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match=r"models cannot be read off .*Error: .*; mend its config\.py"):
        resolve(wrapped("Mine-7B"), [])
    assert resolve(wrapped("Known"), []).engine_args["class"] == "Known"


def test_a_user_s_module_is_looked_for_on_the_path_then_beside_the_config_then_here(tmp_path: Path) -> None:
    for place in ("config", "here"):
        (tmp_path / place / "pack").mkdir(parents=True)
        (tmp_path / place / "pack" / "deep.py").write_text(f"raise SystemExit('{place} was imported')")
    folders = [tmp_path / "config", tmp_path / "here"]
    assert resolve(wrapped("pack.deep:Model"), folders).engine_args["folder"] == str(folders[0])
    (folders[0] / "pack" / "deep.py").unlink()
    assert resolve(wrapped("pack.deep:Model"), folders).engine_args["folder"] == str(folders[1])
    assert resolve(wrapped("json.decoder:JSONDecoder"), folders).engine_args["folder"] == ""


def test_the_digest_is_that_of_the_module_s_source(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Model: ...")
    args = {"class": "mine:Model", "folder": str(tmp_path)}
    first = source_digest(args)
    assert len(first) == 64
    (tmp_path / "mine.py").write_text("class Model: pass")
    assert source_digest(args) not in ("", first)
    assert len(source_digest({"class": "Qwen2VLChat"})) == 64
    assert source_digest({"class": "gone:Model"}) == ""


def test_a_misspelt_argument_is_not_swallowed_by_a_constructor_that_takes_everything() -> None:
    class Model:
        def __init__(self, model_path: str, min_pixels: int = 0, **kwargs: object) -> None: ...

    refuse_arguments(Model, "m:Model", {"model_path": "/m", "max_pixels": 4, "top_k": 1})
    with pytest.raises(ConfigError, match="no argument 'min_pixel'; did you mean 'min_pixels'"):
        refuse_arguments(Model, "m:Model", {"model_path": "/m", "min_pixel": 4})


def test_a_missing_package_of_a_class_is_named_with_its_install_line(tmp_path: Path) -> None:
    (tmp_path / "needy_models.py").write_text("import flash_attn\nclass Model: ...")
    with pytest.raises(DependencyError, match=r"needs flash_attn.*pip install flash-attn"):
        load("needy_models:Model", str(tmp_path))
