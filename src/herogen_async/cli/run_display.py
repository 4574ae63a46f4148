"""What shows a run while it goes on: a panel, lines, a preview's answers, or nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from herogen_async.cli.shell import out, say

if TYPE_CHECKING:
    from rich.console import Console

    from herogen_async.generation.session import RunObserver
    from herogen_async.specs.plan import Plan


@contextlib.contextmanager
def run_display(
    quiet: bool = False, previewed: Plan | None = None, tell: Callable[[str], None] = out
) -> Iterator[RunObserver]:
    """A live panel on a terminal that can draw one, plain lines elsewhere; of a preview its answers."""
    from herogen_async.cli.download_progress import weights_bar

    if quiet:
        from herogen_async.generation.observer import Observer

        yield Observer()
        return
    console = terminal()
    if previewed is not None:
        from herogen_async.view.terminal import PreviewView

        with weights_bar(console) as on_weights:
            yield PreviewView(previewed, tell, say, on_weights)
        return
    if console is None:
        from herogen_async.core.clock import MonotonicClock
        from herogen_async.view.terminal import PlainView

        with weights_bar(None) as on_weights:
            yield PlainView(say, on_weights, now=lambda: MonotonicClock().wall().astimezone())
        return
    from herogen_async.view.terminal.panel import LivePanel

    with weights_bar(console) as on_weights, LivePanel(console, on_weights) as panel:
        yield panel


def terminal() -> Console | None:
    """Where a panel can be drawn; None where standard error is no terminal, or one that can't move its cursor."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return None if console.is_dumb_terminal else console
