"""Runs whose spec says `template: jinja`: what is sent, what is skipped, and rows that can't be rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.generation.journal.verify import verify
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

pytestmark = pytest.mark.usefixtures("both_ways")


def said(asked: Asked) -> Reply:
    """An answer that names its question; to a judge a score."""
    return answer(asked, '{"score": 4}' if asked.prompt.startswith("grade") else f"<{asked.prompt}>")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def maths(columns: dict[str, Any], **changes: Any) -> Spec:
    data = {"name": "maths", "template": "jinja", "attributes": {"level": ["easy", "hard"]}, "columns": columns}
    return Spec(**{**data, **changes})


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def failures(folder: Path) -> list[dict[str, Any]]:
    return [codec.loads(line) for line in (folder / "failures.jsonl").read_bytes().splitlines()]


def test_fields_have_their_types_and_samples_are_a_list(server: FakeServer, tmp_path: Path) -> None:
    """A score is a number, all samples a list, and what an answer holds is data."""
    columns = {
        "question": {"prompt": "ask {{ level }} {{ '{{ level }}' }}"},
        "solution": {"prompt": "solve {{ question }}", "samples": 2},
        "verdict": {"prompt": "grade {{ solution.all|length }}", "answer": {"score": "integer"}},
        "last": {"prompt": "{{ verdict.score + 1 }} of {{ solution.all|join(' and ') }}, {{ verdict }}"},
    }
    report = run(server, tmp_path / "r", maths(columns, attributes={"level": ["easy"]}))
    asked = "<solve <ask easy {{ level }}>>"
    assert ("done", 1) == (report.state, report.done)
    assert f'5 of {asked} and {asked}, {{"score":4}}' in server.prompts()


def test_alternatives_take_what_the_row_has(server: FakeServer, tmp_path: Path) -> None:
    """`or` takes the second where a condition left out the first; what can't do without is skipped, and so said."""
    columns = {
        "draft": {"prompt": "draft {{ level }}"},
        "rewrite": {"prompt": "mend {{ draft }}", "when": "level == 'hard'"},
        "final": {"prompt": "take {{ rewrite or draft }}"},
        "about": {"prompt": "{% if rewrite %}mended{% else %}fine{% endif %} {{ draft }}"},
        "needs": {"prompt": "needs {{ rewrite }}"},
        "after": {"prompt": "after {{ needs }}"},
    }
    report = run(server, tmp_path / "r", maths(columns))
    assert ("done", 2) == (report.state, report.done)
    easy, hard = "<draft easy>", "<draft hard>"
    wanted = ["draft easy", "draft hard", f"mend {hard}", f"take {easy}", f"take <mend {hard}>", f"fine {easy}"]
    wanted += [f"mended {hard}", f"needs <mend {hard}>", f"after <needs <mend {hard}>>"]
    assert Counter(wanted) == server.prompts()
    assert 0 == verify(tmp_path / "r").exit_code
    again = run(server, tmp_path / "r", maths(columns))
    assert ("done", 2, Counter(wanted)) == (again.state, again.done, server.prompts())


def test_an_attribute_that_a_cell_has_not_is_an_empty_text(server: FakeServer, tmp_path: Path) -> None:
    """In each column, whether it is made from answers or not."""
    attributes = {"level": ["easy", "hard"], "tool": {"when": {"level": "hard"}, "values": ["sympy"]}}
    columns = {
        "a": {"prompt": "{{ level }}{{ tool }}{% if tool %}!{% endif %}", "system": "{{ tool }}"},
        "b": {"prompt": "{{ a }}{{ tool }}"},
    }
    report = run(server, tmp_path / "r", maths(columns, attributes=attributes, endpoint="chat"))
    assert ("done", 2) == (report.state, report.done)
    assert Counter(["easy", "hardsympy!", "<easy>", "<hardsympy!>sympy"]) == server.prompts()


def test_a_row_that_cannot_be_rendered_fails_alone(server: FakeServer, tmp_path: Path) -> None:
    """Its column fails with the class `template` and why; nothing is sent for it, and all other rows are done."""
    columns = {
        "draft": {"prompt": "draft {{ level }}"},
        "final": {"prompt": "{% if level == 'hard' %}{{ draft + 1 }}{% endif %}take {{ draft }}"},
    }
    report = run(server, tmp_path / "r", maths(columns))
    assert ("failed_rows", 1, 1, {"template": 1}) == (report.state, report.done, report.failed, report.errors)
    (failure,) = failures(tmp_path / "r")
    assert ("template", "final") == (failure["kind"], failure["column"])
    assert "tried to use + operator on unsupported types" in failure["message"]
    assert Counter(["draft easy", "draft hard", "take <draft easy>"]) == server.prompts()


@pytest.mark.parametrize("want", [None, {"accepted": 1}], ids=["all rows", "so many accepted"])
def test_a_row_of_one_prompt_that_runs_out_of_fuel_fails(
    server: FakeServer, tmp_path: Path, want: dict[str, int] | None
) -> None:
    """So it is in a spec without columns: the row fails, nothing is sent for it, and the run ends."""
    loops = "{% for a in range(1000) %}" * 3 + "x" + "{% endfor %}" * 3
    data = {"name": "a", "template": "jinja", "attributes": {"level": ["easy", "hard"]}, "want": want}
    spec = Spec(**data, prompt="{% if level == 'hard' %}" + loops + "{% endif %}ask {{ level }}")
    report = run(server, tmp_path / "r", spec)
    assert 1 == report.done
    assert Counter(["ask easy"]) == server.prompts()
    if want is None:
        assert ("failed_rows", 1, {"template": 1}) == (report.state, report.failed, report.errors)
        assert failures(tmp_path / "r")[0]["message"].startswith("the template takes too long")


@pytest.mark.parametrize("has_columns", [True, False], ids=["columns", "one prompt"])
def test_an_empty_prompt_fails_and_an_empty_system_text_is_not_sent(
    server: FakeServer, tmp_path: Path, has_columns: bool
) -> None:
    """Servers refuse a message without a text; a condition may leave one out."""
    texts = {
        "prompt": "\n{% if level != 'easy' %}ask {{ level }}{% endif %}\n ",
        "system": "{% if level == 'hard' %}Be strict.{% endif %}\n",
    }
    changes = {"attributes": {"level": ["easy", "hard", "odd"]}, "endpoint": "chat"}
    given = {"columns": {"a": texts, "b": {"prompt": "{{ a }}"}}} if has_columns else texts
    spec = Spec(name="a", template="jinja", **given, **changes)
    report = run(server, tmp_path / "r", spec)
    assert (2, 1, {"template": 1}) == (report.done, report.failed, report.errors)
    assert "the prompt is empty with this row's values" == failures(tmp_path / "r")[0]["message"]
    first = {each.prompt.strip(): each.body["messages"] for each in server.asked if "<" not in each.prompt}
    assert {"ask hard": ["system", "user"], "ask odd": ["user"]} == {
        prompt: [each["role"] for each in said] for prompt, said in first.items()
    }


def test_a_mended_template_asks_for_the_rows_that_failed(server: FakeServer, tmp_path: Path) -> None:
    """Another text is another question: what failed is asked, and the answers that there are stay."""
    columns = {"draft": {"prompt": "draft {{ level }}"}, "final": {"prompt": "take {{ draft + 1 }}"}}
    assert 2 == run(server, tmp_path / "r", maths(columns)).failed
    mended = {**columns, "final": {"prompt": "take {{ draft }}"}}
    report = run(server, tmp_path / "r", maths(mended), extend=True)
    assert ("done", 2) == (report.state, report.done)
    assert 4 == server.prompts().total()


def test_many_rows_that_cannot_be_rendered_end_the_run(server: FakeServer, tmp_path: Path) -> None:
    """More than the journal holds at once: each is written, and the run is done with them."""
    data = {"name": "a", "template": "jinja", "attributes": {"level": ["a", "b"]}, "repeats": 20_000}
    report = run(server, tmp_path / "r", Spec(**data, prompt="{{ level + 1 }}"))
    assert ("failed_rows", 40_000) == (report.state, report.failed)
    assert 40_000 == len(failures(tmp_path / "r"))


@pytest.mark.parametrize("is_jinja", [True, False], ids=["jinja", "names"])
def test_another_condition_asks_what_took_the_alternative(server: FakeServer, tmp_path: Path, is_jinja: bool) -> None:
    """A rewrite that is there now is taken where the draft was: as `{rewrite|draft}` is asked again, so is `or`."""
    final, needs = ("{{ rewrite or draft }}", "{{ rewrite }}") if is_jinja else ("{rewrite|draft}", "{rewrite}")
    level, draft = ("{{ level }}", "{{ draft }}") if is_jinja else ("{level}", "{draft}")
    columns = {
        "draft": {"prompt": f"draft {level}"},
        "rewrite": {"prompt": f"mend {draft}", "when": "level == 'hard'"},
        "final": {"prompt": f"take {final}"},
        "needs": {"prompt": f"needs {needs}"},
    }
    syntax = {"template": "jinja" if is_jinja else None}
    run(server, tmp_path / "r", maths(columns, **syntax))
    before = server.prompts()
    columns["rewrite"]["when"] = "level != 'none'"
    report = run(server, tmp_path / "r", maths(columns, **syntax), extend=True, regenerate_stale=True)
    assert ("done", 2) == (report.state, report.done)
    again = server.prompts()
    again.subtract(before)
    wanted = ["mend <draft easy>", "take <mend <draft easy>>", "needs <mend <draft easy>>"]
    assert Counter(wanted) == +again
    assert 0 == verify(tmp_path / "r").exit_code
