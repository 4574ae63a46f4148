"""How a row becomes a training pair: separator, lead, ending, and the treatment of thoughts and truncated answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from herogen_async.core import codec
from herogen_async.core.blank import is_blank
from herogen_async.data.dataset.sentences import trim_to_sentence
from herogen_async.data.dataset.tool_calls import ToolCall, as_text, has_tool_calls, tool_calls_of
from herogen_async.generation.endpoint.finish_reasons import is_stop, is_tool_call
from herogen_async.generation.endpoint.thoughts import thoughts_of
from herogen_async.specs.sources.cells import PLAIN, Cells, cells_from
from herogen_async.specs.sources.rules import CellRules

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
WITH_TOOL_CALLS = (MESSAGES, CONVERSATIONAL)  # those whose answers are messages
USE_MESSAGES = f"use --format {' or '.join(WITH_TOOL_CALLS)}"
RANKED = (DPO, KTO)  # made from answers that are better and worse

# Their rows are texts, with no place for a field.
WITHOUT_FIELDS = (TEXT, DPO, KTO, PROMPTS)

CUT_OFF = "cut off"
NO_REASON_GIVEN = "no reason given"  # instead of a server's word, when it gave none
EMPTY_ANSWER = "empty"
NO_SENTENCE = "no full sentence"
LOST_THOUGHTS = "lost_thoughts"  # of an example: it holds answers besides the last one, and these had some
STALE_TURN = "stale_turn"  # of a conversation: an answer to an earlier spec is among its turns
# Why tool calls can't be taught: the format has no place for them; they were cut off or are no JSON; or they stand in
# the middle of a conversation, or beside other text, where nothing answers them.
TOOL_CALL_REASONS = (NO_PLACE, NO_OBJECT, NOT_AT_END) = ("format", "arguments", "turn")

_NAMES = ("format", "separator", "lead", "ending", "reasoning", "ask", "system", "system_differs", "sub_prompt")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the rows of a data set were made, so that a model tuned on it is asked as it was taught.

    `format` is the data set's format, `reasoning` what became of the thoughts. In CONVERSATIONS the question is a user
    message with nothing added: separator, lead and ending are "". `ask` is what a question is, `system` the system text
    before it where all have the same; else `system_differs`. `sub_prompt` is the question's template, None where a
    question holds more than attributes; `attributes` are the grid's, and the fields of a source, of which only those
    with few values have any on record; `rules` say which combinations of the grid's there are. None and empty for a
    data set from elsewhere.
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
    rules: CellRules = PLAIN

    @classmethod
    def of(cls, file_format: str) -> Recipe:
        """The marks of a data set of this format."""
        return cls(file_format, "", "", "") if file_format in CONVERSATIONS else cls(file_format)

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Recipe:
        """The recipe in `recipe.json` or a copy of it; missing keys are as in `prompt-completion`."""
        told = {name: known[name] for name in _NAMES if name in known}
        attributes = {name: tuple(values) for name, values in known.get("attributes", {}).items()}
        rules = CellRules.from_plain(known["rules"]) if "rules" in known else PLAIN
        return cls(**told, attributes=attributes, rules=rules)

    @property
    def knows_cells(self) -> bool:
        """Whether all values are on record: of a source's fields only those with few are."""
        return bool(self.attributes) and all(self.attributes.values())

    @property
    def cells(self) -> Cells:
        """Those that a question can be about."""
        return cells_from(self.attributes, rules=self.rules)

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
            **({"rules": self.rules.as_plain()} if self.rules.changes_grid else {}),
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

    def answer_so_far(self, text: str) -> str:
        """As `answer`, of an output that still grows: without what may turn out to be the beginning of the ending."""
        known = self.answer(text)
        sizes = range(min(len(self.ending) - 1, len(known)), 0, -1)
        return known[: len(known) - next((size for size in sizes if known.endswith(self.ending[:size])), 0)]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer, without marks; `reasoning` is what the model thought before it answered, `system` the
    text before the question, "" where there is none, `earlier` the turns before it as (role, text). `tools` are those
    that were offered, as they were sent.
    """

    prompt: str
    completion: str
    reasoning: str = field(default="", compare=False)
    system: str = field(default="", compare=False)
    earlier: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    tool_calls: tuple[ToolCall, ...] = ()
    tools: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def shown(self) -> str:
        """The answer as people see it, and as answers are compared: its text, and what it calls."""
        return "\n\n".join(filter(None, (self.completion, as_text(self.tool_calls))))

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
    """A question, the system text before it and the turns between these, and the tools that were offered with it."""

    question: str
    system: str = ""
    earlier: tuple[tuple[str, str], ...] = ()
    tools: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that gives no pair; `reason` is CUT_OFF, EMPTY_ANSWER, NO_SENTENCE or one of TOOL_CALL_REASONS."""

    reason: str


def answer_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """A row's thoughts, "" where there are none, and its answer. Rows of 0.1.0 have both in one text."""
    inside, answer = thoughts_of(row["response_txt"])
    thoughts = dict.fromkeys(each.strip() for each in (row.get("reasoning"), inside) if each)
    return "\n\n".join(thoughts), "" if is_blank(answer) else answer.strip()


def has_ended(row: Mapping[str, Any]) -> bool:
    """Whether the model ended the answer by itself: with a stop, or with the tools that it calls."""
    reason = row["finish_reason"]
    return is_stop(reason) or (is_tool_call(reason) and has_tool_calls(row))


def pair_of(row: Mapping[str, Any], truncated: str, asked: AskedWith, *, file_format: str) -> Pair | LeftOut:
    """The pair of `row`; `truncated` is what to do with an answer that did not stop by itself.

    `asked` is its question with what stands before it. `file_format` says whether it may call tools.
    """
    thoughts, answer = answer_of(row)
    calls: tuple[ToolCall, ...] | None = ()
    if has_tool_calls(row):
        if row.get(NOT_AT_END):
            return LeftOut(NOT_AT_END)
        if file_format not in (*WITH_TOOL_CALLS, PROMPTS):  # of prompts, no answer is taught
            return LeftOut(NO_PLACE)
        calls = tool_calls_of(row)
        if calls is None and file_format == PROMPTS:
            calls, answer = (), answer or codec.dumps(row["extra"]).decode()  # for the checks: it is not written
    if not answer and calls == ():
        return LeftOut(EMPTY_ANSWER)
    if truncated != "keep" and not has_ended(row):
        if truncated == "drop" or has_tool_calls(row):  # a call has no sentences
            return LeftOut(CUT_OFF)
        answer = trim_to_sentence(answer)
        if not answer:
            return LeftOut(NO_SENTENCE)
    if calls is None:
        return LeftOut(NO_OBJECT)
    question, system, earlier, tools = asked
    return Pair(question, answer, thoughts, system, earlier, calls, tools)
