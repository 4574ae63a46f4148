"""A row whose calls are being asked: what it waits for, and what is ready. Pure.

Kept here:
1. A call is ready once all that it builds on is settled: answered, or skipped by its condition.
2. A call that fails gives up all that builds on it: these are not asked, in this session and by this failure.
3. What builds on a skipped call is skipped, unless its placeholder names another that it may take instead.
4. A row is held only while something of it is asked, so memory does not know how large the grid is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from herogen_async.core.errors import ConditionUnclear, EndpointError, HerogenError, TemplateFailed
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.forms.form import FormReading, field_text
from herogen_async.specs.forms.pairwise import read_together
from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.row_shape import CallShape, RowShape
from herogen_async.specs.spec.said import SaidText, said_value
from herogen_async.specs.spec.template import Alternative, alternatives

_BETWEEN_SAMPLES = "\n\n"  # `{name.all}`


class Settled(Enum):
    """What became of a call of an open row."""

    ANSWERED = "answered"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOT_ASKED = "not asked"


_ANSWERED, _SKIPPED = Settled.ANSWERED, Settled.SKIPPED  # an enum's member takes longer to look up


@dataclass(frozen=True, slots=True)
class Skip:
    """A call that is not to be asked: its line says so. `condition` is the fingerprint of what was not met."""

    call: Call
    condition: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A call whose condition can't be decided, or whose text can't be rendered, and why."""

    call: Call
    error: EndpointError


class OpenRow:
    """Row `number`; its calls begin at `first_index`."""

    __slots__ = (
        "_given",
        "_own_part",
        "_readings",
        "_seals",
        "_settled",
        "_shape",
        "_sub_prompt",
        "_texts",
        "_told",
        "_waits",
        "cell",
        "first_index",
        "has_failed",
        "last_line",
        "number",
        "open",
        "out",
        "repeat",
    )

    def __init__(
        self,
        shape: RowShape,
        number: int,
        *,
        cell: dict[str, str],
        repeat: int,
        sub_prompt: str,
        told: dict[str, str],
        own: bytes,
        given: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        self.number = number
        self.first_index = number * len(shape.calls)
        self.cell = cell
        self.repeat = repeat
        self.open = len(shape.calls)  # calls that are not settled
        self.has_failed = False  # one of its calls
        self.out: set[int] = set()  # the places of calls that are being asked
        self.last_line = 0  # the number of its latest line in this session
        self._shape = shape
        self._sub_prompt = sub_prompt
        self._own_part = own
        self._told = told  # what lines say of the cell
        self._given = given  # what templates may name besides columns, where that is more than the cell
        self._texts: list[str | None] = [None] * self.open
        self._readings: Sequence[FormReading | None] | None = None  # of a row whose answers were read before
        self._seals: list[str] = [""] * self.open
        self._settled: list[Settled | None] = [None] * self.open
        self._waits = shape.waits.copy()

    # -- what became of calls ----------------------------------------------------------------------------------

    def settle(self, place: int, text: str | None, seal: str) -> list[int]:
        """The call at `place` has an answer, or is skipped where `text` is None, as the line with the checksum `seal`
        says; the places of what waited for it alone.
        """
        self._texts[place] = text
        self._settled[place] = _SKIPPED if text is None else _ANSWERED
        self._seals[place] = seal
        self.open -= 1
        waits, ready = self._waits, []
        for child in self._shape.children[place]:
            waits[child] = left = waits[child] - 1
            if not left and self._settled[child] is None:
                ready.append(child)
        return ready

    def restore(self, place: int, how: Settled) -> None:
        """What became of the call at `place` in an earlier session; what others need of it comes by `recall`."""
        self._settled[place] = how
        self.open -= 1
        self.has_failed = self.has_failed or how is Settled.FAILED
        if how in (Settled.ANSWERED, Settled.SKIPPED):
            for child in self._shape.children[place]:
                self._waits[child] -= 1

    def recall(self, place: int, text: str, seal: str) -> None:
        """The answer of an earlier session; of a skipped call the seal alone counts."""
        self._texts[place] = None if self._settled[place] is Settled.SKIPPED else text
        self._seals[place] = seal

    def fill(self, answers: Sequence[FormReading | None]) -> None:
        """The answers of an earlier session by place, as they are read, None for a call that was skipped.

        No line is known of any.
        """
        self._readings = answers
        for place, answer in enumerate(answers):
            self.restore(place, _SKIPPED if answer is None else _ANSWERED)
            self._texts[place] = None if answer is None else answer.text

    def failed(self, place: int) -> list[int]:
        """The call at `place` won't be answered; the places of those that are not asked because of it."""
        if self._settled[place] is None:
            self._settled[place] = Settled.FAILED
            self.has_failed = True
            self.open -= 1
        given_up = [child for child in self._shape.descendants(place) if self._settled[child] is None]
        for child in given_up:
            self._settled[child] = Settled.NOT_ASKED
        self.open -= len(given_up)
        return given_up

    def ready(self) -> list[int]:
        """The places of all that can be asked, or skipped, now."""
        if self.open == len(self._settled):
            return list(self._shape.roots)
        return [place for place, waits in enumerate(self._waits) if waits == 0 and self._settled[place] is None]

    def texts(self, places: Iterable[int]) -> dict[int, str | None]:
        """What the calls at these places were answered; None for one that was skipped."""
        return {place: self._texts[place] for place in places}

    def settled(self, place: int) -> Settled | None:
        """What became of the call at `place`; None while that is open."""
        return self._settled[place]

    def needed(self, besides: Collection[int] = ()) -> list[int]:
        """The places of earlier sessions' answers that calls which are still open are made from, and `besides`."""
        open_calls = [call for call in self._shape.calls if self._settled[call.place] is None]
        there = (Settled.ANSWERED, Settled.SKIPPED)
        named = {place for call in open_calls for place in call.parents}.union(besides)
        return sorted(place for place in named if self._settled[place] in there)

    # -- what is to be done --------------------------------------------------------------------------------------

    def step(self, place: int) -> Call | Skip | Unclear:
        """What is to be done for a call that is ready: ask it, write that it is skipped, or give it up."""
        shape = self._shape.calls[place]
        try:
            return (self._plain_call(shape) if shape.is_plain else None) or self._step(shape)
        except TemplateFailed as error:
            return Unclear(self._of(shape, "", None, ()), error)

    def _step(self, shape: CallShape) -> Call | Skip | Unclear:
        values, seals, missing, lacking = self._inputs(shape)
        if missing:
            return self._left_out(shape, missing)
        if shape.column.when is not None:
            try:
                is_wanted = shape.column.when.holds({**self.cell, **dict(self._asked(shape))})
            except HerogenError as error:  # an ExpressionFailed, of a room that only conditions load
                return Unclear(self._of(shape, "", None, ()), ConditionUnclear(error.message))
            if not is_wanted:
                asked = tuple(self._seals[parent] for parent in shape.parents)
                return Skip(self._of(shape, "", None, asked), shape.column.when.fingerprint)
        try:
            return self._call(shape, values, seals)
        except TemplateFailed as error:
            if error.is_missing and lacking:
                return self._left_out(shape, lacking)
            raise

    def _left_out(self, shape: CallShape, missing: Sequence[int]) -> Skip:
        """A call that can't do without those at the places `missing`, which were skipped."""
        # What this rests on is that those were skipped: lines of another decision are no ground for it.
        return Skip(self._of(shape, "", None, tuple(self._seals[each] for each in missing)), self._reason(missing[0]))

    def _plain_call(self, shape: CallShape) -> Call | None:
        """The same for nearly all calls, in one go; None where an answer that it names was skipped."""
        values = self.cell if self._given is None else self._named(shape)
        if shape.direct:
            values, texts = values.copy(), self._texts
            for name, place in shape.direct:
                if (text := texts[place]) is None:
                    return None
                values[name] = text
        system = shape.column.system
        return Call(  # as `_of`; for nearly every call
            shape.key(self._own_part),
            self.first_index + shape.place,
            self._told,
            self.repeat,
            shape.column.prompt.render(values),
            None if system is None else system.render(values) or None,
            self._sub_prompt,
            shape.column.name,
            shape.told_sample,
            tuple(map(self._seals.__getitem__, shape.direct_places)) if shape.direct else (),
        )

    def stands_on(self, built_on: Collection[str], skipped: Collection[int]) -> bool:
        """Whether what was made from these lines, and without the calls at the places `skipped`, would be so again."""
        return all(self._settled[place] is _SKIPPED for place in skipped) and set(self._seals).issuperset(built_on)

    def text(self, place: int) -> str | None:
        """The text of the call at `place` with the answers that it holds; None where one of them was skipped."""
        shape = self._shape.calls[place]
        values, _, missing, _ = self._inputs(shape)
        try:
            return None if missing else shape.column.prompt.render(values)
        except TemplateFailed:  # of what a row was asked with, one that needs what was skipped
            return None

    def system_text(self, place: int) -> str:
        """The system text of the call at `place`, with the answers that it holds; "" where its column has none."""
        shape = self._shape.calls[place]
        return "" if (system := shape.column.system) is None else system.render(self._inputs(shape)[0])

    def preview(self, place: int) -> Call:
        """The call at `place`; answers that are not there yet stand in its prompt as placeholders."""
        shape = self._shape.calls[place]
        column = shape.column
        values = {**self._named(shape), **{name: column.prompt.shows(name) for name, _ in shape.inputs}}
        system = None if column.system is None else column.system.preview(values) or None
        call = self._with_turns(self._of(shape, column.prompt.preview(values), system, ()), column, values)
        if not shape.parents and isinstance(step := self.step(place), Unclear):
            call.failure = step.error if isinstance(step.error, TemplateFailed) else None
        return call

    def _call(self, shape: CallShape, values: dict[str, str], seals: tuple[str, ...]) -> Call:
        column = shape.column
        system = None if column.system is None else column.system.render(values) or None
        return self._with_turns(self._of(shape, column.prompt.render(values), system, seals), column, values)

    @staticmethod
    def _with_turns(call: Call, column: AskedColumn, values: dict[str, str]) -> Call:
        if column.turns:
            call.turns = tuple((role, str(values[name])) for role, name in column.turns)
        return call

    def _of(self, shape: CallShape, prompt: str, system: str | None, seals: tuple[str, ...]) -> Call:
        return Call(
            shape.key(self._own_part),
            self.first_index + shape.place,
            self._told,
            self.repeat,
            prompt,
            system,
            self._sub_prompt,
            shape.column.name,
            shape.told_sample,
            seals,
        )

    def _inputs(self, shape: CallShape) -> tuple[dict[str, str], tuple[str, ...], list[int], list[int]]:
        """The values of a call's placeholders, the checksums of the lines that they are from, and what is missing.

        That are the places of skipped calls that one of the placeholders can't do without; last those of which the
        rendering shows whether it can.
        """
        if not shape.inputs:
            return self._named(shape), (), [], []
        values, used, lacking = dict(self._named(shape)), dict[int, None](), list[int]()
        for name, sources in shape.inputs:
            missing: list[int] = []
            for number, source in enumerate(sources):
                if isinstance(source, str):
                    values[name] = values.get(source, "")
                    break
                places = self._read_with(source)
                used.update(dict.fromkeys(places))
                field = alternatives(name)[number].field
                texts = [text for place in source if (text := self._said(place, field)) is not None]
                if texts:
                    values[name] = texts[0] if len(source) == 1 else _BETWEEN_SAMPLES.join(texts)
                    if shape.is_jinja:
                        values[name] = self._typed(source, alternatives(name)[number], values[name])
                    break
                missing += (place for place in places if self._texts[place] is None)
            else:
                if name not in shape.may_lack:
                    return values, (), missing, []
                lacking += missing
        return values, tuple(self._seals[place] for place in used), [], lacking

    def _named(self, shape: CallShape) -> dict[str, str]:
        """What its templates may name besides columns."""
        needs_more = shape.column.examples is not None or shape.is_jinja
        return self._given() if needs_more and self._given is not None else self.cell

    def _typed(self, places: Sequence[int], named: Alternative, text: str) -> str:
        """`text` with the value that it is of, where that is more than a text: a list of samples, a field, fields."""
        if named.is_all:
            said = (place for place in places if self._said(place, None) is not None)
            return SaidText(text, [said_value(self._reading_of(place)) for place in said])
        reading = self._reading_of(places[0])
        value = said_value(reading) if named.field is None else reading.field(named.field)
        return text if value is text else SaidText(text, value)

    def _reading_of(self, place: int) -> FormReading:
        """What the answer at `place` says, which is there; of a column without a form its text."""
        reading = self._reading(place)
        return FormReading(self._texts[place] or "") if reading is None else reading

    def _said(self, place: int, field: str | None) -> str | None:
        """What the answer at `place` says, or a field of it, as a text; None where it was skipped."""
        if self._shape.calls[place].column.form is None:
            return self._texts[place]
        reading = self._reading(place)
        if reading is None:
            return None
        return reading.text if field is None else field_text(reading.field(field))

    def _asked(self, shape: CallShape) -> Iterator[tuple[str, Any]]:
        for name, place in shape.asked:
            field = name.partition(".")[2]
            reading = self._reading(place) if field else None
            yield name, self._said(place, None) if reading is None else reading.field(field)

    def _reading(self, place: int) -> FormReading | None:
        """What the answer at `place` says, with that of the other order where there is one; None without both."""
        if self._readings is not None:
            return self._readings[place]
        call, text = self._shape.calls[place], self._texts[place]
        if text is None or call.column.form is None:
            return None
        reading = call.column.form.read(text)
        if call.swapped is None or call.column.pair is None:
            return reading
        other = self._reading(call.swapped)
        return None if other is None else read_together(reading, other, call.column.pair)

    def _read_with(self, places: Sequence[int]) -> Sequence[int]:
        """These, and the places of the calls whose answers are read with theirs."""
        if not self._shape.has_pairs:
            return places
        swapped = (self._shape.calls[place].swapped for place in places)
        return [*places, *(place for place in swapped if place is not None)]

    def _is_answered(self, place: int) -> bool:
        return all(self._settled[each] is Settled.ANSWERED for each in self._read_with((place,)))

    def _reason(self, place: int) -> str:
        """The fingerprint of the condition by which the call at `place` was left out."""
        shape = self._shape.calls[place]
        # By what became of them, and not by their texts: of an earlier session only those are here that are needed.
        for _, sources in shape.inputs:
            skipped = []
            for source in sources:
                if isinstance(source, str) or any(map(self._is_answered, source)):
                    break
                skipped += [each for each in self._read_with(source) if self._settled[each] is Settled.SKIPPED]
            else:
                if skipped:
                    return self._reason(skipped[0])
        return "" if shape.column.when is None else shape.column.when.fingerprint
