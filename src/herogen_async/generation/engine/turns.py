"""The answers that come in one turn of the event loop, taken in together.

Answer by answer, each step of the work (read, journal, count, make the next call, send it) drives the one before out of
the processor's caches. So where this process is what the run waits for, no call is handed out before all answers of a
turn are in the journal's hands: each step then runs for all of them, which takes three quarters of the time. Elsewhere
each call goes at once: the first answer of a turn would wait for the last, and nothing would be gained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Turns:
    """`hold` is told when calls are held and let go; `ended` comes before they are let go.

    `is_busy`: this process is what the run waits for. `holds`: calls are held until the end of this turn.
    """

    def __init__(self, hold: Callable[[bool], None], ended: Callable[[], None]) -> None:
        self.is_busy = False
        self.holds = False
        self._hold = hold
        self._ended = ended
        self._has_begun = False

    def answered(self) -> None:
        """An answer is in the journal's hands."""
        if not self._has_begun:
            self._has_begun = True
            if self.is_busy:  # looked at once in a turn: it may change in the middle of one
                self.holds = True
                self._hold(True)
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """The turn is over; at the end of all also where there was no answer."""
        self._has_begun = self.holds = False
        try:
            self._ended()
        finally:  # else nothing would ever be handed out again
            self._hold(False)
