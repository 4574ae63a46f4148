"""Columns that are compared: both orders are requested once, through kills and failures, and read together."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

COLUMNS: dict[str, Any] = {
    "draft": {"prompt": "write {n}"},
    "rewrite": {"prompt": "mend {draft}"},
    "verdict": {"judge": {"pair": ["draft", "rewrite"]}, "prompt": "A [{draft}] B [{rewrite}]"},
    "praise": {"prompt": "praise {verdict.winner} {n}", "when": "verdict.winner != 'tie'"},
}
WINNERS = {"n0": "draft", "n1": "rewrite", "n2": "tie", "n3": "A"}


def spec(columns: dict[str, Any] = COLUMNS, **changes: Any) -> Spec:
    return Spec(**{"name": "pairs", "attributes": {"n": list(WINNERS)}, "columns": columns, **changes})


def said(asked: Asked) -> Reply:
    """Each text is its own prompt in brackets; of n3 the judge prefers what comes first."""
    if not asked.prompt.startswith("A ["):
        return answer(asked, f"<{asked.prompt}>")
    first = "rewrite" if asked.prompt.startswith("A [<mend") else "draft"
    wanted = WINNERS[next(name for name in WINNERS if name in asked.prompt)]
    label = wanted if wanted in ("A", "tie") else "A" if wanted == first else "B"
    return answer(asked, json.dumps({"why": f"it is {wanted}", "winner": label}))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def run(server: FakeServer, folder: Path, of: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(of or spec(), run=folder, base_url=server.url, model="m", **options)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def winners_of(folder: Path) -> list[str | None]:
    verdicts = [row["columns"]["verdict"] for row in herogen_async.rows(folder, partial=True)]
    return [None if each is None else each["value"]["winner"] for each in verdicts]


WANTED = ["draft", "rewrite", "tie", "tie"]


def test_each_order_is_a_line_and_what_follows_is_made_from_both(server: FakeServer, tmp_path: Path) -> None:
    """The raw answers stay as they came; conditions, prompts and rows have the winner by name."""
    report = run(server, tmp_path / "r", concurrency=1)
    assert ("done", 4) == (report.state, report.done)
    assert WANTED == winners_of(tmp_path / "r")
    lines = lines_of(tmp_path / "r")
    assert {"A", "B", "tie"} == {
        json.loads(line["response_txt"])["winner"] for line in lines if line["column"].startswith("verdict")
    }
    by_seal = {line["crc"]: line for line in lines}
    praised = [line for line in lines if line["column"] == "praise"]
    assert ["praise draft n0", "praise rewrite n1", "", ""] == [line["prompt"] for line in praised]
    for line in praised:
        assert ["verdict", "verdict.swapped"] == [by_seal[seal]["column"] for seal in line["from"]]
    assert {"draft": 4, "rewrite": 4, "verdict": 4, "verdict.swapped": 4, "praise": 2} == {
        name: column["done"] for name, column in report.as_dict()["columns"].items()
    }


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_a_kill_at_any_line_neither_order_is_paid_twice(
    server: FakeServer, tmp_path: Path, concurrency: int
) -> None:
    """For every prefix of the journal what is asked is exactly what it lacks."""
    run(server, tmp_path / "whole", concurrency=concurrency)
    wanted = server.prompts()
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        kept = Counter(line["prompt"] for line in map(codec.loads, lines[:count]) if line["prompt"])
        before = server.prompts()
        report = run(server, folder, concurrency=concurrency)
        assert ("done", 4) == (report.state, report.done)
        assert wanted - kept == server.prompts() - before
        assert WANTED == winners_of(folder)


def test_a_row_with_one_of_two_orders_failed_and_a_retry_asks_that_one(server: FakeServer, tmp_path: Path) -> None:
    """There is no winner by half: what builds on it is not asked, and the other order's answer stays."""
    server.behaviour = lambda asked: (
        error(400) if asked.prompt.startswith("A [<mend") and "n1" in asked.prompt else said(asked)
    )
    report = run(server, tmp_path / "r")
    assert (3, 1, 1) == (report.done, report.failed, report.exit_code)
    assert ["draft", None, "tie", "tie"] == winners_of(tmp_path / "r")
    (row,) = [row for row in herogen_async.rows(tmp_path / "r", partial=True) if row["state"] == "failed"]
    assert {
        "verdict": "not decided: verdict.swapped failed",
        "verdict.swapped": "failed",
        "praise": "not asked: verdict.swapped failed",
    } == row["missing"]
    server.behaviour = said
    before = server.prompts()
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert (4, 0) == (report.done, report.failed)
    assert ["A [<mend", "praise r"] == sorted(prompt[:8] for prompt in server.prompts() - before)
    assert WANTED == winners_of(tmp_path / "r")


def test_an_order_whose_answer_does_not_fit_is_asked_again(server: FakeServer, tmp_path: Path) -> None:
    """As any answer with a form; a name instead of a label is none."""
    wrong = '{"why": "x", "winner": "rewrite"}'
    server.behaviour = lambda asked: (
        answer(asked, wrong)
        if asked.prompt.startswith("A [<mend") and "This is wrong" not in asked.prompt
        else said(asked)
    )
    report = run(server, tmp_path / "r")
    assert ("done", 4, {"wrong_form": 4}) == (report.state, report.done, report.errors)
    assert WANTED == winners_of(tmp_path / "r")


def test_a_lost_line_of_one_order_asks_it_and_what_was_made_from_both(server: FakeServer, tmp_path: Path) -> None:
    """The winner may be another one now."""
    run(server, tmp_path / "r", concurrency=1)
    (tmp_path / "r" / "lock").unlink()
    path = tmp_path / "r" / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lost = next(line for line in lines if codec.loads(line)["column"] == "verdict.swapped")
    path.write_bytes(b"".join(line for line in lines if line is not lost))
    server.behaviour = lambda asked: (
        answer(asked, '{"why": "x", "winner": "tie"}') if asked.prompt.startswith("A [") else said(asked)
    )
    before = server.prompts()
    run(server, tmp_path / "r")
    assert ["A [<mend"] == [prompt[:8] for prompt in server.prompts() - before]
    assert ["tie", "rewrite", "tie", "tie"] == winners_of(tmp_path / "r")
    praises = [row["missing"].get("praise") for row in herogen_async.rows(tmp_path / "r")]
    assert ["skipped: its condition is not met", None] == praises[:2]


def test_samples_are_compared_one_by_one(server: FakeServer, tmp_path: Path) -> None:
    """A text without samples is compared with each sample of the other."""
    columns = {**COLUMNS, "rewrite": {**COLUMNS["rewrite"], "samples": 2}}
    number = iter(range(1000))
    server.behaviour = lambda asked: (
        said(asked) if asked.prompt.startswith("A [") else answer(asked, f"<{asked.prompt} #{next(number)}>")
    )
    report = run(server, tmp_path / "r", spec(columns, keep="verdict.winner == 'rewrite'"))
    assert ("done", 4) == (report.state, report.done)
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert [["rewrite", "rewrite"]] == [
        [each["value"]["winner"] for each in row["columns"]["verdict"]] for row in rows[1:2]
    ]
    assert [False, True, False, False] == [row["accepted"] for row in rows]
    assert 2 == len({each["response_txt"] for each in rows[1]["columns"]["rewrite"]})


def test_stale_verdicts_are_regenerated_in_both_orders(server: FakeServer, tmp_path: Path) -> None:
    """The name of the column in the spec means both, and so do its settings."""
    run(server, tmp_path / "r", price={"verdict": "1,1"}, rpm={"verdict": 60_000})
    changed = spec({**COLUMNS, "verdict": {**COLUMNS["verdict"], "sampling": {"temperature": 0}}})
    before = server.prompts()
    run(server, tmp_path / "r", changed, regenerate_stale=["verdict"], extend=True)
    asked = server.prompts() - before
    assert {"A [<writ": 4, "A [<mend": 4} == Counter(p[:8] for p in asked.elements() if p.startswith("A ["))


def test_tables_have_the_winner_and_each_order(server: FakeServer, tmp_path: Path) -> None:
    """By their names in the spec; `status` counts what is accepted by it."""
    run(server, tmp_path / "r", spec(keep="verdict.winner == 'rewrite'"))
    frame = herogen_async.rows(tmp_path / "r").to_pandas()
    assert WANTED == list(frame["verdict.winner"])
    assert ["draft", "rewrite", "tie", "rewrite"] == list(frame["verdict.swapped.winner"])
    assert "it is rewrite" == frame["verdict.why"][1]
    assert [False, True, False, False] == list(frame["accepted"])


def test_compared_columns_that_are_renamed_or_exchanged_request_nothing(server: FakeServer, tmp_path: Path) -> None:
    """Without consent, as nothing is to be paid; the winner has its name of today."""
    columns = {name: COLUMNS[name] for name in ("draft", "rewrite", "verdict")}
    run(server, tmp_path / "r", spec(columns))
    asked = len(server.asked)
    renamed = {
        "first": columns["draft"],
        "second": {"prompt": "mend {first}"},
        "verdict": {"judge": {"pair": ["second", "first"]}, "prompt": "A [{second}] B [{first}]"},
    }
    assert "done" == run(server, tmp_path / "r", spec(renamed)).state
    assert asked == len(server.asked)
    assert ["first", "second", "tie", "tie"] == winners_of(tmp_path / "r")


def test_an_order_that_a_changed_condition_leaves_out_leaves_no_winner(server: FakeServer, tmp_path: Path) -> None:
    """The other order's answer stays, and is taken up when the condition lets its row in again."""
    run(server, tmp_path / "r", concurrency=1)
    (tmp_path / "r" / "lock").unlink()
    path = tmp_path / "r" / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))  # of n0 both texts, and the first order
    assert ["draft", "rewrite", "verdict"] == [codec.loads(line)["column"] for line in lines[:3]]
    fewer = spec({**COLUMNS, "verdict": {**COLUMNS["verdict"], "when": "n != 'n0'"}})
    before = server.prompts()
    assert "done" == run(server, tmp_path / "r", fewer, extend=True).state
    assert not any("n0" in prompt for prompt in server.prompts() - before)
    assert [None, "rewrite", "tie", "tie"] == winners_of(tmp_path / "r")
    (first, *_) = herogen_async.rows(tmp_path / "r")
    assert {"verdict", "verdict.swapped", "praise"} == first["missing"].keys()
    before = server.prompts()
    assert "done" == run(server, tmp_path / "r", extend=True).state
    assert ["A [<mend", "praise d"] == sorted(prompt[:8] for prompt in server.prompts() - before)
    assert WANTED == winners_of(tmp_path / "r")


def test_training_examples_have_the_winner_and_why(server: FakeServer, tmp_path: Path) -> None:
    """As `train` names them."""
    train = {"user": "{draft} or {rewrite}?", "assistant": "{verdict.winner}: {verdict.why}"}
    run(server, tmp_path / "r", spec(train=train, keep="verdict.winner != 'tie'"))
    assembled = herogen_async.assemble(tmp_path / "r", format="messages", out=tmp_path / "data")
    examples = [json.loads(line)["messages"] for line in assembled.data.read_text().splitlines()]
    assert ["draft: it is draft", "rewrite: it is rewrite"] == [each[-1]["content"] for each in examples]
