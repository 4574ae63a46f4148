"""The card: what a person sees, what `datasets` reads of it, and no word of a model that is more than a word (P14)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from herogen_async.data.dataset import assemble
from herogen_async.data.dataset.assemble.card import size_class
from herogen_async.data.dataset.assemble.markdown_escape import block, inline
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun
from support.runs import small_spec

EVIL = "</td><script>alert(1)</script>\n---\nconfigs: []\n---\n```\n# [x](javascript:1) | @you \x1b[2J\u202e http://x.y"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the quality room's, and cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def front_matter(card: str) -> dict[str, Any]:
    begin, matter, _ = re.split(r"^---$", card, maxsplit=2, flags=re.MULTILINE)
    assert begin == ""
    value = YAML(typ="safe").load(matter)
    assert isinstance(value, dict)
    return value


def outside_fences(card: str) -> str:
    """The page without its front matter and without what stands in fences."""
    body = card.split("\n---\n", 1)[1]
    return re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", body, flags=re.MULTILINE | re.DOTALL)


def test_the_front_matter_names_the_files_of_each_split_and_no_other(tmp_path: Path) -> None:
    """The card's front matter lists the train and validation files of a split, the size class and the name."""
    run = WrittenRun(tmp_path, small_spec(), settings=Settings(limit=20))
    run.write(run.answer(index, f"Hero {index}.") for index in range(20))
    matter = front_matter(assemble(tmp_path, split=0.2).card.read_text())
    (config,) = matter["configs"]
    assert [
        {"split": "train", "path": "prepared_data_prepared_train.jsonl"},
        {"split": "validation", "path": "prepared_data_prepared_valid.jsonl"},
    ] == config["data_files"]
    assert (["n<1K"], "small") == (matter["size_categories"], matter["pretty_name"])


HUB_SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)


def test_the_size_class_is_one_of_the_hub_s_on_both_sides_of_each_bound() -> None:
    """One row below a bound belongs to the class below it, the bound itself to the one above."""
    bounds = [10**digits for digits in range(3, 13)]
    assert "n<1K" == size_class(0)
    assert list(HUB_SIZES[:-1]) == [size_class(bound - 1) for bound in bounds]
    assert list(HUB_SIZES[1:]) == [size_class(bound) for bound in bounds]


def test_the_card_states_request_counts_gaps_and_prompt_format(tmp_path: Path) -> None:
    """The card states what was requested, what was answered, what is missing, and the prompt format."""
    run = WrittenRun(tmp_path, settings=Settings(limit=30))
    run.write(run.answer(index, f"Hero {index} flies.", "length" if index < 3 else "stop") for index in range(30))
    card = assemble(tmp_path).card.read_text()
    for words in (
        "| age | 18, 20, 30, 40, 50, 60, 90 |",
        "Imagine a complete and detailed description of a {age}-year-old",
        "Answers requested per cell: 3.",
        "max\\_tokens 500",
        "Answers: 30; rows in this data set: 27.",
        "truncated: 3 (length 3)",
        "Grid cells: 98",
        "| characters | 13 |",
        '| `" ->"` | `" "` | `" END"` |',
        'datasets.load_dataset("path/to/this/folder")',
        "| `prepared_data_prepared.jsonl` | training rows | 27 |",
    ):
        assert words in card


def test_p14_what_a_model_or_a_server_wrote_is_no_markup_in_the_card(tmp_path: Path) -> None:
    """Markup, links and control characters from a model, server or spec stay inert in the data set card."""
    mine = EVIL.replace("\x1b", "")
    spec = Spec(
        name="evil",
        attributes={"a": [mine, "b"]},
        prompt="{a}\n```\n</pre>",
        sub_prompt="{a}",
        system=mine,
        endpoint="chat",
    )
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(0, EVIL, EVIL, model=EVIL), run.answer(1, f"````{EVIL}")])
    card = assemble(tmp_path, truncated="drop").card.read_text()
    assert ["prepared_data_prepared.jsonl"] == [file["path"] for file in front_matter(card)["configs"][0]["data_files"]]
    seen = outside_fences(card)
    assert "script" in seen
    assert not re.search(r"<script|</td>|[^\\]\[x|http://x|@you", seen)
    assert not re.search("[\x1b\u202e]", card)


@settings(max_examples=200)
@given(st.text(st.sampled_from("`|<>[]()@*_#-.1:/ \n\r\t\\&$~wx\x1b\u202e"), max_size=30))
def test_p14_escaped_text_stays_in_its_line_and_fenced_text_in_its_fence(text: str) -> None:
    """Escaped inline text never breaks its line or becomes markup, and fenced text never closes its fence."""
    line = inline(text)
    assert not re.search(r"[\n\r\x1b\u202e<>@]", line)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`\[\]*]", re.sub(r"\\[^\\]", "", line.replace("\\\\", "")))
    fence, *inside, last = block(text).split("\n")
    assert fence == f"{last}text"
    assert all(not part.strip().startswith(last) for part in inside)
