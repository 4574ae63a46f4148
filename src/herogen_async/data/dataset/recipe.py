"""How a row becomes a training pair: separator, lead, ending, and the treatment of thoughts and truncated answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from herogen_async.core.blank import is_blank
from herogen_async.data.dataset.sentences import trim_to_sentence
from herogen_async.generation.endpoint.finish_reasons import is_stop
from herogen_async.generation.endpoint.thoughts import thoughts_of
from herogen_async.specs.sources.cells import Cells, cells_from

TRUNCATED = ("drop", "trim", "keep")
# What becomes of a model's thoughts: left out, in front of the answer in their tags, or in a field of their own.
REASONING = (DROP_THOUGHTS, THINK, FIELD) = ("drop", "think", "field")

# What an example asks: the short question, or the prompt as it was sent.
ASKS = (SUB_PROMPT, SENT_PROMPT) = ("sub_prompt", "prompt")
BY_TRAIN = "train"  # where neither is chosen: what the spec's `train` says
# Its system text: none, or the one that was sent; any other word is the text itself.
NO_SYSTEM, SENT_SYSTEM = "none", "keep"

SEPARATOR = " ->"  # after every prompt: marks the end of the question
LEAD = " "  # before every completion: tokenizers merge a space with the next word
ENDING = " END"  # after every completion: the tuned model's stop text

PROMPT_COMPLETION = "prompt-completion"
MESSAGES = "messages"
ALPACA = "alpaca"
SHAREGPT = "sharegpt"
TEXT = "text"
DPO = "dpo"
KTO = "kto"
CONVERSATIONAL = "conversational"
PROMPTS = "prompts"
PARQUET = "parquet"
# Their trainers apply the model's own chat template, which marks where question and answer end.
CONVERSATIONS = (MESSAGES, ALPACA, SHAREGPT, CONVERSATIONAL, PROMPTS)
WITH_TURNS = (MESSAGES, CONVERSATIONAL, SHAREGPT, PROMPTS)  # those with a place for a system text and earlier turns
USE_TURNS = f"use --format {', '.join(WITH_TURNS[:-1])} or {WITH_TURNS[-1]}"
RANKED = (DPO, KTO)  # made from answers that are better and worse

# Their rows are texts, with no place for a field.
WITHOUT_FIELDS = (TEXT, DPO, KTO, PROMPTS)

CUT_OFF = "cut off"
NO_REASON_GIVEN = "no reason given"  # instead of a server's word, when it gave none
EMPTY_ANSWER = "empty"
NO_SENTENCE = "no full sentence"

_NAMES = ("format", "separator", "lead", "ending", "reasoning", "ask", "system", "system_differs", "sub_prompt")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the rows of a data set were made, so that a model tuned on it is asked as it was taught.

    `format` is the data set's format, `reasoning` what became of the thoughts. In CONVERSATIONS the question is a user
    message with nothing added: separator, lead and ending are "". `ask` is what a question is, `system` the system text
    before it where all have the same; else `system_differs`. `sub_prompt` is the question's template, None where a
    question holds more than attributes; `attributes` are the grid's, and the fields of a source, of
    which only those with few values have any on record. None and empty for a data set from elsewhere.
    """

    format: str = PROMPT_COMPLETION
    separator: str = SEPARATOR
    lead: str = LEAD
    ending: str = ENDING
    reasoning: str = DROP_THOUGHTS
    ask: str = SUB_PROMPT
    system: str | None = None
    system_differs: bool = False
    sub_prompt: str | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, file_format: str) -> Recipe:
        """The marks of a data set of this format."""
        return cls(file_format, "", "", "") if file_format in CONVERSATIONS else cls(file_format)

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Recipe:
        """The recipe in `recipe.json` or a copy of it; missing keys are as in `prompt-completion`."""
        told = {name: known[name] for name in _NAMES if name in known}
        attributes = {name: tuple(values) for name, values in known.get("attributes", {}).items()}
        return cls(**told, attributes=attributes)

    @property
    def knows_cells(self) -> bool:
        """Whether all values are on record: of a source's fields only those with few are."""
        return bool(self.attributes) and all(self.attributes.values())

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
            **({} if self.reasoning == DROP_THOUGHTS else {"reasoning": self.reasoning}),
            **({} if self.ask == SUB_PROMPT else {"ask": self.ask}),
            **({} if self.system is None else {"system": self.system}),
            **({"system_differs": True} if self.system_differs else {}),
            "sub_prompt": self.sub_prompt,
            "attributes": {name: list(values) for name, values in self.attributes.items()},
        }

    def taught(self, pair: Pair) -> tuple[str, str]:
        """Question and answer as in the data set, with their marks."""
        return pair.prompt + self.separator, self.lead + self.completion(pair) + self.ending

    def completion(self, pair: Pair) -> str:
        """The answer without its marks, behind its thoughts where these are taught with it."""
        if self.reasoning != THINK or not pair.reasoning:
            return pair.completion
        return f"<think>\n{pair.reasoning}\n</think>\n\n{pair.completion}"

    def fields(self, pair: Pair, *names: str) -> dict[str, str]:
        """The thoughts under `names`, where they have a field: in every row, since readers take the first for all."""
        return dict.fromkeys(names, pair.reasoning) if self.reasoning == FIELD else {}

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
    """A question and its answer, without marks; `reasoning` is what the model thought before it answered, `system` the
    text before the question, "" where there is none, `earlier` the turns before it as (role, text).
    """

    prompt: str
    completion: str
    reasoning: str = field(default="", compare=False)
    system: str = field(default="", compare=False)
    earlier: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def asked(self) -> tuple[Any, ...]:
        """All that stands before the answer."""
        return self.system, self.earlier, self.prompt

    @property
    def holds_separator(self) -> bool:
        """Whether the prompt contains the separator, and so seems to end early."""
        return SEPARATOR in self.prompt

    @property
    def holds_ending(self) -> bool:
        """Whether the completion contains the ending, and so teaches a model to stop early."""
        return ENDING in LEAD + self.completion


class AskedWith(NamedTuple):
    """A question, the system text before it and the turns between these."""

    question: str
    system: str = ""
    earlier: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that gives no pair; `reason` is CUT_OFF, EMPTY or NO_SENTENCE."""

    reason: str


def answer_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """A row's thoughts, "" where there are none, and its answer. Rows of 0.1.0 have both in one text."""
    inside, answer = thoughts_of(row["response_txt"])
    thoughts = dict.fromkeys(each.strip() for each in (row.get("reasoning"), inside) if each)
    return "\n\n".join(thoughts), "" if is_blank(answer) else answer.strip()


def pair_of(row: Mapping[str, Any], truncated: str, asked: AskedWith | None = None) -> Pair | LeftOut:
    """The pair of `row`; `truncated` is what to do with an answer that did not stop by itself.

    `asked` is its question with what stands before it; its sub-prompt alone when left out.
    """
    thoughts, answer = answer_of(row)
    if not answer:
        return LeftOut(EMPTY_ANSWER)
    if truncated != "keep" and not is_stop(row["finish_reason"]):
        if truncated == "drop":
            return LeftOut(CUT_OFF)
        answer = trim_to_sentence(answer)
        if not answer:
            return LeftOut(NO_SENTENCE)
    question, system, earlier = AskedWith(row["sub_prompt"]) if asked is None else asked
    return Pair(question, answer, thoughts, system, earlier)
