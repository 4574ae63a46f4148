"""Conversations: each turn is requested once with what was said before it, through kills, further turns and retries."""

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
from herogen_async.core.errors import RunFolderError
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.usefixtures("both_ways")

COLUMNS: dict[str, Any] = {
    "student": {"prompt": "learn {topic} [{conversation}]"},
    "teacher": {"prompt": "{conversation}", "system": "teach {topic}"},
}
TALK = {"user": "student", "assistant": "teacher", "turns": 3}
TOPICS = ["sums", "sets"]


def talk(columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    data = {"name": "talk", "attributes": {"topic": TOPICS}, "endpoint": "chat", "conversation": TALK}
    return Spec(**{**data, "columns": {**COLUMNS, **(columns or {})}, **changes})


def messages_of(asked: Asked) -> str:
    """All that was sent, as one text."""
    return json.dumps([[each["role"], each["content"]] for each in asked.body["messages"]])


def said(asked: Asked) -> Reply:
    """Who speaks for which time of which topic: `q1 sums`, `a1 sums`."""
    sent = asked.body["messages"]
    topic = next(each for each in TOPICS if each in sent[0]["content"])
    if sent[0]["role"] == "system":
        return answer(asked, f"a{len(sent) // 2} {topic}")
    if "judge" in sent[0]["content"]:
        return answer(asked, '{"why": "so", "score": 4}')
    return answer(asked, f"q{sent[0]['content'].count('Assistant:') + 1} {topic}")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def run(server: FakeServer, folder: Path, of: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(of or talk(), run=folder, base_url=server.url, model="m", **options)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def sent_since(server: FakeServer, count: int = 0) -> Counter[str]:
    return Counter(map(messages_of, server.asked[count:]))


def wanted(turns: int = 3) -> Counter[str]:
    """What a conversation comes to, by hand."""
    found: Counter[str] = Counter()
    for topic in TOPICS:
        said_so_far: list[tuple[str, str]] = []
        for turn in range(1, turns + 1):
            text = "\n\n".join(f"{'User' if role == 'user' else 'Assistant'}: {each}" for role, each in said_so_far)
            found[json.dumps([["user", f"learn {topic} [{text}]"]])] += 1
            said_so_far.append(("user", f"q{turn} {topic}"))
            found[json.dumps([["system", f"teach {topic}"], *said_so_far])] += 1
            said_so_far.append(("assistant", f"a{turn} {topic}"))
    return found


def test_each_side_is_told_what_was_said_before(server: FakeServer, tmp_path: Path) -> None:
    """The user's side as a transcript in its prompt, the assistant's as the messages of a chat."""
    report = run(server, tmp_path / "r")
    assert ("done", 2) == (report.state, report.done)
    assert wanted() == sent_since(server)
    row = next(iter(herogen_async.rows(tmp_path / "r")))
    assert {
        "student.1": "q1 sums",
        "teacher.1": "a1 sums",
        "student.2": "q2 sums",
        "teacher.2": "a2 sums",
        "student.3": "q3 sums",
        "teacher.3": "a3 sums",
    } == {name: each["response_txt"] for name, each in row["columns"].items()}


def test_a_line_has_the_transcript_and_the_lines_it_was_made_from(server: FakeServer, tmp_path: Path) -> None:
    """Whichever way it was sent: nothing of what was asked is lost."""
    run(server, tmp_path / "r", talk(attributes={"topic": ["sums"]}))
    lines = {line["column"]: line for line in lines_of(tmp_path / "r")}
    assert "User: q1 sums\n\nAssistant: a1 sums\n\nUser: q2 sums" == lines["teacher.2"]["prompt"]
    assert [lines[name]["crc"] for name in ("student.1", "teacher.1", "student.2")] == lines["teacher.2"]["from"]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_a_kill_at_any_line_a_conversation_goes_on_where_it_was(
    server: FakeServer, tmp_path: Path, concurrency: int
) -> None:
    """For every prefix of the journal what is asked is exactly what it lacks."""
    run(server, tmp_path / "whole", concurrency=concurrency)
    lines = (tmp_path / "whole" / "rows-00000.jsonl").read_bytes().splitlines(keepends=True)
    assert 12 == len(lines)
    for count in range(len(lines) + 1):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "lock").unlink()
        (folder / "rows-00000.jsonl").write_bytes(b"".join(lines[:count]))
        before = len(server.asked)
        report = run(server, folder, concurrency=concurrency)
        assert ("done", 2, 12 - count) == (report.state, report.done, len(server.asked) - before)
        assert sent_since(server, before) <= wanted()
        assert 12 == len({line["key"] for line in lines_of(folder)}) == len(lines_of(folder))


def test_a_fourth_turn_asks_only_that(server: FakeServer, tmp_path: Path) -> None:
    """With consent; fewer turns ask nothing, and the answers stay for later."""
    run(server, tmp_path / "r")
    before = len(server.asked)
    more = talk(conversation={**TALK, "turns": 4})
    with pytest.raises(RunFolderError, match=r"student\.4"):
        run(server, tmp_path / "r", more)
    report = run(server, tmp_path / "r", more, extend=True)
    assert ("done", 2) == (report.state, report.done)
    assert wanted(4) - wanted(3) == sent_since(server, before)
    before = len(server.asked)
    for turns in (1, 4):
        assert "done" == run(server, tmp_path / "r", talk(conversation={**TALK, "turns": turns}), extend=True).state
    assert before == len(server.asked)


def test_renamed_sides_and_a_moved_column_ask_nothing(server: FakeServer, tmp_path: Path) -> None:
    """What is sent is the same."""
    run(server, tmp_path / "r")
    before = len(server.asked)
    renamed = {"guide": COLUMNS["teacher"], "pupil": COLUMNS["student"]}
    sides = {**TALK, "user": "pupil", "assistant": "guide"}
    other = Spec(**{**talk().as_dict(), "columns": renamed, "conversation": sides})
    report = run(server, tmp_path / "r", other, extend=True)
    assert ("done", 2, before) == (report.state, report.done, len(server.asked))


def test_an_edit_of_one_side_makes_stale_what_follows_it(server: FakeServer, tmp_path: Path) -> None:
    """Of the assistant's side: all but the first turn of the user's."""
    run(server, tmp_path / "r")
    before = len(server.asked)
    changed = talk({"teacher": {"prompt": "{conversation}", "system": "coach {topic}"}})
    report = run(server, tmp_path / "r", changed, regenerate_stale=["teacher"], extend=True)
    assert ("done", 2) == (report.state, report.done)
    assert 10 == len(server.asked) - before


def test_a_failed_turn_ends_its_conversation_until_a_retry(server: FakeServer, tmp_path: Path) -> None:
    """What was said before stays, and what would have been said after is not asked."""
    server.behaviour = lambda asked: error(400) if "q2 sums" == asked.prompt else said(asked)
    report = run(server, tmp_path / "r")
    assert (1, 1, 1) == (report.done, report.failed, report.exit_code)
    (row,) = [row for row in herogen_async.rows(tmp_path / "r", partial=True) if row["state"] == "failed"]
    assert {
        "teacher.2": "failed",
        "student.3": "not asked: teacher.2 failed",
        "teacher.3": "not asked: teacher.2 failed",
    } == row["missing"]
    server.behaviour = said
    before = len(server.asked)
    report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert (2, 0, 3) == (report.done, report.failed, len(server.asked) - before)


def test_another_column_reads_the_whole_conversation_and_its_turns(server: FakeServer, tmp_path: Path) -> None:
    """A judge of it, by which rows are kept; with a condition, too."""
    more = {
        "verdict": {"judge": {"of": "conversation", "scale": {5: "judge well", 1: "badly"}}},
        "praise": {"prompt": "learn {topic}: {teacher.3}", "when": "verdict.score > 3 and topic == 'sums'"},
    }
    report = run(server, tmp_path / "r", talk(more, keep="verdict.score >= 4"))
    assert ("done", 2) == (report.state, report.done)
    judged = next(asked.prompt for asked in server.asked if "judge" in asked.prompt and "sets" in asked.prompt)
    assert "User: q1 sets\n\nAssistant: a1 sets" in judged
    assert "User: q3 sets\n\nAssistant: a3 sets\n" in judged
    assert 1 == server.prompts()["learn sums: a3 sums"]
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert [True, True] == [row["accepted"] for row in rows]
    assert "skipped: its condition is not met" == rows[1]["missing"]["praise"]


def test_a_condition_decides_whether_a_row_has_a_conversation(server: FakeServer, tmp_path: Path) -> None:
    """Of both sides, for all turns."""
    report = run(server, tmp_path / "r", talk({"student": {**COLUMNS["student"], "when": "topic == 'sets'"}}))
    assert ("done", 2, 6) == (report.state, report.done, len(server.asked))
    rows = list(herogen_async.rows(tmp_path / "r"))
    assert {"skipped: its condition is not met", "skipped: the condition of student.1 is not met"} == set(
        rows[0]["missing"].values()
    )
    assert {} == rows[1]["missing"]


def test_a_turn_with_a_form_is_asked_again_in_its_conversation(server: FakeServer, tmp_path: Path) -> None:
    """All messages, then the answer and what is wrong with it; a wish for seeds or a form is sent as ever."""
    form = {"teacher": {**COLUMNS["teacher"], "answer": {"text": "string"}, "sampling": {"seed": 7}}}
    server.behaviour = lambda asked: (
        answer(asked, '{"text": "yes"}' if "This is wrong" in asked.prompt else "no")
        if asked.body["messages"][0]["role"] == "system"
        else said(asked)
    )
    report = run(server, tmp_path / "r", talk(form, attributes={"topic": ["sums"]}, repeats=2))
    assert ("done", 2, {"wrong_form": 6}) == (report.state, report.done, report.errors)
    last = [asked.body for asked in server.asked if len(asked.body["messages"]) == 8]
    roles = ["system", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
    assert [roles] * 2 == [[each["role"] for each in body["messages"]] for body in last]
    assert ["q3 sums", "no"] == [each["content"] for each in last[0]["messages"][5:7]]
    assert {7, 8} == {body["seed"] for body in last}
    assert all("response_format" in body for body in last)


def test_a_text_endpoint_has_the_transcript_in_both_prompts(server: FakeServer, tmp_path: Path) -> None:
    """Continued texts have no messages."""
    columns = {"student": COLUMNS["student"], "teacher": {"prompt": "{conversation}\n\nAssistant:"}}
    server.behaviour = lambda asked: answer(asked, f"<{len(asked.prompt)}>")
    spec = Spec(
        **{**talk().as_dict(), "endpoint": "completions", "columns": columns, "attributes": {"topic": ["sums"]}}
    )
    report = run(server, tmp_path / "r", spec)
    assert ("done", 1) == (report.state, report.done)
    prompts = [line["prompt"] for line in lines_of(tmp_path / "r")]
    assert {asked.body["prompt"] for asked in server.asked} == set(prompts)
    assert "learn sums []" == prompts[0]
    assert f"User: <{len(prompts[0])}>\n\nAssistant:" == prompts[1]


def test_settings_of_a_side_are_those_of_all_its_turns(server: FakeServer, tmp_path: Path) -> None:
    """By its name in the spec, which has no turns."""
    report = run(server, tmp_path / "r", price={"teacher": "1,1"}, rpm={"student": 60_000})
    assert "done" == report.state
    costs = {name: column["cost"] for name, column in report.as_dict()["columns"].items()}
    assert {"student.1", "teacher.3"} <= costs.keys()
    assert None not in costs.values()


def test_tables_have_a_column_a_turn(server: FakeServer, tmp_path: Path) -> None:
    """In the order in which they were said."""
    run(server, tmp_path / "r")
    frame = herogen_async.rows(tmp_path / "r").to_pandas()
    turns = [f"{side}.{turn}" for turn in (1, 2, 3) for side in ("student", "teacher")]
    assert ["topic", "sub_prompt", *turns] == list(frame.columns)[:8]
    assert ["a3 sums", "a3 sets"] == list(frame["teacher.3"])


@pytest.mark.parametrize("times", [1, 3])
def test_an_empty_turn_is_asked_again_and_never_sent_on(server: FakeServer, tmp_path: Path, times: int) -> None:
    """Servers refuse messages without a text; after three empty ones the row fails, and a retry can mend it."""
    empty = 0

    def behaviour(asked: Asked) -> Reply:
        nonlocal empty
        assert all(str(each["content"]).strip() for each in asked.body["messages"])
        if "a1 sums" in messages_of(asked) and asked.body["messages"][0]["role"] == "system" and empty < times:
            empty += 1
            return answer(asked, " \n")
        return said(asked)

    server.behaviour = behaviour
    report = run(server, tmp_path / "r", talk(attributes={"topic": ["sums"]}), concurrency=1)
    assert {"wrong_form": times} == report.errors
    if times == 3:
        assert ("failed_rows", 1) == (report.state, report.failed)
        report = herogen_async.resume(tmp_path / "r", retry_failed=True)
    assert ("done", 1) == (report.state, report.done)
    row = next(iter(herogen_async.rows(tmp_path / "r")))
    assert all(each["response_txt"].strip() for each in row["columns"].values())
