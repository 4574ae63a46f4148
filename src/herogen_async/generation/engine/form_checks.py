"""Answers with a form: whether each fits, and how a call is asked again whose answer does not.

Kept here:
1. Each answer is a line of the journal whether it fits or not; one that doesn't says why, and counts for nothing.
2. A call is asked at most MOST_ASKS times. Which time it was stands in its line, so that a kill gives none back.
3. Asked again, the model is told its answer and what is wrong with it; what the call's line says was asked is the
   prompt, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from herogen_async.core.blank import is_blank
from herogen_async.core.errors import WrongForm
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.engine.requests import messages_of
from herogen_async.generation.journal import Misfit
from herogen_async.generation.journal.record import WRONG_FORM
from herogen_async.generation.limits import byte_size
from herogen_async.specs.plan import Call, Plan

MOST_ASKS = 3
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Misread(NamedTuple):
    """The last answer to a call that did not fit: which time it was asked for, its text, and what is wrong with it."""

    ask: int
    text: str
    wrong: str


class FormChecks:
    """The forms of `plan`. `earlier` are by call the lines of earlier sessions that did not fit, which `read` reads."""

    def __init__(
        self,
        plan: Plan,
        earlier: Mapping[int, Misfit] = MappingProxyType({}),
        read: Callable[[Misfit], Mapping[str, Any]] = lambda _: _NOTHING,
    ) -> None:
        self._forms = {column.name: column.form for column in plan.columns if column.form is not None}
        self._is_chat = {column.name: column.endpoint == "chat" for column in plan.columns}
        self._earlier = dict(earlier)
        self._read = read
        self._misread: dict[int, Misread] = {}  # by call, while it is to be asked again

    def look(self, call: Call, completion: Completion) -> Mapping[str, Any]:
        """The further fields of the answer's line: how it fits, if its column has a form."""
        form = self._forms.get(call.column or "")
        if form is None:
            return _NOTHING
        before = self._misread.pop(call.index, None)
        ask = 1 if before is None else before.ask + 1
        reading = form.read(completion.text, is_cut=is_cut(completion.finish_reason))
        told: dict[str, Any] = {} if ask == 1 else {"ask": ask}
        if reading.is_repaired:
            told["repaired"] = True
        if reading.wrong is not None:
            told[WRONG_FORM] = reading.wrong
            self._misread[call.index] = Misread(ask, completion.text, reading.wrong)
        return told

    def is_misread(self, call: Call) -> bool:
        """Whether the last answer to `call` did not fit."""
        return call.index in self._misread

    def error(self, call: Call) -> WrongForm | None:
        """What `call` fails with that was asked as often as may be, and then is held no more; else None."""
        misread = self._last(call)
        if misread is None or misread.ask < MOST_ASKS:
            return None
        del self._misread[call.index]
        wrong = f"none of {misread.ask} answers fits the form. The last one: {misread.wrong}"
        return WrongForm(wrong, text=misread.text)

    def as_asked(self, call: Call, request: Request) -> tuple[Request, int]:
        """`request`, with the last answer where it did not fit; and how many bytes of text that is more."""
        misread = self._last(call)
        if misread is None:
            return request, 0
        wish = f"This is wrong: {misread.wrong}. Answer again, and write the whole answer in the required form."
        more = byte_size(misread.text) + byte_size(wish)
        if not self._is_chat.get(call.column or ""):
            return replace(request, prompt=f"{call.prompt}\n\n{misread.text}\n\n{wish}\n\n"), more
        said = messages_of(call)
        if is_blank(misread.text):  # servers refuse a message without a text
            said[-1] = {"role": "user", "content": f"{said[-1]['content']}\n\n{wish}"}
        else:
            said.append({"role": "assistant", "content": misread.text})
            said.append({"role": "user", "content": wish})
        return replace(request, body={**(request.body or {}), "messages": said}), more

    def _last(self, call: Call) -> Misread | None:
        if (line := self._earlier.pop(call.index, None)) is not None:
            row = self._read(line)
            if set(row.get("from", ())) == set(call.built_on):  # else it was another question
                self._misread[call.index] = Misread(line.ask, row["response_txt"], row[WRONG_FORM])
        return self._misread.get(call.index)
