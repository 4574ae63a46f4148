"""A thread of its own that ships a run's folder every few seconds, and never disturbs the run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from herogen_async.core.errors import HerogenError, InputError
from herogen_async.generation.mirror.ship import Shipper
from herogen_async.generation.mirror.storage import open_storage
from herogen_async.generation.run_folder import RunFolder

SHIP_EVERY_S = 5.0  # what a lost machine costs at most, beside what was in flight
LAST_TRIES, LAST_WAIT_S = 3, 1.0  # at a run's end; one try where storage was out of reach before


def open_mirror(
    folder: RunFolder, uri: str, *, syncs: bool, now: Callable[[], str], on_change: Callable[[str | None], None]
) -> MirrorKeeper:
    """The mirror of `folder` at `uri`; nothing is sent yet. Raises InputError."""
    return MirrorKeeper(Shipper(folder, open_storage(uri), uri, syncs=syncs, now=now), on_change)


class MirrorKeeper:
    """Ships what `shipper` finds, from `start` to `finish`.

    `on_change` is told why nothing can be shipped for now, once, and None when it could again; in the thread.
    """

    def __init__(
        self, shipper: Shipper, on_change: Callable[[str | None], None], *, every_s: float = SHIP_EVERY_S
    ) -> None:
        self._shipper = shipper
        self._on_change = on_change
        self._every_s = every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._is_over = Event()
        self._ends = Event()  # nothing is shipped any more
        self._trouble: str | None = None

    def begin(self) -> Future[None]:
        """See what the mirror holds: done when that is known, or can't be for now. Holds an InputError where it is
        another run's, or has lines that the folder lacks.
        """
        return self._thread.submit(self._begin)

    def start(self) -> None:
        """Ship from now on."""
        self._work = self._thread.submit(self._ship_on)

    def finish(self) -> Future[str | None]:
        """Ship the rest: done when it is, with None; or with why some of it is not."""
        self._is_over.set()
        return self._thread.submit(self._ship_rest)

    def end(self) -> None:
        """Ship nothing more; what is under way is not waited for."""
        self._is_over.set()
        self._ends.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def behind(self) -> int:
        """Bytes of the folder that are not in the mirror."""
        return self._shipper.behind()

    def _begin(self) -> None:
        try:
            self._shipper.begin()
        except InputError:
            raise
        except (HerogenError, OSError) as error:
            self._tell(error)

    def _ship_on(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._pass(is_last=False)

    def _ship_rest(self) -> str | None:
        for left in reversed(range(1 if self._trouble else LAST_TRIES)):
            self._pass(is_last=True)
            if self._trouble is None or (left and self._ends.wait(LAST_WAIT_S)):
                break
        return self._trouble

    def _pass(self, *, is_last: bool) -> None:
        if self._ends.is_set():
            return
        try:
            self._shipper.ship(is_last=is_last)
        except InputError as error:  # a person has to look at it
            self._ends.set()
            self._tell(error)
        except (HerogenError, OSError) as error:
            self._tell(error)
        except Exception as bug:  # of ours: it costs the mirror, and not the run
            self._ends.set()
            self._tell(HerogenError(f"{type(bug).__name__}, a bug in this program"))
        else:
            if self._trouble is not None:
                self._trouble = None
                self._on_change(None)

    def _tell(self, error: HerogenError | OSError) -> None:
        if isinstance(error, HerogenError):
            why = error.message
        else:  # of the run's own files
            why = ": ".join(filter(None, (error.filename, error.strerror))) or type(error).__name__
        if self._trouble is None:
            self._on_change(why)
        self._trouble = why
