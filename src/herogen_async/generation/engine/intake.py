"""Where answers and failures become lines of the journal, and what that makes ready is handed on.

Kept here:
1. An answer is in the journal's hands before anything is derived from it (P4). Where the line of one can't be written,
   those beside it are kept all the same.
2. Lines are noted in the order in which the journal has them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, NoAnswer, TemplateFailed, WrongForm
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine.counters import Counters
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.lanes import Lanes
from herogen_async.generation.engine.producer import Producer
from herogen_async.generation.engine.turn_calls import CallAnswer
from herogen_async.generation.journal import Journal, Written, attempt_of, failure_line, row_line
from herogen_async.generation.journal.record import NEAR_COPY
from herogen_async.generation.observer import CallEnded, Observer, hears
from herogen_async.specs.plan import Call

if TYPE_CHECKING:  # rows of one call need none of it
    from herogen_async.generation.engine.answer_checks import AnswerChecks, AskedAgain
    from herogen_async.generation.engine.growth import Growth
    from herogen_async.generation.engine.open_rows import CameIn, OpenRows


class Intake:
    """Of one session. `producer` is to be set before anything comes: it gives up calls that can't be asked."""

    producer: Producer

    def __init__(
        self,
        journal: Journal,
        lanes: Lanes,
        *,
        clock: Clock,
        counters: Counters,
        observer: Observer[CallEnded, Counters],
        rows: OpenRows | None,
        checks: AnswerChecks | None,
        growth: Growth | None,
    ) -> None:
        self._journal = journal
        self._lanes = lanes
        self._is_one_lane = len(lanes) == 1
        self._clock = clock
        self._counters = counters
        self._call_ended = observer.call_ended if hears(observer, "call_ended") else None
        self._rows = rows
        self._checks = checks
        self._growth = growth
        self._came: list[CameIn] = []  # of rows of several calls, since `go_on`
        self._kept = 0  # of the answers that came together: so many of the first are in the journal's hands

    def answered(self, answers: Sequence[CallAnswer[Call]]) -> None:
        """P4: to the journal before anything else."""
        at = self._clock.wall()
        take_in = self._take_in if self._checks is None else self._look_at
        self._kept = 0
        try:
            take_in(answers, at)
        except Exception:
            # A mistake of ours: where it comes of one of them, the others are kept all the same, and each of them once.
            for answer in answers[self._kept :] if len(answers) > 1 else ():
                with contextlib.suppress(Exception):
                    take_in([answer], at)
            raise
        if self._rows is not None:
            self.go_on()
            self._journal.on_written(Written(0, 0))  # rows may be done without a line more

    def _take_in(self, answers: Sequence[CallAnswer[Call]], at: datetime) -> None:
        """Answers that are not checked."""
        lines = [
            row_line(pending.call, completion, attempts=pending.attempt, latency_ms=latency_s * 1000, at=at)
            for pending, completion, latency_s in answers
        ]
        self._keep(answers, lines)

    def _keep(self, answers: Sequence[CallAnswer[Call]], lines: Sequence[bytes]) -> None:
        """Answers that count, or may do so later, with their lines."""
        if not answers:
            return
        if self._rows is not None:
            self._came += [
                (pending.call, completion, line) for (pending, completion, _), line in zip(answers, lines, strict=True)
            ]
        elif self._growth is not None:
            for pending, completion, _ in answers:
                call = pending.call
                self._growth.answered(call.index, self._growth.cell(call), completion.text)
        self._journal.add_rows(lines)
        self._kept += len(lines)
        pending, completion, _ = answers[-1]
        self._counters.latest = pending.call, completion
        if not self._is_one_lane:
            self._counters.latencies.add_all([latency_s for _, _, latency_s in answers])
        if self._call_ended is not None:
            for pending, completion, latency_s in answers:
                self._call_ended(CallEnded(pending.call.index, pending.attempt, completion, latency_s))

    def _look_at(self, answers: Sequence[CallAnswer[Call]], at: datetime) -> None:
        """Answers that are checked: all of them, then their lines, then what each comes to."""
        if self._checks is None:
            raise RuntimeError("nothing is checked")
        look, again = self._checks.look, self._checks.again
        found = [look(pending.call, completion) for pending, completion, _ in answers]
        lines = [
            row_line(pending.call, completion, attempts=pending.attempt, latency_ms=latency_s * 1000, at=at, more=more)
            for (pending, completion, latency_s), more in zip(answers, found, strict=True)
        ]
        first = 0  # of those that count and are not kept yet
        for place, more in enumerate(found):
            if not more:
                continue
            pending, completion, _ = answers[place]
            if (last := again(pending.call)) is not None:
                self._keep(answers[first:place], lines[first:place])
                first = place + 1
                self._asked_again(pending, completion, lines[place], last)
            elif self._growth is not None and NEAR_COPY in more:
                self._growth.near_copies.add(pending.call.index)
        self._keep(answers[first:], lines[first:])

    def _asked_again(self, pending: PendingCall[Call], completion: Completion, line: bytes, last: AskedAgain) -> None:
        """An answer that does not count: kept like any other, and its call is asked again, or fails."""
        call, rows, checks, counters = pending.call, self._rows, self._checks, self._lanes.of(pending.call).counters
        if rows is None or checks is None:
            raise RuntimeError("rows whose answers are checked have columns")
        self.go_on()  # lines are noted in the order in which the journal has them
        rows.misfit(call, completion)
        self._journal.add_rows((line,))
        self._kept += 1
        counters.errors[last.kind] += 1
        if (error := checks.error(call)) is not None:
            self.give_up(pending, error)
        else:
            counters.retries += 1
            self.producer.hand_on([call], is_next=True)

    def give_up(self, pending: PendingCall[Call], error: WrongForm | TemplateFailed) -> None:
        if isinstance(error, TemplateFailed):  # an error of no lane
            self._counters.errors[error.kind] += 1
        pending.history = [attempt_of(error, self._clock.wall())]
        self.failed(pending, error, None)

    def failed(self, pending: PendingCall[Call], error: EndpointError, quarantined: str | None) -> None:
        """The history of a call that failed is journaled, its last error with it."""
        instead = error.answer if isinstance(error, NoAnswer | WrongForm) else {}
        line = failure_line(
            pending.call, pending.history, at=self._clock.wall(), quarantined=quarantined, instead=instead
        )
        if self._rows is not None:
            self._rows.failed(pending.call)
            self.producer.look_anew()
        elif self._growth is not None:
            self._growth.failed(pending.call.index)
        self._journal.failure(line)
        self._counters.given_up.add(pending.call.index)
        if self._call_ended is not None:
            self._call_ended(CallEnded(pending.call.index, pending.attempt, error=error))

    def go_on(self) -> None:
        """What the answers that came have made ready goes before every new row."""
        if self._rows is not None:
            came, self._came = self._came, []
            self.producer.hand_on(self._rows.answered(came), is_next=True)
