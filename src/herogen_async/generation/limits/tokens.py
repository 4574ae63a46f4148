"""How many tokens a request will be charged, before it is sent and without a tokenizer.

Providers charge max(max_tokens, an estimate from the characters) when a request arrives, so that is what is reserved:
a large `max_tokens` costs throughput, whatever the answers turn out to be.
"""

from __future__ import annotations

BYTES_A_TOKEN = 4  # English text under the common vocabularies; other scripts have more bytes *and* more tokens
OVERHEAD_TOKENS = 8  # the chat template's own
DEFAULT_ANSWER_TOKENS = 16  # vLLM's own default, when nothing is set
PRIOR_PROMPTS = 20  # observed prompts that weigh as much as the two constants above do
_REMEMBERED_BYTES = 2_000_000  # of prompts; the older half fades, so that a ratio follows what is sent now


class TokenEstimate:
    """Prompt tokens by bytes, corrected by what the server's `usage` says; answer tokens by what is allowed."""

    __slots__ = ("_bytes", "_tokens", "answer")

    def __init__(self, max_tokens: int | None) -> None:
        self.answer = max_tokens or DEFAULT_ANSWER_TOKENS
        self._bytes = 0.0
        self._tokens = 0.0

    def prompt(self, size: int) -> float:
        """Tokens of a prompt of `size` bytes."""
        first = size / BYTES_A_TOKEN + OVERHEAD_TOKENS
        if not self._bytes or not size:
            return first
        return size * (self._tokens + PRIOR_PROMPTS * first) / (self._bytes + PRIOR_PROMPTS * size)

    def observed(self, size: int, prompt_tokens: float) -> None:
        """A prompt of `size` bytes was counted as `prompt_tokens` by the server; nothing or less says nothing."""
        if not prompt_tokens > 0:  # some tell the total alone
            return
        if self._bytes > _REMEMBERED_BYTES:
            self._bytes, self._tokens = self._bytes / 2, self._tokens / 2
        self._bytes += size
        self._tokens += min(prompt_tokens, most_tokens_of(size))


def most_tokens_of(size: int) -> int:
    """Tokens of a prompt of `size` bytes at most: no vocabulary has more, and a larger count is a mistake."""
    return 4 * size + 1000


def byte_size(text: str) -> int:
    """Bytes of `text` as it is sent."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def estimate_tokens(text: str, max_tokens: int | None) -> int:
    """Prompt tokens of `text` plus the most that may come back, before anything was observed."""
    estimate = TokenEstimate(max_tokens)
    return int(-(-byte_size(text) // BYTES_A_TOKEN) + OVERHEAD_TOKENS + estimate.answer)
