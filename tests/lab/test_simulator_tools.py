"""The simulated server calls the tools that it is offered, and has thoughts where it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import assemble
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.translate import completion_from
from herogen_async.lab.simulator import Policy, SimulatedServer, serve
from herogen_async.lab.simulator.policy import REASONING_PLACES
from herogen_async.specs.spec import Spec
from support.runs import small_spec

LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}, "year": {"type": "integer"}}},
    },
}
NOW = {"type": "function", "function": {"name": "now"}}
PLACES = [place for place in REASONING_PLACES if place != "none"]


def asked(number: int, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": f"Question {number}?"}], **more}


async def answer_to(client: httpx2.AsyncClient, server: SimulatedServer, body: dict[str, Any]) -> Completion:
    """What a client reads of it."""
    reply = await client.post(f"{server.url}/chat/completions", json=body)
    assert 200 == reply.status_code, reply.text
    return completion_from(reply.content, lambda _: None, chat=True, redact=Redactor())


def answers(policy: Policy, *bodies: dict[str, Any]) -> list[Completion]:
    async def every() -> list[Completion]:
        async with serve(policy) as server, httpx2.AsyncClient(verify=False) as client:
            return [await answer_to(client, server, body) for body in bodies]

    return asyncio.run(every())


def calls_in(completion: Completion) -> list[dict[str, Any]]:
    calls = (completion.extra or {}).get("tool_calls", [])
    return [{name: value for name, value in call.items() if name != "index"} for call in calls]


def test_tools_are_called_in_half_of_the_answers() -> None:
    """With arguments of their schema and the finish reason that says so; the other answers are texts."""
    found = answers(Policy(), *(asked(number, tools=[LOOK_UP, NOW]) for number in range(60)))
    called = [each for each in found if calls_in(each)]
    assert 15 < len(called) < 45
    assert [each.finish_reason == "tool_calls" and not each.text for each in called] == [True] * len(called)
    assert all(each.text and each.finish_reason == "stop" for each in found if each not in called)
    assert {1, 2} == set(map(len, map(calls_in, called)))
    names = Counter(call["function"]["name"] for each in called for call in calls_in(each))
    assert {"look_up", "now"} == set(names)
    for call in (call for each in called for call in calls_in(each)):
        keys = set(orjson.loads(call["function"]["arguments"]))
        assert ({"name", "year"} if call["function"]["name"] == "look_up" else set()) == keys


def test_a_tool_choice_is_kept_to() -> None:
    """None, any, or one by its name; and one call at a time where that is asked for."""
    named = {"type": "function", "function": {"name": "now"}}
    choices: list[Any] = ["none", "required", named]
    bodies = [
        asked(number, tools=[LOOK_UP, NOW], tool_choice=choice, parallel_tool_calls=False)
        for choice in choices
        for number in range(20)
    ]
    found = [calls_in(each) for each in answers(Policy(), *bodies)]
    assert [[]] * 20 == found[:20]
    assert [1] * 40 == [len(each) for each in found[20:]]
    assert ["now"] * 20 == [calls[0]["function"]["name"] for calls in found[40:]]


@pytest.mark.parametrize("more", [{"tools": "look_up"}, {"tools": [{}]}, {"tools": [NOW], "tool_choice": LOOK_UP}])
def test_what_is_no_tool_is_refused(more: dict[str, Any]) -> None:
    """As the API does: 400, with the parameter's name."""

    async def refused() -> httpx2.Response:
        async with serve(Policy()) as server, httpx2.AsyncClient(verify=False) as client:
            return await client.post(f"{server.url}/chat/completions", json=asked(1, **more))

    reply = asyncio.run(refused())
    assert (400, "tools") == (reply.status_code, reply.json()["error"]["param"])


def test_a_streamed_answer_says_what_a_whole_one_says() -> None:
    """Text, thoughts and tool calls, wherever the thoughts are."""
    bodies = [asked(number, tools=[LOOK_UP, NOW]) for number in range(12)]
    streamed = [{**body, "stream": True, "stream_options": {"include_usage": True}} for body in bodies]
    for place in REASONING_PLACES:
        whole, pieces = answers(Policy(reasoning=place), *bodies), answers(Policy(reasoning=place), *streamed)
        assert [(each.text, each.reasoning, each.finish_reason, each.usage, calls_in(each)) for each in whole] == [
            (each.text, each.reasoning, each.finish_reason, each.usage, calls_in(each)) for each in pieces
        ], place
        assert (place != "none") == all(each.reasoning for each in whole), place


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_servers_that_put_thoughts_elsewhere_give_equal_rows(tmp_path: Path, endpoint: str) -> None:
    """In a field of either name, in tags, or before a lone closing tag: same rows, and same training rows."""

    async def made() -> None:
        for place in PLACES:
            async with serve(Policy(reasoning=place)) as server:
                spec = small_spec(endpoint=endpoint, values=3, repeats=1, sampling={"max_tokens": 400})
                await herogen_async.arun(spec, run=tmp_path / place, base_url=server.url, model="m")

    asyncio.run(made())
    shown = ("index", "prompt", "response_txt", "reasoning", "finish_reason", "usage")
    rows = [[{name: row[name] for name in shown} for row in herogen_async.rows(tmp_path / place)] for place in PLACES]
    assert 6 == len(rows[0])
    assert [rows[0]] * len(PLACES) == rows
    for treatment in ("drop", "think", "field"):
        files = {
            assemble(tmp_path / place, format="messages", reasoning=treatment).data.read_bytes() for place in PLACES
        }
        assert 1 == len(files), treatment
        last = orjson.loads(files.pop().splitlines()[0])["messages"][-1]
        thoughts = rows[0][0]["reasoning"]
        assert (treatment == "think") == last["content"].startswith(f"<think>\n{thoughts}\n</think>\n\n")
        assert {"field": thoughts}.get(treatment) == last.get("reasoning_content") == last.get("thinking")


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_with_thoughts_fits_its_form(tmp_path: Path, place: str) -> None:
    """Wherever they are, the form is asked of the answer alone: nothing is requested again."""
    columns = {"grade": {"prompt": "grade {n}", "answer": {"score": "integer", "why": "string"}}}
    spec = Spec(name="s", attributes={"n": ["1", "2", "3"]}, columns=columns, endpoint="chat")

    async def run() -> int:
        async with serve(Policy(reasoning=place)) as server:
            await herogen_async.arun(spec, run=tmp_path / "r", base_url=server.url, model="m")
            return server.stats()["requests"]

    assert 3 == asyncio.run(run())
    answers = [row["columns"]["grade"] for row in herogen_async.rows(tmp_path / "r")]
    assert [{"score", "why"}] * 3 == [set(each["value"]) for each in answers]
    assert all(each["reasoning"] for each in answers)


def test_thoughts_take_tokens_from_the_answer() -> None:
    """So that no answer has more than it may have; the usage says how many they were."""
    (short,) = answers(Policy(reasoning="reasoning"), asked(1, max_tokens=20))
    assert 20 == short.usage["completion_tokens"]
    thought = short.usage["completion_tokens_details"]["reasoning_tokens"]
    assert (thought, 20 - thought) == (len((short.reasoning or "").split()), len(short.text.split()))


def test_an_unknown_place_for_thoughts_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(InputError, match="unknown reasoning 'tags'") as raised:
        Policy(reasoning="tags")
    assert "reasoning_content" in (raised.value.fix or "")
