"""The `openai` SDK, which this project did not write, takes the simulated server for a real one."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from herogen_async.lab.simulator import Policy, serve


@pytest.fixture(scope="module", autouse=True)
def sdk() -> None:
    """Half a second of imports that is no test's own."""
    importlib.import_module("openai")


@contextmanager
def serving(**settings: Any) -> Iterator[str]:
    """The base URL of a server in a thread."""
    urls: list[str] = []
    ready = threading.Event()

    async def stand() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with serve(Policy(**settings)) as server:
            stops.append(lambda: loop.call_soon_threadsafe(stopped.set))
            urls.append(server.url)
            ready.set()
            await stopped.wait()

    stops: list[Any] = []
    thread = threading.Thread(target=lambda: asyncio.run(stand()))
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        stops[0]()
        thread.join()


@contextmanager
def client(**settings: Any) -> Iterator[Any]:
    import openai

    with serving(**settings) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=10) as client:
        yield client


def assert_as_declared(value: Any) -> None:
    """`value` keeps to the SDK's own declaration, strictly: the SDK itself builds its types unchecked."""
    kind = type(value)
    assert value == kind.model_validate_json(value.model_dump_json(), strict=True)
    assert not value.model_extra, f"undeclared: {value.model_extra}"


def test_the_sdk_reads_completions_parsed_and_raw() -> None:
    """The OpenAI SDK reads a completion as declared, and the raw call has the headers and the same text."""
    with client(rpm=60) as openai:
        parsed = openai.completions.create(model="m", prompt="Hi", max_tokens=30)
        assert_as_declared(parsed)
        assert_as_declared(parsed.choices[0])
        assert ("text_completion", "m", 30) == (parsed.object, parsed.model, parsed.usage.completion_tokens)
        assert parsed.choices[0].finish_reason in ("stop", "length")
        raw = openai.completions.with_raw_response.create(model="m", prompt="Hi", max_tokens=30)
        assert "58" == raw.headers["x-ratelimit-remaining-requests"]
        assert parsed.choices[0].text == raw.parse().choices[0].text
        assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_the_sdk_reads_a_chat_completion() -> None:
    """The OpenAI SDK reads a chat completion as declared, with consistent usage."""
    with client() as openai:
        parsed = openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], max_completion_tokens=30
        )
        assert_as_declared(parsed)
        assert_as_declared(parsed.choices[0].message)
        assert ("assistant", "chat.completion") == (parsed.choices[0].message.role, parsed.object)
        assert parsed.usage.total_tokens == parsed.usage.prompt_tokens + 30


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_sdk_reads_streamed_completions(include_usage: bool) -> None:
    """Streamed chunks add up to the whole completion, with usage only when asked for."""
    with client() as openai:
        whole = openai.completions.create(model="m", prompt="Hi", max_tokens=30)
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        chunks = list(openai.completions.create(model="m", prompt="Hi", max_tokens=30, stream=True, **options))
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    for chunk in (chunk.model_copy(deep=True) for chunk in chunks):
        for choice in chunk.choices:  # OpenAI's own server sends null there, which the SDK's declaration forgot
            choice.finish_reason = choice.finish_reason or "stop"
        assert_as_declared(chunk)
    assert whole.choices[0].text == "".join(choice.text for choice in told)
    assert whole.choices[0].finish_reason == told[-1].finish_reason
    assert {None} == {choice.finish_reason for choice in told[:-1]}
    assert [whole.usage] * include_usage == [chunk.usage for chunk in chunks if chunk.usage]


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_sdk_reads_streamed_chat(include_usage: bool) -> None:
    """Streamed chat chunks add up to the whole answer, with usage only when asked for."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 400}
    with client() as openai:
        whole = openai.chat.completions.create(**asked)
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        chunks = list(openai.chat.completions.create(**asked, stream=True, **options))
        with openai.chat.completions.stream(**asked) as stream:
            assembled = stream.get_final_completion()
    for chunk in chunks:
        assert_as_declared(chunk)
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert whole.choices[0].message.content == "".join(choice.delta.content or "" for choice in told)
    assert whole.choices[0].message.content == assembled.choices[0].message.content
    assert "assistant" == told[0].delta.role
    assert whole.choices[0].finish_reason == told[-1].finish_reason
    assert [whole.usage] * include_usage == [chunk.usage for chunk in chunks if chunk.usage]
    assert {include_usage} == {"usage" in chunk.model_fields_set for chunk in chunks}


def test_models_are_listed_and_found() -> None:
    """The SDK lists the served model and retrieves any name, even one with slashes and spaces."""
    with client() as openai:
        (listed,) = openai.models.list()
        assert_as_declared(listed)
        assert_as_declared(openai.models.retrieve("any/name at all"))
        assert "any/name at all" == openai.models.retrieve("any/name at all").id


@pytest.mark.parametrize(
    ("settings", "error", "status", "code"),
    [
        ({"faults": {"500": 1.0}}, "InternalServerError", 500, None),
        ({"faults": {"slow_down": 1.0}}, "InternalServerError", 503, "slow_down"),
        ({"faults": {"overloaded": 1.0}}, "InternalServerError", 503, "server_is_overloaded"),
        ({"faults": {"insufficient_quota": 1.0}}, "RateLimitError", 429, "insufficient_quota"),
        ({"rpm": 60, "saved": 0.0}, "RateLimitError", 429, "rate_limit_exceeded"),
    ],
)
def test_refusals_become_the_sdks_own_errors(settings: Any, error: str, status: int, code: str | None) -> None:
    """Each refusal raises the SDK's matching error with status, code, type and request id, streamed or not."""
    import openai as sdk

    with client(**settings) as openai:
        for stream in (False, True):
            with pytest.raises(getattr(sdk, error)) as caught:
                openai.completions.create(model="m", prompt="Hi", stream=stream)
            assert (status, code) == (caught.value.status_code, caught.value.code)
            assert caught.value.type
            assert caught.value.request_id


def test_client_mistakes_become_the_sdks_own_errors() -> None:
    """A bad parameter raises BadRequestError by name, and an unknown route raises NotFoundError."""
    import openai as sdk

    with client() as openai:
        with pytest.raises(sdk.BadRequestError) as bad:
            openai.completions.create(model="m", prompt=["a", "b"])
        assert "prompt" == bad.value.param
        with pytest.raises(sdk.NotFoundError) as absent:
            openai.embeddings.create(model="m", input="Hi")
        assert "unknown_url" == absent.value.code


@pytest.mark.parametrize("fault", ["reset", "cut", "hang"])
def test_broken_connections_become_the_sdks_own_errors(fault: str) -> None:
    """Resets and cuts raise APIConnectionError in the SDK, and a hang raises APITimeoutError."""
    import openai as sdk

    kind = sdk.APITimeoutError if fault == "hang" else sdk.APIConnectionError
    with client(faults={fault: 1.0}) as openai, pytest.raises(kind):
        openai.completions.create(model="m", prompt="Hi", timeout=0.2 if fault == "hang" else 10)


def test_a_stream_that_is_cut_is_an_error_and_no_short_answer() -> None:
    """A stream broken off early raises APIConnectionError in the SDK instead of ending as a short answer."""
    import openai as sdk

    with client(faults={"cut": 1.0}) as openai:
        chunks = openai.completions.create(model="m", prompt="Hi", max_tokens=30, stream=True)
        with pytest.raises(sdk.APIConnectionError):
            list(chunks)


def test_the_sdk_waits_as_long_as_it_is_told() -> None:
    """retry-after-ms is read by the SDK itself, which then succeeds."""
    with client(rpm=600, saved=0.0, retry_after="ms") as openai:
        patient = openai.with_options(max_retries=1)
        assert patient.completions.create(model="m", prompt="Hi").choices[0].text


def test_the_async_client_streams_and_asks_many_at_once() -> None:
    """The async SDK client gets eight concurrent answers, a matching stream, and errors as usual."""
    import openai as sdk

    async def ask(url: str) -> None:
        async with sdk.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=10) as openai:
            answers = await asyncio.gather(
                *(openai.completions.create(model="m", prompt=f"{number}", max_tokens=20) for number in range(8))
            )
            assert 8 == len({answer.choices[0].text for answer in answers})
            stream = await openai.completions.create(model="m", prompt="3", max_tokens=20, stream=True)
            assert answers[3].choices[0].text == "".join([chunk.choices[0].text async for chunk in stream])
            with pytest.raises(sdk.NotFoundError):
                await openai.embeddings.create(model="m", input="Hi")

    with serving() as url:
        asyncio.run(ask(url))
