"""A run folder: where its files lie, and which folder a RUN means."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.run_folder import RunFolder, all_runs, existing_run, find_run, last_segment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["superhero", "a", "9", "A.b_c-d", "x" * 80])
def test_a_name_is_a_folder_under_runs(name: str) -> None:
    """A valid run name of up to 80 characters means a folder under `runs`."""
    assert RunFolder(Path("runs") / name) == find_run(name)


@pytest.mark.parametrize("path", ["./here", "/absolute/one", "runs/demo", "demo/", "../next", Path("demo")])
def test_a_path_is_taken_as_it_is(path: str | Path) -> None:
    """A run argument with a slash, or a Path object, is used as the folder itself."""
    assert RunFolder(Path(path)) == find_run(path)


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "x" * 81, "naïve", "a\n", "~", "a\\b"])
def test_an_invalid_run_name_is_quoted_in_the_error(name: str) -> None:
    """An invalid run name is an input error that quotes it and has a fix."""
    with pytest.raises(InputError) as caught:
        find_run(name)
    assert repr(name) in caught.value.message
    assert caught.value.fix is not None


def test_a_missing_run_lists_the_existing_ones(here: Path) -> None:
    """A missing run raises an error whose fix lists the runs that exist."""
    for name in ("one", "two"):
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "manifest.json").write_text("{}")
    (here / "runs" / "none").mkdir()
    assert RunFolder(Path("runs/one")) == existing_run("one")
    with pytest.raises(RunFolderError, match="no run in 'runs/none'") as caught:
        existing_run("none")
    assert "runs here: one, two" == caught.value.fix


def test_the_existing_runs_are_listed_as_a_shell_takes_them(here: Path) -> None:
    """A name of several lines stays on one, and a run elsewhere is told with its folder."""
    for name in ("b\nc", "a b"):
        (here / "elsewhere" / name).mkdir(parents=True)
        (here / "elsewhere" / name / "manifest.json").write_text("{}")
    with pytest.raises(RunFolderError) as caught:
        existing_run("elsewhere/none")
    assert r"runs here: 'elsewhere/a b', $'elsewhere/b\x0ac'" == caught.value.fix


def test_a_file_in_the_place_of_a_run_is_called_one(here: Path) -> None:
    """A spec given as --run, say."""
    (here / "spec.yaml").touch()
    with pytest.raises(RunFolderError) as caught:
        RunFolder(Path("spec.yaml")).create()
    assert "use another name: a file has this one" == caught.value.fix


def test_without_any_run_the_error_says_how_to_start_one(here: Path) -> None:
    """Where no run exists, the fix names the run command, and nothing is created."""
    with pytest.raises(RunFolderError) as caught:
        existing_run("one")
    assert "herogen-async run" in (caught.value.fix or "")
    assert [] == list(here.iterdir())


def test_a_new_folder_is_private_and_an_old_one_is_kept(tmp_path: Path) -> None:
    """A new run folder has mode 0700; creating it again keeps its files."""
    folder = RunFolder(tmp_path / "runs" / "demo")
    folder.create()
    assert 0o700 == folder.path.stat().st_mode & 0o777
    folder.segment(0).write_bytes(b"x")
    folder.create()
    assert b"x" == folder.segment(0).read_bytes()


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    """A run folder that can't be created raises an error that quotes its path."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "demo"):
        with pytest.raises(RunFolderError, match="can't be created") as caught:
            RunFolder(path).create()
        assert repr(str(path)) in caught.value.message


def test_segments_are_the_row_files_in_writing_order(tmp_path: Path) -> None:
    """Segments are sorted by number, and torn, compressed or misnamed files are left out."""
    folder = RunFolder(tmp_path)
    assert ([], 0) == (folder.segments(), last_segment(path.name for path in tmp_path.iterdir()))
    for number in (10, 0, 2):
        folder.segment(number).touch()
    for name in ("rows-00000.torn-20260101T000000000000", "rows-1.jsonl", "rows-00003.jsonl.gz", "failures.jsonl"):
        (tmp_path / name).touch()
    assert ["rows-00000.jsonl", "rows-00002.jsonl", "rows-00010.jsonl"] == [path.name for path in folder.segments()]
    assert 10 == last_segment(path.name for path in tmp_path.iterdir())


def test_every_run_file_has_its_documented_name(tmp_path: Path) -> None:
    """The manifest, journal, failures, events, lock and data set use their documented names."""
    folder = RunFolder(tmp_path)
    paths = (folder.manifest, folder.segment(0), folder.failures, folder.events, folder.lock, folder.dataset)
    assert ["manifest.json", "rows-00000.jsonl", "failures.jsonl", "events.jsonl", "lock", "dataset"] == [
        path.name for path in paths
    ]


@pytest.mark.parametrize(
    "path",
    ["runs/-x", "-d/r", "-x", "a b/c", "a/it's", "a/b\nNext: rm -rf x", "a/\x1b[31m", "a/\udcff", "plain", "runs/r"],
)
def test_a_shell_takes_the_argument_as_the_folder(path: str) -> None:
    """It is one printable line, no option, and names the same folder, whatever the folder is called."""
    argument = RunFolder(Path(path)).argument
    assert argument.isprintable()
    said = subprocess.run(["bash", "-c", f"printf %s {argument}"], capture_output=True, check=True).stdout
    assert not said.startswith(b"-")
    assert RunFolder(Path(path)) == find_run(os.fsdecode(said))


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["y" * 200] * 30)])
def test_a_path_that_is_too_long_is_a_sentence(here: Path, name: str) -> None:
    """No file system takes it, and no traceback tells so."""
    (here / "runs").mkdir()
    folder = RunFolder(Path("runs") / name)
    for look in (lambda: existing_run(folder.path), folder.create, folder.segments):
        with pytest.raises(RunFolderError, match="too long"):
            look()


def test_a_folder_that_cannot_be_looked_into_is_among_the_runs(here: Path) -> None:
    """Nobody can tell that it is none; a file or an empty folder is none."""
    for name in ("b", "empty"):
        (here / "runs" / name).mkdir(parents=True)
    (here / "runs/b/manifest.json").write_text("{}")
    (here / "runs/file").write_text("")
    (here / "runs/a").symlink_to("a")
    assert [Path("runs/a"), Path("runs/b")] == [folder.path for folder in all_runs()]


def test_runs_that_cannot_be_listed_are_not_none(here: Path) -> None:
    """An error says why, and not that there are no runs."""
    (here / "runs").symlink_to("runs")
    with pytest.raises(RunFolderError, match="'runs' can't be listed"):
        all_runs()


def test_a_folder_that_cannot_be_made_names_no_option(here: Path) -> None:
    """`resume` has no --run."""
    fixes = set()
    for name, error in (("long" * 80, "too long"), ("file/below", "Not a directory")):
        (here / "file").touch()
        with pytest.raises(RunFolderError, match=error) as caught:
            RunFolder(Path(name)).create()
        fixes.add(caught.value.fix)
    assert {"use a folder that you can write to"} == fixes
