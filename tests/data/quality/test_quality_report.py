"""The report of an inspection: a page that runs nothing, figures, and pictures that can be drawn."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser

import pytest

from herogen_async.data.quality import (
    Acceptance,
    AcceptedShare,
    Quality,
    RowExcerpt,
    Subject,
    WholeExample,
    pointed_at,
    report_files,
)
from herogen_async.specs.sources.cells import cells_from
from support.quality_examples import ENGLISH, GERMAN, example, inspected, of, text

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EVIL = '<script>alert("1")</script> ]]> " onerror=alert(1) \' </title><img src=x> &amp; \x1b[2J \u202e'


class Page(HTMLParser):
    """The tags, and the text outside the style."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def flawed() -> Quality:
    """A row of each kind, with text that a page could run."""
    usual = [example(number, f"{ENGLISH.format(number * 7919)} {text(number)}") for number in range(21)]
    evil = f"{EVIL} {text(70)}"
    odd = [
        example(30, evil, finish_reason='"><script>'),
        example(31, evil, cell={"n": EVIL}),
        example(32, evil + " more"),
        example(33, EVIL, prompt="a -> b"),
        example(34, ""),
        example(35, "I'm sorry, but I can't help with that."),
        example(36, f"{GERMAN} {GERMAN}"),
        example(37, f"{EVIL} " * 60 + " END END"),
    ]
    return inspected(usual + odd, separator=" ->", lead=" ", ending=" END")


def evil_subject(quality: Quality) -> Subject:
    """Text that a page could run wherever a run has text of its own."""
    return Subject(
        title=EVIL,
        summary=EVIL,
        facts={EVIL: EVIL},
        prompt=EVIL,
        system=EVIL,
        question=EVIL,
        examples=(WholeExample(1, {EVIL: EVIL}, EVIL, EVIL * 200, EVIL, EVIL),),
        show=f"herogen-async show {EVIL}",
        acceptance=Acceptance(AcceptedShare(1, 2), {EVIL: {EVIL: AcceptedShare(1, 2)}}),
        rows={number: RowExcerpt(number, {EVIL: EVIL}, EVIL) for number in pointed_at(quality)},
    )


def files_of(quality: Quality, subject: Subject | None = None) -> dict[str, bytes]:
    return dict(report_files(quality, subject or Subject("heroes", show="herogen-async show heroes")))


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(SIGNATURE)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_p14_a_models_text_stays_text_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markup and controls of a run or an answer are text: no active tag or handler, no link out of the page."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    quality = flawed()
    page = Page(files_of(quality, evil_subject(quality))["report.html"].decode())
    assert set() == {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "link"}
    assert [] == [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(str(told["href"]).startswith("#") for tag, told in page.tags if tag == "a")
    assert 10 + 6 + len(pointed_at(quality)) <= page.text.count('<script>alert("1")</script> ]]>')
    assert set() == {"\x1b", "\u202e"} & set(page.text)


def test_every_finding_links_to_its_rows_and_each_row_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind links to its rows, each row back to its kinds; below a row stands the command that prints it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    quality = flawed()
    page = Page(files_of(quality)["report.html"].decode())
    places = {str(told["id"]) for _, told in page.tags if "id" in told}
    links = [str(told["href"])[1:] for tag, told in page.tags if tag == "a"]
    assert set() == set(links) - places
    for number, kinds in quality.flagged.items():
        assert f"row-{number}" in links
        assert f"herogen-async show heroes --index {number}" in page.text
        assert kinds <= places
    assert "repeats row 30" in page.text


def test_more_rows_than_the_page_shows_are_counted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding with many rows links to the first, says how many more there are, and where they are listed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    quality = inspected([example(number, text(number), finish_reason="length") for number in range(500)])
    page = Page(files_of(quality)["report.html"].decode())
    assert "500 of 500 rows (100 %)" in page.text
    assert "and 480 more in quality.json" in page.text
    assert 20 == sum(tag == "article" for tag, _ in page.tags)


def test_the_page_begins_with_what_it_is_about_and_whole_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts, the texts that were sent, the examples to their last word; a long one can be unfolded."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    long = " ".join(text(number) for number in range(20)) + " the last word"
    subject = Subject(
        "heroes",
        facts={"Model": "tiny-1"},
        prompt="Describe {n}.",
        system="Be brief.",
        question="{n}?",
        examples=(WholeExample(3, {"n": "3"}, "3?", "A short one."), WholeExample(4, {"n": "4"}, "4?", long)),
    )
    page = Page(files_of(of(text(1), text(2)), subject)["report.html"].decode())
    wanted = ["heroes", "tiny-1", "Be brief.", "Describe {n}.", "Two examples", "A short one.", long, "Findings"]
    places = [page.text.rindex(each) for each in wanted]
    assert sorted(places) == places
    assert 1 == sum(tag == "details" for tag, _ in page.tags)
    assert f"Show all {len(long):,} characters" in page.text


def test_without_matplotlib_the_report_has_no_pictures_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the report has no picture files and names the extra that would draw them."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    files = files_of(of(text(1), text(2)))
    assert ["quality.json", "report.html"] == list(files)
    assert b"pip install &#x27;herogen-async[plot]&#x27;" in files["report.html"]


def test_the_figures_name_every_flagged_row_and_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """quality.json has every kind of finding, and its totals equal the kinds listed row by row."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    told = json.loads(files_of(flawed())["quality.json"])
    found = {finding["kind"]: finding["rows"] for finding in told["findings"]}
    assert {"empty", "cut", "refused", "duplicate", "near-duplicate", "language", "length", "looping"} <= set(found)
    assert {"separator-inside": 1, "ending-inside": 1} == {kind: found[kind] for kind in found if "inside" in kind}
    assert ["cut"] == [kind for kind in told["flagged"]["30"] if kind == "cut"]
    assert sum(found.values()) == sum(len(kinds) for kinds in told["flagged"].values())


def test_the_page_holds_its_pictures_loads_nothing_and_forbids_scripts() -> None:
    """The HTML report embeds its three charts as data URLs, under a policy that forbids scripts and loading."""
    pytest.importorskip("matplotlib")
    files = files_of(flawed())
    names = ["coverage.png", "lengths.png", "duplication.png"]
    assert names == [name for name in files if name.endswith(".png")]
    assert all(width > 600 and height > 300 for width, height in (size_of(files[name]) for name in names))
    page = Page(files["report.html"].decode())
    policies = [told.get("content") for _, told in page.tags if told.get("http-equiv") == "Content-Security-Policy"]
    assert ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"] == policies
    sources = [str(told["src"]) for tag, told in page.tags if tag == "img"]
    assert 3 == len(sources)
    assert all(source.startswith("data:image/png;base64,") for source in sources)


GRIDS: dict[str, tuple[Mapping[str, Sequence[str]], dict[int, int]]] = {
    "one attribute, values with mathtext and letters that no font has": (
        {"mood $x_": ["$a$", "\u559c\u3073", "x" * 80, "\n"]},
        {0: 3, 1: 40},
    ),
    "two": ({"a": ["1", "2"], "b": ["one", "two", "three"]}, {1: 2, 4: 1}),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_coverage_of_any_grid_is_drawn(grid: tuple[Mapping[str, Sequence[str]], dict[int, int]]) -> None:
    """Grids of any shape get a coverage chart of reasonable width and height."""
    pytest.importorskip("matplotlib")
    from herogen_async.data.charts.quality_charts import coverage

    attributes, by_cell = grid
    width, height = size_of(coverage(cells_from(attributes), by_cell, repeats=2))
    assert 600 < width < 2600
    assert 200 < height < 2600


def test_a_map_of_two_attributes_among_more_shows_cell_means() -> None:
    """A map of two attributes out of several holds, in each square, the mean of the cells it covers."""
    pytest.importorskip("numpy")
    from herogen_async.data.charts.maps import grid_maps

    attributes = {"a": ["1", "2"], "b": ["1", "2"], "c": ["1", "2"], "d": ["1", "2"]}
    maps, averaged = grid_maps(cells_from(attributes), {0: 4, 15: 1})
    assert averaged
    assert {(("a", "b"), 1.0, 0.25)} <= {((each.y, each.x), each.rows[0, 0], each.rows[1, 1]) for each in maps}


def test_three_attributes_give_a_map_per_value_of_the_smallest() -> None:
    """Three attributes, one of them with few values, give one map for each of those values."""
    pytest.importorskip("numpy")
    from herogen_async.data.charts.maps import grid_maps

    maps, averaged = grid_maps(
        cells_from({"age": ["1", "2", "3"], "sex": ["m", "f"], "city": ["New York", "Oslo", "Rome"]}), {4: 5}
    )
    assert not averaged
    assert ["sex: m", "sex: f"] == [each.title for each in maps]
    assert ("city", "age", 5.0) == (maps[1].y, maps[1].x, maps[1].rows[1, 0])
    assert 5.0 == sum(each.rows.sum() for each in maps)


def test_a_map_of_a_million_cells_is_merged_and_keeps_the_mean() -> None:
    """A map of a million cells is merged into squares large enough to see, and keeps the mean."""
    pytest.importorskip("numpy")
    from herogen_async.data.charts.maps import grid_maps

    names = [str(each) for each in range(1000)]
    (joined,), averaged = grid_maps(cells_from({"a": names, "b": names}), dict.fromkeys(range(0, 1_000_000, 2), 1))
    assert averaged
    assert (120, 120) == joined.rows.shape
    assert (120, "0") == (len(joined.y_values), joined.y_values[0])
    assert 0.4 < joined.rows.min() < joined.rows.max() < 0.6
