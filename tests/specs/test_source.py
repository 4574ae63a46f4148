"""`source:` in a spec: what it may say, the fields that it finds, and the mistakes that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.source import source_of

SPEC = "name: seeds\n{source}\nattributes: {{level: [easy, hard]}}\nprompt: '{prompt}'\n"


def spec_of(folder: Path, source: str, prompt: str = "{level} {q}") -> Spec:
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(source=source, prompt=prompt))
    return Spec.load(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seeds.csv").write_text("q,topic,Full text\na,x,long\nb,y,longer\n")
    return tmp_path


def test_a_path_is_short_for_all_fields_of_the_file(folder: Path) -> None:
    """It is relative to the spec file; names that no placeholder can have are changed."""
    spec = spec_of(folder, "source: seeds.csv")
    assert spec.source is not None
    assert str(folder / "seeds.csv") == spec.source.path
    assert {"q": "q", "topic": "topic", "Full_text": "Full text"} == spec.source.fields
    assert Spec(**spec.as_dict()) == spec
    assert ("q", "topic", "Full_text", "level") == spec.cell_fields
    assert ("q",) == spec.sent_fields


def test_fields_are_called_as_the_spec_says(folder: Path) -> None:
    """A mapping of our names to the file's, or a list of those that are taken."""
    renamed = spec_of(folder, "source: {path: seeds.csv, fields: {text: Full text}}", "{text} {level}")
    assert renamed.source is not None
    assert {"text": "Full text"} == renamed.source.fields
    listed = spec_of(folder, "source: {path: seeds.csv, fields: [q, topic]}")
    assert listed.source is not None
    assert {"q": "q", "topic": "topic"} == listed.source.fields


def test_a_field_called_as_a_column_of_every_row_is_renamed(folder: Path) -> None:
    """Files often have a `prompt` or an `index`."""
    (folder / "seeds.csv").write_text("prompt,index,record\na,1,2\n")
    spec = spec_of(folder, "source: seeds.csv", "{source_prompt} {level}")
    assert ("source_prompt", "source_index", "source_record", "level") == spec.cell_fields


def test_the_sub_prompt_names_what_is_sent(folder: Path) -> None:
    """And no field that nobody needs."""
    assert "{q}, {level}" == spec_of(folder, "source: seeds.csv").sub_prompt


def test_a_spec_without_a_source_is_as_it_was() -> None:
    """No key of it enters what is written and hashed."""
    spec = Spec(name="a", attributes={"b": ["c"]}, prompt="{b}")
    assert "source" not in spec.as_dict()
    assert "8b86b694eb9eefaa5afe6fd132d4a974" == spec.fingerprint  # as in 0.1.0
    assert spec.fingerprint == Spec(name="a", source=None, attributes={"b": ["c"]}, prompt="{b}").fingerprint


ROWS: list[dict[str, Any]] = [{"q": "a", "n": 1}, {"q": "b", "n": 2.5}]


@pytest.mark.parametrize(
    "rows", [ROWS, tuple(ROWS), pd.DataFrame(ROWS), iter(ROWS)], ids=["list", "tuple", "frame", "iterator"]
)
def test_rows_from_python_are_a_source(rows: Any) -> None:
    """A list of dicts, a DataFrame, whatever gives dicts."""
    plan = Plan(Spec(name="a", source=rows, attributes={}, prompt="{q} {n}"), endpoint="chat", model="m")
    assert ["b 2.5"] == [plan.call(index).prompt for index in range(plan.size)][1:]


def test_a_path_object_and_bytes_are_taken_as_their_text(folder: Path) -> None:
    """As a text that is a path, and as UTF-8."""
    assert source_of(folder / "seeds.csv", None) == source_of(str(folder / "seeds.csv"), None)
    made = Plan(Spec(name="a", source=[{"q": b"caf\xc3\xa9"}], attributes={}, prompt="{q}"), endpoint="chat", model="m")
    assert "café" == made.call(0).prompt


class Split:
    """As a split of a data set has its columns."""

    column_names = ("q",)


@pytest.mark.parametrize(
    ("rows", "message", "fix"),
    [
        (pd.DataFrame([[1, 2]], columns=["q", "q"]), "2 columns called 'q'", "a name of its own"),
        ({"train": Split(), "test": Split()}, "each split is a source", "source=data['train']"),
        (object(), "of the type object is not a source", "a list of dicts"),
        ([{"q": b"\xff"}], "row 1 of the source can't be written", "use text"),
    ],
)
def test_rows_that_can_not_be_a_source_are_named(rows: Any, message: str, fix: str) -> None:
    """With what can; nothing of them is lost in silence."""
    with pytest.raises(SpecError) as refused:
        Spec(name="a", source=rows, attributes={}, prompt="{q}")
    assert message in str(refused.value)
    assert fix in (refused.value.fix or "")


def test_a_key_of_runs_is_not_offered(folder: Path) -> None:
    """`home` is no part of a spec."""
    with pytest.raises(SpecError) as refused:
        spec_of(folder, "source: {path: seeds.csv, hom: x}")
    assert "home" not in (refused.value.fix or "")


def test_a_hub_library_dataset_is_a_source() -> None:
    """As `datasets` has it in memory."""
    datasets = pytest.importorskip("datasets")
    spec = Spec(name="a", source=datasets.Dataset.from_list([{"q": "a"}, {"q": "b"}]), attributes={}, prompt="{q}")
    assert 2 == Plan(spec, endpoint="chat", model="m").size
    assert spec == spec.replace(), "it can be copied, though its rows are read once"


MISTAKES = [
    ("source: 5", "{level} {q}", "5 is not a file of records", "source: seeds.jsonl"),
    ("source: gone.csv", "{level} {q}", "gone.csv' not found", "check its name"),
    ("source: {paht: seeds.csv}", "{level} {q}", "unknown key 'paht'", "path"),
    ("source: {path: seeds.csv, fields: [qq]}", "{level} {q}", "has no field 'qq'", "'q'"),
    ("source: {path: seeds.csv, fields: {q: qq}}", "{level} {q}", "has no field 'qq'", "'q'"),
    ("source: {path: seeds.csv, fields: {a b: q}}", "{level} {q}", "not a valid placeholder", "a_b"),
    ("source: {path: seeds.csv, fields: {prompt: q}}", "{level} {prompt}", "already a column", "source_prompt"),
    ("source: {path: seeds.csv, fields: {}}", "{level} {q}", "the mapping is empty", "name a field"),
    ("source: {path: seeds.csv, limit: 0}", "{level} {q}", "0 is not a whole number", "limit"),
    ("source: {path: seeds.csv, where: 'q =='}", "{level} {q}", "where", ""),
    ("source: {path: seeds.csv, where: topik == 'x'}", "{level} {q}", "has no field 'topik'", "'topic'"),
    (
        "source: {path: seeds.csv, split: train}",
        "{level} {q}",
        "'split' applies only to data sets on the hub",
        "remove",
    ),
    (
        "source: {path: seeds.csv, fields: {level: q}}",
        "{level}",
        "is a field of the source, and an attribute",
        "source_level",
    ),
    ("source: seeds.csv", "{level}", "no prompt names a field", "{q}"),
    ("source: seeds.csv", "{level} {qq}", "unknown placeholder '{qq}'", "q"),
    (r'source: "a\0b.csv"', "{level} {q}", "can't be read: embedded null byte", "give a file"),
    ("source: 'x*.csv'", "{level} {q}", "no file matches", "relative to the spec file"),
    ("source: hf:owner", "{level} {q}", "'hf:owner' is not a data set", "hf:owner/name"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[each[2][:20] for each in MISTAKES])
def test_a_mistake_is_named_with_line_and_fix(mistake: tuple[str, str, str, str], folder: Path) -> None:
    """Where the spec says it."""
    source, prompt, message, fix = mistake
    with pytest.raises(SpecError) as refused:
        spec_of(folder, source, prompt)
    assert message in str(refused.value)
    assert fix in f"{refused.value.fix}"
    assert refused.value.line in (2, 4)


def test_a_record_is_no_name_for_an_attribute_beside_a_source(folder: Path) -> None:
    """Lines call so what tells their record."""
    with pytest.raises(SpecError, match="what rows of a source call"):
        Spec(name="a", source=str(folder / "seeds.csv"), attributes={"record": ["x"]}, prompt="{q} {record}")


def test_the_schema_takes_both_ways_to_write_a_source() -> None:
    """A path, or a mapping; not what only the engine writes."""
    import jsonschema

    schema = Spec.json_schema()
    sound: list[Any] = [
        "a.csv",
        {"path": "a.csv", "fields": ["q"]},
        {"path": "a.csv", "fields": {"q": "x"}, "limit": 3},
    ]
    broken: list[Any] = [3, {"path": "a.csv", "home": "x"}, {"fields": ["q"]}]
    for source in sound:
        jsonschema.validate({"name": "a", "source": source, "prompt": "{q}"}, schema)
    for source in broken:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"name": "a", "source": source, "prompt": "{q}"}, schema)


def test_the_names_of_a_large_file_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it changes: all of its text would be read for them at each command."""
    monkeypatch.setenv("HEROGEN_SOURCES_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("herogen_async.specs.records.field_names._LARGE", 10)
    path = tmp_path / "seeds.csv"
    for header in ("q,n", "q,other"):
        path.write_text(f"{header}\na,1\n" * 3)
        for _ in range(2):
            source = spec_of(tmp_path, "source: seeds.csv").source
            assert source is not None
            assert header.split(",") == list(source.fields)
    assert 2 == len(list((tmp_path / "cache").glob("*.names")))


def test_a_note_of_names_that_can_not_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is looked at each time then."""
    monkeypatch.setenv("HEROGEN_SOURCES_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("herogen_async.specs.records.field_names._LARGE", 10)
    (tmp_path / "seeds.csv").write_text("q,n\na,1\n" * 3)
    for _ in range(2):
        source = spec_of(tmp_path, "source: seeds.csv").source
        assert source is not None
        assert ["q", "n"] == list(source.fields)
        (note,) = (tmp_path / "cache").iterdir()
        if note.is_file():
            note.unlink()
            note.mkdir()


RULES = {
    "grid: {exclude: [{topic: x}]}": r":4: .*'topic' is a field of the source: `exclude` names attributes alone",
    "grid: {exclude: [{level: hard, topik: x}]}": r":4: .*unknown attribute 'topik'",
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_name_attributes_alone(rule: str, folder: Path) -> None:
    """A field in a rule has a sentence that says what to write instead."""
    path = folder / "spec.yaml"
    path.write_text(
        f"name: s\nsource: seeds.csv\nattributes: {{level: [easy, hard]}}\n{rule}\nprompt: '{{level}} {{q}}'\n"
    )
    with pytest.raises(SpecError, match=RULES[rule]):
        Spec.load(path)


@pytest.mark.parametrize("when", ["{topic: x}", "topic == 'x'"])
def test_a_condition_of_an_attribute_names_no_field(when: str, folder: Path) -> None:
    """Neither as a mapping nor as an expression."""
    path = folder / "spec.yaml"
    given = f'{{when: "{when}", values: [a, b]}}' if "==" in when else f"{{when: {when}, values: [a, b]}}"
    path.write_text(f"name: s\nsource: seeds.csv\nattributes:\n  tool: {given}\nprompt: '{{tool}} {{q}}'\n")
    with pytest.raises(SpecError, match=r":4: .*'topic' is a field of the source: `when` names attributes alone"):
        Spec.load(path)
