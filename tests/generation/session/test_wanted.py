"""`want`: rows are asked in the plan's order until so many are accepted, the same ones whatever happens meanwhile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import RunFolderError
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

VALUES = 700
JUDGE = {"judge": {"of": "story", "scale": {number: f"grade {number}" for number in range(1, 8)}}}
COLUMNS: dict[str, Any] = {"story": {"prompt": "tell {n}"}, "verdict": JUDGE}


def wanting(want: Any = 20, *, columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    """Rows of a story and its grade from 1 to 7: one in seven is accepted."""
    data: dict[str, Any] = {
        "name": "wanting",
        "attributes": {"n": [f"n{number}" for number in range(VALUES)]},
        "columns": COLUMNS if columns is None else columns,
        "endpoint": "chat",
        "keep": "verdict.score == 7",
        "want": want,
    }
    return Spec(**{name: value for name, value in {**data, **changes}.items() if value is not None})


def grade(prompt: str) -> int:
    """What the judge says, by the story's own words."""
    return 1 + crc32(prompt.split("<")[1].split(">", maxsplit=1)[0].encode()) % 7


def judged(asked: Asked) -> Reply:
    if asked.prompt.startswith("tell"):
        return answer(asked, f"<{asked.prompt}>")
    return answer(asked, f'{{"why": "so", "score": {grade(asked.prompt)}}}')


def taken(spec: Spec, most: int | None = None) -> list[int]:
    """The rows that are to be taken, as a reader of the whole grid would choose them."""
    plan = Plan(spec, endpoint="chat", model="m")
    numbers = [number for number in range(plan.rows) if grade(f"<tell {plan.cells.cell(number)['n']}>") == 7]
    assert spec.want is not None
    return numbers[: spec.want.accepted if most is None else most]


def cells_of(folder: Path) -> list[str]:
    """Those of the examples that the run's data set has."""
    assembled = herogen_async.assemble(folder, format="messages", out=folder / "d")
    return [str(row["messages"][0]["content"]) for row in _json_lines(assembled.data)]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [codec.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(judged) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec or wanting(), run=folder, base_url=server.url, model="m", **options)


def wanted_cells(spec: Spec) -> list[str]:
    plan = Plan(spec, endpoint="chat", model="m")
    return [plan.cells.cell(number)["n"] for number in taken(spec)]


def test_a_run_ends_with_so_many_accepted_rows(server: FakeServer, tmp_path: Path) -> None:
    """Exactly these are the data set, and few rows more were begun than were needed."""
    # What is open follows what is on disk: a server that answers in no time is ahead of a busy machine's disk.
    server.behaviour = lambda asked: replace(judged(asked), delay_s=0.05)
    spec = wanting()
    report = run(server, tmp_path / "r", spec, concurrency=8)
    assert ("done", 0) == (report.state, report.exit_code)
    assert (20, 20, VALUES) == (report.accepted, report.wanted, report.at_most)
    assert report.done == report.total == sum(report.outcomes.values())
    needed = taken(spec)[-1] + 1
    assert needed <= report.done <= needed + 16
    assert wanted_cells(spec) == cells_of(tmp_path / "r")
    told = herogen_async.status(tmp_path / "r")
    assert ("done", 20, 20, report.done, report.done) == (
        told.state,
        told.accepted,
        told.wanted,
        told.done,
        told.total,
    )
    assert report.outcomes == told.outcomes
    # What is done is not gone on with.
    before = len(server.asked)
    assert "done" == herogen_async.resume(tmp_path / "r").state
    assert before == len(server.asked)


def test_the_same_rows_are_taken_after_any_kills(server: FakeServer, tmp_path: Path) -> None:
    """The journal is cut at five places, one after the other, and the run goes on: the same examples, none twice."""
    spec, chance = wanting(40), random.Random(4)
    folder = tmp_path / "r"
    for _ in range(5):
        run(server, folder, spec, concurrency=chance.choice([1, 8, 30]))
        lines = (folder / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
        keep = chance.randrange(len(lines))
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:keep]))
        (folder / "lock").unlink()
        shutil.rmtree(folder / "d", ignore_errors=True)
    report = run(server, folder, spec, concurrency=5)
    assert ("done", 40) == (report.state, report.accepted)
    assert wanted_cells(spec) == cells_of(folder)
    rows = list(herogen_async.rows(folder))
    assert len(rows) == len({row["index"] for row in rows}) == report.done


def test_a_slow_row_is_waited_for(server: FakeServer, tmp_path: Path) -> None:
    """Rows that end first are not preferred: one before them that fails twice is taken all the same."""
    spec = wanting()
    first = wanted_cells(spec)[0]
    tries = 0

    def behaviour(asked: Asked) -> Reply:
        nonlocal tries
        if asked.prompt == f"tell {first}":
            tries += 1
            if tries < 3:
                return error(503, "busy")
        return judged(asked)

    server.behaviour = behaviour
    report = run(server, tmp_path / "r", spec, concurrency=8)
    assert ("done", 20) == (report.state, report.accepted)
    assert wanted_cells(spec) == cells_of(tmp_path / "r")


def test_too_few_accepted_rows_end_with_exit_code_1(server: FakeServer, tmp_path: Path) -> None:
    """All of `at_most` rows were asked, none more; why, and what to do, is said by the run and by its folder."""
    spec = wanting({"accepted": 20, "at_most": 50})
    accepted = sum(number < 50 for number in taken(spec))
    assert 0 < accepted < 20
    report = run(server, tmp_path / "r", spec)
    for told in (report, herogen_async.status(tmp_path / "r")):
        assert ("too_few_accepted", 1, 50, 50) == (told.state, told.exit_code, told.done, told.total)
        assert {"accepted": accepted, "rejected": 50 - accepted, "undecided": 0, "failed": 0} == told.outcomes
        assert f"{accepted} of the 20 wanted rows are accepted" in str(told.reason)
        assert f"{(50 - accepted) / 50:.1%} rejected" in str(told.reason)
        assert "at_most" in str(told.fix)
    assert 100 == len(server.asked)
    # A higher one goes on, and needs no consent.
    report = run(server, tmp_path / "r", wanting({"accepted": 20, "at_most": 700}))
    assert ("done", 20) == (report.state, report.accepted)
    assert wanted_cells(spec) == cells_of(tmp_path / "r")


def test_more_wanted_rows_and_another_keep_go_on_for_free(server: FakeServer, tmp_path: Path) -> None:
    """No consent is needed, nothing that was paid is asked again, and what was beyond comes in."""
    run(server, tmp_path / "r", wanting(10))
    paid = {asked.prompt for asked in server.asked}
    spec = wanting(25)
    report = run(server, tmp_path / "r", spec)
    assert ("done", 25) == (report.state, report.accepted)
    assert wanted_cells(spec) == cells_of(tmp_path / "r")
    assert len(server.asked) == len({asked.prompt for asked in server.asked}) > len(paid)
    before = len(server.asked)
    report = run(server, tmp_path / "r", wanting(25, keep="verdict.score >= 3"))
    assert ("done", 25, before) == (report.state, report.accepted, len(server.asked))


def test_a_limit_is_a_further_cap(server: FakeServer, tmp_path: Path) -> None:
    """It ends with exit code 0 and the count; without it the run goes on."""
    spec = wanting()
    report = run(server, tmp_path / "r", spec, limit=30)
    assert ("done", 0, 30) == (report.state, report.exit_code, report.done)
    assert report.accepted == sum(number < 30 for number in taken(spec))
    assert "done" == herogen_async.status(tmp_path / "r").state
    assert 20 == herogen_async.resume(tmp_path / "r", limit=VALUES).accepted
    assert wanted_cells(spec) == cells_of(tmp_path / "r")


def test_one_prompt_wants_rows_that_are_answered(server: FakeServer, tmp_path: Path) -> None:
    """Without a `keep` every answer is accepted, and a row that failed is not."""

    def behaviour(asked: Asked) -> Reply:
        return error(400, "no") if int(asked.prompt[6:]) % 3 == 0 else answer(asked, "yes")

    server.behaviour = behaviour
    attributes = {"n": [str(number) for number in range(VALUES)]}
    spec = Spec(name="one", attributes=attributes, prompt="tell n{n}", endpoint="chat", want=30)
    report = run(server, tmp_path / "r", spec, concurrency=8)
    assert (30, report.failed) == (report.accepted, report.outcomes["failed"])
    assert report.outcomes["failed"] > 0
    assert report.done + report.failed == report.total < 80
    assert 1 == report.exit_code
    rows = herogen_async.assemble(tmp_path / "r", truncated="keep")
    assert 30 == rows.written
    # Asked again they are answered, and the rows that are taken are others: the first ones.
    server.behaviour = lambda asked: answer(asked, "yes")
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("done", 0) == (report.state, report.failed)
    numbers = [row["index"] for row in herogen_async.rows(tmp_path / "r")]
    assert set(range(30)) <= set(numbers)


def test_a_failed_row_is_no_accepted_one(server: FakeServer, tmp_path: Path) -> None:
    """Its place goes to the next; once it is asked again and accepted, it takes it back."""
    spec = wanting()
    first = wanted_cells(spec)[0]
    server.behaviour = lambda asked: error(400, "no") if asked.prompt == f"tell {first}" else judged(asked)
    report = run(server, tmp_path / "r", spec)
    assert ("failed_rows", 20, 1) == (report.state, report.accepted, report.failed)
    longer = wanted_cells(wanting(21))
    assert longer[1:] == cells_of(tmp_path / "r")
    server.behaviour = judged
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("done", 20) == (report.state, report.accepted)
    assert longer[:-1] == cells_of(tmp_path / "r")


def test_a_want_in_a_run_that_has_none_needs_consent(server: FakeServer, tmp_path: Path) -> None:
    """It changes the order of the cells; every answer stays, and none is asked again."""
    plain = wanting(want=None)
    run(server, tmp_path / "r", plain, limit=60)
    with pytest.raises(RunFolderError, match="order"):
        run(server, tmp_path / "r", wanting())
    report = run(server, tmp_path / "r", wanting(), extend=True)
    assert ("done", 20) == (report.state, report.accepted)
    prompts = [asked.prompt for asked in server.asked]
    assert len(prompts) == len(set(prompts))
    # In the order of the attributes there is nothing to agree to.
    run(server, tmp_path / "other", plain, limit=60)
    report = run(server, tmp_path / "other", wanting(grid={"shuffle": False}))
    assert ("done", 20) == (report.state, report.accepted)


def test_rows_of_unclear_acceptance_are_counted(server: FakeServer, tmp_path: Path) -> None:
    """A judge that was not asked accepts nothing."""
    verdict = {**JUDGE, "when": "n != 'n5'"}
    spec = wanting(2, columns={**COLUMNS, "verdict": verdict}, attributes={"n": ["n5", "n6"]})
    report = run(server, tmp_path / "r", spec)
    assert "too_few_accepted" == report.state
    assert 1 == report.outcomes["undecided"]


def test_a_judge_that_parks_keeps_rows_from_being_begun(server: FakeServer, tmp_path: Path) -> None:
    """Without it no row is accepted: no more stories are paid for than would be needed if all were."""
    with FakeServer(lambda asked: error(401, "invalid_api_key")) as refusing:
        judge = {**JUDGE, "model": "judge", "base_url": refusing.url}
        spec = wanting(columns={**COLUMNS, "verdict": judge})
        report = run(server, tmp_path / "r", spec, concurrency=4)
    assert "parked" == report.state
    assert len(server.asked) <= 20 + 4
    folder = herogen_async.status(tmp_path / "r")
    assert (0, 20) == (folder.accepted, folder.wanted)


def test_rows_are_accepted_by_a_comparison_in_both_orders(server: FakeServer, tmp_path: Path) -> None:
    """Of this session's answers and of those that an earlier one left: a judge is read with its other order."""
    columns: dict[str, Any] = {
        "draft": {"prompt": "draft {n}"},
        "rewrite": {"prompt": "rewrite {n}"},
        "verdict": {"judge": {"pair": ["draft", "rewrite"]}},
    }

    def behaviour(asked: Asked) -> Reply:
        if asked.prompt.startswith(("draft", "rewrite")):
            return answer(asked, f"<{asked.prompt}>")
        number = int(asked.prompt.split("<draft n")[1].split(">")[0])
        is_first = asked.prompt.index("<draft") < asked.prompt.index("<rewrite")
        # Every third row's rewrite wins in both orders; else the judge prefers the place.
        winner = ("B" if is_first else "A") if number % 3 == 0 else "A"
        return answer(asked, f'{{"why": "so", "winner": "{winner}"}}')

    server.behaviour = behaviour
    spec = wanting(12, columns=columns, keep="verdict.winner == 'rewrite'")
    run(server, tmp_path / "r", spec, concurrency=6, limit=20)
    report = herogen_async.resume(tmp_path / "r", limit=VALUES)
    assert ("done", 12) == (report.state, report.accepted)
    plan = Plan(spec, endpoint="chat", model="m")
    cells = [plan.cells.cell(number)["n"] for number in range(plan.rows)]
    assert [cell for cell in cells if int(cell[1:]) % 3 == 0][:12] == [
        row["cell"]["n"] for row in herogen_async.rows(tmp_path / "r") if row["accepted"]
    ][:12]
    assert 12 == herogen_async.status(tmp_path / "r").accepted


# -- what could hang, be hidden or be counted wrong --------------------------------------------------------------------


def one_prompt(want: Any, count: int = 300) -> Spec:
    attributes = {"n": [str(number) for number in range(count)]}
    return Spec(name="one", attributes=attributes, prompt="tell n{n}", endpoint="chat", want=want)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_refused_rows_do_not_keep_others_from_being_begun(server: FakeServer, tmp_path: Path, concurrency: int) -> None:
    """Whether a refusal is the row's fault only others can show: the row fails, or a server that refuses all parks."""
    refused = 0

    def behaviour(asked: Asked) -> Reply:
        nonlocal refused
        if asked.number >= 9 and refused < most:
            refused += 1
            return error(400, "no")
        return answer(asked, "yes")

    server.behaviour = behaviour
    most = 3
    report = run(server, tmp_path / "r", one_prompt(10), concurrency=concurrency)
    assert ("failed_rows", 10, 3) == (report.state, report.accepted, report.failed)
    most, refused = 10**6, 0
    report = run(server, tmp_path / "all", one_prompt(10), concurrency=concurrency)
    assert "parked" == report.state


def test_rows_that_are_asked_again_are_asked_though_there_are_enough(server: FakeServer, tmp_path: Path) -> None:
    """Behind the last row that is taken, too; and what keeps them from it is said."""
    numbers = one_prompt(10)
    plan = Plan(numbers, endpoint="chat", model="m")
    order = [f"tell n{plan.cells.cell(number)['n']}" for number in range(plan.rows)]
    server.behaviour = lambda asked: error(400, "no") if asked.prompt in order[3:14:5] else answer(asked, "yes")
    report = run(server, tmp_path / "r", numbers, concurrency=16)
    assert (10, 3) == (report.accepted, report.failed)
    server.behaviour = lambda asked: error(401, "invalid_api_key")
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("parked", 3) == (report.state, report.exit_code)
    server.behaviour = lambda asked: answer(asked, "yes")
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("done", 0, 10) == (report.state, report.failed, report.accepted)
    told = herogen_async.status(tmp_path / "r")
    assert ("done", 0, report.total) == (told.state, told.failed, told.total)


def test_a_lower_at_most_drops_nothing_that_is_paid(server: FakeServer, tmp_path: Path) -> None:
    """Run, status, plan and data set say the same."""
    run(server, tmp_path / "r", wanting())
    before = len(server.asked)
    spec = wanting({"accepted": 20, "at_most": 30})
    report = run(server, tmp_path / "r", spec)
    for told in (report, herogen_async.status(tmp_path / "r")):
        assert ("done", 20, told.total, 0) == (told.state, told.accepted, told.done, told.pending)
    found = herogen_async.plan(spec, tmp_path / "r")
    assert found.wanted is not None
    assert (True, 0) == (found.wanted.is_met, found.new.requests)
    assert before == len(server.asked)
    assert wanted_cells(spec) == cells_of(tmp_path / "r")


def test_adaptive_concurrency_begins_few_rows_in_vain(server: FakeServer, tmp_path: Path) -> None:
    """As many as may be in flight then, not as many as may ever be."""
    report = run(server, tmp_path / "r", one_prompt(200), concurrency="auto")
    assert 200 == report.accepted
    assert len(server.asked) <= 200 + 64


def test_a_row_is_begun_whole_or_not_at_all(server: FakeServer, tmp_path: Path) -> None:
    """Where the last row that is taken becomes known between two calls of a row: what is not asked has not failed."""
    columns: dict[str, Any] = {name: {"prompt": f"{name} {{n}}"} for name in ("a", "b", "c")}
    spec = Spec(
        name="s", attributes={"n": [str(number) for number in range(40)]}, columns=columns, endpoint="chat", want=12
    )
    server.behaviour = lambda asked: answer(asked, "yes")
    for concurrency in (1, 2, 3, 5):
        report = run(server, tmp_path / str(concurrency), spec, concurrency=concurrency)
        told = herogen_async.status(tmp_path / str(concurrency))
        assert ("done", 12, 0) == (report.state, report.accepted, report.failed)
        assert (report.done, report.total, report.outcomes) == (told.done, told.total, told.outcomes)
