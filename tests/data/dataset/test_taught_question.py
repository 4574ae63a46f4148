"""What an example asks: `--ask` and `--system`, held against the very requests that the answers were given to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.specs.spec import Spec
from herogen_async.tune.finetune.rows.row_checks import checked_rows
from herogen_async.tune.query import question_from, question_of_row
from support.fake_server import FakeServer, answer

SHORT: dict[str, Any] = {
    "name": "tales",
    "attributes": {"age": ["18", "40"], "power": ["flight", "100 % luck {no joke}"]},
    "prompt": "Tell of someone aged {age} with {power}.",
    "sub_prompt": "{age}, {power}",
    "endpoint": "chat",
}
ONE = Spec(**SHORT, system="You write for readers of {age}.")
SEVERAL = Spec(
    **{key: value for key, value in SHORT.items() if key != "prompt"},
    columns={
        "plot": {"prompt": "A plot about {power}", "system": "You plot."},
        "tale": {"prompt": "Write: {plot}", "system": "For {age}: {critique|plot}", "samples": 2},
        "critique": {"prompt": "Judge {plot}", "when": "age == '40'"},
    },
)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda asked: answer(asked, f"<{asked.number}: {asked.prompt[:9]}>")) as started:
        yield started


def made(server: FakeServer, folder: Path, spec: Spec) -> Path:
    herogen_async.run(spec, run=folder, base_url=server.url, model="m")
    return folder


def lines_of(assembled: Assembled) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]


def sent(server: FakeServer) -> list[list[dict[str, str]]]:
    return [asked.body["messages"] for asked in server.asked]


@pytest.mark.parametrize("spec", [ONE, SEVERAL], ids=["one prompt", "several columns"])
def test_the_prompt_and_the_system_text_are_those_that_were_sent(
    server: FakeServer, tmp_path: Path, spec: Spec
) -> None:
    """Message by message, also where a system text holds another column's answer, or the one that is there instead."""
    run = made(server, tmp_path / "r", spec)
    column = "tale" if spec is SEVERAL else None
    assembled = assemble(run, format="messages", ask="prompt", system="keep", column=column)
    rows = lines_of(assembled)
    assert (8 if spec is SEVERAL else 4) == len(rows)
    for row in rows:
        assert ["system", "user", "assistant"] == [message["role"] for message in row["messages"]]
        assert [message["content"] for message in row["messages"][:2]] in [
            [message["content"] for message in messages] for messages in sent(server)
        ]
    assert "Each example: system text and prompt as sent -> " in "\n".join(assembled.lines())
    assert checked_rows(assembled.data, assembled.how, fewest=1).rows == len(rows)


def test_by_default_an_example_asks_the_sub_prompt_alone(server: FakeServer, tmp_path: Path) -> None:
    """As before there was a choice, and the result says so in one line."""
    assembled = assemble(made(server, tmp_path / "r", ONE), format="messages")
    assert [["user", "assistant"]] * 4 == [[each["role"] for each in row["messages"]] for row in lines_of(assembled)]
    assert "18, flight" == lines_of(assembled)[0]["messages"][0]["content"]
    assert "Each example: sub-prompt -> answer." in assembled.lines()
    assert not {"ask", "system", "system_differs"} & assembled.how.as_dict().keys()
    assert "Question in the training rows" in assembled.report.read_text()


def test_a_text_for_all_is_in_every_row_and_in_the_recipe(server: FakeServer, tmp_path: Path) -> None:
    """Also of a run without one; `query` finds it in the recipe."""
    plain = Spec(**{**SHORT, "endpoint": "completions"})
    run = made(server, tmp_path / "r", plain)
    assembled = assemble(run, format="sharegpt", system="Be brief: {not a placeholder}")
    turns = [row["conversations"] for row in lines_of(assembled)]
    assert [{"from": "system", "value": "Be brief: {not a placeholder}"}] * 4 == [each[0] for each in turns]
    assert ["human", "gpt"] == [turn["from"] for turn in turns[0][1:]]
    recipe = orjson.loads(assembled.recipe.read_bytes())
    assert ("Be brief: {not a placeholder}", assembled.how) == (recipe["system"], Recipe.from_dict(recipe))
    card = assembled.card.read_text()
    assert "Be brief" in card
    assert "Each example: system text and sub" in card


def test_a_recipe_knows_how_questions_are_made(server: FakeServer, tmp_path: Path) -> None:
    """From the prompt's attributes; where prompts hold other columns' answers, there is no such template."""
    assembled = assemble(made(server, tmp_path / "one", ONE), format="messages", ask="prompt", system="keep")
    recipe = Recipe.from_dict(orjson.loads(assembled.recipe.read_bytes()))
    # It differs by row: then the recipe has none for all.
    assert ("prompt", None, True, ONE.prompt) == (recipe.ask, recipe.system, recipe.system_differs, recipe.sub_prompt)
    assert "Tell of someone aged 7 with hope." == question_from({"age": "7", "power": "hope"}, recipe)
    exported = {"prompt": "the long one", "sub_prompt": "the short one"}
    assert "the long one" == question_of_row(exported, recipe)
    several = made(server, tmp_path / "several", SEVERAL)
    assembled = assemble(several, format="messages", ask="prompt", column="tale")
    assert assembled.how.sub_prompt is None
    same_for_all = assemble(several, format="messages", system="keep", column="plot")
    assert "You plot." == same_for_all.how.system


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"ask": "promt"}, "unknown question 'promt'", "prompt"),
        ({"system": " "}, "the system text is empty", "--system none"),
        (
            {"system": "keep", "format": "alpaca"},
            "format alpaca has no place for a system text",
            "messages, conversational, sharegpt or prompts",
        ),
        ({"system": "A text", "format": "prompt-completion"}, "format prompt-completion has no place", "messages"),
    ],
)
def test_what_can_not_be_is_explained(
    server: FakeServer, tmp_path: Path, options: dict[str, str], message: str, fix: str
) -> None:
    """A sentence with the fix; nothing is written."""
    run = made(server, tmp_path / "r", ONE)
    with pytest.raises(InputError) as raised:
        assemble(run, **{"format": "messages", **options})  # type: ignore[arg-type]
    assert message in raised.value.message
    assert fix in str(raised.value.fix)
    assert not list(run.glob("dataset/*"))


def test_a_system_text_that_was_not_sent_or_is_not_known_is_not_kept(server: FakeServer, tmp_path: Path) -> None:
    """Of answers to an earlier spec that are kept, only the prompt is on disk."""
    bare = made(server, tmp_path / "bare", Spec(**SHORT))
    with pytest.raises(InputError, match="no system text was sent"):
        assemble(bare, format="messages", system="keep")
    run = made(server, tmp_path / "r", ONE)
    changed = ONE.replace(system="You write for readers of {age}, in verse.")
    herogen_async.run(changed, run=run, base_url=server.url, model="m", extend=True, limit=4)
    with pytest.raises(InputError, match="answers to an earlier spec"):
        assemble(run, format="messages", system="keep")
    assert 4 == len(lines_of(assemble(run, format="messages", ask="prompt", system="In verse.")))


def test_stale_answers_that_do_not_count_keep_no_system_text_back(server: FakeServer, tmp_path: Path) -> None:
    """They are to be requested again, and so they are in no example."""
    run = made(server, tmp_path / "r", ONE)
    changed = ONE.replace(system="You write for readers of {age}, in verse.")
    herogen_async.run(changed, run=run, base_url=server.url, model="m", regenerate_stale=True, limit=2)
    rows = lines_of(assemble(run, format="messages", system="keep"))
    assert ["You write for readers of 18, in verse."] * 2 == [row["messages"][0]["content"] for row in rows]
