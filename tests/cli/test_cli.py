"""The contract that scripts rely on: exit codes, the last line of stdout, sentences for every mistake."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import (
    assert_exact_grid,
    command,
    environment,
    herogen,
    herogen_child,
    last_json,
    small_spec,
    write_spec,
)


def assert_sentence(stderr: str, *words: str) -> None:
    """One error and one fix for a person, and no traceback."""
    assert "Traceback" not in stderr
    lines = stderr.splitlines()
    assert 1 == sum(line.startswith("error: ") for line in lines), stderr
    for word in words:
        assert word in stderr, stderr


BAD_SPECS = {
    "broken YAML": ("name: [unclosed\n", "bad.yaml:"),
    "unknown key": ("name: x\nattributes: {a: [p, q]}\nprompt: '{a}'\nrepeat: 3\n", "'repeats'"),
    "unknown placeholder": ("name: x\nattributes: {age: [p, q]}\nprompt: '{age} {agee}'\n", "'{agee}'"),
    "unused attribute": ("name: x\nattributes: {a: [p], b: [q]}\nprompt: '{a}'\n", "'b'"),
    "duplicate value": ("name: x\nattributes: {a: [p, q, p]}\nprompt: '{a}'\n", "'p'"),
    "empty list": ("name: x\nattributes: {a: []}\nprompt: '{a}'\n", "empty"),
    "zero repeats": ("name: x\nattributes: {a: [p]}\nprompt: '{a}'\nrepeats: 0\n", "repeats"),
    "no file name": ("name: ../x\nattributes: {a: [p]}\nprompt: '{a}'\n", "'../x'"),
    "unsafe YAML": ("name: !!python/object:os.system x\nattributes: {a: [p]}\nprompt: '{a}'\n", "bad.yaml:1"),
}


@pytest.mark.parametrize("mistake", BAD_SPECS)
def test_a_wrong_spec_is_a_sentence_with_file_and_line_and_exit_code_2(tmp_path: Path, mistake: str) -> None:
    """A wrong spec exits 2 with a sentence naming file and line, and no run folder is made."""
    text, word = BAD_SPECS[mistake]
    (tmp_path / "bad.yaml").write_text(text)
    result = herogen("run", "bad.yaml", cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "bad.yaml:", word)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_missing_spec_is_exit_code_2(tmp_path: Path) -> None:
    """A missing spec file exits 2 and is named on stderr and in the JSON error."""
    result = herogen_child("run", "nothing.yaml", "--json", cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "nothing.yaml")
    assert "nothing.yaml" in last_json(result.stdout)["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--base-url", "localhost:8000"), ("'localhost:8000'", "http://127.0.0.1:8000/v1")),
        (("--base-url", "http://user:pw@127.0.0.1:1/v1"), ("more than an address", "OPENAI_API_KEY")),
        (("--base-url", "https://api.example.com/v1", "--model", "m"), ("OPENAI_API_KEY is not set",)),
        (("--base-url", "http://127.0.0.1:1/v1", "--concurrency", "0"), ("concurrency",)),
        (("--base-url", "http://127.0.0.1:1/v1", "--rpm", "-3"), ("rpm",)),
        (
            ("--base-url", "http://127.0.0.1:1/v1", "--durability", "never"),
            ("unknown durability 'never'", "choose process, periodic or power"),
        ),
        (
            ("--base-url", "http://127.0.0.1:1/v1", "--endpoint", "embeddings"),
            ("unknown endpoint 'embeddings'", "choose completions or chat"),
        ),
        (("--base-url", "http://127.0.0.1:1/v1", "--run", "../../x y"), ()),
        (("--base-url", "http://127.0.0.1:1/v1"), ("can't list the models",)),
        (("--model", "gpt-x"), ("'gpt-x'", "--model embedded")),
        (("--model", "nothing.gguf"), ("nothing.gguf",)),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_a_wrong_option_is_a_sentence_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """Each wrong option exits 2 with a sentence that names the value and, where it helps, the valid ones."""
    result = herogen("run", write_spec(tmp_path, small_spec()), *arguments, cwd=tmp_path)
    assert 2 == result.returncode, result.stderr
    assert_sentence(result.stderr, *words)


def test_hosted_completions_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """Completions at api.openai.com exit 2 and point to `--endpoint chat` before any request goes out."""
    result = herogen(
        "run", write_spec(tmp_path, small_spec()), "--model", "m", cwd=tmp_path, OPENAI_API_KEY="sk-test-1"
    )
    assert 2 == result.returncode
    assert_sentence(result.stderr, "no model at api.openai.com serves completions", "--endpoint chat")


@pytest.mark.slow
def test_a_refused_connection_parks_the_run(tmp_path: Path) -> None:
    """A refused connection parks the run with exit code 3, says why, and names the resume command."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", url, "--model", "m")
        result = herogen_child(*run, cwd=tmp_path)
    assert 3 == result.returncode, result.stderr
    assert "Why: no connection to" in result.stdout
    assert "Next: herogen-async resume small" == result.stderr.splitlines()[-1]


PARKING = {
    "401": (error(401, "invalid_api_key", "Incorrect API key provided: sk-canary-0123456789"), "OPENAI_API_KEY"),
    "unknown model": (error(404, "model_not_found", "The model 'm' does not exist"), "--model"),
    "wrong path": (Reply(b"<html>404 Not Found</html>", status=404), "--base-url"),
    "HTML instead of JSON": (Reply(b"<!doctype html><title>hello</title>"), "--base-url"),
    "empty balance": (error(429, "insufficient_quota", "You exceeded your current quota"), "top it up"),
    "no text": (Reply({"choices": []}), "--endpoint"),
}


@pytest.mark.parametrize("fault", PARKING)
def test_p13_what_a_person_must_mend_parks_the_run_and_leaks_no_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    """Faults a person must fix park the run; resume then completes the grid, and the key appears nowhere."""
    reply, advice = PARKING[fault]
    key = "sk-canary-0123456789"
    spec = small_spec()
    with FakeServer(lambda _: reply) as server:
        arguments = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m", "--json")
        result = herogen(*arguments, cwd=tmp_path, OPENAI_API_KEY=key)
        assert 3 == result.returncode, result.stderr
        report = last_json(result.stdout)
        assert ("parked", 20, 0) == (report["state"], report["pending"] + report["failed"], report["done"])
        assert advice in report["fix"]
        server.behaviour = answer
        resumed = herogen("resume", "small", cwd=tmp_path, OPENAI_API_KEY=key)
        assert 0 == resumed.returncode, resumed.stderr
        assert f"Bearer {key}" == server.asked[-1].headers["authorization"]
    assert_exact_grid(tmp_path / "runs" / "small", spec)
    written = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert key not in written.decode() + result.stdout + result.stderr + resumed.stdout + resumed.stderr
    assert key not in "".join(capfd.readouterr())  # what came past Python's own streams


def test_failed_rows_exit_1_and_retry_asks_for_them_again(tmp_path: Path) -> None:
    """Failed rows exit 1 and stay failed on a plain rerun; `retry` asks for them again and completes the grid."""
    spec = small_spec()

    def behaviour(asked: Asked) -> Reply:
        return error(400, "invalid_prompt", "not that") if "22-year-old" in asked.prompt else answer(asked)

    with FakeServer(behaviour) as server:
        run = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m", "--concurrency", "1")
        result = herogen(*run, cwd=tmp_path)
        assert 1 == result.returncode, result.stderr
        assert "16 of 20 rows, 4 failed" in result.stdout
        asked = len(server.asked)
        again = herogen(*run, cwd=tmp_path)
        assert (1, asked) == (again.returncode, len(server.asked))  # given up is given up
        shown = herogen("errors", "small", cwd=tmp_path)
        assert shown.stdout.startswith("refused: 4; HTTP 400 (4)\n")
        assert "not that" in shown.stdout
        server.behaviour = answer
        retried = herogen("retry", "small", cwd=tmp_path)
        assert 0 == retried.returncode, retried.stderr
    assert_exact_grid(tmp_path / "runs" / "small", spec)
    assert 0 == json.loads(herogen("errors", "small", "--json", cwd=tmp_path).stdout)["total"]


def test_the_same_command_again_resumes_and_repeats_no_request(tmp_path: Path) -> None:
    """Running the same command again continues where it stopped and sends none of the 20 requests twice."""
    spec = small_spec()
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m", "--json")
        first = herogen(*run, "--limit", "7", cwd=tmp_path)
        assert (0, 7, 7) == (first.returncode, last_json(first.stdout)["done"], len(server.asked))
        second = herogen(*run, cwd=tmp_path)
        assert (0, 20) == (second.returncode, len(server.asked))
        third = herogen(*run, cwd=tmp_path)
        assert (0, 20) == (third.returncode, len(server.asked))
        assert 1 == third.stdout.count("\n")  # one JSON object, nothing else
    assert_exact_grid(tmp_path / "runs" / "small", spec)


def test_answers_to_other_questions_are_never_mixed(tmp_path: Path) -> None:
    """A changed prompt, grid, sampling or model is refused unsent, while a new sub_prompt reuses every answer."""
    with FakeServer() as server:
        options = ("--base-url", server.url, "--model", "m")
        assert 0 == herogen("run", write_spec(tmp_path, small_spec()), *options, cwd=tmp_path).returncode
        asked = len(server.asked)
        for changed, word in (
            (small_spec(prompt="Sketch a {age}-year-old {gender}."), "the prompt"),
            (small_spec(values=6), "the attributes"),
            (small_spec(sampling={"max_tokens": 51}), "the sampling"),
        ):
            result = herogen("run", write_spec(tmp_path, changed), *options, cwd=tmp_path)
            assert 2 == result.returncode
            assert_sentence(result.stderr, word, "--run NAME")
        other = herogen("run", write_spec(tmp_path, small_spec()), *options[:2], "--model", "n", cwd=tmp_path)
        assert_sentence(other.stderr, "the model")
        assert asked == len(server.asked)
        renamed = small_spec(sub_prompt="{gender} of {age}")  # changes what is assembled, and no answer
        assert 0 == herogen("run", write_spec(tmp_path, renamed), *options, cwd=tmp_path).returncode
        assert asked == len(server.asked)


def test_p8_a_folder_in_use_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    """A run folder locked by another process exits 2 and names that process and its host."""
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    with (folder / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(json.dumps({"pid": 4711, "host": "elsewhere"}).encode().ljust(511))
        held.flush()
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", "http://127.0.0.1:1/v1", "--model", "m")
        result = herogen(*run, cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "process 4711 on elsewhere")


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    """A manifest of another schema version exits 2 from run, resume, status and assemble alike."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m")
        herogen(*run, cwd=tmp_path)
        manifest = tmp_path / "runs" / "small" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 9'))
        for again in (run, ("resume", "small"), ("status", "small"), ("assemble", "small")):
            result = herogen(*again, cwd=tmp_path)
            assert 2 == result.returncode, again
            assert_sentence(result.stderr, "run format 9")


def test_a_damaged_journal_is_exit_code_4_and_is_not_touched(tmp_path: Path) -> None:
    """One flipped bit in the journal exits 4 naming file and line, and the file stays byte for byte as it was."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m")
        herogen(*run, cwd=tmp_path)
        journal = tmp_path / "runs" / "small" / "rows-00000.jsonl"
        damaged = bytearray(journal.read_bytes())
        damaged[300] ^= 1
        journal.write_bytes(damaged)
        for again in (run, ("status", "small"), ("export", "small")):
            result = herogen(*again, cwd=tmp_path)
            assert 4 == result.returncode, again
            assert_sentence(result.stderr, "rows-00000.jsonl", "line 1")
    assert bytes(damaged) == journal.read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_a_sentence(tmp_path: Path) -> None:
    """A runs folder without write permission exits 2 and suggests `--run`."""
    spec = write_spec(tmp_path, small_spec())
    (tmp_path / "runs").mkdir(mode=0o500)
    result = herogen("run", spec, "--base-url", "http://127.0.0.1:1/v1", "--model", "m", cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "--run")


def test_a_run_folder_that_can_t_be_made_is_a_sentence(tmp_path: Path) -> None:
    """A run folder below a plain file exits 2 and suggests another `--run`."""
    (tmp_path / "file").write_text("")
    options = ("--run", tmp_path / "file" / "r", "--base-url", "http://127.0.0.1:1/v1", "--model", "m")
    result = herogen("run", write_spec(tmp_path, small_spec()), *options, cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "can't be created", "a folder that you can write to")


def test_an_unknown_run_name_lists_the_existing_runs(tmp_path: Path) -> None:
    """Every command that takes a run answers an unknown name with exit code 2 and the existing runs."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m")
        herogen(*run, cwd=tmp_path)
    for name in ("resume", "status", "errors", "export", "assemble", "retry"):
        result = herogen(name, "smal", cwd=tmp_path)
        assert 2 == result.returncode
        assert_sentence(result.stderr, "small")


def test_status_json_has_every_key_of_the_contract(tmp_path: Path) -> None:
    """`status --json` has every key of the contract, and an unknown cost is null rather than zero."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m", "--limit", "9")
        herogen(*run, "--rpm", "6000", cwd=tmp_path)
    report = last_json(herogen("status", "small", "--json", cwd=tmp_path).stdout)
    contract = [
        "total",
        "done",
        "failed",
        "pending",
        "in_flight",
        "elapsed_s",
        "rows_per_s",
        "permitted_pct",
        "binding",
        "usage",
        "cost",
    ]
    assert set(contract) <= report.keys()
    assert (9, 9, 0, 0, 0) == tuple(report[name] for name in contract[:5])
    assert 270 == report["usage"]["total_tokens"]
    assert report["cost"] is None  # unknown, never zero
    assert 0 < report["permitted_pct"] <= 100
    assert "done" == report["state"]


@pytest.mark.slow
def test_status_of_a_running_run_sees_what_is_in_flight(tmp_path: Path) -> None:
    """`status` read from another process while the run is going counts the rows already answered."""
    seen: list[dict[str, object]] = []

    def behaviour(asked: Asked) -> Reply:
        if asked.number == 12:
            seen.append(last_json(herogen_child("status", "small", "--json", cwd=tmp_path).stdout))
        return answer(asked)

    with FakeServer(behaviour) as server:
        run = (
            "run",
            write_spec(tmp_path, small_spec()),
            "--base-url",
            server.url,
            "--model",
            "m",
            "--concurrency",
            "1",
        )
        result = herogen(*run, cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    assert ("running", 12, 20) == (seen[0]["state"], seen[0]["done"], seen[0]["total"])


def test_export_has_the_seed_s_columns_in_the_seed_s_order(tmp_path: Path) -> None:
    """Rows are exported in grid order under the seed's columns, whatever order the answers came in."""
    with FakeServer(lambda asked: answer(asked, delay_s=0.01 * (asked.number % 3))) as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m")
        herogen(*run, cwd=tmp_path)
    result = herogen("export", "small", "--format", "csv", "--out", "out.csv", cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert ["age", "gender", "prompt", "sub_prompt", "response_txt", "finish_reason"] == rows[0][:6]
    assert [str(20 + number // 4) for number in range(20)] == [row[0] for row in rows[1:]]


def test_system_text_and_chat_settings_reach_the_server(tmp_path: Path) -> None:
    """A chat request carries the system text, the prompt, the sampling and the extra keys of the spec."""
    spec = small_spec(endpoint="chat", system="You are {gender}.", sampling={"temperature": 0, "extra": {"top_k": 4}})
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--limit", "1")
        result = herogen(*run, cwd=tmp_path)
        assert 0 == result.returncode, result.stderr
        assert "serves one model, 'm'" in result.stderr
        assert [
            {"role": "system", "content": "You are man."},
            {"role": "user", "content": "Describe a 20-year-old man."},
        ] == server.asked[0].body["messages"]
        assert ("/v1/chat/completions", "m", 0, 4) == (
            server.asked[0].path,
            *(server.asked[0].body[name] for name in ("model", "temperature", "top_k")),
        )


def test_several_models_and_none_named_lists_them(tmp_path: Path) -> None:
    """With several models served and none named, the run exits 2, lists them and asks for `--model NAME`."""
    with FakeServer(models=("alpha", "beta")) as server:
        result = herogen("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, cwd=tmp_path)
    assert 2 == result.returncode
    assert_sentence(result.stderr, "alpha, beta", "--model NAME")


def test_init_writes_a_commented_spec_that_is_the_built_in_one(tmp_path: Path) -> None:
    """`init` writes the built-in spec under a loadable name, never overwrites a file, and prints the schema."""
    result = herogen("init", "mine.yaml", cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    assert Spec.builtin().replace(name="mine") == Spec.load(tmp_path / "mine.yaml")
    for odd in ("12.yaml", "null.yaml", "a b.yaml", "1e3.yml"):
        assert 0 == herogen("init", odd, cwd=tmp_path).returncode
        assert Spec.load(tmp_path / odd).name in (odd.rsplit(".", 1)[0], "heroes")
    again = herogen("init", "mine.yaml", cwd=tmp_path)
    assert 2 == again.returncode
    assert_sentence(again.stderr, "never overwritten")
    schema = last_json(herogen("init", "--schema", cwd=tmp_path).stdout)
    assert "attributes" in schema["properties"]


def test_the_columns_that_init_offers_are_a_spec_without_their_comment_signs(tmp_path: Path) -> None:
    """Whoever uncomments them has two columns more, each on the built-in prompt."""
    assert 0 == herogen("init", "mine.yaml", cwd=tmp_path).returncode
    path = tmp_path / "mine.yaml"
    text, _, offered = path.read_text().partition("#columns:")
    path.write_text("\n".join([text + "columns:", *(line.removeprefix("#") for line in offered.splitlines())]))
    columns = Spec.load(path).columns
    assert ["title", "critique"] == list(columns)
    assert all("{response_txt}" in column.prompt for column in columns.values())


def test_init_writes_the_spec_of_a_run_to_which_columns_can_be_added(tmp_path: Path) -> None:
    """It means that run: all its answers count, and what is added is all that is new."""
    with FakeServer() as server:
        where = ("--base-url", server.url, "--model", "m", "--endpoint", "chat", "--run", "mine")
        herogen("run", "--limit", "5", *where, cwd=tmp_path)
        result = herogen("init", "mine.yaml", "--run", "mine", cwd=tmp_path)
        assert 0 == result.returncode, result.stderr
        assert "herogen-async plan mine.yaml mine" in result.stderr
        spec = Spec.load(tmp_path / "mine.yaml")
        assert Spec.builtin().replace(name="mine", model="m", endpoint="chat") == spec
        with (tmp_path / "mine.yaml").open("a") as file:
            file.write("columns:\n  title:\n    prompt: 'A title: {response_txt}'\n")
        asked = len(server.asked)
        words = ("run", "mine.yaml", "--limit", "5", "--base-url", server.url, "--extend", "--json")
        report = last_json(herogen(*words, cwd=tmp_path).stdout)
    assert (5, 5) == (report["done"], len(server.asked) - asked)
    assert 2 == herogen("init", "other.yaml", "--run", "nowhere", cwd=tmp_path).returncode
    assert not (tmp_path / "other.yaml").exists()


@pytest.mark.slow
def test_json_is_the_last_line_of_stdout_and_all_else_goes_to_stderr(tmp_path: Path) -> None:
    """With `--json`, stdout is exactly one JSON line and the next command is the last line of stderr."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m", "--json")
        result = herogen_child(*run, cwd=tmp_path)
    assert 1 == len(result.stdout.splitlines())
    assert (20, "done") == (last_json(result.stdout)["done"], last_json(result.stdout)["state"])
    assert "Next: herogen-async assemble small" == result.stderr.splitlines()[-1]


@pytest.mark.parametrize("line", [("run", "--bogus", "--json"), ("status", "--json"), ("nocommand", "--json")])
def test_an_unreadable_command_line_still_prints_a_json_object(tmp_path: Path, line: tuple[str, ...]) -> None:
    """A command line that cannot be parsed exits with code 2 and still prints a JSON object for scripts."""
    result = herogen(*line, cwd=tmp_path)
    assert (2, "usage") == (result.returncode, last_json(result.stdout)["kind"])
    assert result.stderr


def test_a_grid_of_a_trillion_cells_starts_at_once(tmp_path: Path) -> None:
    """A limited run over 10^12 cells answers its five rows without walking the grid."""
    values = [str(number) for number in range(1000)]
    spec = small_spec(attributes=dict.fromkeys("abcd", values), repeats=1, prompt="{a} {b} {c} {d}")
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m", "--limit", "5", "--json")
        result = herogen(*run, cwd=tmp_path)
    assert (0, 5) == (result.returncode, last_json(result.stdout)["done"])
    assert 5 == len(list(read_rows(RunFolder(tmp_path / "runs" / "small"))))


@pytest.mark.slow
def test_every_command_has_a_help_with_an_example() -> None:
    """Top-level help lists every command, and each command's help ends with an example of its use."""
    top = herogen_child("--help", cwd=Path.cwd()).stdout
    names = ("init", "run", "resume", "retry", "status", "errors", "export", "assemble")
    for name in names:
        assert f"  {name} " in top
        shown = herogen(name, "--help", cwd=Path.cwd())
        assert 0 == shown.returncode
        assert f"Examples:\n  herogen-async {name}" in shown.stdout


def test_a_limited_run_says_so_and_how_to_get_the_rest(tmp_path: Path) -> None:
    """A limited run reports the size of the whole grid and the resume command that completes it."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m", "--limit", "4")
        limited = herogen(*run, cwd=tmp_path)
        assert "Done: 4 of 4 rows (the first 4 of 20)" in limited.stdout
        assert "Next: herogen-async resume small --limit 20" == limited.stderr.splitlines()[-1]
        whole = herogen("resume", "small", "--limit", "20", cwd=tmp_path)
        assert (0, 20) == (whole.returncode, len(server.asked))


@pytest.mark.parametrize("run", ["./foo", "some where/x y", "foo/", "."])
def test_the_next_command_is_one_that_works_wherever_the_run_lies(tmp_path: Path, run: str) -> None:
    """The `Next:` command works as printed for run paths that are relative, quoted or the current folder."""
    with FakeServer() as server:
        spec = write_spec(tmp_path, small_spec())
        (tmp_path / "here").mkdir()
        options = ("--base-url", server.url, "--model", "m")
        result = herogen("run", spec, "--run", run, *options, cwd=tmp_path / "here")
        assert 0 == result.returncode, result.stderr
    following = shlex.split(result.stderr.splitlines()[-1].removeprefix("Next: herogen-async "))
    assert 0 == herogen(*following, cwd=tmp_path / "here").returncode


@pytest.mark.slow
def test_ctrl_c_before_anything_was_asked_says_so(tmp_path: Path) -> None:
    """Ctrl-C while the models are being listed exits 130, says nothing was asked, and reports `interrupted`."""
    with FakeServer() as server:
        server.listing = Reply(hang=True)
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--json")
        child = subprocess.Popen(
            command(*run), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 30
        while not server.listed and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert 130 == child.returncode
    assert_sentence(err, "before any request was sent", "run the command again")
    assert "interrupted" == last_json(out)["kind"]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_no_run(tmp_path: Path) -> None:
    """`herogen-async run 2>&1 | head -1`: the answers are what counts."""
    with FakeServer(lambda asked: answer(asked, delay_s=0.01)) as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url, "--model", "m")
        reading, writing = os.pipe()
        os.close(reading)
        child = subprocess.Popen(command(*run), cwd=tmp_path, env=environment(), stdout=writing, stderr=writing)
        os.close(writing)
        assert 0 == child.wait(60)
    assert_exact_grid(tmp_path / "runs" / "small", small_spec())


def test_p14_a_models_name_can_not_move_the_cursor(tmp_path: Path) -> None:
    """Escape sequences in a served model's name never reach the terminal, during the run or in `status`."""
    evil = "\x1b]0;owned\x07m"
    with FakeServer(models=(evil,)) as server:
        run = ("run", write_spec(tmp_path, small_spec()), "--base-url", server.url)
        shown = herogen(*run, cwd=tmp_path)
        assert 0 == shown.returncode, shown.stderr
    status = herogen("status", "small", cwd=tmp_path)
    assert "\x1b" not in shown.stdout + shown.stderr + status.stdout + status.stderr


def test_a_full_disk_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    """A folder on a file system of 256 kB, where root can make one."""
    small = tmp_path / "small-disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can't be mounted here")
    try:
        with FakeServer() as server:
            spec = write_spec(tmp_path, small_spec())
            result = herogen("run", spec, "--run", small / "r", "--base-url", server.url, "--model", "m", cwd=tmp_path)
            assert 0 == len(server.asked)
        assert 3 == result.returncode, result.stderr
        assert "No space left on device" in result.stdout + result.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)
