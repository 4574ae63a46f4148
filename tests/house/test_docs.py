"""The docs are true: links lead somewhere, files and commands exist, constants have the values that are told."""

from __future__ import annotations

import ast
import functools
import importlib
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from herogen_async.specs.spec import Spec
from support.doc_commands import run_all, steps_of
from support.fake_server import FakeServer, answer
from support.places import BENCHMARKS, ROOT, SOURCE

DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        ROOT / "runs" / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "examples" / "README.md",
    ]
)
DESIGN = sorted((DOCS / "design").glob("*.md"))
WINGS = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)
every_note = pytest.mark.parametrize("note", DESIGN, ids=page_name)


def prose(page: Path) -> str:
    return CODE_BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings as they are linked to: lower case, hyphens for spaces, no other signs."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each)) for each in headings)
    return {each.strip().lower().replace(" ", "-") for each in plain}


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(headings, rows) of each table, cells stripped."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", page.read_text(), re.MULTILINE):
        heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield heads, rows


@every_page
def test_a_relative_link_leads_somewhere(page: Path) -> None:
    """Each linked file is there, and so is the heading that a link names."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = page if not file else (page.parent / file).resolve()
        if not place.exists() or (anchor and anchor not in anchors(place)):
            dead.append(target)
    assert [] == dead


@every_page
def test_a_file_or_room_that_a_page_names_exists(page: Path) -> None:
    """Paths are from the repository's root or from the package; a room is `wing/room`."""
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", prose(page))
    files = {each for each in named if re.search(r"\w\.(py|md|toml)$", each) and "/" in each}
    files |= set(re.findall(r"\b(?:tests|benchmarks|docs|src)/[\w./-]+\.(?:py|md)\b", page.read_text()))
    rooms = {each for each in named if each.partition("/")[0] in WINGS and "/" in each} - files
    absent = {each for each in files if not any((place / each).exists() for place in (ROOT, SOURCE, page.parent))}
    absent |= {each for each in rooms if not (SOURCE / each).is_dir() and not (SOURCE / f"{each}.py").is_file()}
    assert set() == absent


NOTE = ["Why", "The objects", "Decisions", "Constants", "What was tried", "What next"]


@every_note
def test_a_design_note_says_why_what_was_tried_and_what_next(note: Path) -> None:
    """In that order, with other chapters between; each decision has a heading that a link can name."""
    text = note.read_text()
    chapters = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert NOTE == [each for each in chapters if each in NOTE]
    decisions = text.partition("## Decisions\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^### ", decisions, re.MULTILINE)) >= 2


def test_a_file_that_code_speaks_of_exists() -> None:
    """Docstrings and comments send readers to tests and pages that are there."""
    absent = {
        (page_name(path), named)
        for folder in (SOURCE, BENCHMARKS)
        for path in folder.rglob("*.py")
        for named in re.findall(r"\b(?:tests|docs|benchmarks)/[\w./-]+\.(?:py|md)\b", path.read_text())
        if not (ROOT / named).exists()
    }
    assert set() == absent


@every_page
def test_a_python_name_that_a_page_names_exists(page: Path) -> None:
    """`herogen_async.x.y` can be imported, or is an attribute of what can."""
    for name in set(re.findall(r"herogen_async(?:\.\w+)+", page.read_text())):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            assert hasattr(importlib.import_module(module), attribute), name


@functools.cache
def commands() -> dict[str, Any]:
    from herogen_async.cli import app

    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a command of commands


def command_lines(page: Path) -> list[list[str]]:
    """The words of each `herogen-async ...` line in a block of code, and of each one between backticks."""
    text = page.read_text()
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ )?(herogen-async .*)$", blocks, re.MULTILINE)
    lines += re.findall(r"`(herogen-async [^`…]*)`", prose(page))
    return [shlex.split(each, comments=True) for each in lines if " ..." not in each]


@every_page
def test_a_command_that_a_page_shows_can_be_given(page: Path) -> None:
    """Each command exists, with the options and as many arguments as are shown."""
    assert [] == [problem for words in command_lines(page) if (problem := problem_of(words)) is not None]


def problem_of(words: list[str]) -> str | None:
    """Why a command line can't be given; None when it can."""
    if len(words) < 2 or words[1].startswith("-"):
        return None
    command = commands().get(words[1])
    if command is None:
        return f"no command {words[1]!r}"
    try:
        _, extra, _ = command.make_parser(typer.Context(command)).parse_args(words[2:])
    except Exception as error:  # typer's own
        return f"{shlex.join(words)}: {error}"
    return f"{shlex.join(words)}: {extra}" if extra and not command.allow_extra_args else None


UNITS = {"ms": 0.001, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def told(cell: str) -> list[float]:
    """The numbers that a value begins with, times their unit: `4 ms`, `8 MiB`, `0, 1, 2 s`."""
    found = re.match(r"((?:[\d,.]*\d)(?:, [\d.]+)*)(?: (ms|KiB|MiB|GiB)\b)?", cell)
    assert found is not None, cell
    return [float(each.replace(",", "")) * UNITS.get(found[2], 1) for each in found[1].split(", ")]


def constants(note: Path) -> list[tuple[str, str, str]]:
    """(name, value, file) of each constant that a note tells."""
    rows = [row for heads, rows in tables(note) if heads[:3] == ["constant", "value", "where"] for row in rows]
    return [(row[0].strip("`"), row[1], row[2].strip("`")) for row in rows]


@every_note
def test_a_constant_has_the_value_that_a_note_tells(note: Path) -> None:
    """Whoever changes a constant changes its line, with the reason."""
    wrong = []
    for name, value, file in constants(note):
        module = importlib.import_module("herogen_async." + file.removesuffix(".py").replace("/", "."))
        holders = [module, *(each for each in vars(module).values() if isinstance(each, type))]
        actual = next((getattr(each, name) for each in holders if hasattr(each, name)), None)
        numbers = actual if isinstance(actual, tuple) else (actual,)
        if None in numbers or not all(map(math.isclose, told(value), numbers)) or len(told(value)) != len(numbers):
            wrong.append((file, name, value, actual))
    assert [] == wrong


@every_note
def test_an_object_that_a_note_tells_of_is_where_it_says(note: Path) -> None:
    """Each name in a table of objects is defined in the file beside it."""
    absent = []
    for heads, rows in tables(note):
        if heads[:2] != ["object", "where"]:
            continue
        for what, where, *_ in rows:
            text = "".join((SOURCE / each).read_text() for each in re.findall(r"`([^`]+\.py)`", where))
            absent += [(name, where) for name in re.findall(r"`(\w+)`", what) if not re.search(rf"\b{name}\b", text)]
    assert [] == absent


@every_note
def test_a_note_says_why_and_names_its_objects(note: Path) -> None:
    """Design notes begin alike, so that a reader knows where to look."""
    assert ["Why", "The objects"] == re.findall(r"^## (.*)$", note.read_text(), re.MULTILINE)[:2]


@every_page
def test_a_spec_that_a_page_shows_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole specs, as they would be saved, beside the files that the page shows; no parts of one."""
    text = page.read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds.csv").write_text("problem,subject\n2 + 2,algebra\n")
    for name, content in re.findall(r"`([\w-]+\.jsonl)`:\n\n```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(content)
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if re.search(r"^name:", block, re.MULTILINE):
            Spec.parse(block)


def test_every_page_is_in_the_index() -> None:
    """A page that docs/README.md does not link to is a page that nobody finds."""
    linked = {
        (DOCS / each.partition("#")[0]).resolve()
        for each in re.findall(r"\]\(([^)]+)\)", (DOCS / "README.md").read_text())
    }
    missing = (
        {page_name(page) for page in DOCS.rglob("*.md")}
        - {"docs/README.md"}
        - {page_name(each) for each in linked if each.is_relative_to(ROOT)}
    )
    assert set() == missing


def test_the_glossary_has_one_row_for_each_word() -> None:
    """Three cells a row, each word once, and none that another row says not to use."""
    rows = [
        row for heads, rows in tables(DOCS / "glossary.md") if heads == ["word", "means", "instead of"] for row in rows
    ]
    assert len(rows) > 40
    assert {3} == set(map(len, rows))
    assert [] == [word for word, count in Counter(row[0] for row in rows).items() if count > 1]
    assert [] == [row[0] for row in rows if not row[1]]


def test_an_error_that_troubleshooting_quotes_is_said() -> None:
    """Each quoted message is in the source, word for word."""
    said = "\n".join(
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    by_the_system = {"address already in use"}
    quotes = set(re.findall(r"^> (.*)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)) - by_the_system
    assert len(quotes) > 5
    assert [] == [quote for quote in quotes if quote not in said]


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    """Its commands end well, each with what comes next; simulated servers stand in for the models."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / "tutorial.md").read_text(), re.DOTALL | re.MULTILINE)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) > 8
    with FakeServer(lambda asked: answer(asked, "A hero. " * 20)) as server:
        run_all(commands, server, tmp_path)
    assert (tmp_path / "heroes.csv").exists()
    dataset = tmp_path / "runs" / "superhero" / "dataset"
    assert (dataset / "quality" / "report.html").exists()
    assert (dataset / "prepared_data_prepared_train.jsonl").exists()


@pytest.mark.slow
def test_the_tutorial_of_columns_can_be_followed(tmp_path: Path) -> None:
    """Its files are saved and its commands end as it says; a server stands in for the embedded model."""
    page = (DOCS / "columns.md").read_text().replace("--model embedded", "--model m")
    with FakeServer(lambda asked: answer(asked, "A text of some length. " * 20)) as server:
        run_all(steps_of(page), server, tmp_path)
        asked = Counter(each.prompt[:20] for each in server.asked)
    assert 6 == asked["Write one easy arith"] + asked["Write one hard arith"]  # once each, through all that was changed
    assert "solution.2" in (tmp_path / "maths.csv").read_text()
