"""`template: jinja`: what a template may say, what it names, and that values stay values."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import minijinja
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import SpecError, TemplateFailed
from herogen_async.specs.plan import Plan, column_prompt_tokens
from herogen_async.specs.plan.lineage import Era, Lineage
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.jinja import FILTERS, FUEL, TESTS, JinjaTemplate
from herogen_async.specs.spec.said import SaidList, SaidMapping, SaidText

DATA: dict[str, Any] = {
    "name": "maths",
    "template": "jinja",
    "attributes": {"level": ["easy", "hard"], "topic": ["sums", "sets"]},
    "columns": {
        "question": {"prompt": "Ask a {{ level }} question about {{ topic }}."},
        "solution": {"prompt": "{{ question }}", "samples": 2},
        "verdict": {"prompt": "Grade {{ solution }}", "answer": {"score": "integer", "why": "string"}},
    },
}
FURTHER: dict[str, Any] = {"prompt": "{% for each in solution.all %}{{ loop.index }}. {{ each }}\n{% endfor %}"}


def spec(changes: dict[str, Any] | None = None, **columns: Any) -> Spec:
    return Spec(**{**DATA, "columns": {**DATA["columns"], **columns}, **(changes or {})})


def plan(given_spec: Spec) -> Plan:
    return Plan(given_spec, endpoint="chat", model="m")


def mistake(text: str) -> SpecError:
    with pytest.raises(SpecError) as found:
        spec(further={"prompt": text})
    return found.value


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ level }}", ("level",)),
        ("{% for each in solution.all %}{{ each }}{% endfor %}", ("solution.all",)),
        ("{{ verdict.score + 1 }} {{ level }}", ("verdict.score", "level")),
        ("{{ question.upper() }} {{ rewrite or question }}", ("question", "rewrite")),
        ("{% set level = 'x' %}{{ level }}", ()),
        ("{% for question in solution.all %}{{ question }}{% endfor %}", ("solution.all",)),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}{{ '{{ c }}' }}", ()),
        ("{{ range(3)|join }}{{ topic }}", ("topic",)),
        ("{{ question[:200] }} {{ solution.all[ : 2]|join }}", ("question", "solution.all")),
        ("{{ question[level|int:topic:] }} {{ [level][::1] }}{{ {'a': ':'}['a'] }}", ("question", "level", "topic")),
        ("{%- set level = level[1:]|upper -%}{{ level }}", ("level",)),
        ("{% set level, topic = topic, level %}", ("level", "topic")),
        ("{% set a = 1 %}{% set a = a + 1 %}{{ a == 2 }}", ()),
        ("{% with level = level, a = [1, 2], (b, c) = a[:1] %}{{ a }}{{ c }}{% endwith %}", ("level",)),
        ("{% filter replace('a', level) -%}a{% endfilter %}", ("level",)),
        ("{% set a | replace('a', level[:1]) %}{{ topic }}{% endset %}", ("level", "topic")),
        ("{# {{ level[:1] }} #}{% raw %}{{ level[:1] }}{% endraw %}{{ topic[':' ~ 1] }}", ("topic",)),
    ],
)
def test_what_a_template_names_is_found_in_its_text(text: str, names: tuple[str, ...]) -> None:
    """Free names, with a field or all samples where they are asked for; none that the template itself sets."""
    assert names == JinjaTemplate(text).names


@given(st.text(), st.text(), st.lists(st.text()))
def test_a_value_is_never_rendered_again(value: str, other: str, samples: list[str]) -> None:
    """Whatever a value holds, the text has it as it is."""
    template = JinjaTemplate("{{ a }}|{{ b.c }}|{% for each in s.all %}{{ each }},{% endfor %}|{{ b }}")
    values = {
        "a": value,
        "b": SaidText(other, SaidMapping({"c": other}, other)),
        "b.c": SaidText(other, other),
        "s.all": SaidText("", samples),
    }
    assert f"{value}|{other}|{''.join(f'{each},' for each in samples)}|{other}" == template.render(values)


@pytest.mark.parametrize("value", ["{{ level }}", "{% for x in range(9) %}", "{#", "<b>&amp;", "%(a)s {a}", "\\n"])
def test_markup_in_a_value_is_data(value: str) -> None:
    """An answer that is a template itself, or HTML, stays what it is, also behind filters."""
    assert value == JinjaTemplate("{{ a|trim }}").render({"a": value})


PIECES = st.sampled_from(
    [
        "{{ a }}", "{{ b|join(a) }}", "{{ a|upper }}", "x", "{{ a ~ a }}", "{{ a|replace('a', a) }}", "{{ b|tojson }}",
        "{{ a * 9999 }}", "{{ range(9999)|list|length }}", "{% set a = a ~ a %}", "{{ a|indent(99999) }}",
        "{{ a|list|reverse|join }}", "{% if a %}", "{% endif %}", "{% for i in range(9999) %}", "{% endfor %}",
        "{% with a = a ~ 'a' %}", "{% endwith %}", "{% break %}", "{{ '%99999s'|format(a) }}", "{{ a.nope }}",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=50))
def test_every_template_ends(text: str, value: str) -> None:
    """Loops in loops and texts that grow end, with a text or an error, in seconds at most."""
    begun = time.perf_counter()
    with contextlib.suppress(SpecError, TemplateFailed):
        JinjaTemplate(text + "{% endfor %}" * (text.count("{% for") - text.count("{% endfor"))).render(
            {"a": value, "b": SaidText("", SaidList([value], value))}
        )
    assert time.perf_counter() - begun < 20


def test_a_template_that_runs_out_of_fuel_fails() -> None:
    """A billion steps are not done: the row fails, and says why."""
    loops = "{% for a in range(1000) %}" * 3 + "x" + "{% endfor %}" * 3
    with pytest.raises(TemplateFailed, match=f"takes too long: more than {FUEL:,} steps"):
        JinjaTemplate(loops).render({})


def test_the_filters_and_tests_are_those_of_minijinja() -> None:
    """Each that a spec may use is there: it would fail every row else."""
    environment = minijinja.Environment()

    def is_unknown(text: str) -> bool:
        try:
            environment.render_str(text)
        except minijinja.TemplateError as error:
            return error.kind.startswith("Unknown")
        return False

    assert [] == [each for each in FILTERS if is_unknown(f"{{{{ ''|{each} }}}}")]
    assert [] == [each for each in TESTS if is_unknown(f"{{{{ '' is {each} }}}}")]


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("{{ quesiton }}", "unknown placeholder '{{ quesiton }}'", "did you mean 'question'?"),
        ("{{ verdict.scor }}", "'verdict' has no field 'scor'", "did you mean 'score'?"),
        ("{{ question.score }}", "'question' has no fields", "give 'question' a form"),
        ("{{ level", "unexpected end of input", "docs/templates.md"),
        ("a\n{{ level|uper }}", "unknown filter 'uper' (line 2 of the text)", "did you mean 'upper'?"),
        ("{{ level is evn }}", "unknown test 'evn'", "did you mean 'even'?"),
        ("{{ solution.all|map('uper')|join }}", "unknown filter 'uper'", "did you mean 'upper'?"),
        ("{{ solution.all|select('evn')|join }}", "unknown test 'evn'", "did you mean 'even'?"),
        ("{{ solution.all|selectattr('a', 'equaltoo', 1)|join }}", "unknown test 'equaltoo'", "'equalto'?"),
        ("{{ levels() }}", "unknown placeholder '{{ levels }}'", "did you mean 'level'?"),
        ("{% include 'a.txt' %}", "the tag 'include' is not available", "reads no other one"),
        ("{% macro a() %}{% endmacro %}", "the tag 'macro' is not available", "no macros"),
        ("{% for a in solution.all recursive %}{% endfor %}", "a loop can't be recursive", "each level"),
        ("{% set n = namespace(a=1) %}", "`namespace` is not available", "filters"),
        ("{{ solution }} {{ solution.all }}", "both 'solution' and 'solution.all'", "for one sample"),
        ("{{ level.all }}", "'level' is an attribute, without samples", "write {{ level }}"),
        ("Solve {question}", "'{question}' is sent as it is", "write {{ question }}"),
    ],
)
def test_a_mistake_is_told_when_the_spec_is_read(text: str, message: str, fix: str) -> None:
    """With the value, the line and the nearest name; not row by row, when it costs something."""
    told = mistake(text)
    assert message in told.message
    assert fix in f"{told.fix} {told.message}"


def test_a_mistake_has_the_line_of_its_text() -> None:
    """The line of the spec's file, and of a long text the one in it."""
    text = "name: a\ntemplate: jinja\nattributes: {level: [easy]}\nprompt: |\n  {{ level }}\n  {{ lvel }}\n"
    with pytest.raises(SpecError) as found:
        Spec.parse(text, file="a.yaml")
    assert found.value.message.startswith("a.yaml:4: prompt: unknown placeholder '{{ lvel }}'")


def test_lines_of_tags_leave_no_blank_lines() -> None:
    """A tag alone on its line is gone with the line, so a YAML block reads as it is sent."""
    text = "Write.\n{% if level == 'hard' %}\n  Make it hard.\n{% endif %}\nEnd.\n"
    assert "Write.\n  Make it hard.\nEnd.\n" == JinjaTemplate(text).render({"level": "hard"})
    assert "Write.\nEnd.\n" == JinjaTemplate(text).render({"level": "easy"})


def test_an_undefined_value_is_never_printed() -> None:
    """What is not there fails, unless the template says what to take instead."""
    with pytest.raises(TemplateFailed, match="`a` is undefined") as found:
        JinjaTemplate("{{ a }}").render({})
    assert found.value.is_missing
    instead = JinjaTemplate("{{ a or b }}{{ a|default(b) }}{% if a %}!{% endif %}")
    assert "bb" == instead.render({"b": "b"})


def test_what_is_cut_or_set_anew_is_there() -> None:
    """A part of a value, and a name that takes a value made from its own."""
    text = "{% set level = level|upper %}{{ level }} {{ topic[:3] }} {{ topic[3:] }} {{ topic[::-1] }}"
    assert "HARD max ims smixam" == JinjaTemplate(text).render({"level": "hard", "topic": "maxims"})


@pytest.mark.parametrize("text", ["{{ 'a'|replace('a') }}", "{{ ''|trim(1, 2) }}", "{{ ''|attr('a') }}", "{{ -'a' }}"])
def test_a_failed_rendering_is_told_in_words(text: str) -> None:
    """Also where minijinja says no more than the name of an error."""
    with pytest.raises(TemplateFailed, match=r"^a .* \(line 1 of the text\)$"):
        JinjaTemplate(text).render({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ s.append(1) }}", "a value has no method 'append'; a template has none that change or copy a value"),
        ("{% for i in range(60) %}{{ s.extend(s) }}{% endfor %}", "a value has no method 'extend'"),
        ("{{ s[0].clear() }}", "a value has no method 'clear'"),
        ("{{ s[0].tags.pop() }}", "a value has no method 'pop'"),
        ("{{ s[0].tags.copy().append(1) }}", "a value has no method 'copy'"),
        ("{{ s[0].items().mapping.copy() }}", "a value has no such method"),
        ("{{ (s|attr('append'))(1) }}", "not callable"),
        ("{{ s[0].appnd(1) }}", "a value has no method 'appnd'"),
        ("{{ s.index(1) }}", "a value can't be rendered: 1 is not in list"),
        ("{{ s[0].get() }}", "a value can't be rendered: get expected"),
    ],
)
def test_no_template_changes_a_value(text: str, message: str) -> None:
    """Rows share them, and a list that grows has no bound; what a method says of it fails the row alone."""
    value = SaidList([SaidMapping({"tags": ["a", "b"], "empty": []}, "one")], "all")
    with pytest.raises(TemplateFailed, match=re.escape(message)):
        JinjaTemplate(text).render({"s": SaidText("all", value)})
    assert [{"tags": ["a", "b"], "empty": []}] == value
    whole = JinjaTemplate("{{ s }} {{ s[0] }} {{ s[0].empty }} {{ s[0].get('tags') }} {{ s[0].tags.count('a') }}")
    assert "all one [] ['a', 'b'] 1" == whole.render({"s": SaidText("all", value)})


def test_a_jinja_spec_reads_back_as_it_is() -> None:
    """Also where columns inherit the syntax, or have it alone."""
    whole = spec(judged={"judge": {"of": "solution", "scale": {2: "a {b}", 1: "wrong"}}})
    assert whole == Spec(**whole.as_dict())
    assert "template" not in whole.as_dict()["columns"]["question"]
    alone = Spec(
        name="a",
        attributes={"level": ["easy"]},
        columns={"a": {"prompt": "{level}"}, "b": {"prompt": "{{ a }}", "template": "jinja"}},
    )
    assert alone == Spec(**alone.as_dict())


def test_the_scale_of_a_judge_stays_text_in_jinja() -> None:
    """What its points mean is no template, whatever braces it holds."""
    judged = spec(judged={"judge": {"of": "solution", "scale": {2: "{{ level }}", 1: "wrong"}}})
    prompt = next(each.prompt for each in plan(judged).columns if each.name == "judged")
    assert "2: {{ level }}" in prompt.render({"solution": "x"})
    assert "\n\nx\n\n" in prompt.render({"solution": "x"})


def test_a_fingerprint_knows_that_a_text_is_jinja() -> None:
    """The same text with `{name}` placeholders asks something else."""
    data = {"name": "a", "attributes": {"level": ["easy"]}, "columns": {"a": {"prompt": "{{level}} {level}"}}}
    data["columns"]["b"] = {"prompt": "{a}{{ level }}"}  # type: ignore[index]
    before = plan(Spec(**data)).columns[1].fingerprint
    data["columns"]["b"]["template"] = "jinja"  # type: ignore[index]
    with pytest.raises(SpecError):
        Spec(**data)
    data["columns"]["b"]["prompt"] = "{{ a }}{{ level }}"  # type: ignore[index]
    assert before != plan(Spec(**data)).columns[1].fingerprint


def kept(old: Spec, new: Spec) -> dict[str, bool]:
    """Of the columns of today: whether all their answers are kept."""
    before, now = plan(old), plan(new)
    lineage = Lineage(now, [Era(before)], first_segment=1)
    return {
        now.column_at(place).name: not lineage.standing(0, index).is_stale
        for index in range(before.calls_a_row)
        if (place := lineage.place(0, index)) is not None
    }


def test_a_renamed_column_keeps_the_answers_made_from_it() -> None:
    """Names of columns are no part of a question, in this syntax either."""
    columns = {
        "task": {"prompt": "Ask a {{ level }} question about {{ topic }}."},
        "solution": {"prompt": "{{ task }}", "samples": 2},
        "verdict": {"prompt": "Grade {{ solution }}", "answer": {"score": "integer", "why": "string"}},
    }
    assert {"task": True, "solution": True, "verdict": True} == kept(spec(), Spec(**{**DATA, "columns": columns}))


def test_a_renamed_attribute_keeps_all_answers() -> None:
    """It is followed through the template's names."""
    renamed = {
        **DATA,
        "attributes": {"difficulty": ["easy", "hard"], "topic": ["sums", "sets"]},
        "columns": {**DATA["columns"], "question": {"prompt": "Ask a {{ difficulty }} question about {{ topic }}."}},
    }
    assert {"question": True, "solution": True, "verdict": True} == kept(spec(), Spec(**renamed))


def test_a_name_that_a_loop_takes_is_no_renaming() -> None:
    """`{{ a }}` in a loop over b, and `{{ b }}` there, say different things: no answer is kept."""
    old, new = (
        Spec(
            name="a",
            template="jinja",
            attributes={name: ["1", "2"]},
            prompt="{% for b in range(2) %}{{ " + name + " }}{{ b }}{% endfor %}{{ " + name + " }}",
        )
        for name in ("a", "b")
    )
    assert {} == kept(old, new)


def test_an_edit_of_a_template_is_stale_with_what_builds_on_it() -> None:
    """The text counts as it is written, and no other column does."""
    changed = spec(solution={"prompt": "{{ question|trim }}", "samples": 2})
    assert {"question": True, "solution": False, "verdict": False} == kept(spec(), changed)


def test_a_preview_shows_the_names_of_answers_to_come() -> None:
    """Attributes are filled in, loops run, and what does not fit yet shows the template."""
    found = plan(spec(further=FURTHER, sums={"prompt": "{{ verdict.score + 1 }}"}))
    texts = {found.column_at(index).name: found.call(index).prompt for index in range(found.calls_a_row)}
    assert "Ask a easy question about sums." == texts["question"]
    assert "{{ question }}" == texts["solution"]
    assert "1. {{ solution.all }}\n" == texts["further"]
    assert "{{ verdict.score + 1 }}" == texts["sums"]


def test_an_estimate_counts_each_answer_that_a_prompt_takes() -> None:
    """A loop and an alternative are counted as they go; what can't be known before, each answer once."""
    columns = {
        "further": FURTHER,
        "either": {"prompt": "{{ question or verdict }}"},
        "sums": {"prompt": "{{ question[verdict.score - 1] }}"},
    }
    found = plan(spec(**columns))
    answers = {"question": 100.0, "solution": 10.0, "verdict": 1.0}
    tokens = {
        each.name: column_prompt_tokens(found, each, lambda _: 0.0, answers)
        for each in found.columns
        if each.name in columns
    }
    assert {"further": 20.0, "either": 100.0, "sums": 101.0} == tokens


def test_a_conversation_is_a_list_that_prints_as_text() -> None:
    """`conversation` in a loop has roles and contents; printed it is what `{conversation}` would be."""
    data = {
        "name": "talk",
        "template": "jinja",
        "endpoint": "chat",
        "attributes": {"topic": ["sums"]},
        "conversation": {"user": "student", "assistant": "teacher", "turns": 2},
        "columns": {
            "student": {"prompt": "Ask about {{ topic }}.\n{{ conversation }}"},
            "teacher": {"prompt": "{{ conversation }}", "system": "You teach {{ topic }}."},
            "summary": {"prompt": "{% for turn in conversation %}{{ turn.role }}={{ turn.content }};{% endfor %}"},
        },
    }
    columns = {each.name: each for each in plan(Spec(**data)).columns}
    said = {f"{side}.{turn}": f"{side} {turn}" for turn in (1, 2) for side in ("student", "teacher")}
    text = columns["summary"].prompt.render(said)
    assert "user=student 1;assistant=teacher 1;user=student 2;assistant=teacher 2;" == text
    second = columns["student.2"].prompt.render({"topic": "sums", **said})
    assert "Ask about sums.\nUser: student 1\n\nAssistant: teacher 1" == second
    assert "Ask about sums.\n" == columns["student.1"].prompt.render({"topic": "sums"})
    assert columns["teacher.2"].turns == (("user", "student.1"), ("assistant", "teacher.1"), ("user", "student.2"))


def test_the_schema_knows_the_syntax() -> None:
    """Editors offer it, of a spec and of a column."""
    schema = Spec.json_schema()
    assert re.search(r"'const': 'jinja'", str(schema["properties"]["template"]))
    assert re.search(r"'const': 'jinja'", str(schema["$defs"]["Column"]["properties"]["template"]))


@pytest.mark.parametrize(
    "text",
    [
        "{{ s|map('upper')|join }}",
        "{{ s|map(attribute='question')|join }}",
        "{{ s|selectattr('score', 'ge', 4)|map(attribute='a')|join }}",
        "{{ s|select('odd')|join }}{{ s|select|join }}",
        "{{ 'a | b is c' ~ s }}",
        "{{ s is not none }}{{ s|length is divisibleby 2 }}",
        '{{ "it\'s {% include %}" }}{{ s }}',
    ],
)
def test_what_only_looks_like_a_mistake_is_none(text: str) -> None:
    """Texts in quotes, keywords of filters and negated tests are what they are."""
    assert ("s",) == JinjaTemplate(text).names


@pytest.mark.parametrize("has_columns", [False, True])
def test_an_attribute_that_a_cell_has_not_is_an_empty_text(has_columns: bool) -> None:
    """As in the other templates; a condition can ask for it."""
    prompt = "{{ level }}{{ tool }}{% if tool %}!{% endif %}"
    attributes: dict[str, Any] = {"level": ["easy", "hard"], "tool": {"when": {"level": "hard"}, "values": ["sympy"]}}
    asked: dict[str, Any] = (
        {"columns": {"a": {"prompt": prompt}, "b": {"prompt": "{{ a }}{{ tool }}"}}} if has_columns else {}
    )
    spec = Spec(name="s", template="jinja", attributes=attributes, **(asked or {"prompt": prompt}))
    plan = Plan(spec, endpoint="completions", model="m")
    texts = [plan.call(index) for index in range(0, plan.size, plan.calls_a_row)]
    assert ["easy", "hardsympy!"] == [call.prompt for call in texts]
    assert all(call.failure is None for call in texts)
