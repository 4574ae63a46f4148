"""What a turn of a conversation has to be: a text, since the other side is told it. Pure."""

from __future__ import annotations

from herogen_async.core.blank import is_blank
from herogen_async.specs.forms.form import AnswerForm, FormReading, wrong

EMPTY_TURN = "the answer is empty"


def spoken_form() -> AnswerForm:
    """Any text that is not blank: servers refuse a message without one, and no turn could be built on it."""
    return AnswerForm({"spoken": True}, _read, sent={})


def _read(text: str, is_cut: bool) -> FormReading:
    del is_cut  # a turn that was cut off is one; its conversation is no training example
    return wrong(EMPTY_TURN) if is_blank(text) else FormReading(text, text)
