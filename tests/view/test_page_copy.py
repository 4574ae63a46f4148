"""A run as files that open without a server: all that a reader of the page has, and nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from herogen_async.core.errors import DiskError, InputError
from herogen_async.data.dataset.assemble.assemble import assemble
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowFilter, RowPages
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from herogen_async.view.web import page_copy
from herogen_async.view.web.classic_script import classic_script
from herogen_async.view.web.page_copy import write_copy
from herogen_async.view.web.routes import row_filter
from herogen_async.view.web.static_files import static_files
from support.browsers import Page, opened_browser
from support.column_runs import ColumnRun, completion, maths
from support.hostile_run import CELLS, FAILED, REPEATS, ROWS, cleaned, hostile_run, sound, unfolded
from support.run_folders import AT, WrittenRun
from support.runs import herogen

SPEC = Spec(name="s", attributes={"age": ["20", "30"], "who": ["man", "woman"]}, repeats=100, prompt="A {age} {who}")
JUDGED = {
    "hero": {"prompt": "A {level} hero of {topic}"},
    "judge": {"prompt": "Score [{hero}]", "answer": {"score": {"type": "number"}, "why": "string"}},
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def handed_over(data: bytes) -> Any:
    """What a file of data hands over to the page."""
    found = re.fullmatch(rb'(?:globalThis\.herogenRun = |herogenRows\("rows-\d+", )(".*")\)?;\n', data)
    assert found
    return json.loads(json.loads(found[1]))


def opened(page: Page, folder: Path, view: str = "") -> Any:
    page.tab.goto(f"{(folder / 'index.html').as_uri()}#{view}")
    return page.settle().tab


# What is written.


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    made = WrittenRun(tmp_path / "one", SPEC)
    made.write(made.answer(each, f"row {each}") for each in range(250))
    return made


def test_a_copy_is_written_whole_and_says_its_size(run: WrittenRun, tmp_path: Path) -> None:
    """Into a folder that is new or empty; rows in files of a hundred."""
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "a" / "new"):
        made = write_copy(run.folder, target)
        files = files_of(target)
        assert (250, 250) == (made.rows, made.total)
        assert (len(files), sum(map(len, files.values()))) == (made.files, made.bytes)
        assert {"index.html", "page.js", "page.css", "data.js", "rows-0.js", "rows-1.js", "rows-2.js"} <= set(files)
        assert 50 == len(handed_over(files["rows-2.js"]))
        assert ["stopped then" in made.told, "rows" in made.told] == [True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty", "one"]


def test_nothing_is_overwritten(run: WrittenRun, tmp_path: Path) -> None:
    """Neither a folder with something in it, nor a file; what a killed write has left is not in the way."""
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "x").write_bytes(b"mine")
    file.write_bytes(b"mine")
    for target in (full, file, run.path):
        with pytest.raises(InputError, match="already exists"):
            write_copy(run.folder, target)
    assert b"mine" == (full / "x").read_bytes() == file.read_bytes()
    (tmp_path / ".new.unfinished").mkdir()
    (tmp_path / ".new.unfinished" / "rows-7.js").write_bytes(b"old")
    write_copy(run.folder, tmp_path / "new")
    assert "rows-7.js" not in files_of(tmp_path / "new")


def test_a_name_that_no_folder_can_have_is_told(run: WrittenRun, tmp_path: Path) -> None:
    """As whatever else can't be written."""
    with pytest.raises(DiskError, match="can't be written: File name too long"):
        write_copy(run.folder, tmp_path / ("x" * 300))


def test_a_file_of_rows_that_was_cut_off_is_told(run: WrittenRun, tmp_path: Path) -> None:
    """The page does not wait for it, and shows the rows of the other files."""
    write_copy(run.folder, tmp_path / "copy")
    rows = tmp_path / "copy" / "rows-1.js"
    rows.write_bytes(rows.read_bytes()[:-9])
    with opened_browser() as page:
        tab = opened(page, tmp_path / "copy", "/one/rows/150")
        tab.wait_for_selector(".trouble >> text=rows-1.js is damaged", timeout=5000)
        opened(page, tmp_path / "copy", "/one/rows/5").wait_for_selector(".row-panel >> text=row 5", timeout=5000)


def test_a_disk_that_fails_leaves_nothing(run: WrittenRun, tmp_path: Path) -> None:
    """And says what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError) as refused:
        write_copy(run.folder, tmp_path / "file" / "below")
    assert refused.value.fix
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "one"]


def test_a_run_that_is_too_large_says_which_rows_are_in_it(
    run: WrittenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones as the grid has them, and all with marks; or as many as fit."""
    pages = RowPages(run.folder)
    pages.refresh()
    for number in (5, 240):
        (name,) = (call["name"] for row in pages.rows([number]) for call in row["calls"])
        add_mark(run.folder, mark_record(pages.call_to_mark(number, name), "good", None, AT), at=AT)
    monkeypatch.setattr(page_copy, "MOST_ROWS", 120)
    made = write_copy(run.folder, tmp_path / "few")
    assert (121, 250) == (made.rows, made.total)
    assert made.told.endswith("It has 121 of 250 rows: up to row 119, and 1 row more with marks.")
    assert [*range(120), 240] == [row["index"] for row in handed_over(files_of(tmp_path / "few")["data.js"])["rows"]]
    monkeypatch.setattr(page_copy, "MOST_ROW_BYTES", 1)
    made = write_copy(run.folder, tmp_path / "fewer")
    assert made.told.endswith("It has 100 of 250 rows: up to row 99.")


def test_nothing_in_a_file_of_data_is_markup_or_another_line(tmp_path: Path) -> None:
    """Whatever stands in the run; and it is handed over as it was."""
    write_copy(hostile_run(tmp_path / "one").folder, tmp_path / "copy")
    files = files_of(tmp_path / "copy")
    data = {name: text for name, text in files.items() if name.startswith(("data", "rows"))}
    for text in data.values():
        assert b"<" not in text
        assert not {"\u2028", "\u2029"} & set(text.decode())
        assert 1 == len(text.decode().splitlines())
    rows = [entry["row"] for name, text in data.items() if name != "data.js" for entry in handed_over(text)]
    said = {row["index"]: answer["response_txt"] for row in rows for answer in row["columns"].values() if answer}
    assert ROWS == said
    page = files["index.html"].decode()
    assert page.index("Content-Security-Policy") < page.index("<script") < page.index("</head>")
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert not re.search(r"""(src|href)=["'](/|\w+:)""", page)


def test_the_command_writes_one_run(run: WrittenRun, tmp_path: Path) -> None:
    """And refuses what would mean nothing, with what to do."""
    made = herogen("view", "./one", "--bundle", "copy", cwd=tmp_path)
    assert (0, f"{tmp_path / 'copy' / 'index.html'}\n") == (made.returncode, made.stdout)
    assert "MB: send the whole folder." in made.stderr
    for words in (("--bundle", "x"), ("./one", "--bundle", "copy"), ("./one", "--bundle", "x", "--port", "1")):
        refused = herogen("view", *words, cwd=tmp_path)
        assert 2 == refused.returncode
        assert "fix:" in refused.stderr


# The page as one script.


def test_every_module_of_the_page_can_be_in_a_copy() -> None:
    """Each is there, behind those that it needs, and none asks a server."""
    sources = {name: data.decode() for name, data in static_files().items() if name.endswith(".js")}
    script = classic_script(sources, "page.js", {"server.js": "copy.js"})
    held = re.findall(r'^modules\["([^"]+)"\] = ', script, re.MULTILINE)
    assert {*sources} - {"copy.js"} == {*held}
    assert "page.js" == held[-1]
    assert "EventSource" not in script
    assert not re.search(r"^(import|export)\b", re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize(
    "line", ["export * from './b.js';", 'import * as b from "./b.js";', "export default 1;", 'import "./b.js";']
)
def test_a_way_to_import_that_is_not_known_is_an_error(line: str) -> None:
    """When the script is made, not when it is opened; so is a module that needs itself."""
    with pytest.raises(ValueError, match=r"a\.js"):
        classic_script({"a.js": line, "b.js": ""}, "a.js", {})
    with pytest.raises(ValueError, match=r"a\.js imports itself"):
        classic_script({"a.js": 'import { a } from "./b.js";', "b.js": 'import { b } from "./a.js";'}, "a.js", {})


# In a browser.


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_hostile_text_runs_nothing_in_a_copy(kind: str, tmp_path: Path) -> None:
    """Nor can anything be asked of anybody, though a script wanted to."""
    write_copy(hostile_run(tmp_path / "one").folder, tmp_path / "copy")
    origin = (tmp_path / "copy").as_uri()
    with opened_browser(360, kind=kind) as page:
        tab = opened(page, tmp_path / "copy")
        for view in tab.eval_on_selector_all(
            ".tabs a", "(tabs) => tabs.map((tab) => tab.getAttribute('href').slice(1))"
        ):
            opened(page, tmp_path / "copy", view)
            unfolded(page)
            sound(page, origin, scripts=2)
        for cell in range(CELLS):
            opened(page, tmp_path / "copy", f"/one/rows/{cell * REPEATS}/repeats")
            unfolded(page)
            sound(page, origin, scripts=2)
            texts = [cleaned(text) for number, text in ROWS.items() if number // REPEATS == cell]
            assert texts == tab.locator(".in-grid .card > .text").all_text_contents()
            assert texts == tab.locator(".in-grid .note").all_text_contents()
        opened(page, tmp_path / "copy", f"/one/rows/{FAILED[7]}")
        sound(page, origin, scripts=2)
        assert 0 == tab.get_by_role("button", name="Good").count()
        assert "refused" == tab.evaluate("fetch('data.js').then(() => 'read', () => 'refused')")
        assert any("Content Security Policy" in error for error in page.errors)


QUERIES = (
    "order=grid",
    "order=latest",
    "order=most:tokens",
    "order=least:length&state=done",
    "accepted=yes&order=most:judge.score",
    "accepted=no",
    "figure=judge.score&least=0.1&most=0.3&order=least:latency",
    "finish=length",
    "kind=server",
    "kind=internal",
    "mark=good",
    "mark=none&order=most:mark",
    "finding=duplicate",
    "text=ANSWER 1",
    "text=no judge",
    "cell=level%3Dhard&cell=topic%3Dsets&order=most:length",
)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_copy_finds_the_rows_that_the_page_finds(tmp_path: Path) -> None:
    """By each filter, in each order; its progress and a row whole are there, and it opens where it was."""
    made = ColumnRun(tmp_path / "one", maths(JUDGED, keep="judge.score >= 0.3", best_of={}, repeats=40))

    def answer(call: Any) -> Any:
        if call.column == "judge":
            return None if call.index % 11 == 0 else json.dumps({"score": call.index % 6 / 10, "why": "because"})
        text = "the same" if call.index % 7 == 0 else f"an Answer {call.index} " * (call.index % 13)
        return completion(text, finish_reason="length" if call.index % 5 == 0 else "stop")

    for number in [*range(0, 150, 2), *range(149, 0, -2)]:
        made.ask(number, answer)
    assemble(made.path, column="hero", truncated="keep")
    pages = RowPages(made.folder)
    pages.refresh()
    for number, said, value in ((1, "good", None), (7, "score", 4), (99, "score", 2)):
        add_mark(made.folder, mark_record(pages.call_to_mark(number, "hero"), said, value, AT), at=AT)
    pages.refresh()
    write_copy(RunFolder(made.path), tmp_path / "copy")
    with opened_browser(1280, 3000) as page:
        tab = opened(page, tmp_path / "copy", "/one/live")
        assert "of 160" in tab.locator(".bar-text").inner_text()
        for query in QUERIES:
            tab = opened(page, tmp_path / "copy", f"/one/rows?{query}")
            tab.wait_for_function("!document.querySelector('.count-line').textContent.includes('%')")
            told = page.settle().tab.locator(".count-line [role=status]").inner_text()
            order, wanted = asked(query)
            found = pages.find(wanted, order, count=60)
            assert str(found.total) == told.split()[0], query
            shown = tab.eval_on_selector_all(".row", SHOWN)
            assert found.numbers == shown[: len(found.numbers)], query
        opened(page, tmp_path / "copy", "/one/rows/99")
        tab.wait_for_selector(".row-panel .pill >> text=2/5")
        assert [] == page.errors


SHOWN = """(rows) => rows.sort((one, other) => one.dataset.place - other.dataset.place).slice(0, 60)
  .map((row) => Number(row.querySelector(".row-index").textContent.replaceAll(",", "")))"""


def asked(query: str) -> tuple[str, RowFilter]:
    pairs = parse_qsl(query)
    return dict(pairs).get("order", "grid"), row_filter(pairs)
