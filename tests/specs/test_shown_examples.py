"""`examples`: which records of a file a row is shown, how they are written, and what a changed file makes stale."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.core.errors import InputError, SpecError
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.lineage import Era, Lineage
from herogen_async.specs.spec import Spec, example_records
from herogen_async.specs.spec.example_records import examples_of_row, record_text
from herogen_async.specs.spec.said import SaidMapping

RECORDS = [{"question": f"{number} + 1?", "answer": f"{number + 1}"} for number in range(20)]


def written(path: Path, records: list[Any]) -> Path:
    path.write_bytes(b"".join(codec.dumps(each) + b"\n" for each in records))
    return path


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return written(tmp_path / "few.jsonl", RECORDS)


def spec(file: Path | str, **changes: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "maths",
        "attributes": {"level": ["easy", "hard"], "topic": ["sums", "sets"]},
        "repeats": 3,
        "examples": {"from": str(file), "count": 4},
        "columns": {
            "question": {"prompt": "{examples}\n\nAsk a {level} question about {topic}."},
            "solution": {"prompt": "Solve: {question}"},
            "other": {"prompt": "Name a {level} topic like {topic}."},
        },
    }
    return Spec(**{**data, **changes})


def plan(of: Spec) -> Plan:
    return Plan(of, endpoint="chat", model="m")


def test_each_row_gets_different_records_of_the_file(few: Path) -> None:
    """So many of them, none twice, written as `name: value` lines with a blank line between records."""
    found = plan(spec(few))
    texts = {record_text(each) for each in RECORDS}
    rows = [found.call(row * 3).prompt.partition("\n\nAsk")[0].split("\n\n") for row in range(found.rows)]
    assert all(len(set(row)) == 4 and texts.issuperset(row) for row in rows)
    assert len(set(map(tuple, rows))) == found.rows
    assert "question: 0 + 1?\nanswer: 1" in texts


def test_the_records_of_a_row_are_the_same_on_every_machine() -> None:
    """A vector for those who would change how they are chosen: paid answers were made from these."""
    records = [SaidMapping({"n": number}, str(number)) for number in range(100)]
    first = [each["n"] for each in examples_of_row(records, 5, {"level": "easy", "topic": "sums"}, 1)]
    again = [each["n"] for each in examples_of_row(records, 5, {"topic": "sums", "level": "easy"}, 2)]
    assert ([58, 36, 10, 23, 53], [93, 0, 51, 43, 27]) == (first, again)


@given(st.dictionaries(st.text(min_size=1), st.text()), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_records_are_chosen_without_replacement(cell: dict[str, str], repeat: int, count: int, size: int) -> None:
    """Never one twice; of all that there are it is an order of them; fewer are the beginning of more."""
    records = [SaidMapping({"n": number}, str(number)) for number in range(size)]
    numbers = [each["n"] for each in examples_of_row(records, count, cell, repeat)]
    assert min(count, size) == len(numbers) == len(set(numbers))
    assert numbers[:-1] == [each["n"] for each in examples_of_row(records, count - 1, cell, repeat)][: len(numbers) - 1]
    assert numbers == [each["n"] for each in examples_of_row(records, count, dict(reversed(cell.items())), repeat)]


def test_every_record_is_shown_about_as_often(few: Path) -> None:
    """Over many rows none is preferred."""
    records = [SaidMapping({"n": number}, str(number)) for number in range(20)]
    counts = [0] * 20
    for number in range(5000):
        for each in examples_of_row(records, 4, {"a": str(number)}, 1):
            counts[each["n"]] += 1
    assert max(counts) < 1100
    assert min(counts) > 900


def test_in_a_jinja_template_examples_are_a_list(few: Path) -> None:
    """Each with its fields; printed whole it is the same text as `{examples}`, and what they hold is data."""
    written(few, [{"q": "{{ level }}", "a": 1}])
    columns = {
        "loop": {
            "prompt": "{{ level }}{% for each in examples %}[{{ each.q }}|{{ each.a + 1 }}]{% endfor %}{{ topic }}"
        },
        "text": {"prompt": "{{ level }} {{ topic }} {{ examples }} {{ examples[0].q }}"},
    }
    found = plan(spec(few, template="jinja", columns=columns, examples={"from": str(few), "count": 1}))
    assert ["easy[{{ level }}|2]sums", "easy sums q: {{ level }}\na: 1 {{ level }}"] == [
        found.call(0).prompt,
        found.call(1).prompt,
    ]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"q": "a\nb", "n": 1.5, "l": ["x"], "z": None}, 'q: a\nb\nn: 1.5\nl: ["x"]\nz: '),
        ({"text": "alone"}, "alone"),
        ({"q": "a {b} %s"}, "a {b} %s"),
    ],
)
def test_a_record_is_written_field_by_field(record: dict[str, Any], text: str) -> None:
    """Texts as they are, all else as JSON; a record of one field is its value."""
    assert text == record_text(record)


def test_a_spec_of_one_prompt_shows_examples(few: Path) -> None:
    """As one of several columns does, in its system text too; the sub-prompt can't."""
    data = {
        "name": "a",
        "attributes": {"level": ["easy"]},
        "endpoint": "chat",
        "examples": {"from": str(few), "count": 2},
    }
    found = plan(Spec(**data, prompt="Ask a {level} one.", system="Like these:\n{examples}"))
    system = found.call(0).system or ""
    assert system.startswith("Like these:\nquestion: ")
    assert 2 == system.count("answer: ")
    assert found.longest_texts(len)[1] == "Like these:\n" + "\n\n".join(sorted(map(record_text, RECORDS), key=len)[-2:])
    with pytest.raises(SpecError, match=r"sub_prompt: unknown placeholder '\{examples\}'"):
        Spec(**data, prompt="{examples} {level}", sub_prompt="{examples}")


def test_a_table_is_read_with_its_header(tmp_path: Path) -> None:
    """CSV and TSV, in text as written."""
    (tmp_path / "few.tsv").write_text('question\tanswer\n"two\nlines"\t007\n')
    data = {"name": "a", "attributes": {"level": ["easy"]}, "prompt": "{level}: {examples}"}
    found = plan(Spec(**data, examples={"from": str(tmp_path / "few.tsv"), "count": 1}))
    assert "easy: question: two\nlines\nanswer: 007" == found.call(0).prompt


def test_the_path_is_relative_to_the_spec_file(few: Path) -> None:
    """Wherever the command is run, and the file's sha256 is part of the spec."""
    text = "name: a\nattributes: {level: [easy]}\nprompt: '{level} {examples}'\nexamples: {from: few.jsonl, count: 2}\n"
    (few.parent / "spec.yaml").write_text(text)
    found = Spec.load(few.parent / "spec.yaml")
    sha256 = hashlib.sha256(few.read_bytes()).hexdigest()
    assert {"from": str(few), "count": 2, "sha256": sha256} == found.as_dict()["examples"]
    assert found == Spec(**found.as_dict())


def test_a_moved_file_asks_the_same(few: Path, tmp_path: Path) -> None:
    """What is shown counts, not where it lies."""
    (tmp_path / "elsewhere").mkdir()
    moved = written(tmp_path / "elsewhere" / "other.jsonl", RECORDS)
    assert spec(few).fingerprint == spec(moved).fingerprint
    assert [each.fingerprint for each in plan(spec(few)).columns] == [
        each.fingerprint for each in plan(spec(moved)).columns
    ]


@pytest.mark.parametrize("changes", [{"records": [*RECORDS, {"question": "new", "answer": "n"}]}, {"count": 3}])
def test_a_changed_file_makes_stale_what_shows_it(few: Path, changes: dict[str, Any]) -> None:
    """The columns that name examples, and those made from them; all others keep their answers."""
    before = plan(spec(few))
    written(few, changes.get("records", RECORDS))
    now = plan(spec(few, examples={"from": str(few), "count": changes.get("count", 4)}))
    lineage = Lineage(now, [Era(before)], first_segment=1)
    stale = {each.name for each in now.columns if lineage.standing(0, each.first_call).is_stale}
    assert {"question", "solution"} == stale


def test_a_renamed_attribute_keeps_its_rows_examples(few: Path) -> None:
    """The answers stay, and so what was shown for them stays what is shown."""
    columns = {"question": {"prompt": "{examples}\n\nAsk a {hardness} question about {topic}."}}
    renamed = spec(few, attributes={"hardness": ["easy", "hard"], "topic": ["sums", "sets"]}, columns=columns)
    assert plan(spec(few)).call(0).prompt == plan(renamed).call(0).prompt


def test_a_spec_without_examples_reads_no_file_and_has_no_key(few: Path) -> None:
    """Its manifest and its fingerprints are as they were."""
    plain = spec(few).as_dict()
    del plain["examples"]
    plain["columns"]["question"]["prompt"] = "{level} {topic}"
    assert "examples" not in Spec(**plain).as_dict()
    assert plan(Spec(**plain)).columns[0].examples is None


def test_the_file_of_a_run_is_read_when_it_is_needed(few: Path) -> None:
    """A run folder is listed and exported without it; where it has changed, no row is asked with other examples."""
    held = spec(few).as_dict()
    few.write_text('{"question": "other", "answer": "x"}\n')
    example_records.shown_records.cache_clear()  # as in another process
    found = plan(Spec(**held))
    assert found.key(0) == found.key(0)
    with pytest.raises(InputError, match="have changed: the file's sha256 is ") as told:
        found.call(0)
    assert "run the spec again" in (told.value.fix or "")
    few.unlink()
    with pytest.raises(InputError, match=r"can't be read: No such file"):
        found.call(0)


NESTED: list[Any] = []
for _ in range(240):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("examples", "content", "message"),
    [
        ({"from": "few.jsonl"}, RECORDS, "examples: missing key 'count'"),
        ({"from": "few.jsonl", "cuont": 4}, RECORDS, "unknown key 'cuont'"),
        ({"from": "few.jsonl", "count": 0}, RECORDS, "examples.count: 0 is not a whole number from 1 to 1,000"),
        ({"from": "few.jsonl", "count": 21}, RECORDS, "has 20 records, and each row is to get 21"),
        ({"from": "nope.jsonl", "count": 1}, RECORDS, "can't be read: No such file"),
        ({"from": "few.jsonl", "count": 1}, [], "examples.from: "),
        ({"from": "few.jsonl", "count": 1}, [{"a": 1}, [1, 2]], "line 2 of "),
        ({"from": "few.jsonl", "count": 1}, [{"a": NESTED}], "lists or mappings in one another"),
        ("few.jsonl", RECORDS, "examples: 'few.jsonl' is not a mapping"),
        ({"from": "few.jsonl", "count": 1, "sha256": "abc"}, RECORDS, "examples.sha256"),
    ],
)
def test_mistakes_of_examples_are_told(
    few: Path, monkeypatch: pytest.MonkeyPatch, examples: Any, content: list[Any], message: str
) -> None:
    """Each with the value and what would be right, when the spec is read."""
    monkeypatch.chdir(few.parent)
    written(few, content)
    with pytest.raises(SpecError) as found:
        spec(few, examples=examples)
    assert message in found.value.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"a": {"prompt": "{level} {topic}"}}}, "examples: no prompt shows them"),
        ({"columns": {"a": {"prompt": "{level} {topic} {examples.all}"}}}, "`examples` has no fields"),
        ({"columns": {"a": {"prompt": "{level} {topic} {exampels}"}}}, "unknown placeholder '{exampels}'"),
        ({"columns": {"examples": {"prompt": "{level} {topic}"}}}, "`examples`"),
        ({"attributes": {"examples": ["a"], "level": ["b"], "topic": ["c"]}}, "stands for the records"),
    ],
)
def test_mistakes_of_who_names_examples_are_told(few: Path, changes: dict[str, Any], message: str) -> None:
    """Of the templates, and of attributes and columns of that name."""
    with pytest.raises(SpecError) as found:
        spec(few, **changes)
    assert message in found.value.message


def test_a_file_that_is_too_large_to_hold_is_refused(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records, or more bytes, than are held in memory: a sentence, not a swap."""
    monkeypatch.setattr(example_records, "MAX_RECORDS", 19)
    with pytest.raises(SpecError, match="more than 19 records; examples are held in memory"):
        spec(few)
    monkeypatch.setattr(example_records, "MAX_EXAMPLE_BYTES", 10)
    with pytest.raises(SpecError, match="examples are held in memory"):
        spec(few)
