"""The JSON Lines formats: one object per row, with the keys that its trainers read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from herogen_async.core import codec
from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.formats.text_columns import Columns, TextColumns
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import Recipe

_SHAREGPT_ROLES = {"user": "human", "assistant": "gpt"}

RowFormatter = Callable[[Recipe, Item], dict[str, Any]]


class JsonLines:
    """A file of lines, each formatted by `line`."""

    def __init__(self, file: HashedFile, recipe: Recipe, line: RowFormatter) -> None:
        self._file = file
        self._recipe = recipe
        self._line = line
        self._columns = TextColumns()

    def add(self, item: Item) -> None:
        """Write one row."""
        row = self._line(self._recipe, item)
        self._columns.add(row)
        self._file.write(codec.dumps(row) + b"\n")

    def columns(self) -> Columns | None:
        """Those of the rows so far."""
        return self._columns.found(self._file.size)

    def close(self) -> None:
        """Nothing is buffered."""


def prompt_completion(recipe: Recipe, item: Item) -> dict[str, Any]:
    """The columns of TRL and of the older hosted fine-tunes."""
    prompt, completion = recipe.taught(item.pair)
    return {"prompt": prompt, "completion": completion, **recipe.fields(item.pair, "reasoning")}


def messages(recipe: Recipe, item: Item) -> dict[str, Any]:
    """The chat rows of OpenAI and TRL.

    By default they leave out the spec's `system`: like the long prompt, it only served to get the answers. The tuned
    model should give them without it, and is asked without it. Thoughts have the two names by which chat templates take
    them: Qwen's, GLM's and most others' first, gpt-oss's second. Tool calls have their arguments as text, as services
    and axolotl read them.
    """
    return {"messages": _turns(recipe, item, is_text=True), **_tools(item)}


def _turns(recipe: Recipe, item: Item, *, is_text: bool) -> list[dict[str, Any]]:
    question, answer = recipe.taught(item.pair)
    thoughts = recipe.fields(item.pair, "reasoning_content", "thinking")
    system = [{"role": "system", "content": item.pair.system}] if item.pair.system else []
    earlier = [{"role": role, "content": text} for role, text in item.pair.earlier]
    calls = [call.as_message(is_text=is_text) for call in item.pair.tool_calls]
    return [
        *system,
        *earlier,
        {"role": "user", "content": question},
        {"role": "assistant", **thoughts, "content": answer, **({"tool_calls": calls} if calls else {})},
    ]


def _tools(item: Item) -> dict[str, Any]:
    """What was offered: without it, a model learns to call what it can't know of."""
    return {"tools": list(item.pair.tools)} if item.pair.tools else {}


def alpaca(recipe: Recipe, item: Item) -> dict[str, Any]:
    """Stanford Alpaca's columns."""
    question, answer = recipe.taught(item.pair)
    return {"instruction": question, "input": "", "output": answer, **recipe.fields(item.pair, "reasoning")}


def sharegpt(recipe: Recipe, item: Item) -> dict[str, Any]:
    """ShareGPT's turns."""
    question, answer = recipe.taught(item.pair)
    system = [{"from": "system", "value": item.pair.system}] if item.pair.system else []
    earlier = [{"from": _SHAREGPT_ROLES[role], "value": text} for role, text in item.pair.earlier]
    turns = [*system, *earlier, {"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, **recipe.fields(item.pair, "reasoning")}


def text(recipe: Recipe, item: Item) -> dict[str, Any]:
    """Question and answer as one text, for continued pretraining."""
    return {"text": "".join(recipe.taught(item.pair))}


def conversational(recipe: Recipe, item: Item) -> dict[str, Any]:
    """TRL's conversational prompt-completion: all messages before the answer, and the answer's message.

    Tool calls have their arguments as objects, since most chat templates write out what they are given.
    """
    *asked, answer = _turns(recipe, item, is_text=False)
    return {"prompt": asked, "completion": [answer], **_tools(item)}


def prompt_alone(recipe: Recipe, item: Item) -> dict[str, Any]:
    """What TRL's GRPO reads: the model that is trained answers by itself."""
    return {"prompt": _turns(recipe, item, is_text=True)[:-1]}


def labelled(recipe: Recipe, item: Item) -> dict[str, Any]:
    """TRL's KTO columns, with the marks of prompt-completion, as those of DPO have them."""
    prompt, completion = recipe.taught(item.pair)
    return {"prompt": prompt, "completion": completion, "label": bool(item.is_better)}


def preference(recipe: Recipe, item: Item) -> dict[str, Any]:
    """TRL's DPO columns, with the marks of prompt-completion: a model tuned on that can continue with this."""
    assert item.rejected is not None
    prompt, chosen = recipe.taught(item.pair)
    return {"prompt": prompt, "chosen": chosen, "rejected": recipe.taught(item.rejected)[1]}
