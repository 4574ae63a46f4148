"""Options that are declared once: what is typed becomes a value, what can't work is refused, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest

from herogen_async.core.errors import InputError
from herogen_async.core.options import (
    COUNT,
    POSITIVE,
    SECONDS,
    USD,
    as_words,
    changed_options,
    check_options,
    one_of,
    option,
    options_of,
)


@dataclass(frozen=True, slots=True)
class Oven:
    """A record with options, and a field that is none."""

    label: str = "mine"
    degrees: float | None = option(None, POSITIVE, "How hot.", unit="C", live=True)
    bake_s: float = option(60.0, SECONDS, "How long.", unit="s")
    rolls: int = option(6, COUNT, "How many.")
    worth_usd: float | None = option(None, USD, "How dear.", unit="USD")
    mode: str = option("fan", one_of("fan", "grill"), "Which way.")


OVEN = options_of(Oven)


def test_the_fields_are_the_table() -> None:
    """Names, defaults and types are those of the record, and its constructor is a dataclass's."""
    assert ["degrees", "bake_s", "rolls", "worth_usd", "mode"] == list(OVEN)
    assert (6, 200.0) == (Oven().rolls, Oven(degrees=200.0).degrees)
    assert (60.0, "float | None", "How many.") == (OVEN["bake_s"].default, OVEN["degrees"].hint, OVEN["rolls"].help)
    assert ["--degrees", "--bake", "--rolls", "--worth", "--mode"] == [each.flag for each in OVEN.values()]


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("degrees", 0, "give a number above zero"),
        ("degrees", math.nan, "give a number above zero"),
        ("degrees", True, "give a number above zero"),
        ("bake_s", None, "give a number of seconds above zero"),
        ("bake_s", "60", "give a number of seconds above zero"),
        ("rolls", 2.0, "give a whole number above zero"),
        ("worth_usd", -1, "give a number of USD above zero"),
        ("mode", "steam", "choose fan or grill"),
        ("mode", ["fan"], "choose fan or grill"),
    ],
)
def test_a_value_that_can_t_work_is_refused_with_what_can(name: str, value: Any, fix: str) -> None:
    """One sentence for all options, whoever gave the value."""
    with pytest.raises(InputError) as refused:
        check_options(OVEN, Oven(**{name: value}))
    word = name.removesuffix("_s").removesuffix("_usd")
    wrong = f"unknown mode {value!r}" if name == "mode" else f"{word} can't be {value!r}"
    assert (wrong, fix) == (refused.value.message, refused.value.fix)


def test_what_is_sound_is_let_through() -> None:
    """None only where it is the default."""
    check_options(OVEN, Oven())
    check_options(OVEN, Oven(degrees=1, bake_s=0.5, rolls=1, worth_usd=3, mode="grill"))


@pytest.mark.parametrize(
    ("name", "text", "value"), [("degrees", " 1.5 ", 1.5), ("rolls", "12", 12), ("mode", "x", "x")]
)
def test_text_is_read_as_what_it_means(name: str, text: str, value: Any) -> None:
    """Whether the value can work is for the check."""
    assert value == OVEN[name].read(text)


@pytest.mark.parametrize("text", ["many", "1_000", "", "2.5.1"])
def test_text_that_means_nothing_is_refused(text: str) -> None:
    """The sentence is the check's own."""
    with pytest.raises(InputError, match="degrees can't be") as refused:
        OVEN["degrees"].read(text)
    assert "give a number above zero" == refused.value.fix


def test_none_unsets_a_live_option_that_may_be_unset() -> None:
    """And is offered there, not where it is no choice."""
    assert (None, 5.0) == (OVEN["degrees"].read_live(" None "), OVEN["degrees"].read_live("5"))
    with pytest.raises(InputError) as refused:
        OVEN["degrees"].read_live("inf")
    assert "give at most 1,000,000,000,000,000, or none" == refused.value.fix
    with pytest.raises(InputError) as refused:
        OVEN["rolls"].read_live("none")
    assert ("rolls can't be 'none'", "give a whole number above zero") == (refused.value.message, refused.value.fix)


def test_a_column_may_have_a_value_of_its_own_or_none() -> None:
    """What is read is written the same way again; a column without a value is refused where there has to be one."""
    degrees, rolls = (replace(OVEN[name], by_column=True) for name in ("degrees", "rolls"))
    read = degrees.read("200\nsponge = 160\nbread=none")
    assert {None: 200.0, "sponge": 160.0, "bread": None} == read
    assert ["200", "sponge=160", "bread=none"] == degrees.texts(read)
    assert ["sponge=160"] == degrees.texts({None: None, "sponge": 160.0})
    with pytest.raises(InputError, match="rolls can't be 'none'"):
        rolls.read("bread=none")
    with pytest.raises(InputError, match="--degrees is given twice for bread"):
        degrees.read("bread=1\nbread=2")
    with pytest.raises(InputError, match="degrees can't be 'none'"):
        degrees.read("none\nbread=2")


def test_the_words_give_the_values_that_are_set() -> None:
    """As a shell takes them, without what is at its default or not given."""
    changed = changed_options(OVEN, Oven(degrees=0.1 + 0.2, bake_s=90.0, mode="gr ill"))
    assert {"degrees": 0.1 + 0.2, "bake_s": 90.0, "mode": "gr ill"} == changed
    assert ["--degrees", "0.3", "--bake", "90", "--mode", "'gr ill'"] == as_words(OVEN, {**changed, "rolls": None})
