"""Data sets for the trainers' own readers, which run in environments of their own, and the rows as they should come."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from herogen_async.data.dataset import Assembled, assemble
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun
from support.runs import small_spec

TESTS = Path(__file__).parents[1]
HAZARD = 'Hero "0", \u2028 two\nlines; <b>{bold} {instruction}</b> | --- \U0001f9b8 é \\n { { }}.'
TEXTS = [HAZARD, "42", "007", "null", "true", "1.50", *(f"Hero {at} is {'very ' * at}brave." for at in range(6, 20))]
TURNS = [
    {"system": "Be brief, {age}."},
    {"user": "Hello from a {gender}."},
    {"assistant": "Ask me."},
    {"user": "Describe {age}."},
    {"assistant": "{response_txt}"},
]
PARAMETERS = {"type": "object", "properties": {"year": {"type": "integer"}}}
TOOLS = [
    {"type": "function", "function": {"name": "look_up", "description": "Finds.", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now"}},
]
CALLS = [
    {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"year": 1815, "more": {"a": []}}'}},
    {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
]
DATES = ["2026-05-01", "2026-05-02", "1999-12-31", "2026-05-01T10:00:00Z"]

Segments = list[tuple[bool, str]]


def python_with(library: str, variable: str) -> str:
    """The interpreter that has `library`: the one that `variable` names, or this one; skips where there is none."""
    if python := os.environ.get(variable):
        return python
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed here, and {variable} names no Python that has it")
    return sys.executable


def read_by(script: str, python: str, model: Path, folders: Sequence[Any]) -> list[dict[str, Any]]:
    """What the script of this name says of each folder."""
    model.mkdir(parents=True, exist_ok=True)
    more = {"PYTHONPATH": str(TESTS), "HF_HOME": str(model / "cache"), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [python, "-m", f"support.{script}"],
        input=json.dumps({"model": str(model), "folders": folders}),
        env={**os.environ, **more, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        cwd=model,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def made_sets(folder: Path) -> dict[str, Assembled]:
    """Each format of the same answers in two files, and sets with turns, thoughts, tool calls, dates and odd names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)  # no pictures: they cost a second a data set
        plain = written(folder / "runs" / "plain", small_spec(endpoint="chat"), TEXTS)
        ranking = folder / "scores.csv"
        ranking.write_text("index,score\n" + "".join(f"{index},{index}\n" for index in range(len(TEXTS))))
        made = {}
        for name in ("messages", "alpaca", "sharegpt", "text", "prompt-completion", "parquet", "dpo", "kto"):
            more: dict[str, Any] = {"ranking": ranking} if name in ("dpo", "kto") else {}
            made[name] = assemble(plain, format=name, out=folder / name, split=0.2, **more)
        turns = written(folder / "runs" / "turns", small_spec(endpoint="chat", train=TURNS), TEXTS)
        thoughts = written(folder / "runs" / "thoughts", small_spec(endpoint="chat"), ["A hero.", "No."], "Who is it?")
        offer = small_spec(endpoint="chat", sampling={"extra": {"tools": TOOLS}})
        calling = written(folder / "runs" / "tools", offer, ["A hero.", "Let me see."], "Who is it?", CALLS)
        dates = Spec(name="d", attributes={"date": DATES}, prompt="Say {date}.", sub_prompt="{date}", endpoint="chat")
        dated = written(folder / "runs" / "dates", dates, DATES)
        for name in ("messages", "sharegpt"):
            made[f"turns {name}"] = assemble(turns, format=name, out=folder / f"turns {name}")
            made[f"think {name}"] = assemble(thoughts, format=name, reasoning="think", out=folder / f"think {name}")
        for name in ("messages", "sharegpt", "alpaca", "text", "prompt-completion"):
            made[f"dates {name}"] = assemble(dated, format=name, out=folder / f"dates {name}")
        made["field"] = assemble(thoughts, format="messages", reasoning="field", out=folder / "field")
        made["tools"] = assemble(calling, format="messages", reasoning="field", system="Be wise.", out=folder / "tools")
        names = {"system": ["S1", "S2"], "input": ["I1"], "instruction": ["x"]}
        odd = Spec(name="odd", attributes=names, prompt="{system}{input}{instruction}", endpoint="chat")
        made["odd"] = assemble(
            written(folder / "runs" / "odd", odd, ["A.", "B."]), format="parquet", out=folder / "odd"
        )
        return made


def written(
    folder: Path, spec: Spec, texts: Sequence[str], thoughts: str | None = None, calls: list[Any] | None = None
) -> Path:
    """A run with these answers, the first with thoughts, the last with tool calls, where there are any."""
    run = WrittenRun(folder, spec, settings=Settings(limit=len(texts)))
    last = len(texts) - 1
    run.write(
        run.answer(
            index,
            text,
            reasoning=thoughts if index == 0 else None,
            extra={"tool_calls": calls} if calls and index == last else None,
        )
        for index, text in enumerate(texts)
    )
    return run.path


def rows_of(path: Path | None) -> list[dict[str, Any]]:
    """The rows of a file as they were written."""
    assert path is not None
    if path.suffix == ".parquet":
        import pyarrow.parquet

        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def conversation(row: dict[str, Any], *, is_newline_learned: bool = False) -> Segments:
    """How a row of messages comes through the template of `tiny_tokenizer`, the loss on the assistant alone."""
    pieces: Segments = []
    if "tools" in row:
        pieces.append((False, f"<|im_start|>tools\n{json.dumps(row['tools'])}<|im_end|>\n"))
    for turn in turns_of(row):
        is_learned = turn["role"] == "assistant"
        thoughts = f"<think>{turn['reasoning_content']}</think>" if turn.get("reasoning_content") else ""
        functions = [call["function"] for call in turn.get("tool_calls", ())]
        calls = [f"<call>{each['name']} {json.dumps(json.loads(each['arguments']))}</call>" for each in functions]
        pieces.append((False, f"<|im_start|>{turn['role']}\n"))
        pieces.append((is_learned, f"{thoughts}{turn['content']}{''.join(calls)}<|im_end|>"))
        pieces.append((is_learned and is_newline_learned, "\n"))
    return joined(pieces)


def turns_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a row of a chat format."""
    if "instruction" in row:
        return [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    return row.get("messages") or [
        {"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]
    ]


def joined(pieces: Segments) -> Segments:
    """Neighbours that are both learned, or both not, as one."""
    found: Segments = []
    for is_learned, text in pieces:
        before = found.pop()[1] if found and found[-1][0] == is_learned else ""
        found.append((is_learned, before + text))
    return found


def as_written(rows: list[Any]) -> list[str]:
    """Rows in any order, to compare: trainers shuffle."""
    return sorted(json.dumps(row) for row in rows)
