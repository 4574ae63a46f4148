"""From PEFT's form of an adapter to the one that is served: names, order of rows, what is refused, what is whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded import EmbeddedServer, Weights
from herogen_async.generation.endpoint.embedded.adapter_file import origin_of, require_adapter
from herogen_async.generation.endpoint.embedded.gguf_header import GgufHeader, read_header
from herogen_async.tune.finetune.local.adapter import convert_adapter

pytestmark = pytest.mark.train

gguf = pytest.importorskip("gguf", reason="needs the [local] extra")
np = pytest.importorskip("numpy")
pytest.importorskip("safetensors", reason="needs the [train] extra")

HIDDEN, FORWARD, HEADS, KV_HEADS, RANK = 24, 40, 3, 1, 2
OUTPUTS = {
    "self_attn.q_proj": ("attn_q", HIDDEN, HIDDEN),
    "self_attn.k_proj": ("attn_k", HIDDEN, 8),
    "self_attn.v_proj": ("attn_v", HIDDEN, 8),
    "self_attn.o_proj": ("attn_output", HIDDEN, HIDDEN),
    "mlp.gate_proj": ("ffn_gate", HIDDEN, FORWARD),
    "mlp.up_proj": ("ffn_up", HIDDEN, FORWARD),
    "mlp.down_proj": ("ffn_down", FORWARD, HIDDEN),
}
WEIGHTS = Weights(Path("base.gguf"), "base", "a" * 64)


def base(architecture: str = "llama") -> GgufHeader:
    """A model of one layer."""
    tensors = {f"blk.0.{name}.weight": (inputs, outputs) for name, inputs, outputs in OUTPUTS.values()}
    told = {"attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "block_count": 1}
    metadata = {f"{architecture}.{name}": value for name, value in told.items()}
    return GgufHeader({"general.architecture": architecture, **metadata}, tensors)


def peft_folder(folder: Path, *, hidden: int = HIDDEN, extra: str | None = None) -> dict[str, Any]:
    """An adapter as PEFT writes it; returns its tensors."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(5)
    tensors = {}
    for name, (_, inputs, outputs) in OUTPUTS.items():
        place = f"base_model.model.model.layers.0.{name}"
        tensors[f"{place}.lora_A.weight"] = random.normal(size=(RANK, hidden if inputs == HIDDEN else inputs))
        tensors[f"{place}.lora_B.weight"] = random.normal(size=(outputs, RANK))
    if extra:
        tensors[extra] = np.zeros((2, 2))
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 32}))
    return tensors


def converted(tmp_path: Path, architecture: str = "llama", **how: Any) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """(the GGUF file, what it holds, what PEFT's file held)."""
    original = peft_folder(tmp_path / "peft", **how)
    target = tmp_path / "adapter.gguf"
    convert_adapter(
        tmp_path / "peft", base(architecture), target, weights_sha256=WEIGHTS.sha256, weights_name=WEIGHTS.name
    )
    return target, {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(target).tensors}, original


def rotated_in_pairs(rows: Any, heads: int) -> Any:
    """Row by row: the j-th number of a head's first half, then the j-th of its second."""
    size = len(rows) // heads
    order = [head * size + part * size // 2 + j for head in range(heads) for j in range(size // 2) for part in (0, 1)]
    return np.stack([rows[place] for place in order])


def test_tensors_are_named_and_ordered_as_llama_cpp_wants(
    tmp_path: Path,
) -> None:
    """The rows of query and key stand as it rotates them."""
    _, tensors, original = converted(tmp_path)

    expected = {}
    for name, (ours, _, _) in OUTPUTS.items():
        place = f"base_model.model.model.layers.0.{name}.lora_"
        expected[f"blk.0.{ours}.weight.lora_a"] = original[f"{place}A.weight"]
        expected[f"blk.0.{ours}.weight.lora_b"] = original[f"{place}B.weight"]
    for name, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
        place = f"blk.0.{name}.weight.lora_b"
        expected[place] = rotated_in_pairs(expected[place], heads)
    assert set(expected) == set(tensors)
    for name, value in expected.items():
        np.testing.assert_array_equal(value, tensors[name], err_msg=name)


def test_a_family_that_rotates_halves_keeps_its_rows(tmp_path: Path) -> None:
    """Their order in the file is transformers' own."""
    _, tensors, original = converted(tmp_path, "qwen2")

    expected = original["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    np.testing.assert_array_equal(expected, tensors["blk.0.attn_q.weight.lora_b"])


def test_the_file_says_what_it_is_and_beside_it_stands_for_which_weights(tmp_path: Path) -> None:
    """The adapter's type and scale are in it, its weights' checksum beside it."""
    path, _, _ = converted(tmp_path)

    metadata = read_header(path).metadata
    assert ("adapter", "lora", 32.0) == (
        metadata["general.type"],
        metadata["adapter.type"],
        metadata["adapter.lora.alpha"],
    )
    assert {"weights_sha256": "a" * 64, "weights_name": "base"} == json.loads(origin_of(path).read_text())
    assert {"peft", "adapter.gguf", "adapter.gguf.json"} == {entry.name for entry in tmp_path.iterdir()}
    require_adapter(path, WEIGHTS)


def test_an_adapter_of_another_model_is_not_converted(tmp_path: Path) -> None:
    """A shape that doesn't fit is named."""
    with pytest.raises(ValueError, match=r"has 32 inputs, not 24"):
        converted(tmp_path, hidden=32)
    assert not (tmp_path / "adapter.gguf").exists()


def test_a_map_that_is_unknown_is_named(tmp_path: Path) -> None:
    """A GGUF model of the family has no such tensor."""
    with pytest.raises(ValueError, match=r"lm_head\.lora_A"):
        converted(tmp_path, extra="base_model.model.lm_head.lora_A.weight")


def test_an_adapter_for_other_weights_is_refused_by_both_names(tmp_path: Path) -> None:
    """Its own and those that it was made for."""
    path, _, _ = converted(tmp_path)

    with pytest.raises(LocalModelError, match=r"made for different weights than 'other': for 'base'") as caught:
        require_adapter(path, Weights(Path("other.gguf"), "other", "b" * 64))
    assert "trained on" in (caught.value.fix or "")


def test_an_adapter_made_elsewhere_is_believed(tmp_path: Path) -> None:
    """Nothing beside it says what it was made for."""
    path, _, _ = converted(tmp_path)
    origin_of(path).unlink()

    require_adapter(path, WEIGHTS)


def bad_adapters() -> dict[str, tuple[bytes | None, str]]:
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    name, value = b"general.type", b"model"
    model = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(value)) + value
    return {
        "gone": (None, "No such file"),
        "text": (b"no adapter at all", "is not a GGUF file"),
        "torn": (header, "damaged header"),
        "new": (b"GGUF" + struct.pack("<IQQ", 99, 0, 0), "version 99"),
        "model": (header + model, "is a 'model', not an adapter"),
    }


@pytest.mark.anyio
@pytest.mark.parametrize("kind", list(bad_adapters()))
async def test_a_bad_adapter_is_told_before_a_server_starts(tmp_path: Path, kind: str) -> None:
    """One that is gone, and one that is none."""
    data, said = bad_adapters()[kind]
    weights = Weights(tmp_path / "base.gguf", "base", "")
    weights.path.write_bytes(b"GGUF")
    adapter = tmp_path / "adapter.gguf"
    if data is not None:
        adapter.write_bytes(data)

    server = EmbeddedServer(weights, adapter=adapter)
    with pytest.raises(LocalModelError, match=said):
        await server.__aenter__()
    assert server.pid == 0
