"""What an edit of a spec with columns costs: exactly what docs/spec.md says, on a server that counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

COLUMNS: dict[str, dict[str, Any]] = {
    "question": {"prompt": "ask {level}"},
    "solution": {"prompt": "solve {question}", "samples": 2},
    "best": {"prompt": "best {solution.all}"},
    "verdict": {"prompt": "grade {solution}"},
    "rewrite": {"prompt": "mend {best}", "when": "level == 'hard'"},
}


def spec(columns: dict[str, Any] | None = None, **more: Any) -> Spec:
    rest = {"columns": COLUMNS if columns is None else columns, **more}
    return Spec(**{"name": "edited", "attributes": {"level": ["easy", "hard"]}, **rest})


def edited(column: str, **keys: Any) -> Spec:
    return spec({**COLUMNS, column: {**COLUMNS[column], **keys}})


RENAMED = {
    "rewrite": COLUMNS["rewrite"],
    "best": {"prompt": "best {proof.all}"},
    "proof": COLUMNS["solution"],
    "verdict": {"prompt": "grade {proof}"},
    "question": COLUMNS["question"],
}
ROW = {"ask": 1, "solve": 2, "grade": 2, "best": 1}


@pytest.mark.parametrize(
    ("after", "new", "again"),
    [
        (edited("best", prompt="Best {solution.all}"), {}, {"Best": 2, "mend": 1}),
        (edited("question", sampling={"top_p": 0.5}), {}, {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1}),
        (spec(sampling={"top_p": 0.5}), {}, {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1}),
        (spec({**COLUMNS, "title": {"prompt": "title {best}"}}), {"title": 2}, {}),
        (spec({name: COLUMNS[name] for name in ("question", "solution")}), {}, {}),
        (spec(RENAMED), {}, {}),
        (edited("solution", samples=3), {"solve": 2, "grade": 2}, {}),
        (edited("solution", samples=1), {}, {}),
        (edited("rewrite", when="level == 'easy'"), {"mend": 1}, {}),
        (spec({**COLUMNS, "rewrite": {"prompt": "mend {best}"}}), {"mend": 1}, {}),
        (spec(attributes={"level": ["easy", "hard", "odd"]}), ROW, {}),
        (spec(repeats=2), {**{word: 2 * count for word, count in ROW.items()}, "mend": 1}, {}),
        (spec(name="other", sub_prompt="about {level}"), {}, {}),
    ],
    ids=[
        "a column's prompt",
        "a column's sampling",
        "the spec's sampling",
        "a column added",
        "columns removed",
        "renamed and moved",
        "more samples",
        "fewer samples",
        "a condition",
        "no condition",
        "a value",
        "repeats",
        "what is not sent",
    ],
)
def test_an_edit_costs_what_the_reference_says(
    tmp_path: Path, after: Spec, new: dict[str, int], again: dict[str, int]
) -> None:
    """With `extend` what is new is asked, with `regenerate_stale` what was made otherwise; nothing else ever is."""
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}

        def asked_of(wanted: Spec, **consent: Any) -> Counter[str]:
            before = server.prompts()
            assert "done" == herogen_async.run(wanted, **where, **consent).state
            return Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())

        assert {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1} == asked_of(spec())
        assert new == asked_of(after, extend=True)
        assert again == asked_of(after, extend=True, regenerate_stale=True)
        assert {} == asked_of(after)


PATCHED: dict[str, dict[str, Any]] = {
    "solution": {"prompt": "solve {level}"},
    "verdict": {"prompt": "grade {solution}"},
    "patch": {"prompt": "patch {solution}", "when": "level == 'hard'"},
    "final": {"prompt": "print {patch|solution}"},
    "title": {"prompt": "title {final}"},
}


def patched(when: str, **changes: dict[str, Any]) -> Spec:
    columns = {**PATCHED, "patch": {**PATCHED["patch"], "when": when}}
    return spec(
        {**columns, **{name: {**columns[name], **keys} for name, keys in changes.items()}},
        attributes={"level": ["easy", "hard", "odd"]},
    )


@pytest.mark.parametrize(
    ("after", "new"),
    [
        (patched("level == 'hard' and solution != 'none'"), {}),
        (patched("level == 'odd' or level == 'hard'"), {"patch": 1, "print": 1, "title": 1}),
        (patched("verdict == 'bad' or level == 'hard'"), {}),
        (patched("level == 'none'"), {}),
        (patched("level == 'hard'", final={"when": "level != 'odd'"}), {}),
    ],
    ids=["the same rows", "one row more", "an answer of another column", "fewer rows", "the follower's own"],
)
def test_what_was_made_without_a_skipped_column_is_kept_where_it_is_skipped_again(
    tmp_path: Path, after: Spec, new: dict[str, int]
) -> None:
    """Another condition asks only what it lets in, and what is made from that; a kill in between changes nothing."""
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        herogen_async.run(patched("level == 'hard'"), **where)
        before = server.prompts()
        most = {each.name: each.calls.new for each in herogen_async.plan(after, tmp_path / "r").columns}
        report = herogen_async.run(after, **where, extend=True, limit=1)
        report = herogen_async.run(after, **where)
        assert ("done", 3) == (report.state, report.done)
        asked = Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())
        assert new == asked
        words = {"patch": "patch", "final": "print", "title": "title"}
        assert all(asked[word] <= most[name] for name, word in words.items())
        assert [3, 3, 3] == [report.columns[name]["done"] for name in ("solution", "final", "title")]
        # Decided once, and from then on all is as if it had been so from the first.
        left = herogen_async.plan(after, tmp_path / "r").columns
        assert {0} == {each.calls.new + each.calls.stale for each in left}
        rows = list(herogen_async.rows(tmp_path / "r"))
        assert ["<print", "<print", "<print"] == [row["columns"]["final"]["response_txt"][:6] for row in rows]
        assert 3 == len(rows)
        assert herogen_async.resume(tmp_path / "r").columns == report.columns


def test_a_mended_condition_opens_the_rows_that_failed_by_the_old_one(tmp_path: Path) -> None:
    """So does another question of a column that it reads; `plan` says so, and nothing else is asked."""
    unclear = patched("verdict > 3")
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        report = herogen_async.run(unclear, **where)
        assert ("failed_rows", 3, {"condition": 3}) == (report.state, report.failed, report.errors)
        before = server.prompts()
        again = herogen_async.run(unclear, **where)
        assert ("failed_rows", 3, before) == (again.state, again.failed, server.prompts())
        for after, new in (
            (patched("verdict > 3", verdict={"prompt": "Grade {solution}"}), {"Grade": 3}),
            (patched("level == 'hard'"), {"patch": 1, "print": 3, "title": 3}),
        ):
            before = server.prompts()
            calls = {each.name: each.calls for each in herogen_async.plan(after, tmp_path / "r").columns}
            assert [(3, 0), (3, 0)] == [(calls[name].new, calls[name].failed) for name in ("patch", "final")]
            report = herogen_async.run(after, **where, extend=True, regenerate_stale=True)
            assert new == Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())
        assert ("done", 3, 0) == (report.state, report.done, report.failed)


def test_an_answer_that_decides_anew_takes_up_what_it_leaves_as_it_was(tmp_path: Path) -> None:
    """The verdict is asked again; where it skips again, by another line, what was made without the patch counts."""
    first = patched("verdict == 'bad'", final={"when": "level != 'none' and verdict != 'none'"})
    again = patched(
        "verdict == 'bad'",
        verdict={"prompt": "Grade {solution}"},
        final={"when": "level != 'none' and verdict != 'none'"},
    )
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        herogen_async.run(first, **where)
        before = server.prompts()
        report = herogen_async.run(again, **where, extend=True, regenerate_stale=True)
        assert ("done", 3) == (report.state, report.done)
        assert {"Grade": 3} == Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())
        assert herogen_async.resume(tmp_path / "r").columns == report.columns


SAME_ROWS = "level == 'hard' and solution != 'none'"
UNTITLED = {name: column for name, column in PATCHED.items() if name != "title"}


def untitled(**changes: dict[str, Any]) -> Spec:
    columns = {name: {**column, **changes.get(name, {})} for name, column in UNTITLED.items()}
    return spec(columns, attributes={"level": ["easy", "hard", "odd"]})


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        # A stale answer that is kept beside a newer one, which was made without the patch: none of them changes places.
        (
            [untitled(final={"prompt": "old {verdict} {solution}"}), untitled(), patched(SAME_ROWS)],
            [{}, {"print": 3}, {"title": 3}],
        ),
        ([patched("level == 'hard'"), patched(SAME_ROWS, final={"when": "level == 'none'"})], [{}, {}]),
        ([patched("level == 'hard'"), patched(SAME_ROWS, final={"when": "verdict > 3"})], [{}, {}]),
        (
            [patched("level == 'hard'"), patched(SAME_ROWS, final={"prompt": "Print {patch|solution} {verdict}"})],
            [{}, {}],
        ),
    ],
    ids=["a stale one beside it", "both conditions", "an unclear condition", "its prompt too, and stale ones kept"],
)
def test_several_edits_at_once_ask_nothing_that_is_there(
    tmp_path: Path, steps: list[Spec], asked: list[dict[str, int]]
) -> None:
    """An answer stays whatever its own condition says now, and a session counts what the next one counts."""
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        for number, (step, expected) in enumerate(zip(steps, asked, strict=True)):
            before = server.prompts()
            again = number == 1 and len(steps) == 3
            report = herogen_async.run(step, **where, extend=number > 0, regenerate_stale=again)
            came = Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())
            assert ("done", expected) == (report.state, dict(came) if number else {})
        before = server.prompts()
        assert report.columns == herogen_async.resume(tmp_path / "r").columns
        assert before == server.prompts()


def test_an_answer_that_a_retry_brought_is_kept_where_its_first_failure_stands_beside_it(tmp_path: Path) -> None:
    """While it is not decided whether it counts, its call has not failed."""
    refuses = True

    def said(asked: Asked) -> Reply:
        if refuses and asked.prompt.startswith("print"):
            return error(400, code="content_filter", message="no")
        return answer(asked, f"<{asked.prompt[:40]}>")

    with FakeServer(said) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}
        assert 3 == herogen_async.run(patched("level == 'hard'"), **where).failed
        refuses = False
        herogen_async.resume(tmp_path / "r", retry_failed=True)
        before = server.prompts()
        calls = {each.name: each.calls for each in herogen_async.plan(patched(SAME_ROWS), tmp_path / "r").columns}
        assert [0, 0] == [calls["final"].failed, calls["title"].not_asked]
        report = herogen_async.run(patched(SAME_ROWS), **where, extend=True)
        assert ("done", 3, before) == (report.state, report.done, server.prompts())
        assert [] == herogen_async.errors(tmp_path / "r")
