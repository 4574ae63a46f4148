"""The ten examples: specs that `init` copies, each run to its data set, with what the pages say of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.places import ROOT
from support.runs import herogen, last_json
from support.simulated_service import simulated

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
PAGE = (EXAMPLES / "README.md").read_text()
ROWS = 6  # of each example that are run

every_example = pytest.mark.parametrize("name", NAMES)


def copied(name: str, folder: Path) -> Path:
    made = herogen("init", "--example", name, cwd=folder)
    assert 0 == made.returncode, made.stderr
    return folder / f"{name}.yaml"


def assembled(run: str, folder: Path, *options: str) -> int:
    """How many examples the run gives as conversations."""
    made = herogen("assemble", run, "--format", "messages", *options, "--json", cwd=folder)
    assert 0 == made.returncode, made.stderr
    written = last_json(made.stdout)["written"]
    assert isinstance(written, int)
    return written


def test_there_are_ten_examples_and_init_lists_them(tmp_path: Path) -> None:
    """Each with the line that its file begins with."""
    assert 10 == len(NAMES)
    lines = herogen("init", "--list", cwd=tmp_path).stdout.splitlines()
    assert NAMES == [line.split()[0] for line in lines]
    for name, line in zip(NAMES, lines, strict=True):
        assert (EXAMPLES / f"{name}.yaml").read_text().startswith(f"# {line.partition('  ')[2].strip()}\n")


@every_example
def test_an_example_is_short_and_said_to_cost_what_it_costs(name: str, tmp_path: Path) -> None:
    """Under 40 lines; the counts and the price in its head and in the table are those of `plan`."""
    path = copied(name, tmp_path)
    text = path.read_text()
    assert len(text.splitlines()) < 40
    planned = herogen("plan", path, "--model", "m", "--price", "0.15,0.60", "--json", cwd=tmp_path)
    plan = last_json(planned.stdout)
    rows, requests = plan["tasks"], plan["new"]["requests"]
    assert f"\n# {rows} rows, {requests} requests" in text
    told = re.search(rf"^\| \[{name}\]\({name}\.yaml\) \| (\d+) \| (\d+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert told is not None
    assert (str(rows), str(requests)) == (told[1], told[2])
    assert 0 <= float(told[3]) - plan["new"]["usd_most"] < 0.01
    assert f"\n## {name}\n" in PAGE


@every_example
def test_init_copies_an_example_with_its_files_under_the_file_s_name(name: str, tmp_path: Path) -> None:
    """The same spec but for its name, and all that lies beside it; nothing is overwritten."""
    assert 0 == herogen("init", "mine.yaml", "--example", name, cwd=tmp_path).returncode
    there, copied = (Spec.load(path).as_dict() for path in (EXAMPLES / f"{name}.yaml", tmp_path / "mine.yaml"))
    if "source" in there:
        assert str(tmp_path / f"{name}.jsonl") == copied["source"].pop("path")
        del there["source"]["path"]
    assert {**there, "name": "mine"} == copied
    beside = {path.name for path in EXAMPLES.glob(f"{name}.json*")}
    assert beside == {path.name for path in tmp_path.iterdir()} - {"mine.yaml"}
    again = herogen("init", "mine.yaml", "--example", name, cwd=tmp_path)
    assert 2 == again.returncode
    assert "'mine.yaml' already exists" in again.stderr


def test_a_file_beside_an_example_is_not_overwritten(tmp_path: Path) -> None:
    """Then the spec isn't written either."""
    (tmp_path / "structured-outputs.json").write_text("mine")
    refused = herogen("init", "s.yaml", "--example", "structured-outputs", cwd=tmp_path)
    assert (2, True) == (refused.returncode, "'structured-outputs.json' already exists" in refused.stderr)
    assert ["structured-outputs.json"] == [path.name for path in tmp_path.iterdir()]
    assert "mine" == (tmp_path / "structured-outputs.json").read_text()


def test_two_copies_of_an_example_share_the_files_beside_them(tmp_path: Path) -> None:
    """A second copy in the same folder needs no second file of records."""
    for file in ("a.yaml", "b.yaml"):
        made = herogen("init", file, "--example", "persona-hub", cwd=tmp_path)
        assert (0, f"{file}\npersona-hub.jsonl\n") == (made.returncode, made.stdout)
    assert Spec.load(tmp_path / "a.yaml").source == Spec.load(tmp_path / "b.yaml").source


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (("--example", "magpi"), "no example is called 'magpi'", "did you mean 'magpie'?"),
        (("--example", "../magpie"), "no example is called '../magpie'", "valid: "),
        (("--example", "magpie", "--run", "r"), "--example and --run both say", "remove one"),
    ],
)
def test_an_example_that_is_not_there_is_told(words: tuple[str, ...], message: str, fix: str, tmp_path: Path) -> None:
    """With the nearest name; nothing is written."""
    refused = herogen("init", *words, cwd=tmp_path)
    assert 2 == refused.returncode
    assert message in refused.stderr
    assert fix in refused.stderr
    assert [] == list(tmp_path.iterdir())


def test_the_superhero_example_is_the_built_in_spec() -> None:
    """As its head says."""
    assert Spec.builtin() == Spec.load(EXAMPLES / "superhero.yaml")


def test_the_package_that_is_built_has_the_examples() -> None:
    """In a wheel they lie inside of the package, where `init` looks first; a source archive has them as they are."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert "herogen_async/examples" == built["wheel"]["force-include"]["examples"]
    assert "examples" in built["sdist"]["include"]


def records(name: str) -> Iterator[dict[str, str]]:
    yield from map(codec.loads, (EXAMPLES / f"{name}.jsonl").read_bytes().splitlines())


def test_the_records_beside_an_example_are_its_source(tmp_path: Path) -> None:
    """Personas, seed tasks, and problems whose known answers `keep` reads; a copy runs from any folder."""
    for name, field in (("persona-hub", "persona"), ("self-instruct", "seed"), ("r1-distillation", "problem")):
        made = herogen("init", "--example", name, f"{tmp_path.name}/mine-{name}.yaml", cwd=tmp_path.parent)
        assert 0 == made.returncode, made.stderr
        spec = Spec.load(tmp_path / f"mine-{name}.yaml")
        assert spec.source is not None
        run = tmp_path / "runs" / name
        with simulated("m") as server:
            words = ("--base-url", server.url, "--run", str(run))
            ran = herogen("run", f"{tmp_path.name}/mine-{name}.yaml", *words, cwd=tmp_path.parent)
        assert 0 == ran.returncode, ran.stderr
        asked = {{**row, **row.get("cell", {})}[field] for row in herogen_async.rows(run)}
        assert {each[field] for each in records(name)} == asked
    assert "known in solution" == spec.keep
    assert all(re.fullmatch(r"boxed\{[\d.]+\}", each["known"]) for each in records("r1-distillation"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "r1-distillation"])
def test_an_example_runs_and_makes_a_data_set(name: str, tmp_path: Path) -> None:
    """Complete rows of a simulated model, and conversations made of what is accepted."""
    path = copied(name, tmp_path)
    with simulated("m") as server:
        ran = herogen("run", path, "--limit", str(ROWS), "--base-url", server.url, "--json", cwd=tmp_path)
    assert 0 == ran.returncode, ran.stderr
    report = last_json(ran.stdout)
    assert (ROWS, 0) == (report["done"], report["failed"])
    written = assembled(name, tmp_path)
    assert 0 < written <= ROWS
    if Spec.load(path).keep is not None:
        assert written == sum(row["accepted"] for row in herogen_async.rows(tmp_path / "runs" / name))


@pytest.mark.slow
def test_a_distillation_keeps_the_thoughts_of_right_solutions(tmp_path: Path) -> None:
    """Every other solution is right; `--reasoning think` puts its thoughts before it."""
    known = {each["problem"]: each["known"] for each in records("r1-distillation")}

    def solved(asked: Asked) -> Reply:
        right = next(end for problem, end in known.items() if problem in asked.prompt)
        return answer(asked, f"<think>So it is.</think>It is \\{right if asked.number % 2 else 'boxed{0}'}.")

    path = copied("r1-distillation", tmp_path)
    with FakeServer(solved) as server:
        words = ("--base-url", server.url, "--concurrency", "1", "--json")
        ran = herogen("run", path, *words, cwd=tmp_path)
    assert 0 == ran.returncode, ran.stderr
    assert 4 == last_json(ran.stdout)["done"]
    assert 8 == assembled("r1-distillation", tmp_path, "--reasoning", "think", "--out", "d")
    rows = [codec.loads(line) for file in (tmp_path / "d").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    for row in rows:
        question, taught = (message["content"] for message in row["messages"])
        assert taught.startswith("<think>")
        assert known[question] in taught


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.parametrize("name", ["magpie", "persona-hub", "evol-instruct"])
def test_an_example_runs_on_the_embedded_model(name: str, tmp_path: Path, weights: Weights) -> None:
    """Two rows with short answers: every column of both is answered, and a data set is made."""
    path = copied(name, tmp_path)
    text = re.sub(r"max_tokens: \d+", "max_tokens: 12", path.read_text())
    path.write_text(text.replace("when: \"is_clear == 'yes'\"", ""))  # it may say no, and then there is nothing
    ran = herogen("run", path, "--limit", "2", "--model", "embedded", "--json", cwd=tmp_path)
    assert 0 == ran.returncode, ran.stderr
    assert (2, 0) == (last_json(ran.stdout)["done"], last_json(ran.stdout)["failed"])
    lines = [line.record for line in read_rows(RunFolder(tmp_path / "runs" / name))]
    assert 2 * max(1, len(Spec.load(path).columns)) == len(lines)
    assert 2 == assembled(name, tmp_path, "--truncated", "keep")
