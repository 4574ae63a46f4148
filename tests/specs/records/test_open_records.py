"""What a file is, its content says: each kind under any name, a record at a time, with its place."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.records import Content, JsonReader, open_records

WANTED = ("prompt", "completion")
PAIRS = [{"prompt": "a, b", "completion": "c; d"}, {"prompt": "e", "completion": "f"}]
LINES = "\n".join(map(json.dumps, PAIRS))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def records(path: Path) -> list[Any]:
    return [record.values for record in open_records(path, wanted=WANTED)]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json", "a.jsonl", "a.ndjson", "a.xlsx", "a.dat", "a"])
@pytest.mark.parametrize(
    ("text", "content"),
    [
        (LINES, Content.JSON_LINES),
        ("\n\n" + LINES.replace("\n", "\r\n\r\n") + "\r\n", Content.JSON_LINES),
        (json.dumps(PAIRS), Content.JSON),
        (json.dumps(PAIRS, indent=2), Content.JSON),
        ("\n".join(json.dumps(pair, indent=4) for pair in PAIRS), Content.JSON),
        ("".join(map(json.dumps, PAIRS)), Content.JSON),
        (json.dumps({name: [pair[name] for pair in PAIRS] for name in WANTED}), Content.JSON),
        (json.dumps({name: {"0": PAIRS[0][name], "7": PAIRS[1][name]} for name in WANTED}, indent=1), Content.JSON),
        ('prompt,completion\n"a, b",c; d\ne,f\n', Content.CSV),
        ('\ufeffPrompt;Completion;x\r\na, b;"c; d"\r\n\r\ne;f;\r\n', Content.CSV),
        ("prompt\tcompletion\na, b\tc; d\ne\tf", Content.TSV),
        ("completion|id|prompt\nc; d|1|a, b\nf|2|e", Content.CSV),
        ('sep=;\r\nprompt;completion\r\na, b;"c; d"\r\ne;f', Content.CSV),
        ('"sep=:"\nprompt:completion\na, b:c; d\ne:f', Content.CSV),
    ],
)
def test_a_file_is_what_its_content_is_under_any_name(name: str, text: str, content: Content, tmp_path: Path) -> None:
    """The rows are the same, whether the name says nothing, the truth or something else."""
    path = written(tmp_path / name, text)
    file = open_records(path, wanted=WANTED)
    found = [{key.lower(): value for key, value in record.values.items()} for record in file]
    assert [pair.items() <= row.items() for pair, row in zip(PAIRS, found, strict=True)] == [True, True]
    is_json = {Content.JSON, Content.JSON_LINES}
    assert file.content is content or {file.content, content} <= is_json
    assert isinstance(file.reader, JsonReader) is (content in is_json)


@pytest.mark.parametrize(
    "text", ["[Scene 1]\nEnter a hero.", "{aside} no", "prompt and completion,\nso they say", "a;b;c\nd", "a\tb", ""]
)
def test_text_is_text(text: str, tmp_path: Path) -> None:
    """A story that begins with a bracket is no JSON, and a list of words no table."""
    file = open_records(written(tmp_path / "a.txt", text), wanted=WANTED)
    assert (Content.TEXT, text.split("\n")) == (file.content, [record.values["text"] for record in file])


@pytest.mark.parametrize(
    ("text", "delimiter_read"),
    [("frage;antwort\na, b;c\nd;e, f", 2), ("a,b\n1;2,3", 2), ("only\none; column\nhere, too", 1), ("x\ty\n1\t2", 2)],
)
def test_the_delimiter_is_the_one_that_makes_columns(text: str, delimiter_read: int, tmp_path: Path) -> None:
    """Also where no column is called as expected; a table of one column stays one."""
    assert delimiter_read == len(open_records(written(tmp_path / "a.csv", text)).names)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.fixed_dictionaries({"x": json_values}), max_size=5), st.sampled_from([None, 0, 2]), st.booleans())
def test_json_is_read_as_a_whole_parser_reads_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None, ascii_only: bool
) -> None:
    """An array item by item, and objects below each other, however they are laid out."""
    path = tmp_path_factory.getbasetemp() / "a.json"
    rows = json.loads(json.dumps(rows).replace("\\ud", "\\ue"))  # no half characters
    layouts = [json.dumps(rows, indent=indent, ensure_ascii=ascii_only)]
    layouts.append("\n".join(json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows))
    for text in layouts:
        assert rows == records(written(path, text)) or not text


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"a":1}\n{bad\n{"a":3}\n', 2, "not valid JSON"),
        ('{"a":1}\n{"a":"x\ny"}\n', 2, "not valid JSON"),
        ('{"a":1},\n{"a":2}', 1, "not valid JSON"),
        ('[\n{"a":1},\n{"a":2,}\n]', 3, "not valid JSON"),
        ('[\n{"a":1}\n{"a":2}\n]', 3, "not valid JSON"),
        ('[{"a":1},\n\n{"a":', 1, "it ends inside of the array"),
        ('[{"a":1}]\n\n{"a":2}', 3, "more follows after the end of the array"),
        ('{\n"a": 1,\n"b": tru\n}', 3, "not valid JSON"),
        ('{\n"a": 1', 1, "not valid JSON"),
        ('[{"a":' + "[" * 9999, 1, "nested too deeply"),
        ('{"a":' * 9999, 1, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    """The line is that of the mistake, in lines, in objects over several lines and in arrays."""
    with pytest.raises(InputError, match=rf"^line {line} of 'a.json'.*{words}"):
        records(written(tmp_path / "a.json", text))


def test_records_know_their_place(tmp_path: Path) -> None:
    """The line on which a record begins."""
    text = '[\n {"x": 1},\n\n {"x":\n 2}, {"x": 3}]\n'
    assert [2, 4, 5] == [record.line for record in open_records(written(tmp_path / "a.json", text))]
    text = 'x\n"a\nb"\n\nc\n'
    assert [3, 5] == [record.line for record in open_records(written(tmp_path / "a.csv", text))]  # where rows end


def test_numbers_stay_digit_for_digit(tmp_path: Path) -> None:
    """Integers past 64 bits, long decimals and numbers past all floats, in each layout of JSON."""
    numbers = ["123456789012345678901210", "0.1234567890123456789", "1e400", "-18446744073709551617"]
    lines = [f'{{"x": {number}}}' for number in numbers]
    for text in ("\n".join(lines), f"[{','.join(lines)}]", "[\n" + ",\n".join(lines) + "\n]"):
        assert numbers == [str(row["x"]) for row in records(written(tmp_path / "a.json", text))]


@pytest.mark.parametrize("separator", [",", ",\n", "\n"])
def test_a_large_file_takes_the_memory_of_a_row(separator: str, tmp_path: Path) -> None:
    """24 MB in one array, on one line or on many, or as lines: a few MB at the peak."""
    item = json.dumps({"prompt": "q" * 5000, "completion": "a" * 5000})
    text = separator.join([item] * 2400)
    path = written(tmp_path / "a.json", text if separator == "\n" else f"[{text}]")
    tracemalloc.start()
    try:
        assert 2400 == sum(1 for _ in open_records(path))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"\x1f\x8b\x08\0", "compressed"),
        ("a.jsonl", b"PAR1\0\0", "as Parquet"),
        ("a.csv", b"<!DOCTYPE html><html>", "a page"),
        ("a.json", b"SQLite format 3\0", "a SQLite database"),
        ("a.csv", b"PK\x03\x04" + bytes(30), "a ZIP archive"),
        ("a.dat", b"\x01\x02\x03", "unknown format"),
        ("a.dat", b"words", "unknown format"),
        ("a.txt", b"| prompt | completion |\n|---|---|\n| a | b |\n", "names columns"),
        ("a.txt", b"prompt          completion\r\na               b\r\n", "names columns"),
        ("a.md", b"prompt|completion\n---|:--:\na|b\n", "unknown format"),
    ],
)
def test_what_is_no_rows_says_what_it_is(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    """With a fix that makes rows of it."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        records(path)
    assert refused.value.fix


def test_a_pipe_is_no_file_of_records(tmp_path: Path) -> None:
    """It would be waited for, and can be read only once."""
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="no regular file"):
        records(tmp_path / "a.jsonl")
