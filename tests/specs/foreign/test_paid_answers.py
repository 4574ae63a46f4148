"""Questions and answers of other programs: which fields are read, and what no row can be made of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.specs.foreign import (
    FieldNames,
    PaidAnswer,
    answers_spec,
    read_answers,
    spec_of_answers,
    with_repeats,
)

USER = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "a"}


def written(folder: Path, *records: Any, name: str = "r.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(codec.dumps(each) + b"\n" for each in records))
    return path


def read(folder: Path, *records: Any, names: FieldNames | None = None) -> list[PaidAnswer]:
    return read_answers([written(folder, *records)], names or FieldNames()).answers


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "completion": "a"},
        {"instruction": "q", "output": "a"},
        {"question": "q", "answer": "a"},
        {"instruction": "q", "generation": "a", "distilabel_metadata": {"x": 1}},
        {"messages": [USER, SAID]},
        {"prompt": [USER], "completion": [SAID]},
        {"prompt": "q", "response": SAID},
        {"query": [{"role": "user", "content": [{"type": "text", "text": "q"}]}], "response_txt": "a"},
    ],
)
def test_prompt_and_answer_are_found_by_their_names(record: dict[str, Any], tmp_path: Path) -> None:
    """Under the names that other programs use, as texts and as messages."""
    assert [PaidAnswer("q", text="a")] == read(tmp_path, record)


def test_other_names_are_told_by_options(tmp_path: Path) -> None:
    """Each by itself."""
    record = {"ask": "q", "said": {"x": 1}, "prompt": "no"}
    assert [PaidAnswer("q", text='{"x":1}')] == read(tmp_path, record, names=FieldNames("ask", "said"))


def test_what_is_known_of_an_answer_is_kept(tmp_path: Path) -> None:
    """Model, tokens, thoughts, how it ended and when; in UTC."""
    record = {
        **{"prompt": "q", "completion": "a", "system": "s", "model_name": "m", "reasoning_content": "t"},
        **{"finish_reason": "stop", "request_id": "r", "created_at": "2026-01-02T05:00:00+02:00"},
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cached": 3},
    }
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert [PaidAnswer("q", "s", "a", "m", "stop", usage, "t", "r", at)] == read(tmp_path, record)


def request(number: int, **more: Any) -> dict[str, Any]:
    return {
        **{"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": f"q{number}"}]},
        **{"original_row": {}, "original_row_idx": number, "generation_params": {"temperature": 0.5, "top_k": 3}},
        **more,
    }


def response(number: int, message: Any, **more: Any) -> dict[str, Any]:
    return {
        **{"response_message": message, "generic_request": request(number), "raw_response": {"id": f"r{number}"}},
        **{"created_at": "2026-01-01T00:00:00", "finished_at": "2026-01-01T00:00:01.5", "finish_reason": "stop"},
        **{"token_usage": {"input": 5, "output": 7, "total": 12}, **more},
    }


def test_the_responses_of_curator_are_read(tmp_path: Path) -> None:
    """The text, a parsed object, a whole completion; an error is a question without an answer."""
    whole = {"choices": [{"message": {**SAID, "reasoning_content": "t"}}]}
    found = read(tmp_path, response(0, "a"), response(1, {"x": 1}), response(2, whole), response(3, None))
    assert ["a", '{"x":1}', "a", None] == [each.text for each in found]
    assert [None, None, "t", None] == [each.reasoning for each in found]
    first = found[0]
    assert ("q0", "s", "m", "stop", "r0") == (
        *(first.prompt, first.system, first.model),
        *(first.finish_reason, first.request_id),
    )
    assert {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12} == first.usage
    assert (1500.0, datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)) == (first.latency_ms, first.at)
    assert {"temperature": 0.5, "top_k": 3} == first.sampling


def test_a_folder_of_curator_s_gives_each_request_once(tmp_path: Path) -> None:
    """Those that failed or were never answered are rows without an answer, also where both files have them."""
    written(tmp_path, *(request(number) for number in range(4)), name="requests_0.jsonl")
    written(tmp_path, response(0, "a"), response(1, None), name="responses_0.jsonl")
    made = spec_of_answers(read_answers([tmp_path], FieldNames()).answers, name="s", endpoint="chat", model=None)
    assert ("q0", "q1", "q2", "q3") == made.spec.attributes["question"]
    assert (1, "s", "m") == (made.spec.repeats, made.spec.system, made.spec.model)
    assert {"temperature": 0.5, "extra": {"top_k": 3}} == made.spec.sampling.as_dict()
    assert [("q0", 1)] == [(each.prompt, repeat) for each, repeat in with_repeats(made.answers)]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"messages": [USER, SAID, USER, SAID]}, "it has several turns, or its prompt is no text"),
        ({"messages": [USER]}, "its messages do not end with the assistant's"),
        ({"prompt": "q", "completion": {**SAID, "tool_calls": [1]}}, "it calls tools"),
        ({"prompt": None, "completion": "a"}, "it has no 'prompt'"),
        ({"prompt": " \n", "completion": "a"}, "its prompt is blank"),
        ({"prompt": "q\0", "completion": "a"}, "a spec can't hold its prompt: control character '\\x00'"),
        (["q", "a"], "it is no object"),
        (request(1, is_multimodal_prompt=True), "its prompt is not only text"),
    ],
)
def test_a_record_that_makes_no_row_is_counted_with_why(record: Any, why: str, tmp_path: Path) -> None:
    """The others are read."""
    path = written(tmp_path, {"prompt": "q", "completion": "a"}, record)
    found = read_answers([path], FieldNames())
    assert (1, {why: 1}) == (len(found.answers), dict(found.left_out))


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """Also under another path, and within a folder of curator's."""
    path = written(tmp_path, response(0, "a"), name="responses_0.jsonl")
    written(tmp_path, request(0), name="requests_0.jsonl")
    found = read_answers([path, tmp_path / "." / path.name, tmp_path, tmp_path], FieldNames())
    assert ["a", None] == [each.text for each in found.answers]


def test_more_prompts_than_a_spec_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about the files."""
    monkeypatch.setattr(answers_spec, "MAX_VALUES", 1)
    answers = [PaidAnswer("q", text="a"), PaidAnswer("p", text="a")]
    with pytest.raises(InputError, match="2 different prompts; a run of such answers has at most 1") as refused:
        spec_of_answers(answers, name="s", endpoint="chat", model="m")
    assert "split the files" in str(refused.value.fix)


def test_an_empty_text_without_an_end_is_no_answer(tmp_path: Path) -> None:
    """As an empty cell of a table; one with an end was paid for."""
    (tmp_path / "r.csv").write_text("prompt,completion,finish_reason\nq,,\np,,stop\n")
    found = read_answers([tmp_path / "r.csv"], FieldNames())
    assert [("q", None), ("p", "")] == [(each.prompt, each.text) for each in found.answers]


def test_one_record_without_a_field_does_not_refuse_the_others(tmp_path: Path) -> None:
    """Where they have it: without a prompt it is left out, without an answer it is a question to ask."""
    path = written(tmp_path, {"other": "x"}, {"prompt": "p"}, {"prompt": "q", "completion": "a"})
    found = read_answers([path], FieldNames())
    assert [("p", None), ("q", "a")] == [(each.prompt, each.text) for each in found.answers]
    assert {"it has no prompt": 1} == dict(found.left_out)


@pytest.mark.parametrize(
    ("record", "message", "fix"),
    [
        ({"instruction": "q", "input": "i", "output": "a"}, "'instruction' and 'input' may be meant", "--prompt"),
        ({"prompt": "q", "answer": "a", "solution": "b"}, "'answer' and 'solution' may be meant", "--answer"),
        ({"promt": "q", "answer": "a"}, "no field is called prompt, ", "did you mean 'promt'?"),
        ({"prompt": "q"}, "no field is called response_txt, ", "--answer FIELD"),
    ],
)
def test_fields_that_can_t_be_told_are_an_error(record: dict[str, Any], message: str, fix: str, tmp_path: Path) -> None:
    """With the file, the line and the option."""
    with pytest.raises(InputError) as refused:
        read(tmp_path, record)
    assert refused.value.message.startswith("r.jsonl, line 1: ")
    assert message in refused.value.message
    assert fix in str(refused.value.fix)


@pytest.mark.parametrize(
    ("answers", "model", "message"),
    [
        ([PaidAnswer("q", text="a")], None, "don't say which model answered"),
        ([PaidAnswer("q", text="a", model="x"), PaidAnswer("q", text="a", model="y")], None, "2 models have answered"),
        ([PaidAnswer("q", text="a", model="x")], "z", "no record has an answer of the model 'z'"),
        ([PaidAnswer("q", "s", "a"), PaidAnswer("p", None, "a")], "m", "have 2 system texts"),
        ([PaidAnswer("q", text="a"), PaidAnswer("p", text="a", sampling={"seed": 1})], "m", "2 sets of sampling"),
    ],
)
def test_what_no_spec_asks_is_an_error(answers: list[PaidAnswer], model: str | None, message: str) -> None:
    """A spec has one model, one system text, one set of sampling parameters."""
    with pytest.raises(InputError, match=message):
        spec_of_answers(answers, name="s", endpoint="chat", model=model)


def test_one_of_several_models_is_taken_with_what_names_none() -> None:
    """The others are counted."""
    answers = [PaidAnswer("q", text="a", model="x"), PaidAnswer("q", text="b", model="y"), PaidAnswer("q", text="c")]
    made = spec_of_answers(answers, name="s", endpoint="chat", model="y")
    assert ["b", "c"] == [each.text for each in made.answers]
    assert (1, 2) == (made.others, made.spec.repeats)
