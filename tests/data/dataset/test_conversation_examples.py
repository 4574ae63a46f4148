"""Training examples of a conversation: its turns, the assistant's last, with the system text of that side."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

COLUMNS: dict[str, Any] = {
    "student": {"prompt": "learn {topic} [{conversation}]"},
    "teacher": {"prompt": "{conversation}", "system": "teach {topic}"},
}
TALK = {"user": "student", "assistant": "teacher", "turns": 2}


def said(asked: Asked) -> Reply:
    """The first answer about sets is cut off."""
    sent = asked.body["messages"]
    if sent[0]["role"] == "system":
        is_cut = "sets" in sent[0]["content"] and len(sent) == 2
        return answer(asked, f"a{len(sent) // 2}", finish_reason="length" if is_cut else "stop")
    return answer(asked, f"q{sent[0]['content'].count('Assistant:') + 1}")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with FakeServer(said) as server:
        herogen_async.run(talk(), run=tmp_path / "r", base_url=server.url, model="m")
        yield tmp_path / "r"


def talk(**changes: Any) -> Spec:
    data = {"name": "talk", "attributes": {"topic": ["sums", "sets"]}, "endpoint": "chat", "conversation": TALK}
    return Spec(**{**data, "columns": COLUMNS, **changes})


def test_the_conversation_is_the_example(folder: Path, tmp_path: Path) -> None:
    """In the formats that hold several turns; one of which an answer was cut off is left out."""
    assembled = herogen_async.assemble(folder, format="messages", out=tmp_path / "data")
    (line,) = assembled.data.read_text().splitlines()
    turns = [("system", "teach sums"), ("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]
    assert turns == [(each["role"], each["content"]) for each in json.loads(line)["messages"]]
    assert "Each example: system text and a conversation of 2 turns." in assembled.lines()
    assert "Left out, truncated: 1 (length 1)." in assembled.lines()
    herogen_async.assemble(folder, format="sharegpt", out=tmp_path / "sharegpt")
    herogen_async.assemble(folder, format="conversational", out=tmp_path / "conversational")


@pytest.mark.parametrize(
    ("changes", "lost"),
    [({}, 1), ({"train": {"user": "{teacher.1}", "assistant": "{teacher.2}"}}, 0)],
)
def test_thoughts_of_earlier_turns_are_told_as_left_out(tmp_path: Path, changes: dict[str, Any], lost: int) -> None:
    """Those of the last answer are kept as asked."""
    columns = {**COLUMNS, "student": {"prompt": "learn sums [{conversation}]"}}
    with FakeServer(lambda asked: answer(asked, "<think>hm</think>so")) as server:
        spec = talk(columns=columns, attributes={"topic": ["sums"]}, **changes)
        herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m")
    assembled = herogen_async.assemble(tmp_path / "r", format="messages", reasoning="think", out=tmp_path / "data")
    assert 1 == assembled.data.read_text().count("hm")
    assert "Thoughts of the model in 1 answer: kept in front of the answer, in <think> tags." in assembled.lines()
    assert lost == sum("Thoughts of other answers in 1 example: left out" in line for line in assembled.lines())


@pytest.mark.parametrize("file_format", ["prompt-completion", "alpaca", "dpo"])
def test_a_format_of_one_question_says_what_to_do(folder: Path, tmp_path: Path, file_format: str) -> None:
    """With the formats that take a conversation."""
    with pytest.raises(InputError) as told:
        herogen_async.assemble(folder, format=file_format, out=tmp_path / "data")
    assert "takes one question and its answer; the conversation has 2 questions" in str(told.value)
    assert "--format messages" in str(told.value.fix)
    assert "choose an answer: --column teacher.2" in str(told.value.fix)


def test_a_side_that_is_chosen_as_a_column_says_which_turns_there_are(folder: Path, tmp_path: Path) -> None:
    """And that the whole conversation is an example."""
    with pytest.raises(InputError, match="'teacher' is a side of the conversation") as told:
        herogen_async.assemble(folder, column="teacher", out=tmp_path / "data")
    assert "--column teacher.2, or remove --column" in str(told.value.fix)


def test_the_card_of_a_conversation_tells_what_was_said_and_how_to_ask(folder: Path, tmp_path: Path) -> None:
    """Messages as messages, by turn; no question template, since there is none."""
    card = herogen_async.assemble(folder, format="messages", out=tmp_path / "data").card.read_text()
    assert "1 conversations of student and teacher from the model m" in card
    assert "The messages sent to the model:\n\n```text\nuser: {student.1}\nassistant: {teacher.1}\nuser:" in card
    assert "Send the turns so far as messages" in card
    assert "question template" not in card
    one = herogen_async.assemble(folder, column="teacher.2", out=tmp_path / "one").card.read_text()
    assert "The question template:\n\n```text\n{topic}\n```" in one


def test_a_column_that_is_chosen_comes_before_the_conversation(folder: Path, tmp_path: Path) -> None:
    """A turn by itself; other options of a question go with that alone."""
    assembled = herogen_async.assemble(folder, column="teacher.2", out=tmp_path / "data")
    assert ["sums ->", "sets ->"] == [json.loads(line)["prompt"] for line in assembled.data.read_text().splitlines()]
    with pytest.raises(InputError, match="the spec's `conversation` says what an example is, and so does --ask"):
        herogen_async.assemble(folder, format="messages", ask="prompt", out=tmp_path / "other")


def test_train_says_otherwise_and_may_name_the_conversation(folder: Path, tmp_path: Path) -> None:
    """It requests nothing."""
    with FakeServer(said) as server:
        train = {"user": "Go on: {conversation}", "assistant": "{teacher.2}"}
        herogen_async.run(talk(train=train), run=folder, base_url=server.url, model="m")
        assert [] == server.asked
    assembled = herogen_async.assemble(folder, out=tmp_path / "data")
    first = json.loads(assembled.data.read_text().splitlines()[0])
    assert "Go on: User: q1\n\nAssistant: a1\n\nUser: q2\n\nAssistant: a2 ->" == first["prompt"]


def test_turns_of_an_earlier_spec_are_told(tmp_path: Path) -> None:
    """Where the sides are exchanged and answers kept, conversations would be told from the wrong end."""
    columns = {**COLUMNS, "teacher": {"prompt": "teach [{conversation}]"}}
    warnings = []
    with FakeServer(said) as server:
        for each in (TALK, {"user": "teacher", "assistant": "student", "turns": 2}):
            spec = talk(columns=columns, conversation=each)
            herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", extend=True)
            warnings.append(herogen_async.assemble(tmp_path / "r", format="messages").warnings)
        assert 8 == len(server.asked)
    warning = "2 conversations with turns that an earlier spec asked for: run --regenerate-stale asks for them again"
    assert [False, True] == [warning in each for each in warnings]


def test_the_card_tells_the_condition_of_each_turn(tmp_path: Path) -> None:
    """It stands at the column of the spec."""
    columns = {**COLUMNS, "student": {**COLUMNS["student"], "when": "topic == 'sums'"}}
    with FakeServer(said) as server:
        herogen_async.run(talk(columns=columns), run=tmp_path / "r", base_url=server.url, model="m")
    assembled = herogen_async.assemble(tmp_path / "r", format="messages", out=tmp_path / "data")
    assert 2 == assembled.card.read_text().count("topic == 'sums'")
    assert "Left out, the conversation skipped by its condition: 1 row." in assembled.lines()
