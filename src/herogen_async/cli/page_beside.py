"""`--view`: the page of a run, from before its first call until a person has seen enough.

On a terminal it stays after the run: what was made is there to be read and marked then. Elsewhere nobody would end it,
so it ends with the run. It ends also when a person stops the run by Ctrl-C or a signal, who wants the prompt back.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from herogen_async.cli.shell import say
from herogen_async.core.errors import InputError
from herogen_async.core.options import OUTPUT

if TYPE_CHECKING:
    from herogen_async.generation.report import RunReport
    from herogen_async.generation.run_folder import RunFolder

ViewOption = Annotated[
    bool,
    typer.Option(
        "--view", help="Show the run in the browser while it runs; needs the extra [view].", rich_help_panel=OUTPUT
    ),
]
NoOpenOption = Annotated[
    bool,
    typer.Option("--no-open", help="With --view: print the URL without opening a browser.", rich_help_panel=OUTPUT),
]

Stay = Callable[["RunReport"], None]
_NEEDS = ("starlette", "uvicorn", "numpy")
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def require_page() -> None:
    """InputError without the extra `[view]`; nothing of it is imported."""
    for name in _NEEDS:
        if find_spec(name) is None:
            raise InputError(f"the page needs {name}, which is not installed", fix="pip install 'herogen-async[view]'")


@contextlib.contextmanager
def page_beside(
    is_wanted: bool, no_open: bool, folder: Callable[[], RunFolder], tell: Callable[[str], None]
) -> Iterator[Stay]:
    """Serve the run in `folder` while the block runs; `tell` is told the URL. What it gives, called with the run's
    last report, stays until a person ends it, where one is there who can. Raises InputError before anything is asked.
    """
    if not is_wanted:
        if no_open:
            raise InputError("--no-open says how the page is shown", fix="add --view, or remove --no-open")
        yield lambda _: None
        return
    require_page()
    from herogen_async.cli.browser import open_page
    from herogen_async.view.web.beside_run import PageBeside

    page = PageBeside(folder())
    try:
        url = page.url()
        tell(url)
        if not no_open and open_page(url):
            say("Opened in the browser.")
        say("Anyone with the URL can see the rows, mark them, control the run, ask its models, and train on them here.")
        yield lambda report: _stay(page.wait, report)
    finally:
        page.end()


def _stay(wait: Callable[[], None], report: RunReport) -> None:
    from herogen_async.generation.session import STOPPED_BY_USER

    is_watched = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if not is_watched or report.reason == STOPPED_BY_USER:
        return
    say("The page is still served: Ctrl-C ends it.")
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        wait()
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt
