"""How a row becomes a training pair: separator, lead, ending, and the treatment of truncated answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.data.dataset.sentences import trim_to_sentence
from herogen_async.specs.sources.cells import Cells, cells_from
from herogen_async.specs.spec import Spec

TRUNCATED = ("drop", "trim", "keep")
STOPPED = "stop"  # the finish_reason when the model stopped by itself

SEPARATOR = " ->"  # after every prompt: marks the end of the question
LEAD = " "  # before every completion: tokenizers merge a space with the next word
ENDING = " END"  # after every completion: the tuned model's stop text

PROMPT_COMPLETION = "prompt-completion"
MESSAGES = "messages"
ALPACA = "alpaca"
SHAREGPT = "sharegpt"
TEXT = "text"
DPO = "dpo"
PARQUET = "parquet"
# Their trainers apply the model's own chat template, which marks where question and answer end.
CONVERSATIONS = (MESSAGES, ALPACA, SHAREGPT)

CUT_OFF = "cut off"
EMPTY_ANSWER = "empty"
NO_SENTENCE = "no full sentence"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the rows of a data set were made, so that a model tuned on it is asked as it was taught.

    `format` is the data set's format. In CONVERSATIONS the question is a user message with nothing added: separator,
    lead and ending are "". `sub_prompt` is the question's template, `attributes` its names with the grid's values; None
    and empty for a data set from elsewhere.
    """

    format: str = PROMPT_COMPLETION
    separator: str = SEPARATOR
    lead: str = LEAD
    ending: str = ENDING
    sub_prompt: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, file_format: str, spec: Spec) -> Recipe:
        """The recipe of a data set of this format, made from the answers to `spec`."""
        marks = {"separator": "", "lead": "", "ending": ""} if file_format in CONVERSATIONS else {}
        return cls(file_format, **marks, sub_prompt=spec.sub_prompt, attributes=spec.attributes)

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Recipe:
        """The recipe in `recipe.json` or a copy of it; missing keys are as in `prompt-completion`."""
        told = {name: known[name] for name in ("format", "separator", "lead", "ending", "sub_prompt") if name in known}
        attributes = {name: tuple(values) for name, values in known.get("attributes", {}).items()}
        return cls(**told, attributes=attributes)

    @property
    def cells(self) -> Cells:
        """Those that a question can be about."""
        return cells_from(self.attributes)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "format": self.format,
            "separator": self.separator,
            "lead": self.lead,
            "ending": self.ending,
            "sub_prompt": self.sub_prompt,
            "attributes": {name: list(values) for name, values in self.attributes.items()},
        }

    def taught(self, pair: Pair) -> tuple[str, str]:
        """Question and answer as in the data set, with their marks."""
        return pair.prompt + self.separator, self.lead + pair.completion + self.ending

    def question(self, text: str) -> str:
        """The text to send for the prompt `text`; an existing separator is not added again."""
        text = text.rstrip(" ") if self.separator.startswith(" ") else text
        return text if self.separator and text.endswith(self.separator) else text + self.separator

    def answer(self, text: str) -> str:
        """The completion in a model's output: without the lead, the ending and everything after it."""
        if self.ending:
            text = text.partition(self.ending)[0]
        return text.removeprefix(self.lead)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer, without marks: one line of the CSV."""

    prompt: str
    completion: str

    @property
    def holds_separator(self) -> bool:
        """Whether the prompt contains the separator, and so seems to end early."""
        return SEPARATOR in self.prompt

    @property
    def holds_ending(self) -> bool:
        """Whether the completion contains the ending, and so teaches a model to stop early."""
        return ENDING in LEAD + self.completion


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that gives no pair; `reason` is CUT_OFF, EMPTY or NO_SENTENCE."""

    reason: str


def pair_of(row: dict[str, Any], truncated: str) -> Pair | LeftOut:
    """The pair of `row`; `truncated` is what to do with an answer that did not stop by itself."""
    answer = row["response_txt"].strip()
    if not answer:
        return LeftOut(EMPTY_ANSWER)
    if row["finish_reason"] != STOPPED and truncated != "keep":
        if truncated == "drop":
            return LeftOut(CUT_OFF)
        answer = trim_to_sentence(answer)
        if not answer:
            return LeftOut(NO_SENTENCE)
    return Pair(row["sub_prompt"], answer)
