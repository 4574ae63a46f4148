"""`conversation`: two columns in alternation stand for columns of their own, turn by turn."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.plan import Plan, own_judges
from herogen_async.specs.plan.training import train_of
from herogen_async.specs.spec import Spec

TALK: dict[str, Any] = {"user": "student", "assistant": "teacher", "turns": 2}
COLUMNS: dict[str, Any] = {
    "student": {"prompt": "Learn {topic}. [{conversation}]"},
    "teacher": {"prompt": "{conversation}", "system": "Teach {topic}."},
}


def talk(columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    data = {"name": "s", "attributes": {"topic": ["sums"]}, "endpoint": "chat", "conversation": TALK}
    return Spec(**{**data, "columns": {**COLUMNS, **(columns or {})}, **changes})


def of(columns: dict[str, Any], **changes: Any) -> Spec:
    return Spec(**{**talk().as_dict(), "columns": columns, **changes})


def plan_of(spec: Spec, endpoint: str = "chat") -> Plan:
    return Plan(spec, endpoint=endpoint, model="m")


def test_a_conversation_stands_for_a_column_a_turn() -> None:
    """In alternation; the transcript of all before stands in each prompt, nothing in the first."""
    columns = {each.name: each.prompt.text for each in plan_of(talk()).columns}
    assert {
        "student.1": "Learn {topic}. []",
        "teacher.1": "User: {student.1}",
        "student.2": "Learn {topic}. [User: {student.1}\n\nAssistant: {teacher.1}]",
        "teacher.2": "User: {student.1}\n\nAssistant: {teacher.1}\n\nUser: {student.2}",
    } == columns


def test_other_columns_name_the_conversation_and_its_turns() -> None:
    """A judge of the whole, and a column of some turns, in whichever order they stand in the file."""
    more = {
        "verdict": {"judge": {"of": "conversation", "scale": {5: "good", 1: "bad"}}},
        "note": {"prompt": "{ teacher.1 } {student.2|teacher.2}"},
        **COLUMNS,
    }
    spec = of(more)
    columns = {each.name: each for each in plan_of(spec).columns}
    assert "User: {student.1}\n\nAssistant: {teacher.1}\n\nUser: {student.2}\n\nAssistant: {teacher.2}\n" in (
        columns["verdict"].prompt.text
    )
    assert ("student.1", "teacher.1", "student.2", "teacher.2") == columns["verdict"].sent
    assert ("teacher.1", "student.2", "teacher.2") == columns["note"].sent
    assert [("verdict", "teacher.2")] == list(own_judges(plan_of(spec.replace(keep="verdict.score > 3"))))


def test_a_further_turn_leaves_the_fingerprints_of_all_before() -> None:
    """And renamed sides have the same ones."""
    before = {each.name: each.fingerprint for each in plan_of(talk()).columns}
    after = {each.name: each.fingerprint for each in plan_of(talk(conversation={**TALK, "turns": 3})).columns}
    assert before.items() < after.items()
    renamed = {"pupil": COLUMNS["student"], "guide": COLUMNS["teacher"]}
    other = of(renamed, conversation={**TALK, "user": "pupil", "assistant": "guide"})
    assert list(before.values()) == [each.fingerprint for each in plan_of(other).columns]


def test_a_conversation_sent_as_messages_is_another_question_than_as_a_text() -> None:
    """Only of the assistant's side, in a chat, where the prompt is the conversation and nothing else."""
    as_messages = plan_of(talk()).columns
    as_text = plan_of(talk({"teacher": {"prompt": "{conversation}"}}, endpoint="completions"), "completions").columns
    wrapped = plan_of(talk({"teacher": {"prompt": "{conversation}."}})).columns
    assert [(), (("user", "student.1"),), ()] == [each.turns for each in as_messages[:3]]
    assert [()] * 8 == [each.turns for each in (*as_text, *wrapped)]
    call = plan_of(talk()).call(3)
    assert (("user", "{student.1}"), ("assistant", "{teacher.1}"), ("user", "{student.2}")) == call.turns
    assert "User: {student.1}\n\nAssistant: {teacher.1}\n\nUser: {student.2}" == call.prompt
    plain = {**COLUMNS["teacher"], "prompt": "User: {student.1}"}
    same = talk({"extra_one": plain})
    prompts = {each.name: (each.prompt.text, each.fingerprint) for each in plan_of(same).columns}
    assert prompts["teacher.1"][0] == prompts["extra_one"][0]
    assert prompts["teacher.1"][1] != prompts["extra_one"][1]


def test_a_conversation_reads_back_as_it_is() -> None:
    """The spec that a run keeps is the one that was written."""
    spec = talk()
    assert spec == Spec(**spec.as_dict())
    assert TALK == spec.as_dict()["conversation"]
    assert "conversation" not in Spec(name="s", attributes={"a": ["1"]}, prompt="{a}").as_dict()


def test_a_word_that_is_reserved_for_a_conversation_is_free_without_one() -> None:
    """Specs that have a column or an attribute of that name stay as they are."""
    columns = {"conversation": {"prompt": "talk of {topic}"}, "title": {"prompt": "{conversation}"}}
    spec = Spec(name="s", attributes={"topic": ["a"]}, columns=columns)
    assert ["conversation", "title"] == [each.name for each in plan_of(spec).columns]


def test_an_example_is_the_conversation_unless_train_says_otherwise() -> None:
    """With the system text of the assistant's side; `train` may name it, too."""
    assert [
        ("system", "Teach {topic}."),
        ("user", "{student.1}"),
        ("assistant", "{teacher.1}"),
        ("user", "{student.2}"),
        ("assistant", "{teacher.2}"),
    ] == list(train_of(plan_of(talk())))
    spec = talk(
        {"verdict": {"prompt": "{conversation}"}}, train={"user": "Rate: {conversation}", "assistant": "{verdict}"}
    )
    assert [
        ("user", "Rate: User: {student.1}\n\nAssistant: {teacher.1}\n\nUser: {student.2}\n\nAssistant: {teacher.2}"),
        ("assistant", "{verdict}"),
    ] == list(train_of(plan_of(spec)))


@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        ({"conversation": "student"}, "conversation: 'student' is not a mapping", "for example"),
        ({"conversation": {**TALK, "turn": 3}}, "unknown key 'turn'", "'turns'"),
        ({"conversation": {"user": "student", "assistant": "teacher"}}, "missing key 'turns'", "for example"),
        ({"conversation": {**TALK, "turns": 0}}, "0 is not a whole number from 1 to 32", "for example"),
        ({"conversation": {**TALK, "turns": "3"}}, "'3' is not a whole number from 1 to 32", "for example"),
        ({"conversation": {**TALK, "user": "studen"}}, "user: unknown column 'studen'", "'student'"),
        ({"conversation": {**TALK, "user": "teacher"}}, "'teacher' can't talk to itself", "name two columns"),
        ({"columns": {}, "prompt": "{topic}"}, "`conversation` needs columns", "under `columns`"),
        ({"attributes": {"topic": ["a"], "conversation": ["b"]}}, "stands for what was said", "rename it"),
    ],
)
def test_a_mistake_of_a_conversation_is_told_with_its_fix(changes: dict[str, Any], message: str, fix: str) -> None:
    """Each in its place."""
    data = {
        "name": "s",
        "attributes": {"topic": ["sums"]},
        "columns": COLUMNS,
        "endpoint": "chat",
        "conversation": TALK,
    }
    given = {**data, **changes}
    if not given["columns"]:
        del given["columns"]
    with pytest.raises(SpecError) as told:
        Spec(**given)
    assert message in str(told.value)
    assert fix in f"{told.value} {told.value.fix}"


@pytest.mark.parametrize(
    ("columns", "message", "fix"),
    [
        ({"teacher": {"prompt": "teach {topic}"}}, "does not hold {conversation}", "add it"),
        ({"student": {"prompt": "{conversation}"}}, "the prompt is empty in the first turn", "say what"),
        ({"student": {"prompt": "{topic} {conversation}", "samples": 2}}, "has no samples", "`repeats`"),
        (
            {"teacher": {"prompt": "{conversation}", "system": "{conversation}"}},
            "the same in each turn",
            "in the prompt",
        ),
        ({"teacher": {"prompt": "{conversation} {student.1}"}}, "can't name single turns", "write {conversation}"),
        ({"teacher": {"prompt": "{conversation} {student}"}}, "can't name single turns", "write {conversation}"),
        ({"note": {"prompt": "{teacher}"}}, "'teacher' has the turns 1 to 2", "{teacher.2}"),
        ({"note": {"prompt": "{teacher.3}"}}, "'teacher' has the turns 1 to 2", "{conversation}"),
        ({"note": {"prompt": "{conversation.all}"}}, "a conversation is one text", "write {conversation}"),
        ({"note": {"prompt": "{topic}"}, "more": {"prompt": "{note.2}"}}, "'note' has no turns", "{note.all}"),
        ({"note": {"prompt": "{conversatio}"}}, "unknown placeholder '{conversatio}'", ""),
        ({"note": {"prompt": "{topic}", "when": "teacher == 'x'"}}, "a condition can't read a conversation", "a form"),
        ({"note": {"prompt": "{topic}", "when": "len(conversation) > 3"}}, "can't read a conversation", "a form"),
        (
            {"hint": {"prompt": "{teacher.1}"}, "student": {"prompt": "{hint} {conversation}"}},
            "depend on each other",
            "",
        ),
        (
            {"hint": {"prompt": "{topic}", "samples": 2}, "student": {"prompt": "{hint} {conversation}"}},
            "'hint' has 2 samples, and a turn of a conversation has none",
            "{hint.all}",
        ),
        (
            {"teacher": {"judge": {"of": "conversation", "scale": {1: "bad", 2: "good"}}}},
            "teacher.judge: a side of a conversation is no judge",
            "another column",
        ),
        (
            {"note": {"judge": {"of": "teacher", "scale": {1: "bad", 2: "good"}}}},
            "note.judge.of: column 'teacher': 'teacher' has the turns 1 to 2",
            "`of: conversation`",
        ),
        (
            {"note": {"judge": {"pair": ["conversation", "hint"]}}, "hint": {"prompt": "{topic}"}},
            "'conversation' is a conversation, not a column",
            "name two columns",
        ),
    ],
)
def test_a_mistake_in_what_a_conversation_names_is_told(columns: dict[str, Any], message: str, fix: str) -> None:
    """Each in its place, with the fix."""
    with pytest.raises(SpecError) as told:
        talk(columns)
    assert message in str(told.value)
    assert fix in f"{told.value} {told.value.fix}"


def test_what_a_turn_is_told_may_be_made_of_earlier_turns() -> None:
    """A column between two turns; one of a later turn is a cycle."""
    columns = {"hint": {"prompt": "Hint for {student.1}"}, "teacher": {"prompt": "{hint} {conversation}"}}
    plan = plan_of(talk(columns))
    assert ["student.1", "hint", "teacher.1", "student.2", "teacher.2"] == [each.name for each in plan.columns]
    with pytest.raises(SpecError, match="these columns depend on each other: "):
        talk({**columns, "hint": {"prompt": "Hint for {student.2}"}})


def test_what_decides_about_rows_can_not_read_a_conversation() -> None:
    """`keep` and `best_of` name a field of what has read it."""
    with pytest.raises(SpecError, match="keep: name 'teacher': a condition can't read a conversation"):
        talk(keep="teacher == 'x'")
    with pytest.raises(SpecError, match="'student' has the turns 1 to 2"):
        talk(train={"user": "{student}", "assistant": "{teacher.2}"})
    with pytest.raises(SpecError, match="unknown placeholder"):
        talk(train={"user": "{studen.1}", "assistant": "{teacher.2}"})


def test_a_mistake_has_the_line_of_its_column() -> None:
    """As it stands in the file, and once, however many turns there are."""
    text = (
        "name: s\nattributes: {topic: [a]}\nendpoint: chat\n"
        "conversation: {user: student, assistant: teacher, turns: 9}\n"
        "columns:\n  student:\n    prompt: '{topik} {topic} {conversation}'\n  teacher: {prompt: '{conversation}'}\n"
    )
    with pytest.raises(SpecError) as told:
        Spec.parse(text, file="s.yaml")
    assert ("s.yaml", 7) == (told.value.file, told.value.line)
    assert 1 == str(told.value).count("topik")


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"turns": 33}, {"user": "studen"}, {"assistant": "student"}])
def test_what_is_wrong_of_a_conversation_is_told_alone(wrong: dict[str, Any]) -> None:
    """Its transcript and its turns are no further mistakes of each prompt that names them."""
    with pytest.raises(SpecError) as told:
        talk({"note": {"prompt": "{teacher.2} {conversation}"}}, conversation={**TALK, **wrong})
    assert 1 == len(str(told.value).splitlines())
    assert "conversation." in str(told.value)


def test_a_conversation_sent_as_messages_is_one_question_however_it_is_written() -> None:
    """Blanks and ends of lines around it are not sent; the fingerprint is the one that it always had."""
    before = {each.name: each.fingerprint for each in plan_of(talk()).columns}
    for prompt in ("{conversation}\n", "  {conversation}", "{ conversation }"):
        plan = plan_of(talk({"teacher": {**COLUMNS["teacher"], "prompt": prompt}}))
        assert before == {each.name: each.fingerprint for each in plan.columns}
    assert "c21504ae2232cd6ab7b7ccc2cdbb2e2d" == before["teacher.1"]


def test_a_row_of_many_turns_counts_its_requests() -> None:
    """As many as two for each turn, and the limit of requests a row holds."""
    assert 64 == len(plan_of(talk(conversation={**TALK, "turns": 32})).columns)


def test_editors_know_a_conversation() -> None:
    """The JSON Schema takes it, and no turns past the limit."""
    schema = Spec.json_schema()
    spec = {"name": "s", "attributes": {"topic": ["a"]}, "columns": COLUMNS, "conversation": TALK}
    jsonschema.validate(spec, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**spec, "conversation": {**TALK, "turns": 33}}, schema)
