"""One call says what this machine and an endpoint are, and every failure is a sentence with a fix."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.core.limits import DAY_S, MINUTE_S, Reading
from herogen_async.generation.endpoint.http.transport import HttpResponse
from herogen_async.lab.doctor import Diagnosis, ServedModel, diagnose, diagnosis_lines, probe
from herogen_async.lab.doctor.advice import minute_limits
from herogen_async.lab.doctor.model_list import models_in
from herogen_async.lab.doctor.software import software_from
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json

KEY = "canary-7f3a9c1e-b2d4"
LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199990",
    "x-ratelimit-reset-tokens": "3ms",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


def diagnosed(
    server: FakeServer | str | None,
    folder: Path,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Diagnosis:
    url = server.url if isinstance(server, FakeServer) else server
    given = {"OPENAI_API_KEY": KEY} if environment is None else environment
    diagnosis = asyncio.run(
        diagnose(url, model, endpoint=endpoint, environment=given, folder=folder, clock=MonotonicClock())
    )
    shown = json.dumps(diagnosis.as_dict()) + "\n".join(diagnosis_lines(diagnosis)) + repr(diagnosis)
    assert KEY not in shown
    assert [] == list(folder.iterdir())
    for finding in diagnosis.findings:
        assert finding.fix or not finding.blocks, "a problem without a fix"
    return diagnosis


def listing(diagnosis: Diagnosis) -> dict[str, str]:
    """The rows by name; a row without a name belongs to the one before."""
    rows: dict[str, str] = {}
    name = ""
    for line in diagnosis_lines(diagnosis):
        if line.startswith("  ") and not line.startswith("  fix"):
            name = line[2:16].strip() or name
            rows[name] = f"{rows[name]}; {line[17:]}" if line[2:16].strip() == "" else line[17:]
    return rows


def problems(diagnosis: Diagnosis) -> str:
    return " | ".join(f"{finding.what} -> {finding.fix}" for finding in diagnosis.findings if finding.blocks)


def only(kind: str) -> Callable[[Asked], Reply]:
    """A server that has one route."""
    path = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}[kind]
    return lambda asked: answer(asked) if asked.path == path else error(404, None, "no such route")


def test_a_healthy_server_is_shown_with_a_run_that_fits(tmp_path: Path) -> None:
    """A healthy server is reported with its latencies, its routes and a run that fits."""
    with FakeServer(models=("m",)) as server:
        diagnosis = diagnosed(server, tmp_path)
        assert diagnosis.usable
        assert () == diagnosis.findings
        seen = diagnosis.endpoint
        assert seen is not None
        assert (True, False, "OPENAI_API_KEY", "m", 2) == (
            seen.reachable,
            seen.secure,
            seen.key,
            seen.model,
            seen.requests,
        )
        assert [("completions", True), ("chat", True)] == [(route.kind, route.answers) for route in seen.routes]
        assert seen.models_ms is not None
        assert all(0 < (route.latency_ms or 0) < 10_000 for route in seen.routes)
        assert f"herogen-async run --limit 8 --base-url {server.url} --endpoint completions" in diagnosis.next
        assert "--rpm" not in diagnosis.next
        rows = listing(diagnosis)
        assert "no limit headers" == rows["limits"]
        assert "2 requests of a few tokens" == rows["cost"]
        assert [{"max_tokens": 1}] * 2 == [
            {name: value for name, value in asked.body.items() if name == "max_tokens"} for asked in server.asked
        ]


@pytest.mark.parametrize(("kind", "other"), [("chat", "completions"), ("completions", "chat")])
def test_a_server_with_one_route_can_be_used_and_the_run_takes_that_one(tmp_path: Path, kind: str, other: str) -> None:
    """A server with only one of chat and completions is usable, and the run command names that one."""
    with FakeServer(only(kind)) as server:
        diagnosis = diagnosed(server, tmp_path)
        assert diagnosis.usable
        assert f"--endpoint {kind}" in diagnosis.next
        rows = listing(diagnosis)
        assert rows[kind].startswith("answered in")
        assert rows[other].startswith("no answer: HTTP 404")
        assert not diagnosed(server, tmp_path, endpoint=other).usable
        alone = diagnosed(server, tmp_path, endpoint=kind)
        assert alone.endpoint is not None
        assert 1 == alone.endpoint.requests


def test_limits_in_headers_are_told_and_become_the_runs(tmp_path: Path) -> None:
    """Limits found in response headers are listed and passed to the suggested run command."""
    with FakeServer(lambda asked: replace(answer(asked), headers=LIMITS)) as server:
        diagnosis = diagnosed(server, tmp_path)
    assert diagnosis.endpoint is not None
    assert 2 == len(diagnosis.endpoint.readings)
    assert "requests: 500 per minute" in listing(diagnosis)["limits"]
    assert "199,990 left, full again in 0.003 s" in listing(diagnosis)["limits"]
    assert "--rpm 500 --tpm 200000 --concurrency auto" in diagnosis.next


def test_a_rate_limited_server_is_usable_and_shows_its_limits(tmp_path: Path) -> None:
    """A server that is rate limiting right now is usable, and its limits are read."""
    with FakeServer(lambda asked: replace(error(429, "rate_limit_exceeded"), headers=LIMITS)) as server:
        diagnosis = diagnosed(server, tmp_path)
    assert diagnosis.usable
    assert "429" in diagnosis.findings[0].what
    assert "--rpm 500" in diagnosis.next


@pytest.mark.parametrize("lists", [True, False])
def test_a_refused_key_is_a_problem_and_is_not_shown(tmp_path: Path, lists: bool) -> None:
    """A 401 makes one finding that names OPENAI_API_KEY, and no run command is suggested."""
    refusal = error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")
    with FakeServer(lambda asked: refusal) as server:
        server.listing = None if lists else refusal
        diagnosis = diagnosed(server, tmp_path)
    assert not diagnosis.usable
    assert 1 == len(diagnosis.findings)
    assert "401" in problems(diagnosis)
    assert "OPENAI_API_KEY" in problems(diagnosis)
    assert diagnosis.as_dict()["run"] is None


def test_words_of_a_server_that_hold_the_key_are_hidden(tmp_path: Path) -> None:
    """An API key echoed in headers or model listings never reaches the diagnosis."""
    with FakeServer(lambda asked: replace(answer(asked), headers={"server": KEY})) as server:
        server.listing = Reply({"data": [{"id": "m", "owned_by": KEY, "shutdown_date": KEY}, {"id": KEY}]})
        diagnosed(server, tmp_path, model="m")


def test_an_exhausted_quota_is_a_problem(tmp_path: Path) -> None:
    """A server that answers insufficient_quota is reported with the advice to top up."""
    with FakeServer(lambda asked: error(429, "insufficient_quota")) as server:
        diagnosis = diagnosed(server, tmp_path)
    assert "top it up" in problems(diagnosis)


def test_a_web_page_is_not_taken_for_a_server(tmp_path: Path) -> None:
    """HTML answers make the server unusable and point to the base URL."""
    with FakeServer(lambda asked: Reply(b"<html>hello")) as server:
        server.listing = Reply(b"<html>hello")
        diagnosis = diagnosed(server, tmp_path)
        named = diagnosed(server, tmp_path, model="m")
    assert not diagnosis.usable
    assert "base-url" in problems(diagnosis)
    assert not named.usable
    assert "HTML" in problems(named)


def test_a_base_url_without_its_end_is_fixed(tmp_path: Path) -> None:
    with FakeServer() as server:
        server.listing = error(404)
        diagnosis = diagnosed(server.url.removesuffix("/v1"), tmp_path)
        assert not diagnosis.usable
        assert any(f"did you mean --base-url {server.url}?" == finding.fix for finding in diagnosis.findings)


def test_a_refused_connection_is_a_problem(tmp_path: Path) -> None:
    """A closed port is reported as unreachable, with the advice to start the server."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        diagnosis = diagnosed(f"http://127.0.0.1:{closed.getsockname()[1]}/v1", tmp_path)
    assert diagnosis.endpoint is not None
    assert not diagnosis.endpoint.reachable
    assert "no connection" in problems(diagnosis)
    assert "start the server" in problems(diagnosis)


def test_a_server_without_a_model_list_gets_the_named_model(tmp_path: Path) -> None:
    """A server that lists no models is asked for the model that was named."""
    with FakeServer() as server:
        server.listing = error(404)
        named = diagnosed(server, tmp_path, model="m")
        unnamed = diagnosed(server, tmp_path)
    assert named.usable
    assert "--model m" in named.next
    assert not unnamed.usable
    assert any("--model" in (finding.fix or "") for finding in unnamed.findings)


def test_several_models_get_no_request_until_one_is_named(tmp_path: Path) -> None:
    """With several models listed nothing is sent until one is named, and an unlisted name is reported."""
    with FakeServer(models=("a", "b")) as server:
        unnamed = diagnosed(server, tmp_path)
        assert unnamed.usable
        assert [] == server.asked
        assert "--model a" in unnamed.next
        named = diagnosed(server, tmp_path, model="b")
        assert {"b"} == {asked.body["model"] for asked in server.asked}
        assert "--model b" in named.next
        other = diagnosed(server, tmp_path, model="c")
        assert "'c' is not in the server's list" in other.findings[0].what


def test_an_answering_model_that_is_not_listed_stays_in_the_run(tmp_path: Path) -> None:
    """A model that answered but is not the listed one stays in the suggested run."""
    with FakeServer(models=("m",)) as server:
        assert "--model n" in diagnosed(server, tmp_path, model="n").next
        assert "--model" not in diagnosed(server, tmp_path, model="m").next


def test_a_server_that_was_reached_is_not_told_to_be_started(tmp_path: Path) -> None:
    """A server that answers 500 gets the advice to read its log, not to start it."""
    with FakeServer(lambda asked: error(500)) as server:
        assert "check the server's log" in problems(diagnosed(server, tmp_path))


def test_a_hanging_server_is_probed_on_one_route_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one route times out the other isn't tried, and the timeout is reported with advice."""
    monkeypatch.setattr(probe, "ASK_TIMEOUT_S", 0.1)
    with FakeServer(lambda asked: Reply(hang=True)) as server:
        diagnosis = diagnosed(server, tmp_path)
    assert diagnosis.endpoint is not None
    assert ["completions"] == [route.kind for route in diagnosis.endpoint.routes]
    assert "no complete answer within 0.1 s -> check the server's log" in problems(diagnosis)


class WithDetails(FakeServer):
    """Answers GET /models/NAME, too."""

    async def _reply(self, writer: Any, reply: Reply) -> bool:
        if reply == Reply(status=404):
            reply = Reply({"id": "m", "shutdown_date": "2027-01-06"})
        return await super()._reply(writer, reply)


def test_a_models_shutdown_date_is_reported(tmp_path: Path) -> None:
    """A shutdown date in either known field appears in a finding and beside the model."""
    for server in (WithDetails(), FakeServer()):
        with server:
            if type(server) is FakeServer:
                server.listing = Reply({"data": [{"id": "m", "deprecation": "2027-01-06"}]})
            diagnosis = diagnosed(server, tmp_path)
        assert diagnosis.usable
        assert "the shutdown of 'm': 2027-01-06" in diagnosis.findings[0].what
        assert "m (shutdown: 2027-01-06)" in listing(diagnosis)["models"]


def test_a_model_that_refuses_max_tokens_is_asked_in_its_own_words(tmp_path: Path) -> None:
    """A server that insists on `max_completion_tokens` is asked again that way and usable in two requests."""

    def behaviour(asked: Asked) -> Reply:
        if "max_tokens" in asked.body:
            return error(400, "unsupported_parameter", "'max_tokens' is not supported: use 'max_completion_tokens'.")
        return answer(asked)

    with FakeServer(behaviour) as server:
        diagnosis = diagnosed(server, tmp_path, endpoint="chat")
    assert diagnosis.usable
    assert diagnosis.endpoint is not None
    assert 2 == diagnosis.endpoint.requests


def test_with_no_server_the_embedded_model_is_described(tmp_path: Path) -> None:
    """Without a server the embedded model is described; a missing file or hosted model name is a problem."""
    diagnosis = diagnosed(None, tmp_path, environment={})
    assert diagnosis.endpoint is None
    assert "embedded model" in " ".join(finding.what for finding in diagnosis.findings)
    assert (diagnosis.next == "herogen-async run --limit 8") is diagnosis.usable
    missing = diagnosed(None, tmp_path, environment={}, model=str(tmp_path / "none.gguf"))
    assert not missing.usable
    assert "no server given" in problems(diagnosed(None, tmp_path, environment={}, model="gpt"))


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://user:word@x/v1", "https://elsewhere.example/v1"])
def test_a_server_that_can_not_be_chosen_is_a_problem(tmp_path: Path, url: str) -> None:
    """Unusable base URLs are reported as problems, and a password in one is not repeated."""
    diagnosis = diagnosed(url, tmp_path, environment={})
    assert problems(diagnosis)
    assert "word" not in problems(diagnosis).replace("password", "").replace("any word", "")


def test_an_endpoint_that_is_none_is_wrong_input(tmp_path: Path) -> None:
    """An unknown endpoint name raises an input error."""
    with pytest.raises(InputError, match="'embeddings'"):
        diagnosed(None, tmp_path, endpoint="embeddings")


def test_the_machine_section_lists_keys_cores_and_extras(tmp_path: Path) -> None:
    """The machine section has the names of keys that are set, the cores, the fsync time and the extras."""
    machine = diagnosed(None, tmp_path, environment={"AZURE_OPENAI_API_KEY": KEY}).machine
    assert ("AZURE_OPENAI_API_KEY",) == machine.keys
    assert machine.cores >= 1
    assert machine.fsync_ms is not None
    assert {"local", "plot"} == set(machine.extras)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_problem(tmp_path: Path) -> None:
    """A folder without write permission is reported as taking no file."""
    tmp_path.chmod(0o500)
    assert "can't write to" in problems(diagnosed(None, tmp_path, environment={}))


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    """A folder that no longer exists is reported, and its fsync time is unknown."""
    gone = asyncio.run(
        diagnose(None, None, endpoint=None, environment={}, folder=tmp_path / "gone", clock=MonotonicClock())
    )
    assert "can't write to" in problems(gone)
    assert gone.machine.fsync_ms is None


LISTS: dict[bytes, tuple[ServedModel, ...] | None] = {
    b'{"data":[{"id":"a","owned_by":"vllm"}]}': (ServedModel("a", "vllm"),),
    b'[{"id":"a"},{"name":"b"},7,{"id":5}]': (ServedModel("a"), ServedModel("b")),
    b'{"models":[{"name":"a"}]}': (ServedModel("a"),),
    b'{"data":[{"id":"a","expiration_date":1799193600}]}': (ServedModel("a", ends="2027-01-06"),),
    b'{"data":[{"id":"a","deprecated":true}]}': (ServedModel("a", ends="date not given"),),
    b'{"data":[{"id":"a","shutdown_date":1e300}]}': (ServedModel("a"),),
    b'{"data":[]}': (),
    b'{"data":7}': None,
    b"<html>": None,
    b"": None,
    b"7": None,
}


@pytest.mark.parametrize("body", LISTS)
def test_lists_of_models_are_read_in_the_shapes_that_servers_use(body: bytes) -> None:
    """Model lists are parsed from every response shape known servers use."""
    assert LISTS[body] == models_in(body, str)


@pytest.mark.parametrize(
    ("expected", "url", "headers", "owner"),
    [
        ("OpenAI", "https://eu.api.openai.com/v1", {}, None),
        ("vLLM", "http://x/v1", {"server": "uvicorn"}, "vllm"),
        ("llama.cpp", "http://x/v1", {"server": "llama.cpp"}, None),
        ("Ollama", "http://x/v1", {}, "library"),
        ("LiteLLM", "http://x/v1", {"x-litellm-version": "1"}, "vllm"),
        ("vLLM", "http://x/v1", {"anthropic-ratelimit-requests-limit": "1"}, "vllm"),
        ("Anthropic", "http://x/v1", {"anthropic-ratelimit-requests-limit": "1"}, None),
        ("Groq", "http://x/v1", {"X-Groq-Region": "1"}, None),
        ("MyServer/2", "http://x/v1", {"server": "MyServer/2"}, None),
        (None, "http://notopenai.com.example/v1", {"server": "uvicorn"}, "me"),
    ],
)
def test_the_servers_software_is_told_where_something_tells(
    expected: str | None, url: str, headers: dict[str, str], owner: str | None
) -> None:
    """Server software is recognized by host, headers or model owner, and stays unknown without a sign of it."""
    answers = [HttpResponse(200, headers.get, b"", lambda: tuple(headers))]
    assert expected == software_from(url, answers, [owner] if owner else [])


def test_a_run_gets_the_tightest_limits_of_a_minute_or_less() -> None:
    """Only limits of a minute or less become a run's limits, and the tightest one counts."""
    readings = (
        Reading("requests", 10.0, window_s=1.0),
        Reading("requests", 500.0, window_s=MINUTE_S),
        Reading("requests", 5.0, window_s=DAY_S),
        Reading("tokens", 1000.0),
        Reading("input_tokens", 7.0),
        Reading("tokens", None, 5.0),
    )
    assert {"--rpm": 500.0, "--tpm": 1000.0} == minute_limits(readings)


def test_doctor_exits_with_0_for_a_usable_endpoint_or_else_2(tmp_path: Path) -> None:
    """Doctor prints a listing and exits with 0 where a run can go on and with 2 where it cannot."""
    with FakeServer() as server:
        fine = herogen("doctor", "--base-url", server.url, cwd=tmp_path, OPENAI_API_KEY=KEY)
        assert 0 == fine.returncode, fine.stderr
        assert "The endpoint" in fine.stdout
        assert fine.stderr.splitlines()[-1].startswith("Next: herogen-async run")
        server.listing = error(401, None, f"no: {KEY}")
        wrong = herogen("doctor", "--base-url", server.url, "--json", cwd=tmp_path, OPENAI_API_KEY=KEY)
    assert 2 == wrong.returncode
    assert last_json(wrong.stdout)["usable"] is False
    assert KEY not in fine.stdout + fine.stderr + wrong.stdout + wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert [] == list(tmp_path.iterdir())
