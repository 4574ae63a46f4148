"""`judge: {pair: [a, b]}`: two columns are compared in both orders, and what is said of both is read together."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.forms import FormReading, pair_form, read_together
from herogen_async.specs.plan import Plan, own_judges
from herogen_async.specs.spec import Column, Spec

PAIR = {"pair": ["draft", "rewrite"]}
TEXTS: dict[str, Any] = {"draft": {"prompt": "write {n}"}, "rewrite": {"prompt": "mend {draft}"}}


def compared(
    judge: Any = PAIR, *, texts: dict[str, Any] = TEXTS, spec: dict[str, Any] | None = None, **own: Any
) -> Spec:
    columns = {**texts, "verdict": {"judge": judge, **own}}
    return Spec(**{"name": "s", "attributes": {"n": ["a"]}, "columns": columns, **(spec or {})})


def plan_of(spec: Spec) -> Plan:
    return Plan(spec, endpoint="chat", model="m")


def reading(winner: str, why: str = "so") -> FormReading:
    return pair_form("draft", "rewrite").read(f'{{"why": "{why}", "winner": "{winner}"}}')


def test_a_pair_is_asked_in_both_orders() -> None:
    """Two columns that differ in nothing but which text comes first; a model sees no name of a column."""
    *_, one, other = plan_of(compared()).columns
    assert ("verdict", "verdict.swapped") == (one.name, other.name)
    first, second = one.prompt.text, other.prompt.text
    assert "Text A:\n{draft}\n\nText B:\n{rewrite}\n" in first
    assert "Text A:\n{rewrite}\n\nText B:\n{draft}\n" in second
    assert "draft" not in first.replace("{draft}", "") + second.replace("{draft}", "")
    assert one.fingerprint != other.fingerprint


def test_what_is_asked_of_a_pair_may_name_columns_or_be_a_prompt() -> None:
    """`ask` stands before the texts; a prompt of its own is swapped wherever it names one of them."""
    asked = compared({**PAIR, "ask": "Which is truer to {n}?"}).columns["verdict"]
    assert asked.prompt.startswith("Which is truer to {n}?\n\nText A:")
    own = plan_of(
        compared(prompt="[{draft}] or [{ rewrite }], of {{n}} {n}: {draft}", system="so {rewrite}", endpoint="chat")
    )
    assert "[{rewrite}] or [{draft}], of {{n}} {n}: {rewrite}" == own.columns[-1].prompt.text
    assert own.columns[-1].system is not None
    assert "so {draft}" == own.columns[-1].system.text


def test_a_pair_reads_back_as_it_is() -> None:
    """The spec that a run keeps has the pair and its prompt; a Column of Python is the same."""
    spec = compared({**PAIR, "ask": "Which?"})
    assert spec == Spec(**spec.as_dict())
    assert {"prompt", "judge"} == spec.as_dict()["columns"]["verdict"].keys()
    assert spec.columns["verdict"] == Column(judge={**PAIR, "ask": "Which?"})


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [("A", "A", "draft"), ("B", "B", "rewrite"), ("A", "B", "tie"), ("tie", "B", "tie"), ("tie", "tie", "tie")],
)
def test_the_winner_won_in_both_orders(first: str, second: str, winner: str) -> None:
    """Here both labels are of the first order; where they disagree it is a tie, and `why` has both reasons."""
    found = read_together(reading(first, "x"), reading(second, "y"), ("draft", "rewrite"))
    assert winner == found.value["winner"]
    names = {"A": "draft", "B": "rewrite", "tie": "tie"}
    both = f"With draft first, {names[first]}: x\nWith rewrite first, {names[second]}: y"
    assert ("x" if first == second else both) == found.value["why"]


def test_an_order_that_says_nothing_decides_nothing() -> None:
    """Whichever of the two it is."""
    nothing = FormReading("no JSON")
    for both in ((nothing, reading("A")), (reading("A"), nothing), (nothing, nothing)):
        assert nothing == read_together(*both, ("draft", "rewrite"))


def test_an_answer_that_names_a_column_does_not_fit() -> None:
    """A model that answers with a word of its own prompt means the place, or the text: nobody can tell."""
    form = pair_form("draft", "rewrite")
    assert form.read('{"why": "x", "winner": "draft"}').wrong is not None
    assert form.read('{"why": "x", "winner": "C"}').wrong is not None
    assert ("x", "rewrite") == tuple(form.read('{"why": "x", "winner": "B"}').value.values())


@pytest.mark.parametrize(
    ("judge", "own", "message", "fix"),
    [
        ({"pair": ["draft"]}, {}, "pair: ['draft'] is not a list of two columns", "for example"),
        ({"pair": "draft"}, {}, "is not a list of two columns", "for example"),
        ({"pair": ["draft", "draft"]}, {}, "'draft' is compared with itself", "name two columns"),
        ({"pair": ["draft", 3]}, {}, "3 is not the name of a column", "for example"),
        ({"pair": ["draft", "n"]}, {}, "'n' is an attribute, not a column", "name two columns"),
        ({"pair": ["draft", "rewrit"]}, {}, "verdict.judge.pair: unknown column 'rewrit'", "'rewrite'"),
        ({"pair": [["draft"], "rewrite"]}, {}, "['draft'] is not the name of a column", "for example"),
        ({"pair": [{"draft": 1}, "rewrite"]}, {}, "{'draft': 1} is not the name of a column", "for example"),
        ({"pair": ["draft", "verdict"]}, {}, "verdict.judge.pair: column 'verdict' is the column itself", "earlier"),
        ({**PAIR, "ask": "For {m}?"}, {}, "verdict.judge.ask: unknown placeholder '{m}'", "valid"),
        ({**PAIR, "ask": "For {?"}, {}, "verdict.judge.ask: a lone '{' at character 5", ""),
        ({"pair": ["draft", "tie"]}, {}, "a column called 'tie' can't be told from a tie", "rename"),
        ({**PAIR, "scale": {5: "x", 1: "y"}}, {}, "a judge of a pair has no `scale`", "remove `pair`"),
        ({**PAIR, "aks": "x"}, {}, "unknown key 'aks'", "'ask'"),
        ({**PAIR, "ask": ""}, {}, "'' is not a text", "for example"),
        ({**PAIR, "ask": "x"}, {"prompt": "{draft} {rewrite}"}, "the column has a prompt of its own", "write it in"),
        (PAIR, {"prompt": "only {draft}"}, "the prompt does not hold {rewrite}", "add it"),
        (PAIR, {"prompt": "{{draft}} {rewrite}"}, "verdict.prompt: the prompt does not hold {draft}", "add it"),
        (PAIR, {"answer": {"one_of": ["a", "b"]}}, "has a form of its own: a winner and why", "remove one"),
    ],
)
def test_a_mistake_of_a_pair_is_told_with_its_fix(judge: Any, own: dict[str, Any], message: str, fix: str) -> None:
    """Each in its place."""
    with pytest.raises(SpecError) as told:
        compared(judge, **own)
    assert message in str(told.value)
    assert fix in str(told.value.fix)


def test_a_pair_has_a_winner_and_why_and_no_other_field() -> None:
    """In conditions, prompts and `best_of`; the winner is a name, and no number."""
    with pytest.raises(SpecError, match="'verdict' has no field 'winer'"):
        compared(spec={"keep": "verdict.winer == 'draft'"})
    with pytest.raises(SpecError, match="'verdict' has no field 'swapped'"):
        compared(texts={**TEXTS, "note": {"prompt": "{verdict.swapped}"}})
    with pytest.raises(SpecError, match="is of type string, and no number"):
        compared(spec={"best_of": {"draft": "verdict.winner"}})


def test_a_pair_counts_twice_among_the_requests_of_a_row() -> None:
    """The limit of requests a row is one of what is asked."""
    texts = {"draft": {"prompt": "write {n}", "samples": 1000}, "rewrite": {"prompt": "mend {draft}"}}
    judge = {f"v{number}": {"judge": {**PAIR, "ask": f"{number}?"}} for number in range(2)}
    with pytest.raises(SpecError, match="6,000 requests per row"):
        Spec(name="s", attributes={"n": ["a"]}, columns={**texts, **judge})


def test_compared_columns_that_are_renamed_or_change_places_ask_nothing() -> None:
    """What is sent is the same; what tells their names builds on these."""
    told = {"note": {"prompt": "{verdict.winner}"}}
    before = plan_of(compared(texts={**TEXTS, **told}))
    renamed = {"first": TEXTS["draft"], "rewrite": {"prompt": "mend {first}"}, **told}
    after = plan_of(compared({"pair": ["rewrite", "first"]}, texts=renamed))
    was, now = ({each.name: each.fingerprint for each in plan.columns} for plan in (before, after))
    assert (was["verdict"], was["verdict.swapped"]) == (now["verdict.swapped"], now["verdict"])
    assert was["note"] != now["note"]


def test_both_authors_of_a_pair_are_looked_at() -> None:
    """By whichever model it is judged that wrote one of them; a pair needs no `keep` for that."""
    assert [("verdict", "draft"), ("verdict", "rewrite")] == list(own_judges(plan_of(compared())))
    texts = {**TEXTS, "rewrite": {**TEXTS["rewrite"], "model": "other"}}
    assert [("verdict", "draft")] == list(own_judges(plan_of(compared(texts=texts))))
    assert [] == list(own_judges(plan_of(compared(texts=TEXTS, model="judge"))))


def test_editors_know_a_pair() -> None:
    """The JSON Schema takes it with and without `ask`, and no pair of three."""
    schema = Spec.json_schema()

    def check(judge: dict[str, Any]) -> None:
        jsonschema.validate({"name": "s", "attributes": {"n": ["a"]}, "columns": {"v": {"judge": judge}}}, schema)

    check(PAIR)
    check({**PAIR, "ask": "Which?"})
    with pytest.raises(jsonschema.ValidationError):
        check({"pair": ["a", "b", "c"]})
