"""The other process of `beside_run`: serves one run's page until its parent's pipe ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.core.event_loop import quickest_loop
from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.folder_process import told_folder
from herogen_async.view.web.server import serving_page

_GIVES_WAY = 5  # niceness: a third of a core's time where the run wants all of it


def main() -> None:
    """Read what to serve, print where, serve until there is nobody to read from."""
    # Who starts this process ends it, too: by closing its pipe, or by being gone.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = told_folder(_GIVES_WAY)
    try:
        with asyncio.Runner(loop_factory=quickest_loop) as runner:
            runner.run(_serve(folder))
    except HerogenError as error:
        _say({"error": error.message})


async def _serve(folder: RunFolder) -> None:
    async with serving_page(folder) as url:
        _say({"url": url})
        await asyncio.to_thread(sys.stdin.buffer.read)


def _say(said: dict[str, Any]) -> None:
    sys.stdout.buffer.write(codec.dumps(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
