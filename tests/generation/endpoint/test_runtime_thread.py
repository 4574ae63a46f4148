"""What the TLS transport leaves behind when a process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import asyncio, atexit, os, threading
from datetime import timedelta
from herogen_async.generation.endpoint.http import runtime_thread
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

def tell():
    print("parked" if runtime_thread._last_loop.is_parked else "working")

async def ask():
    url = "https://127.0.0.1:1/"
    transport = RustTransport(BuiltCall(url, {}), concurrency=1, timeout_s=5.0, redact=Redactor())
    try:
        await transport.exchange("GET", url, b"")
    except Exception as error:
        print(type(error).__name__)
    await transport.close()

atexit.register(tell)  # the first one is called last
"""
WAYS = {
    "the end of the script": "asyncio.run(ask())",
    "an exit code": "asyncio.run(ask())\nraise SystemExit(0)",
    "a call left over": """
async def leave():
    asyncio.ensure_future(ask())
    await asyncio.sleep(0)
asyncio.run(leave())""",
    "a loop in a thread": """
worker = threading.Thread(target=lambda: asyncio.run(ask()))
worker.start()
worker.join()""",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_tls_transport_is_at_rest_when_python_ends(way: str) -> None:
    """However a process ends, the transport's thread waits by then, so it can't abort the process."""
    ended = subprocess.run([sys.executable, "-c", ASK + way], capture_output=True, text=True, timeout=60, check=False)
    assert (0, "", "parked") == (ended.returncode, ended.stderr, ended.stdout.split()[-1])


@pytest.mark.slow
def test_a_process_without_tls_ends_without_the_transport() -> None:
    """Where no call went over TLS, nothing is asked or waited for at the end."""
    ended = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=60, check=False)
    assert (0, "working") == (ended.returncode, ended.stdout.split()[-1])
