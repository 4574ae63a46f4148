"""`plan` for rows of several columns: what is there of each, what asking the rest takes, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.cli.plan_command import plan_lines
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.forecast.forecast import Forecast
from herogen_async.generation.forecast.preflight import crash_line, row_bytes
from herogen_async.generation.session import Watch
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json, write_spec

COLUMNS: dict[str, Any] = {
    "question": {"prompt": "ask {level}"},
    "solution": {"prompt": "solve {question}", "samples": 2, "sampling": {"max_tokens": 100}},
    "verdict": {"prompt": "grade {question} {solution}", "model": "judge"},
}
AT_OPENAI: dict[str, Any] = {"base_url": "https://api.openai.com/v1", "model": "gpt-4o", "endpoint": "chat"}


def maths(columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    data = {
        "name": "maths",
        "attributes": {"level": ["easy", "hard"]},
        "sampling": {"max_tokens": 50},
        "columns": COLUMNS if columns is None else columns,
    }
    return Spec(**{**data, **changes})


def other(name: str, **changes: Any) -> dict[str, Any]:
    """COLUMNS, with something else of one."""
    return {**COLUMNS, name: {**COLUMNS[name], **changes}}


def of(found: Forecast, *counts: str) -> dict[str, tuple[int, ...]]:
    return {each.name: tuple(getattr(each.calls, count) for count in counts) for each in found.columns}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(models=("m", "judge")) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


# -- what it takes --------------------------------------------------------------------------------------------------


def test_the_embedded_model_s_columns_cost_nothing_and_those_of_a_server_are_not_free() -> None:
    """There is no price to be found out where nobody asks for one; beside it a judge at a server has one."""
    columns = {name: {**column, "model": None} for name, column in COLUMNS.items()}
    told = "\n".join(plan_lines(herogen_async.plan(maths(columns), model="embedded")))
    assert "no cost" in told
    assert "USD" not in told
    columns["verdict"] |= {"model": "judge", "base_url": "https://api.example.com/v1"}
    told = "\n".join(plan_lines(herogen_async.plan(maths(columns), model="embedded")))
    assert "no cost" not in told
    assert "USD" in told


def test_plan_refuses_a_setting_of_a_column_that_there_is_not() -> None:
    """As `run` does; before anything is asked is when a slip should be seen."""
    with pytest.raises(InputError, match="rpm is set for 'verdit', which is not a column") as told:
        herogen_async.plan(maths(), **AT_OPENAI, rpm={"verdit": 100})
    assert "did you mean 'verdict'" in str(told.value.fix)


def test_a_prompt_is_estimated_with_the_answers_that_it_will_hold() -> None:
    """Each placeholder of a column counts as the most that its answer may have, until some were seen."""
    found = herogen_async.plan(maths(repeats=3), **AT_OPENAI)
    tokens = {each.name: each.new.prompt_tokens for each in found.columns}
    # A quarter of the bytes that are known, and 8 of a prompt's own: "ask easy", "solve ", "grade  ".
    assert {"question": 6 * 10, "solution": 12 * (9.5 + 50), "verdict": 12 * (9.75 + 50 + 100)} == tokens
    assert {"question": 300, "solution": 1200, "verdict": 600} == {
        each.name: each.new.answer_tokens_most for each in found.columns
    }
    assert (30, sum(tokens.values()), 2100) == (
        found.new.requests,
        found.new.prompt_tokens,
        found.new.answer_tokens_most,
    )
    note = "Answers in later prompts are counted as: question 50 tokens (max_tokens), solution 100 tokens (max_tokens)."
    assert note in list(plan_lines(found))


def test_answers_that_were_seen_are_what_later_prompts_are_reckoned_with(server: FakeServer, tmp_path: Path) -> None:
    """Their mean stands for those to come; without a limit and an answer it is 1,024 tokens, and said so."""
    run(server, tmp_path / "r", maths({"question": COLUMNS["question"], "solution": COLUMNS["solution"]}))
    found = herogen_async.plan(maths(), tmp_path / "r")
    verdict = found.columns[2]
    assert (4, 4 * (9.75 + 20 + 20), None) == (
        verdict.new.requests,
        verdict.new.prompt_tokens,
        verdict.new.answer_tokens,
    )
    assert "question 20 tokens (mean so far), solution 20 tokens (mean so far)." in "\n".join(plan_lines(found))
    unlimited = {"question": {"prompt": "ask {level}"}, "solution": {"prompt": "solve {question}"}}
    lines = "\n".join(plan_lines(herogen_async.plan(maths(unlimited, sampling={}), **AT_OPENAI)))
    assert "question 1,024 tokens (assumed; no limit set)." in lines
    assert "no limit" in lines


def test_each_column_costs_what_its_own_model_does() -> None:
    """The known price of its model, or that by hand, of all columns or of it alone; on this machine it is free."""

    def prices(columns: dict[str, Any], **options: Any) -> list[float | None]:
        found = herogen_async.plan(maths(columns), **AT_OPENAI, **options).columns
        return [None if each.price is None else each.price.input_usd for each in found]

    mini = other("verdict", model="gpt-4o-mini")
    assert [2.5, 2.5, 0.15] == prices(mini)
    assert [7.0, 7.0, 7.0] == prices(mini, price="7,8")
    assert [2.5, 2.5, 7.0] == prices(mini, price={"verdict": "7,8"})
    assert [2.5, 2.5, None] == prices(COLUMNS)
    assert [2.5, 2.5, 0.0] == prices(other("verdict", base_url="http://127.0.0.1:1/v1"))
    unknown = herogen_async.plan(maths(), **AT_OPENAI)
    assert (True, None) == (unknown.columns[2].price is None, unknown.as_dict()["new"]["usd_most"])
    assert any("Price of verdict: unknown" in line for line in plan_lines(unknown))
    alike = herogen_async.plan(maths({name: {**COLUMNS[name], "model": "gpt-4o"} for name in COLUMNS}), **AT_OPENAI)
    assert alike.as_dict()["price"]["input_usd"] == alike.columns[0].as_dict()["price"]["input_usd"]
    assert alike.as_dict()["new"]["usd_most"] == pytest.approx(
        sum(each.as_dict()["new"]["usd_most"] for each in alike.columns)
    )


@pytest.mark.parametrize(
    ("spec", "where", "said"),
    [
        (maths({**COLUMNS, "title": {"prompt": "x {level}"}}, sampling={}), AT_OPENAI, "an answer of question, "),
        (maths(), AT_OPENAI, "the price of 'judge' at https://api.openai.com/v1 is unknown"),
        (maths(), {"base_url": "http://127.0.0.1:1/v1", "model": "m"}, "a model on this machine has none"),
    ],
    ids=["no limit", "no price", "on this machine"],
)
def test_a_budget_needs_a_worst_case_and_a_price_of_every_column(
    tmp_path: Path, spec: Spec, where: dict[str, Any], said: str
) -> None:
    """Refused before anything is sent, with the column or the model that lacks it."""
    with pytest.raises(InputError, match=said):
        herogen_async.run(spec, run=tmp_path / "r", **where, api_key="k", budget_usd=1.0)
    assert not (tmp_path / "r").exists()


def test_what_a_run_has_cost_is_told_by_column(server: FakeServer, tmp_path: Path) -> None:
    """Every answer there is, of every era, at the price of its own column, also where blocks of lines are folded."""
    spec = maths(attributes={"level": [str(number) for number in range(300)]})
    run(server, tmp_path / "r", spec, price="1,10", concurrency=64)
    report = herogen_async.status(tmp_path / "r")
    assert report.cost == pytest.approx(1500 * (10 + 200) / 1e6)
    left = herogen_async.plan(spec, tmp_path / "r")
    assert left.kept is not None
    found = left.kept.found
    assert {"question": (300, 6000), "solution": (600, 12000), "verdict": (600, 12000)} == {
        name: (found.column_answers[name], usage["completion_tokens"]) for name, usage in found.column_usage.items()
    }
    assert 30_000 == found.usage["completion_tokens"]


# -- what is there ---------------------------------------------------------------------------------------------------


def test_plan_says_kept_new_and_stale_of_each_column(server: FakeServer, tmp_path: Path) -> None:
    """A changed judge keeps the rest; an added column is new alone; a changed question makes all stale."""
    run(server, tmp_path / "r", maths())
    counts = ("kept", "new", "stale", "stale_asked")
    judge = herogen_async.plan(maths(other("verdict", prompt="judge {question} {solution}")), tmp_path / "r")
    assert {"question": (2, 0, 0, 0), "solution": (4, 0, 0, 0), "verdict": (0, 0, 4, 0)} == of(judge, *counts)
    added = herogen_async.plan(maths({**COLUMNS, "title": {"prompt": "title {solution.all}"}}), tmp_path / "r")
    assert (2, ("--extend",)) == (added.new.requests, added.flags)
    assert (0, 2, 0, 0) == of(added, *counts)["title"]
    question = herogen_async.plan(maths(other("question", prompt="please ask {level}")), tmp_path / "r")
    assert {"question": (0, 0, 2, 0), "solution": (0, 0, 4, 0), "verdict": (0, 0, 4, 0)} == of(question, *counts)
    fewer = herogen_async.plan(maths({name: COLUMNS[name] for name in ("question", "solution")}), tmp_path / "r")
    assert (0, 0, ()) == (fewer.new.requests, fewer.stale.requests, fewer.flags)


def test_plan_says_what_failed_and_what_was_not_asked_because_of_it(server: FakeServer, tmp_path: Path) -> None:
    """Rows fail; of each column so many calls did, and so many were not asked."""

    def refuses(asked: Asked) -> Reply:
        return error(400) if asked.prompt == "ask hard" else answer(asked)

    server.behaviour = refuses
    assert 1 == run(server, tmp_path / "r", maths()).failed
    found = herogen_async.plan(maths(), tmp_path / "r")
    assert {"question": (1, 0), "solution": (0, 2), "verdict": (0, 2)} == of(found, "failed", "not_asked")
    assert (1, 0) == (found.as_dict()["failed"], found.new.requests)
    lines = list(plan_lines(found))
    assert "Answers       kept  new  stale  failed  not asked" in lines
    assert "Failed: 1 row; only `herogen-async retry` requests them again." in lines


def test_a_condition_makes_it_at_most(server: FakeServer, tmp_path: Path) -> None:
    """Of it and of what builds on it; what was left out is told apart from what was answered."""
    columns = {**COLUMNS, "rewrite": {"prompt": "mend {solution}", "when": "level == 'hard'"}}
    columns["praise"] = {"prompt": "praise {rewrite}"}
    found = herogen_async.plan(maths(columns), **AT_OPENAI)
    assert {"rewrite", "praise"} == {each.name for each in found.columns if each.is_at_most}
    lines = "\n".join(plan_lines(found))
    assert "praise x 2    up to 4" in lines
    assert "New: at most 18 requests" in lines
    run(server, tmp_path / "r", maths(columns))
    held = herogen_async.plan(maths(columns), tmp_path / "r")
    assert {"rewrite": (4, 2), "praise": (4, 2)} == dict(list(of(held, "kept", "skipped").items())[3:])
    assert any(line.split() == ["rewrite", "x", "2", "2", "0", "0", "2"] for line in plan_lines(held))


def test_a_table_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    """Whatever the numbers, and however long the names of columns are."""
    levels = [str(number) for number in range(100_000)]
    name = "a_column_with_a_name_that_goes_on_and_on"
    columns = {name: {"prompt": "{level}"}, "b": {"prompt": f"{{{name}}}", "samples": 9, "when": "level == '1'"}}
    found = herogen_async.plan(maths(columns, attributes={"level": levels}, repeats=20), **AT_OPENAI)
    lines = list(plan_lines(found))
    first = next(place for place, line in enumerate(lines) if line.startswith("Requests"))
    assert {80} >= {len(line) for line in lines[first : first + 3]}
    assert len({len(line) for line in lines[first : first + 3]}) == 1
    assert "..." in lines[first + 1]


def test_json_has_rows_calls_and_columns_for_several_alone(tmp_path: Path) -> None:
    """The keys of one column stay those that they were; `tasks` is the rows."""
    one = Spec(name="s", attributes={"level": ["easy", "hard"]}, prompt="{level}", sampling={"max_tokens": 5})
    keys = set(herogen_async.plan(one, **AT_OPENAI).as_dict())
    assert not {"rows", "calls", "columns"} & keys
    file = write_spec(tmp_path, maths())
    shown = herogen("plan", file, "--base-url", "http://127.0.0.1:1/v1", "--show", "1", "--json", cwd=tmp_path)
    told = last_json(shown.stdout)
    assert {*keys, "rows", "calls", "columns", "previews", "next", "next_asking_stale"} == set(told)
    assert (2, 2, 10) == (told["tasks"], told["rows"], told["calls"])
    assert ["question", "solution", "verdict"] == [each["name"] for each in told["columns"]]
    assert [0, 1, 2, 3, 4] == [each["index"] for each in told["previews"]]
    assert [None, None, None, "judge", "judge"] == [
        None if each["body"]["model"] == "..." else each["body"]["model"] for each in told["previews"]
    ]
    assert "grade {question} {solution}" in json.dumps(told["previews"][3]["body"])


def test_show_shows_each_column_of_a_row(tmp_path: Path) -> None:
    """With its texts and its body; of several samples one, and the row by its own number."""
    file = write_spec(tmp_path, maths(other("verdict", endpoint="chat", system="You grade.")))
    shown = herogen("plan", file, "--base-url", "http://127.0.0.1:1/v1", "--show", "2", cwd=tmp_path).stdout
    assert "\nRow 1 (level hard)\n  question:\n    Prompt:\n      ask hard\n    Body: {" in shown
    assert "  solution, each of 2 samples:\n    Prompt:\n      solve {question}\n    Body: {" in shown
    assert "    System:\n      You grade.\n" in shown
    assert 2 == shown.count("  Sub-prompt:\n")


# -- consent ---------------------------------------------------------------------------------------------------------


def test_a_refusal_and_a_change_name_the_columns(server: FakeServer, tmp_path: Path) -> None:
    """What would be new and stale of each, before a person agrees and once one has."""
    run(server, tmp_path / "r", maths())
    changed = maths({**other("verdict", prompt="judge {solution}"), "title": {"prompt": "title {level}"}})
    with pytest.raises(RunFolderError) as refused:
        run(server, tmp_path / "r", changed, regenerate_stale=True)  # the title is new: that is not what this agrees to
    assert "2 requests are new (2 of title), 4 answers are stale (4 of verdict)" in refused.value.message
    assert "`--extend --regenerate-stale` also requests the stale ones again (`--column NAME`" in str(refused.value.fix)
    notices: list[str] = []
    run(server, tmp_path / "r", changed, extend=True, watch=Watch(on_notice=notices.append))
    assert any("4 answers (4 of verdict) of an earlier prompt, model or sampling stay" in line for line in notices)


def test_stale_answers_of_one_column_are_asked_again_with_what_builds_on_them(
    server: FakeServer, tmp_path: Path
) -> None:
    """Others stay as they are; on the command line by `--column`, which is nothing without `--regenerate-stale`."""
    run(server, tmp_path / "r", maths())
    columns = {**other("solution", prompt="please solve {question}"), "more": {"prompt": "also {question}"}}
    columns["question"] = {"prompt": "please ask {level}"}
    file, spec = write_spec(tmp_path, maths(columns)), maths(columns)
    command = ("run", file, "--run", tmp_path / "r", "--base-url", server.url, "--model", "m", "--extend")
    alone = herogen(*command, "--column", "solution", cwd=tmp_path)
    assert (2, True) == (alone.returncode, "fix: add --regenerate-stale" in alone.stderr)
    wrong = herogen(*command, "--regenerate-stale", "--column", "solutoin", cwd=tmp_path)
    assert (2, True) == (wrong.returncode, "no column is called 'solutoin'" in wrong.stderr)
    assert "did you mean 'solution'?" in wrong.stderr
    before = len(server.asked)
    assert 0 == herogen(*command, "--regenerate-stale", "--column", "solution", cwd=tmp_path).returncode
    asked = [each.prompt for each in server.asked[before:]]
    assert (4, 4, 2, 10) == (
        sum(each.startswith("please solve An answer to: ask") for each in asked),
        sum(each.startswith("grade An answer to: ask") for each in asked),
        sum(each.startswith("also An answer to: ask") for each in asked),
        len(asked),
    )
    left = herogen_async.plan(spec, tmp_path / "r")
    assert {"question": 2, "solution": 0, "verdict": 0} == {
        name: calls[0] for name, calls in of(left, "stale_asked").items() if name != "more"
    } | {"question": of(left, "stale")["question"][0]}
    with pytest.raises(InputError, match="no column is called 'x'"):
        run(server, tmp_path / "r", spec, regenerate_stale="x")


def test_a_column_that_was_to_be_asked_again_is_so_by_whoever_goes_on(server: FakeServer, tmp_path: Path) -> None:
    """A kill doesn't forget the consent: `plan` says so much of the stale is requested by the run as it is."""
    folder, spec = tmp_path / "r", maths(other("question", prompt="please ask {level}"))
    run(server, folder, maths())
    run(server, folder, spec, extend=True, regenerate_stale=["solution"])
    max(folder.glob("rows-*.jsonl")).write_bytes(b"")
    (folder / "lock").unlink()
    found = herogen_async.plan(spec, folder)
    assert {"question": (2, 0), "solution": (4, 4), "verdict": (4, 4)} == of(found, "stale", "stale_asked")
    assert "8 of them requested again" in "\n".join(plan_lines(found))
    before = len(server.asked)
    run(server, folder, spec)
    assert 8 == len(server.asked) - before
    # They are made from stale questions, so that asking for these again would make them stale, too.
    left = herogen_async.plan(spec, folder).calls
    assert (0, 10) == (left.stale_asked, left.stale)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({name: COLUMNS[name] for name in ("question", "solution")}, "the column 'verdict' (removed)"),
        (
            {"question": COLUMNS["question"], "title": {"prompt": "x {level}"}, "solution": COLUMNS["solution"]},
            "the order of the columns",
        ),
        (
            {"question": COLUMNS["question"], "proof": COLUMNS["solution"], "title": {"prompt": "x {level}"}},
            "the column 'solution' (now called 'proof')",
        ),
    ],
    ids=["removed", "reordered", "renamed"],
)
def test_a_change_that_asks_nothing_needs_no_consent_and_is_said(
    server: FakeServer, tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    """Nothing is new and nothing stale, so that nothing is paid."""
    held = {"question": COLUMNS["question"], "solution": COLUMNS["solution"], "title": {"prompt": "x {level}"}}
    held |= {"verdict": COLUMNS["verdict"]} if "removed" in said else {}
    columns |= {"title": held["title"]} if "removed" in said else {}
    run(server, tmp_path / "r", maths(held))
    assert () == herogen_async.plan(maths(columns), tmp_path / "r").flags
    before, notices = len(server.asked), list[str]()
    report = run(server, tmp_path / "r", maths(columns), watch=Watch(on_notice=notices.append))
    assert ("done", 2, before) == (report.state, report.done, len(server.asked))
    assert any(line.startswith("Changed: ") and said in line for line in notices), notices


def test_a_changed_condition_needs_consent(server: FakeServer, tmp_path: Path) -> None:
    """It may let in rows that were left out."""
    run(server, tmp_path / "r", maths(other("verdict", when="level == 'hard'")))
    with pytest.raises(RunFolderError, match="the condition of verdict"):
        run(server, tmp_path / "r", maths())


def test_renamed_attributes_are_called_so(server: FakeServer, tmp_path: Path) -> None:
    """Neither added nor removed, and the prompts that name them have not changed."""
    run(server, tmp_path / "r", maths())
    renamed = maths(other("question", prompt="ask {grade}"), attributes={"grade": ["easy", "hard"]})
    found = herogen_async.plan(renamed, tmp_path / "r")
    assert ("the attributes ('level' is now called 'grade')",) == found.changes
    assert (10, 0, 0) == (found.calls.kept, found.new.requests, found.stale.requests)
    one = {"name": "s", "attributes": {"x": ["a", "b"], "y": ["k"]}, "prompt": "tell {x} {y}"}
    run(server, tmp_path / "one", Spec(**one))
    swapped = {**one, "attributes": {"hero": ["a", "b", "c"], "y": ["k"]}, "prompt": "tell {hero} {y}"}
    found = herogen_async.plan(Spec(**swapped), tmp_path / "one")
    assert ("the attributes ('x' is now called 'hero', 'hero' has 1 more)",) == found.changes
    assert (2, 1) == (found.calls.kept, found.new.requests)
    hotter = Spec(**{**swapped, "sampling": {"temperature": 0.5}})
    assert "the sampling (temperature)" == herogen_async.plan(hotter, tmp_path / "one").changes[-1]


# -- the worst case ---------------------------------------------------------------------------------------------------


def test_room_and_crashes_are_reckoned_in_answers() -> None:
    """A follower's line holds the answers in its prompt; what a power cut costs is said in answers."""
    plan = Plan(maths(), endpoint="completions", model="m")
    alone = [
        Plan(maths({"a": {"prompt": "x {level}", "sampling": {"max_tokens": n}}}), endpoint="chat", model="m")
        for n in (50, 100)
    ]
    question, solution = (row_bytes(each) for each in alone)
    assert row_bytes(plan) > (question + 2 * solution + 2 * question) / 5 + (2 * 4 * 50 + 2 * 4 * 150) / 5
    assert "the last 256 answers" in crash_line(Settings(durability="periodic"), 16, calls_a_row=5)
    assert "the last 256 rows" in crash_line(Settings(durability="periodic"), 16)
