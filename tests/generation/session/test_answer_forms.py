"""Answers with a form: each is kept, only what fits counts, and what doesn't is asked again with what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import RunFolderError
from herogen_async.generation.journal.verify import recover
from herogen_async.generation.session.watch import Watch
from herogen_async.specs.spec import Spec
from support.broken_json import FORM, KINDS, SOUND, VALUE
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

GRADE = {"prompt": "grade {n}", "answer": FORM}


def graded(columns: dict[str, Any] | None = None, *, count: int = 4, **changes: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "graded",
        "attributes": {"n": [f"n{number}" for number in range(count)]},
        "columns": {"verdict": GRADE} if columns is None else columns,
        "endpoint": "chat",
    }
    return Spec(**{**data, **changes})


def first_of(asked: Asked) -> str:
    """The prompt of the call, however often it is asked."""
    if "prompt" in asked.body:
        return str(asked.body["prompt"]).split("\n\n")[0]
    return next(str(each["content"]) for each in asked.body["messages"] if each["role"] == "user").split("\n\n")[0]


def asks_of(asked: Asked) -> int:
    """Which time it is, from 1; what it was answered before says so, if anything: `no 1`."""
    said = str(asked.body.get("prompt") or [each["content"] for each in asked.body["messages"]])
    before = re.search(r"\bno (\d)\b", said)
    return int(before[1]) + 1 if before else 1 + ("This is wrong: " in said)


def sound(asked: Asked) -> Reply:
    return answer(asked, SOUND if "grade" in first_of(asked) else f"<{asked.prompt}>")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(sound) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec or graded(), run=folder, base_url=server.url, model="m", **options)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def values_of(folder: Path) -> list[Any]:
    return [row["columns"]["verdict"]["value"] for row in herogen_async.rows(folder)]


# -- asked again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_what_does_not_fit_is_asked_again_with_what_is_wrong(server: FakeServer, tmp_path: Path, endpoint: str) -> None:
    """The answer and the sentence are told; the line keeps the prompt, the raw answer and which time it was."""
    wrong = '{"score": 9, "why": "it is good"}'
    server.behaviour = lambda asked: answer(asked, wrong if asked.number < first + 2 else SOUND)
    first = len(server.asked)
    report = run(server, tmp_path / "r", graded(count=1, endpoint=endpoint))
    assert ("done", 1, {"wrong_form": 2}, 2) == (report.state, report.done, report.errors, report.retries)
    lines = lines_of(tmp_path / "r")
    assert [(wrong, None), (wrong, 2), (SOUND, 3)] == [(line["response_txt"], line.get("ask")) for line in lines]
    assert ["score: 9 is greater than the maximum of 5"] * 2 == [line["wrong_form"] for line in lines[:2]]
    assert "wrong_form" not in lines[2]
    assert {"grade n0"} == {line["prompt"] for line in lines}
    assert 1 == len({line["key"] for line in lines})
    last = server.asked[-1].body
    said = [last["prompt"]] if endpoint == "completions" else [each["content"] for each in last["messages"]]
    assert any(wrong in text for text in said)
    assert "score: 9 is greater than the maximum of 5" in said[-1]
    assert [VALUE] == values_of(tmp_path / "r")


def test_a_call_that_never_fits_fails_with_what_was_said(server: FakeServer, tmp_path: Path) -> None:
    """After three; what builds on it is not asked, and the run's exit code is 1."""
    server.behaviour = lambda asked: answer(asked, "no idea" if first_of(asked) == "grade n1" else SOUND)
    columns = {"verdict": GRADE, "next": {"prompt": "so {verdict.score} {n}"}}
    report = run(server, tmp_path / "r", graded(columns))
    assert (3, 1, 1) == (report.done, report.failed, report.exit_code)
    assert {"wrong_form": 3} == report.errors
    assert 3 == sum(first_of(asked) == "grade n1" for asked in server.asked)
    (failure,) = map(codec.loads, (tmp_path / "r" / "failures.jsonl").read_bytes().splitlines())
    assert ("wrong_form", "no idea", "verdict") == (failure["kind"], failure["response_txt"], failure["column"])
    assert "the answer is not JSON" in failure["message"]
    assert 3 == sum("wrong_form" in line for line in lines_of(tmp_path / "r"))
    again = herogen_async.status(tmp_path / "r")
    assert (3, 1) == (again.done, again.failed)
    # A retry asks it as if for the first time.
    server.behaviour = sound
    before = len(server.asked)
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert (4, 0) == (report.done, report.failed)
    assert [1, 1] == [asks_of(asked) for asked in server.asked[before:]]


def test_a_thousand_answers_with_twenty_kinds_of_broken_json(server: FakeServer, tmp_path: Path) -> None:
    """None that is invalid is in the data set, each ask more is in the ledger, and nothing cut off is mended."""
    kinds = {f"n{number}": KINDS[number % len(KINDS)] for number in range(1000)}

    def behaviour(asked: Asked) -> Reply:
        kind = kinds[first_of(asked).removeprefix("grade ")]
        if asks_of(asked) > 1:
            return answer(asked, SOUND)
        return answer(asked, kind.text, finish_reason="length" if kind.is_cut else "stop")

    server.behaviour = behaviour
    report = run(server, tmp_path / "r", graded(count=1000))
    broken = sum(not kind.fits for kind in kinds.values())
    assert (1000, {"wrong_form": broken}) == (report.done, report.errors)
    assert 1000 + broken == len(server.asked) == len(lines_of(tmp_path / "r"))
    assert [VALUE] * 1000 == values_of(tmp_path / "r")
    mended = [line for line in lines_of(tmp_path / "r") if line.get("repaired")]
    assert {kind.text for kind in KINDS if kind.fits and "'" in kind.text} <= {line["response_txt"] for line in mended}
    assert not any(line["finish_reason"] == "length" for line in mended)


# -- kills and edits -------------------------------------------------------------------------------------------------


def test_after_a_kill_at_any_line_no_ask_is_given_back(server: FakeServer, tmp_path: Path) -> None:
    """What is asked again is what the journal lacks: the tries that were used up stay used up."""

    def behaviour(asked: Asked) -> Reply:
        first, ask = first_of(asked), asks_of(asked)
        fits = "n0" in first or ("n1" in first and ask == 2) or "so" in first
        return answer(asked, (SOUND if "grade" in first else "so") if fits else f"no {ask}")

    server.behaviour = behaviour
    columns = {"verdict": GRADE, "next": {"prompt": "so {verdict.why} {n}"}}
    spec = graded(columns, count=3)
    run(server, tmp_path / "whole", spec, concurrency=1)
    whole = Counter((first_of(asked), asks_of(asked)) for asked in server.asked)
    assert {("grade n0", 1), ("grade n1", 1), ("grade n1", 2), ("grade n2", 3)} < whole.keys()
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    failures = (tmp_path / "whole" / "failures.jsonl").read_bytes()
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        (folder / "failures.jsonl").write_bytes(b"")  # the worst: the last try is there, and that it failed is not
        kept = Counter((line["prompt"], line.get("ask", 1)) for line in map(codec.loads, lines[:count]))
        before = len(server.asked)
        report = run(server, folder, spec)
        assert (2, 1) == (report.done, report.failed)
        again = Counter((first_of(asked), asks_of(asked)) for asked in server.asked[before:])
        assert whole - kept == again
        assert len(lines) == len(lines_of(folder))
    assert b"wrong_form" in failures


def test_a_form_that_old_answers_fit_asks_nothing(server: FakeServer, tmp_path: Path) -> None:
    """They are looked at anew, for free and without consent: where a form is new, and where it is another one."""
    run(server, tmp_path / "r", graded({"verdict": {"prompt": "grade {n}"}}))
    asked = len(server.asked)
    for form in (FORM, {"score": "integer", "why": "string"}, {"type": "object", "properties": {"why": {}}}):
        report = run(server, tmp_path / "r", graded({"verdict": {"prompt": "grade {n}", "answer": form}}))
        assert ("done", 4, asked) == (report.state, report.done, len(server.asked))
        assert [VALUE] * 4 == values_of(tmp_path / "r")


def test_what_does_not_fit_a_new_form_is_named_and_asked_again_with_consent(server: FakeServer, tmp_path: Path) -> None:
    """The rest stays, with all that builds on it."""
    score = {f"grade n{number}": number + 1 for number in range(4)}
    columns = {"verdict": GRADE, "next": {"prompt": "so {verdict.score} {n}"}}
    server.behaviour = lambda asked: (
        answer(asked, json.dumps({"score": score.get(first_of(asked), 0), "why": ""}))
        if "grade" in first_of(asked)
        else sound(asked)
    )
    run(server, tmp_path / "r", graded(columns))
    narrow = {"score": {"type": "integer", "minimum": 1, "maximum": 2}, "why": "string"}
    spec = graded({**columns, "verdict": {**GRADE, "answer": narrow}})
    with pytest.raises(RunFolderError, match="2 answers are stale"):
        run(server, tmp_path / "r", spec)
    score.update(dict.fromkeys(score, 1))
    before = len(server.asked)
    report = run(server, tmp_path / "r", spec, extend=True)
    assert ("done", 4) == (report.state, report.done)
    assert Counter(["grade n2", "grade n3", "so 1 n2", "so 1 n3"]) == Counter(
        first_of(asked) for asked in server.asked[before:]
    )
    # And the old form again: what fitted then is there.
    before = len(server.asked)
    assert 4 == run(server, tmp_path / "r", graded(columns), extend=True).done
    assert before == len(server.asked)


def test_a_failure_is_of_the_form_that_was_asked_for(server: FakeServer, tmp_path: Path) -> None:
    """Without the form what was said counts; under another one that it fits, too."""
    server.behaviour = lambda asked: answer(asked, '{"mark": 3}')
    assert 4 == run(server, tmp_path / "r").failed
    asked = len(server.asked)
    report = run(server, tmp_path / "r", graded({"verdict": {"prompt": "grade {n}", "answer": {"mark": "integer"}}}))
    assert ("done", 4, 0, asked) == (report.state, report.done, report.failed, len(server.asked))


def test_a_looser_form_takes_nothing_back(server: FakeServer, tmp_path: Path) -> None:
    """An answer that counted comes before one that did not fit then; so it is without any form. Nothing is asked."""
    columns = {"verdict": GRADE, "next": {"prompt": "so {verdict} {n}"}}
    server.behaviour = lambda asked: (
        answer(asked, SOUND.replace("3", "9") if asks_of(asked) == 1 else SOUND)
        if "grade" in first_of(asked)
        else sound(asked)
    )
    run(server, tmp_path / "r", graded(columns))
    asked, kept = len(server.asked), values_of(tmp_path / "r")
    loose = graded({**columns, "verdict": {**GRADE, "answer": {"score": "integer", "why": "string"}}})
    assert ("done", 4) == (run(server, tmp_path / "r", loose).state, run(server, tmp_path / "r", loose).done)
    assert (asked, kept) == (len(server.asked), values_of(tmp_path / "r"))
    # Without a form the text that followers were made from is another one, and still the answer that counts.
    report = run(server, tmp_path / "r", graded({**columns, "verdict": {"prompt": "grade {n}"}}), extend=True)
    assert ("done", asked) == (report.state, len(server.asked))
    assert {SOUND} == {row["columns"]["verdict"]["response_txt"] for row in herogen_async.rows(tmp_path / "r")}


def test_without_a_form_what_never_fitted_counts_also_where_an_older_answer_is(
    server: FakeServer, tmp_path: Path
) -> None:
    """The newest question's answer comes before that to an earlier one, with its thoughts in the table."""
    run(server, tmp_path / "r", graded({"verdict": {"prompt": "rate {n}"}}))

    def behaviour(asked: Asked) -> Reply:
        said = answer(asked, "no 1")
        assert isinstance(said.body, dict)
        said.body["choices"][0]["message"]["reasoning"] = "hm"
        return said

    server.behaviour = behaviour
    assert 4 == run(server, tmp_path / "r", graded(), regenerate_stale=True).failed
    before = len(server.asked)
    report = run(server, tmp_path / "r", graded({"verdict": {"prompt": "grade {n}"}}))
    assert ("done", 4, before) == (report.state, report.done, len(server.asked))
    rows = herogen_async.rows(tmp_path / "r")
    assert {"no 1"} == {row["response_txt"] for row in rows}
    assert "reasoning" in rows.optional


def test_a_copy_of_a_run_keeps_what_fits(server: FakeServer, tmp_path: Path) -> None:
    """`recover` leaves out nothing that counts, whatever came before it."""
    server.behaviour = lambda asked: answer(asked, "no 1" if asks_of(asked) == 1 else SOUND)
    run(server, tmp_path / "r")
    copy = recover(tmp_path / "r", out=tmp_path / "copy")
    assert copy is not None
    before = len(server.asked)
    assert ("done", 4) == (run(server, tmp_path / "copy").state, herogen_async.status(tmp_path / "copy").done)
    assert (before, [VALUE] * 4) == (len(server.asked), values_of(tmp_path / "copy"))


def test_a_kill_in_a_retry_gives_no_ask_back(server: FakeServer, tmp_path: Path) -> None:
    """A retry asks three times again, in however many sessions."""
    server.behaviour = lambda asked: answer(asked, f"no {asks_of(asked)}")
    spec = graded(count=1)
    run(server, tmp_path / "r", spec)
    herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert [1, 2, 3, 1, 2, 3] == [asks_of(asked) for asked in server.asked]
    path = tmp_path / "r" / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    failures = (tmp_path / "r" / "failures.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    (tmp_path / "r" / "failures.jsonl").write_bytes(failures[0])
    (tmp_path / "r" / "lock").unlink()
    before = len(server.asked)
    herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert [2, 3] == [asks_of(asked) for asked in server.asked[before:]]


# -- fields ----------------------------------------------------------------------------------------------------------


def test_fields_are_columns_everywhere(server: FakeServer, tmp_path: Path) -> None:
    """In prompts, conditions, training examples and tables."""
    columns = {
        "verdict": GRADE,
        "more": {"prompt": "so {verdict.why} {verdict.score} {verdict}", "when": "verdict.score >= 3"},
        "less": {"prompt": "but {n}", "when": "verdict.score < 3"},
    }
    train = {"user": "rate {n}", "assistant": "{verdict.score}: {verdict.why}"}
    server.behaviour = lambda asked: (
        answer(asked, SOUND.replace("3", "2") if asked.prompt == "grade n1" else SOUND)
        if "grade" in asked.prompt
        else sound(asked)
    )
    report = run(server, tmp_path / "r", graded(columns, count=2, train=train))
    assert ("done", 2) == (report.state, report.done)
    assert {"so it is good 3 " + json.dumps(VALUE, separators=(",", ":")), "but n1"} == {
        asked.prompt for asked in server.asked if "grade" not in asked.prompt
    }
    herogen_async.export(tmp_path / "r", format="csv", out=tmp_path / "rows.csv")
    header, *rows = (tmp_path / "rows.csv").read_text().splitlines()
    assert ["verdict", "verdict.score", "verdict.why", "more"] == header.split(",")[2:6]
    assert 2 == len(rows)
    frame = herogen_async.rows(tmp_path / "r").to_pandas()
    assert [3, 2] == list(frame["verdict.score"])
    assert "int64" == str(frame["verdict.score"].dtype).lower()
    out = herogen_async.assemble(tmp_path / "r", format="messages", out=tmp_path / "data")
    assert out is not None
    taught = [json.loads(line) for line in next((tmp_path / "data").glob("*.jsonl")).read_text().splitlines()]
    assert ["3: it is good", "2: it is good"] == [each["messages"][-1]["content"] for each in taught]


def test_samples_have_forms_of_their_own(server: FakeServer, tmp_path: Path) -> None:
    """Each is checked by itself, and joined by their texts."""
    columns = {"verdict": {**GRADE, "samples": 2}, "best": {"prompt": "of {verdict.all}"}}
    report = run(server, tmp_path / "r", graded(columns, count=1))
    assert ("done", 1) == (report.state, report.done)
    compact = json.dumps(VALUE, separators=(",", ":"))
    assert f"of {compact}\n\n{compact}" in server.prompts()


def test_the_answers_taught_are_texts_unless_all_are_json(server: FakeServer, tmp_path: Path) -> None:
    """A judge at the end is not what people want taught."""
    columns = {"poem": {"prompt": "write {n}"}, "verdict": {"prompt": "grade {n} {poem}", "answer": FORM}}
    run(server, tmp_path / "r", graded(columns, count=1))
    herogen_async.assemble(tmp_path / "r", format="messages", out=tmp_path / "data")
    assert "<write n0>" in next((tmp_path / "data").glob("*.jsonl")).read_text()


# -- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "invalid_request_error", "response_format is not supported by this model"),
        error(422, None, "extra fields not permitted"),
        error(501, None, "not implemented"),
    ],
    ids=["named", "unnamed", "not implemented"],
)
def test_a_server_that_takes_no_form_is_asked_without_once_and_says_so(
    server: FakeServer, tmp_path: Path, refusal: Reply
) -> None:
    """Answers are checked all the same."""
    server.behaviour = lambda asked: refusal if "response_format" in asked.body else sound(asked)
    notices: list[str] = []
    report = run(server, tmp_path / "r", graded(count=12), concurrency=1, watch=Watch(on_notice=notices.append))
    assert ("done", 12, {}) == (report.state, report.done, report.errors)
    assert 1 == sum("response_format" in asked.body for asked in server.asked)
    assert 1 == sum("refuses to constrain the answers of 'verdict'" in line for line in notices)
    assert [VALUE] * 12 == values_of(tmp_path / "r")


def test_a_failure_of_the_server_is_no_refusal_of_forms(server: FakeServer, tmp_path: Path) -> None:
    """It is tried again as any other; what is refused with and without a form is refused once more at most."""
    server.behaviour = lambda asked: error(500) if asked.number == first else sound(asked)
    first = len(server.asked)
    report = run(server, tmp_path / "r", concurrency=1)
    assert ("done", {"server": 1}) == (report.state, report.errors)
    assert all("response_format" in asked.body for asked in server.asked)
    before = len(server.asked)
    server.behaviour = lambda asked: error(400, None, "no") if "n1" in asked.prompt else sound(asked)
    assert 3 == run(server, tmp_path / "s", concurrency=1).done
    assert 4 == len(server.asked) - before


def test_a_row_that_is_refused_for_its_own_content_costs_no_constraint(server: FakeServer, tmp_path: Path) -> None:
    """Once answers have come in the form, a refusal is about the row."""

    def behaviour(asked: Asked) -> Reply:
        return error(400, "content_filter", "no") if "n2" in asked.prompt else sound(asked)

    server.behaviour = behaviour
    report = run(server, tmp_path / "r", concurrency=1)
    assert (3, 1, {"refused": 1}) == (report.done, report.failed, report.errors)
    assert all("response_format" in asked.body for asked in server.asked)


def test_a_user_s_own_parameter_stays(server: FakeServer, tmp_path: Path) -> None:
    """`extra` says what is sent."""
    own = {"type": "json_object"}
    run(server, tmp_path / "r", graded(sampling={"extra": {"response_format": own}}))
    assert all(own == asked.body["response_format"] for asked in server.asked)


def test_free_text_is_sent_as_before(server: FakeServer, tmp_path: Path) -> None:
    """A column without a form, beside one that has one, asks for none."""
    columns = {"poem": {"prompt": "write {n}"}, "verdict": {"prompt": "grade {n} {poem}", "answer": FORM}}
    run(server, tmp_path / "r", graded(columns))
    for asked in server.asked:
        assert ("grade" in asked.prompt) is ("response_format" in asked.body)
