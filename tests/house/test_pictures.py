"""The pictures in the docs: each is there, is shown, is drawn by the recorder, and needs nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from record_pictures import PICTURES
from support.places import ROOT
from support.runs import herogen
from support.screen_picture import picture, words

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
SHOWN = re.compile(r"!\[([^]]*)\]\(([^)\s]+)\)")
DRAWN = sorted(PICTURES.glob("*"))
SCREENS = [path for path in DRAWN if path.suffix == ".svg"]
SMALL_BYTES, LARGEST_BYTES = 20_000, 200_000  # a screen of text (an embedded font would be far above), a page


def shown() -> dict[Path, list[str]]:
    """{picture: the texts that stand for it}, of all pages."""
    found: dict[Path, list[str]] = {}
    for page in PAGES:
        for text, target in SHOWN.findall(page.read_text()):
            found.setdefault((page.parent / target).resolve(), []).append(text)
    return found


def test_every_picture_is_shown_and_every_shown_picture_exists() -> None:
    """Pages and docs/ agree, and each picture has words for those who can't see it."""
    there = {path for suffix in ("svg", "png") for path in (ROOT / "docs").rglob(f"*.{suffix}")}
    assert there == set(shown())
    assert [] == [path for path, texts in shown().items() if not all(texts)]


def test_the_recorder_draws_the_pictures_that_are_there() -> None:
    """A scene that goes takes its picture along; nothing else lies in the folder."""
    recorder = (ROOT / "tests" / "record_pictures.py").read_text()
    assert set(re.findall(r'Shot\("(\w+)"', recorder)) == {path.stem for path in DRAWN}
    assert all(path.stat().st_size < LARGEST_BYTES for path in DRAWN)


@pytest.mark.parametrize("path", SCREENS, ids=lambda path: path.stem)
def test_a_picture_stands_alone(path: Path) -> None:
    """No URL but the name of the format, no font or script from elsewhere, no path of the machine that drew it."""
    svg = path.read_text()
    markup = re.sub(r"<text [^>]*>[^<]*</text>|<title>[^<]*</title>", "", svg)
    assert ["http://www.w3.org/2000/svg"] == re.findall(r"\w+://[^\"'\s)]+", markup)
    assert [] == re.findall(r"(?i)@import|@font-face|url\(|<script|<image|<foreignObject|href|\bon\w+=", markup)
    assert [] == re.findall(r"(/home|/root|/tmp|/work|/Users)\b", words(svg))
    assert len(svg) < SMALL_BYTES


def test_the_picture_of_a_plan_shows_what_plan_says_today(tmp_path: Path) -> None:
    """Its words are those of the command that it shows; only the lines are broken at the terminal's width."""
    first, *shown_lines = words((PICTURES / "plan.svg").read_text()).splitlines()
    said = herogen(*first.removeprefix("$ herogen-async ").split(), cwd=tmp_path)
    assert "".join((said.stdout + said.stderr).split()) == "".join("".join(shown_lines).split())


def test_a_picture_keeps_words_places_and_colours() -> None:
    """Leading and inner spaces, signs that XML reads, and a colour come through; a line is one line."""
    svg = picture("\x1b[31mred\x1b[39m  <b> & c\n   indented", 40, "A <title>")
    assert "red  <b> & c\n   indented" == words(svg)
    assert "A &lt;title&gt;" in svg
    assert "#ff7979" in svg
