"""Rows are checked before they are uploaded: what services refuse is refused here, by line; what they take is taken."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from test_finetune_wire import counts, quick, tune  # noqa: F401 - a fixture

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import assemble
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION, Recipe
from herogen_async.generation.endpoint.fine_tuning import as_uploaded, size_of
from herogen_async.tune.finetune import find_tuned
from herogen_async.tune.finetune.rows.row_checks import checked_rows, estimated_tokens, holds_pairs
from herogen_async.tune.options import DPO
from support.run_folders import WrittenRun
from support.simulated_service import simulated

TALK = Recipe(MESSAGES, "", "", "")
USER = {"role": "user", "content": "Weather in Rome?"}
SAID = {"role": "assistant", "content": "Sunny."}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLS = {"role": "assistant", "tool_calls": [CALL]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
RANKED = {"input": {"messages": [USER]}, "preferred_output": [SAID], "non_preferred_output": [SAID]}
BOM = b"\xef\xbb\xbf"


def talk(*messages: Any, **more: Any) -> bytes:
    """A row of these messages, as a line."""
    return json.dumps({"messages": list(messages), **more}).encode() + b"\n"


def write(folder: Path, *lines: bytes) -> Path:
    file = folder / "rows.jsonl"
    file.write_bytes(b"".join(lines))
    return file


@pytest.mark.parametrize(
    "line",
    [
        talk(USER, CALLS, tools=TOOLS),
        talk(
            USER, {**CALLS, "content": None}, {"role": "tool", "tool_call_id": "c", "content": "20"}, SAID, tools=TOOLS
        ),
        talk(USER, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}),
        talk({"role": "developer", "content": "Be brief."}, {**USER, "name": "ada"}, {**SAID, "weight": 0}, USER, SAID),
        talk({"role": "system", "content": ""}, USER, {**SAID, "weight": 1}, parallel_tool_calls=False),
        talk({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}, SAID),
        talk(USER, {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]}),
        talk(USER, SAID, note=12345678901234567890123),
        talk(USER, SAID).replace(b"\n", b"\r\n"),
    ],
)
def test_a_row_that_services_take_is_taken(tmp_path: Path, line: bytes) -> None:
    """Tool calls, parts, weights, names and the newer roles among them."""
    assert 1 == checked_rows(write(tmp_path, line), TALK, fewest=1).rows


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (talk(USER, SAID).replace(b"Rome", b"Rom\xe9"), "not UTF-8"),
        (BOM + talk(USER, SAID), "byte order mark inside"),
        (talk(USER, SAID, score=float("nan")), "NaN or Infinity"),
        (talk(USER, SAID, score=float("-inf")), "NaN or Infinity"),
        (talk(USER, SAID).decode().encode("utf-16"), "UTF-16"),
        (talk(USER, SAID).replace(b"Rome", b"\\ud83d"), "surrogate"),
        (b"{'messages': []}\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (talk({"role": "user", "content": None}, SAID), "a user message without text"),
        (talk({"role": "user"}, SAID), "a user message without text"),
        (talk({"role": "user", "content": ""}, SAID), "an empty user message"),
        (talk({"role": "user", "content": []}, SAID), "an empty user message"),
        (talk({"role": "system", "content": None}, USER, SAID), "a system message without text"),
        (talk(USER, {"role": "assistant", "content": None}, USER, SAID), "neither text nor tool calls"),
        (talk(USER, {"role": "assistant", "content": ""}), "do not end with assistant text or tool calls"),
        (talk(USER), "do not end with assistant text"),
        (talk(USER, {**SAID, "weight": 0.5}), "'weight' other than"),
        (talk(USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}), "without a function's name"),
        (talk(USER, {**CALLS, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}), "that are not text"),
        (talk(USER, CALLS, tools="weather"), "'tools' is not a list"),
        (talk({"role": "bot", "content": "x"}, SAID), "'role' is not one of"),
        (talk(USER, {"role": "assistant", "content": 7}), "neither text nor a list"),
        (json.dumps(RANKED).encode() + b"\n", "preferences between two answers"),
    ],
)
def test_a_row_that_services_refuse_is_refused_by_line(tmp_path: Path, line: bytes, says: str) -> None:
    """Before anything is sent."""
    file = write(tmp_path, talk(USER, SAID), line)
    with pytest.raises(InputError, match=says) as refused:
        checked_rows(file, TALK, fewest=1)
    assert "line 2)" in refused.value.message or "lines 2, 3)" in refused.value.message
    assert refused.value.fix


def test_a_fix_leads_where_rows_are_mended(tmp_path: Path) -> None:
    """`prepare` makes pairs uniform, and takes no messages."""
    for line, recipe, is_prepared in (
        (talk({"role": "user", "content": None}, SAID), TALK, False),
        (b"[1]\n", TALK, False),
        (b'{"prompt": 5, "completion": "b"}\n', Recipe(PROMPT_COMPLETION, "", "", ""), True),
    ):
        with pytest.raises(InputError) as refused:
            checked_rows(write(tmp_path, line), recipe, fewest=1)
        assert is_prepared == ("prepare" in (refused.value.fix or "")), line


def test_preferences_are_checked_as_talks_are(tmp_path: Path) -> None:
    """The question, and both answers."""
    whole = json.dumps(RANKED).encode() + b"\n"
    assert 1 == checked_rows(write(tmp_path, whole), TALK, method=DPO, fewest=1).rows
    empty: dict[str, Any] = {"role": "user", "content": None}
    for wrong, says in (
        ({"input": {"messages": [empty]}}, "a user message without text"),
        ({"input": "Weather?"}, "'input.messages' is missing"),
        ({"preferred_output": [USER]}, "'preferred_output' does not end with assistant text"),
        ({"non_preferred_output": "Rain."}, "'non_preferred_output' is missing, empty or not a list"),
    ):
        with pytest.raises(InputError, match=says):
            checked_rows(write(tmp_path, json.dumps({**RANKED, **wrong}).encode()), TALK, method=DPO, fewest=1)


def test_this_machine_learns_from_texts_alone(tmp_path: Path) -> None:
    """What a service takes, and the local trainer does not: also calls beside a text."""
    lines = [(talk(USER, {**CALLS, "content": content}, *after), "tool calls, which") for content, after in _CALLING]
    parts = {**USER, "content": [{"type": "text", "text": "hi"}]}
    for line, says in (*lines, (talk(parts, SAID), "messages that are no text, which")):
        with pytest.raises(InputError, match=f"{says} this machine can't train on"):
            checked_rows(write(tmp_path, line), TALK, fewest=1, is_hosted=False)


_CALLING: list[tuple[str | None, list[dict[str, Any]]]] = [(None, []), (None, [SAID]), ("Let me see.", []), ("", [])]


def test_a_mark_and_blank_lines_are_not_uploaded_and_told(tmp_path: Path) -> None:
    """The file stays as it is; a clean one is sent as it is."""
    line = talk(USER, SAID)
    file = write(tmp_path, BOM, b"\n", line, b" \r\n", line, b"\n")
    with as_uploaded(file) as content:
        assert line * 2 == content.read()
    assert len(line) * 2 == size_of(file)
    checked = checked_rows(file, TALK, fewest=1)
    assert (2, ("its byte order mark", "3 blank lines")) == (checked.rows, checked.left_out)
    assert not holds_pairs(file)
    clean = write(tmp_path, line)
    with as_uploaded(clean) as content:
        assert isinstance(content, io.BufferedReader)
    assert (len(line), ()) == (size_of(clean), checked_rows(clean, TALK, fewest=1).left_out)


def test_a_file_with_a_mark_becomes_a_model(tmp_path: Path) -> None:
    """The service, which refuses such a file, gets it without; a second time nothing is uploaded."""
    file = write(tmp_path, BOM, *[talk({**USER, "content": f"Weather in town {n}?"}, SAID) for n in range(12)])
    with simulated() as server:
        for _ in range(2):
            ended = tune(server, file, cwd=tmp_path)
            assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr
        stored = server._tuning.service.files.listed("fine-tune")[0].content
    assert stored == file.read_bytes().removeprefix(BOM)


def test_tokens_are_estimated_by_all_texts_of_a_row() -> None:
    """Four bytes of English, or one character of another script, are about one."""
    english = estimated_tokens({"messages": [{"role": "user", "content": "a" * 4000}]})
    chinese = estimated_tokens({"messages": [{"role": "user", "content": "字" * 4000}]})
    assert 1000 < english < 1050
    assert 4000 < chinese < 4050
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert 0 < estimated_tokens({"messages": deep}) < 100


def test_what_is_missing_is_told_with_the_runs_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands can be copied: too few rows, and no model yet. A file of one's own belongs to no run."""
    monkeypatch.chdir(tmp_path)
    run = WrittenRun(Path("runs/heroes"))
    run.write(run.answer(index, "Hero.") for index in range(3))
    with pytest.raises(InputError, match="has 3 rows") as few:
        checked_rows(assemble("heroes").data, Recipe(PROMPT_COMPLETION, " ->", " ", " END"))
    assert few.value.fix is not None
    assert "herogen-async resume heroes --limit N" in few.value.fix
    assert few.value.fix.endswith("herogen-async assemble heroes --truncated trim")
    with pytest.raises(InputError, match="no tuned model") as untuned:
        find_tuned("heroes")
    assert "make one with: herogen-async finetune heroes" == untuned.value.fix
    with pytest.raises(InputError, match="has 1 row; ") as own:
        checked_rows(write(tmp_path, talk(USER, SAID)), TALK)
    assert "give a file with more rows" == own.value.fix
