"""`train`: a row as the conversation that the spec says, held against the answers that a server gave."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import herogen_async
from herogen_async.core.errors import InputError, SpecError
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.written import yaml_lines
from herogen_async.tune.finetune.rows.row_checks import checked_rows
from herogen_async.tune.query import question_from, question_of_row
from support.fake_server import Asked, FakeServer, Reply, answer

COLUMNS: dict[str, dict[str, Any]] = {
    "question": {"prompt": "ask {level}"},
    "solution": {"prompt": "solve {question}", "samples": 2},
    "rewrite": {"prompt": "mend {solution}", "when": "level == 'hard'"},
    "doubt": {"prompt": "doubt {solution}"},
}
TURNS = [
    {"system": "You teach {level} sums."},
    {"user": "{question}"},
    {"assistant": "{solution}"},
    {"user": "Really? {doubt}"},
    {"assistant": "Yes: {rewrite|solution}"},
]


def spec(train: object = None, **changes: Any) -> Spec:
    told = {} if train is None else {"train": train}
    return Spec(**{"name": "sums", "attributes": {"level": ["easy", "hard"]}, "columns": COLUMNS, **told, **changes})


def said(asked: Asked) -> Reply:
    """Which request it answers, behind some thoughts."""
    reason = "length" if asked.prompt.startswith("doubt") and "hard" in asked.prompt else "stop"
    return answer(asked, f"<think>hm</think>[{asked.prompt.replace('<think>hm</think>', '')}]", finish_reason=reason)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def made(server: FakeServer, folder: Path, of: Spec, **options: Any) -> Path:
    report = herogen_async.run(of, run=folder, base_url=server.url, model="m", **options)
    assert "done" == report.state
    return folder


def lines_of(assembled: Assembled) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]


def test_a_conversation_has_the_answers_of_its_row_sample_by_sample(server: FakeServer, tmp_path: Path) -> None:
    """Each sample with those made from it, the alternative where a column was skipped, and no thoughts in a text."""
    assembled = assemble(made(server, tmp_path / "r", spec(TURNS)), format="messages")
    rows = [[(each["role"], each["content"]) for each in row["messages"]] for row in lines_of(assembled)]
    easy, hard = "[solve [ask easy]]", "[solve [ask hard]]"
    assert (
        [
            ("system", "You teach easy sums."),
            ("user", "[ask easy]"),
            ("assistant", easy),
            ("user", f"Really? [doubt {easy}]"),
            ("assistant", f"Yes: {easy}"),
        ]
        == rows[0]
        == rows[1]
    )
    assert ("assistant", f"Yes: [mend {hard}]") == rows[2][-1] == rows[3][-1]
    assert 4 == len(rows)
    assert 4 == checked_rows(assembled.data, assembled.how, fewest=1).rows
    told = "\n".join(assembled.lines())
    assert (
        "Each example: system, user, assistant, user, assistant, as the spec's `train` says (each of 2 samples)."
        in told
    )
    assert "assistant: Yes: {rewrite|solution}" in assembled.card.read_text()


def test_sharegpt_has_the_same_turns(server: FakeServer, tmp_path: Path) -> None:
    """In its own words for the roles."""
    assembled = assemble(made(server, tmp_path / "r", spec(TURNS)), format="sharegpt")
    assert ["system", "human", "gpt", "human", "gpt"] == [
        each["from"] for each in lines_of(assembled)[0]["conversations"]
    ]


def test_one_answer_keeps_its_thoughts_and_its_end_and_a_text_around_answers_has_none(
    server: FakeServer, tmp_path: Path
) -> None:
    """What was cut off is left out, whichever of the answers it was."""
    whole = {"user": "{question}", "assistant": " {doubt} "}
    run = made(server, tmp_path / "r", spec(whole))
    assembled = assemble(run, format="messages", reasoning="think")
    assert 2 == len(lines_of(assembled))
    assert {"length": 2} == assembled.count.cut_off
    assert lines_of(assembled)[0]["messages"][1]["content"].startswith("<think>\nhm\n</think>\n\n[doubt")
    around = {"user": "{question}", "assistant": "{solution} But: {doubt}"}
    made(server, run, spec(around))
    assembled = assemble(run, format="messages", reasoning="think")
    assert 2 == len(lines_of(assembled))
    assert "[solve [ask easy]] But: [doubt [solve [ask easy]]]" == lines_of(assembled)[0]["messages"][1]["content"]


def test_a_changed_train_asks_nothing_and_needs_no_consent(server: FakeServer, tmp_path: Path) -> None:
    """It is no part of any question; the run takes it up, and keeps its fingerprints."""
    run = made(server, tmp_path / "r", spec())
    asked = len(server.asked)
    made(server, run, spec({"user": "{level}", "assistant": "{solution}"}))
    assert asked == len(server.asked)
    assembled = assemble(run)
    assert {"prompt": "easy ->", "completion": " [solve [ask easy]] END"} == lines_of(assembled)[0]
    assert question_from({"level": "odd"}, assembled.how) == "odd"
    assert "odd" == question_of_row({"sub_prompt": "no", "level": "odd"}, assembled.how)


def test_a_spec_of_one_prompt_has_its_answer_and_its_attributes(server: FakeServer, tmp_path: Path) -> None:
    """Without `train` its keys and files are what they were."""
    plain = {"name": "s", "attributes": {"level": ["easy", "hard"]}, "prompt": "ask {level}"}
    bare, taught = Spec(**plain), Spec(**plain, train={"user": "Level: {level}", "assistant": "{response_txt}!"})
    assert "train" not in bare.as_dict()
    assert bare.generation_fingerprint("chat", "m") == taught.generation_fingerprint("chat", "m")
    assembled = assemble(made(server, tmp_path / "r", taught), format="alpaca")
    assert {"instruction": "Level: easy", "input": "", "output": "[ask easy]!"} == lines_of(assembled)[0]


def test_a_spec_is_written_and_read_back_the_same() -> None:
    """As plain data, as YAML, and in either form."""
    one = spec(TURNS)
    assert one == Spec(**one.as_dict()) == Spec.parse("\n".join(yaml_lines(one.as_dict())))
    mapped = spec({"assistant": "{solution}", "user": "{question}\nThink."})
    assert (("user", "{question}\nThink."), ("assistant", "{solution}")) == mapped.train
    assert mapped == Spec.parse("\n".join(yaml_lines(mapped.as_dict())))


@pytest.mark.parametrize(
    ("train", "message", "fix"),
    [
        ({"user": "{question}"}, "user is not a conversation", "an assistant at the end"),
        ([{"user": "a"}, {"assistant": "{solution}"}, {"user": "b"}], "user, assistant, user is not a", "in turn"),
        ({"user": "{question}", "asistant": "{solution}"}, "unknown role 'asistant'", "did you mean 'assistant'?"),
        ({"user": "{qestion}", "assistant": "{solution}"}, "unknown placeholder '{qestion}'", "'question'"),
        ({"user": "{question}", "assistant": "{level}"}, "names no column", "{question}"),
        ({"user": "{question", "assistant": "{solution}"}, "a lone '{' at character 1", "write '{{'"),
        ({"user": " ", "assistant": "{solution}"}, "the text of user is ' '", "write a text"),
        ([{"user": "a", "assistant": "{solution}"}], "each turn is one role and its text", "- user"),
        ("all of it", "neither a mapping of roles to texts nor a list of turns", "train: {user:"),
        ([], "neither a mapping", "train: {user:"),
        ({"user": "{question}", "assistant": "{level.all}"}, "'level' is an attribute, without samples", "{level}"),
        ({"user": "{{question}}", "assistant": "{solution}"}, "teaches the word '{question}'", "single braces"),
        ({"user": "{level|question}", "assistant": "{solution}"}, "'level' is never missing", "write level last"),
        ({"user": "{question}\0", "assistant": "{solution}"}, "control character", "remove it"),
        ([["user", "a"], ["assistant", "{solution}"]], "each turn is one role and its text", "- user"),
        ([{"user": "a"}, {"assistant": "{solution}"}] * 40, "80 turns; the limit is 64", "shorten"),
    ],
)
def test_a_wrong_train_is_explained(train: object, message: str, fix: str) -> None:
    """Each mistake in a sentence, with the fix."""
    with pytest.raises(SpecError) as raised:
        spec(train)
    assert message in raised.value.message
    assert fix in str(raised.value.fix)


def test_columns_with_different_numbers_of_samples_do_not_make_one_example() -> None:
    """Joined samples do."""
    three = {**COLUMNS, "title": {"prompt": "title {question}", "samples": 3}}
    with pytest.raises(SpecError, match=r"different numbers of samples: title \(3\) and solution \(2\)"):
        spec({"user": "{title}", "assistant": "{solution}"}, columns=three)
    assert spec({"user": "{title.all}", "assistant": "{solution}"}, columns=three).train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "format prompt-completion takes one question and its answer; `train` has 2 questions"),
        ({"format": "messages", "ask": "prompt"}, "and so does --ask"),
        ({"format": "messages", "system": "keep"}, "and so does --system"),
        ({"format": "messages", "column": "solution"}, "and so does --column"),
    ],
)
def test_what_train_does_not_go_with_is_explained(
    server: FakeServer, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    """Nothing is written."""
    run = made(server, tmp_path / "r", spec(TURNS))
    with pytest.raises(InputError, match=message):
        assemble(run, **options)  # type: ignore[arg-type]
    assert not list(run.glob("dataset/*"))
    single = made(server, tmp_path / "s", spec(TURNS[:3]))
    with pytest.raises(InputError, match="no place for the system text of `train`"):
        assemble(single, format="alpaca")


def test_an_exported_row_is_no_question_where_questions_hold_answers(server: FakeServer, tmp_path: Path) -> None:
    """Its prompt was never taught."""
    run = made(server, tmp_path / "r", spec({"user": "{question}", "assistant": "{solution}"}))
    with pytest.raises(InputError, match="does not hold what this model was taught"):
        question_of_row({"sub_prompt": "easy", "prompt": "ask easy", "level": "easy"}, assemble(run).how)


def test_a_mistake_in_a_column_is_told_alone() -> None:
    """Not with others that it seems to make in `train`."""
    with pytest.raises(SpecError) as raised:
        spec({"user": "{question}", "assistant": "{solution}"}, columns={**COLUMNS, "solution": {"prompt": 3}})
    assert "train" not in raised.value.message


REPAIRED = {
    "solution": {"prompt": "solve {level}"},
    "rewrite": {"prompt": "mend {solution}", "when": "level == 'hard'"},
}


def ending(reasons: dict[str, str], texts: dict[str, str] | None = None) -> Any:
    """A server whose answers to prompts that begin so end so, or are that."""

    def said(asked: Asked) -> Reply:
        word = asked.prompt.split()[0]
        text = (texts or {}).get(word, f"<think>hm</think>[{word}]")
        return answer(asked, text, finish_reason=reasons.get(word, "stop"))

    return said


def test_of_alternatives_only_the_one_that_is_taken_counts(tmp_path: Path) -> None:
    """Its end, its thoughts, its tokens: whatever became of the other one. Blanks in a placeholder change nothing."""
    with FakeServer(ending({"solve": "length"})) as server:
        train = {"user": "{ level }", "assistant": "{ rewrite | solution }"}
        run = made(server, tmp_path / "r", spec(train, columns=REPAIRED))
        assembled = assemble(run, format="messages", reasoning="think")
        (row,) = lines_of(assembled)
        assert "<think>\nhm\n</think>\n\n[mend]" == row["messages"][-1]["content"]
        assert {"length": 1} == assembled.count.cut_off
        assert "odd" == question_from({"level": "odd"}, assembled.how)


def test_an_attribute_in_place_of_an_answer_teaches_nothing(server: FakeServer, tmp_path: Path) -> None:
    """A row without the answer gives no example."""
    run = made(server, tmp_path / "r", spec({"user": "{level}", "assistant": "{rewrite|level}"}, columns=REPAIRED))
    assembled = assemble(run, format="messages")
    assert ["hard"] == [row["messages"][0]["content"] for row in lines_of(assembled)]
    assert 1 == assembled.count.skipped


@pytest.mark.parametrize(
    "train",
    [
        {"user": "Ask: {question}", "assistant": "{solution}"},
        [{"user": "a"}, {"assistant": "{question}"}, {"user": "b"}, {"assistant": "{solution}"}],
    ],
)
def test_an_answer_that_was_cut_off_or_is_empty_anywhere_leaves_its_row_out(tmp_path: Path, train: Any) -> None:
    """In an earlier turn of the assistant, and as an empty turn of whoever asks."""
    with FakeServer(ending({"ask": "length"}, {"ask": ""} if isinstance(train, dict) else {})) as server:
        columns = {name: COLUMNS[name] for name in ("question", "solution")}
        told = {**train, "user": "{question}"} if isinstance(train, dict) else train
        run = made(server, tmp_path / "r", spec(told, columns=columns))
        assembled = assemble(run, format="messages")
        assert [] == lines_of(assembled)
        assert 4 == assembled.count.empty + assembled.count.cut_off["length"]


def test_a_table_and_a_report_are_made_of_examples_that_are_no_columns(server: FakeServer, tmp_path: Path) -> None:
    """Parquet where a question holds answers; a report whose findings are those of the examples."""
    pytest.importorskip("pyarrow")
    run = made(server, tmp_path / "r", spec({"user": "{question}", "assistant": "{solution}!"}))
    assert 4 == assemble(run, format="parquet").written
    refusing = ending({}, {"title": "I'm sorry, but I can't help with that."})
    with FakeServer(refusing) as other:
        columns = {
            "solution": COLUMNS["solution"] | {"prompt": "solve {level}"},
            "title": {"prompt": "title {solution.all}"},
        }
        run = made(other, tmp_path / "s", spec({"user": "{solution}", "assistant": "{title}"}, columns=columns))
        assembled = assemble(run, format="messages")
        assert 4 == assembled.written
        assert "help with that" in assembled.report.read_text()


def test_only_answers_to_one_question_are_compared(server: FakeServer, tmp_path: Path) -> None:
    """Repeats of a cell whose questions are answers themselves are no better or worse than each other."""
    columns = {"question": {"prompt": "ask {level}"}, "solution": {"prompt": "solve {question}"}}
    with FakeServer(lambda asked: answer(asked, f"[{asked.number}]")) as counting:
        run = made(counting, tmp_path / "r", spec(columns=columns, repeats=2))
        ranking = tmp_path / "scores.csv"
        ranking.write_text("index,score\n0,1\n1,2\n2,3\n3,4\n")
        assembled = assemble(run, format="dpo", ranking=ranking)
        assert 2 == assembled.written
        asked = assemble(run, format="dpo", ranking=ranking, ask="prompt")
        assert (0, 4) == (asked.written, asked.compared.single if asked.compared else None)
