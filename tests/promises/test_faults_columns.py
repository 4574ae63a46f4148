"""Faults of the catalogue, met by rows of three columns: a fault costs its row alone, and resume asks what is lacking.

Each of a row's three calls meets the fault: where it goes away after a first time, the row is done all the same; where
it stays, the row is given up with its first column, and what builds on that is never asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.fault_runs import ALWAYS, DEADLINE_S, ONCE, THREE_COLUMNS, Trouble, ask, heal

FAULTS: dict[str, Callable[[Asked], Reply]] = {
    "accept and never answer": lambda asked: Reply(hang=True),
    "500": lambda asked: error(500),
    "HTML": lambda asked: Reply(body=b"<html>no</html>"),
    "empty choices": lambda asked: Reply(body={"choices": []}),
}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def asked_of(server: FakeServer, words: str) -> Counter[str]:
    """How often each prompt that holds these words was asked."""
    return Counter({prompt: count for prompt, count in server.prompts().items() if words in prompt})


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_only_its_row_of_columns_until_resume(server: FakeServer, tmp_path: Path, name: str) -> None:
    """Nine rows are whole; the tenth was asked for its first column alone."""
    server.behaviour = Trouble(FAULTS[name])
    ended = ask(tmp_path / "r", server.url, spec=THREE_COLUMNS)
    assert ("failed_rows", 9, 1) == ended.counts
    assert ended.took_s < 20 * DEADLINE_S
    assert 1 == len(asked_of(server, ALWAYS)), "of the row that fails the first column alone"
    assert {2} == {count for words in ONCE for count in asked_of(server, words).values()}
    assert [3, 3, 3] == [len(asked_of(server, words)) for words in ONCE]
    heal(tmp_path / "r", server, columns=3)


def test_a_refused_column_gives_up_its_row_without_another_attempt(server: FakeServer, tmp_path: Path) -> None:
    """The second column of a row is refused: the first is kept, the third is not asked."""
    server.behaviour = lambda asked: (
        error(400) if asked.prompt.startswith("solve") and ALWAYS in asked.prompt else answer(asked)
    )
    ended = ask(tmp_path / "r", server.url, spec=THREE_COLUMNS)
    assert ("failed_rows", 9, 1) == ended.counts
    assert [1, 1] == list(asked_of(server, ALWAYS).values())
    before = server.prompts()
    heal(tmp_path / "r", server, columns=3)
    assert 2 == (server.prompts() - before).total(), "the refused one, and what builds on it"


def test_an_error_for_every_row_parks_in_the_midst_of_columns(server: FakeServer, tmp_path: Path) -> None:
    """A 401 in mid-run: resume finishes what is begun, and asks nothing again that was answered."""
    server.behaviour = lambda asked: answer(asked) if asked.number < 11 else error(401)
    ended = ask(tmp_path / "r", server.url, spec=THREE_COLUMNS)
    assert "parked" == ended.report.state
    answered = 11
    before = server.prompts()
    heal(tmp_path / "r", server, columns=3)
    assert 30 - answered == (server.prompts() - before).total()


def test_a_rate_limit_costs_no_row_of_columns_and_no_attempt(server: FakeServer, tmp_path: Path) -> None:
    """Each call is rejected once; all are answered."""
    seen: Counter[str] = Counter()

    def behaviour(asked: Asked) -> Reply:
        seen[asked.prompt] += 1
        return error(429) if seen[asked.prompt] == 1 else answer(asked)

    server.behaviour = behaviour
    ended = ask(tmp_path / "r", server.url, spec=THREE_COLUMNS, max_attempts=1)
    assert ("done", 10, 0) == ended.counts
    assert {2} == set(server.prompts().values())
