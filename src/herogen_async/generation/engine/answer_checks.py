"""Answers that are checked: whether each fits its form and is unlike earlier ones, and how a call is asked again.

Kept here:
1. Each answer is a line of the journal, whatever its check says. One that doesn't fit says why, and counts for nothing;
   a near copy says of which one, and counts only once its call is asked no more.
2. A call is asked at most MOST_ASKS times, for whichever reason. Which time it was stands in its line, so that a kill
   gives none back.
3. Asked again, the model is told its answer and what is wrong with it; what the call's line says was asked is the
   prompt, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from herogen_async.core.blank import is_blank
from herogen_async.core.errors import WrongForm
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.engine.requests import messages_of, other_seed
from herogen_async.generation.journal import Misfit
from herogen_async.generation.journal.record import NEAR_COPY, WRONG_FORM
from herogen_async.generation.limits import byte_size
from herogen_async.specs.plan import Call, Plan

if TYPE_CHECKING:  # few columns have an `unlike`
    from herogen_async.generation.engine.near_copies import NearCopies

MOST_ASKS = 3
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_OTHERWISE = "This is too close to an earlier answer; write something clearly different."


class AskedAgain(NamedTuple):
    """The last answer to a call that is asked again: which time it was asked for, its text, and what is wrong with it
    (None: it is a near copy).
    """

    ask: int
    text: str
    wrong: str | None

    @property
    def kind(self) -> str:
        """What such answers are counted as among the errors."""
        return NEAR_COPY if self.wrong is None else WRONG_FORM

    @property
    def wish(self) -> str:
        """What the model is told."""
        if self.wrong is None:
            return _OTHERWISE
        return f"This is wrong: {self.wrong}. Answer again, and write the whole answer in the required form."


class AnswerChecks:
    """The forms of `plan`, and its `unlike`: `near` are by column the answers that later ones are compared with.

    `earlier` are by call the lines of earlier sessions whose calls are asked again, which `read` reads.
    """

    def __init__(
        self,
        plan: Plan,
        earlier: Mapping[int, Misfit] = MappingProxyType({}),
        read: Callable[[Misfit], Mapping[str, Any]] = lambda _: _NOTHING,
        near: Mapping[str, NearCopies] = MappingProxyType({}),
    ) -> None:
        self._plan = plan
        self._forms = {column.name: column.form for column in plan.columns if column.form is not None}
        self._near = near
        self._is_chat = {column.name: column.endpoint == "chat" for column in plan.columns}
        self._earlier = dict(earlier)
        self._read = read
        self._again: dict[int, AskedAgain] = {}  # by call, while it is to be asked again

    @property
    def asks_again(self) -> bool:
        """Whether there is any call whose last answer does not count."""
        return bool(self._again or self._earlier)

    def look(self, call: Call, completion: Completion) -> Mapping[str, Any]:
        """The further fields of the answer's line: what its checks say, if its column has any."""
        name = call.column or ""
        form, near = self._forms.get(name), self._near.get(name)
        if form is None and near is None:
            return _NOTHING
        before = self._again.pop(call.index, None)
        ask = 1 if before is None else before.ask + 1
        told: dict[str, Any] = {} if ask == 1 else {"ask": ask}
        text = completion.text
        if form is not None:
            reading = form.read(text, is_cut=is_cut(completion.finish_reason))
            if reading.is_repaired:
                told["repaired"] = True
            if reading.wrong is not None:
                told[WRONG_FORM] = reading.wrong
                self._again[call.index] = AskedAgain(ask, text, reading.wrong)
                return told
            text = reading.text
        if near is not None and (of := near.look(call.index, text)) is not None:
            told[NEAR_COPY] = {"of": of.number, "likeness": of.likeness}
            if ask < MOST_ASKS:
                self._again[call.index] = AskedAgain(ask, completion.text, None)
            else:
                told[NEAR_COPY]["last"] = True
        return told

    def again(self, call: Call) -> AskedAgain | None:
        """The last answer to `call`, where it doesn't count."""
        return self._again.get(call.index)

    def ask_again(self, index: int, misfit: Misfit) -> None:
        """An earlier answer to the call at `index`, found later than the others."""
        self._earlier[index] = misfit

    def error(self, call: Call) -> WrongForm | None:
        """What `call` fails with that was asked as often as may be, and then is held no more; else None."""
        last = self._last(call)
        if last is None or last.ask < MOST_ASKS:
            return None
        del self._again[call.index]
        unlike = " and is unlike earlier ones" if call.column in self._near else ""
        wrong = f"none of {last.ask} answers fits the form{unlike}. The last one: {last.wrong}"
        return WrongForm(wrong, text=last.text)

    def as_asked(self, call: Call, request: Request) -> tuple[Request, int]:
        """`request`, with the last answer where it did not count; and how many bytes of text that is more.

        After a near copy it has another seed, where it has one.
        """
        last = self._last(call)
        if last is None:
            return request, 0
        more = byte_size(last.text) + byte_size(last.wish)
        if last.wrong is None and (seed := other_seed(self._plan, call, last.ask)):
            request = replace(request, body={**(request.body or {}), **seed})
        if not self._is_chat.get(call.column or ""):
            return replace(request, prompt=f"{call.prompt}\n\n{last.text}\n\n{last.wish}\n\n"), more
        said = messages_of(call)
        if is_blank(last.text):  # servers refuse a message without a text
            said[-1] = {"role": "user", "content": f"{said[-1]['content']}\n\n{last.wish}"}
        else:
            said.append({"role": "assistant", "content": last.text})
            said.append({"role": "user", "content": last.wish})
        return replace(request, body={**(request.body or {}), "messages": said}), more

    def _last(self, call: Call) -> AskedAgain | None:
        if (line := self._earlier.pop(call.index, None)) is not None:
            row = self._read(line)
            if set(row.get("from", ())) == set(call.built_on):  # else it was another question
                self._again[call.index] = AskedAgain(line.ask, row["response_txt"], row.get(WRONG_FORM))
        return self._again.get(call.index)
