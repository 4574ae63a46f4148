"""A run folder: where its files lie, and which folder a RUN means."""

from __future__ import annotations

from pathlib import Path

import pytest

from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.run_folder import RunFolder, existing_run, find_run, last_segment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["superhero", "a", "9", "A.b_c-d", "x" * 80])
def test_a_name_means_a_folder_below_runs(name: str) -> None:
    assert RunFolder(Path("runs") / name) == find_run(name)


@pytest.mark.parametrize("path", ["./here", "/absolute/one", "runs/demo", "demo/", "../next", Path("demo")])
def test_a_path_means_itself(path: str | Path) -> None:
    assert RunFolder(Path(path)) == find_run(path)


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "x" * 81, "naïve", "a\n", "~", "a\\b"])
def test_any_other_name_is_an_input_error_that_quotes_it(name: str) -> None:
    with pytest.raises(InputError) as caught:
        find_run(name)
    assert repr(name) in caught.value.message
    assert caught.value.fix is not None


def test_a_run_that_is_not_there_is_an_error_that_names_those_that_are(here: Path) -> None:
    for name in ("one", "two"):
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "manifest.json").write_text("{}")
    (here / "runs" / "none").mkdir()
    assert RunFolder(Path("runs/one")) == existing_run("one")
    with pytest.raises(RunFolderError, match="no run in 'runs/none'") as caught:
        existing_run("none")
    assert "runs here: one, two" == caught.value.fix


def test_where_there_is_no_run_at_all_the_error_says_how_to_start_one(here: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        existing_run("one")
    assert "herogen-async run" in (caught.value.fix or "")
    assert [] == list(here.iterdir())


def test_a_new_folder_is_for_its_owner_alone_and_an_old_one_is_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "demo")
    folder.create()
    assert 0o700 == folder.path.stat().st_mode & 0o777
    folder.segment(0).write_bytes(b"x")
    folder.create()
    assert b"x" == folder.segment(0).read_bytes()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "demo"):
        with pytest.raises(RunFolderError, match="can't be made") as caught:
            RunFolder(path).create()
        assert repr(str(path)) in caught.value.message


def test_segments_are_the_rows_files_in_writing_order_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert ([], 0) == (folder.segments(), last_segment(path.name for path in tmp_path.iterdir()))
    for number in (10, 0, 2):
        folder.segment(number).touch()
    for name in ("rows-00000.torn-20260101T000000000000", "rows-1.jsonl", "rows-00003.jsonl.gz", "failures.jsonl"):
        (tmp_path / name).touch()
    assert ["rows-00000.jsonl", "rows-00002.jsonl", "rows-00010.jsonl"] == [path.name for path in folder.segments()]
    assert 10 == last_segment(path.name for path in tmp_path.iterdir())


def test_every_file_has_its_documented_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    paths = (folder.manifest, folder.segment(0), folder.failures, folder.events, folder.lock, folder.dataset)
    assert ["manifest.json", "rows-00000.jsonl", "failures.jsonl", "events.jsonl", "lock", "dataset"] == [
        path.name for path in paths
    ]
