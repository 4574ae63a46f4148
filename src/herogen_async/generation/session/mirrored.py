"""The mirror of a run, while a session lasts: what is durable is shipped, and nothing of it disturbs the run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from herogen_async.core.clock import Clock
from herogen_async.core.units import counted
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.locked import Locked
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.settings import NO_MIRROR

WORTH_TELLING = 4_000_000  # bytes that are still to be shipped at the end: with less nobody waits for long
FIRST_LOOK_S = 20.0  # storage that hasn't said by then what it holds is looked at again while the run is at work


@contextlib.asynccontextmanager
async def mirrored(held: Locked, notifier: Notifier, clock: Clock, at_work: AtWork) -> AsyncIterator[None]:
    """The run has its mirror while the block lasts, and at its end all that it can have by then.

    Raises InputError where the mirror is another run's, or holds lines that the folder lacks, before the block begins.
    """
    settings = held.priced.ready.request.settings
    uri = settings.mirror
    if uri is None or uri == NO_MIRROR:
        yield
        return
    from herogen_async.generation.mirror import open_mirror  # noqa: PLC0415 - few runs have one

    loop = asyncio.get_running_loop()

    def changed(why: str | None) -> None:
        loop.call_soon_threadsafe(tell, why)

    def tell(why: str | None) -> None:
        if why is None:
            notifier.record("mirror", uri=uri, state="shipping")
            notifier.notice(f"The mirror at {uri} is written to again.")
        else:
            notifier.record("mirror", uri=uri, state="behind", reason=why)
            notifier.notice(f"The mirror can't be written to: {why}. The run goes on, and it is tried again.")

    keeper = open_mirror(
        held.folder,
        uri,
        syncs=settings.durability != "process",
        now=lambda: clock.wall().isoformat(),
        on_change=changed,
    )
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(keeper.begin()), FIRST_LOOK_S)
        keeper.start()
        yield
        if held.folder.is_run and (behind := keeper.behind()) > WORTH_TELLING:
            notifier.notice(f"Shipping the last {behind / 1e6:,.0f} MB to the mirror at {uri}.")
        why = await _rest(asyncio.wrap_future(keeper.finish()), at_work)
        if why is not None:
            left = counted(keeper.behind(), "byte")
            notifier.notice(
                f"The mirror lacks at least {left}: {why}. The run's folder has all of it; "
                f"herogen-async resume {held.folder.argument} ships the rest."
            )
            notifier.record("mirror", uri=uri, state="incomplete", reason=why)
    finally:
        keeper.end()


async def _rest(shipped: asyncio.Future[str | None], at_work: AtWork) -> str | None:
    """Why not all was shipped, None where it was; who stops the run now leaves the rest to the next session."""
    at_work.rest = shipped
    try:
        return await shipped
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not shipped.cancelled() or (task is not None and task.cancelling()):
            raise
        return "it was not waited for"
    finally:
        at_work.rest = None
