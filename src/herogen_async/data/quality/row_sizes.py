"""The size of each row in words, characters and tokens. About thirty bytes of memory per row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from herogen_async.data.quality.lengths import quantiles
from herogen_async.data.quality.records import Example, Quantiles, TokenCounts
from herogen_async.generation.limits.tokens import BYTES_A_TOKEN, byte_size


class Sizes:
    """One entry per row in each array, in order of addition."""

    def __init__(self) -> None:
        self.words = array("L")
        self._characters = array("L")
        self._prompt_tokens = array("L")
        self._completion_tokens = array("L")
        self._estimated = array("B")
        self._estimated_prompts = array("B")

    def add(self, example: Example, words: int) -> None:
        """Measure one row."""
        self.words.append(words)
        self._characters.append(len(example.completion))
        self._prompt_tokens.append(_tokens(example.prompt, example.prompt_tokens))
        self._completion_tokens.append(_tokens(example.completion, example.completion_tokens))
        self._estimated.append(example.completion_tokens is None)
        self._estimated_prompts.append(example.prompt_tokens is None)

    def lengths(self, kept: Sequence[int]) -> dict[str, Quantiles]:
        """Length quantiles of the completions at the places `kept`; empty if there are none."""
        measures = {"characters": self._characters, "words": self.words, "tokens": self._completion_tokens}
        return {
            name: spread
            for name, values in measures.items()
            if (spread := quantiles(values[at] for at in kept)) is not None
        }

    def tokens_of(self, kept: Sequence[int]) -> TokenCounts:
        """Token counts of the rows at the places `kept`."""
        return TokenCounts(
            prompt=sum(self._prompt_tokens[at] for at in kept),
            completion=sum(self._completion_tokens[at] for at in kept),
            estimated=sum(self._estimated[at] for at in kept),
            estimated_prompts=sum(self._estimated_prompts[at] for at in kept),
        )


def _tokens(text: str, known: int | None) -> int:
    return -(-byte_size(text) // BYTES_A_TOKEN) if known is None else known
