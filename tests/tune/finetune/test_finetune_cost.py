"""What a fine-tune at a service costs is told before anything is sent, and begins once somebody has agreed to it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from test_finetune_chain import write_rows
from test_finetune_wire import counts, quick, tune  # noqa: F401 - a fixture

from herogen_async.core.errors import AgreementNeeded, InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.lab.simulator import SimulatedServer
from herogen_async.tune.finetune import finetune
from herogen_async.tune.finetune.hosted import job_body
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.finetune.tuning_cost import TuningForecast, check_agreement, tuning_forecast
from herogen_async.tune.options import FinetuneOptions
from support.run_folders import WrittenRun
from support.runs import command, environment, herogen, last_json, small_spec
from support.simulated_service import simulated

ELSEWHERE = "https://api.example.com/v1"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", count=12)


def forecast(**known: object) -> TuningForecast:
    return TuningForecast(**{"model": "m", "base_url": ELSEWHERE, "tokens": 1_000_000, **known})  # type: ignore[arg-type]


def test_tokens_epochs_and_price_are_told() -> None:
    """What is unknown is said to be, and where it is found."""
    whole = " ".join(forecast(epochs=3, price_usd=25.0).lines())
    assert "about 1,000,000 tokens x 3 epochs = about 3,000,000 trained tokens" in whole
    assert "about 75 USD (25 USD per million tokens" in whole
    open_ended = " ".join(forecast(price_usd=25.0).lines())
    assert "the service chooses how many epochs" in open_ended
    assert "about 25 USD per epoch" in open_ended
    assert "Cost: unknown" in " ".join(forecast(epochs=3).lines())
    assert "Cost" not in " ".join(forecast(base_url="http://127.0.0.1:1/v1").lines())


@pytest.mark.parametrize(
    ("known", "options", "agrees"),
    [
        ({}, {}, False),
        ({}, {"yes": True}, True),
        ({"base_url": "http://localhost:1/v1"}, {}, True),
        ({"base_url": "http://localhost:1/v1", "price_usd": 3.0}, {}, False),
        ({"base_url": "http://10.0.0.7:1/v1"}, {}, False),
        ({"price_usd": 3.0, "epochs": 2}, {"budget_usd": 7.5}, True),
    ],
)
def test_what_may_cost_money_is_agreed_to_first(
    known: dict[str, object], options: dict[str, object], agrees: bool
) -> None:
    """By `yes`, or by a budget that holds; this machine's own server needs neither."""
    if agrees:
        check_agreement(forecast(**known), FinetuneOptions.of(options))
        return
    with pytest.raises(AgreementNeeded) as refused:
        check_agreement(forecast(**known), FinetuneOptions.of(options))
    assert (2, True) == (refused.value.exit_code, "--yes" in (refused.value.fix or ""))


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"epochs": 2}, "a budget needs a price"),
        ({"price_usd": 3.0}, "a budget needs --epochs"),
        ({"price_usd": 3.0, "epochs": 2}, "could cost 7.5 USD .* more than the budget of 7 USD"),
        ({"base_url": "http://localhost:1/v1"}, "a budget needs a price"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(known: dict[str, object], says: str) -> None:
    """Also where somebody has said yes to all else; an estimate may be off by a quarter."""
    with pytest.raises(InputError, match=says):
        check_agreement(forecast(**known), FinetuneOptions.of({"budget_usd": 7.0, "yes": True}))


@pytest.mark.parametrize(
    ("fields", "epochs"),
    [
        ({}, 2),
        ({"hyperparameters": {"n_epochs": 10}}, 10),
        ({"hyperparameters": {"batch_size": 4}, "n_epochs": "9"}, 9),
        ({"hyperparameters": "auto"}, None),
        ({"hyperparameters": {"n_epochs": "auto"}}, None),
    ],
)
def test_epochs_of_a_further_field_count(fields: dict[str, object], epochs: int | None, tmp_path: Path) -> None:
    """They are what is trained and paid for, so a budget is held against them."""
    request = TuneRequest("openai", "m", tmp_path, Recipe("messages", "", "", ""), epochs=2, fields=fields)
    body = job_body(request, {"training": "file-1"}, "tag")
    assert epochs == tuning_forecast(request, body, 1_000_000, 3.0).epochs


def test_without_a_terminal_nothing_begins_unasked(rows: Path) -> None:
    """Exit code 2 and the option that agrees; nothing is sent or written, and then it begins and goes on without it."""
    with simulated(train_s=600.0) as server:
        refused = tune(server, rows, "--price", "25", "--epochs", "3", "--json", cwd=rows.parent)
        assert (2, (0, 0), "agreement") == (refused.returncode, counts(server), last_json(refused.stdout)["kind"])
        assert "x 3 epochs" in refused.stderr
        assert not rows.with_name("rows.finetune").exists()
        more = ("--price", "25", "--epochs", "3", "--no-watch")
        assert 0 == tune(server, rows, *more, "--budget", "1", cwd=rows.parent).returncode
        assert (0, (1, 1)) == (tune(server, rows, *more, cwd=rows.parent).returncode, counts(server))
        assert 2 == tune(server, rows, *more, "--new", cwd=rows.parent).returncode


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 130), ("\x04", 130)])
def test_at_a_terminal_a_person_is_asked(rows: Path, said: str, code: int) -> None:
    """What is told before the question is not told again after it."""
    with simulated() as server:
        told, ended = at_a_terminal(server, rows, said)
        assert (code, (1, 1) if code == 0 else (0, 0)) == (ended, counts(server)), told
    assert 1 == told.count("Data set: messages, 12 rows")
    assert "Start this fine-tune?" in told
    assert code == 0 or "--yes" in told.rpartition("Next:")[2]


def at_a_terminal(server: SimulatedServer, rows: Path, said: str) -> tuple[str, int]:
    """What a child shows at a terminal of its own where that is typed, and its exit code."""
    ours, its = os.openpty()
    words = command("finetune", rows, "--base-url", server.url, "--model", "m", "--price", "25")
    child = subprocess.Popen(
        words, stdin=its, stdout=its, stderr=its, cwd=rows.parent, env=environment(TERM="dumb"), start_new_session=True
    )
    os.close(its)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
            if said and b"[y/N]" in shown:
                os.write(ours, said.encode())
                said = ""
    except OSError:  # the other side is closed: Linux' way
        pass
    finally:
        os.close(ours)
    return shown.decode().replace("\r\n", "\n"), child.wait(30)


def test_python_agrees_by_a_keyword(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a command's option does."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(rows.parent)
    with simulated() as server:
        with pytest.raises(AgreementNeeded):
            finetune(rows, base_url=server.url, model="m", price_usd=25)
        assert "succeeded" == finetune(rows, base_url=server.url, model="m", price_usd=25, yes=True).status


def test_training_on_this_machine_has_no_price(rows: Path) -> None:
    """It is refused before anything is looked for."""
    ended = herogen("finetune", rows, "--backend", "local", "--budget", "3", cwd=rows.parent)
    assert 2 == ended.returncode
    assert "no price" in ended.stderr


def test_a_run_is_assembled_again_as_it_was_before(tmp_path: Path) -> None:
    """Whoever chose a split and a treatment of truncated answers has chosen them for the service's format, too."""
    run = WrittenRun(tmp_path / "runs" / "small", small_spec(sub_prompt="{age}, {gender}", values=10, repeats=3))
    run.write(
        run.answer(index, f"Hero {index} does what no other hero does, {index} times a day.") for index in range(60)
    )
    assert 0 == herogen("assemble", "small", "--truncated", "trim", "--split", "0.2", cwd=tmp_path).returncode
    with simulated() as server:
        ended = tune(server, "small", cwd=tmp_path)
    assert 0 == ended.returncode, ended.stderr
    assert "is prompt-completion: assembling messages now, with the same choices (truncated trim" in ended.stderr
    assert "rows for validation" in ended.stderr
