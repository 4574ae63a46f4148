"""One idea, one word: no file and no public name bears a word that docs/glossary.md bans."""

from __future__ import annotations

import re

import pytest

from support.places import ROOT
from support.source import place_of, public_names, sources

# Words that the glossary bans for one idea and that are the right ones for another. What is left is held.
OTHER_IDEAS = {
    "backend": "who trains a fine-tune",
    "build": "makes an object, not a data set",
    "cap": "the most that is ever waited",
    "checkpoint": "what a trainer saves",
    "chunk": "HTTP's own word for a part of a body",
    "config": "a trainer's own files",
    "copy": "copies bytes",
    "dump": "Python's own word for writing JSON",
    "ending": "the separator's counterpart at a completion's end",
    "epoch": "a pass over the training rows",
    "example": "a row of a data set",
    "field": "a key of a journal's line, and what stands there",
    "id": "a service's own name for a request or a file",
    "job": "a service's fine-tuning job",
    "layout": "where a run folder's files are",
    "log": "what is appended about intents and a trainer",
    "meter": "a simulated server's own limit",
    "open": "opens files and connections",
    "order": "what a fine-tune was asked to be",
    "question": "what a tuned model is asked",
    "recipe": "how a data set was made",
    "record": "frozen dataclasses, and a line's shape",
    "result": "what a job or a check ended with",
    "summary": "a few lines about a whole",
    "task": "what a file of prompts teaches",
    "told": "what people are shown",
    "version": "of a file's format, or a package",
}
# Names that still bear a banned word for the very idea: each goes when its room is next at hand.
STILL = {
    "Acknowledged",  # done
    "BACKLOG_LINES",  # lines that wait for the disk
    "DENIED_ALONE",  # refused
    "DENIED_PROMPTS",
    "DENIED_WAIT_S",
    "LocalModel",  # the base model of a local fine-tune
    "LocalModelError",  # of the embedded model
    "PAUSED",  # a service's own word for a job
    "PERMITTED_WINDOW_S",  # the limit's; `permitted_pct` is a key of `--json`
    "permitted_pct",
    "permitted_per_s",
    "QUEUE_PER_WORKER",  # of the feed
    "SUSPECT_AFTER",  # poison rows
    "Suspects",
}


def glossary() -> dict[str, str]:
    """{a banned word: the word to use}, from the table `word | means | instead of`."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
        if line.startswith("|")
    ]
    words = [row for row in rows if len(row) == 3 and row[0] != "word" and not set(row[0]) <= set("-: ")]
    return {banned.strip(): word for word, _, instead in words for banned in instead.split(",") if banned.strip()}


def as_words(name: str) -> str:
    """`hill climb` for `HillClimb`, `hill_climb` and `HILL_CLIMB`."""
    return " ".join(part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def uses_word(name: str, word: str) -> bool:
    """Whether a name has a word in it, in the singular or the plural."""
    return bool(re.search(rf"\b{re.escape(word)}s?\b", as_words(name)))


def test_the_glossary_is_read() -> None:
    """Words are known, and none is banned that stands in the first column for its own idea alone."""
    banned = glossary()
    assert len(banned) > 50
    assert "failed" == banned["given up"]


@pytest.mark.parametrize(
    ("name", "word", "found"),
    [
        ("GivenUp", "given up", True),
        ("rows_given_up", "given up", True),
        ("CREW_SIZE", "crew", True),
        ("Crews", "crew", True),
        ("screw", "crew", False),
        ("HTTPCrew", "crew", True),
    ],
)
def test_a_banned_word_is_seen_in_any_name(name: str, word: str, found: bool) -> None:
    """In a class, a function or a constant; not in the middle of another word."""
    assert found is uses_word(name, word)


def test_names_keep_to_the_glossary() -> None:
    """No file and no public name bears a word that the glossary bans, where that word is no other idea's."""
    held = {word: right for word, right in glossary().items() if word not in OTHER_IDEAS}
    found = [
        f"{place_of(path)}: {name} ({word}: say {right})"
        for path in sources()
        for name in (*public_names(path), path.stem)
        for word, right in held.items()
        if name not in STILL and uses_word(name, word)
    ]
    assert [] == found


def test_no_exception_outlives_its_need() -> None:
    """A word or a name that is excepted from the glossary is banned there, and still borne by something."""
    banned = glossary()
    names = {name for path in sources() for name in (*public_names(path), path.stem)}
    assert [] == [
        word for word in OTHER_IDEAS if word not in banned or not any(uses_word(name, word) for name in names)
    ]
    assert [] == [name for name in STILL if name not in names or not any(uses_word(name, word) for word in banned)]
