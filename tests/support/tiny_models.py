"""A transformers model that is too small to know anything, on disk: made of numpy and `tokenizers`, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HIDDEN, FORWARD, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 96, 2, 4, 2, 128


def tiny_llama(folder: Path, texts: list[str]) -> Path:
    """A llama of two layers with the words of `texts`."""
    folder.mkdir(parents=True)
    vocabulary = _tokenizer(folder, texts)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "vocab_size": vocabulary,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_weights(vocabulary), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _tokenizer(folder: Path, texts: list[str]) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    known = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": CONTEXT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(known))
    return int(tokenizer.get_vocab_size())


def _weights(vocabulary: int) -> dict[str, Any]:
    random = np.random.default_rng(17)

    def matrix(outputs: int, inputs: int) -> Any:
        return np.asarray(random.normal(0, 0.08, (outputs, inputs)), dtype=np.float32)

    kv = HIDDEN * KV_HEADS // HEADS
    found = {
        "model.embed_tokens.weight": matrix(vocabulary, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, np.float32),
    }
    for layer in range(LAYERS):
        place = f"model.layers.{layer}"
        for name, outputs, inputs in (
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", kv, HIDDEN),
            ("self_attn.v_proj", kv, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", FORWARD, HIDDEN),
            ("mlp.up_proj", FORWARD, HIDDEN),
            ("mlp.down_proj", HIDDEN, FORWARD),
        ):
            found[f"{place}.{name}.weight"] = matrix(outputs, inputs)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{place}.{name}.weight"] = np.ones(HIDDEN, np.float32)
    return found
