"""`prepare`: what it reads, what it refuses in a sentence, and what holds for whatever file it is given."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import assemble
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.data.prepare import inferred_recipe, prepare
from herogen_async.data.prepare.apply import Analysis, analyse, marks_of, remedy
from herogen_async.data.prepare.common_affixes import (
    ENDINGS,
    SEPARATORS,
    ending_in,
    separator_in,
    shared_head,
    shared_tail,
)
from herogen_async.data.prepare.letter_case import is_mostly_upper, lowered
from herogen_async.data.prepare.records import FileReading, Table
from herogen_async.data.prepare.split import shuffled, split
from support.places import BENCHMARKS
from support.prepare_runs import csv_of, prepared, rows_of
from support.run_folders import WrittenRun

TEXT = st.text(alphabet=st.sampled_from("ab A.\n>-# END0x"), max_size=12)
few = settings(max_examples=25)  # each is a dozen validators
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=12)


def analysed(rows: list[tuple[str, str]]) -> Analysis:
    columns = [prompt for prompt, _ in rows], [completion for _, completion in rows]
    return analyse(FileReading(Table.of(("prompt", "completion"), columns), "CSV", "CSV"))


@few
@given(PAIRS)
def test_what_comes_out_can_be_trained_on_or_the_reason_is_said(rows: list[tuple[str, str]]) -> None:
    """No completion is empty, each begins with a space, and the advised marks end every row and none earlier."""
    try:
        remedied = remedy(analysed(rows), lambda _: True, lambda _: None)
    except InputError:
        kept = [pair for pair in rows if pair[1]]
        assert 1 in (len({prompt for prompt, _ in kept}), len({completion for _, completion in kept}))
        return
    table, marks = remedied.table, marks_of(remedied)
    assert all(text.startswith(" ") and text != " " for text in table.completions if text.strip())
    assert all(prompt.endswith(marks.indicator) for prompt in table.prompts)
    for text in table.completions:
        assert text.endswith(marks.stop)


@few
@given(PAIRS)
def test_no_fix_that_is_declined_changes_a_row(rows: list[tuple[str, str]]) -> None:
    """Declining every fix leaves the rows as they are, except that empty completions are dropped."""
    try:
        analysis = analysed(rows)
    except InputError:
        return
    kept = [pair for pair in rows if pair[1]]
    table = remedy(analysis, lambda _: False, lambda _: None).table
    assert kept == list(zip(table.prompts, table.completions, strict=True))


@few
@given(PAIRS)
def test_a_second_time_no_mark_is_added_again(rows: list[tuple[str, str]]) -> None:
    """Preparing an already prepared table never adds the separator a second time."""
    try:
        once = remedy(analysed(rows), lambda _: True, lambda _: None)
        again = analysed(list(zip(once.table.prompts, once.table.completions, strict=True)))
    except InputError:
        return
    added = {action.action for action in once.done} & {"prompt_separator"}
    assert not added & {action.action for action in again.actions} or len(once.table) < 2


@few
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_shared_ends_are_the_longest_there_are(texts: list[str]) -> None:
    """The shared head and tail of texts are their longest common prefix and suffix by character."""
    assert os.path.commonprefix(texts) == shared_head(texts)  # noqa: RUF071 - by character is what is meant
    assert os.path.commonprefix([text[::-1] for text in texts])[::-1] == shared_tail(texts)  # noqa: RUF071


@few
@given(st.lists(st.text(max_size=8), max_size=80))
def test_capitals_are_counted_as_they_are_one_by_one(texts: list[str]) -> None:
    """Bulk counting of capitals agrees with counting letter by letter when hexadecimal numbers are absent."""
    if any("0x" in text or "0X" in text for text in texts):
        return
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    expected = sum(map(str.isupper, letters)) * 2 > sum(map(str.islower, letters))
    assert expected == is_mostly_upper(texts)


@few
@given(st.integers(0, 300))
def test_a_split_loses_no_row_and_doubles_none(size: int) -> None:
    """A split holds each row exactly once, with four fifths of them in training."""
    cells = [str(number) for number in range(size)]
    train, valid = split(Table.of(("prompt", "completion"), (cells, cells)))
    assert sorted(cells) == sorted([*train.prompts, *valid.prompts])
    assert int(size * 0.8) == len(train)


def test_the_shuffle_is_numpys() -> None:
    """`numpy.random.RandomState(42).permutation(10)`, and the first of 5,000."""
    assert [8, 1, 5, 0, 7, 2, 9, 4, 3, 6] == shuffled(10)
    assert [1501, 2586, 2653, 1055, 705] == shuffled(5000)[:5]


def test_at_most_1000_rows_are_held_out() -> None:
    """A table of 6000 rows holds out 1000 rows rather than a fifth of them."""
    cells = [str(number) for number in range(6000)]
    train, valid = split(Table.of(("prompt", "completion"), (cells, cells)))
    assert (5000, 1000) == (len(train), len(valid))


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        (["18, man, flight", "20, woman, flight"], ""),
        (["flight", "teleport"], ""),
        (["a person, flight", "the other, flight"], ""),
        (["18, man, flight ->", "20, woman, flight ->"], " ->"),
        (["a?", "b?"], "?"),
        (["city?", "fly?"], "?"),
        (["->", "a ->"], "->"),
        (["a\n\nAnswer:\n", "b\n\nAnswer:\n"], "\n\nAnswer:\n"),
        (["a\n\n###\n\n", "b\n\n###\n\n"], "\n\n###\n\n"),
        (["only ->"], " ->"),
        (["only"], ""),
    ],
)
def test_a_separator_is_told_from_an_accident(prompts: list[str], expected: str) -> None:
    """Shared prompt endings count as a separator only if marked, not when words happen to end alike."""
    assert expected == separator_in(prompts)


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        ([" good", " bad"], ""),
        ([" One. Two.", " Three. Four."], ""),
        ([" One.", " Two."], "."),
        ([" One. END", " Two. END"], ". END"),
        ([" a hero END", " the hero END"], " END"),
        ([" one END", " END of two END"], " END"),
        ([" END", " two END"], " END"),
        ([" oneSTOP", " anotherSTOP"], "STOP"),
        ([" NAUTO", " PLUTO"], ""),
        ([" one ###", " ### of two ###"], " ###"),
        ([" one! No!", " two!"], ""),
        ([" one ok", " ok: two ok"], ""),
        ([" x\nok.", " y\nok."], "\nok."),
        ([" A hero. END"], " END"),
        ([" A hero"], ""),
    ],
)
def test_an_ending_is_told_from_an_accident(completions: list[str], expected: str) -> None:
    """Shared completion endings count as a stop only if marked, not when words happen to end alike."""
    assert expected == ending_in(completions)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a ->", " A hero. END"), ("b ->", " B hero. END")], Recipe()),
        ([("a ->", " A hero. END")], Recipe()),
        ([("18, man, flight ->", " x END"), ("20, man, flight ->", " y END")], Recipe()),
        ([("a\n\n###\n\n", "x\n"), ("b\n\n###\n\n", "y\n")], Recipe(separator="\n\n###\n\n", lead="", ending="\n")),
        ([("18, man", "tag 1"), ("20, woman", "tag 2")], Recipe(separator="", lead="", ending="")),
        ([("q1 ->", " good"), ("q2 ->", " good")], Recipe(ending="")),
        ([("", " one"), ("", " two")], Recipe(separator="", ending="")),
        ([("a =>", " big hero"), ("b =>", " small hero")], Recipe(separator=" =>", ending="")),
        ([], Recipe(separator="", lead="", ending="")),
    ],
)
def test_the_recipe_is_read_from_the_rows(rows: list[tuple[str, str]], expected: Recipe) -> None:
    """Separator, lead and ending are inferred from rows, and stay empty where the rows show none."""
    assert expected == inferred_recipe(iter(rows))


@few
@given(
    st.sampled_from(SEPARATORS),
    st.sampled_from(ENDINGS),
    st.lists(st.text("abc ", min_size=1), min_size=2, unique=True),
)
def test_the_recipe_of_rows_that_were_prepared_is_what_was_added(separator: str, ending: str, texts: list[str]) -> None:
    """Inference recovers exactly the separator and ending that were added to varied rows."""
    texts = [text.strip() + "abc"[number % 3] for number, text in enumerate(texts)] + ["xa", "xb", "xc"]
    recipe = inferred_recipe((text + separator, " " + text + ending) for text in texts)
    assert (separator, ending) == (recipe.separator, recipe.ending)


@pytest.mark.parametrize(
    ("text", "expected"), [("0x1F TRUE", "0x1F true"), ("A0X1f", "a0x1f"), ("At 0XAB!", "at 0XAB!"), ("ÉCOLE", "école")]
)
def test_lower_case_leaves_hexadecimal_numbers_alone(text: str, expected: str) -> None:
    """Lower-casing covers accented capitals and leaves hexadecimal numbers such as 0x1F as they are."""
    assert expected == lowered(text)


def workbook(*sheets: Any) -> bytes:
    """An XLSX file."""
    content: bytes = importlib.import_module("prepare_files").workbook(*sheets)
    return content


def test_a_workbook_gives_the_text_that_its_cells_stand_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers without a point, days as moments, a formula as its saved value, an error as nothing."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    raw = importlib.import_module("prepare_files").Raw
    file = tmp_path / "d.XLSX"
    cells = [
        [7.0, "a word"],
        [1.5, True],
        [raw('s="1"><v>45000</v>'), raw("><f>1+1</f><v>2</v>")],
        ["formula", raw("><f>1+1</f>")],
        ["NA", "N/A"],
    ]
    file.write_bytes(workbook([["prompt", "completion"], *cells], [["other"], ["x"]]))
    made = prepared(file)
    assert [("7 ->", " a word\n"), ("1.5 ->", " true\n"), ("2023-03-15 00:00:00 ->", " 2\n"), ("na ->", " n/a\n")] == [
        (row["prompt"].lower(), row["completion"].lower()) for row in made.rows
    ]
    assert "It has 2 sheets; only the first was read." == made.told["warnings"][0]
    assert made.told["warnings"][1].startswith("1 formula without a saved value (the first: B5)")


def test_columns_are_called_as_pandas_calls_them(tmp_path: Path) -> None:
    """Unnamed and repeated CSV columns get the names pandas would give them, such as `prompt.1`."""
    file = csv_of(tmp_path, "0,a,b,c,d", "1,e,f,g,h", header=",prompt,prompt,completion,")
    assert ["Unnamed: 0", "prompt.1", "Unnamed: 4"] == prepared(file).told["actions"][1]["value"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.csv", None, "not found"),
        ("empty.csv", b"", "is empty"),
        ("empty.jsonl", b"", "no row"),
        ("a.docx", b"x", "unknown format"),
        ("noending", b"x", "has no extension"),
        (
            "mixed.csv",
            "prompt,completion\na,café 漢字\n".encode() + b"b,caf\xe9\n",
            "line 3 of 'mixed.csv' has bytes that",
        ),
        ("binary.csv", b"prompt,completion\n" + bytes(range(0x80, 0x100)) * 9, "can't be told from its text"),
        ("nul.csv", b"prompt,completion\na\0,b\n", "NUL byte (line 2)"),
        ("open.csv", b'prompt,completion\na,"b\n', "inside a quoted cell"),
        ("ragged.csv", b"prompt,completion\na,b,c\n", "has 3 cells"),
        ("no.xlsx", b"PK\x03\x04nothing", "as a workbook"),
        ("bad.jsonl", b'{"prompt":"a","completion":"b"}\n{bad\n', "line 2"),
        ("bad.json", b'{"a":', "is not valid JSON"),
        ("list.json", b"[1]", "is a number, not an object"),
        ("deep.json", b"[" * 100_000, "nested too deeply"),
        ("other.jsonl", b'{"message":[]}', "no column 'prompt'"),
        ("same.csv", b"prompt,completion\na,b\na,c\n", "all prompts are the same"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    name: str, content: bytes | None, words: str, tmp_path: Path
) -> None:
    """Exit code 1, as the legacy tool's; one error, one fix, and nothing written."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    made = prepared(file)
    assert 1 == made.exit_code
    assert words in made.said
    assert [1, 1] == [made.said.count("error: "), made.said.count("fix: ")]
    assert ([], None, []) == (made.told["actions"], made.told["stop"], made.told["outputs"])
    assert content is None or [file] == list(tmp_path.iterdir())


def lines_of(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    """A file of JSON lines."""
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


WORDS = ("small bird", "grey fox", "old cow")
MESSAGES = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.mark.parametrize(
    ("row", "name", "words", "fix"),
    [
        (MESSAGES, "m.jsonl", "rows of messages, which need no preparing", "as they are: herogen-async finetune"),
        (MESSAGES, "m.txt", "rows of messages", "of a .jsonl file, then: herogen-async finetune"),
        ({"messages": "[{}]"}, "x.jsonl", "rows of messages", "of a .jsonl file, then: herogen-async finetune"),
        ({"data": [{"prompt": "a", "completion": "b"}]}, "d.jsonl", "are inside of 'data'", "jq -c"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "s.jsonl", "holds conversations", '{"messages": '),
        (
            {"prompt": [{"role": "system", "content": "s"}] * 2, "completion": "x"},
            "c.jsonl",
            "line 1 of",
            '{"messages": ',
        ),
        (
            {"prompt": "[{'role': 'user', 'content': 'a'}]", "completion": "x"},
            "t.jsonl",
            "written as text",
            '"messages"',
        ),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "p.jsonl", "to choose between", "--method dpo"),
        (
            {"Instruction": "a", "input": "", "output": "b"},
            "i.jsonl",
            "may be them",
            "rename 'Instruction' to 'prompt'",
        ),
    ],
)
def test_rows_of_another_kind_are_named_and_shown_their_way(
    row: object, name: str, words: str, fix: str, tmp_path: Path
) -> None:
    """Conversations, preferences and instructions are never trained on as text, nor told to rename what is no pair."""
    made = prepared(lines_of(tmp_path, row, row, name=name))
    assert 1 == made.exit_code
    assert words in made.said
    assert fix in made.told["fix"]


def test_pairs_of_messages_are_pairs_of_their_texts(tmp_path: Path) -> None:
    """One user's message and one assistant's, also in parts, are a prompt and a completion; the file is converted."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"q{number} ->"}],
            "completion": {
                "role": "assistant",
                "content": [{"type": "text", "text": f" {WORDS[number]}"}, {"text": " END"}],
            },
        }
        for number in range(3)
    ]
    made = prepared(lines_of(tmp_path, *rows))
    assert [(f"q{number} ->", f" {WORDS[number]} END") for number in range(3)] == [
        tuple(row.values()) for row in made.rows
    ]
    assert ["convert_format"] == made.actions
    assert {"messages"} == made.mended


@pytest.mark.parametrize(
    "text",
    [
        "exported today\n" + '{"prompt": "a", "completion": "b"}\n' * 3,
        "{'prompt': 'a', 'completion': 'b'}\n",
        "\n{'messages': [{'role': 'user', 'content': 'a'}]}\n",
    ],
)
def test_rows_in_a_text_are_not_trained_on_as_text(text: str, tmp_path: Path) -> None:
    """Behind a line of words, or as Python writes them; a line among many may be about such rows."""
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"read as text, and line [12] of it is a row") as refused:
        prepare(path)
    assert "one JSON object a line" in (refused.value.fix or "")
    path.write_text("A row looks so:\n{'prompt': 'a'}\nand is a row.\nOf many.\n")
    assert 5 == prepare(path).rows


def test_lists_are_told_whether_written_as_lists_or_as_text(tmp_path: Path) -> None:
    """A completion that is a list becomes its JSON text, with a warning; so does a column of lists in a table."""
    made = prepared(lines_of(tmp_path, *({"prompt": f"q{each} ->", "completion": [each, "x"]} for each in range(3))))
    assert ['[0,"x"]', '[1,"x"]', '[2,"x"]'] == [row["completion"].strip() for row in made.rows]
    assert any("Rows 1, 2 and 3 have a list or an object as 'completion'" in each for each in made.told["warnings"])
    made = prepared(csv_of(tmp_path, *(f"q{each} ->,\"['{each}', 'x']\"" for each in range(3))))
    assert any("'completion' are lists, written as text" in each for each in made.told["warnings"])


def test_a_name_that_says_something_else_is_told_and_the_rows_are_converted(tmp_path: Path) -> None:
    """JSON lines called .txt are JSON lines; a new file with the right name is written."""
    rows = [{"prompt": f"q{each} ->", "completion": f" {WORDS[each]} END"} for each in range(3)]
    made = prepared(lines_of(tmp_path, *rows, name="train.txt"))
    assert (rows, ["convert_format"], {"content"}) == (made.rows, made.actions, made.mended)
    assert "JSONL" == made.told["format"]


def test_a_table_in_another_encoding_is_prepared_and_shown(tmp_path: Path) -> None:
    """What was found from the text is shown as it was read, and UTF-8 is written."""
    file = tmp_path / "d.csv"
    file.write_bytes(
        "prompt,completion\n英雄の話 ->,昔々あるところに END\n空を飛ぶ ->,東京の夜を守る END\n".encode("cp932")
    )
    made = prepared(file)
    assert ["英雄の話 ->", "空を飛ぶ ->"] == [row["prompt"] for row in made.rows]
    assert {"encoding"} == made.mended
    assert any("英雄の話" in each for each in made.told["warnings"])


def test_a_common_beginning_is_not_cut_inside_of_a_number(tmp_path: Path) -> None:
    """Numbers that begin alike keep all their digits."""
    made = prepared(csv_of(tmp_path, *(f"parcel {each} ->,1234567890123456789{each}" for each in range(10, 14))))
    assert [f"1234567890123456789{each}" for each in range(10, 14)] == [row["completion"].strip() for row in made.rows]
    assert "number_cut" in made.mended
    made = prepared(csv_of(tmp_path, *(f"q{each} ->,The hero no. 1{each} flies" for each in range(10, 14))))
    assert ["110 flies", "111 flies"] == [row["completion"].strip() for row in made.rows[:2]]


def test_numbers_of_any_length_are_prepared_digit_for_digit(tmp_path: Path) -> None:
    """Integers past 64 bits and decimals that no float holds."""
    numbers = ["98765432109876543210987", "0.1234567890123456789", "1e400", "-5"]
    file = tmp_path / "n.jsonl"
    file.write_text("".join(f'{{"prompt":"q{each} ->","completion":{each}}}\n' for each in numbers))
    assert numbers == [row["completion"].strip() for row in prepared(file).rows]


def test_p14_what_assemble_guarded_is_prepared_without_the_guard(tmp_path: Path) -> None:
    """The rows that come of the guarded table are those that `assemble` wrote for trainers, and it is said."""
    run = WrittenRun(tmp_path)
    said = (
        "=1+1 is two",
        "'-ing' is an ending",
        "@home",
        "-5",
        "\uff1dA1 it says",
        "\tindented",
    )
    run.write(run.answer(number, text) for number, text in enumerate(said))
    assemble(tmp_path)
    made = prepared(tmp_path / "dataset" / "prepared_data.csv")
    assert [row["completion"].strip().removesuffix(" END") for row in made.rows] == [
        row["completion"].strip().removesuffix(" END")
        for row in rows_of(tmp_path / "dataset" / "prepared_data_prepared.jsonl")
    ]
    assert "formula_guard" in made.mended


def test_a_table_that_holds_formulas_has_no_guard_to_take_off(tmp_path: Path) -> None:
    """An apostrophe stays where other cells show that nobody guarded them."""
    made = prepared(csv_of(tmp_path, "a,'-ing' is an ending", "b,=1+1"))
    assert ["'-ing' is an ending", "=1+1"] == [row["completion"].strip() for row in made.rows]
    assert "formula_guard" not in made.mended


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Preparing a folder is refused with a message that it is a folder."""
    assert "is a folder" in prepared(tmp_path).said


def test_an_unwritable_output_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    """An output file that can't be created exits 1 with a fix and leaves only the input in the folder."""
    file = tmp_path / ("n" * 248 + ".csv")  # its result's name would be longer than a name may be
    file.write_text("prompt,completion\na,b c\nd,e f\n")
    made = prepared(file)
    assert (1, [file]) == (made.exit_code, list(tmp_path.iterdir()))
    assert "copy the file to a writable folder" in made.said


def test_no_answer_is_no_yes(tmp_path: Path) -> None:
    """Questions that nobody can answer end it with a sentence; nothing is written."""
    file = csv_of(tmp_path, "a,b c", "d,e f")
    made = prepared(file, answers="y\n")
    assert (1, [file]) == (made.exit_code, list(tmp_path.iterdir()))
    assert "-q" in made.said


def test_enter_is_yes_and_no_is_no(tmp_path: Path) -> None:
    """An empty answer accepts a fix; `no` and `N` decline it and are recorded as declined."""
    made = prepared(csv_of(tmp_path, "a,b c", "d,e f"), answers="\nno\nN\n\n")
    assert ["completion_ending", "completion_leading_space"] == made.told["declined"]
    assert [{"prompt": "a ->", "completion": "b c"}, {"prompt": "d ->", "completion": "e f"}] == made.rows


def test_text_from_the_file_moves_no_cursor(tmp_path: Path) -> None:
    """P14: also where a message quotes it."""
    made = prepared(csv_of(tmp_path, "\x1b[2Ja->\x1b,b c", "\x1b[2Jx->\x1b,e f"))
    assert "\x1b" not in made.said


def test_the_object_for_scripts_is_one_line_whatever_the_file_holds(tmp_path: Path) -> None:
    """Else a script that splits stdout in lines, as Python does, finds the half of it."""
    made = prepared(csv_of(tmp_path, "a,Hero\u2028\x85\x9b1Jb c", "d,Hero\u2028\x85\x9b1Je f"))
    assert "Hero\u2028\x85\x9b1J" == made.told["actions"][2]["value"]


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    """A CSV cell of one megabyte is read, and the row is listed as too long."""
    made = prepared(csv_of(tmp_path, f"a,{'x y ' * 250_000}", "b,short one"))
    assert {"kind": "recommended", "action": "drop_long", "value": 1} == made.told["actions"][1]


def test_the_object_for_scripts_says_all(tmp_path: Path) -> None:
    """The JSON object has every key scripts rely on, with the output file and the next command."""
    file = csv_of(tmp_path, "a,b c", "d,e f")
    told = prepared(file).told
    expected = ["actions", "advice", "declined", "file", "format", "mended", "next", "outputs", "prompt_indicator"]
    assert [*expected, "rows", "rows_written", "stop", "task", "warnings"] == sorted(told)
    output = tmp_path / "data_prepared.jsonl"
    assert (f"herogen-async finetune {output}", [str(output)]) == (told["next"], told["outputs"])
    assert ("CSV", 2, "conditional generation") == (told["format"], told["rows"], told["task"])


def test_labels_are_parted_and_the_next_step_names_both_files(tmp_path: Path) -> None:
    """Rows with labels are split four to one, and the next command passes both files to `finetune`."""
    made = prepared(csv_of(tmp_path, *(f"q{number},{('good', 'bad')[number % 2]}" for number in range(20))))
    train, valid = made.told["outputs"]
    assert f"herogen-async finetune {train} --validation {valid}" == made.told["next"]
    assert (16, 4) == tuple(len(Path(output).read_text().splitlines()) for output in (train, valid))


def test_from_python_the_recipe_comes_with_the_result(tmp_path: Path) -> None:
    """`prepare` called from Python returns the recipe it applied along with the written rows."""
    made = prepare(csv_of(tmp_path, "a,b c", "d,e f"))
    assert Recipe(ending="\n") == made.recipe
    assert {"prompt": "a ->", "completion": " b c\n"} == json.loads(made.outputs[0].read_text().splitlines()[0])
