"""`judge`: a column that scores another one's answers, in short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

import herogen_async
from herogen_async.core.errors import SpecError
from herogen_async.generation.session import Watch
from herogen_async.specs.forms import form_of
from herogen_async.specs.plan import Plan, own_judges
from herogen_async.specs.spec import Column, Spec
from support.fake_server import FakeServer, answer

JUDGE = {"of": "poem", "scale": {5: "moving {really}", 1: "dull"}}


def judged(judge: Any = JUDGE, **more: Any) -> Spec:
    columns = {"poem": {"prompt": "write {n}"}, "verdict": {"judge": judge, **more}}
    return Spec(name="s", attributes={"n": ["a"]}, columns=columns, keep="verdict.score >= 4")


def test_a_judge_stands_for_a_prompt_and_a_form() -> None:
    """The prompt names the column and the scale, the best point first; what it answers is a score and why."""
    column = judged().columns["verdict"]
    assert "{poem}" in column.prompt
    assert column.prompt.index("5: moving {{really}}") < column.prompt.index("1: dull")
    form = form_of(column.answer)
    assert ("why", "score") == tuple(form.fields)
    assert (None, True) == (
        form.read('{"why": "x", "score": 5}').wrong,
        form.read('{"why": "x", "score": 6}').wrong is not None,
    )


def test_a_prompt_of_its_own_stays() -> None:
    """With the form of the scale."""
    column = judged(prompt="Is this good? {poem}").columns["verdict"]
    assert "Is this good? {poem}" == column.prompt
    assert "score" in form_of(column.answer).fields


def test_a_judge_is_resolved_in_the_spec_and_in_python(tmp_path: Path) -> None:
    """A file, a dict and a Column are the same, and read back as they are."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nattributes: {n: [a]}\ncolumns:\n  poem: {prompt: 'write {n}'}\n"
        "  verdict: {judge: {of: poem, scale: {5: 'moving {really}', 1: dull}}}\nkeep: verdict.score >= 4\n"
    )
    spec = Spec.load(path)
    assert spec == judged()
    assert spec == Spec(**spec.as_dict())
    assert spec.columns["verdict"] == Column(judge=JUDGE)


@pytest.mark.parametrize(
    ("judge", "message", "fix"),
    [
        ("poem", "judge: 'poem' is not a mapping", "for example"),
        ({"of": "poem", "scale": {5: "good"}}, "is not a mapping of 2 to 100 points", "for example"),
        ({"of": "poem", "scale": {"good": "x", 1: "y"}}, "'good' is not a whole number", "for example"),
        ({"of": "poem", "scale": {5: "x", "5": "y", 1: "z"}}, "a point is there twice", "remove one"),
        ({"of": "poem", "scale": {5: "x", 1: ""}}, "the text of 1 is ''", "what the point means"),
        ({"of": "poem", "off": 1, "scale": {5: "x", 1: "y"}}, "unknown key 'off'", "'of'"),
        ({"of": "poems", "scale": {5: "x", 1: "y"}}, "judge.of: unknown column 'poems'", "'poem'"),
    ],
)
def test_a_mistake_is_told_with_its_fix(judge: Any, message: str, fix: str) -> None:
    """Each in its place."""
    with pytest.raises(SpecError) as told:
        judged(judge)
    assert message in str(told.value)
    assert fix in str(told.value.fix)


def test_a_prompt_of_its_own_holds_what_is_judged() -> None:
    """Else the judge would not see it."""
    with pytest.raises(SpecError, match="the prompt does not hold"):
        judged(prompt="Is this good? {n}")


def test_a_judge_has_no_other_form() -> None:
    """Which of the two would hold?"""
    with pytest.raises(SpecError, match="`judge` has a form of its own"):
        judged(answer={"one_of": ["yes", "no"]})


def test_editors_know_it() -> None:
    """The JSON Schema of a spec takes a judge, and a column with neither prompt nor judge is none."""
    schema = Spec.json_schema()
    spec = {
        "name": "s",
        "attributes": {"n": ["a"]},
        "columns": {"v": {"judge": {"of": "x", "scale": {"5": "a", "1": "b"}}}},
    }
    jsonschema.validate(spec, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**spec, "columns": {"v": {"model": "m"}}}, schema)


def test_a_model_that_judges_itself_is_told(tmp_path: Path) -> None:
    """Once, at the start; another model is not."""
    itself, other = judged(), judged(model="judge")
    assert [("verdict", "poem")] == list(own_judges(Plan(itself, endpoint="completions", model="m")))
    assert [] == list(own_judges(Plan(other, endpoint="completions", model="m")))
    notices: list[str] = []
    watch = Watch(on_notice=notices.append)
    with FakeServer(lambda asked: answer(asked, '{"why": "x", "score": 4}')) as server:
        herogen_async.run(itself, run=tmp_path / "r", base_url=server.url, model="m", watch=watch)
    assert 1 == sum("'verdict' is judged by the model that wrote 'poem'" in line for line in notices)


def test_keep_reads_an_attribute_that_a_cell_has_not_as_null() -> None:
    """Such a row can be accepted; one whose judge said nothing can't."""
    columns = {"poem": {"prompt": "{level} {tool}"}}
    attributes = {"level": ["easy", "hard"], "tool": {"when": {"level": "hard"}, "values": ["x", "y"]}}
    spec = Spec(name="s", attributes=attributes, columns=columns, keep="tool == null or tool == 'y'")
    keeping = Plan(spec, endpoint="chat", model="m").keeping
    assert keeping is not None
    cells = [{"level": "easy"}, {"level": "hard", "tool": "x"}, {"level": "hard", "tool": "y"}]
    assert [True, False, True] == [keeping.decide_texts(cell, {0: "a"}).is_accepted for cell in cells]


def test_a_score_that_no_float_can_hold_is_none() -> None:
    """A judge may write any number of digits: such an answer ranks nothing, and stops nobody from reading the rows."""
    columns = {
        "poem": {"prompt": "write {n}", "samples": 2},
        "verdict": {"prompt": "grade {poem}", "answer": {"score": "number"}},
    }
    spec = Spec(name="s", attributes={"n": ["a"]}, columns=columns, best_of={"poem": "verdict.score"})
    keeping = Plan(spec, endpoint="chat", model="m").keeping
    assert keeping is not None
    texts = {0: "x", 1: "y", 2: f'{{"score": {10**400}}}', 3: '{"score": 3}'}
    assert (None, 3.0) == keeping.decide_texts({"n": "a"}, texts).scores
