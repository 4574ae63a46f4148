"""The fine-tune files: the CSV's rows by the recipe, nothing cut off unless asked for, everything left out named."""

from __future__ import annotations

import csv
import hashlib
import html
import random
import re
import sys
from pathlib import Path

import orjson
import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.generation.settings import Settings
from herogen_async.specs.spec import Sampling, Spec
from support.prepare_runs import rows_of
from support.run_folders import WrittenRun

SENTENCES = '\n\nA luminous figure.\n\nShe said: "No", and left, é \U0001f9b8.'


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the quality room's, and cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def pairs(assembled: Assembled) -> list[tuple[str, str]]:
    with assembled.csv.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["prompt", "completion"]
    return [(prompt, completion) for prompt, completion in rows]


def completions(assembled: Assembled) -> list[str]:
    return [completion for _, completion in pairs(assembled)]


def written_run(path: Path, *answers: tuple[str, str | None]) -> WrittenRun:
    """A run that is finished with these answers."""
    run = WrittenRun(path, settings=Settings(limit=len(answers)))
    run.write(run.answer(index, text, reason) for index, (text, reason) in enumerate(answers))
    return run


def test_the_report_begins_with_how_the_rows_were_made_and_three_of_them(tmp_path: Path) -> None:
    """Model, date, sampling and prompts, then three sound rows of different cells, then what was found."""
    spec = Spec(
        name="heroes",
        attributes={"n": [str(each) for each in range(8)]},
        repeats=3,
        prompt="Describe hero {n}.",
        sub_prompt="hero {n}",
        endpoint="chat",
        system="Be brave.",
        sampling=Sampling(temperature=0.7, max_tokens=50),
    )
    run = WrittenRun(tmp_path, spec)
    # Of each cell but three the first answer alone is sound.
    run.write(
        run.answer(index, f"Hero {index} flies over the town.", "length" if index % 3 else "stop")
        for index in range(24)
    )
    assembled = assemble(tmp_path, truncated="keep")
    page = html.unescape(assembled.report.read_text())
    begin, _, rest = page.partition('<h2 id="findings">')
    for words in (
        "<dt>Model</dt><dd>model-1</dd>",
        "<dd>22 November 2026</dd>",
        "temperature 0.7, max_tokens 50",
        "n (8): 8 cells, 3 answers each",
        "Be brave.",
        "Describe hero {n}.",
        "hero {n}",
        "Three examples",
    ):
        assert words in begin
    shown = [int(number) for number in re.findall("Hero ([0-9]+) flies", begin)]
    assert 3 == len(shown)
    assert sorted(shown) == shown
    assert [] == [number for number in shown if number % 3]
    assert f"herogen-async show {tmp_path} --index 1<" in rest
    assert "n: 0" in rest


def test_the_jsonl_is_the_csv_by_the_recipe(tmp_path: Path) -> None:
    """All 294 JSONL rows are the CSV pairs with separator, lead and ending, beside the usual data set files."""
    written_run(tmp_path, *((f"{SENTENCES} {number}\r!  \n", "stop") for number in range(294)))
    assembled = assemble(tmp_path)
    assert 294 == assembled.written == assembled.rows
    rows = pairs(assembled)
    assert ("18, man, invisibility", f"{SENTENCES} 0\r!".strip()) == rows[0]
    lines = [orjson.loads(line) for line in assembled.jsonl.read_bytes().split(b"\n")[:-1]]
    assert [{"prompt": f"{prompt} ->", "completion": f" {text} END"} for prompt, text in rows] == lines
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == [
        "README.md",
        "axolotl.yaml",
        "dataset_info.json",
        "prepared_data.csv",
        "prepared_data_prepared.jsonl",
        "quality",
        "recipe.json",
        "trl.yaml",
    ]


def test_nothing_is_warned_of_where_nothing_is_found(tmp_path: Path) -> None:
    """A finished run of 294 distinct, whole answers assembles without any warning."""
    words = [f"{a}{b}" for a in "bdfgklmnpr" for b in "aeiou"]  # 50 syllables
    chance = random.Random(1)
    written_run(tmp_path, *((" ".join(chance.choices(words, k=60)) + ".", "stop") for _ in range(294)))
    assert [] == assemble(tmp_path).warnings


def test_the_recipe_says_how_the_files_were_made_and_which_files(tmp_path: Path) -> None:
    """recipe.json holds the marks, the run's identity, the counts, and each file's checksum, rows and role."""
    run = written_run(tmp_path / "run", ("One. Tw", "length"), ("Done.", "stop"))
    assembled = assemble(run.path, out=tmp_path / "out", truncated="trim")
    assert tmp_path / "out" / "recipe.json" == assembled.recipe
    recipe = orjson.loads(assembled.recipe.read_bytes())
    assert tuple(recipe[name] for name in ("separator", "lead", "ending", "truncated")) == (" ->", " ", " END", "trim")
    assert (recipe["spec"], recipe["model"]) == ("superhero", "model-1")
    assert run.plan.generation_fingerprint == recipe["generation_fingerprint"]
    assert {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": 2, "role": role}
        for path, role in ((assembled.csv, "pairs"), (assembled.jsonl, "all"))
    } == recipe["files"]
    assert tuple(recipe["counts"][name] for name in ("rows", "written", "trimmed")) == (2, 2, 1)


CUT_OFF = (
    ("Whole.", "stop"),
    ("First. Secon", "length"),
    ("Ends well.", "length"),
    ("no sentence here", "length"),
    ("Filtered. Here", "content_filter"),
    ("Unknown. Why", None),
    (" \n ", "stop"),
    ("", "length"),
)


def test_answers_that_did_not_stop_are_dropped_and_counted(tmp_path: Path) -> None:
    """By default truncated and empty answers are dropped, counted by finish reason and reported."""
    written_run(tmp_path, *CUT_OFF)
    assembled = assemble(tmp_path)
    assert completions(assembled) == ["Whole."]
    assert assembled.count.cut_off == {"length": 3, "content_filter": 1, "no reason given": 1}
    assert (assembled.rows, assembled.written, assembled.count.empty, assembled.count.trimmed) == (8, 1, 2, 0)
    assert any("truncated: 4 (length 3, content_filter 1)" in line for line in assembled.lines())
    assert any("no finish reason given: 1; --truncated keep" in line for line in assembled.lines())


def test_trim_cuts_answers_to_their_last_full_sentence(tmp_path: Path) -> None:
    """`trim` cuts truncated answers to their last full sentence and drops those that have none."""
    written_run(tmp_path, *CUT_OFF)
    assembled = assemble(tmp_path, truncated="trim")
    assert completions(assembled) == ["Whole.", "First.", "Ends well.", "Filtered.", "Unknown."]
    assert (
        assembled.count.trimmed,
        assembled.count.no_full_sentence,
        assembled.count.empty,
        assembled.count.cut_off,
    ) == (3, 1, 2, {})


def test_keep_leaves_truncated_answers_as_they_are_and_warns(tmp_path: Path) -> None:
    """`keep` writes truncated answers unchanged and warns how many there are."""
    written_run(tmp_path, *CUT_OFF)
    assembled = assemble(tmp_path, truncated="keep")
    assert [text for text, _ in CUT_OFF[:6]] == completions(assembled)
    assert any("4 completions kept although truncated" in warning for warning in assembled.warnings)


def test_duplicates_are_kept_by_default(tmp_path: Path) -> None:
    """Without `--drop`, three equal answers to one cell are all written."""
    written_run(tmp_path, *[("Same.", "stop")] * 3)
    assert pairs(assemble(tmp_path)) == [("18, man, invisibility", "Same.")] * 3


def test_p14_a_formula_is_guarded_for_people_and_not_for_trainers(tmp_path: Path) -> None:
    """The table of pairs runs in no spreadsheet; the rows to train on hold the model's text, escape sequences too."""
    said = ("=1+1", "\x1b[31mred", "'-ing' is an ending", "-5", "\uff20SUM(A1)")
    written_run(tmp_path, *((text, "stop") for text in said))
    assembled = assemble(tmp_path)
    assert ["'=1+1", "\x1b[31mred", "''-ing' is an ending", "-5", "'\uff20SUM(A1)"] == completions(assembled)
    taught = [row["completion"] for row in rows_of(tmp_path / "dataset" / "prepared_data_prepared.jsonl")]
    assert [f" {text} END" for text in said] == taught


def test_a_separator_or_an_ending_inside_is_left_in_and_named(tmp_path: Path) -> None:
    """Rows containing the separator or ending are kept, and the warnings count them, as they do too few rows."""
    spec = Spec(name="arrows", attributes={"a": ["x -> y", "z"]}, prompt="{a}", sub_prompt="{a}")
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(0, "THE END of it."), run.answer(1, "ENDING at its very beginning.")])
    assembled = assemble(tmp_path)
    assert (assembled.written, assembled.count.separator_inside, assembled.count.ending_inside) == (2, 1, 2)
    words = "\n".join(assembled.warnings)
    assert "1 prompt with the separator ' ->' inside" in words
    assert "2 completions with the ending ' END' inside" in words
    assert "only 2 rows: fine-tuning services need at least 10" in words


def test_when_nothing_is_left_the_next_step_is_to_trim(tmp_path: Path) -> None:
    """When dropping leaves no row, the next command suggests `--truncated trim`, which does leave one."""
    written_run(tmp_path / "a run", ("Long. And", "length"))
    assembled = assemble(tmp_path / "a run")
    assert assembled.written == 0
    assert "no rows are left: the files are empty" in assembled.warnings
    assert f"herogen-async assemble '{tmp_path}/a run' --truncated trim" == assembled.next
    assert assemble(tmp_path / "a run", truncated="trim").written == 1


def test_an_unfinished_run_is_named_with_what_is_missing(tmp_path: Path) -> None:
    """An unfinished run is assembled with warnings that count pending and failed rows and name the commands."""
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, "Hero.") for index in range(20))
    run.fail([run.failure(30, "refused"), run.failure(3, "server")])
    assembled = assemble(tmp_path)
    assert (assembled.state.failed, assembled.state.pending) == (1, 273)
    words = "\n".join(assembled.warnings)
    assert f"273 answers pending: herogen-async resume {tmp_path}" in words
    assert f"herogen-async errors {tmp_path}" in words
    assert assembled.next.startswith(f"herogen-async resume {tmp_path}")
    assert f"herogen-async resume {tmp_path}" == assembled.step, "a command as it is typed"


def test_too_few_rows_to_tune_on_lead_to_more_rows(tmp_path: Path) -> None:
    """Where a limit keeps the rest of the grid from being asked, the next step lifts it; else it is the fine-tune."""
    run = WrittenRun(tmp_path, settings=Settings(limit=9))
    run.write(run.answer(index, "Hero.") for index in range(9))
    assert f"herogen-async resume {tmp_path} --limit 294" == assemble(tmp_path).step
    run.write([run.answer(9, "Hero.")])
    assert f"herogen-async finetune {tmp_path}" == assemble(tmp_path).step


def test_a_run_of_empty_answers_leads_to_its_rows(tmp_path: Path) -> None:
    """The step is a command alone; scripts get the words of 0.1.0."""
    written_run(tmp_path, ("", "stop"))
    assembled = assemble(tmp_path)
    assert f"herogen-async export {tmp_path}" == assembled.step
    assert f"{assembled.step} to see the answers" == assembled.next


def test_a_run_with_more_answers_than_its_limit_is_finished(tmp_path: Path) -> None:
    """A run that holds more answers than its limit has nothing pending."""
    run = WrittenRun(tmp_path, settings=Settings(limit=5))
    run.write(run.answer(index, "Hero.") for index in range(20))
    assert assemble(tmp_path).state.pending == 0


def test_a_run_under_runs_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next command calls a run under `runs/` by its short name, not by its path."""
    monkeypatch.chdir(tmp_path)
    written_run(Path("runs/heroes"), ("Long. And", "length"))
    assert assemble("heroes").next == "herogen-async assemble heroes --truncated trim"


def test_without_any_answer_nothing_is_written(tmp_path: Path) -> None:
    """A run without any answer raises an error pointing to `resume`, and no data set folder is made."""
    WrittenRun(tmp_path)
    with pytest.raises(InputError, match="nothing was written") as caught:
        assemble(tmp_path)
    assert f"generate some: herogen-async resume {tmp_path}" == caught.value.fix
    assert not (tmp_path / "dataset").exists()


def test_a_wrong_mode_lists_the_valid_ones(tmp_path: Path) -> None:
    """An unknown `--truncated` mode is named in the error, with drop, trim and keep as the valid ones."""
    with pytest.raises(InputError, match="'cut'") as caught:
        assemble(tmp_path, truncated="cut")
    assert caught.value.fix == "valid: drop, trim, keep"


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    """An output path that is a plain file is refused, and the file keeps its content."""
    written_run(tmp_path / "run", ("Hero.", "stop"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is not a folder"):
        assemble(tmp_path / "run", out=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    """Assembling one run twice gives the same CSV, JSONL and recipe byte for byte."""
    run = written_run(tmp_path / "run", *((f"Hero {number}.", "stop") for number in range(12)))
    first, second = assemble(run.path, out=tmp_path / "1"), assemble(run.path, out=tmp_path / "2")
    for one, other in zip(
        (first.csv, first.jsonl, first.recipe), (second.csv, second.jsonl, second.recipe), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


def test_as_dict_is_plain_json(tmp_path: Path) -> None:
    """`as_dict` survives JSON and holds what was left out, the data file and the next command."""
    written_run(tmp_path, *CUT_OFF)
    assembled = assemble(tmp_path)
    plain = orjson.loads(orjson.dumps(assembled.as_dict()))
    assert {"cut_off": assembled.count.cut_off, "empty": 2, "no_full_sentence": 0, "dropped": {}} == plain["left_out"]
    assert (str(assembled.jsonl), assembled.next) == (plain["jsonl"], plain["next"])
