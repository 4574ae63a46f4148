"""The simulated server in its own process: it must not share the client's loop or core."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.generation.endpoint.child_environment import without_keys
from herogen_async.lab.bench.records import Setting
from herogen_async.lab.bench.signals import signals_later
from herogen_async.lab.bench.sweep import Simulated

START_S = 30.0  # usually half a second; longer on a busy machine
STOP_S = 5.0


class ServerFailed(HerogenError):
    """The simulated server did not start."""

    kind = "simulator"


@contextlib.contextmanager
def serving(setting: Setting, simulated: Simulated) -> Iterator[str]:
    """The base URL of such a server, which ends with the block. Raises ServerFailed."""
    child = None
    with tempfile.TemporaryFile() as words:
        try:
            with signals_later():
                child = subprocess.Popen(  # noqa: S603 - a fixed command of this Python
                    [sys.executable, "-m", "herogen_async", *_arguments(setting, simulated)],
                    stdin=subprocess.PIPE,  # never written to: it closes when this process ends, in whatever way
                    stdout=subprocess.PIPE,
                    stderr=words,
                    env=without_keys(os.environ),
                    start_new_session=True,  # Ctrl-C in the terminal goes to the whole group
                )
            url = _url(child)
            if url is None:
                words.seek(0)
                said = words.read(2000).decode("utf-8", "replace").strip() or "no output"
                raise ServerFailed(f"the simulated server did not start: {said}", fix="try: herogen-async simulate")
            yield url
        finally:
            if child is not None:
                with signals_later():
                    _end(child)


def _arguments(setting: Setting, simulated: Simulated) -> list[str]:
    given = {
        "--rpm": setting.rpm,
        "--tpm": setting.tpm,
        "--latency-ms": setting.latency_ms,
        "--slots": simulated.slots,
        "--enforce": simulated.enforce,
        "--headers": simulated.headers,
    }
    options = [text for option, value in given.items() if value is not None for text in (option, str(value))]
    return ["simulate", "--port", "0", "--until-eof", "--json", *options]


def _url(child: subprocess.Popen[bytes]) -> str | None:
    """The URL in its first line; None if there is none in time."""
    assert child.stdout is not None
    if not select.select([child.stdout], [], [], START_S)[0]:
        return None
    line = child.stdout.readline()  # it writes whole lines
    return str(codec.loads(line)["url"]) if line.startswith(b'{"url"') else None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
