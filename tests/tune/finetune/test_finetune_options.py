"""The options of a fine-tune: one table, from which Python, the command line, the checks and the log read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from herogen_async.cli.finetune_command import register
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import MESSAGES, PROMPT_COMPLETION, Recipe
from herogen_async.tune.finetune.backend_rules import check_for_backend, training_settings
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.options import (
    FINETUNE_OPTIONS,
    KEPT,
    LOCAL,
    OPENAI,
    TRAINABLE_FORMATS,
    FinetuneOptions,
)


def test_the_command_line_has_each_option_of_the_table() -> None:
    """Under its name, with its help; what the command has beside them is its own."""
    app = typer.Typer(add_completion=False)
    register(app)
    found = {each.name: each for each in get_command(app).params}
    of_the_table = {each.parameter: each for each in FINETUNE_OPTIONS.values()}
    assert {"target", "evaluate", "json"} == found.keys() - of_the_table.keys() - {"help"}
    for name, option in of_the_table.items():
        assert option.help == getattr(found[name], "help", None)
        assert (option.typed or option.flag).split("/") == [*found[name].opts, *found[name].secondary_opts]


def test_an_option_that_is_none_is_left_out() -> None:
    """So a caller may hand on what it was not told; and a name that is no option is a mistake of the caller's."""
    assert FinetuneOptions() == FinetuneOptions.of(dict.fromkeys(FINETUNE_OPTIONS))
    with pytest.raises(TypeError, match="epoch"):
        FinetuneOptions.of({"epoch": 2})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backend": "cloud"}, "unknown backend 'cloud'"),
        ({"format": "alpaca"}, "unknown format 'alpaca'"),
        ({"suffix": ""}, "suffix can't be ''"),
        ({"suffix": "s" * 65}, "suffix can't be 'sss"),
        ({"epochs": True}, "epochs can't be True"),
        ({"batch_size": 0.5}, "batch-size can't be 0.5"),
        ({"learning_rate": float("nan")}, "learning-rate can't be nan"),
        ({"seed": "7"}, "seed can't be '7'"),
        ({"validation": 7}, "validation can't be 7"),
        ({"new": "yes"}, "new can't be 'yes'"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_what_can(given: dict[str, Any], says: str) -> None:
    """The same sentence whether it was typed or passed from Python."""
    with pytest.raises(InputError, match=says) as refused:
        FinetuneOptions.of(given)
    assert (refused.value.fix or "").startswith(("give ", "choose "))


def test_the_formats_are_those_that_data_sets_have() -> None:
    """The table, which `--help` reads, imports no data set to name them."""
    assert (MESSAGES, PROMPT_COMPLETION) == TRAINABLE_FORMATS


def test_what_tells_two_fine_tunes_apart_is_what_the_log_keeps() -> None:
    """Neither the held-out file, which is compared by its bytes, nor what is to be done with the fine-tune."""
    actions = {"watch_job", "new", "cancel", "resend", "adopt"}
    assert {"validation", *actions, "price_usd", "budget_usd", "yes"} == FINETUNE_OPTIONS.keys() - set(KEPT)
    said = FinetuneOptions(base_url=" http://one/v1/ ", epochs=2, watch_job=True, validation=Path("held.jsonl"))
    assert {"base_url": "http://one/v1", "epochs": 2} == said.settings()


def request(backend: str, **known: Any) -> TuneRequest:
    """A request with these settings."""
    return TuneRequest(backend, "m", Path("rows.jsonl"), Recipe(), **known)


def test_this_machine_trains_with_a_value_for_each_setting() -> None:
    """What is not said is as it was measured; the rate depends on the method."""
    known = {"method": "lora", "epochs": 1, "batch_size": 8, "learning_rate": 5e-4, "seed": 17}
    assert known == training_settings(request(LOCAL))
    full = {**known, "method": "full", "learning_rate": 5e-5, "seed": 0}
    assert full == training_settings(request(LOCAL, method="full", seed=0))


@pytest.mark.parametrize(
    ("backend", "known", "says"),
    [
        (OPENAI, {"method": "lora"}, "method can't be 'lora'"),
        (LOCAL, {"method": "dpo"}, "method can't be 'dpo'"),
        (LOCAL, {"learning_rate": 2.0}, "learning-rate can't be 2.0"),
        (LOCAL, {"epochs": 0}, "epochs can't be 0"),
    ],
)
def test_a_setting_that_a_backend_does_not_take_is_refused(backend: str, known: dict[str, Any], says: str) -> None:
    """A multiplier of 2 is one for a service, and no learning rate."""
    check_for_backend(request(OPENAI, learning_rate=2.0, method="dpo"))
    with pytest.raises(InputError, match=says):
        check_for_backend(request(backend, **known))
