"""What one session asks for, with its counters and its reports; said before anything is sent."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.generation.engine import Counters
from herogen_async.generation.forecast.preflight import crash_line, room_line
from herogen_async.generation.journal import Recovered
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.row_outcomes import rows_wanted
from herogen_async.generation.limits import Budget
from herogen_async.generation.report import SMALL
from herogen_async.generation.run_folder import RunFolder, read_events
from herogen_async.generation.session.billing import budgets_for
from herogen_async.generation.session.column_counts import column_counts
from herogen_async.generation.session.found import Found
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.opened import Opened
from herogen_async.generation.session.reporter import Reporter
from herogen_async.generation.session.selection import ToAsk, chosen, previewed, to_ask
from herogen_async.generation.session.session_history import fold_history
from herogen_async.generation.session.targets import LaneTarget, most_in_flight, targets_of
from herogen_async.specs.plan import IndexSet, own_judges

if TYPE_CHECKING:  # few runs want so many accepted rows
    from herogen_async.generation.engine.growth import Growth


class RetrySelection:
    """The failed tasks that a person wants to be asked again: each of them once, however often the run goes on."""

    def __init__(self, wanted: bool | Collection[str]) -> None:
        self._wanted = wanted
        self._left: list[int] | None = None

    def left(self, found: Found) -> list[int]:
        """Those that are still to be asked. Raises InputError for a class that no failure is of."""
        # Chosen once, by the failures that there were when the run was started: those of this session are for the next.
        if self._left is None:
            opened = found.opened
            self._left = chosen(opened.folder, opened.lineage, found.journal, self._wanted)
        return self._left

    def have_failed(self, failed: IndexSet) -> None:
        """They are asked no more."""
        self._left = [index for index in self._left or () if index not in failed]


@dataclass(frozen=True, slots=True)
class Work:
    """An opened run, the calls that a session asks for, whom, for how much, and how it reports on them.

    `budgets` has the ledger of each of `targets`; None where it has no price. `growth` says when there are enough rows;
    None where all of them are asked. `gapless`: how many of the plan's first calls are asked with no gap, where a
    preview leaves some.
    """

    found: Found
    wanted: ToAsk
    reporter: Reporter
    targets: tuple[LaneTarget, ...]
    budgets: tuple[Budget | None, ...]
    growth: Growth | None = None
    gapless: int | None = None

    @property
    def opened(self) -> Opened:
        return self.found.opened


def plan_work(found: Found, again: RetrySelection, clock: Clock) -> Work:
    """The tasks without an answer within the limit, and the failed ones that are wanted."""
    opened, journal = found.opened, found.journal
    plan, request = opened.lineage.plan, opened.ready.request
    retried = again.left(found)
    if journal.asked:
        _forget_last_asks(journal, retried)
    asked = request.rows_asked(plan)
    nothing = range(asked.start, asked.start)
    gapless = None
    if request.preview is not None:
        rows_shown = plan.spread(request.preview, asked)
        first = sum(row == place for place, row in enumerate(rows_shown, asked.start))
        gapless = plan.calls_a_row * (asked.start + first)
        retried, asked = previewed(plan, journal, rows_shown), nothing
    wanted = to_ask(plan, journal, retried, asked)
    rows, touched = None, IndexSet()
    if plan.spec.want is not None:
        with LineReader(opened.folder, found.places) as reader:
            rows = rows_wanted(plan, journal, reader, wanted.given_up)
        if rows is not None:
            rows.within = len(asked)
        touched = journal.rows_touched()
    if rows is not None and rows.is_met:
        asked = nothing  # enough: only what a person wants to be asked again is
        wanted = to_ask(plan, journal, retried, asked)
    # `total` is what is done, has failed or is wanted: counted otherwise, a display would never come to its end.
    counters = Counters(
        total=wanted.total,
        done=wanted.done,
        failed=wanted.failed,
        columns=column_counts(
            plan,
            journal,
            rows=asked,
            failed=wanted.given_up,
            beyond=wanted.beyond,
            prices=opened.prices,
        ),
        usage=journal.usage,
        finish_reasons=journal.finish_reasons,
        started_s=clock.now(),
        wanted=rows,
    )
    growth = None
    if rows is not None and not rows.is_met:
        counters.begin_with(len(touched))
        from herogen_async.generation.engine.growth import Growth  # noqa: PLC0415 - few specs want so many rows

        growth = Growth(plan, rows, touched, counters, retried)
    targets = targets_of(opened.ready, plan)
    budgets = budgets_for(opened, targets, journal)
    budget = next((each for each in budgets if each is not None), None)
    reporter = Reporter(
        opened.ready,
        counters,
        clock,
        earlier_s=_earlier_s(opened.folder),
        grid=plan.rows,
        budget=budget,
        lanes={target.name: target.head for target in targets},
    )
    return Work(found, wanted, reporter, targets, budgets, growth, gapless)


def _forget_last_asks(journal: Recovered, retried: list[int]) -> None:
    """Calls that failed for their form are asked as if for the first time."""
    from herogen_async.generation.engine.answer_checks import MOST_ASKS  # noqa: PLC0415 - few runs have checks

    for index in retried:
        # Where it was asked less often, a kill came in the middle of a retry: those asks are not given back.
        if (misfit := journal.asked.get(index)) is not None and misfit.ask >= MOST_ASKS:
            del journal.asked[index]


def tell_worst_case(work: Work, notifier: Notifier) -> None:
    """What a crash would cost, and whether the answers may not fit on the disk; of a trial nobody asks the first.

    And which columns are judged by the model that wrote them: models prefer their own answers; and which are compared
    with a part of the other answers alone.
    """
    request, plan = work.opened.ready.request, work.opened.lineage.plan
    for judge, author in own_judges(plan):
        notifier.notice(f"The column {judge!r} is judged by the model that wrote {author!r}: it may prefer its own.")
    if request.settings.shard is not None:
        for name in (column.name for column in plan.columns if column.unlike is not None):
            notifier.notice(f"The answers of {name!r} are compared with others of this shard, not of other shards.")
    if work.wanted.count > SMALL:
        notifier.notice(crash_line(request.settings, most_in_flight(work.targets), calls_a_row=plan.calls_a_row))
    where = work.opened.folder.path
    free = shutil.disk_usage(where).free
    likely = work.wanted.count
    if work.growth is not None:  # it ends long before all rows are asked
        likely = min(likely, work.growth.rows.expected * plan.calls_a_row)
    if warning := room_line(plan, likely, folder=str(where), free=free):
        notifier.notice(warning)


def _earlier_s(folder: RunFolder) -> float:
    return float(fold_history(read_events(folder))["elapsed_s"])
