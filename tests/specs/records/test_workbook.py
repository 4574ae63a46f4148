"""Workbooks: what is in the cells comes out as text, what is odd is told, and nothing a file claims costs memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from herogen_async.core.errors import InputError
from herogen_async.specs.records import RecordFile, open_records
from support.workbooks import HEADER, cell, row, rows, sheet, workbook

WANTED = ("prompt", "completion")
ROWS = (("q1", "a1"), ("q2", "a2"))
STYLES = '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="[Red]&quot;day&quot; yyyy\\-mm"/></numFmts><cellXfs>'
STYLES += '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/><xf numFmtId="2"/></cellXfs></styleSheet>'


def read(path: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows, and the warnings."""
    file: RecordFile = open_records(path, wanted=WANTED)
    found = [tuple(record.values.get(name, "") for name in WANTED) for record in file]
    return found, [remark.text for remark in file.remarks if remark.warning]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("><v>7.0</v>", "7"),
        ("><v>1.5</v>", "1.5"),
        ("><v>12345678901234567890123</v>", "12345678901234567890123"),
        ("><v>1.5E+20</v>", "150000000000000000000"),
        (' s="3"><v>0.10000000000000001</v>', "0.1"),
        (' s="1"><v>45000</v>', "2023-03-15 00:00:00"),
        (' s="2"><v>45000.5</v>', "2023-03-15 12:00:00"),
        (' s="1"><v>0.25</v>', "06:00:00"),
        (' s="1"><v>99999999</v>', "99999999"),
        (' t="b"><v>1</v>', "True"),
        (' t="d"><v>2023-03-15T10:00:00</v>', "2023-03-15 10:00:00"),
        (' t="s"><v>1</v>', "rich text"),
        (' t="str"><f>A1</f><v>a_x000D_b_x005F_c</v>', "a\rb_c"),
        (' t="inlineStr"><is><t>x &amp; </t><r><t> y</t></r></is>', "x &  y"),
        ("><f>1+1</f><v>2</v>", "2"),
        (' t="str"><f>""</f><v></v>', ""),
    ],
)
def test_a_cell_comes_as_the_text_that_it_stands_for(inside: str, expected: str, tmp_path: Path) -> None:
    """Numbers digit for digit, dates as moments, shared texts without their reading aids, escapes undone."""
    shared = "<sst><si><t>x</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>aid</t></rPh></si></sst>"
    content = row(1, *HEADER) + f'<row r="2">{cell("A2", "q")}<c r="B2"{inside}</c></row>'
    found, warnings = read(workbook(tmp_path / "b.xlsx", {"S": sheet(content)}, shared=shared, styles=STYLES))
    assert ([("q", expected)], []) == (found, warnings)


def test_prefixes_and_implied_places_are_read(tmp_path: Path) -> None:
    """Other programs prefix all names and leave places out."""
    texts = "".join(f'<x:c t="str"><x:v>{text}</x:v></x:c>' for text in HEADER)
    lines = f"<x:row>{texts}</x:row>" + '<x:row><x:c t="str"><x:v>q</x:v></x:c><x:c><x:v>5</x:v></x:c></x:row>'
    content = f'<x:worksheet xmlns:x="u"><x:sheetData>{lines}</x:sheetData></x:worksheet>'
    assert ([("q", "5")], []) == read(workbook(tmp_path / "b.xlsx", {"S": content}))


def test_a_value_in_merged_cells_counts_for_all_their_rows(tmp_path: Path) -> None:
    """A prompt merged over rows is that of each of them, and it is told; a title over columns is no answer."""
    lines = row(1, *HEADER) + row(2, "q1", "a1") + row(3, "", "a2") + row(4, "q2", "a3") + row(5, "part two")
    path = workbook(tmp_path / "b.xlsx", {"S": sheet(lines, merged=("A2:A3", "A5:B5", "A1:B1"))})
    found, warnings = read(path)
    assert [("q1", "a1"), ("q1", "a2"), ("q2", "a3"), ("part two", "")] == found
    assert "1 cell filled, the first: A3" in warnings[0]
    assert warnings[1].startswith("1 merged cell over several columns")


def test_the_sheet_with_the_columns_is_read_and_the_others_are_told(tmp_path: Path) -> None:
    """A title page is passed over; other sheets with the columns, and hidden ones, are named."""
    sheets = {"Title": sheet(rows(["About"])), "Data": sheet(rows(HEADER, *ROWS)), "More": sheet(rows(HEADER))}
    found, warnings = read(workbook(tmp_path / "b.xlsx", {**sheets, "Old": sheet("")}, hidden=["Old"]))
    assert list(ROWS) == found
    assert [
        "It has 4 sheets; only 'Data' was read: the first has no columns 'prompt', 'completion'.",
        "These sheets have the columns too, and were not read: 'More'.",
        "Hidden sheets were not read: 'Old'.",
    ] == warnings


def test_rows_of_a_hidden_sheet_are_read_by_nobodys_mistake(tmp_path: Path) -> None:
    """Where only a hidden sheet has the columns, that is said."""
    sheets = {"Old": sheet(rows(HEADER, *ROWS)), "New": sheet(rows(["x"]))}
    with pytest.raises(InputError, match="only the hidden sheet 'Old'"):
        read(workbook(tmp_path / "b.xlsx", sheets, hidden=["Old"]))


def test_titles_above_the_header_are_skipped_and_told(tmp_path: Path) -> None:
    """The row that names the columns is the header, wherever it stands."""
    found, warnings = read(workbook(tmp_path / "b.xlsx", {"S": sheet(row(1, "Heroes") + rows(HEADER, *ROWS, first=3))}))
    assert list(ROWS) == found
    assert ["What stands above row 3 was not read: that row names the columns."] == warnings


def test_formulas_without_values_errors_and_hidden_rows_are_told(tmp_path: Path) -> None:
    """None of them is trained on unsaid."""
    odd = (
        '<c r="B2"><f>A1</f></c></row><row r="3" hidden="1"><c r="A3"><f>A1</f><v/></c><c r="B3" t="e"><v>#REF!</v></c>'
    )
    content = row(1, *HEADER) + f'<row r="2">{cell("A2", "q")}{odd}</row>'
    content += row(4, "r", "b", of='hidden="true"')
    found, warnings = read(workbook(tmp_path / "b.xlsx", {"S": sheet(content)}))
    assert [("q", ""), ("", ""), ("r", "b")] == found
    assert ["2 formulas without a saved value (the first: B2)", "1 cell with an error value (the first: B3)"] == [
        text.partition(", taken")[0] for text in warnings[:2]
    ]
    assert "2 hidden rows read like the others." == warnings[2]


@pytest.mark.parametrize(("calculation", "told"), [("", 0), ('<calcPr calcId="1" fullCalcOnLoad="1"/>', 1)])
def test_zeros_that_nobody_has_calculated_yet_are_told(calculation: str, told: int, tmp_path: Path) -> None:
    """Libraries write 0 for each formula, and that the workbook is to be calculated when it is opened."""
    content = row(1, *HEADER) + f'<row r="2">{cell("A2", "q")}<c r="B2"><f>LEN(A2)</f><v>0</v></c></row>'
    path = workbook(tmp_path / "b.xlsx", {"S": sheet(content)}, calculation=calculation)
    found, warnings = read(path)
    assert ([("q", "0")], told) == (found, len(warnings))
    assert told == sum("1 formula with the value 0 (the first: B2)" in text for text in warnings)


def test_a_far_cell_costs_nothing_and_is_told(tmp_path: Path) -> None:
    """Nothing is laid out by the coordinates that a file names."""
    content = rows(HEADER) + '<row r="2">' + cell("A2", "q") + cell("B2", "a") + cell("XFD2", "x") + "</row>"
    found, warnings = read(workbook(tmp_path / "b.xlsx", {"S": sheet(content)}))
    assert [("q", "a")] == found
    assert ["1 cell far beyond the named columns not read (the first: XFD2)."] == warnings


def bomb() -> list[str]:
    """A sheet that shrinks to a thousandth."""
    return ["<worksheet><sheetData>", *([" " * (1 << 20)] * 40), "</sheetData></worksheet>"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (sheet(rows(HEADER, *ROWS) + row(900_000, "x")), "is empty from row 4 to row 899,999"),
        (sheet(rows(HEADER) + row(1_048_577, "x")), "it has a row 1048577"),
        (sheet(rows(HEADER) + '<row r="2">' + cell("XFE2", "x") + "</row>"), "it has a column XFE"),
        (sheet(rows(HEADER) + '<row r="2">' + cell("ZZZZZZZZ2", "x") + "</row>"), "it has a column ZZZZZZZZ"),
        (sheet(rows(HEADER) + row(-5, "x")), "row -5 comes after row 1"),
        (sheet(rows(HEADER) + row(2, "x") + row(2, "y")), "row 2 comes after row 2"),
        (sheet('<row r="1"><c t="s"><v>5</v></c></row>'), "refers to a text that is not there"),
        (sheet('<row r="1"><c><v>x</v></c></row>'), "could not convert"),
        (sheet('<row r="x"/>'), "invalid literal"),
        ('<!DOCTYPE x [<!ENTITY a "aa">]>' + sheet(rows(["&a;"])), "it has a document type"),
        (sheet("<row>"), "mismatched tag"),
        (sheet(""), "the first sheet of 'b.xlsx' is empty"),
        (bomb(), "unpacks to more than a workbook holds"),
        ([sheet("").partition("</")[0], '<row r="1"><c t="str"><v>', *["ab" * (1 << 19)] * 11], "more than 10,000,000"),
    ],
)
def test_a_workbook_that_nobody_wrote_is_refused_in_a_sentence(
    content: str | list[str], words: str, tmp_path: Path
) -> None:
    """Far, huge, backward and broken: an error with a fix, in little memory."""
    with pytest.raises(InputError, match=words) as refused:
        read(workbook(tmp_path / "b.xlsx", {"S": content}))
    assert refused.value.fix


def test_what_only_looks_like_a_workbook_is_named(tmp_path: Path) -> None:
    """Old workbooks, other archives and cut files say what they are."""
    named = {
        "old.xlsx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "Excel 97-2003"),
        "cut.xlsx": (workbook(tmp_path / "b.xlsx", {"S": sheet("")}).read_bytes()[:-40], "can't be read as a workbook"),
        "text.xlsx": (b"hello", "it is text"),
    }
    for name, part in (("a.ods", "content.xml"), ("a.docx", "word/document.xml"), ("a.xlsb", "xl/workbook.bin")):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("mimetype", "x")
            file.writestr(part, "<x/>")
    for name, (content, _) in named.items():
        (tmp_path / name).write_bytes(content)
    expected = {name: words for name, (_, words) in named.items()}
    expected |= {"a.ods": "OpenDocument", "a.docx": "Word document", "a.xlsb": "binary workbook"}
    for name, words in expected.items():
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)
