"""The columns of a spec: what is refused, with place and fix, and what a fingerprint and a key stand for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.errors import InputError, SpecError
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.plan.open_row import Skip
from herogen_async.specs.spec import Column, Sampling, Spec

ATTRIBUTES = {"level": ["easy", "hard"], "topic": ["sums", "sets"]}


def spec_of(columns: Any, **more: Any) -> Spec:
    return Spec(**{"name": "s", "attributes": ATTRIBUTES, "columns": columns, **more})


def plan_of(columns: Any, **more: Any) -> Plan:
    return Plan(spec_of(columns, **more), endpoint="chat", model="m")


BASE = {"question": {"prompt": "{level} {topic}"}, "solution": {"prompt": "solve {question}"}}
TWO = {"prompt": "x", "samples": 2}


@pytest.mark.parametrize(
    ("columns", "said", "fix"),
    [
        ({}, "the mapping is empty", "add a column"),
        (None, "None is not a mapping of names to columns", "columns: {question:"),
        (["a"], "a list is not a mapping of names to columns", "without dashes, each name as a key"),
        ([{"name": "a", "prompt": "x"}], "a list is not a mapping of names to columns", "without dashes"),
        ({"a": "text"}, "columns.a: 'text' is not a column", "a: {prompt: ...}"),
        ({"a": None}, "columns.a: 'a' has no prompt", "indented further"),
        ({**BASE, "prompt": "{level}"}, "`prompt` is at the level of the column names", "indent `prompt` further"),
        ({**BASE, "samples": 3}, "`samples` is at the level of the column names", "under a column name"),
        ({**BASE, "level": {"prompt": "x"}}, "'level' is also an attribute", "rename"),
        ({**BASE, "usage": {"prompt": "x"}}, "'usage' is already a field of every row", "rename"),
        ({**BASE, "a b": {"prompt": "x"}}, "'a b' is not a valid placeholder name", "underscores, e.g. 'a_b'"),
        ({**BASE, "q.1": {"prompt": "x"}}, "'q.1' is not a valid placeholder name", "e.g. 'q_1'"),
        ({**BASE, "not": {"prompt": "x"}}, "'not' is reserved in conditions", "'the_not'"),
        ({**BASE, "null": {"prompt": "x"}}, "'null' is reserved in conditions", "'the_null'"),
        ({**BASE, "all": {"prompt": "x"}}, "'all' is already a field of every row", "'the_all'"),
        ({**BASE, "response_txt": {"prompt": "x"}}, "the column that `prompt:` makes", "rename"),
        ({**BASE, "a": {"prompt": "{solutoin}"}}, "unknown placeholder '{solutoin}'", "did you mean 'solution'"),
        ({**BASE, "a": {"prompt": "{a}"}}, "placeholder '{a}' is the column itself", "an earlier column"),
        ({**BASE, "a": {"prompt": "{soluti\u043en}"}}, "unknown placeholder", "here is CYRILLIC SMALL LETTER O"),
        ({**BASE, "a": {"prompt": "{solution\u200b}"}}, "'{solution\\u200b}' at character 1 is not", "a bare name"),
        ({**BASE, "a": {"prompt": "{question or solution}"}}, "is not a placeholder", "write {question|solution}"),
        ({**BASE, "a": {"prompt": "{solution[0]}"}}, "is not a placeholder", "write {solution}, a bare name"),
        ({**BASE, "a": {"prompt": '{solution} as {"score": 1}'}}, "'{\"score\": 1}' at character 15", "double the br"),
        ({**BASE, "a": {"prompt": "as {\n}"}}, "a lone '{' at character 4", "an attribute or a column"),
        ({**BASE, "a": {"prompt": "of {{question}}"}}, "'{{question}}' is sent as the word", "write {question} with"),
        ({**BASE, "a": {"prompt": "of {{ question }}"}}, "'{{question}}' is sent as the word", "write {question} with"),
        ({**BASE, "a": {"prompt": {"question": None}}}, "an unquoted { begins a mapping", "`prompt: '{question}'`"),
        ({**BASE, "a": {"prompt": "{solution.al}"}}, "'solution' has no fields", "{solution.all}"),
        ({**BASE, "a": {"prompt": "{level.all}"}}, "'level' is an attribute, without samples", "write {level}"),
        ({**BASE, "a": {"prompt": "{level|solution}"}}, "'level' is never missing", "level last"),
        ({**BASE, "a": {"prompt": "{level|topic}"}}, "'level' is never missing", "level last"),
        ({**BASE, "a": {"prompt": "x", "when": "solutoin == 'x'"}}, "unknown name 'solutoin'", "mean 'solution'"),
        ({**BASE, "a": {"prompt": "x", "when": "level == hard"}}, "unknown name 'hard'", "if it is a text: 'hard'"),
        ({**BASE, "a": {"prompt": "x", "when": "level == \u2018hard\u2019"}}, "is not a quote", "write ' or"),
        ({**BASE, "a": {"prompt": "x", "when": "{level} == 'hard'"}}, "'level' is a name", "without braces"),
        ({**BASE, "a": {"prompt": "x", "when": {"level": "hard"}}}, "is not a condition", "level == 'hard'"),
        ({**BASE, "a": {"prompt": "x", "when": True}}, "True is not a condition", "quote it"),
        ({**BASE, "a": {"prompt": "x", "when": "level = 'x'"}}, "'=' is not an operator", "=="),
        ({**BASE, "a": {"prompt": "x", "if": "level == 'x'"}}, "unknown key 'if'", "did you mean 'when'"),
        ({**BASE, "a": {"prompt": "x", "repeats": 3}}, "unknown key 'repeats'", "did you mean 'samples'"),
        ({**BASE, "a": {"prompt": "x", "url": "http://a/v1"}}, "unknown key 'url'", "did you mean 'base_url'"),
        ({**BASE, "a": {"prompt": "x", "api_key": "sk-proj-12"}}, "unknown key 'api_key'", "key_env: JUDGE_API_KEY"),
        ({**BASE, "a": {"prompt": "x", "temperature": 0}}, "'temperature'", "sampling: {temperature: 0}"),
        ({**BASE, "a": {"prompt": "x", "sampling": {"n": 3}}}, "unknown key 'n'", "`samples` of a column"),
        ({**BASE, "a": {"prompt": "x", "b": {"prompt": "y"}}}, "unknown key 'b'", "indent it like the other columns"),
        ({**BASE, "a": {"promt": "x"}}, "unknown key 'promt'", "did you mean 'prompt'"),
        ({**BASE, "a": {"prompt": "x", "samples": 0}}, "0 is not a whole number from 1 to 1,000", "samples: 4"),
        ({**BASE, "a": {"prompt": "x", "samples": 10**9}}, "1000000000 is not a whole number from 1 to 1,000", "4"),
        ({**BASE, "a": {"prompt": "x", "samples": "4"}}, "'4' is not a whole number", "samples: 4"),
        ({f"c{n}": {"prompt": f"{{level}} {{topic}} {n}"} for n in range(100)}, "100 columns; the limit is 64", ""),
        (
            {f"c{n}": {"prompt": f"{{level}} {{topic}} {n}", "samples": 1000} for n in range(5)},
            "5,000 requests per row; the limit is 4,096",
            "lower the samples",
        ),
        ({**BASE, "a": {"prompt": "x", "system": "y"}}, "a.system: 'y' is not sent", "write `endpoint: chat`"),
        ({**BASE, "a": {"prompt": "x", "base_url": "foo"}}, "'foo' is not a URL", "http://"),
        ({**BASE, "a": {"prompt": "x", "key_env": "sk-proj-12"}}, "not the name of an environment variable", "never"),
        ({**BASE, "a": {"prompt": "x", "sampling": {"top": 1}}}, "a.sampling.top: unknown key 'top'", "top_p"),
        ({**BASE, "a": {"prompt": "x", "endpoint": "completions", "system": "y"}}, "a.system: 'y' is not sent", "chat"),
        (
            {"a": {"prompt": "{level} {topic} {c}"}, "b": {"prompt": "{a}"}, "c": {"prompt": "{b}"}},
            "these columns depend on each other: a, c, b, and a again",
            "remove one",
        ),
        (
            {**BASE, "two": TWO, "three": {"prompt": "y", "samples": 3}, "z": {"prompt": "{two} {three}"}},
            "different numbers of samples: two (2) and three (3)",
            "equal",
        ),
        ({**BASE, "two": TWO, "z": {"prompt": "{two}", "samples": 2}}, "'two' already has samples", "{two.all}"),
        (
            {**BASE, "two": TWO, "z": {"prompt": "{two.all}", "when": "two != 'x'"}},
            "'two' has 2 samples here, but a condition reads only one",
            "write {two} instead of {two.all}",
        ),
        ({"a": {"prompt": "{level} {topic}", "when": "level == 'easy'"}}, "the only column", "from `attributes`"),
        ({"a": {"prompt": "{level}"}}, "'topic' is used in neither prompt nor system", "add {topic}"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_column_is_told_with_its_place_and_fix(columns: Any, said: str, fix: str) -> None:
    """Each in one sentence; a key that was written into a spec is not repeated."""
    with pytest.raises(SpecError) as told:
        spec_of(columns)
    assert said in told.value.message
    assert fix in f"{told.value.fix} {told.value.message}"
    assert "sk-proj" not in str(told.value)


HEAD = "name: s\nattributes:\n  level: [easy, hard]\n"
QUESTION = "  question:\n    prompt: '{level}'\n"


@pytest.mark.parametrize(
    ("text", "line", "said", "fix"),
    [
        ("column:\n" + QUESTION, 4, "unknown key 'column'", "did you mean 'columns'?"),
        ("colums:\n" + QUESTION, 4, "unknown key 'colums'", "did you mean 'columns'?"),
        ("question:\n  prompt: '{level}'\n", 4, "unknown key 'question'", "indent it under `columns:`"),
        ("  columns:\n    question:\n      prompt: '{level}'\n", 4, "'columns' is not an attribute", "unindent it"),
        ("columns:\n  question:\n  samples: 2\n", None, "'question' has no prompt", "indent `samples` further"),
        ("columns:\n\tquestion:\n\t\tprompt: x\n", 5, "tab where YAML needs spaces", "indent with spaces"),
        ("columns:\n  question:\n    prompt: {level} please\n", 6, "an unquoted { begins a mapping", "in quotes"),
        ("columns:\n  question: {prompt: {level} x}\n", 5, "an unquoted { begins a mapping", "in quotes"),
        ("columns:\n  question:\n    prompt: {level}\n", 6, "an unquoted { begins a mapping", "prompt: '{level}'"),
        ("columns:\n" + QUESTION * 2, 7, "duplicate key 'question', first on line 5", "keep one"),
        ("prompt: '{level} {b}'\ncolumns:\n  b: {prompt: '{level}'}\n", 4, "'{b}' is a column", "is requested first"),
        ("prompt: '{level}'\ncolumns:\n  b: {prompt: 'on {response}'}\n", 6, "'{response}'", "'response_txt'"),
        ("sub_prompt: '{question}'\ncolumns:\n" + QUESTION, 4, "'{question}' is a column", "name attributes"),
        ("samples: 3\nprompt: '{level}'\n", 4, "unknown key 'samples'", "use `repeats`"),
        ("temperature: 0.5\nprompt: '{level}'\n", 4, "unknown key 'temperature'", "sampling: {temperature: 0.5}"),
    ],
)
def test_a_slip_in_a_file_is_one_mistake_with_its_line_and_fix(
    text: str, line: int | None, said: str, fix: str
) -> None:
    """Nothing that only follows from it is told beside it: no missing prompt, no attribute that nothing uses."""
    with pytest.raises(SpecError) as told:
        Spec.parse(HEAD + text, file="s.yaml")
    assert said in told.value.message
    assert fix in f"{told.value.fix} {told.value.message}"
    assert line in (None, told.value.line)
    assert line is None or "\n" not in told.value.message
    assert "is used in neither" not in told.value.message


def test_columns_that_a_spec_leaves_on_completions_can_send_what_those_take() -> None:
    """A limit of chat that the whole spec has is told where a column would send it to completions."""
    chat: dict[str, Any] = {"endpoint": "chat", "sampling": {"max_completion_tokens": 9}}
    with pytest.raises(SpecError, match="does not accept max_completion_tokens") as told:
        spec_of({**BASE, "a": {"prompt": "a", "endpoint": "completions"}}, **chat)
    assert "max_tokens: 9" in str(told.value.fix)
    spec_of({**BASE, "a": {"prompt": "a", "endpoint": "completions", "sampling": {"max_tokens": 9}}}, **chat)
    spec_of({**BASE, "a": {"prompt": "a", "endpoint": "chat", "system": "y"}})


def test_a_cycle_names_the_lines_of_its_prompts() -> None:
    """As it stands in the file."""
    with pytest.raises(SpecError, match=r"a \(line 4\), b \(line 5\), and a again"):
        Spec.parse(
            "name: x\nattributes: {n: [k, l]}\ncolumns:\n  a: {prompt: 'of {n} {b}'}\n  b: {prompt: 'of {a}'}\n",
            file="s.yaml",
        )


def test_two_columns_that_ask_the_same_are_refused() -> None:
    """Their keys would be one: a second answer is a sample."""
    with pytest.raises(InputError, match="'b' ask the same question"):
        plan_of({"a": {"prompt": "{level} {topic}"}, "b": {"prompt": "{level} {topic}"}})


def test_a_spec_with_columns_is_itself_again_as_plain_data() -> None:
    """S2, also without a prompt; and one without columns has no such key, as it never had."""
    spec = spec_of({**BASE, "solution": {"prompt": "x {question}", "sampling": {"temperature": 0.5}, "samples": 2}})
    assert spec == Spec(**spec.as_dict())
    assert "prompt" not in spec.as_dict()
    assert "columns" not in Spec(name="s", attributes=ATTRIBUTES, prompt="{level}{topic}").as_dict()


def test_a_spec_takes_columns_as_objects_and_checks_them_like_any() -> None:
    """As it takes its sampling: what Python's types know, and what only the whole spec can say."""
    judge = Column(prompt="grade {solution}", sampling=Sampling(temperature=0), samples=2)
    assert spec_of({**BASE, "verdict": judge}) == spec_of({**BASE, "verdict": judge.as_dict()})
    with pytest.raises(SpecError, match=r"unknown placeholder '\{solution\}'"):
        spec_of({"question": BASE["question"], "verdict": judge})


def test_a_column_of_one_prompt_has_the_keys_of_the_spec_of_that_prompt() -> None:
    """So answers stay when columns come beside a prompt, or when the prompt becomes a column."""
    alone = Plan(Spec(name="s", attributes=ATTRIBUTES, prompt="{level} {topic}"), endpoint="chat", model="m")
    as_column = plan_of({"text": {"prompt": "{level} {topic}"}})
    beside = plan_of({"title": {"prompt": "title {response_txt}"}}, prompt="{level} {topic}")
    assert alone.columns[0].fingerprint == alone.generation_fingerprint == as_column.columns[0].fingerprint
    for index in range(alone.size):
        assert alone.key(index) == as_column.key(index) == beside.key(2 * index)


def test_no_two_calls_have_one_key_whatever_the_digits_of_sample_and_repeat() -> None:
    """Sample 2 of repeat 11 is not sample 21 of repeat 1."""
    plan = plan_of({"a": {"prompt": "{level} {topic}", "samples": 21}}, repeats=11)
    assert plan.size == len({plan.key(index) for index in range(plan.size)})


def test_sampling_and_system_of_the_spec_are_those_of_columns_that_have_none() -> None:
    """A column's own parameters come on top; its limit replaces whichever limit there was."""
    plan = plan_of(
        {**BASE, "a": {"prompt": "a", "system": "own", "sampling": {"max_completion_tokens": 9, "temperature": 0}}},
        sampling={"max_tokens": 50, "temperature": 1, "top_p": 0.5},
        endpoint="chat",
        system="shared",
    )
    question, _, own = plan.columns
    assert {"max_tokens": 50, "temperature": 1, "top_p": 0.5} == question.sampling.as_sent()
    assert {"max_completion_tokens": 9, "temperature": 0, "top_p": 0.5} == own.sampling.as_sent()
    assert ["shared", "own"] == [column.system and column.system.text for column in (question, own)]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """One to six columns, each naming some of those before it, in any order of writing."""
    columns: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 6))):
        parents = draw(st.lists(st.sampled_from([f"c{each}" for each in range(number)] or ["level"]), unique=True))
        words = " ".join(f"{{{name}}}" for name in parents)
        columns[f"c{number}"] = {"prompt": f"{number} {{level}} {{topic}} {words}"}
    names = draw(st.permutations(list(columns)))
    return {name: columns[name] for name in names}


@given(graphs(), st.data())
def test_an_edit_changes_the_fingerprints_of_a_column_and_of_what_builds_on_it(
    columns: dict[str, Any], data: st.DataObject
) -> None:
    """A Merkle tree: exactly its descendants, whatever the order of writing and the names."""
    plan = plan_of(columns)
    name = data.draw(st.sampled_from(list(columns)))
    edited = plan_of({**columns, name: {"prompt": columns[name]["prompt"] + "!"}})
    before, after = ({each.name: each.fingerprint for each in one.columns} for one in (plan, edited))
    descendants, grown = {name}, True
    while grown:
        more = {
            each for each, column in columns.items() if any(f"{{{one}}}" in column["prompt"] for one in descendants)
        }
        grown = not more <= descendants
        descendants |= more
    assert descendants == {each for each in columns if before[each] != after[each]}
    other = {each: f"x{each}" for each in columns}
    renamed = {}
    for each, column in columns.items():
        prompt = column["prompt"]
        for one in columns:
            prompt = prompt.replace(f"{{{one}}}", f"{{{other[one]}}}")
        renamed[other[each]] = {"prompt": prompt}
    assert sorted(before.values()) == sorted(each.fingerprint for each in plan_of(renamed).columns)


@given(graphs(), st.data())
def test_a_row_is_asked_in_an_order_in_which_all_that_a_call_names_is_there(
    columns: dict[str, Any], data: st.DataObject
) -> None:
    """Answers come in any order; each call becomes ready once, with the answers that it names in its prompt."""
    plan = plan_of(columns)
    row = plan.open_row(data.draw(st.integers(0, plan.rows - 1)))
    texts: dict[str, str] = {}
    ready, asked = row.ready(), []
    while ready:
        place = data.draw(st.sampled_from(ready))
        ready.remove(place)
        call = row.step(place)
        assert isinstance(call, Call)
        asked.append(place)
        name = plan.shape.calls[place].column.name
        wanted = columns[name]["prompt"].format(**call.cell, **texts)
        assert wanted == call.prompt
        assert plan.key(call.index) == call.key
        texts[name] = f"<{name}>"
        ready += row.settle(place, texts[name], f"{place:08x}")
    assert sorted(asked) == list(range(plan.calls_a_row))
    assert 0 == row.open


def test_what_follows_a_skipped_call_rests_on_its_line() -> None:
    """The line of a skip names the lines that it was decided by, so that another decision undoes it."""
    plan = plan_of(
        {**BASE, "mend": {"prompt": "mend {solution}", "when": "len(solution) > 3"}, "praise": {"prompt": "{mend}"}}
    )
    row = plan.open_row(0)
    row.settle(0, "q", "aaaaaaaa")
    (mend,) = row.settle(1, "no", "bbbbbbbb")
    step = row.step(mend)
    assert isinstance(step, Skip)
    assert ("bbbbbbbb",) == step.call.built_on
    (praise,) = row.settle(mend, None, "cccccccc")
    follower = row.step(praise)
    assert isinstance(follower, Skip)
    assert (("cccccccc",), step.condition) == (follower.call.built_on, follower.condition)
