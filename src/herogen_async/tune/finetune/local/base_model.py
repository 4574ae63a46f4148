"""What a local fine-tune can start from: a GGUF file of a family known here, or a transformers model on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.embedded import OnProgress, ensure_weights
from herogen_async.generation.endpoint.embedded.gguf_header import GgufHeader, read_header
from herogen_async.tune.finetune.local.adapter import ARCHITECTURES
from herogen_async.tune.finetune.local.memory import ModelShape

GGUF, FOLDER = "gguf", "folder"
_FIX = "--model embedded, a .gguf file, or a folder with a transformers model (config.json, its weights, its tokenizer)"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this disk. `shape` is None where its files don't say; `sha256` is empty for a folder."""

    kind: str
    path: Path
    name: str
    sha256: str
    shape: ModelShape | None

    def as_dict(self) -> dict[str, str]:
        return {"kind": self.kind, "path": str(self.path), "name": self.name, "sha256": self.sha256}


def find_base_model(choice: str, on_progress: OnProgress) -> LocalModel:
    """The model that `choice` means; the embedded one is fetched at its first use. It blocks.

    Raises InputError when there is none, or none that can be trained here; LocalModelError as `ensure_weights` does.
    """
    if choice != "embedded" and not choice.lower().endswith(".gguf"):
        return _in_folder(choice)
    weights = ensure_weights(choice, on_progress)
    try:
        header = read_header(weights.path)
    except ValueError as error:
        raise InputError(str(error), fix=_FIX) from error
    except OSError as error:
        raise InputError(f"can't read {str(weights.path)!r}: {error.strerror}", fix=_FIX) from error
    architecture = header.metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"{str(weights.path)!r} is a GGUF model of family {architecture!r}, which can't be trained here; "
            f"trainable families: {', '.join(ARCHITECTURES)}",
            fix="give the same model as a transformers folder",
        )
    shape = shape_of(header)
    if shape is None:
        raise InputError(f"{str(weights.path)!r} is incomplete: its header does not give the model's size", fix=_FIX)
    return LocalModel(GGUF, weights.path, weights.name, weights.sha256, shape)


def shape_of(header: GgufHeader) -> ModelShape | None:
    """The size of the model in a GGUF file; None when it doesn't say."""
    told = header.of_architecture
    heads = told("attention.head_count")
    shape = ModelShape(
        parameters=header.parameters,
        layers=told("block_count"),
        hidden=told("embedding_length"),
        feed_forward=told("feed_forward_length"),
        vocabulary=(*header.tensors.get("token_embd.weight", ()), 0, 0)[1],
        heads=heads,
        kv_heads=told("attention.head_count_kv") or heads,
        context_tokens=told("context_length"),
    )
    return shape if _is_whole(shape) else None


def _is_whole(shape: ModelShape) -> bool:
    sizes = [size for name, size in asdict(shape).items() if name != "context_tokens" or size is not None]
    return all(isinstance(size, int) and size > 0 for size in sizes)


def _in_folder(choice: str) -> LocalModel:
    path = Path(choice).expanduser().resolve()
    if not path.is_dir():
        raise InputError(f"no model {choice!r} on this machine: no such folder", fix=_FIX)
    try:
        config = codec.loads((path / "config.json").read_bytes())
    except OSError as error:
        raise InputError(f"{choice!r} is not a transformers model: config.json: {error.strerror}", fix=_FIX) from error
    except ValueError as error:
        raise InputError(f"{choice!r} is not a transformers model: config.json is not JSON", fix=_FIX) from error
    lacking = _lacking(path)
    if not isinstance(config, dict) or lacking:
        raise InputError(f"{choice!r} is not a complete transformers model: no {lacking or 'settings'}", fix=_FIX)
    return LocalModel(FOLDER, path, path.name, "", _shape_in(config))


def _lacking(path: Path) -> str:
    names = {entry.name for entry in path.iterdir()}
    if not any(name.endswith((".safetensors", ".bin")) for name in names):
        return "weights (*.safetensors)"
    return "" if names & set(_TOKENIZERS) else "tokenizer"


def _shape_in(config: dict[str, Any]) -> ModelShape | None:
    try:
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
        forward, vocabulary, heads = config["intermediate_size"], config["vocab_size"], config["num_attention_heads"]
    except KeyError:
        return None
    kv_heads = config.get("num_key_value_heads") or heads
    if not all(isinstance(size, int) and size > 0 for size in (layers, hidden, forward, vocabulary, heads, kv_heads)):
        return None
    a_layer = 2 * hidden * hidden + 2 * hidden * (hidden * kv_heads // heads) + 3 * hidden * forward
    tables = 1 if config.get("tie_word_embeddings") else 2
    return ModelShape(
        parameters=layers * a_layer + tables * vocabulary * hidden,
        layers=layers,
        hidden=hidden,
        feed_forward=forward,
        vocabulary=vocabulary,
        heads=heads,
        kv_heads=kv_heads,
        context_tokens=config.get("max_position_embeddings"),
    )
