"""A model folder with a tokenizer of given texts, without weights; runs in a trainer's environment, by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

END = "<|im_end|>"
# Thoughts and tool calls are written as they come, so that a test sees what a trainer handed over.
TEMPLATE = (
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}"
    "{% if message.tool_calls %}{% for call in message.tool_calls %}"
    "<call>{{ call.function.name }} {{ call.function.arguments | tojson }}</call>"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
)


def model_folder(folder: Path, texts: Iterable[str]) -> Path:
    """Byte pairs that give back every text as it was, in a folder that trainers take for a model's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<|im_start|>", END]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    known = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": END,
        "chat_template": TEMPLATE,
        "model_max_length": 1 << 20,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(known))
    shape = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": tokenizer.get_vocab_size()}
    (folder / "config.json").write_text(json.dumps(shape))
    return folder


def segments(tokenizer: Any, ids: list[int], labels: list[int]) -> list[tuple[bool, str]]:
    """The text of a row in pieces, each with whether the loss is on it."""
    pieces: list[tuple[bool, list[int]]] = []
    for token, label in zip(ids, labels, strict=True):
        is_learned = label != -100
        if not pieces or pieces[-1][0] != is_learned:
            pieces.append((is_learned, []))
        pieces[-1][1].append(token)
    return [(is_learned, tokenizer.decode(tokens)) for is_learned, tokens in pieces]
