"""The files of a run are its own: what lies behind a link in its folder is never touched, and no FIFO is waited for."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from herogen_async.generation.run_folder import RunFolder
from support.fake_server import FakeServer
from support.runs import assert_exact_grid, herogen, small_spec, write_spec

PRECIOUS = b"something precious\n" * 500
SPEC = small_spec(values=3, repeats=1)
READ = ("manifest.json", "rows-00000.jsonl", "lock", "failures.jsonl", "events.jsonl", "damage.json")
NAMES = (*READ, "rows-00001.jsonl", "rows-00007.jsonl", "rows-00000.saving-10", "dataset", "finetune")
READERS = ("status", "verify", "errors", "export", "assemble", "show", "plan", "resume", "recover")


def symbolic(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def hard(path: Path, outside: Path) -> None:
    path.hardlink_to(outside)


def fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside.with_name("not-there"))


def bound(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(path))


def folder_of_its_name(path: Path, outside: Path) -> None:
    path.mkdir()


def device(path: Path, outside: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # zeros without an end


KINDS: list[Callable[[Path, Path], None]] = [symbolic, dangling, fifo, bound, folder_of_its_name, device]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file beside the runs, which is as it was at the end; whatever waits is ended."""
    file = tmp_path / "outside"
    file.write_bytes(PRECIOUS)
    signal.alarm(60)
    yield file
    signal.alarm(0)
    assert file.read_bytes() == PRECIOUS
    assert not (tmp_path / "not-there").exists()


def half_a_run(place: Path, server: FakeServer) -> tuple[RunFolder, tuple[str | Path, ...]]:
    """A run of which half is done, and the command that goes on with it."""
    again = ("run", write_spec(place, SPEC), "--run", "r", "--base-url", server.url, "--model", "m")
    assert 0 == herogen(*again, "--limit", "3", cwd=place).returncode
    return RunFolder(place / "runs/r"), again


def put(make: Callable[[Path, Path], None], path: Path, outside: Path) -> None:
    """Put something else where a file of the run's is or might be."""
    path.unlink(missing_ok=True)
    try:
        make(path, outside)
    except PermissionError:
        pytest.skip("only root makes these")


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_refuses_what_is_no_file_of_its_own(
    tmp_path: Path, outside: Path, name: str, make: Callable[[Path, Path], None]
) -> None:
    """A link, a FIFO, a socket, a folder or a device in a run's folder is named, and nothing is asked or written."""
    if make is folder_of_its_name and name in ("dataset", "finetune"):
        pytest.skip("these are folders")
    with FakeServer() as server:
        folder, again = half_a_run(tmp_path, server)
        put(make, folder.path / name, outside)
        asked = len(server.asked)
        told = herogen(*again, cwd=tmp_path)
        assert asked == len(server.asked)
    assert 2 == told.returncode, told.stderr
    assert f"{name}' can't be " in told.stderr
    assert "fix: " in told.stderr


@pytest.mark.parametrize("words", READERS)
@pytest.mark.parametrize("make", [symbolic, fifo], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["lock", "manifest.json", "rows-00000.jsonl", "events.jsonl"])
def test_every_command_refuses_a_run_with_links(
    tmp_path: Path, outside: Path, name: str, make: Callable[[Path, Path], None], words: str
) -> None:
    """Whatever reads a run names the link or the FIFO in its folder instead of reading it."""
    with FakeServer() as server:
        folder, _ = half_a_run(tmp_path, server)
    put(make, folder.path / name, outside)
    told = herogen(words, "r", cwd=tmp_path)
    assert 2 == told.returncode, told.stderr
    assert f"{name}' can't be " in told.stderr
    assert "runs/r-recovered" not in {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("name", ["lock", "rows-00000.jsonl", "failures.jsonl", "events.jsonl"])
def test_a_file_with_a_second_name_is_read_and_not_written(tmp_path: Path, outside: Path, name: str) -> None:
    """Where a file of a run is a hard link, a run that would append to it refuses; its rows can be read."""
    with FakeServer() as server:
        folder, again = half_a_run(tmp_path, server)
        path = folder.path / name
        path.touch()
        (tmp_path / "copy").hardlink_to(path)
        before = path.read_bytes()
        told = herogen(*again, cwd=tmp_path)
        assert 2 == told.returncode
        assert "hard link" in told.stderr
        assert 0 == herogen("export", "r", cwd=tmp_path).returncode
        assert before == path.read_bytes()
        (folder.path / "own").write_bytes(before)
        (folder.path / "own").replace(path)  # as the fix says
        assert 0 == herogen(*again, cwd=tmp_path).returncode
    assert_exact_grid(folder.path, SPEC)


def test_a_run_behind_a_link_is_a_run(tmp_path: Path, outside: Path) -> None:
    """The run's folder itself, and `runs`, may be reached through links."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("elsewhere")
    (tmp_path / "runs/r").symlink_to(tmp_path / "disk")
    with FakeServer() as server:
        _, again = half_a_run(tmp_path, server)
        assert 0 == herogen(*again, cwd=tmp_path).returncode
    for words in (("status", "r"), ("verify", "r"), ("assemble", "r")):
        told = herogen(*words, cwd=tmp_path)
        assert 0 == told.returncode, told.stderr
    assert_exact_grid(tmp_path / "disk", SPEC)
    assert (tmp_path / "disk/dataset/prepared_data.csv").is_file()


@pytest.mark.parametrize("make", [symbolic, fifo, folder_of_its_name], ids=lambda make: make.__name__)
def test_what_is_no_socket_is_not_spoken_to(tmp_path: Path, outside: Path, make: Callable[[Path, Path], None]) -> None:
    """`ctl` asks no link and no FIFO, and a run leaves it where it is and goes on without."""
    with FakeServer() as server:
        folder, again = half_a_run(tmp_path, server)
        put(make, folder.control, outside)
        told = herogen("ctl", "r", "status", cwd=tmp_path)
        assert 2 == told.returncode
        assert "control' is not a socket" in told.stderr
        told = herogen(*again, cwd=tmp_path)
        assert 0 == told.returncode
        assert "ctl" in told.stderr
    assert not stat.S_ISSOCK(folder.control.lstat().st_mode)


def test_links_in_a_data_set_are_replaced_or_refused(tmp_path: Path, outside: Path) -> None:
    """A data file that is a link becomes a file of its own; a folder that is one takes no report."""
    away = tmp_path / "away"
    away.mkdir()
    with FakeServer() as server:
        folder, again = half_a_run(tmp_path, server)
        herogen(*again, cwd=tmp_path)
    assert 0 == herogen("assemble", "r", cwd=tmp_path).returncode
    data = folder.dataset / "prepared_data.csv"
    rows = data.read_bytes()
    data.unlink()
    data.symlink_to(outside)
    (folder.dataset / "recipe.json").unlink()
    os.mkfifo(folder.dataset / "recipe.json")
    assert 2 == herogen("assemble", "r", cwd=tmp_path).returncode  # a FIFO is no recipe, and is not waited for
    (folder.dataset / "recipe.json").unlink()
    (folder.dataset / "recipe.json").write_text("{}")
    assert 0 == herogen("assemble", "r", cwd=tmp_path).returncode
    assert not data.is_symlink()
    assert rows == data.read_bytes()
    for path in (folder.dataset / "quality").iterdir():
        path.unlink()
    (folder.dataset / "quality").rmdir()
    (folder.dataset / "quality").symlink_to(away)
    told = herogen("assemble", "r", cwd=tmp_path)
    assert 2 == told.returncode
    assert "quality' is a link" in told.stderr
    assert [] == list(away.iterdir())


@pytest.mark.parametrize("name", ["steps.jsonl", "lock", ""])
def test_a_fine_tune_keeps_to_its_own_files(tmp_path: Path, outside: Path, name: str) -> None:
    """The log and the lock of a fine-tune, and its folder, are no links either."""
    (tmp_path / "away").mkdir()
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt":"p{n} ->","completion":" c{n} END"}}\n' for n in range(20)))
    place = tmp_path / "rows.finetune/001"
    (place if name else place.parent).mkdir(parents=True)
    (place / name).symlink_to(outside if name else tmp_path / "away")
    with FakeServer() as server:
        told = herogen("finetune", rows, "--base-url", server.url, "--model", "m", cwd=tmp_path)
    assert told.returncode in (2, 3), told.stderr
    assert "link" in told.stderr
    assert "Traceback" not in told.stderr
    assert [] == list((tmp_path / "away").iterdir())
