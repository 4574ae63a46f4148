"""How a fine-tune pair is made of a row: separator, lead, ending, and what becomes of answers that were cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from herogen_async import codec
from herogen_async.dataset.sentences import trim_to_sentence

TRUNCATED = ("drop", "trim", "keep")
STOPPED = "stop"  # the finish_reason of an answer that the model ended itself

SEPARATOR = " ->"  # after every prompt: where the question ends
LEAD = " "  # before every completion: tokenizers join a space to the word after it
ENDING = " END"  # after every completion: what the tuned model is told to stop at

CUT_OFF = "cut off"
EMPTY = "empty"
NO_SENTENCE = "no full sentence"


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of the CSV."""

    prompt: str
    completion: str

    def fine_tune_line(self) -> bytes:
        """The same as a line of the JSONL, newline included."""
        line = {"prompt": self.prompt + SEPARATOR, "completion": LEAD + self.completion + ENDING}
        return codec.dumps(line) + b"\n"

    @property
    def holds_separator(self) -> bool:
        """Whether the prompt seems to end before its end."""
        return SEPARATOR in self.prompt

    @property
    def holds_ending(self) -> bool:
        """Whether a tuned model that learns this stops before the completion's end."""
        return ENDING in LEAD + self.completion


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that gives no pair; `reason` is CUT_OFF, EMPTY or NO_SENTENCE."""

    reason: str


def pair_of(row: dict[str, Any], truncated: str) -> Pair | LeftOut:
    """The pair of `row`, whose answer is treated as `truncated` says where it did not stop by itself."""
    answer = row["response_txt"].strip()
    if not answer:
        return LeftOut(EMPTY)
    if row["finish_reason"] != STOPPED and truncated != "keep":
        if truncated == "drop":
            return LeftOut(CUT_OFF)
        answer = trim_to_sentence(answer)
        if not answer:
            return LeftOut(NO_SENTENCE)
    return Pair(row["sub_prompt"], answer)
