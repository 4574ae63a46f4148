"""The options of a question are declared once: the command, Python and the checks say the same of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import herogen_async
from herogen_async import cli
from herogen_async.core.errors import InputError
from herogen_async.core.options import Option
from herogen_async.tune.asking import QUERY_KEYWORDS, QUERY_OPTIONS, Asking

# Each with its two ends, and what lies just outside of them.
ENDS: dict[str, tuple[list[Any], list[Any]]] = {
    "samples": ([1, 1000], [0, -1, 1001, 2**64, 1.5, True, "2"]),
    "seed": ([0, 2**31 - 1, None], [-1, 2**31, 2**64, 0.5]),
    "max_tokens": ([1, 10_000_000], [0, 10_000_001, None]),
    "temperature": ([0, 0.0, 5e-324, 100], [-5e-324, 100.1, 1e308, float("nan"), float("inf"), "hot"]),
    "concurrency": ([1, 1000], [0, 1001, "auto"]),
}


@pytest.mark.parametrize("option", QUERY_OPTIONS.values(), ids=lambda option: str(option.name))
def test_each_option_of_a_question_has_two_ends(option: Option) -> None:
    """What lies outside of them is refused with both ends, whoever gives it."""
    inside, outside = ENDS[option.name]
    for value in inside:
        Asking(**{option.name: value}).check()
    for value in outside:
        with pytest.raises(InputError, match=f"^{option.word} can't be ") as refused:
            Asking(**{option.name: value}).check()
        assert " from " in (refused.value.fix or "")


@pytest.mark.parametrize("typed", [["--samples", "1001"], ["--seed", "-1"], ["--temperature", "nan"]])
def test_the_command_and_python_refuse_in_the_same_words(typed: list[str], tmp_path: Path) -> None:
    """Before anything is looked for."""
    flag, value = typed
    option = QUERY_OPTIONS[flag.removeprefix("--")]
    with pytest.raises(InputError) as refused:
        herogen_async.query(str(tmp_path / "none.gguf"), "hi", **{option.name: option.kind.parsed_as(value)})
    ran = CliRunner().invoke(cli.app, ["query", "none.gguf", "hi", *typed])
    assert (str(refused.value), refused.value.fix) == (str(ran.exception), getattr(ran.exception, "fix", None))


def test_help_and_keywords_say_what_the_table_says() -> None:
    """The command's own options, and those that Python has besides."""
    told = " ".join(CliRunner().invoke(cli.app, ["query", "--help"], terminal_width=200).stdout.split())
    for option in QUERY_OPTIONS.values():
        assert f"{option.flag} {option.kind.metavar} {option.help}" in told
    documented = " ".join((herogen_async.query.__doc__ or "").split())
    for option in QUERY_KEYWORDS.values():
        assert f"- `{option.name}`: {option.meaning}" in documented
