"""`keep` and `best_of`: which rows become examples, decided when they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import herogen_async
from herogen_async.cli import app
from herogen_async.core.errors import InputError, SpecError
from herogen_async.data.dataset import acceptance
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

JUDGED: dict[str, Any] = {
    "poem": {"prompt": "write {n}"},
    "verdict": {"prompt": "grade [{poem}]", "answer": {"score": "integer"}},
}
SAMPLED = {**JUDGED, "poem": {"prompt": "write {n}", "samples": 3}}


def judged(columns: dict[str, Any] = JUDGED, *, count: int = 5, **changes: Any) -> Spec:
    attributes = {"n": [f"n{number}" for number in range(count)]}
    return Spec(**{"name": "judged", "attributes": attributes, "columns": columns, **changes})


class Judge:
    """Gives the poem of `n3` a 3, and of several of one the first, the second and the third a point more each."""

    def __init__(self) -> None:
        self._poems: dict[str, int] = {}

    def __call__(self, asked: Asked) -> Reply:
        if not asked.prompt.startswith("grade"):
            number = self._poems[asked.prompt] = self._poems.get(asked.prompt, -1) + 1
            return answer(asked, f"{asked.prompt[6:]}+{number}")
        first, _, second = asked.prompt.strip("grade []").partition("+")
        return answer(asked, json.dumps({"score": int(first.removeprefix("n")) + int(second)}))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(Judge()) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", concurrency=1, **options)


def taught(folder: Path, out: Path, file_format: str = "messages") -> list[dict[str, Any]]:
    herogen_async.assemble(folder, format=file_format, out=out)
    return [json.loads(line) for line in next(out.glob("*.jsonl")).read_text().splitlines()]


def answers(examples: list[dict[str, Any]]) -> list[str]:
    return [each["messages"][-1]["content"] for each in examples]


def test_only_kept_rows_become_examples_and_another_threshold_costs_nothing(server: FakeServer, tmp_path: Path) -> None:
    """A rejected row is done like any other; `keep` needs no consent, and requests nothing."""
    report = run(server, tmp_path / "r", judged(keep="verdict.score >= 3"))
    assert ("done", 5, 0) == (report.state, report.done, report.exit_code)
    assert ["n3+0", "n4+0"] == answers(taught(tmp_path / "r", tmp_path / "data"))
    asked = len(server.asked)
    run(server, tmp_path / "r", judged(keep="verdict.score < 2"))
    assert ["n0+0", "n1+0"] == answers(taught(tmp_path / "r", tmp_path / "data2"))
    run(server, tmp_path / "r", judged())
    assert 5 == len(taught(tmp_path / "r", tmp_path / "data3"))
    assert asked == len(server.asked)


def test_rows_and_tables_say_what_is_accepted(server: FakeServer, tmp_path: Path) -> None:
    """As true and false in every form of them; rejected rows are there."""
    run(server, tmp_path / "r", judged(keep="verdict.score >= 3 and n != 'n4'"))
    rows = herogen_async.rows(tmp_path / "r")
    assert [False, False, False, True, False] == [row["accepted"] for row in rows]
    assert [False, False, False, True, False] == list(rows.to_pandas()["accepted"])
    herogen_async.export(tmp_path / "r", format="csv", out=tmp_path / "rows.csv")
    header, *lines = (tmp_path / "rows.csv").read_text().splitlines()
    place = header.split(",").index("accepted")
    assert ["false", "false", "false", "true", "false"] == [line.split(",")[place] for line in lines]


def test_status_tells_the_acceptance_and_the_values_that_differ(server: FakeServer, tmp_path: Path) -> None:
    """In words and as JSON; a run without `keep` has none of it."""
    columns = {**JUDGED, "poem": {"prompt": "write {n} {kind}"}}
    attributes = {"n": [f"n{number}" for number in range(6)], "kind": ["a", "b"]}
    server.behaviour = lambda asked: (
        answer(asked, json.dumps({"score": 5 if " a]" in asked.prompt else 1}))
        if asked.prompt.startswith("grade")
        else answer(asked, asked.prompt)
    )
    spec = judged(columns, attributes=attributes, keep="verdict.score >= 4")
    run(server, tmp_path / "r", spec)
    found = acceptance(tmp_path / "r")
    assert found is not None
    assert (6, 12) == (found.total.accepted, found.total.rows)
    assert {"a": (6, 6), "b": (0, 6)} == {
        value: (each.accepted, each.rows) for value, each in found.by_value["kind"].items()
    }
    told = CliRunner().invoke(app, ["status", str(tmp_path / "r")])
    assert "Accepted by the spec's `keep`: 6 of 12 rows (50%)." in told.stdout
    assert "  kind a: 6 of 6 rows (100%)\n  kind b: 0 of 6 rows (0%)\n" in told.stdout
    as_json = json.loads(CliRunner().invoke(app, ["status", str(tmp_path / "r"), "--json"]).stdout.splitlines()[-1])
    assert {"accepted": 6, "rows": 12} == {name: as_json["acceptance"][name] for name in ("accepted", "rows")}
    run(server, tmp_path / "s", judged(columns, attributes=attributes))
    assert acceptance(tmp_path / "s") is None
    assert "acceptance" not in CliRunner().invoke(app, ["status", str(tmp_path / "s"), "--json"]).stdout


def test_the_quality_report_and_the_card_tell_the_acceptance(server: FakeServer, tmp_path: Path) -> None:
    """Of each value, in the page, in its figures and in the card, and only where the spec has a `keep`."""
    run(server, tmp_path / "r", judged(keep="verdict.score >= 3"))
    made = herogen_async.assemble(tmp_path / "r", format="messages")
    found = acceptance(tmp_path / "r")
    assert found is not None
    assert found == made.acceptance
    page = made.report.read_text()
    assert '<a href="#acceptance">' in page
    assert "Accepted by the spec&#x27;s `keep`: 2 of 5 rows (40%)." in page
    row = '<tr><td>n3</td><td class="n">1</td><td class="n">1</td><td class="n">100%</td></tr>'
    assert row in page
    figures = json.loads((made.report.parent / "quality.json").read_text())
    assert found.as_dict() == figures["acceptance"]
    assert "- Accepted by the spec's \\`keep\\`: 2 of 5 rows (40%)." in made.card.read_text()
    run(server, tmp_path / "s", judged())
    plain = herogen_async.assemble(tmp_path / "s", format="messages")
    assert "acceptance" not in plain.report.read_text() + (plain.report.parent / "quality.json").read_text()
    assert plain.acceptance is None


def test_what_was_left_out_is_told(server: FakeServer, tmp_path: Path) -> None:
    """In the report of the data set, and in its counts."""
    run(server, tmp_path / "r", judged(keep="verdict.score >= 3"))
    assembled = herogen_async.assemble(tmp_path / "r", format="messages", out=tmp_path / "data")
    assert 3 == assembled.counts()["left_out"]["rejected"]
    assert "Left out, rejected by the spec's `keep` or `best_of`: 3 answers." in assembled.lines()


def test_of_samples_each_kept_one_is_an_example_or_the_best_alone(server: FakeServer, tmp_path: Path) -> None:
    """A row is accepted if one of its samples is."""
    run(server, tmp_path / "r", judged(SAMPLED, count=2, keep="verdict.score >= 2"))
    assert ["n0+2", "n1+1", "n1+2"] == answers(taught(tmp_path / "r", tmp_path / "data"))
    assert [True, True] == [row["accepted"] for row in herogen_async.rows(tmp_path / "r")]
    best = judged(SAMPLED, count=2, keep="verdict.score >= 3", best_of={"poem": "verdict.score"})
    run(server, tmp_path / "r", best)
    assert ["n1+2"] == answers(taught(tmp_path / "r", tmp_path / "data2"))
    run(server, tmp_path / "r", judged(SAMPLED, count=2, best_of={"poem": "verdict.score"}))
    assert ["n0+2", "n1+2"] == answers(taught(tmp_path / "r", tmp_path / "data3"))


def test_preference_pairs_come_from_the_judge_without_a_file(server: FakeServer, tmp_path: Path) -> None:
    """The best against the worst by `best_of`; by `keep` a kept one against a rejected one."""
    run(server, tmp_path / "r", judged(SAMPLED, count=2, best_of={"poem": "verdict.score"}))

    def pairs(out: str) -> list[tuple[str, ...]]:
        found = taught(tmp_path / "r", tmp_path / out, "dpo")
        return [tuple(each[side].removesuffix(" END").strip() for side in ("chosen", "rejected")) for each in found]

    assert [("n0+2", "n0+0"), ("n1+2", "n1+0")] == pairs("best")
    run(server, tmp_path / "r", judged(SAMPLED, count=2, keep="verdict.score >= 2"))
    assert [("n0+2", "n0+0"), ("n1+1", "n1+0")] == pairs("kept")
    run(server, tmp_path / "r", judged(SAMPLED, count=2, keep="verdict.score >= 9"))
    assert [] == pairs("none")
    run(server, tmp_path / "r", judged(SAMPLED, count=2))
    with pytest.raises(InputError, match="needs --ranking FILE"):
        pairs("nobody")


def test_what_joins_all_samples_is_kept_if_one_of_them_is(server: FakeServer, tmp_path: Path) -> None:
    """A decision is about what was made from the sample that was judged; what belongs to others follows the row."""
    columns = {**SAMPLED, "sum": {"prompt": "write {poem.all} {n}"}, "song": {"prompt": "write a {n}", "samples": 2}}
    run(server, tmp_path / "r", judged(columns, count=2, keep="verdict.score >= 3"))

    def of(column: str) -> list[int]:
        herogen_async.assemble(tmp_path / "r", format="messages", column=column, out=tmp_path / column)
        lines = (tmp_path / column / "messages.jsonl").read_text().splitlines()
        return [1 if "n1" in line else 0 for line in lines]

    assert ([1], [1], [1, 1]) == (of("sum"), of("poem"), of("song"))


def test_the_best_may_be_below_zero_and_a_row_without_a_score_has_none(server: FakeServer, tmp_path: Path) -> None:
    """Zero is a number like any other; nobody's row is an example."""
    scores = {"n0+0": 0, "n0+1": -1, "n0+2": -2}
    judge = Judge()
    server.behaviour = lambda asked: (
        answer(asked, json.dumps({"score": scores.get(asked.prompt.strip("grade []"), 7)}))
        if asked.prompt.startswith("grade")
        else judge(asked)
    )
    columns = {**SAMPLED, "verdict": {**JUDGED["verdict"], "when": "n == 'n0'"}}
    run(server, tmp_path / "r", judged(columns, count=2, best_of={"poem": "verdict.score"}))
    assert ["n0+0"] == answers(taught(tmp_path / "r", tmp_path / "data"))


def test_an_answer_that_nobody_judged_is_no_rejected_one(server: FakeServer, tmp_path: Path) -> None:
    """In pairs it is neither chosen nor rejected."""
    columns = {**SAMPLED, "verdict": {**JUDGED["verdict"], "when": "poem != 'n0+0' and poem != 'n1+0'"}}
    run(server, tmp_path / "r", judged(columns, count=2, keep="verdict.score >= 2"))
    found = taught(tmp_path / "r", tmp_path / "data", "dpo")
    assert [" n0+2 END"] == [each["chosen"] for each in found]
    assert [" n0+1 END"] == [each["rejected"] for each in found]


def test_a_run_of_one_column_is_written_the_same_with_and_without(server: FakeServer, tmp_path: Path) -> None:
    """What is kept is no part of what is asked and written."""
    columns = {"poem": {"prompt": "write {n}"}}
    run(server, tmp_path / "r", judged(columns, keep="poem != 'n1+0'"))
    lines = [json.loads(line) for line in (tmp_path / "r" / "rows-00000.jsonl").read_text().splitlines()]
    assert not any("column" in line for line in lines)
    assert 4 == len(taught(tmp_path / "r", tmp_path / "data"))
    assert [True, False, True, True, True] == [row["accepted"] for row in herogen_async.rows(tmp_path / "r")]


def test_what_a_judge_did_not_say_is_not_kept(server: FakeServer, tmp_path: Path) -> None:
    """Where it was skipped there is nothing to compare."""
    columns = {**JUDGED, "verdict": {**JUDGED["verdict"], "when": "n != 'n4'"}}
    run(server, tmp_path / "r", judged(columns, keep="verdict.score >= 3"))
    assert [3] == [row["index"] for row in herogen_async.rows(tmp_path / "r") if row["accepted"]]


@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        ({"keep": "verdict.scor > 1"}, "'verdict' has no field 'scor'", "'score'"),
        ({"keep": "verdikt.score > 1"}, "unknown name 'verdikt.score'", "'verdict'"),
        ({"keep": "n.x == 1"}, "'n' is an attribute, without fields", "write n"),
        ({"keep": "verdict.score >"}, "keep", ""),
        ({"keep": 5}, "5 is not a condition", "for example"),
        ({"best_of": {"poem": "verdict.score"}, "keep": "poem.length > 1"}, "'poem' has no fields", "answer:"),
        ({"best_of": {"poems": "verdict.score"}}, "unknown column 'poems'", "'poem'"),
        ({"best_of": {"poem": "verdict"}}, "'verdict' is not a field of a column", "for example"),
        (
            {
                "columns": {**JUDGED, "verdict": {**JUDGED["verdict"], "answer": {"why": "string"}}},
                "best_of": {"poem": "verdict.why"},
            },
            "'verdict.why' is of type string, and no number",
            "a number",
        ),
        ({"best_of": {"poem": "verdict.score", "verdict": "verdict.score"}}, "is not one column", "for example"),
    ],
)
def test_a_mistake_is_told_with_its_fix(changes: dict[str, Any], message: str, fix: str) -> None:
    """As in every other part of a spec."""
    with pytest.raises(SpecError) as told:
        judged(**changes)
    assert message in str(told.value)
    assert fix in str(told.value.fix)


def test_columns_with_other_numbers_of_samples_are_not_decided_together() -> None:
    """Which of their samples would belong together?"""
    columns = {
        **SAMPLED,
        "song": {"prompt": "sing {n}", "samples": 2},
        "ear": {"prompt": "grade [{song}]", "answer": {"score": "integer"}},
    }
    with pytest.raises(SpecError, match="different numbers of samples"):
        judged(columns, keep="verdict.score > 1", best_of={"song": "ear.score"})


def test_a_judge_of_all_samples_can_not_choose_one() -> None:
    """It has one score for them."""
    columns = {**SAMPLED, "verdict": {"prompt": "grade {poem.all}", "answer": {"score": "integer"}}}
    with pytest.raises(SpecError, match="'poem' has 3 samples, and 'verdict' has 1"):
        judged(columns, best_of={"poem": "verdict.score"})


def test_a_spec_of_one_prompt_has_nothing_to_keep() -> None:
    """Its rows have no columns; the fix says what to write."""
    with pytest.raises(SpecError, match="`keep` needs columns"):
        Spec(name="s", attributes={"n": ["a"]}, prompt="p {n}", keep="n == 'a'")


def test_a_spec_that_keeps_is_written_and_read_alike() -> None:
    """S2, and as YAML."""
    spec = judged(SAMPLED, keep="verdict.score >= 3", best_of={"poem": "verdict.score"})
    assert spec == Spec(**spec.as_dict())
    assert "keep" not in judged().as_dict()
