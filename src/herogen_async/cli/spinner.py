"""A spinner on a terminal until there is something to read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from herogen_async.cli.shell import say
from herogen_async.generation.observer import Observer

if TYPE_CHECKING:
    from rich.status import Status

    from herogen_async.generation.endpoint.embedded import WeightsProgress


class Waiting(Observer[object, object]):
    """A spinner on standard error; nothing where that is not a terminal. It prints notices, too."""

    def __init__(self, words: str, stack: contextlib.ExitStack) -> None:
        from herogen_async.cli.download_progress import weights_bar
        from herogen_async.view.terminal.sanitize import sanitize

        self._status: Status | None = None
        console = None
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.text import Text

            console = Console(stderr=True)
            if console.is_dumb_terminal:
                console = None
            else:
                self._status = console.status(Text(f"{sanitize(words)} ..."))  # `ft:m:` is no emoji
                self._status.start()
        self._bar = stack.enter_context(weights_bar(console))
        stack.callback(self.end)

    def end(self) -> None:
        """There is something to read."""
        if self._status is not None:
            self._status.stop()

    def notice(self, line: str, /) -> None:
        """A line on standard error."""
        say(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """The weights are being fetched or checked: that has a bar of its own, and the spinner goes on behind it."""
        is_over = progress.done_bytes >= progress.total_bytes
        if not is_over:
            self.end()
        self._bar(progress)
        if is_over and self._status is not None:
            self._status.start()  # the model is yet to be loaded


@contextlib.contextmanager
def waiting(words: str) -> Iterator[Waiting]:
    """`words` and a spinner, until the block ends or `end` is called."""
    with contextlib.ExitStack() as stack:
        yield Waiting(words, stack)
