"""`finetune` with the real SDK against the simulated service: the whole chain, its faults, kills of real processes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_finetune_chain import write_rows

from herogen_async.generation.intents import read_steps
from herogen_async.lab.simulator import SimulatedServer
from herogen_async.tune.finetune import find_tuned, settings_of
from support.run_folders import WrittenRun
from support.runs import command, environment, herogen, last_json, small_spec
from support.simulated_service import simulated, stats_of


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with simulated(model="m") as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No waiting for the pace of a real service; a picture takes most of a test's time, and one is enough."""
    monkeypatch.setattr("herogen_async.generation.endpoint.fine_tuning._CALLS_A_S", 1000)
    if "curve" not in request.node.name:
        monkeypatch.setattr("herogen_async.tune.finetune.loss_curve.draw_loss", lambda *_: b"")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", count=12)


def tune(server: SimulatedServer, target: Path | str, *more: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return herogen("finetune", str(target), "--base-url", server.url, "--model", "m", *more, cwd=cwd)


def counts(server: SimulatedServer) -> tuple[int, int]:
    stats: Any = stats_of(server)
    return stats["files_created"], stats["jobs_created"]


def test_a_file_becomes_a_model_with_its_curve_and_a_next_step(server: SimulatedServer, rows: Path) -> None:
    """From rows to the model's name, its losses as a table and a picture; a second time asks nothing."""
    write_rows(rows.with_name("held.jsonl"), first=50, count=3)
    more = ("--suffix", "heroes", "--epochs", "2", "--seed", "3", "--validation", "held.jsonl", "--json")
    ended = tune(server, rows, *more, cwd=rows.parent)
    told = last_json(ended.stdout)
    assert 0 == ended.returncode, ended.stderr
    assert "succeeded" == told["status"]
    assert told["model"].startswith("ft:m:simulated:heroes:")
    assert {"train_loss", "eval_loss"} == set(told["metrics"])
    assert told["checkpoints"]
    assert ended.stderr.rstrip().endswith(f"Next: herogen-async query {rows} 50"), "a question held out"
    folder = rows.with_name("rows.finetune") / "001"
    table = (folder / "loss.csv").read_text().splitlines()
    assert "step,epoch,train_loss,valid_loss,learning_rate,mean_token_accuracy" == table[0]
    assert 2 < len(table)
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    tuned = find_tuned(str(rows))
    assert (told["model"], "messages", rows.with_name("held.jsonl")) == (
        tuned.name,
        tuned.recipe.format,
        tuned.held_out,
    )
    again = counts(server)
    assert told["model"] == last_json(tune(server, rows, *more, cwd=rows.parent).stdout)["model"]
    assert again == counts(server)


def test_a_run_is_assembled_as_messages_and_its_recipe_is_kept(server: SimulatedServer, tmp_path: Path) -> None:
    """A run needs no other command before."""
    run = WrittenRun(tmp_path / "runs" / "small", small_spec(sub_prompt="{age}, {gender}"))
    run.write(
        run.answer(index, f"Hero {index} does what no other hero does, {index} times a day.") for index in range(20)
    )
    ended = tune(server, "small", "--json", cwd=tmp_path)
    assert 0 == ended.returncode, ended.stderr
    assert "No data set assembled yet" in ended.stderr
    assert (tmp_path / "runs/small/finetune/001/steps.jsonl").is_file()
    tuned = find_tuned(str(tmp_path / "runs" / "small"))
    assert ("messages", "") == (tuned.recipe.format, tuned.recipe.separator)


@pytest.mark.parametrize(
    "faults", [("upload_reset", "create_500"), ("upload_500", "create_reset"), ("upload_unavailable",)]
)
def test_an_answer_that_the_service_loses_costs_nothing_twice(
    rows: Path, faults: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real SDK against a service that takes the call and breaks the connection, or says 500."""
    for name in ("LOOKS_S", "ATTEMPTS_S"):
        monkeypatch.setattr(f"herogen_async.generation.intents.chain.{name}", (0.0, 0.1))
    with simulated(faults=dict.fromkeys(faults, 1)) as server:
        ended = tune(server, rows, cwd=rows.parent)
        assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr
    assert ("trying again" if len(faults) == 1 else "it arrived") in ended.stderr


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("not_available", 2, "--backend local"),
        ("bad_file", 1, "training_file"),
        ("training_fails", 1, "Why: "),
    ],
)
def test_a_service_that_refuses_or_fails_is_told_with_what_to_do(rows: Path, fault: str, code: int, says: str) -> None:
    """Before there is a job, and by the job."""
    with simulated(faults={fault: 1}) as server:
        ended = tune(server, rows, cwd=rows.parent)
    assert code == ended.returncode, ended.stderr
    assert says in ended.stdout + ended.stderr


def test_another_model_takes_the_file_that_is_uploaded(server: SimulatedServer, rows: Path) -> None:
    """The service refused the first one by its name."""
    before = counts(server)
    ended = herogen("finetune", str(rows), "--base-url", server.url, "--model", "other", cwd=rows.parent)
    assert 2 == ended.returncode
    assert "can't fine-tune this model" in ended.stderr
    assert "--model" in ended.stderr
    assert 0 == tune(server, rows, cwd=rows.parent).returncode
    assert (before[0] + 1, before[1] + 1) == counts(server)


def test_cancel_ends_the_job_at_the_service(rows: Path) -> None:
    """From a command that knows nothing but the file."""
    with simulated(train_s=600.0) as server:
        assert 0 == tune(server, rows, "--no-watch", cwd=rows.parent).returncode
        ended = herogen("finetune", str(rows), "--cancel", cwd=rows.parent)
        stats: Any = stats_of(server)
    assert (0, 1) == (ended.returncode, stats["job_cancels"])
    assert "Cancelled" in ended.stdout


def test_a_service_that_is_gone_parks_the_chain(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, and the command that goes on."""
    monkeypatch.setattr("herogen_async.generation.endpoint.fine_tuning._LOOKS", 1)
    with simulated(train_s=600.0) as server:
        assert 0 == tune(server, rows, "--no-watch", cwd=rows.parent).returncode
    ended = herogen("finetune", str(rows), cwd=rows.parent)
    assert 3 == ended.returncode
    assert f"Next: herogen-async finetune {rows}" in ended.stderr


def test_a_log_that_cannot_be_written_parks_before_anything_is_sent(server: SimulatedServer, rows: Path) -> None:
    """Exit code 3, what is wrong with the disk, and the command that goes on."""
    rows.with_name("rows.finetune").write_text("in the way")
    before = counts(server)
    ended = tune(server, rows, "--json", cwd=rows.parent)
    assert (3, before) == (ended.returncode, counts(server)), ended.stderr
    assert "disk" == last_json(ended.stdout)["kind"]
    assert ended.stderr.endswith(f"Next: herogen-async finetune {rows} --model m --base-url {server.url}\n")


def test_a_first_try_that_reaches_nobody_names_the_whole_command(
    server: SimulatedServer, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its options the same file would be tuned elsewhere; and a wrong address may be mended."""
    monkeypatch.setattr("herogen_async.generation.endpoint.fine_tuning._LOOKS", 1)
    monkeypatch.setattr("herogen_async.generation.intents.chain.ATTEMPTS_S", (0.0,))
    gone = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    ended = herogen("finetune", str(rows), *gone, cwd=rows.parent)
    assert 3 == ended.returncode
    assert ended.stderr.endswith(f"Next: herogen-async finetune {rows} --model m --base-url http://127.0.0.1:9/v1\n")
    wrong = server.url.removesuffix("/v1")
    assert 3 == herogen("finetune", str(rows), "--base-url", wrong, "--model", "m", cwd=rows.parent).returncode
    assert 0 == tune(server, rows, cwd=rows.parent).returncode


def test_after_a_failed_job_the_next_step_starts_one_like_it(rows: Path) -> None:
    """With its options, at the same service."""
    with simulated(faults={"training_fails": 1}) as server:
        assert 1 == tune(server, rows, "--epochs", "2", cwd=rows.parent).returncode
        failed = herogen("finetune", str(rows), cwd=rows.parent)
        _, *words = shlex.split(failed.stderr.rpartition("Next: ")[2])
        again = herogen(*words, cwd=rows.parent)
        assert (1, 0, 2) == (failed.returncode, again.returncode, counts(server)[1]), again.stderr
    first, second = (settings_of(rows.with_name("rows.finetune") / number) for number in ("001", "002"))
    assert first == second
    assert 2 == second["epochs"]


def test_a_model_that_cannot_be_evaluated_is_kept_and_the_command_parks(rows: Path) -> None:
    """What went wrong with the evaluation takes nothing from the model."""
    with simulated(answer_faults={"insufficient_quota": 1.0}) as server:
        ended = tune(server, rows, "--eval", "--json", cwd=rows.parent)
    told = last_json(ended.stdout)
    assert 3 == ended.returncode, ended.stderr
    assert ("succeeded", "endpoint_refused") == (told["status"], told["evaluation"]["kind"])
    assert told["model"] == find_tuned(str(rows)).name
    assert ended.stderr.endswith(f"Next: herogen-async finetune {rows} --eval\n")


def test_a_job_needs_no_file_to_be_watched_or_cancelled(rows: Path) -> None:
    """The file may be gone by then."""
    with simulated(train_s=600.0) as server:
        assert 0 == tune(server, rows, "--no-watch", cwd=rows.parent).returncode
        rows.unlink()
        ended = herogen("finetune", str(rows), "--no-watch", cwd=rows.parent)
        assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr
        assert "is gone; the job continues" in ended.stderr
        assert 0 == herogen("finetune", str(rows), "--cancel", cwd=rows.parent).returncode


def test_a_file_of_a_runs_data_set_is_the_runs(server: SimulatedServer, tmp_path: Path) -> None:
    """What lies in a data set's folder is rebuilt, and no fine-tune may lie there."""
    run = WrittenRun(tmp_path / "runs" / "small", small_spec(sub_prompt="{age}, {gender}"))
    run.write(run.answer(index, f"Hero {index} is as no other, {index} times a day.") for index in range(20))
    assert 0 == herogen("assemble", "small", "--format", "messages", cwd=tmp_path).returncode
    (file,) = (tmp_path / "runs/small/dataset/messages").glob("*.jsonl")
    told = last_json(tune(server, file, "--json", cwd=tmp_path).stdout)
    assert [] == list((tmp_path / "runs/small/dataset").rglob("*.finetune"))
    before = counts(server)
    assert told["model"] == last_json(tune(server, "small", "--json", cwd=tmp_path).stdout)["model"]
    assert (before, told["model"]) == (counts(server), find_tuned(str(tmp_path / "runs/small")).name)


def write_lines(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def pairs(count: int, *, separator: str = " ->") -> list[Any]:
    return [{"prompt": f"{n}{separator}", "completion": f" Hero {n}. END"} for n in range(count)]


BAD = {
    "few": (pairs(9), (), "has 9 rows; fine-tuning needs at least 10"),
    "empty": ([], (), "has no rows"),
    "not json": ([*pairs(10), "what"], (), ": not JSON, in 1 of 11 rows (line 11)"),
    "no completion": ([*pairs(10), {"prompt": "a ->"}], (), "'completion' is not text"),
    "no assistant": (
        [{"messages": [{"role": "user", "content": "a"}]}] * 10,
        (),
        "do not end with assistant text",
    ),
    "long suffix": (pairs(10), ("--suffix", "s" * 65), "suffix can't be 'sss"),
    "no epochs": (pairs(10), ("--epochs", "0"), "epochs can't be 0"),
    "no backend": (pairs(10), ("--backend", "cloud"), "unknown backend 'cloud'"),
    "no method": (pairs(10), ("--method", "magic"), "unknown method 'magic'"),
    "no validation": (pairs(10), ("--validation", "nowhere.jsonl"), "no such validation file: 'nowhere.jsonl'"),
    "the same rows": (pairs(10), ("--validation", "bad.jsonl"), "is identical to the training file"),
    "nothing to adopt": (pairs(10), ("--adopt", "file-1"), "nothing to resend or adopt"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_a_sentence_and_exit_code_2_before_anything_is_sent(
    server: SimulatedServer, tmp_path: Path, what: str
) -> None:
    """With a fix, for each kind of mistake."""
    lines, more, says = BAD[what]
    before = counts(server)
    file = write_lines(tmp_path / "bad.jsonl", lines)
    ended = tune(server, file.name, *more, cwd=tmp_path)
    assert (2, before) == (ended.returncode, counts(server)), ended.stderr
    assert says in ended.stderr
    assert "fix: " in ended.stderr


def test_a_prompt_without_the_recipes_separator_is_named_by_its_line(server: SimulatedServer, tmp_path: Path) -> None:
    """The separator is the one in the recipe beside the file."""
    write_lines(tmp_path / "rows.jsonl", [*pairs(11), *pairs(1, separator="")])
    recipe = {"separator": " ->", "files": {"rows.jsonl": {"role": "all"}}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    ended = tune(server, "rows.jsonl", cwd=tmp_path)
    assert 2 == ended.returncode
    assert "without the separator ' ->' at its end, in 1 of 12 rows (line 12)" in ended.stderr


@pytest.mark.parametrize(
    ("target", "says"), [("rows.csv", "prepare -f"), ("nowhere", "no run in"), ("no.jsonl", "no such file")]
)
def test_what_is_neither_a_run_nor_rows_is_told_what_to_do(tmp_path: Path, target: str, says: str) -> None:
    """A table is prepared first; a run that isn't there is named."""
    (tmp_path / "rows.csv").write_text("prompt,completion\n")
    ended = herogen("finetune", target, cwd=tmp_path)
    assert 2 == ended.returncode
    assert says in ended.stderr


def test_p13_a_key_is_in_no_file_and_no_line(rows: Path) -> None:
    """Also where the job fails and the service tells why."""
    key = "sk-canary-0123456789abcdef"
    with simulated(faults={"training_fails": 1}) as server:
        ended = herogen(
            "finetune", str(rows), "--base-url", server.url, "--model", "m", cwd=rows.parent, OPENAI_API_KEY=key
        )
    assert 1 == ended.returncode
    assert key not in ended.stdout + ended.stderr
    assert [] == [file for file in rows.parent.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]


@pytest.mark.slow
def test_killed_processes_leave_one_upload_and_one_job(rows: Path) -> None:
    """While the upload is under way, while the job is being made, and while it is watched."""
    with simulated(train_s=600.0, faults={"upload_slow": 1, "create_slow": 1}) as server:
        words = command("finetune", rows, "--base-url", server.url, "--model", "m")
        for files, jobs, steps in ((1, 0, "intent upload"), (1, 1, "intent create"), (1, 1, "result create")):
            child = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL, cwd=rows.parent)
            wait_until(lambda: counts(server) == (files, jobs) and last_step(rows).startswith(steps), child)  # noqa: B023
            child.kill()
            assert -signal.SIGKILL == child.wait(20)
        ended = tune(server, rows, "--no-watch", cwd=rows.parent)
        assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_detaches_and_cancels_nothing(rows: Path, number: signal.Signals) -> None:
    """The job goes on, and the last line says how to attach again."""
    with simulated(train_s=600.0) as server:
        presses = threading.Thread(target=press, args=(server, number))
        presses.start()
        ended = tune(server, rows, cwd=rows.parent)
        presses.join()
        stats: Any = stats_of(server)
        assert (130, (1, 1), 0) == (ended.returncode, counts(server), stats["job_cancels"]), ended.stderr
    assert "Detached: " in ended.stderr
    assert ended.stderr.endswith(f"Next: herogen-async finetune {rows} --model m --base-url {server.url}\n")


def press(server: SimulatedServer, number: signal.Signals) -> None:
    """Send the signal to this process once the job is there, and has been looked at for a while."""
    wait_until(lambda: counts(server)[1] == 1)
    time.sleep(0.3)
    os.kill(os.getpid(), number)


def wait_until(holds: Callable[[], bool], child: subprocess.Popen[bytes] | None = None) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        assert child is None or child.poll() is None
        time.sleep(0.005)


def last_step(rows: Path) -> str:
    steps = read_steps(rows.with_name("rows.finetune") / "001")
    return f"{steps[-1]['step']} {steps[-1].get('call')}" if steps else ""
