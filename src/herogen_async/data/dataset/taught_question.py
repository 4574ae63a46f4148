"""What an example asks: the short question or the prompt as it was sent, and the system text before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.blank import is_blank
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.recipe import (
    ASKS,
    NO_SYSTEM,
    SENT_SYSTEM,
    SUB_PROMPT,
    USE_TURNS,
    WITH_TOOL_CALLS,
    WITH_TURNS,
    AskedWith,
)
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.whole_row import answered, answers_of
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Template


class TaughtQuestion:
    """`ask` is one of ASKS. `system` is NO_SYSTEM, SENT_SYSTEM (as it was sent for the answer) or a text for all.

    `template` is what questions about a cell are made from, None where the prompts hold answers of other columns;
    `system_text` is the system text where all examples have the same. Raises InputError where the rows can't have what
    is asked for.
    """

    is_conversation = False

    def __init__(self, rows: RunRows, taught: Taught | None, *, file_format: str, ask: str, system: str) -> None:
        if ask not in ASKS:
            raise InputError(f"unknown question {ask!r}", fix=nearest(ask, ASKS))
        self.ask = ask
        self.file_format = file_format
        self.taught = taught
        self._plan = rows.plan
        self._columns = rows.plan.columns if taught is None else taught.columns
        self._keeps = system == SENT_SYSTEM
        sent = [column.system for column in self._columns]
        if system != NO_SYSTEM:
            has_stale = any(index in rows.found.done for index in rows.found.stale)
            _check_system(system, file_format, has_one=any(sent), has_stale=has_stale)
        self.system_text = _same_for_all(sent) if self._keeps else None if system == NO_SYSTEM else system
        self.template = rows.spec.sub_prompt if ask == SUB_PROMPT else _template(self._columns, rows.plan)

    @property
    def has_system(self) -> bool:
        """Whether examples have a system text."""
        return self._keeps or self.system_text is not None

    @property
    def is_short(self) -> bool:
        """Whether an example asks the sub-prompt alone, as it does when nothing else is wanted."""
        return self.ask == SUB_PROMPT and not self.has_system

    @property
    def line(self) -> str:
        """What an example is, as a sentence."""
        asked = "sub-prompt" if self.ask == SUB_PROMPT else "prompt as sent"
        if self.has_system:
            asked = f"system text and {asked}"
        return f"Each example: {asked} -> {'answer' if self.taught is None else self.taught.answer}."

    @property
    def named(self) -> str:
        """The columns whose answers are taught."""
        return "" if self.taught is None else self.taught.text

    @property
    def samples(self) -> int:
        """How many examples a row may give."""
        return 1 if self.taught is None else self.taught.samples

    def examples(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The examples of a row, each as a row of one answer."""
        return iter((row,)) if self.taught is None else self.taught.examples(row)

    def of(self, row: Mapping[str, Any]) -> AskedWith:
        """The question of one of `examples`."""
        question, system = self._asked(row)
        if self.file_format not in WITH_TOOL_CALLS:
            return AskedWith(question, system)
        column = self._columns[0] if self.taught is None else self._plan.shape.calls[row["place"]].column
        return AskedWith(question, system, tools=offered_tools(column))

    def _asked(self, row: Mapping[str, Any]) -> tuple[str, str]:
        asked = row["sub_prompt"] if self.ask == SUB_PROMPT else row["prompt"]
        if self.system_text is not None or not self._keeps:
            return asked, self.system_text or ""
        if self.taught is None:
            system = self._columns[0].system
            if system is None:
                return asked, ""
            identity = self._plan.cells.identity(row["index"] // self._plan.repeats)
            return asked, self._plan.rendered(system, row["cell"], row["repeat"], identity)
        return asked, self._sent_system(row)

    def _sent_system(self, row: Mapping[str, Any]) -> str:
        """It may hold answers of other columns."""
        sent = self._plan.open_row(row["index"])
        sent.fill(answered(answers_of(self._plan, row).values()))
        return sent.system_text(row["place"])


def offered_tools(column: AskedColumn) -> tuple[Any, ...]:
    """Those that a column's requests offer, as they are sent."""
    tools = column.sampling.extra.get("tools")
    return tuple(tools) if isinstance(tools, list) else ()


def _check_system(system: str, file_format: str, *, has_one: bool, has_stale: bool) -> None:
    if is_blank(system):
        raise InputError("the system text is empty", fix="write a text, or --system none")
    if file_format not in WITH_TURNS:
        raise InputError(f"format {file_format} has no place for a system text", fix=USE_TURNS)
    if system == SENT_SYSTEM and not has_one:
        raise InputError(
            "no system text was sent for these answers", fix="give one with --system TEXT, or remove --system"
        )
    if system == SENT_SYSTEM and has_stale:
        raise InputError(
            "the run has kept answers to an earlier spec, whose system text may have been another one",
            fix="give one with --system TEXT, or request them again: run --regenerate-stale",
        )


def _same_for_all(sent: list[Template | None]) -> str | None:
    """The system text, where all were sent one that holds no value of theirs."""
    first = sent[0]
    if first is None or first.names or any(each is None or each.text != first.text for each in sent):
        return None
    return first.render({})


def _template(columns: tuple[AskedColumn, ...], plan: Plan) -> str | None:
    """The prompt, where it is one and holds nothing but attributes."""
    prompts = {column.prompt.text: column.prompt for column in columns}
    prompt: Template = next(iter(prompts.values()))
    if prompt.is_jinja:
        return None
    return prompt.plain_text if len(prompts) == 1 and set(prompt.names) <= plan.cells.facets.keys() else None
