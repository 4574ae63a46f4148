"""The bench of a spec with forms: each cell once more with the same answers, which nobody checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.endpoint import Request
from herogen_async.generation.endpoint.request_body import RequestBody
from herogen_async.lab.bench import Cell, Moment, Setting, Simulated, bench_simulated, foresee
from herogen_async.lab.bench.bench_rows import planned, unchecked, varied
from herogen_async.lab.bench.figures import cpu_ms_a_row
from herogen_async.lab.bench.summary import advice_lines
from herogen_async.specs.spec import Spec
from support.runs import herogen, write_spec

FREE = Simulated(enforce="bucket-second")
GRADE = {
    "prompt": "grade [{story}]",
    "sampling": {"extra": {"top_k": 4}},
    "answer": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "why": "string"},
}


def graded(**changes: Any) -> Spec:
    columns = {"story": {"prompt": "tell of {topic}"}, "grade": GRADE, **changes.pop("columns", {})}
    attributes = {"topic": ["a", "b", "c"]}
    return Spec(name="graded", attributes=attributes, columns=columns, endpoint="chat", **changes)


def bodies(spec: Spec) -> list[dict[str, Any]]:
    """What is sent for each column; a form is sent with it, as a run does."""
    found = []
    for column in planned(spec).columns:
        form = {} if column.form is None else column.form.sent.get(column.endpoint, {})
        body = RequestBody(column.endpoint, column.model, {**column.sampling.as_sent(), **form})
        found.append(body.of(Request(column.prompt.text)))
    return found


def test_unchecked_columns_are_asked_the_same() -> None:
    """The form is sent, and no column has one; what decides about rows is left out."""
    spec = graded(keep="grade.score > 3", sampling={"max_tokens": 50, "extra": {"min_p": 0.1}})
    bare = unchecked(spec)
    assert bare is not None
    assert [None, None] == [column.form for column in planned(bare).columns]
    assert bodies(spec) == bodies(bare)
    assert "response_format" in bodies(bare)[1]
    assert bare.keep is None


def test_a_spec_that_names_fields_can_not_do_without_its_forms() -> None:
    """In a prompt or a condition; and one without forms has nothing to compare."""
    assert unchecked(graded(columns={"rewrite": {"prompt": "mend {story}: {grade.why}"}})) is None
    assert unchecked(graded(columns={"rewrite": {"prompt": "mend {story}", "when": "grade.score < 3"}})) is None
    assert unchecked(Spec(name="plain", attributes={"n": ["1"]}, prompt="{n}")) is None


def test_unchecked_pairs_and_turns_are_asked_the_same() -> None:
    """Both orders of a comparison, and each turn of a conversation."""
    pair = {"judge": {"pair": ["story", "tale"]}, "sampling": {"extra": {"top_k": 4}}}
    talk = {"s": {"prompt": "ask {conversation}"}, "t": {"prompt": "{conversation}", "answer": {"say": "string"}}}
    for spec in (
        graded(columns={"tale": {"prompt": "mend {story}"}, "verdict": pair}),
        graded(columns=talk, conversation={"user": "s", "assistant": "t", "turns": 2}),
    ):
        bare = unchecked(spec)
        assert bare is not None
        assert all(column.form is None or not column.form.sent for column in planned(bare).columns)
        assert bodies(spec) == bodies(bare)


@pytest.mark.parametrize("when", ["grade.score < 3", "verdict.winner != 'tie'"])
def test_simulated_answers_fit_their_forms_in_virtual_time(when: str) -> None:
    """So a condition on a field, or on a winner, holds in some rows, and spares the others a request."""
    verdict = {"judge": {"pair": ["story", "tale"]}}
    rewrite = {"prompt": "say it of {story}", "when": when}
    spec = graded(columns={"tale": {"prompt": "mend {story}"}, "verdict": verdict, "rewrite": rewrite})
    found = foresee(spec, 100, Cell(8, Setting(latency_ms=100.0)), FREE)
    assert 5 < found.requests / found.rows < 6


def test_a_small_grid_is_repeated_as_often_as_a_spec_allows() -> None:
    """Past a million rounds by repeats: an attribute has no more values."""
    spec = varied(graded(), 5_000_000)
    assert planned(spec).rows >= 5_000_000
    assert (1_000_000, 2) == (len(spec.attributes["bench_round"]), spec.repeats)


def test_cpu_a_row_is_that_of_the_second_half() -> None:
    """Starting up costs nothing there."""
    moments = [Moment(tick, 10.0 * tick, None, 1, 0, 1, None, 5.0 + 0.02 * tick) for tick in range(11)]
    assert 2.0 == pytest.approx(cpu_ms_a_row([Moment(0.0, 0.0, None, 0, 0, 1, None, 0.0), *moments[1:]]))
    assert cpu_ms_a_row(moments[:1]) is None
    assert cpu_ms_a_row([]) is None


@pytest.mark.slow
def test_a_spec_that_can_not_be_compared_says_so(tmp_path: Path) -> None:
    """And is measured all the same."""
    spec = graded(columns={"rewrite": {"prompt": "mend {story}: {grade.why}"}})
    done = herogen(
        "bench", write_spec(tmp_path, spec), "--concurrency", "4", "--latency-ms", "1", "--limit", "8", cwd=tmp_path
    )
    assert 0 == done.returncode, done.stderr
    assert "What the forms cost can't be measured: a prompt or a condition" in done.stderr
    assert "Forms," not in done.stdout


@pytest.mark.slow
def test_a_cell_with_forms_is_measured_with_and_without_the_check() -> None:
    """Rows a second and CPU a row of both, in words and as JSON; without forms there is none of it."""
    cells = [Cell(8, Setting(latency_ms=20.0))]
    found = bench_simulated(graded(), cells, FREE, seconds=30.0, limit=200, on_cell=lambda *_: None)
    (cost,) = found.forms
    assert (200, 200, 0) == (cost.checked.rows, cost.unchecked.rows, cost.checked.given_up + cost.unchecked.given_up)
    line = advice_lines(found)[-1]
    assert line.startswith("Forms, concurrency 8, no limit, 20 ms: ")
    assert 2 == line.count("ms of CPU a row")
    told = found.as_dict()["forms"][0]
    assert {"cell", "checked", "unchecked"} == set(told)
    assert all(told[name]["rows_per_s"] > 0 and told[name]["cpu_ms"] > 0 for name in ("checked", "unchecked"))
    plain = Spec(name="plain", attributes={"n": ["1"]}, prompt="{n}")
    assert "forms" not in bench_simulated(plain, cells, FREE, seconds=9, limit=8, on_cell=lambda *_: None).as_dict()
