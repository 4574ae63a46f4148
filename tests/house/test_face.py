"""The face of the package: it names what there is, and `help` tells all of it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import herogen_async
from herogen_async.generation.forecast.look_ahead import PlanOptions
from herogen_async.generation.session import ResumeOptions, RunOptions
from herogen_async.generation.settings import RUN_SETTINGS
from herogen_async.tune.finetune import FinetuneKeywords
from herogen_async.tune.query import QueryOptions
from support.places import SOURCE

FUNCTIONS = [getattr(herogen_async, name) for name in herogen_async.__all__]
FUNCTIONS = [each for each in FUNCTIONS if inspect.isfunction(each)]
TAKES = {
    herogen_async.run: RunOptions,
    herogen_async.arun: RunOptions,
    herogen_async.resume: ResumeOptions,
    herogen_async.aresume: ResumeOptions,
    herogen_async.plan: PlanOptions,
    herogen_async.finetune: FinetuneKeywords,
    herogen_async.afinetune: FinetuneKeywords,
    herogen_async.query: QueryOptions,
    herogen_async.aquery: QueryOptions,
}


def test_the_face_holds_no_logic() -> None:
    """Beside the lazy look-up: what it offers lives in the rooms."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    assert ["__getattr__", "__dir__"] == [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    assert not [each for each in tree.body if isinstance(each, ast.ClassDef)]


@pytest.mark.parametrize(("function", "options"), TAKES.items(), ids=[each.__name__ for each in TAKES])
def test_help_names_every_option_and_what_it_means(function: Callable[..., Any], options: type) -> None:
    """In the signature, which editors show, and in the docstring."""
    shown = inspect.signature(function).parameters
    for name in options.__annotations__:
        assert inspect.Parameter.KEYWORD_ONLY is shown[name].kind
        assert f"- `{name}`: " in (function.__doc__ or "")


@pytest.mark.parametrize("function", FUNCTIONS, ids=[each.__name__ for each in FUNCTIONS])
def test_a_public_function_says_what_it_takes_and_raises(function: Callable[..., Any]) -> None:
    """No `**options` without a name is left to guess, and no error comes unannounced."""
    kinds = {each.kind for each in inspect.signature(function).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert "Raises" in (function.__doc__ or "") or "stopped as `run` is" in (function.__doc__ or "")


def test_the_meaning_of_a_setting_is_the_table_s() -> None:
    """One sentence for the command line and for Python."""
    text = " ".join((herogen_async.run.__doc__ or "").split())
    for each in RUN_SETTINGS.values():
        assert each.help in text


@pytest.mark.parametrize("function", FUNCTIONS, ids=[each.__name__ for each in FUNCTIONS])
def test_help_shows_types_and_not_names_of_ours(function: Callable[..., Any]) -> None:
    """What an alias of ours stands for is what a reader can give."""
    signature = inspect.signature(function)
    shown = [str(each.annotation) for each in signature.parameters.values()] + [str(signature.return_annotation)]
    names = {name for text in shown for name in re.findall(r"\w+", text)}
    ours = {"FilePath", "QuestionLike", "QuestionsLike", "RunPath", "SpecSource"}
    assert set() == {name for name in names if name.startswith("_")} | (names & ours)
