"""The embedded server, for real: a child process with the real weights, asked over HTTP, killed in every way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from herogen_async.cli import app
from herogen_async.core import errors
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded import EmbeddedServer, Weights
from herogen_async.generation.endpoint.embedded.process import _advice, fitting_context, waiting_threads

DEADLINE_S = 20.0

real_model = [pytest.mark.anyio, pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture
def garbage(tmp_path: Path, one_at_a_time: None) -> Weights:
    """A file that begins as a GGUF file does, and goes on with nothing of the kind."""
    pytest.importorskip("xllamacpp", reason="needs the [local] extra")
    path = tmp_path / "garbage.gguf"
    path.write_bytes(b"GGUF" + bytes(range(64)))
    return Weights(path, "garbage", "")


def small(weights: Weights) -> EmbeddedServer:
    return EmbeddedServer(weights, slots=2, context_tokens=256)


async def ask(server: EmbeddedServer, route: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key or server.api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.base_url}/{route}", json.dumps(body).encode(), headers)

    def send() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    return await asyncio.to_thread(send)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for by its parent doesn't."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    clock = MonotonicClock()
    end = clock.now() + DEADLINE_S
    while not condition():
        assert clock.now() < end, f"after {DEADLINE_S:.0f} s: not {what}"
        threading.Event().wait(0.02)


def dead(server: EmbeddedServer) -> LocalModelError:
    """What `check` says once the child is gone."""
    caught: list[LocalModelError] = []

    def gone() -> bool:
        try:
            server.check()
        except LocalModelError as error:
            caught.append(error)
        return bool(caught)

    wait_until(gone, "noticed as dead")
    return caught[0]


class TestWithTheRealModel:
    pytestmark = real_model

    async def test_the_embedded_server_answers_and_leaves_no_process(self, weights: Weights) -> None:
        """The embedded server answers completions and chat on loopback, and its process ends with it."""
        async with small(weights) as server:
            assert server.base_url.startswith("http://127.0.0.1:")
            assert server.base_url.endswith("/v1")
            completion = await ask(server, "completions", {"prompt": "Once upon a", "max_tokens": 3})
            messages = [{"role": "user", "content": "Say hello."}]
            chat = await ask(server, "chat/completions", {"messages": messages, "max_tokens": 3})
            server.check()
            assert f"pid {server.pid}, at {server.base_url}" in repr(server)
            pid = server.pid

        assert completion["choices"][0]["text"]
        assert 0 < completion["usage"]["completion_tokens"] <= 3
        assert chat["choices"][0]["message"]["content"]
        assert server.model == weights.name == completion["model"] == chat["model"]
        assert not is_alive(pid)

    async def test_the_embedded_key_is_required_and_kept_private(
        self, weights: Weights, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wrong key gets HTTP 401, and no key appears in the child's command line or environment."""
        for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
            monkeypatch.setenv(name, "sk-canary")
        async with small(weights) as server:
            with pytest.raises(urllib.error.HTTPError, match="401") as refused:
                await ask(server, "completions", {"prompt": "x", "max_tokens": 1}, key="wrong")
            refused.value.close()
            for name in ("cmdline", "environ"):
                place = Path(f"/proc/{server.pid}/{name}")
                said = place.read_bytes() if place.exists() else b""
                assert server.api_key.encode() not in said
                assert b"sk-canary" not in said
            assert server.api_key not in repr(server)

    async def test_ctrl_c_does_not_stop_the_embedded_server(self, weights: Weights) -> None:
        """The embedded server runs in its own session, so Ctrl-C in the terminal doesn't end it."""
        async with small(weights) as server:
            os.kill(server.pid, signal.SIGINT)
            assert await ask(server, "completions", {"prompt": "x", "max_tokens": 1})
            server.check()
            assert os.getsid(server.pid) != os.getsid(0)

    @pytest.mark.parametrize(
        ("number", "said", "fix"),
        [
            (signal.SIGKILL, "was killed by SIGKILL", "memory"),
            (signal.SIGILL, r"this processor is too old for the embedded model \(AVX2 is needed\)", "--base-url"),
        ],
    )
    async def test_a_dead_embedded_server_reports_the_cause(
        self, weights: Weights, number: signal.Signals, said: str, fix: str
    ) -> None:
        """When the child dies of a signal, the error names the signal and suggests what to do."""
        async with small(weights) as server:
            os.kill(server.pid, number)
            error = dead(server)
        with pytest.raises(LocalModelError, match=said):
            raise error
        assert fix in (error.fix or "")

    async def test_a_parent_killed_outright_leaves_no_child(self, weights: Weights) -> None:
        """The embedded server exits by itself when its parent is killed with SIGKILL."""
        script = (
            "import asyncio\nfrom herogen_async.generation.endpoint.embedded import EmbeddedServer, cached_weights\n"
            "async def main():\n"
            "    async with EmbeddedServer(cached_weights(), slots=2, context_tokens=256) as server:\n"
            "        print(server.pid, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        environment = os.environ | {"PYTHONPATH": str(Path(errors.__file__).parents[2])}
        command = [sys.executable, "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            assert is_alive(child)
            parent.kill()
        wait_until(lambda: not is_alive(child), "gone after its parent was killed")

    async def test_a_cancelled_start_leaves_no_child(self, weights: Weights) -> None:
        """Cancelling during startup ends the child process as well."""
        server = small(weights)
        starting = asyncio.create_task(server.__aenter__())
        while not server.pid:
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not is_alive(server.pid)

    async def test_the_embedded_server_restarts_with_a_new_key(self, weights: Weights) -> None:
        """Each start of the embedded server has a new key and a new process."""
        server = small(weights)
        async with server:
            first = server.api_key, server.pid
        async with server:
            assert await ask(server, "completions", {"prompt": "x", "max_tokens": 1})
            assert not set(first) & {server.api_key, server.pid}


@pytest.mark.anyio
@pytest.mark.embedded
@pytest.mark.slow
async def test_a_file_that_is_not_a_model_quotes_the_library(garbage: Weights) -> None:
    """A file that can't be loaded reports the path, the library's own message and the expected format."""
    with pytest.raises(LocalModelError, match=r"can't load '.*garbage\.gguf'.*llama_model_load") as caught:
        async with small(garbage):
            pass
    assert "GGUF" in (caught.value.fix or "").upper()


@pytest.mark.anyio
async def test_a_missing_model_file_starts_nothing(tmp_path: Path) -> None:
    """A model file that has disappeared raises an error before any process starts."""
    server = small(Weights(tmp_path / "gone.gguf", "gone", ""))
    with pytest.raises(LocalModelError, match=r"gone\.gguf' no longer exists"):
        async with server:
            pass
    assert server.pid == 0


def test_slot_context_is_rounded_up_and_capped() -> None:
    """Context per slot rounds up to a multiple of 256 and is capped, with a notice, at the model's maximum."""
    known = Weights(Path("m.gguf"), "m", "", context_tokens=8192)

    assert fitting_context(257, known) == (512, None)
    assert fitting_context(8192, known) == (8192, None)
    assert fitting_context(9000, known) == (
        8192,
        "m takes at most 8192 tokens of prompt and answer together, not 9000",
    )
    assert fitting_context(9000, Weights(Path("own.gguf"), "own", "")) == (9216, None)


@pytest.mark.parametrize("code", [1, -signal.SIGSEGV, -signal.SIGKILL, -signal.SIGILL])
def test_crash_advice_names_existing_commands(code: int) -> None:
    """Advice for each exit code names only commands that exist, and always names a command or an option."""
    commands = re.findall(r"herogen-async (\w+)", _advice(code))
    assert set(commands) <= {command.name or "" for command in app.registered_commands}
    assert commands or "--" in _advice(code)


def test_threads_of_a_busy_machine_sleep_where_they_wait() -> None:
    """Where others compute, a server's threads don't spin; where nobody does, they spin for a moment, not for long."""
    assert {"OMP_WAIT_POLICY": "passive"} == waiting_threads(spins=False)
    assert {"GOMP_SPINCOUNT": "2000"} == waiting_threads(spins=True)
