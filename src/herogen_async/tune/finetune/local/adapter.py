"""A LoRA adapter as PEFT writes it, turned into what llama.cpp's server loads beside the weights. Needs no torch.

The names and the layout are GGUF's: `general.type=adapter`, and for every map `<tensor>.weight.lora_a` and `lora_b`.
In llama's family the rows of the query's and key's maps lie in another order in a GGUF file than in transformers:
llama.cpp rotates neighbouring pairs, transformers the first half of a head with its second. B's rows move alike.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.endpoint.embedded import checksum_cache
from herogen_async.generation.endpoint.embedded.adapter_file import origin_of
from herogen_async.generation.endpoint.embedded.gguf_header import GgufHeader
from herogen_async.generation.run_folder.publish import publish

_OUR_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TARGETS = [name.partition(".")[2] for name in _OUR_NAMES]
"""The linear maps of a layer that are adapted, as transformers names them."""
ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""The families of GGUF files whose layers have just these maps."""
_ROTATED_IN_PAIRS = "llama"
_NAME = re.compile(r"\.layers\.(\d+)\.([a-z_.]+)\.lora_([AB])\.weight$")


def convert_adapter(peft: Path, base: GgufHeader, target: Path, *, weights_sha256: str, weights_name: str) -> None:
    """Write the adapter in the folder `peft`, made on a model with the header `base`, to `target`, whole or not at all.

    Beside it stands for which weights it was made. Raises ValueError when the adapter is not of that model.
    """
    from safetensors.numpy import load_file  # noqa: PLC0415 - part of the [train] extra

    settings = codec.loads((peft / "adapter_config.json").read_bytes())
    tensors = {}
    for name, value in load_file(peft / "adapter_model.safetensors").items():
        place, side = _place(name)
        _require_fit(place, side, value.shape, base)
        tensors[f"{place}.lora_{side.lower()}"] = _reordered(value, place, base) if side == "B" else value
    origin = {"weights_sha256": weights_sha256, "weights_name": weights_name}
    publish(origin_of(target), codec.dumps_pretty(origin))
    _write(target, tensors, base.metadata["general.architecture"], float(settings["lora_alpha"]))


def _place(name: str) -> tuple[str, str]:
    found = _NAME.search(name)
    if found is None or found[2] not in _OUR_NAMES:
        raise ValueError(f"the adapter holds {name!r}, unknown to GGUF models of this family")
    return f"blk.{found[1]}.{_OUR_NAMES[found[2]]}.weight", found[3]


def _require_fit(place: str, side: str, shape: tuple[int, ...], base: GgufHeader) -> None:
    """llama.cpp says less when a shape is wrong."""
    inputs, outputs = base.tensors.get(place, (0, 0))
    expected, found = (inputs, shape[1]) if side == "A" else (outputs, shape[0])
    if expected != found:
        raise ValueError(f"the adapter's {place!r} has {found} {'in' if side == 'A' else 'out'}puts, not {expected}")


def _reordered(rows: Any, place: str, base: GgufHeader) -> Any:
    if base.metadata["general.architecture"] != _ROTATED_IN_PAIRS:
        return rows
    if place.endswith("attn_q.weight"):
        heads = base.of_architecture("attention.head_count")
    elif place.endswith("attn_k.weight"):
        heads = base.of_architecture("attention.head_count_kv") or base.of_architecture("attention.head_count")
    else:
        return rows
    outputs, rank = rows.shape
    halves = rows.reshape(heads, 2, outputs // heads // 2, rank)
    return halves.swapaxes(1, 2).reshape(outputs, rank)


def _write(target: Path, tensors: dict[str, Any], architecture: str, alpha: float) -> None:
    import gguf  # noqa: PLC0415 - brings numpy
    import numpy as np  # noqa: PLC0415

    unfinished = target.with_name(f".{target.name}.unfinished")
    writer = gguf.GGUFWriter(unfinished, arch=architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        for name, value in sorted(tensors.items()):
            writer.add_tensor(name, np.ascontiguousarray(value, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    checksum_cache.replace_file(unfinished, target)
