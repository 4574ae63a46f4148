"""An answer on a terminal while it is written: never taken back, broken between words, at its end the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from herogen_async.cli.growing_answer import GrowingAnswer
from herogen_async.data.dataset.recipe import MESSAGES, Recipe

TAUGHT = Recipe()
PLAIN = Recipe(MESSAGES, separator="", lead="", ending="")


def shown(pieces: list[str], whole: str | None = None, *, recipe: Recipe = TAUGHT, columns: int = 80) -> list[str]:
    """What is written at each piece, and at the end."""
    written: list[str] = []
    answer = GrowingAnswer(recipe.answer_so_far, columns, written.append)
    steps = []
    for piece in pieces:
        answer.add(piece)
        steps.append("".join(written))
        written.clear()
    answer.end(recipe.answer("".join(pieces)) if whole is None else whole)
    return [*steps, "".join(written)]


def test_words_are_written_as_they_end() -> None:
    """A word whose end is not known could need a new line; the lead is no part of the answer."""
    assert ["A ", "", "hero ", "of\n"] == shown(["A ", "he", "ro "], "A hero of", recipe=PLAIN)


def test_an_ending_is_never_seen_nor_what_follows_it() -> None:
    """Not even its beginning, which is held back until it turns out to be something else."""
    assert ["A ", "", "", "", "hero\n"] == shown([" A hero", " EN", "D more", ""])
    assert "A hero ENTERS\n" == "".join(shown([" A hero EN", "TERS"]))


def test_lines_break_between_words() -> None:
    """Where the next word has no room; a newline of the model's stays one."""
    assert "one two\nthree\nfour five\n" == "".join(shown(["one two three\nfour five"], columns=10)).replace(
        " \n", "\n"
    )


def test_a_script_without_spaces_grows_too() -> None:
    """It is not held back until a space that never comes."""
    assert any(shown(["漢" * 30, "字"])[:1])


def test_an_answer_that_was_asked_again_stands_whole_on_its_own_lines() -> None:
    """Nothing on the terminal is taken back, and the last thing there is the answer."""
    assert "A hero of\nThe villain\n" == "".join(shown([" A hero of "], "The villain"))


def test_a_text_that_a_terminal_obeys_is_shown_as_text() -> None:
    """P14, piece by piece."""
    assert "\x1b" not in "".join(shown(["a \x1b", "[2J b"], recipe=PLAIN))


@given(st.lists(st.text(alphabet="ab END\n漢", max_size=6), max_size=12), st.integers(8, 40))
def test_the_words_of_the_answer_are_on_the_terminal_in_their_order(pieces: list[str], columns: int) -> None:
    """However it came and wherever it broke."""
    whole = TAUGHT.answer("".join(pieces))
    assert "".join(whole.split()) == "".join("".join(shown(pieces, columns=columns)).split())
