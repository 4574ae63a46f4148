"""`query`: a tuned model is asked as it was taught, and what comes out is its completion and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import shlex
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer
from numpy import float32

from herogen_async import query as ask_in_python
from herogen_async.cli.query_command import query
from herogen_async.cli.shell import print_error
from herogen_async.cli.spinner import waiting
from herogen_async.core.errors import HerogenError, InputError
from herogen_async.data.dataset.recipe import MESSAGES, Recipe
from herogen_async.generation.endpoint.embedded import Weights, WeightsProgress
from herogen_async.tune.query import (
    Answer,
    ending_note,
    is_cut_off,
    question_from,
    question_of_line,
    question_of_row,
    split_flags,
)
from herogen_async.view.terminal.side_by_side import beside
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import NO_KEYS, command, environment, herogen, last_json
from support.tuned_models import HEROES, taught, tuned_model


def says(text: str, finish_reason: str = "stop") -> Any:
    return lambda asked: answer(asked, text, finish_reason=finish_reason)


def query_here(folder: Path, *words: str, **options: Any) -> CompletedProcess[str]:
    """The command's function alone: to read a command line takes typer a tenth of a second."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        for name in NO_KEYS:
            patch.delenv(name, raising=False)
        try:
            query(words[0], list(words[1:]), **options)
        except typer.Exit as ended:
            code = ended.exit_code
        except HerogenError as failed:
            print_error(failed)
            code = failed.exit_code
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def asked_with(server: FakeServer, name: str) -> list[Any]:
    return [asked.body.get(name) for asked in server.asked]


TEXTS = {
    " A hero.": "A hero.",
    "  A hero.": " A hero.",
    "A hero.": "A hero.",
    " A hero.\n": "A hero.\n",
    " A\n\nhero. END and more, as the stop was ignored": "A\n\nhero.",
    " A hero. ENDLESS": "A hero.",
    " END": "",
    "": "",
}


def test_standard_output_is_exactly_the_completion_and_a_newline(tmp_path: Path) -> None:
    """Stdout is the answer's exact text plus one newline, and the next step goes to stderr."""
    sent = list(TEXTS)
    with FakeServer(lambda asked: answer(asked, sent[int(asked.prompt[0])])) as server:
        tuned_model(tmp_path, server.url)
        for number, text in enumerate(TEXTS.values()):
            result = query_here(tmp_path, "heroes", str(number))
            assert (0, text + "\n") == (result.returncode, result.stdout), result.stderr
            assert "Next: herogen-async query heroes --chat" in result.stderr


class Terminal(io.StringIO):
    """A terminal that keeps what it is shown."""

    def isatty(self) -> bool:
        return True


def test_the_spinner_goes_on_when_the_weights_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a bar of their own meanwhile; then the model is loaded, which takes its time for a large one."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with waiting("asking own") as wait:
        wait.weights(WeightsProgress("verifying", 1, 2))
        before = terminal.getvalue()
        assert "Verifying" in before
        wait.weights(WeightsProgress("verifying", 2, 2))
    assert "asking own ..." in terminal.getvalue().removeprefix(before)


def test_a_models_name_is_not_markup_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets in a model's name are shown as text by the waiting display."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with waiting("asking ft:m:org::[red]1"):
        pass
    assert "asking ft:m:org::[red]1 ..." in terminal.getvalue()


def test_of_two_models_the_missing_one_is_named(tmp_path: Path) -> None:
    """When only the base model is gone, the error names the base model."""
    missing = error(404, "model_not_found", "no such model")
    with FakeServer(lambda _: missing, ("ft-hero",)) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "a", compare="base")
    assert 3 == result.returncode
    assert "the server no longer has 'base-1'" in result.stderr


def test_the_next_step_asks_the_same_model_at_the_same_server(tmp_path: Path) -> None:
    """The next command repeats model, server and endpoint of the query."""
    with FakeServer(says(" x")) as server:
        result = query_here(tmp_path, "some model", "hi", base_url=server.url, endpoint="chat")
    assert f"Next: herogen-async query 'some model' --base-url {server.url} --endpoint chat --chat\n" in result.stderr


def test_an_attribute_with_the_name_of_an_option_is_given_as_json(tmp_path: Path) -> None:
    """An attribute named like an option is refused as a flag, with JSON on standard input as the way."""
    recipe = Recipe(sub_prompt="{seed}, {model}", attributes={"seed": ("oak", "elm"), "model": ("a", "b")})
    with FakeServer(says(" x")) as server:
        tuned_model(tmp_path, server.url, recipe)
        result = query_here(tmp_path, "heroes", "--model", "a")
        assert 2 == result.returncode
        assert '--seed is an option of this command; give JSON on standard input: {"seed": ...}' in result.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO('{"seed": "oak", "model": "a"}\n'))
            assert 0 == query_here(tmp_path, "heroes").returncode
    assert {"oak, a ->": 1} == server.prompts()


def test_separator_and_stop_are_added_and_never_twice(tmp_path: Path) -> None:
    """Prompts with or without the separator are all sent with it exactly once, and with the recorded stop."""
    with FakeServer(says(" x")) as server:
        tuned_model(tmp_path, server.url)
        query_here(tmp_path, "heroes", *["40, woman, Healing", "40, woman, Healing ->", "40, woman, Healing -> "])
    assert {"/v1/completions"} == {asked.path for asked in server.asked}
    sent = {"model": "ft-hero", "stream": False, "temperature": 0.7, "max_tokens": 256, "stop": [" END"]}
    assert [{**sent, "prompt": "40, woman, Healing ->"}] * 3 == [asked.body for asked in server.asked]


def test_a_model_that_was_taught_messages_is_asked_in_chat(tmp_path: Path) -> None:
    """Nothing is added to the question."""
    recipe = Recipe(MESSAGES, separator="", lead="", ending="", sub_prompt="{age}", attributes={"age": ("18",)})
    with FakeServer(says(" A hero. END")) as server:
        tuned_model(tmp_path, server.url, recipe)
        result = query_here(tmp_path, "heroes", "--age", "40")
    assert " A hero. END\n" == result.stdout
    (asked,) = server.asked
    assert "/v1/chat/completions" == asked.path
    assert [{"role": "user", "content": "40"}] == asked.body["messages"]
    assert "stop" not in asked.body


def test_a_model_that_was_taught_a_system_text_is_asked_with_it(tmp_path: Path) -> None:
    """In chat, whatever is asked; messages of a person's own are sent as they stand."""
    recipe = Recipe(MESSAGES, separator="", lead="", ending="", system="Be brief.")
    with FakeServer(says(" x")) as server, pytest.MonkeyPatch.context() as patch:
        tuned_model(tmp_path, server.url, recipe)
        assert 0 == query_here(tmp_path, "heroes", "40, woman").returncode
        own = [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "Go."}]
        patch.setattr("sys.stdin", io.StringIO(json.dumps({"messages": own}) + "\n"))
        assert 0 == query_here(tmp_path, "heroes").returncode
    briefly = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "40, woman"}]
    assert [briefly, own] == [asked.body["messages"] for asked in server.asked]


def test_attributes_are_taken_as_flags(tmp_path: Path) -> None:
    """Also values that the grid never had."""
    with FakeServer(says(" x")) as server:
        tuned_model(tmp_path, server.url)
        words = ("--power", "seeing -5 degrees", "--age=101", "--samples", "1", "--gender", "robot")
        assert 0 == herogen("query", "heroes", *words, cwd=tmp_path).returncode
    assert {"101, robot, seeing -5 degrees ->": 1} == server.prompts()


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        ("--age 40 --gendre woman --power x", {}, ("'gendre'", "did you mean --gender?")),
        ("--age 40 --power x", {}, ("gender is missing", "--gender VALUE, e.g. man, woman")),
        ("--age 40", {}, ("gender and power are missing",)),
        ("--age 40 --age 50", {}, ("--age given twice",)),
        ("--age", {}, ("--age has no value",)),
        ("--temprature 0.3", {}, ("'temprature'", "did you mean --temperature?")),
        ("hi", {"samples": 0}, ("samples can't be 0", "give a whole number from 1 to 1,000")),
        ("hi", {"temperature": -1.0}, ("temperature can't be -1", "give a number from 0 to 100")),
        ("hi", {"compare": "tuned"}, ("'tuned'", "--compare base")),
        ("hi", {"endpoint": "telepathy"}, ("unknown endpoint 'telepathy'", "choose completions or chat")),
        ("hi", {"chat": True}, ("--chat takes its questions interactively",)),
    ],
)
def test_invalid_arguments_are_explained_in_a_sentence(
    tmp_path: Path, words: str, options: dict[str, Any], told: tuple[str, ...]
) -> None:
    """Each wrong flag or value exits 2 with nothing on stdout and the nearest or valid choice."""
    tuned_model(tmp_path, "http://127.0.0.1:9/v1")
    result = query_here(tmp_path, "heroes", *shlex.split(words), **options)
    assert (2, "") == (result.returncode, result.stdout)
    for each in told:
        assert each in result.stderr


def test_a_run_without_a_fine_tune_names_the_command(tmp_path: Path) -> None:
    """Querying a run that has no tuned model exits 2 and names `herogen-async finetune`."""
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    result = herogen("query", "empty", "hi", cwd=tmp_path, OPENAI_API_KEY="k")
    assert 2 == result.returncode
    assert "herogen-async finetune" in result.stderr


def test_a_missing_key_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    """A hosted server without a key exits 2 with a sentence that OPENAI_API_KEY is not set."""
    tuned_model(tmp_path, "https://models.example/v1")
    result = query_here(tmp_path, "heroes", "hi")
    assert 2 == result.returncode
    assert "OPENAI_API_KEY is not set" in result.stderr


def test_a_missing_model_is_named_with_those_that_are_served(tmp_path: Path) -> None:
    """A model the server no longer knows exits 3 after one request and lists the served ones."""
    gone = error(404, "model_not_found", "The model 'ft-hero' does not exist")
    with FakeServer(lambda _: gone, models=("ft-other", "base-1")) as server:
        tuned_model(tmp_path, server.url)
        result = herogen("query", "ft-hero", "hi", "--json", cwd=tmp_path)
    assert 3 == result.returncode
    assert 1 == len(server.asked)
    told = last_json(result.stdout)
    assert "no longer has 'ft-hero'" in told["error"]
    assert "available: 'ft-other', 'base-1'" == told["fix"]
    assert 'Next: herogen-async query ft-hero "..."\n' in result.stderr


def test_any_model_of_a_server_can_be_queried_by_name(tmp_path: Path) -> None:
    """A model without a recipe is asked by name, with the default separator only on completions."""
    with FakeServer(says(" x")) as server:
        assert 0 == query_here(tmp_path, "other", "hi", base_url=server.url).returncode
        chat = query_here(tmp_path, "other", "hi", base_url=server.url, endpoint="chat")
    assert " x\n" == chat.stdout
    assert ["other", "other"] == asked_with(server, "model")
    assert ["hi ->", "hi"] == [asked.prompt for asked in server.asked]


def test_samples_have_seeds_of_their_own_and_come_in_order(tmp_path: Path) -> None:
    """Samples take consecutive seeds from the one given, and answers come in question order with headers."""
    with FakeServer(lambda asked: answer(asked, f" seed {asked.body['seed']}")) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "a", "b", samples=2, seed=7)
    assert "seed 7\nseed 8\nseed 7\nseed 8\n" == result.stdout
    for header in ("— a  (1 of 2)", "— b  (2 of 2)"):
        assert header in result.stderr


def test_json_is_an_object_an_answer_and_says_whether_the_model_stopped(tmp_path: Path) -> None:
    """With `--json` each answer is one object, which counts as stopped by reason or by the ending in its text."""
    replies = [says(" one", "length"), says(" two END but the stop was ignored", "length"), says(" three")]
    with FakeServer(lambda asked: replies[int(asked.prompt[0])](asked)) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "0", "1", "2", json=True)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [("0", "one", False), ("1", "two", True), ("2", "three", True)] == [
        (each["prompt"], each["text"], each["stopped"]) for each in told
    ]
    assert ("length", "ft-hero", 1, 20) == (
        told[0]["finish_reason"],
        told[0]["model"],
        told[0]["sample"],
        told[0]["usage"]["completion_tokens"],
    )
    assert told[0]["latency_ms"] >= 0


def test_a_cut_off_answer_is_noted_on_stderr(tmp_path: Path) -> None:
    """A cut-off answer is printed as it is, and stderr gives its length and `--max-tokens`."""
    with FakeServer(says(" one", "length")) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "x")
    assert "one\n" == result.stdout
    assert "cut off after 20 tokens; raise --max-tokens" in result.stderr


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", None),
        ("length", "cut off after 20 tokens"),
        ("MAX_TOKENS", "cut off after 20 tokens"),
        ("content_filter", "ended by the server's content filter"),
        ("tool_calls", "ended with a tool call"),
        ("error", "ended by an error of the server"),
        ("SAFETY", "ended by the server's content filter"),
        ("insufficient_system_resource", "ended by an error of the server"),
        ("tool_use", "ended with a tool call"),
        ("pause_turn", "finish reason: pause_turn"),
        (None, "the server gave no finish reason"),
    ],
)
def test_why_an_answer_ended_is_said_in_the_servers_sense(reason: str | None, told: str | None) -> None:
    """Only an answer that reached its longest is called cut off."""
    ended = Answer("q", "text", reason, reason == "stop", "m", usage={"completion_tokens": 20})
    assert told == ending_note(ended)
    assert is_cut_off(ended) == bool(told and told.startswith("cut off"))


def test_more_tokens_are_advised_only_where_they_help(tmp_path: Path) -> None:
    """What a filter ended is printed, and --max-tokens is not named."""
    with FakeServer(says(" one", "content_filter")) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "x")
    assert "one\n" == result.stdout
    assert "(ended by the server's content filter)" in result.stderr
    assert "--max-tokens" not in result.stderr


TALK = [
    {"role": "system", "content": "Answer in French."},
    {"role": "user", "content": "My name is Ada.", "name": "ada"},
    {"role": "assistant", "content": "Bonjour Ada."},
    {"role": "user", "content": [{"type": "text", "text": "What is my name?", "weight": 0.5}]},
]


def test_a_conversation_is_sent_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message, with all its fields, from standard input and from Python; an answer at the end is left out."""
    line = json.dumps({"messages": [*TALK, {"role": "assistant", "content": "Ada."}]})
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    with FakeServer(says("Ada.")) as server:
        result = query_here(tmp_path, "m", base_url=server.url, endpoint="chat", json=True)
        from_python = ask_in_python("m", {"messages": TALK}, base_url=server.url, endpoint="chat", api_key="k")
    assert 0 == result.returncode, result.stderr
    assert [TALK, TALK] == asked_with(server, "messages")
    assert "What is my name?" in json.loads(result.stdout)["prompt"]
    assert "Ada." == from_python[0].answer.text if from_python[0].answer else False


def test_a_conversation_needs_a_chat_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a completions endpoint it is refused before anything is asked: none of it would be left out unsaid."""
    lines = ['{"prompt": "one"}', json.dumps({"messages": TALK})]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    with FakeServer(says(" x")) as server:
        result = query_here(tmp_path, "m", base_url=server.url)
    assert (2, []) == (result.returncode, server.asked)
    assert "line 2 of standard input: several messages" in result.stderr
    assert "--endpoint chat" in result.stderr


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("", "question 2: an empty question"),
        ("\u200b \u00a0", "question 2: an empty question"),
        ("half \ud83d", "question 2: .* no valid character"),
        ({"prompt": float("nan")}, "question 2: 'prompt' can't be nan"),
        ({"prompt": True}, "question 2: 'prompt' can't be True"),
        ({"prompt": 10**5000}, "question 2: 'prompt' can't be"),
        (7, "question 2: can't be 7"),
        (None, "question 2: can't be None"),
    ],
)
def test_python_checks_every_question_before_the_first(question: Any, told: str) -> None:
    """What asks nothing or is no text raises InputError with its place, and nothing is sent."""
    with FakeServer(says(" x")) as server, pytest.raises(InputError, match=told):
        ask_in_python("m", ["one", question], base_url=server.url)
    assert [] == server.asked


def test_numbers_from_python_are_asked_as_they_are_written() -> None:
    """Decimals, numpy's numbers and long integers keep every digit."""
    numbers = [0.1234567890123, 1234567.0, 12345678901234567890123, Decimal("1.10"), float32("0.1")]
    written = ["0.1234567890123", "1234567.0", "12345678901234567890123", "1.10", "0.1"]
    assert written == [question_of_row({"prompt": number}, HEROES) for number in numbers]


def test_an_empty_argument_is_no_question(tmp_path: Path) -> None:
    """An unset shell variable costs nothing."""
    with FakeServer(says(" x")) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "one", "")
    assert (2, []) == (result.returncode, server.asked)
    assert "an empty question" in result.stderr


def test_one_refused_question_leaves_the_others_answered(tmp_path: Path) -> None:
    """A refused question exits 1 and keeps its place among the answers, with its kind of error."""

    def behaviour(asked: Asked) -> Reply:
        return error(400, "content_filter", "no") if asked.prompt.startswith("bad") else answer(asked, " fine")

    with FakeServer(behaviour) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "a", "bad", "b", json=True)
    assert 1 == result.returncode
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["a", "bad", "b"] == [each["prompt"] for each in told]
    assert ["fine", None, "fine"] == [each.get("text") for each in told]
    assert "refused" == told[1]["kind"]


@pytest.mark.parametrize("failure", [error(503), error(429, retry_after="0")])
def test_transient_failures_are_retried(tmp_path: Path, failure: Reply) -> None:
    """A 503 or 429 is followed by a second attempt whose answer is printed."""
    with FakeServer(lambda asked: answer(asked, " fine") if asked.number else failure) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "a")
    assert (0, "fine\n", 2) == (result.returncode, result.stdout, len(server.asked))


def test_compare_shows_the_untuned_model_beside_the_tuned(tmp_path: Path) -> None:
    """`--compare base` asks both models and shows both answers, with how each ended, also in JSON."""
    with FakeServer(taught) as server:
        tuned_model(tmp_path, server.url)
        words = ("query", "heroes", "--age", "40", "--gender", "woman", "--power", "flight", "--compare", "base")
        shown = herogen(*words, cwd=tmp_path)
        told = last_json(herogen(*words, "--json", cwd=tmp_path).stdout)
    assert ["ft-hero", "base-1"] * 2 == asked_with(server, "model")
    assert shown.stdout.index("40-year-old woman") < shown.stdout.index("2019-01-01")
    for title in ("tuned · ft-hero · stopped by itself", "base · base-1 · cut off after 20 tokens"):
        assert title in shown.stdout
    assert "A 40-year-old woman with the gift of flight, number None." == told["text"]
    assert ("base-1", False) == (told["base"]["model"], told["base"]["stopped"])


def test_answers_are_shown_even_if_the_base_model_is_missing(tmp_path: Path) -> None:
    """When the base model is unknown the tuned answer is still printed, and the exit code is 3."""

    def behaviour(asked: Asked) -> Reply:
        return answer(asked, " fine") if asked.body["model"] == "ft-hero" else error(404, "model_not_found", "model?")

    with FakeServer(behaviour) as server:
        tuned_model(tmp_path, server.url)
        result = query_here(tmp_path, "heroes", "a", compare="base")
    assert 3 == result.returncode
    assert "fine" in result.stdout
    assert "no longer has 'ft-hero' or 'base-1'" in result.stderr


def test_two_texts_stand_side_by_side_where_there_is_room() -> None:
    """Elsewhere one stands under the other."""
    left, right = ("tuned", "one two three four five six seven eight nine ten " * 3), ("base", "漢字" * 40)
    wide = beside(left, right, 100)
    assert all("│" in line for line in wide)
    assert max(len(line) for line in wide) <= 100
    assert ["tuned", "base"] == [part.strip() for part in wide[0].split("│")]
    narrow = beside(left, right, 60)
    assert narrow.index("tuned") < narrow.index("") < narrow.index("base")
    assert not any("│" in line for line in narrow)
    assert "\x1b" not in "".join(beside(("t", "\x1b[2J"), right, 100))


def test_flags_are_separated_from_questions() -> None:
    """Attribute flags are split from questions, and negative numbers or dashed text stay questions."""
    assert (["a b", "-5", "-- x"], {"hair_colour": "red", "age": "-1"}) == split_flags(
        ["a b", "--hair-colour", "red", "-5", "--age=-1", "-- x"]
    )


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("40, woman, Healing\r\n", "40, woman, Healing"),
        ("  {x} is no JSON of its own line\n"[2:].replace("{x}", "x"), "x is no JSON of its own line"),
        ('{"prompt": "40, woman ->", "completion": " x END"}', "40, woman ->"),
        ('{"age": 40, "gender": "woman", "power": "flight"}\n', "40, woman, flight"),
        ('{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "its answer"}]}', "u"),
        ('{"sub_prompt": "18, man", "prompt": "Describe a man of 18 years.", "response_txt": "He"}', "18, man"),
        ('{"age": 0.1234567890123, "gender": 1234567.0, "power": true}', "0.1234567890123, 1234567.0, true"),
        ('{"prompt": 12345678901234567890123}', "12345678901234567890123"),
        ('{"prompt": 1e400}', "1e400"),
        ('{"prompt": -0}', "-0"),
        ("{name} is a placeholder for what?", "{name} is a placeholder for what?"),
        ("{ 3, 1, 2 }: which is the largest?", "{ 3, 1, 2 }: which is the largest?"),
        ("[sic]", "[sic]"),
        ('{"instruction": "Translate.", "input": "", "output": "x"}', "Translate."),
        ('{"instruction": "Translate.", "input": "Hi", "output": "x"}', "Translate.\nHi"),
        ('{"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "its answer"}]}', "u"),
        ("[3, 1, 2]", "[3, 1, 2]"),
    ],
)
def test_a_line_of_standard_input_is_a_question(line: str, question: str) -> None:
    """Plain text, exported rows, prompts, attributes and messages ask what they hold, numbers digit for digit."""
    assert question == question_of_line(line, HEROES, "line 1")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"prompt": "broken', "line 3: looks like JSON"),
        ("{'prompt': 'of Python'}", "line 3: looks like JSON"),
        ('{"prompt": NaN}', "line 3: looks like JSON"),
        ('{"prompt": "a", "prompt": "b"}', "line 3: 'prompt' is given twice"),
        ("{", "line 3: JSON that goes on over several lines"),
        ('[{"prompt": "a"}, {"prompt": "b"}]', "line 3: a JSON array of objects"),
        ("{}", "line 3: an empty object"),
        ('{"prompt": null}', "line 3: 'prompt' is null"),
        ('{"prompt": " "}', "line 3: an empty question"),
        ('{"prompt": " ->"}', "line 3: an empty question"),
        ('{"prompt": "\\u200b"}', "line 3: an empty question"),
        ('{"prompt": "half \\ud83d"}', "line 3: .* has no valid character at position 6"),
        ('{"age": "", "gender": "man", "power": "x"}', "line 3: age is empty"),
        ('{"messages": [{"role": "user", "content": ""}]}', "line 3: `messages` has an empty user message"),
        ('{"messages": [{"role": "system", "content": "s"}]}', "line 3: `messages` has no user message"),
        ('{"messages": ["x"]}', "line 3: 'messages' can't be"),
        ('{"age": 40}', "line 3: gender and power are missing"),
        ('{"prompt": ["x"]}', "'prompt' can't be \\['x'\\]"),
        ('{"messages": []}', "no user message"),
        ('{"age": 40, "gender": "man", "power": "x", "hat": "red"}', "unknown attribute 'hat'"),
    ],
)
def test_an_invalid_input_line_is_named(line: str, told: str) -> None:
    """A line that is broken JSON or lacks a usable question is refused with its number and reason."""
    with pytest.raises(InputError, match=told):
        question_of_line(line, HEROES, "line 3")


def test_attributes_need_a_recorded_template() -> None:
    """Attributes can't be turned into a prompt when the recipe has no recorded template."""
    with pytest.raises(InputError, match="no question template on record"):
        question_from({"age": "40"}, Recipe())


@pytest.mark.embedded
@pytest.mark.slow
def test_the_embedded_model_answers_without_a_server(tmp_path: Path, weights: Weights) -> None:
    """The embedded model answers each question twice on this machine, within the token limit."""
    result = query_here(tmp_path, "embedded", "40, woman, Healing", "18, man", max_tokens=4, samples=2, json=True)
    assert 0 == result.returncode, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [("40, woman, Healing", 1), ("40, woman, Healing", 2), ("18, man", 1), ("18, man", 2)] == [
        (each["prompt"], each["sample"]) for each in told
    ]
    assert all(0 < each["usage"]["completion_tokens"] <= 4 for each in told)


@pytest.mark.embedded
@pytest.mark.slow
def test_the_embedded_answer_grows_on_a_terminal(tmp_path: Path, weights: Weights) -> None:
    """What was read first is a beginning of the answer; the weights are not hashed for it."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [*command("query", "embedded", "Once upon a time"), "--endpoint", "chat", "--max-tokens", "48", "--seed", "1"],
        stdout=follower,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )
    os.close(follower)
    reads: list[bytes] = []
    with contextlib.suppress(OSError):  # what a terminal's other end raises once it is closed
        while part := os.read(leader, 4096):
            reads.append(part)
    os.close(leader)
    _, said = child.communicate()
    assert 0 == child.returncode, said
    assert len(reads) > 2
    assert len(b"".join(reads).split()) > 4
    assert b"Verifying" not in said
