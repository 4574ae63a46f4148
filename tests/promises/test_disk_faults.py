"""Whole runs on disks that really fill up, really fail and really lie; those that only root can make are skipped."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.engine import disk_patience
from herogen_async.generation.journal import read_rows
from herogen_async.generation.journal.write import writer
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import assert_exact_grid, command, environment, small_spec, write_spec

pytestmark = pytest.mark.slow

SPEC = small_spec(values=10, repeats=3)
LONG = small_spec(values=100, repeats=3)  # for what only a sync finds out: rows are asked for meanwhile


def mount(*words: str) -> None:
    """Mount, or skip the test where that can't be."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root may mount a small file system: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.25 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=1280k", "tmpfs", str(place))
    yield place
    unmount(place)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused write is tried again soon."""
    monkeypatch.setattr(writer, "DISK_RETRY_S", 0.01)


def fill(place: Path) -> None:
    """Take all the room that is left."""
    with contextlib.suppress(OSError), (place / "ballast").open("ab", buffering=0) as ballast:
        while ballast.write(bytes(1 << 12)):
            pass


def then(happens: Callable[[], None], *, after: int) -> Callable[[Asked], Reply]:
    """Sound answers, 2 kB each; when the request with that number comes, something happens first."""

    def behaviour(asked: Asked) -> Reply:
        if asked.number == after:
            happens()
        return answer(asked, delay_s=0.002)

    return behaviour


def once_held_up(does: Callable[[], None]) -> herogen_async.Watch:
    """Who mends the disk as soon as the display says that the run waits for it."""
    waited: list[str] = []

    def on_report(report: RunReport) -> None:
        if report.binding == "disk" and not waited:
            waited.append("disk")
            does()

    return herogen_async.Watch(on_report=on_report)


@pytest.mark.parametrize("durability", ["process", "periodic", "power"])
def test_p9_a_run_on_a_full_disk_goes_on_once_there_is_room(small_disk: Path, durability: str) -> None:
    """A run on a disk that fills up goes on by itself once there is room again."""
    with FakeServer(then(lambda: fill(small_disk), after=20)) as server:
        report = herogen_async.run(
            LONG,
            run=small_disk / "r",
            base_url=server.url,
            model="m",
            durability=durability,  # type: ignore[arg-type]
            watch=once_held_up((small_disk / "ballast").unlink),
        )
        assert ("done", 600, 600) == (report.state, report.done, len(server.asked))
    assert_exact_grid(small_disk / "r", LONG)


def test_p9_a_disk_that_stays_full_parks_and_repeats_no_request(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stays full parks the run, and the rows that it held are not requested again."""
    monkeypatch.setattr(disk_patience, "DISK_PATIENCE_S", 0.1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the rows go that the disk refuses
    options = {"run": small_disk / "r", "model": "m"}
    with FakeServer(then(lambda: fill(small_disk), after=20)) as server:
        parked = herogen_async.run(LONG, base_url=server.url, **options)  # type: ignore[arg-type]
        assert ("parked", 3) == (parked.state, parked.exit_code)
        assert "No space left on device" in (parked.reason or "")
        on_disk, asked = len(list(read_rows(RunFolder(small_disk / "r")))), len(server.asked)
        assert parked.done == on_disk < asked < 600
        (small_disk / "ballast").unlink()
        words = (parked.fix or "").split("`")
        subprocess.run(words[1], shell=True, check=True, cwd=tmp_path)
        report = herogen_async.run(LONG, base_url=server.url, **options)  # type: ignore[arg-type]
        assert ("done", 600) == (report.state, len(server.asked))
    assert_exact_grid(small_disk / "r", LONG)


def test_p9_a_file_size_limit_holds_the_run_until_lifted(tmp_path: Path) -> None:
    """At a file size limit the run waits and, once it is lifted, completes without repeating a call."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    long = "x" * 20_000

    def behaviour(asked: Asked) -> Reply:
        return answer(asked, long, delay_s=0.002)

    try:
        with FakeServer(behaviour) as server:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
            report = herogen_async.run(
                SPEC,
                run=tmp_path / "r",
                base_url=server.url,
                model="m",
                watch=once_held_up(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))),
            )
            assert ("done", 60, 60) == (report.state, report.done, len(server.asked))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {long} == {line.record["response_txt"] for line in read_rows(RunFolder(tmp_path / "r"))}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to make the kernel say EIO")
def test_p9_an_eio_in_write_and_sync_costs_nothing(tmp_path: Path) -> None:
    """One EIO in a write and one in a sync lose no row and repeat no call under power durability."""
    log, rows = tmp_path / "log", tmp_path / "r" / "rows-00000.jsonl"
    trace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-P", str(rows), "-e", "trace=pwrite64,fdatasync"]
    failing = [f"inject={call}:error=EIO:when=2" for call in ("pwrite64", "fdatasync")]

    def behaviour(asked: Asked) -> Reply:
        """A dozen answers ahead of the disk at most: several writes and syncs, however slow this machine is."""
        deadline = time.monotonic() + 30
        while asked.number - 12 >= (rows.read_bytes().count(b"\n") if rows.exists() else 0):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return answer(asked)

    with FakeServer(behaviour) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--run", rows.parent, "--base-url", server.url, "--model", "m")
        done = subprocess.run(
            [*trace, *(word for each in failing for word in ("-e", each)), *command(*run, "--durability", "power")],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if "ptrace" in done.stderr:
            pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
        assert 0 == done.returncode, done.stderr
        assert 2 == log.read_text().count("EIO (Input/output error) (INJECTED)")
        assert 60 == len(server.asked)
    assert_exact_grid(tmp_path / "r", SPEC)


class LyingDisk:
    """A file system without a journal on a device that has promised more room than it has: the fsync trap.

    What is written is taken into memory; the sync that should bring it to the device fails, and what it was for is
    taken for clean from then on.
    """

    def __init__(self, place: Path) -> None:
        self.folder = place / "mounted"
        self._under, self._image = place / "under", place / "under" / "image"
        self.folder.mkdir()
        self._under.mkdir()
        mount("-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(self._under))
        with self._image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", str(self._image)], check=True)

    def mount(self) -> None:
        mount("-o", "loop", str(self._image), str(self.folder))
        # A page a request: of a longer one the loop device takes what there is room for, and says that it took all.
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        (loop,) = (words[0] for words in mounts if words[1] == str(self.folder))
        Path(f"/sys/block/{Path(loop).name}/queue/max_sectors_kb").write_text("4")

    def fill(self) -> None:
        fill(self._under)

    def make_room(self) -> None:
        (self._under / "ballast").unlink()

    def close(self) -> None:
        for place in (self.folder, self._under):
            if place.is_mount():  # lazily: a run that failed may have left a file open
                subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def lying_disk(tmp_path: Path) -> Iterator[LyingDisk]:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    disk = LyingDisk(tmp_path)
    try:
        disk.mount()
        yield disk
    finally:
        disk.close()


def test_p9_a_failed_sync_is_never_merely_repeated(lying_disk: LyingDisk) -> None:
    """After a failed sync the data is written again, since a repeated fsync may succeed without it."""
    with FakeServer(then(lying_disk.fill, after=20)) as server:
        report = herogen_async.run(
            LONG,
            run=lying_disk.folder / "r",
            base_url=server.url,
            model="m",
            durability="power",
            watch=once_held_up(lying_disk.make_room),
        )
        assert ("done", 600) == (report.state, report.done)
    lying_disk.fill()  # the trap itself: the second sync says yes, and the device has nothing
    with (lying_disk.folder / "naive").open("wb", buffering=0) as naive:
        naive.write(b"x" * (1 << 20))
        with pytest.raises(OSError, match=r"No space left|Input/output"):
            os.fsync(naive.fileno())
        os.fsync(naive.fileno())
    lying_disk.make_room()
    unmount(lying_disk.folder)
    lying_disk.mount()
    assert (lying_disk.folder / "naive").read_bytes() != b"x" * (1 << 20)
    assert_exact_grid(lying_disk.folder / "r", LONG)


def test_p9_a_run_whose_folder_is_removed_parks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose folder is removed parks with exit code 3 and that reason before sending everything."""
    monkeypatch.setattr(disk_patience, "DISK_PATIENCE_S", 0.1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with FakeServer(then(lambda: shutil.rmtree(tmp_path / "r"), after=20)) as server:
        report = herogen_async.run(LONG, run=tmp_path / "r", base_url=server.url, model="m")
        asked = len(server.asked)
    assert ("parked", 3) == (report.state, report.exit_code)
    assert "was removed or replaced during the run" in (report.reason or "")
    assert asked < 600
