"""The parent's side of the embedded model: start the child, know its address, know when it died and why.

1. The child never outlives this process: it holds the other end of a pipe, and ends when that closes.
2. Leaving the context, by an error or a cancellation too, leaves no child and no open file.
3. The API key is new for every start and is only ever sent through the pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import math
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.child_environment import without_keys
from herogen_async.generation.endpoint.embedded.adapter_file import require_adapter
from herogen_async.generation.endpoint.embedded.weights import Weights

_SERVER = Path(__file__).with_name("server.py")
_START_S = 60.0  # under a second for the built-in weights; gigabytes from a cold disk take longer
_STOP_S = 5.0  # the child needs 0.1
_REAP_S = 1.0
_SPINS = 2000  # some ten microseconds: as long as a neighbour's last block takes
_CONTEXT_STEP = 256  # the server rounds a slot's context up to this
_TAIL_BYTES = 4096
_TAIL_LINES = 5
_LOG_BYTES = 1 << 20
_OWN_SERVER = "use your own server: --base-url http://127.0.0.1:8080/v1"


class EmbeddedServer:
    """`async with EmbeddedServer(weights) as server:` serves `weights` at `server.base_url` until the block ends.

    `slots` answers are generated at once; each may use `context_tokens` of prompt and answer together (rounded up;
    cut to what the model can take, and then `note` says so). With an `adapter` (GGUF) it serves the tuned model and the
    weights as they are at once: a request says which by `"lora": TUNED` or `BASE`, and gets the tuned one when it says
    nothing. It computes with `threads`, which llama.cpp can't change later; where one waits for another it `spins` for
    a moment, or sleeps at once. Raises LocalModelError when it can't start.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        slots: int = 16,
        context_tokens: int = 512,
        threads: int = 1,
        spins: bool = True,
        adapter: Path | None = None,
    ) -> None:
        self.model = weights.name
        self.slots = slots
        self.context_tokens, self.note = fitting_context(context_tokens, weights)
        self.threads = threads
        self._spins = spins
        self.base_url = ""
        self.api_key = ""
        self._weights = weights
        self._adapter = adapter
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __repr__(self) -> str:
        state = f"pid {self.pid}, at {self.base_url}" if self.base_url else "not serving"
        return f"<EmbeddedServer {self.model!r}, {self.slots} x {self.context_tokens} tokens, {state}>"

    @property
    def pid(self) -> int:
        """The child's process id, also after its end; 0 before the first start."""
        return 0 if self._process is None else self._process.pid

    def check(self) -> None:
        """Raises LocalModelError, with how the child ended and what it said last, when it is gone; one system call."""
        code = self._running().poll()
        if code is not None:
            raise LocalModelError(_obituary(code, self._last_lines()), fix=_advice(code))
        self._bound_log()

    async def __aenter__(self) -> Self:
        if not self._weights.path.is_file():
            raise LocalModelError(
                f"the model {str(self._weights.path)!r} no longer exists", fix="run again to fetch it"
            )
        if self._adapter is not None:
            require_adapter(self._adapter, self._weights)
        try:
            self._start()
            self.base_url = await self._address() + "/v1"
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._running()
        try:
            _close_quietly(process.stdin)
            async with asyncio.timeout(_STOP_S):
                while await self._output():
                    pass
        except TimeoutError:
            pass  # killed below
        finally:
            self._end()

    def _start(self) -> None:
        self.api_key = secrets.token_urlsafe(32)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child; nameless, so no kill leaves it behind
        fcntl.fcntl(
            self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND
        )  # it is cut while used
        self._process = subprocess.Popen(  # noqa: S603 - a fixed command of this very Python
            [sys.executable, "-P", str(_SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=without_keys(os.environ) | waiting_threads(spins=self._spins),
            start_new_session=True,  # a Ctrl-C in the terminal goes to the whole group
        )
        config = {
            "model": str(self._weights.path),
            "adapter": self._adapter and str(self._adapter),
            "alias": self.model,
            "api_key": self.api_key,
            "slots": self.slots,
            "context_tokens": self.context_tokens,
            "threads": self.threads,
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once; what it said is read below
            self._process.stdin.write(json.dumps(config).encode() + b"\n")
            self._process.stdin.flush()

    async def _address(self) -> str:
        """What the child answers: its address, or why there is none."""
        said = b""
        try:
            async with asyncio.timeout(_START_S):
                while not said.endswith(b"\n"):
                    part = await self._output()
                    if not part:
                        break
                    said += part
        except TimeoutError:
            raise LocalModelError(
                f"the embedded model was not ready within {_START_S:.0f} s{_quoted(self._last_lines())}",
                fix="try again when the machine is less busy, or use smaller weights",
            ) from None
        answer: dict[str, Any] = json.loads(said) if said.endswith(b"\n") else {}
        if address := answer.get("address"):
            return str(address)
        code = self._reaped()
        if "error" in answer:
            why = self._last_lines() or answer["error"]
            raise LocalModelError(
                f"the embedded model's server can't load {self._loaded}: {why!r}",
                fix="give a complete .gguf file that llama.cpp can read, or remove it to use the built-in model",
            )
        raise LocalModelError(_obituary(code, self._last_lines()), fix=_advice(code))

    @property
    def _loaded(self) -> str:
        beside = f" with the adapter {str(self._adapter)!r}" if self._adapter else ""
        return f"{str(self._weights.path)!r}{beside}"

    async def _output(self) -> bytes:
        """The next bytes of the child's standard output; empty when it closed, that is when the child ended."""
        pipe = self._running().stdout
        assert pipe is not None
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(pipe.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(pipe.fileno())
        return os.read(pipe.fileno(), 4096)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    def _reaped(self) -> int:
        """The exit code of a child that ended or is about to; one that doesn't end is killed."""
        process = self._running()
        try:
            return process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _end(self) -> None:
        """Leave nothing: no process, no zombie, no open file. Quick, as it runs where a cancellation passes through."""
        if self._process is not None:
            _close_quietly(self._process.stdin)
            self._process.kill()
            self._process.wait()
            _close_quietly(self._process.stdout)
        if self._log is not None:
            self._log.close()
            self._log = None
        self.base_url = ""

    def _last_lines(self) -> str:
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        lines = tail.decode(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-_TAIL_LINES:])

    def _bound_log(self) -> None:
        if self._log is not None and os.fstat(self._log.fileno()).st_size > _LOG_BYTES:
            os.ftruncate(self._log.fileno(), 0)


def waiting_threads(*, spins: bool) -> dict[str, str]:
    """The environment that tells OpenMP's threads how to wait for each other, in a server that has several.

    By default they spin for milliseconds, in which a thread that waits for one that lost its core keeps that core's
    new owner company. Sleeping at once costs a fifth on an idle machine, and a short spin a tenth.
    """
    return {"GOMP_SPINCOUNT": str(_SPINS)} if spins else {"OMP_WAIT_POLICY": "passive"}


def fitting_context(wanted: int, weights: Weights) -> tuple[int, str | None]:
    """The context of a slot that the server can give, and a sentence when that is less than was wanted."""
    rounded = math.ceil(wanted / _CONTEXT_STEP) * _CONTEXT_STEP
    most = weights.context_tokens
    if most is None or rounded <= most:
        return rounded, None
    return most, f"{weights.name} takes at most {most} tokens of prompt and answer together, not {wanted}"


def _obituary(code: int, last_lines: str) -> str:
    if code == -signal.SIGILL:
        return "this processor is too old for the embedded model (AVX2 is needed)"
    names = {number.value: number.name for number in signal.Signals}
    how = f"ended with exit code {code}" if code >= 0 else f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"the embedded model's server {how}{_quoted(last_lines)}"


def _quoted(last_lines: str) -> str:
    return f"; its last output: {last_lines!r}" if last_lines else ""


def _advice(code: int) -> str:
    if code == -signal.SIGILL:
        return _OWN_SERVER
    if code == -signal.SIGKILL:
        return "free some memory (the system kills a process that takes too much), or lower --concurrency"
    return f"if it happens again, {_OWN_SERVER}"


def _close_quietly(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):  # what was not written yet has no reader any more
            pipe.close()
