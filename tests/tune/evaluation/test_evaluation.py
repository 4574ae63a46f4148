"""The evaluation: what is counted, how sure it is, what is asked, and what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from herogen_async.core.errors import EndpointRefused, InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.intents import IntentLog
from herogen_async.specs.sources.rules import Branch, CellRules
from herogen_async.tune.evaluation import Evaluation, Share, evaluate_tuned
from herogen_async.tune.evaluation.mentions import kept, names
from herogen_async.tune.evaluation.prompts import Asked as Question
from herogen_async.tune.evaluation.prompts import choose
from herogen_async.tune.evaluation.scoring import score
from herogen_async.tune.evaluation.statistics import Copies, distinct
from herogen_async.tune.finetune.model_registry import without_changed_rows
from herogen_async.tune.finetune.rows import fingerprint_of
from herogen_async.tune.query import Answer
from herogen_async.view.terminal.plain_lines import PlainLines
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.tuned_models import HEROES, rows_file, taught, tuned_model

AGES = {"age": ("18", "40", "90")}
GENDERS = {"gender": ("man", "woman")}
POWERS = {"power": ("invisibility", "flight", "turning lead into gold", "read in the thoughts")}


@pytest.mark.parametrize(
    ("age", "text"),
    [
        ("18", "An 18-year-old hero"),
        ("18", "She is eighteen years old."),
        ("18", "He was eighteen"),
        ("18", "aged 18, he"),
        ("18", "At the age of eighteen she"),
        ("40", "A forty-year-old man"),
        ("40", "A 40-year-old, who found it when he was 12 years old"),
        ("40", "She is 40. Nobody knows."),
        ("45", "At forty-five, he"),
        ("45", "a forty five year old"),
    ],
)
def test_an_age_is_named_in_digits_or_words(age: str, text: str) -> None:
    """An age counts as kept when it is stated in digits or words, even beside another age."""
    assert {"age": True} == kept(text, {"age": age}, AGES)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        ("18", "In 1800 she"),
        ("18", "118 of them, 18.5 and 1,180"),
        ("18", "18th century"),
        ("18", "1.18 metres"),
        ("18", "a hero"),
        ("18", "her eighteenth birthday"),
        ("40", "a forty-five-year-old"),
        ("40", "forty-five"),
        ("40", "in her 40s"),
        ("40", "A 70-year-old woman with 40 friends"),
        ("90", "nineties"),
    ],
)
def test_other_ages_and_parts_of_numbers_do_not_count(age: str, text: str) -> None:
    """Larger numbers, decades, ordinals and another age beside the digits don't count as the age."""
    assert {"age": False} == kept(text, {"age": age}, AGES)


@pytest.mark.parametrize(
    ("gender", "text", "is_kept"),
    [
        ("man", "He is a man.", True),
        ("man", "A woman.", False),
        ("man", "She is the woman whom he loved; her powers are hers.", False),
        ("woman", "She is the woman whom he loved; her powers are hers.", True),
        ("woman", "The human manages the menu; the theme is the sheep.", False),
        ("man", "A hero without a word of it.", False),
        ("man", "he and she", False),
        ("woman", "SHE'S here", True),
    ],
)
def test_the_gender_is_the_one_most_words_refer_to(gender: str, text: str, is_kept: bool) -> None:
    """Gender follows the majority of gendered words; ties, none or parts of words don't count."""
    assert {"gender": is_kept} == kept(text, {"gender": gender}, GENDERS)


@pytest.mark.parametrize(
    ("value", "text", "is_named"),
    [
        ("invisibility", "She turns invisible.", True),
        ("invisibility", "She is visible to all.", False),
        ("telepathy", "his telepathic gift", True),
        ("teleport", "Teleportation is hers", True),
        ("Healing", "a healer", True),
        ("Healing", "in good health", False),
        ("flight", "he flies", True),
        ("flight", "a flint", False),
        ("turning lead into gold", "turns lead to gold", True),
        ("turning lead into gold", "a golden ring", False),
        ("read in the thoughts", "reads her thoughts", True),
        ("read in the thoughts", "in the thoughts of", False),
        ("C++", "writes C++ well", True),
        ("C++", "writes C well", False),
        ("水", "彼は水を操る", True),
        ("to be", "to be", True),
        ("to be", "be to", False),
    ],
)
def test_any_other_value_is_named_literally_or_by_its_words_in_any_form(value: str, text: str, is_named: bool) -> None:
    """A value counts as named literally or by its words in another form, but not by a mere likeness."""
    assert is_named == names(text, value)


def test_wilson_intervals_match_textbook_values() -> None:
    """The 95 % Wilson interval matches textbook values, also at zero and at all."""
    low, high = Share(8, 10).interval
    assert (0.4902, 0.9433) == (round(low, 4), round(high, 4))
    assert (0.0, 0.1072) == tuple(round(end, 4) for end in Share(0, 32).interval)
    assert (0.8928, 1.0) == tuple(round(end, 4) for end in Share(32, 32).interval)


def test_distinctness_counts_different_runs_of_words() -> None:
    """Distinctness is the share of different word sequences, without case and punctuation, or None if none."""
    assert 1.0 == distinct(["a b", "c d"], 2)
    assert 0.5 == distinct(["a b", "A, b!"], 1)
    assert None is distinct(["a"], 2)


def test_a_copy_is_told_from_an_original_answer() -> None:
    """Training text counts as copied despite case or an added ending, while a reworded one does not."""
    text = "A tall hero who walks through walls and never says a word to anybody at all."
    copies = Copies([text, "Short one."])
    assert copies.has(text.upper() + " Really.")
    assert copies.has("short one")
    assert not copies.has("A tall hero who swims through oceans and always says a word to everybody in town.")
    assert 1.0 == copies.overlap(text)


def test_held_out_questions_are_asked_where_there_are_some(tmp_path: Path) -> None:
    """Their cells are read from them."""
    pairs = [("40, woman, flight", "x"), ("18, man, turning lead, into gold", "y"), ("nonsense", "z")]
    tuned = tuned_model(tmp_path, "http://127.0.0.1:9/v1", held_out=rows_file(tmp_path / "valid.jsonl", pairs * 2))
    questions = choose(tuned, 6, seed=1)
    assert ("held-out questions", 3) == (questions.source, questions.different)
    cells = {asked.prompt: dict(asked.cell) for asked in questions.asked}
    assert {
        "40, woman, flight": {"age": "40", "gender": "woman", "power": "flight"},
        "18, man, turning lead, into gold": {"age": "18", "gender": "man", "power": "turning lead, into gold"},
        "nonsense": {},
    } == cells


def test_without_a_split_cells_of_the_grid_are_drawn_by_seed(tmp_path: Path) -> None:
    """Without a split, questions are drawn from the grid by seed, and never more than there are cells."""
    tuned = tuned_model(tmp_path, "http://127.0.0.1:9/v1")
    one, again, other = (choose(tuned, 5, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert (5, "cells of the grid") == (one.different, one.source)
    assert 8 == choose(tuned, 20, 1).different


def test_questions_keep_to_the_rules_of_the_grid(tmp_path: Path) -> None:
    """Only about cells that there are, with nothing for what does not apply; they are read back so."""
    rules = CellRules({"tool": (Branch(("x", "y"), {"level": ("hard",)}),)}, ({"topic": ("sums",), "tool": ("y",)},))
    attributes = {"level": ("easy", "hard"), "topic": ("sums", "speed"), "tool": ("x", "y")}
    recipe = Recipe(sub_prompt="{level}, {topic}, {tool}", attributes=attributes, rules=rules)
    assert recipe == Recipe.from_dict(recipe.as_dict())
    asked = choose(tuned_model(tmp_path, None, recipe), 20, seed=1).asked
    easy = {"easy, sums, ", "easy, speed, "}
    assert {*easy, "hard, sums, x", "hard, speed, x", "hard, speed, y"} == {each.prompt for each in asked}
    assert {"level": "easy", "topic": "sums"} in [each.cell for each in asked]


def test_conversations_are_asked_with_all_that_stands_before_the_answer(tmp_path: Path) -> None:
    """A system text that differs by row and earlier turns, of rows that were taught where none are held out."""
    recipe = Recipe(
        "messages", "", "", "", system_differs=True, sub_prompt="{age}?", attributes={"age": ("18",)}, ask="train"
    )
    turns = [
        [
            {"role": "system", "content": f"You are {age}."},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "18?"},
        ]
        for age in (18, 40)
    ]
    file = tmp_path / "train.jsonl"
    answered = ({"messages": [*each, {"role": "assistant", "content": "Yes."}]} for each in turns)
    file.write_text("".join(f"{json.dumps(each)}\n" for each in answered))
    with FakeServer(lambda asked: answer(asked, "Yes.")) as server:
        tuned = tuned_model(tmp_path, server.url, recipe, training=file)
        questions = choose(tuned, 2, seed=1)
        assert ("questions of the training data", 2) == (questions.source, questions.different)
        assert [{"age": "18"}] * 2 == [dict(each.cell) for each in questions.asked]
        assert 2 == evaluate_tuned(tuned, answers=2, environment={}).answers
        sent = [asked.body["messages"] for asked in server.asked if asked.body["model"] == "ft-hero"]
    assert sorted(turns, key=str) == sorted(sent, key=str)


def test_rows_that_changed_since_the_tuning_are_not_looked_at(tmp_path: Path) -> None:
    """Assembled anew with another split, what is held out now was trained on."""
    files = {
        "training": rows_file(tmp_path / "train.jsonl", [("18, man, flight", "A hero.")]),
        "validation": rows_file(tmp_path / "valid.jsonl", [("40, woman, flight", "A heroine.")]),
    }
    told = {role: {"sha256": fingerprint_of(file)} for role, file in files.items()}
    with FakeServer(taught) as server:
        tuned = tuned_model(tmp_path, server.url, training=files["training"], held_out=files["validation"])
        with IntentLog.open(tuned.folder, datetime(2026, 11, 1, tzinfo=UTC)) as log:
            log.append({"step": "order", "files": told})
        assert (tuned, []) == without_changed_rows(tuned)
        rows_file(files["validation"], [("18, man, flight", "A hero.")])
        files["training"].unlink()
        evaluation = evaluate_tuned(tuned, answers=4, environment={})
    assert "cells of the grid" == evaluation.source
    assert "The training file is gone" in str(evaluation.note)
    assert "The validation file was skipped, as it has changed" in (evaluation.folder / "report.md").read_text()
    assert "copied from training" not in evaluation.tuned.shares


def test_with_nothing_to_ask_the_fix_names_split(tmp_path: Path) -> None:
    """A model without grid or held-out rows raises an error whose fix names `--split`."""
    tuned = tuned_model(tmp_path, "http://127.0.0.1:9/v1", Recipe())
    with pytest.raises(InputError, match="no questions for") as told:
        choose(tuned, 5, 1)
    assert "--split" in str(told.value.fix)


def test_a_cell_is_kept_when_each_of_its_values_is() -> None:
    """The whole-cell share counts an answer only when every attribute value is kept."""
    asked = Question("40, man, flight", {"age": "40", "gender": "man", "power": "flight"})
    texts = ("A 40-year-old man who flies.", "A 40-year-old man who swims.")
    side = score([(asked, Answer(asked.prompt, text, "stop", True, "m")) for text in texts], "m", HEROES, None, None)
    assert (Share(1, 2), Share(2, 2)) == (side.shares["keeps to the whole cell"], side.keeps["age"])


def evaluated(tmp_path: Path, behaviour: object = taught, answers: int = 16) -> tuple[Evaluation, list[str]]:
    said: list[str] = []
    with FakeServer(behaviour) as server:  # type: ignore[arg-type]
        trained = rows_file(tmp_path / "train.jsonl", [("18, man, flight", "A hero of whom nobody speaks.")])
        metrics = {"base_eval_loss": 2.5, "eval_loss": 1.25}
        tuned = tuned_model(tmp_path, server.url, training=trained, metrics=metrics)
        return evaluate_tuned(tuned, observer=PlainLines(said.append), answers=answers, environment={}), said


def columns(evaluation: Evaluation, what: str) -> Sequence[str]:
    return next(row[1:] for row in evaluation.table() if row[0].strip() == what)


def test_the_tuned_model_is_compared_with_its_base(tmp_path: Path) -> None:
    """All of it is written down."""
    evaluation, said = evaluated(tmp_path)
    assert [f"{side}: {done} of 16 answers" for side in ("tuned", "base") for done in (4, 8, 12, 16)] == said[1:]
    assert ("2.500", "1.250") == columns(evaluation, "held-out loss")
    for what in ("stops by itself", "keeps to the whole cell", "keeps to the age", "keeps to the gender"):
        assert ("0/16    0% [0%-19%]", "16/16  100% [81%-100%]") == columns(evaluation, what)
    assert ("1/16    6% [1%-28%]", "16/16  100% [81%-100%]") == columns(evaluation, "answers that differ")
    folder = tmp_path / "runs" / "heroes" / "finetune" / "001" / "evaluation"
    assert folder == evaluation.folder
    assert {*evaluation.files} == {path.name for path in folder.iterdir()}
    assert b"\x89PNG" == (folder / "evaluation.png").read_bytes()[:4]
    kept_answers = [json.loads(line) for line in (folder / "answers.jsonl").read_bytes().splitlines()]
    assert ["tuned"] * 16 + ["base"] * 16 == [each["side"] for each in kept_answers]
    assert set(range(16)) == {int(each["text"].rpartition(" ")[2][:-1]) for each in kept_answers[:16]}, "a seed each"
    assert json.loads((folder / "evaluation.json").read_bytes()) == json.loads(json.dumps(evaluation.as_dict()))
    report = (folder / "report.md").read_text()
    assert "| keeps to the age | 0/16" in report
    assert "    2019-01-01T00:00:00Z, 2019-01-01\n" in report


def test_p14_what_can_not_be_asked_takes_nothing_from_the_rest(tmp_path: Path) -> None:
    """The base is gone, some questions are refused, and what the tuned model says is evil."""
    evil = "</pre><script>x</script>\n![x](http://evil.example)\n\x1b[2J"

    def behaviour(asked: Asked) -> Reply:
        if asked.body["model"] == "base-1":
            return error(404, "model_not_found", "no model base-1")
        return error(400, "content_filter") if "telepathy" in asked.prompt else answer(asked, evil)

    evaluation, _ = evaluated(tmp_path, behaviour, 8)
    assert None is evaluation.base
    assert "The base model could not be queried" in "\n".join(evaluation.lines())
    assert ("-", "4/4  100% [51%-100%]") == columns(evaluation, "stops by itself")
    assert "Not answered: 4" in str(evaluation.note)
    report = (evaluation.folder / "report.md").read_text()
    assert "\x1b" not in report
    evil_lines = [line for line in report.splitlines() if "evil" in line or "script" in line]
    assert evil_lines
    assert all(line.startswith("    ") for line in evil_lines)


def test_answers_are_kept_where_the_rest_can_not_be_asked(tmp_path: Path) -> None:
    """The account is empty after five answers: they are scored, and the report says how many there are and why."""

    def behaviour(asked: Asked) -> Reply:
        return answer(asked, " fine") if asked.number < 5 else error(402, None, "Insufficient balance")

    evaluation, _ = evaluated(tmp_path, behaviour, 16)
    assert ("-", "5/5  100% [57%-100%]") == columns(evaluation, "stops by itself")
    assert "tuned: 5 of 16 answers, then stopped: HTTP 402" in str(evaluation.note)
    assert 5 == len((evaluation.folder / "answers.jsonl").read_bytes().splitlines())


def test_p4_answers_are_written_before_they_are_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in what is derived from them costs no answer."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("herogen_async.tune.evaluation.evaluate.score", fail)
    with pytest.raises(ZeroDivisionError):
        evaluated(tmp_path, answers=4)
    (answers,) = tmp_path.rglob("answers.jsonl")
    assert 8 == len(answers.read_bytes().splitlines())


def test_p4_the_tuned_answers_outlive_an_error_in_the_turn_of_the_base(tmp_path: Path) -> None:
    """Whatever ends the base model's turn, the answers that were paid for before are in the folder."""

    def break_off(line: str) -> None:
        if line.startswith("base:"):
            raise ZeroDivisionError

    with FakeServer(taught) as server:
        tuned = tuned_model(tmp_path, server.url)
        with pytest.raises(ZeroDivisionError):
            evaluate_tuned(tuned, observer=PlainLines(break_off), answers=4, environment={})
    (answers,) = tmp_path.rglob("answers.jsonl")
    assert 4 <= len(answers.read_bytes().splitlines())


def test_without_any_answer_it_says_why(tmp_path: Path) -> None:
    """When the server refuses every question, the evaluation raises EndpointRefused and says so."""
    with pytest.raises(EndpointRefused, match="no question was answered"):
        evaluated(tmp_path, lambda asked: error(400, "content_filter", "no"), 2)
