"""The set-up of a session: its order is in its types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from herogen_async.generation.engine import Stopped
from herogen_async.generation.forecast.costs import Priced, priced
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.session.agreement import Agreed, agree
from herogen_async.generation.session.asking import carry_out
from herogen_async.generation.session.found import Found, read_journal
from herogen_async.generation.session.locked import Locked, locked
from herogen_async.generation.session.open_endpoint import find_model
from herogen_async.generation.session.opened import Opened, conclude
from herogen_async.generation.session.repaired import Repaired, repair
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.work import Work, plan_work

STEPS: list[tuple[Callable[..., Any], type, type]] = [
    (find_model, RunRequest, Ready),
    (priced, Ready, Priced),
    (locked, Priced, Locked),
    (agree, Locked, Agreed),
    (repair, Agreed, Repaired),
    (conclude, Repaired, Opened),
    (read_journal, Opened, Found),
    (plan_work, Found, Work),
    (carry_out, Work, Stopped),
]
MOST_ATTRIBUTES = 12


@pytest.mark.parametrize(("step", "taken", "given"), STEPS, ids=[step.__name__ for step, *_ in STEPS])
def test_a_step_takes_what_the_one_before_it_gave(step: Callable[..., Any], taken: type, given: type) -> None:
    """Another order, or a step left out, does not type-check."""
    hints = get_type_hints(getattr(step, "__wrapped__", step))
    returned = hints.pop("return")
    assert taken is next(iter(hints.values()))
    assert given is (get_args(returned)[0] if get_origin(returned) else returned)


def test_the_steps_are_a_chain() -> None:
    """Each begins with what the one before it ended with."""
    assert [given for _, _, given in STEPS[:-1]] == [taken for _, taken, _ in STEPS[1:]]


def test_a_session_has_few_attributes() -> None:
    """What a run needs is in its steps and not in one object that everything reaches into."""
    written = {name for name in Session.__init__.__code__.co_names if name.startswith("_")}
    assert len(written) <= MOST_ATTRIBUTES
