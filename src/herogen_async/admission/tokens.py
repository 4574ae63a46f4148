"""How many tokens a request will be charged, before it is sent and without a tokenizer.

Providers charge max(max_tokens, an estimate from the characters) when a request arrives, so that is what is reserved:
a large `max_tokens` costs throughput, whatever the answers turn out to be.
"""

from __future__ import annotations

_BYTES_A_TOKEN = 4  # English text under the common vocabularies; other scripts have more bytes *and* more tokens
_OVERHEAD_TOKENS = 8  # the chat template's own


def estimate_tokens(text: str, max_tokens: int | None) -> int:
    """Prompt tokens of `text` plus the most that may come back (16, vLLM's own default, when nothing is set)."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN) + _OVERHEAD_TOKENS + (max_tokens or 16)
