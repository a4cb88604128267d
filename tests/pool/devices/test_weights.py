"""What a model's folder says of its size."""

import json
from pathlib import Path

import pytest

from vlmeval_mp.pool.devices import weights
from vlmeval_mp.pool.devices.weights import Weights

DEMO = Path(weights.__file__).parents[2] / "demo" / "model"
QWEN2_VL_2B = {
    "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
    "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4},
}  # fmt: skip


def safetensors(path, **tensors):
    header = json.dumps({name: {"dtype": d, "shape": s, "data_offsets": [0, 0]} for name, (d, s) in tensors.items()})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())


def weigh(folder, cache="/nowhere"):
    return weights.weigh(str(folder), Path(cache))


def test_the_bundled_model_weighs_what_its_readme_says():
    found = weigh(DEMO)
    assert found.dtype == "BF16"
    assert found.nbytes == found.floats == 2 * found.parameters
    assert 1.3e6 < found.parameters < 1.7e6
    config = json.loads((DEMO / "config.json").read_text())
    text = config.get("text_config", config)
    width = text["hidden_size"] // text["num_attention_heads"]
    assert found.kv_token == 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * width * 2


def test_every_file_and_type_counts_by_its_header_alone(tmp_path):
    safetensors(tmp_path / "a.safetensors", w=("BF16", [10, 20]), n=("F32", [5]))
    safetensors(tmp_path / "b.safetensors", q=("I32", [100, 10]))
    assert weigh(tmp_path) == Weights(parameters=1205, nbytes=4420, floats=420, dtype="I32")


def test_pytorchs_own_files_count_as_16_bits(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(600))
    (tmp_path / "training_args.bin").write_bytes(bytes(1000))
    assert weigh(tmp_path) == Weights(300, 600, 600)


def test_a_config_alone_gives_an_estimate_that_says_so(tmp_path):
    """Qwen2-VL-2B has 2.21 B parameters by its model card."""
    (tmp_path / "config.json").write_text(json.dumps(QWEN2_VL_2B))
    found = weigh(tmp_path)
    assert found.estimated
    assert found.parameters == pytest.approx(2.21e9, rel=0.05)
    assert (found.nbytes, found.dtype, found.kv_token) == (2 * found.parameters, "BF16", 28672)


@pytest.mark.parametrize(
    "odd", [{"intermediate_size": [8960] * 28}, {"num_key_value_heads": [2] * 28}, {"vision_config": "siglip"}]
)
def test_a_config_of_another_shape_tells_nothing_and_stops_nothing(tmp_path, odd):
    """Gemma 3n gives a width per layer, OpenELM a number of heads per layer."""
    (tmp_path / "config.json").write_text(json.dumps(QWEN2_VL_2B | odd))
    assert weigh(tmp_path) is None
    safetensors(tmp_path / "a.safetensors", w=("BF16", [10, 20]))
    found = weigh(tmp_path)
    assert (found.parameters, found.estimated) == (200, False)


def test_a_header_of_another_shape_tells_nothing(tmp_path):
    header = b'{"w": {"dtype": "BF16"}}'
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert weigh(tmp_path) is None


def test_a_nested_text_config_and_experts_count(tmp_path):
    inner = {**QWEN2_VL_2B, "num_experts": 8, "moe_intermediate_size": 1000}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": inner, "vision_config": None}))
    experts = 28 * 3 * 1536 * 8 * 1000
    dense = weights.estimate({**QWEN2_VL_2B, "vision_config": None}) - 28 * 3 * 1536 * 8960
    assert weigh(tmp_path).parameters == dense + experts


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, (5).to_bytes(8, "little") + b"nojson", b"\x01"])
def test_a_damaged_file_is_no_size_and_no_crash(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert weigh(tmp_path) is None


def test_an_empty_folder_and_an_unknown_name_say_nothing(tmp_path):
    assert weigh(tmp_path) is None
    assert weigh("Qwen/Qwen2-VL-2B-Instruct") is None


def test_a_hub_id_is_found_in_the_local_cache_at_its_main_revision(tmp_path):
    repo = tmp_path / "models--a--b"
    for revision, count in (("123", 50), ("456", 70)):
        snapshot = repo / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        safetensors(snapshot / "model.safetensors", w=("F16", [count]))
    assert weigh("a/b", tmp_path) is None
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("123")
    assert weigh("a/b", tmp_path).parameters == 50
    assert weigh("a/no such name", tmp_path) is None
