"""The answer of a judge that compares two texts, and what two such answers say together. Pure.

A model prefers a place: it is asked twice, and what it says of one order counts only if it says the same of the other.
"""

from __future__ import annotations

from herogen_async.core import codec
from herogen_async.specs.forms.definition import form_of
from herogen_async.specs.forms.form import AnswerForm, FormReading

TIE = "tie"
LABELS = ("A", "B")  # of the texts, in the order of a prompt
WHY, WINNER = "why", "winner"
# First the reason, then the decision.
COMPARISON = {WHY: "string", WINNER: {"type": "string", "enum": [*LABELS, TIE]}}


def pair_form(first: str, second: str) -> AnswerForm:
    """The form of answers about the columns `first` (A) and `second` (B): its `winner` is one of them by name, or TIE.

    The server is told the labels: a model sees texts, and never what they are called.
    """
    as_labels = form_of(COMPARISON)
    names = dict(zip((*LABELS, TIE), (first, second, TIE), strict=True))

    def read(text: str, is_cut: bool) -> FormReading:
        said = as_labels.read(text, is_cut=is_cut)
        if said.wrong is not None:
            return said
        return _reading(said.value[WHY], names[said.value[WINNER]], is_repaired=said.is_repaired)

    return AnswerForm(
        {"judge": {"pair": [first, second]}}, read, fields=as_labels.fields, is_json=True, sent=as_labels.sent
    )


def read_together(first: FormReading, second: FormReading, pair: tuple[str, str]) -> FormReading:
    """What both answers say together: the `winner` of both orders, else TIE; where they differ, `why` holds both.

    Where one of them says nothing, as a simulated answer does, that is it.

    `pair` are the columns in the order that `first` is about.
    """
    one, other = first.value, second.value
    if one is None or other is None:
        return first if one is None else second
    if one[WINNER] == other[WINNER]:
        return first
    told = zip(pair, (one, other), strict=True)
    return _reading("\n".join(f"With {name} first, {each[WINNER]}: {each[WHY]}" for name, each in told), TIE)


def _reading(why: str, winner: str, *, is_repaired: bool = False) -> FormReading:
    value = {WHY: why, WINNER: winner}
    return FormReading(codec.dumps(value).decode(), value, is_repaired=is_repaired)
