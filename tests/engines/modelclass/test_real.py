"""Real model classes of the installed ms-vlmeval through the engine, as far as they run without a GPU.

Its classes with weights ask for CUDA by name, with two exceptions; of those, DeepSeekOCR needs no library of its
authors'. Its API classes run anywhere.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.engines.contract import MODEL, ask, picture
from tests.engines.modelclass.test_engine import sourced
from vlmeval_mp.core.errors import RequestError
from vlmeval_mp.core.records import ImagePart, Media, Sample, TextPart
from vlmeval_mp.engines.base import EngineSpec
from vlmeval_mp.engines.modelclass.engine import VlmevalkitEngine
from vlmeval_mp.engines.modelclass.prompt import image_paths, row
from vlmeval_mp.requests import modelprompts
from vlmeval_mp.vlmevalkit.classes import load

pytestmark = pytest.mark.usefixtures("closed_kit")


class Endpoint(BaseHTTPRequestHandler):
    bodies: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        content = self.bodies[-1]["messages"][0]["content"]
        asked = content if isinstance(content, str) else content[-1]["text"]
        status = 500 if "poison" in asked else 200
        answer = json.dumps({"choices": [{"message": {"content": f"you said {asked}"}}]}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer) if status == 200 else 0))
        self.end_headers()
        if status == 200:
            self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    Endpoint.bodies = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_gpt4v_asks_its_endpoint_and_its_failure_is_an_error_and_its_key_in_no_log(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")
    caplog.set_level(logging.INFO)
    kwargs = {"model": "m", "api_base": endpoint, "retry": 1, "wait": 0}
    engine = VlmevalkitEngine(EngineSpec(model="GPT4V", args={"kwargs": kwargs}, window=4))
    await engine.start()
    assert (await engine.generate(ask("1", "What?", (picture(3),)))).text == "you said What?"
    image, _ = Endpoint.bodies[0]["messages"][0]["content"]
    sent = Image.open(io.BytesIO(base64.b64decode(image["image_url"]["url"].partition(",")[2])))
    assert sent.size == (100, 100)  # VLMEvalKit enlarges what an API is sent to 100 pixels a side
    with pytest.raises(RequestError, match="Failed to obtain answer"):
        await engine.generate(ask("2", "poison"))
    await engine.close()
    assert "asked in up to 4 threads" in caplog.text
    assert "s3cret" not in caplog.text


TINY = """
import torch
from PIL import Image
from transformers import PretrainedConfig, PreTrainedModel

class TinyConfig(PretrainedConfig):
    model_type = "tiny_reader"

class TinyReader(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(3, 1)
        self.post_init()

    def infer(self, tokenizer, prompt="", image_file="", **kwargs):
        image = Image.open(image_file).convert("RGB").resize((1, 1))
        value = self.layer(torch.tensor([image.getpixel((0, 0))], dtype=torch.float32))
        return f"{prompt} {value.item():.4f} grad={value.requires_grad} {type(tokenizer).__name__}"
"""


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """Weights with code of their own, as DeepSeek-OCR's: one random layer and the bundled model's tokenizer."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = tmp_path / "tiny-reader"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(MODEL) / name, folder / name)
    places = {"AutoConfig": "reader.TinyConfig", "AutoModel": "reader.TinyReader"}
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny_reader", "auto_map": places}))
    (folder / "reader.py").write_text(TINY)
    weights = {"layer.weight": torch.ones(1, 3), "layer.bias": torch.zeros(1)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


async def test_deepseekocr_loads_weights_on_the_cpu_and_reads_a_picture(
    reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    kwargs = {"model_path": str(reader), "prompt_template": "read {text}"}
    engine = VlmevalkitEngine(EngineSpec(model="DeepSeekOCR", args={"kwargs": kwargs}))
    await engine.start()
    Image.new("RGB", (8, 8), (1, 2, 4)).save(tmp_path / "p.png")
    said = await engine.generate(sourced("this", tmp_path, media=(Media(kind="image", file="p.png"),)))
    assert said.text.startswith("read this 7.0000 grad=False")
    with pytest.raises(RequestError, match="requires at least one image"):
        await engine.generate(ask("2", "no picture"))
    await engine.close()


# --- prompts ---------------------------------------------------------------------------------------------------

SAMPLES = [
    Sample(index="1", row=0, kind="mcq", question="Which?", options={"A": "one", "B": "two"}, hint="Look."),
    Sample(index="2", row=1, kind="mcq", question="哪一个?", options={"A": "一", "B": "二"}),
    Sample(index="x_3", row=2, kind="yorn", question="Is it red?"),
    Sample(index="4", row=3, kind="vqa", question="How many?", answer="3"),
]


@pytest.mark.parametrize("class_", ["Qwen2VLChat", "Qwen3VLChat"])
@pytest.mark.parametrize("dataset", ["MMStar", "POPE", "HallusionBench", "MME", "OCRBench", "MMVet", "MMMU_DEV_VAL"])
def test_a_row_of_ours_gives_the_prompts_that_our_own_builders_give(class_: str, dataset: str) -> None:
    """The class itself builds out of our row what `builders` says it would: the row has all that it looks at."""
    kinds = {"MMStar": "mcq", "POPE": "yorn", "HallusionBench": "yorn", "MME": "yorn", "MMMU_DEV_VAL": "mcq"}
    name = {"Qwen2VLChat": "qwen2_vl", "Qwen3VLChat": "qwen3_vl"}[class_]
    model: Any = object.__new__(load(class_, ""))
    model._use_custom_prompt = True
    model.set_dump_image(image_paths)
    media = (Media(kind="image", file="/data/p.png"),)
    compared = 0
    for sample in SAMPLES:
        if sample.kind != kinds.get(dataset, "vqa"):
            continue
        whole = Sample(**{field: getattr(sample, field) for field in sample.__struct_fields__} | {"media": media})
        ours = modelprompts.family(name).build(whole, dataset)
        assert model.use_custom_prompt(dataset) == (ours is not None)
        if ours is None:
            continue
        theirs = model.build_prompt(row(whole, ("/data/p.png",)), dataset=dataset)
        assert [(p["type"], p["value"]) for p in theirs] == [
            ("text", p.text) if isinstance(p, TextPart) else ("image", p.media.file)
            for p in ours
            if isinstance(p, TextPart | ImagePart)
        ]
        compared += 1
    assert compared or not model.use_custom_prompt(dataset)


def test_the_row_knows_which_index_is_a_number() -> None:
    assert [row(sample, ())["index"] for sample in SAMPLES] == [1, 2, "x_3", 4]
