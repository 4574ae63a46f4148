"""Rows of several columns: each is asked once, of what it builds on, through kills, edits and failures."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import RunFolderError
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

COLUMNS: dict[str, Any] = {
    "question": {"prompt": "ask {level} {topic}"},
    "solution": {"prompt": "solve [{question}]"},
    "verdict": {"prompt": "grade [{question}] [{solution}]"},
}


def maths(columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "maths",
        "attributes": {"level": ["easy", "hard"], "topic": ["sums", "sets"]},
        "columns": COLUMNS if columns is None else columns,
    }
    return Spec(**{**data, **changes})


def said(asked: Asked) -> Reply:
    """An answer that names its question: a follower's prompt shows whose answer it was made from."""
    return answer(asked, f"<{asked.prompt}>")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec or maths(), run=folder, base_url=server.url, model="m", **options)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def wanted_prompts(repeats: int = 1) -> Counter[str]:
    """What COLUMNS come to, by hand."""
    found: Counter[str] = Counter()
    for level in ("easy", "hard"):
        for topic in ("sums", "sets"):
            question = f"ask {level} {topic}"
            solution = f"solve [<{question}>]"
            verdict = f"grade [<{question}>] [<{solution}>]"
            found.update({question: repeats, solution: repeats, verdict: repeats})
    return found


def asked_since(server: FakeServer, before: Counter[str]) -> Counter[str]:
    return server.prompts() - before


# -- a whole run -----------------------------------------------------------------------------------------------------


def test_each_column_is_asked_once_with_the_answers_it_names(server: FakeServer, tmp_path: Path) -> None:
    """Rows are counted, calls are asked; a line says its column and the lines that it was made from."""
    report = run(server, tmp_path / "r", maths(repeats=3))
    assert ("done", 12, 12) == (report.state, report.total, report.done)
    assert wanted_prompts(3) == server.prompts()
    by_seal = {line["crc"]: line for line in lines_of(tmp_path / "r")}
    assert 36 == len(by_seal)
    for line in by_seal.values():
        parents = [by_seal[seal]["column"] for seal in line.get("from", ())]
        assert {"question": [], "solution": ["question"], "verdict": ["question", "solution"]}[
            line["column"]
        ] == parents
    assert herogen_async.status(tmp_path / "r").done == 12


def test_rows_that_were_begun_are_finished_before_new_ones(server: FakeServer, tmp_path: Path) -> None:
    """Depth first: with one call at a time each row is whole before the next is begun."""
    run(server, tmp_path / "r", concurrency=1)
    assert [0, 1, 2] * 4 == [line["index"] % 3 for line in lines_of(tmp_path / "r")]


def test_a_spec_of_one_prompt_writes_the_lines_that_it_always_wrote(server: FakeServer, tmp_path: Path) -> None:
    """No line of it names a column or what it was made from."""
    run(server, tmp_path / "r", one_prompt())
    assert all(not {"column", "sample", "from", "skipped"} & line.keys() for line in lines_of(tmp_path / "r"))


def one_prompt(**changes: Any) -> Spec:
    attributes = {"level": ["easy", "hard"], "topic": ["sums", "sets"]}
    return Spec(**{"name": "maths", "attributes": attributes, "prompt": "ask {level} {topic}", **changes})


def test_samples_are_calls_of_their_own_and_followers_have_them_too(server: FakeServer, tmp_path: Path) -> None:
    """Two solutions, a verdict on each, and one column that reads both."""
    columns = {
        **COLUMNS,
        "solution": {"prompt": "solve [{question}]", "samples": 2},
        "best": {"prompt": "which? {solution.all}"},
    }
    number = iter(range(1000))
    server.behaviour = lambda asked: answer(asked, f"<{asked.prompt} #{next(number)}>")
    report = run(server, tmp_path / "r", maths(columns))
    assert ("done", 4) == (report.state, report.done)
    rows: dict[int, dict[tuple[str, int], str]] = {}
    lines = lines_of(tmp_path / "r")
    assert len({line["key"] for line in lines}) == len(lines) == 4 * 6
    for line in lines:
        rows.setdefault(line["index"] // 6, {})[line["column"], line.get("sample", 1)] = line["response_txt"]
    prompts = {(line["index"] // 6, line["column"], line.get("sample", 1)): line["prompt"] for line in lines}
    for row, texts in rows.items():
        first, second = texts["solution", 1], texts["solution", 2]
        assert first != second
        assert [f"[{text}]" in prompts[row, "verdict", sample] for sample, text in ((1, first), (2, second))] == [
            True
        ] * 2
        assert f"which? {first}\n\n{second}" == prompts[row, "best", 1]


# -- kills -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_a_kill_at_any_line_nothing_that_was_written_is_asked_again(
    server: FakeServer, tmp_path: Path, concurrency: int
) -> None:
    """P10, for every prefix of a journal of three columns: what is asked is exactly what it lacks."""
    run(server, tmp_path / "whole", concurrency=concurrency)
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        kept = Counter(codec.loads(line)["prompt"] for line in lines[:count])
        before = server.prompts()
        report = run(server, folder, concurrency=concurrency)
        assert ("done", 4) == (report.state, report.done)
        assert wanted_prompts() - kept == asked_since(server, before)
        assert 12 == len({line["key"] for line in lines_of(folder)}) == len(lines_of(folder))


def test_a_follower_of_an_answer_that_was_lost_is_asked_again(server: FakeServer, tmp_path: Path) -> None:
    """A line in front of what it was made from counts only if that very answer is there."""
    run(server, tmp_path / "r", concurrency=1)
    (tmp_path / "r" / "lock").unlink()
    path = tmp_path / "r" / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if codec.loads(line)["index"] != 0))  # the first question
    server.behaviour = lambda asked: answer(asked, f"again <{asked.prompt}>")
    before = server.prompts()
    run(server, tmp_path / "r", concurrency=1)
    question = "ask easy sums"
    solution = f"solve [again <{question}>]"
    verdict = f"grade [again <{question}>] [again <{solution}>]"
    assert Counter((question, solution, verdict)) == asked_since(server, before)
    # And that is settled: a third run asks nothing, whichever lines there are.
    before = server.prompts()
    assert 4 == run(server, tmp_path / "r").done
    assert Counter() == asked_since(server, before)


# -- edits -------------------------------------------------------------------------------------------------------------


def test_an_added_column_asks_only_that(server: FakeServer, tmp_path: Path) -> None:
    """And a spec of one prompt keeps its answers when columns come beside it."""
    run(server, tmp_path / "r", one_prompt())
    before = server.prompts()
    more = one_prompt(columns={"title": {"prompt": "title of [{response_txt}]"}})
    with pytest.raises(RunFolderError, match="title"):
        run(server, tmp_path / "r", more)
    report = run(server, tmp_path / "r", more, extend=True)
    assert ("done", 4) == (report.state, report.done)
    cells = [f"{level} {topic}" for level in ("easy", "hard") for topic in ("sums", "sets")]
    assert Counter(f"title of [<ask {cell}>]" for cell in cells) == asked_since(server, before)


@pytest.mark.parametrize(
    "columns",
    [
        {name: COLUMNS[name] for name in ("question", "solution")},
        {name: COLUMNS[name] for name in ("verdict", "solution", "question")},
        {
            "task": {"prompt": "ask {level} {topic}"},
            "proof": {"prompt": "solve [{task}]"},
            "verdict": {"prompt": "grade [{task}] [{proof}]"},
        },
    ],
    ids=["removed", "reordered", "renamed"],
)
def test_a_column_that_goes_moves_or_is_renamed_asks_nothing(
    server: FakeServer, tmp_path: Path, columns: dict[str, Any]
) -> None:
    """What is sent for the others is the same, so their answers are."""
    run(server, tmp_path / "r")
    before = server.prompts()
    report = run(server, tmp_path / "r", maths(columns), extend=True)
    assert ("done", 4, Counter()) == (report.state, report.done, asked_since(server, before))


def test_a_changed_judge_keeps_every_solution(server: FakeServer, tmp_path: Path) -> None:
    """Stale is the judge alone; without consent its old verdicts stay, with it they are asked again."""
    run(server, tmp_path / "r")
    changed = maths({**COLUMNS, "verdict": {"prompt": "judge [{question}] [{solution}]"}})
    before = server.prompts()
    assert ("done", Counter()) == (
        run(server, tmp_path / "r", changed, extend=True).state,
        asked_since(server, before),
    )
    report = run(server, tmp_path / "r", changed, regenerate_stale=True)
    assert ("done", 4) == (report.state, report.done)
    new = asked_since(server, before)
    assert 4 == new.total()
    assert all(prompt.startswith("judge [") for prompt in new)


def test_a_changed_question_makes_all_that_builds_on_it_stale(server: FakeServer, tmp_path: Path) -> None:
    """Regenerated, each follower is made from the new answers."""
    run(server, tmp_path / "r")
    changed = maths({**COLUMNS, "question": {"prompt": "please ask {level} {topic}"}})
    before = server.prompts()
    report = run(server, tmp_path / "r", changed, regenerate_stale=True)
    assert ("done", 4) == (report.state, report.done)
    new = asked_since(server, before)
    assert 12 == new.total()
    assert all("please" in prompt for prompt in new)


def test_an_answer_on_a_kept_stale_one_is_stale_once_that_is_regenerated(server: FakeServer, tmp_path: Path) -> None:
    """`from` decides: the solution has the current question's key, and was made from the old question's answer."""
    run(server, tmp_path / "r", maths({"question": COLUMNS["question"]}))
    changed = {"question": {"prompt": "please ask {level} {topic}"}, "solution": COLUMNS["solution"]}
    before = server.prompts()
    run(server, tmp_path / "r", maths(changed), extend=True)  # keeps the old questions
    assert Counter(f"solve [<ask {c}>]" for c in ("easy sums", "easy sets", "hard sums", "hard sets")) == asked_since(
        server, before
    )
    before = server.prompts()
    report = run(server, tmp_path / "r", maths(changed), regenerate_stale=True)
    new = asked_since(server, before)
    assert ("done", 8) == (report.state, new.total())
    assert all("please" in prompt for prompt in new)


def test_a_renamed_attribute_asks_nothing(server: FakeServer, tmp_path: Path) -> None:
    """The same bytes were sent under the old name; so it is with two that were swapped."""
    run(server, tmp_path / "r")
    before = server.prompts()
    columns = {**COLUMNS, "question": {"prompt": "ask {difficulty} {topic}"}}
    spec = maths(columns, attributes={"difficulty": ["easy", "hard"], "topic": ["sums", "sets", "primes"]})
    report = run(server, tmp_path / "r", spec, extend=True)
    assert ("done", 6) == (report.state, report.done)
    assert 6 == asked_since(server, before).total()
    assert all("primes" in prompt for prompt in asked_since(server, before))
    before = server.prompts()
    swapped = maths(
        {**COLUMNS, "question": {"prompt": "ask {topic} {difficulty}"}},
        attributes={"topic": ["easy", "hard"], "difficulty": ["sums", "sets", "primes"]},
    )
    report = run(server, tmp_path / "r", swapped, extend=True)
    assert ("done", 6, Counter()) == (report.state, report.done, asked_since(server, before))


# -- failures and conditions --------------------------------------------------------------------------------------


def test_a_failed_column_gives_up_what_builds_on_it_and_is_retried_with_it(server: FakeServer, tmp_path: Path) -> None:
    """The row failed; its followers were not asked, and are asked once the column is answered."""
    server.behaviour = lambda asked: error(400) if asked.prompt == "ask easy sums" else said(asked)
    report = run(server, tmp_path / "r")
    assert ("failed_rows", 3, 1) == (report.state, report.done, report.failed)
    assert 0 == sum("easy sums" in prompt for prompt in server.prompts() if prompt != "ask easy sums")
    before = server.prompts()
    assert "failed_rows" == run(server, tmp_path / "r").state
    assert Counter() == asked_since(server, before)
    server.behaviour = said
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("done", 4, 0) == (report.state, report.done, report.failed)
    assert 3 == asked_since(server, before).total()


def test_a_condition_decides_which_rows_have_a_column(server: FakeServer, tmp_path: Path) -> None:
    """What follows a skipped column is skipped, unless it names another that it may take instead."""
    columns = {
        **COLUMNS,
        "rewrite": {"prompt": "mend [{solution}]", "when": "level == 'hard'"},
        "praise": {"prompt": "praise [{rewrite}]"},
        "final": {"prompt": "print [{rewrite|solution}]"},
    }
    report = run(server, tmp_path / "r", maths(columns))
    assert ("done", 4) == (report.state, report.done)
    prompts = server.prompts()
    assert [2, 2] == [sum(prompt.startswith(word) for prompt in prompts) for word in ("mend", "praise")]
    finals = [prompt for prompt in prompts if prompt.startswith("print")]
    assert [2, 2] == [sum(prompt.startswith(start) for prompt in finals) for start in ("print [<mend", "print [<solve")]
    # Decided once: a further run writes nothing.
    size = (tmp_path / "r" / "rows-00000.jsonl").stat().st_size
    run(server, tmp_path / "r", maths(columns))
    assert size == (tmp_path / "r" / "rows-00000.jsonl").stat().st_size


def test_what_follows_a_skipped_column_is_decided_once_also_behind_a_kill(server: FakeServer, tmp_path: Path) -> None:
    """A follower's line names the condition that was not met, though nothing else of the row is read."""
    columns = {
        "question": COLUMNS["question"],
        "rewrite": {"prompt": "mend [{question}]", "when": "level == 'none'"},
        "praise": {"prompt": "praise [{rewrite}]"},
    }
    folder = tmp_path / "r"
    run(server, folder, maths(columns), concurrency=1)
    path = folder / "rows-00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"column":"praise"' not in line))
    (folder / "lock").unlink()
    run(server, folder, maths(columns))
    assert sorted(line["index"] for line in lines_of(folder)) == list(range(12))
    run(server, folder, maths(columns))
    assert 12 == len(lines_of(folder))


def test_a_changed_condition_asks_only_those_that_it_lets_in(server: FakeServer, tmp_path: Path) -> None:
    """Answers stay; of what was skipped those are asked that now meet the condition."""
    columns = {**COLUMNS, "rewrite": {"prompt": "mend [{solution}]", "when": "level == 'hard'"}}
    run(server, tmp_path / "r", maths(columns))
    before = server.prompts()
    changed = {**columns, "rewrite": {**columns["rewrite"], "when": "level == 'hard' or topic == 'sums'"}}
    report = run(server, tmp_path / "r", maths(changed), extend=True)
    assert ("done", 4) == (report.state, report.done)
    assert Counter(["mend [<solve [<ask easy sums>]>]"]) == asked_since(server, before)


def test_a_condition_that_cannot_be_decided_fails_its_column(server: FakeServer, tmp_path: Path) -> None:
    """Text is no number: the row fails with the class `condition`, the others go on."""
    columns = {**COLUMNS, "rewrite": {"prompt": "mend [{solution}]", "when": "topic > 3"}}
    report = run(server, tmp_path / "r", maths(columns))
    assert ("failed_rows", 4, {"condition": 4}) == (report.state, report.failed, report.errors)
    assert wanted_prompts() == server.prompts()
