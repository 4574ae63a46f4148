"""Tool calls are taught as trainers read them, and where they can't be, the result says so."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

import herogen_async
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.data.dataset.tool_calls import tool_calls_of
from herogen_async.generation.settings import Settings
from herogen_async.lab.simulator import Policy, SimulatedServer, serve
from herogen_async.specs.spec import Spec
from herogen_async.tune.finetune.rows.row_checks import checked_rows
from support.run_folders import WrittenRun
from support.runs import small_spec

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}, "year": {"type": "integer"}}},
    },
}
OTHER = {"type": "function", "function": {"name": "now"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"name": "Ada", "year": 1815}'}}
SECOND = {"id": "c2", "type": "function", "function": {"name": "now", "arguments": ""}}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def offering(**changes: Any) -> Spec:
    """A spec whose requests offer two tools."""
    return small_spec(endpoint="chat", sampling={"max_tokens": 60, "extra": {"tools": [TOOL, OTHER]}}, **changes)


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    """A text, a call, a text with two calls, one that was cut off, and one whose arguments are no JSON."""
    run = WrittenRun(tmp_path / "run", offering(), settings=Settings(limit=5))
    cut = {**CALL, "function": {"name": "look_up", "arguments": '{"name": "A'}}
    run.write(
        [
            run.answer(0, "A tale."),
            run.answer(1, "", "tool_calls", extra={"tool_calls": [CALL]}),
            run.answer(2, "Let me see.", "stop", extra={"tool_calls": [CALL, SECOND]}),
            run.answer(3, "", "length", extra={"tool_calls": [cut]}),
            run.answer(4, "", "tool_calls", extra={"tool_calls": [cut]}),
        ]
    )
    return run


def lines_of(assembled: Assembled) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]


def test_messages_have_tool_calls_as_services_read_them(run: WrittenRun) -> None:
    """Arguments as the model wrote them, in a text; the tools that were offered beside the messages."""
    assembled = assemble(run.path, format="messages")
    text, call, both = lines_of(assembled)
    assert {"role": "assistant", "content": "A tale."} == text["messages"][-1]
    assert {"role": "assistant", "content": "", "tool_calls": [CALL]} == call["messages"][-1]
    second = {**SECOND, "function": {"name": "now", "arguments": "{}"}}
    assert {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL, second]} == both["messages"][-1]
    assert [[TOOL, OTHER]] * 3 == [row["tools"] for row in (text, call, both)]


def test_conversational_rows_have_arguments_as_objects(run: WrittenRun) -> None:
    """As TRL hands them to chat templates."""
    _, call, both = lines_of(assemble(run.path, format="conversational"))
    ((answer,), tools) = call["completion"], call["tools"]
    assert {"name": "look_up", "arguments": {"name": "Ada", "year": 1815}} == answer["tool_calls"][0]["function"]
    assert {"name": "now", "arguments": {}} == both["completion"][0]["tool_calls"][1]["function"]
    assert [TOOL, OTHER] == tools


def test_what_can_not_be_taught_is_counted_and_said(run: WrittenRun) -> None:
    """A cut call is cut off, broken arguments are left out by themselves, and the report says how many there are."""
    assembled = assemble(run.path, format="messages", truncated="trim")
    assert (3, 2, {"length": 1}, {"arguments": 1}) == (
        assembled.written,
        assembled.count.tool_calls,
        dict(assembled.count.cut_off),
        dict(assembled.count.tool_calls_left_out),
    )
    lines = assembled.lines()
    assert "Left out, tool calls whose arguments are no JSON object: 1." in lines
    assert any(line.startswith("Tool calls in 2 answers: their arguments are text") for line in lines)
    assert {"arguments": 1} == assembled.as_dict()["left_out"]["tool_calls"]
    assert 2 == assemble(run.path, format="messages", truncated="keep").count.tool_calls_left_out["arguments"]


@pytest.mark.parametrize("name", ["prompt-completion", "alpaca", "sharegpt", "text", "parquet"])
def test_a_format_without_a_place_leaves_them_out_and_says_so(run: WrittenRun, name: str) -> None:
    """Also a text beside which tools are called: its half would be a lie."""
    assembled = assemble(run.path, format=name)
    assert (1, {"format": 4}) == (assembled.written, dict(assembled.count.tool_calls_left_out))
    why = f"Left out, tool calls, for which format {name} has no place: 4 (use --format messages or conversational)."
    assert why in assembled.lines()
    assert "4 (use" in assembled.card.read_text()


def test_questions_alone_are_those_of_every_whole_answer(run: WrittenRun) -> None:
    """`prompts` has no answers in it, and so no tool calls to lose, whatever their arguments are."""
    assembled = assemble(run.path, format="prompts")
    assert ({}, {"length": 1}) == (dict(assembled.count.tool_calls_left_out), dict(assembled.count.cut_off))
    assert 4 == assembled.written + assembled.count.repeated


@pytest.mark.parametrize(
    "arguments",
    [
        '{"x": NaN}',
        '{"x": [{"y": 99999999999999999999}]}',
        '{"x": 9223372036854775808}',
        '{"x": 1e999}',
        '{"x": "\\ud800"}',
    ],
)
def test_arguments_that_readers_would_change_are_no_json_object(arguments: str) -> None:
    """Each makes a file that a reader refuses, or takes for something else."""
    assert tool_calls_of({"extra": {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}}) is None


@pytest.mark.parametrize(
    "arguments", ['{"x": "9999999999999999999999"}', '{"x": -9223372036854775808, "y": [0.1, true]}']
)
def test_arguments_of_any_length_are_taught(arguments: str) -> None:
    """Digits in a text, and the least whole number, are kept as they are."""
    (call,) = tool_calls_of({"extra": {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}}) or ()
    assert arguments == call.arguments


def test_configurations_are_for_trainers_that_read_tool_calls(run: WrittenRun) -> None:
    """TRL gets `conversational`, axolotl `messages`; none is told to read what it would change."""
    found = {name: assemble(run.path, format=name).folder for name in ("messages", "conversational")}
    stubs = ("trl.yaml", "axolotl.yaml", "dataset_info.json")
    assert [False, True, False] == [(found["messages"] / stub).exists() for stub in stubs]
    assert [True, False, False] == [(found["conversational"] / stub).exists() for stub in stubs]
    assert 'path: "../messages"' in (found["messages"] / "axolotl.yaml").read_text()


def test_datasets_reads_tool_calls_as_they_were_written(
    run: WrittenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each object with its own keys, also where the first rows call nothing."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    datasets = pytest.importorskip("datasets")
    for name, column in (("messages", "messages"), ("conversational", "completion")):
        made = assemble(run.path, format=name)
        rows = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path / "cache"))["train"]
        read = [[without_null(each) for each in row[column]] for row in rows]
        assert [row[column] for row in lines_of(made)] == read
        assert [[TOOL, OTHER]] * 3 == [without_null(row["tools"]) for row in rows]


def test_duckdb_reads_rows_with_tool_calls(run: WrittenRun) -> None:
    """By the statement on the card."""
    duckdb = pytest.importorskip("duckdb")
    made = assemble(run.path, format="messages")
    (statement,) = [line for line in made.card.read_text().splitlines() if line.startswith('duckdb.sql("""from')]
    query = statement.removeprefix('duckdb.sql("""').removesuffix('""")').replace("messages.jsonl", str(made.data))
    with duckdb.connect() as database:
        assert 3 == len(database.execute(query).fetchall())


def without_null(value: Any) -> Any:
    """What `datasets` adds where a row lacks a key, taken away as trainers do."""
    if isinstance(value, list):
        return [without_null(each) for each in value]
    if isinstance(value, dict):
        return {name: without_null(each) for name, each in value.items() if each is not None}
    return value


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, ("call_1", "f", '{"a":1}')),
        ({"tool_calls": [{"id": "x", "function": {"name": "f"}}]}, ("x", "f", "{}")),
        ({"function_call": {"name": "f", "arguments": '{"a": 0.10}'}}, ("call_1", "f", '{"a": 0.10}')),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}, None),
        ({"tool_calls": [{"function": {"arguments": "{}"}}]}, None),
        ({"tool_calls": "f()"}, None),
    ],
)
def test_tool_calls_are_read_in_each_servers_shape(extra: dict[str, Any], found: tuple[str, str, str] | None) -> None:
    """An object, nothing or a text as arguments, with an id or without, and the older single call."""
    assert (None if found is None else (found,)) == tool_calls_of({"extra": extra})


def test_the_tools_of_the_column_that_is_taught_stand_beside_it(tmp_path: Path) -> None:
    """And a `train` that ends with such an answer keeps its calls; one that quotes it says what it leaves out."""
    offer = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    columns = {
        "question": {"prompt": "Ask about {age}."},
        "solution": {"prompt": "{question}", "sampling": {"extra": offer}},
    }
    spec = Spec(name="two", attributes={"age": ["20", "30", "40", "50"]}, columns=columns, endpoint="chat")
    run = tmp_path / "r"

    async def answered(server: SimulatedServer, train: dict[str, str] | None = None) -> None:
        more = spec if train is None else spec.replace(train=train)
        await herogen_async.arun(more, run=run, base_url=server.url, model="m")
        assert 8 == server.stats()["answered"]

    async def told() -> None:
        async with serve(Policy(seed=5)) as server:
            await answered(server)
            rows = lines_of(assemble(run, format="messages", column="solution"))
            assert [[TOOL]] * 4 == [row["tools"] for row in rows]
            assert [["look_up"]] * 4 == [names_in(row) for row in rows]
            assert "tools" not in lines_of(assemble(run, format="messages", column="question"))[0]
            await answered(server, {"user": "{question}", "assistant": "{solution}"})
            assert [["look_up"]] * 4 == [names_in(row) for row in lines_of(assemble(run, format="messages"))]
            await answered(server, {"user": "{question}", "assistant": "So: {solution}"})
            lost = assemble(run, format="messages")
            assert (0, {"turn": 4}) == (lost.written, dict(lost.count.tool_calls_left_out))
            assert any("that `train` does not put at the end" in line for line in lost.lines())

    asyncio.run(told())


def names_in(row: dict[str, Any]) -> list[str]:
    """The functions that the last message of a row calls."""
    return [call["function"]["name"] for call in row["messages"][-1]["tool_calls"]]


def test_a_run_whose_model_calls_tools_becomes_rows_end_to_end(tmp_path: Path) -> None:
    """At a server that calls them in half of its answers: nothing is asked twice, and each answer is taught."""
    spec = offering(values=20, repeats=1)

    async def answered() -> None:
        async with serve(Policy(seed=1)) as server:
            report = await herogen_async.arun(spec, run=tmp_path / "r", base_url=server.url, model="m")
            assert ("done", 0, 40) == (report.state, report.exit_code, server.stats()["requests"])

    asyncio.run(answered())
    assembled = assemble(tmp_path / "r", format="messages", truncated="keep")
    reasons = [row["finish_reason"] for row in herogen_async.rows(tmp_path / "r")]
    assert (40, reasons.count("tool_calls")) == (assembled.written, assembled.count.tool_calls)
    assert 10 < assembled.count.tool_calls < 30
    assert 40 == checked_rows(assembled.data, assembled.how).rows  # by a service's rules
    assert reasons.count("length") == assembled.quality.count("cut")
    assert "look_up(" in assembled.report.read_text()
