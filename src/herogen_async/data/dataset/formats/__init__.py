"""The formats of a data set: the shape of its rows, their files, and the columns that trainers read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from herogen_async.data.dataset.formats import json_lines
from herogen_async.data.dataset.formats.json_lines import JsonLines
from herogen_async.data.dataset.formats.parquet_dataset import TypedTable
from herogen_async.data.dataset.formats.writer import Writer
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import (
    ALPACA,
    CONVERSATIONAL,
    DPO,
    KTO,
    MESSAGES,
    PARQUET,
    PROMPT_COMPLETION,
    PROMPTS,
    SHAREGPT,
    TEXT,
    Recipe,
)
from herogen_async.data.dataset.split import ALL


@dataclass(frozen=True, slots=True)
class Format:
    """`says` describes a row. `writer` writes one file."""

    name: str
    stem: str
    suffix: str
    says: str
    writer: Callable[[HashedFile, Recipe], Writer]

    def file_name(self, side: str) -> str:
        """The name of the data file with this side's rows."""
        return f"{self.stem}{self.suffix}" if side == ALL else f"{self.stem}_{side}{self.suffix}"


def _lines(name: str, line: json_lines.RowFormatter, says: str, stem: str | None = None) -> Format:
    return Format(name, stem or name, ".jsonl", says, partial(JsonLines, line=line))


_ALL = (
    _lines(
        PROMPT_COMPLETION,
        json_lines.prompt_completion,
        "`prompt` and `completion`, with separator, lead and ending",
        stem="prepared_data_prepared",  # the legacy tool's name
    ),
    _lines(MESSAGES, json_lines.messages, "`messages`: turns of user and assistant, each with `role` and `content`"),
    _lines(ALPACA, json_lines.alpaca, "`instruction`, an empty `input`, `output`"),
    _lines(SHAREGPT, json_lines.sharegpt, "`conversations`: turns `from` human and from gpt, each with a `value`"),
    _lines(TEXT, json_lines.text, "`text`: prompt, separator, lead, completion and ending in one string"),
    _lines(DPO, json_lines.preference, "`prompt`, the better answer as `chosen`, the worse one as `rejected`"),
    _lines(KTO, json_lines.labelled, "`prompt`, `completion`, and as `label` whether it is the better answer"),
    _lines(
        CONVERSATIONAL,
        json_lines.conversational,
        "`prompt`: the messages before the answer; `completion`: the assistant's message",
    ),
    _lines(PROMPTS, json_lines.prompt_alone, "`prompt`: the messages of a question, each question once, no answer"),
    Format(
        PARQUET,
        "data",
        ".parquet",
        "`prompt` and `completion` with separator, lead and ending; the attributes; repeat, finish_reason, model, "
        "token counts, key",
        TypedTable,
    ),
)
FORMATS = {each.name: each for each in _ALL}

__all__ = ["FORMATS", "Format", "Writer"]
