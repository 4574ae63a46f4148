"""The plans that a run has had, and the mapping of calls from one to another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herogen_async.specs.columns import AskedColumn, column_fingerprint
from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.sources.cells import moves, renamed_cells

Renaming = dict[str, str]  # attributes of an earlier plan by the names they had: those of today


@dataclass(frozen=True, slots=True)
class Era:
    """A plan, and the first journal segment written under it."""

    plan: Plan
    first_segment: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the answers to one column in an era are to the current plan.

    `is_left`: the current plan has no such column. `age` is 1 for answers to the current question, more for older ones:
    of several, the lowest counts.
    """

    is_stale: bool
    counts: bool
    age: int
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class SegmentReading:
    """A segment to be read, for the calls at `places` of a row in its era (None: all), whose answers stand alike."""

    segment: int
    era: int
    standing: Standing
    places: frozenset[int] | None


class Lineage:
    """The plans that a run has had, in order; the last one is current.

    A row written under an earlier plan counts for the same cell and repeat of the current one, if they are still there.
    Columns are the same where they ask the same (prompt, model, sampling, and so all that they build on); else, where
    they have the same name, what was answered is stale: it counts only where `keeps_stale`, but not for the columns of
    `regenerated` and what builds on them, and only where no newer generation has an answer.
    """

    def __init__(
        self,
        plan: Plan,
        earlier: Sequence[Era] = (),
        *,
        first_segment: int = 0,
        keeps_stale: bool = False,
        regenerated: Collection[str] = (),
    ):
        self.plan = plan
        self.eras = (*earlier, Era(plan, first_segment))
        self.keeps_stale = keeps_stale
        self.regenerated = frozenset(regenerated)
        self._again = self._with_followers(regenerated)
        names_then = _renamings([era.plan for era in self.eras])
        matches = [_matches(era.plan, plan, names) for era, names in zip(self.eras, names_then, strict=True)]
        self._standings = [self._standing(number, matches) for number in range(len(self.eras))]
        self._moves = [
            None if _same_cells(era.plan, plan) and not names else _Move(era.plan, plan, names)
            for era, names in zip(self.eras, names_then, strict=True)
        ]
        self._calls = [
            [match.get(place, (None,))[0] for place in range(era.plan.calls_a_row)]
            for era, match in zip(self.eras, matches, strict=True)
        ]
        self._checks = [
            frozenset(
                then
                for then, now in enumerate(calls)
                if now is not None and (_is_checked(era.plan.column_at(then)) or _is_checked(plan.column_at(now)))
            )
            for era, calls in zip(self.eras, self._calls, strict=True)
        ]
        self._keeps_calls = [calls == list(range(plan.calls_a_row)) for calls in self._calls]
        self._grounds = [
            {skipped: _grounds(era.plan, plan, calls, skipped=skipped) for skipped in (False, True)}
            for era, calls in zip(self.eras, self._calls, strict=True)
        ]

    def era(self, segment: int) -> int:
        """The number of the era in which `segment` was written."""
        found = [number for number, era in enumerate(self.eras) if era.first_segment <= segment]
        return found[-1] if found else 0

    def readings(self, segments: Sequence[int]) -> list[SegmentReading]:
        """In which order `segments` are to be read, so that of several answers to a call the first one counts.

        The current generation comes first, then newer before older; within one generation, in the order written; last
        what was answered for columns that are no more.
        """
        found = []
        for segment in segments:
            era = self.era(segment)
            standings = self._standings[era]
            for standing in set(standings):
                places = frozenset(place for place, each in enumerate(standings) if each == standing)
                found.append(SegmentReading(segment, era, standing, None if len(places) == len(standings) else places))
        return sorted(found, key=lambda each: (each.standing.age, each.segment, not each.standing.counts))

    def standing(self, era: int, index: int) -> Standing:
        """What an answer to the call at `index` in that era is to the current plan."""
        standings = self._standings[era]
        return standings[index % len(standings)]

    def place(self, era: int, index: int) -> int | None:
        """The current index of the call that was at `index` in that era; None if it no longer exists."""
        move = self._moves[era]
        if self._keeps_calls[era]:
            if move is None:
                return index
            calls = self.plan.calls_a_row
            row = move(index // calls)
            return None if row is None else row * calls + index % calls
        calls_then = self._calls[era]
        row, place = divmod(index, len(calls_then))
        call, current = calls_then[place], row if move is None else move(row)
        return None if call is None or current is None else current * self.plan.calls_a_row + call

    def moves(self, era: int) -> bool:
        """Whether indices have changed since that era."""
        return self._moves[era] is not None or not self._keeps_calls[era]

    def checks(self, era: int) -> frozenset[int]:
        """The places, in a row of that era, of the calls whose answers are checked: they had a form or an `unlike`
        then, or have one today.
        """
        return self._checks[era]

    def is_misfit(self, era: int, record: Mapping[str, Any], is_cut: Callable[[Any], bool]) -> bool:
        """Whether an answer of that era does not fit the form of its column, or is a near copy that is asked again: it
        counts for nothing.

        Its line says so where the form was the same then; else the answer is looked at anew. `is_cut` says of a finish
        reason whether it means that the answer was cut off.
        """
        then = record["index"] % self.eras[era].plan.calls_a_row
        index = self.place(era, record["index"]) if then in self._checks[era] else None
        if index is None or "skipped" in record:
            return False
        column = self.plan.column_at(index)
        if column.is_near_copy(record) and _is_asked_again(record):
            return True
        form = column.form
        if form is None:
            return False
        if self.eras[era].plan.shape.calls[then].column.form == form:
            return "wrong_form" in record
        return form.read(record["response_txt"], is_cut=is_cut(record.get("finish_reason"))).wrong is not None

    def was_misfit(self, era: int, record: Mapping[str, Any]) -> bool:
        """Whether an answer of that era did not fit a form that its column has no more, or was a near copy by a
        likeness that it has no more: others come before it, which counted, and of which other columns may have been
        made.
        """
        if _is_asked_again(record):
            index = self.place(era, record["index"])
            return index is not None and not self.plan.column_at(index).is_near_copy(record)
        return "wrong_form" in record and not self.knows_form(era, record["index"])

    def knows_form(self, era: int, index: int) -> bool:
        """Whether the call at `index` in that era was asked with the form that its column has today."""
        then = self.eras[era].plan.column_at(index).form
        now = self.place(era, index)
        return now is not None and then == self.plan.column_at(now).form

    def knows_forms(self, era: int) -> bool:
        """Whether all calls of that era were asked with the forms that their columns have today."""
        return all(self.knows_form(era, place) for place in range(self.eras[era].plan.calls_a_row))

    def call(self, era: int, place: int) -> int | None:
        """The place, in a current row, of the call at `place` in a row of that era."""
        return self._calls[era][place]

    def grounds(self, era: int, *, skipped: bool) -> Mapping[int, tuple[int, ...]]:
        """For each call of a current row, the places of those that its lines of that era were made from.

        `skipped`: of lines that say that a call was not asked, what that was decided by. A call is left out where it
        was made from what its column builds on no more: its stale answers are kept or not, whatever became of that.
        """
        return self._grounds[era][skipped]

    def index_of(self, record: Mapping[str, Any]) -> int | None:
        """The current index of a failure's call, from whichever era.

        None if the call no longer exists, or if another generation failed: that says nothing about this one. So it is
        with a condition that couldn't be decided, and is another one now, or asks other columns; and with a form that
        no answer fitted, and that is another one now.
        """
        for number, era in enumerate(self.eras):
            if era.plan.owns(record) and not self.standing(number, record["index"]).is_stale:
                index = self.place(number, record["index"])
                if record.get("kind") == "wrong_form" and not self.knows_form(number, record["index"]):
                    return None
                condition = record.get("condition")
                if index is None or condition is None:
                    return index
                return index if condition == self.plan.shape.calls[index % self.plan.calls_a_row].condition else None
        return None

    def _standing(self, number: int, matches: Sequence[Mapping[int, tuple[int, bool]]]) -> list[Standing]:
        """Of each call of a row in era `number`."""
        found = []
        for place in range(self.eras[number].plan.calls_a_row):
            match = matches[number].get(place)
            if match is None:
                found.append(Standing(is_stale=False, counts=False, age=len(self.eras) + 1, is_left=True))
                continue
            call, is_stale = match
            column = self.plan.shape.calls[call].column
            counts = not is_stale or (self.keeps_stale and column.name not in self._again)
            found.append(Standing(is_stale, counts, self._age(number, place, call, matches)))
        return found

    def _age(self, number: int, place: int, call: int, matches: Sequence[Mapping[int, tuple[int, bool]]]) -> int:
        """One more than the number of eras since the last one that asked for this call the same question."""
        asked = self.eras[number].plan.shape.calls[place].column.fingerprint
        is_fresh = not matches[number][place][1]
        for later in range(len(self.eras) - 1, number, -1):
            shape = self.eras[later].plan.shape
            for other, (its_call, is_stale) in matches[later].items():
                same = shape.calls[other].column.fingerprint == asked or (is_fresh and not is_stale)
                if its_call == call and same:
                    return len(self.eras) - later
        return len(self.eras) - number

    def _with_followers(self, names: Collection[str]) -> frozenset[str]:
        found = set(names)
        for column in self.plan.columns:  # each comes behind what it builds on
            if found.intersection(column.sent):
                found.add(column.name)
        return frozenset(found)


class _Move:
    """From the rows of one plan to those of another."""

    def __init__(self, old: Plan, new: Plan, names: Renaming) -> None:
        self._rows = old.rows
        self._old_repeats, self._new_repeats = old.repeats, new.repeats
        self._move: Callable[[int], int | None] = moves(
            renamed_cells(old.cells, names) if names else old.cells, new.cells
        )

    def __call__(self, row: int) -> int | None:
        cell, repeat = divmod(row, self._old_repeats)
        if repeat >= self._new_repeats or not 0 <= row < self._rows:
            return None
        place = self._move(cell)
        return None if place is None else place * self._new_repeats + repeat


def _renamings(plans: Sequence[Plan]) -> Sequence[Renaming]:
    """How the attributes of each plan are called in the last one."""
    if len(plans) == 1:
        return [{}]
    from herogen_async.specs.plan.renaming import renamings  # noqa: PLC0415 - a run of one plan needs none of it

    return renamings(plans)


def _matches(old: Plan, new: Plan, names: Renaming) -> dict[int, tuple[int, bool]]:
    """For the places of the calls of an old row: that of the current row, and whether the answer is stale."""
    before = _fingerprints(old.columns, names)
    fresh = {each.fingerprint: each for each in new.columns}
    taken: dict[str, AskedColumn] = {
        column.name: fresh[before[column.name]] for column in old.columns if before[column.name] in fresh
    }
    answered = {each.name for each in taken.values()}
    by_name = {each.name: each for each in new.columns if each.name not in answered}
    found: dict[int, tuple[int, bool]] = {}
    for column in old.columns:
        match = taken.get(column.name) or by_name.get(column.name)
        if match is None and len(old.columns) == len(new.columns) == 1:
            match = new.columns[0]
        if match is not None:
            is_stale = column.name not in taken
            found |= {place: (call, is_stale) for place, call in zip(column.calls, match.calls, strict=False)}
    return found


def _fingerprints(columns: Sequence[AskedColumn], names: Renaming) -> dict[str, str]:
    """Of each column by name, as it would be with attributes that are called as `names` says."""
    if not names:
        return {each.name: each.fingerprint for each in columns}
    found: dict[str, str] = {}
    for each in columns:
        found[each.name] = column_fingerprint(each, {other: found[other] for other in each.sent}, names)
    return found


def _grounds(old: Plan, new: Plan, calls: Sequence[int | None], *, skipped: bool) -> dict[int, tuple[int, ...]]:
    """For the place of each current call: those of what its line in a row of `old` was made from, as it is now."""
    found: dict[int, tuple[int, ...]] = {}
    for then, call in zip(old.shape.calls, calls, strict=True):
        if call is None:
            continue
        now = new.shape.calls[call]
        places = [calls[place] for place in (then.parents if skipped else then.sent)]
        known = tuple(place for place in places if place in (now.parents if skipped else now.sent))
        if len(known) == len(places):
            found[call] = known
    return found


def _is_checked(column: AskedColumn) -> bool:
    return column.form is not None or column.unlike is not None


def _is_asked_again(record: Mapping[str, Any]) -> bool:
    """Whether a line is of a near copy that was not the last answer."""
    near = record.get("near_copy")
    return near is not None and not near.get("last", False)


def _same_cells(old: Plan, new: Plan) -> bool:
    return old.grid_fingerprint == new.grid_fingerprint
