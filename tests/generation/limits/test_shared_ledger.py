"""Processes on one machine share a record: no update is lost, the dead stop nobody, foreign bytes mean nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herogen_async.core.clock import MonotonicClock
from herogen_async.generation.limits.ledger import Ledger, LedgerBusy
from herogen_async.generation.limits.shared import SharedLedger, limits_folder, open_ledger
from herogen_async.generation.limits.shared.ledger_path import ledger_name
from herogen_async.generation.limits.shared.ledger_record import (
    MOST_BYTES,
    MOST_VALUES,
    STALE_READING_S,
    UNKNOWN_BOOT,
    packed,
    this_boot,
    unpacked,
)
from herogen_async.generation.limits.shared.shared_ledger import FILE_CHECK_S, RETRY_WAITS_S

DEADLINE_S = 60.0
URL, KEY, MODEL = "https://api.example.test/v1", "sk-very-secret-0123456789", "some-model"
YESTERDAY, TODAY = 1, 2  # boots


class SteppedClock:
    """A clock whose hands a test sets, one at a time or both."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.day = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> float:
        return self.now_s

    def wall(self) -> datetime:
        return self.day

    def busy_s(self) -> float:
        return 0.0

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        self.step_wall(seconds)

    def step_wall(self, seconds: float) -> None:
        self.day += timedelta(seconds=seconds)


Open = Callable[..., SharedLedger]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits" / "ledger"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def ledger(path: Path, clock: SteppedClock) -> Iterator[SharedLedger]:
    """A ledger of today's boot."""
    opened = SharedLedger(path, clock, boot=TODAY)
    yield opened
    opened.close()


@pytest.fixture
def another(path: Path, clock: SteppedClock) -> Iterator[Open]:
    """Open the same file once more, as another process would."""
    opened: list[SharedLedger] = []

    def another_ledger(boot: int = TODAY, clock: SteppedClock = clock) -> SharedLedger:
        opened.append(SharedLedger(path, clock, boot=boot))
        return opened[-1]

    yield another_ledger
    for one in opened:
        one.close()


def write(ledger: SharedLedger, values: tuple[float, ...], now: float) -> None:
    ledger.acquire(now)
    ledger.release(values, now)


def read(ledger: SharedLedger, now: float) -> tuple[float, tuple[float, ...]] | None:
    found = ledger.acquire(now)
    ledger.release(None, now)
    return found


# -- one process ---------------------------------------------------------------------------------------------------


def test_a_ledger_gives_what_was_written_and_how_long_ago(
    ledger: SharedLedger, another: Open, clock: SteppedClock
) -> None:
    """A new ledger holds nothing; later it gives what was written and how long ago."""
    as_admission_sees_it: Ledger = ledger
    assert as_admission_sees_it.acquire(1000.0) is None
    as_admission_sees_it.release((1.5, -2.0, 1e300), 1000.0)
    assert (0.25, (1.5, -2.0, 1e300)) == read(another(), 1000.25)
    assert (0.5, (1.5, -2.0, 1e300)) == read(ledger, 1000.5)


def test_releasing_none_keeps_the_values_and_their_time(ledger: SharedLedger) -> None:
    """Releasing the ledger without values keeps the last ones and their age."""
    write(ledger, (7.0,), 1000.0)
    ledger.acquire(1000.5)
    ledger.release(None, 1000.5)
    assert (0.75, (7.0,)) == read(ledger, 1000.75)


@pytest.mark.parametrize("counts", [(MOST_VALUES, 0, 3), (1, MOST_VALUES)])
def test_a_shorter_record_over_a_longer_one_is_whole(ledger: SharedLedger, counts: tuple[int, ...]) -> None:
    """A record that replaces one of another length reads back exactly."""
    for count in counts:
        values = tuple(float(index) for index in range(count))
        write(ledger, values, 1000.0)
        assert (0.0, values) == read(ledger, 1000.0)


def test_too_many_values_are_refused_and_free_the_lock(ledger: SharedLedger, another: Open) -> None:
    """Writing more values than fit raises an error, keeps the old record and frees the lock."""
    write(ledger, (1.0,), 1000.0)
    ledger.acquire(1000.0)
    with pytest.raises(ValueError, match=f"{MOST_VALUES} values at most, not {MOST_VALUES + 1}"):
        ledger.release((0.0,) * (MOST_VALUES + 1), 1000.0)
    assert (0.0, (1.0,)) == read(another(), 1000.0)


def test_two_ledgers_of_one_process_exclude_each_other(ledger: SharedLedger, another: Open) -> None:
    """Within one process, a second ledger on the same file can neither acquire nor release a held lock."""
    second = another()
    ledger.acquire(1000.0)
    with pytest.raises(LedgerBusy, match="held by another process"):
        second.acquire(1000.0)
    with pytest.raises(RuntimeError, match="is not held"):
        second.release((9.0,), 1000.0)
    ledger.release((1.0,), 1000.0)
    assert (0.0, (1.0,)) == read(second, 1000.0)


def test_a_held_ledger_is_busy_and_freeing_a_free_one_a_mistake(ledger: SharedLedger) -> None:
    """Acquiring a held ledger raises LedgerBusy; releasing one that is not held raises RuntimeError."""
    ledger.acquire(1000.0)
    with pytest.raises(LedgerBusy, match="by this process already"):
        ledger.acquire(1000.0)
    ledger.release(None, 1000.0)
    with pytest.raises(RuntimeError, match="is not held"):
        ledger.release((1.0,), 1000.0)


def test_waiting_for_a_busy_ledger_stays_below_two_ms() -> None:
    """All retries for a busy lock, timer slack included, take less than 2 ms."""
    timer_slack_s = 0.00006
    assert sum(RETRY_WAITS_S) + timer_slack_s * len(RETRY_WAITS_S) < 0.002


def test_a_closed_ledger_frees_its_lock_and_then_raises(ledger: SharedLedger, another: Open) -> None:
    """Closing frees the lock, may be repeated, and makes later use raise an error."""
    ledger.acquire(1000.0)
    for _ in range(2):
        ledger.close()
    with pytest.raises(OSError, match="closed"):
        ledger.acquire(1000.0)
    assert read(another(), 1000.0) is None


def test_a_full_disk_is_an_oserror_and_frees_the_lock(
    ledger: SharedLedger, another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write raises `No space left`, frees the lock and leaves no torn record."""
    ledger.acquire(1000.0)
    monkeypatch.setattr("herogen_async.generation.limits.shared.shared_ledger.pwrite", lambda *_: 3)
    with pytest.raises(OSError, match="No space left"):
        ledger.release((1.0,), 1000.0)
    assert read(another(), 1000.0) is None


def test_an_unreadable_ledger_is_an_oserror_and_frees_the_lock(
    ledger: SharedLedger, another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger file that cannot be read raises OSError and leaves the lock free."""

    def unreadable(*_: int) -> bytes:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        patch.setattr("herogen_async.generation.limits.shared.shared_ledger.pread", unreadable)
        with pytest.raises(OSError, match="Input/output error"):
            ledger.acquire(1000.0)
    assert read(another(), 1000.0) is None


# -- time ----------------------------------------------------------------------------------------------------------


def test_a_changed_wall_clock_does_not_matter_within_a_boot(
    ledger: SharedLedger, another: Open, clock: SteppedClock
) -> None:
    """Within one boot, elapsed time is right although the wall clock jumps in either direction."""
    for step_s in (86400.0, -90000.0, 61.0, -61.0):
        write(ledger, (1.0,), clock.now())
        clock.pass_by(2.0)
        clock.step_wall(step_s)
        assert (2.0, (1.0,)) == read(another(), clock.now())


def test_a_suspend_counts_too_little_and_never_too_much(
    ledger: SharedLedger, another: Open, clock: SteppedClock
) -> None:
    """The monotonic clock stands still meanwhile; that nobody set the wall clock instead can't be told."""
    write(ledger, (1.0,), clock.now())
    clock.step_wall(3600.0)
    clock.pass_by(0.5)
    assert (0.5, (1.0,)) == read(another(), clock.now())


@pytest.mark.parametrize("now_s", [3.0, 999.0, 1000.5, 5000.0])
def test_after_a_reboot_elapsed_time_is_the_wall_clocks(another: Open, clock: SteppedClock, now_s: float) -> None:
    """After a reboot the wall clock gives the elapsed time, however far the monotonic one is."""
    write(another(YESTERDAY), (1.0,), clock.now())
    clock.step_wall(120.0)
    clock.now_s = now_s
    today = another(TODAY)
    assert (120.0, (1.0,)) == read(today, now_s)
    write(today, (2.0,), now_s)
    clock.pass_by(0.5)
    assert (0.5, (2.0,)) == read(today, clock.now())


def test_a_reboot_with_an_earlier_clock_counts_no_time(another: Open, clock: SteppedClock) -> None:
    """After a reboot with the clock set back, the elapsed time is zero, not negative."""
    write(another(YESTERDAY), (1.0,), clock.now())
    clock.step_wall(-7200.0)
    assert (0.0, (1.0,)) == read(another(TODAY), 5.0)


def test_machines_that_share_a_folder_use_the_wall_clock(another: Open, clock: SteppedClock) -> None:
    """Machines with different boots measure a record's age by the wall clock."""
    elsewhere = SteppedClock(now_s=9_000_000.0)
    here, there = another(TODAY), another(YESTERDAY, elsewhere)
    for _ in range(3):
        for one, its_clock in ((here, clock), (there, elsewhere)):
            write(one, (1.0,), its_clock.now())
            clock.pass_by(0.25)
            elsewhere.pass_by(0.25)
            assert (0.25, (1.0,)) == read(there if one is here else here, (elsewhere if one is here else clock).now())


def test_a_stale_clock_gains_nothing_and_takes_no_time_back(ledger: SharedLedger, another: Open) -> None:
    """A process that read the clock before another wrote gains nothing and takes no time back.

    Otherwise the next one would be given the same interval a second time.
    """
    write(another(), (1.0,), 1000.004)
    assert (0.0, (1.0,)) == ledger.acquire(1000.001)
    ledger.release((2.0,), 1000.001)
    elapsed_s, values = read(another(), 1000.006) or (math.nan, ())
    assert (2.0,) == values
    assert 0.002 == pytest.approx(elapsed_s, abs=1e-9)


def test_a_process_stopped_before_the_lock_is_just_late(ledger: SharedLedger, another: Open) -> None:
    """A reading older than the record gives zero elapsed time and isn't taken for a reboot."""
    write(another(), (1.0,), 1000.0 + 10 * STALE_READING_S)
    assert (0.0, (1.0,)) == ledger.acquire(1000.0)
    ledger.release((2.0,), 1000.0)
    assert (1.0, (2.0,)) == read(another(), 1001.0 + 10 * STALE_READING_S)


@pytest.mark.parametrize(
    ("now_s", "wall_step_s", "expected_s"),
    [
        (1002.0, 3600.0, 2.0),  # a suspend, a step, or a boot that has lasted longer: never too much
        (999.9, 0.0, 0.0),  # late
        (1000.0 - STALE_READING_S, 300.0, 300.0),  # a reboot
        (5.0, 300.0, 300.0),
        (5.0, -300.0, 0.0),
    ],
)
def test_without_boot_ids_only_a_far_past_clock_is_a_reboot(
    another: Open, clock: SteppedClock, now_s: float, wall_step_s: float, expected_s: float
) -> None:
    """Where boots have no ids, only a clock far in the past counts as a reboot."""
    write(another(UNKNOWN_BOOT), (1.0,), clock.now())
    clock.now_s = now_s
    clock.step_wall(wall_step_s)
    assert (expected_s, (1.0,)) == read(another(UNKNOWN_BOOT), now_s)


def test_linux_tells_its_boots_apart() -> None:
    """A boot id is known exactly where the kernel provides one."""
    known = Path("/proc/sys/kernel/random/boot_id").exists()
    assert known == (UNKNOWN_BOOT != this_boot())


# -- what is in the file -------------------------------------------------------------------------------------------


VALID = packed(TODAY, 1000.0, 1.7e9, (1.0, 2.0, 3.0))


def resealed(data: bytes) -> bytes:
    """`data` with a checksum that fits, as another version of the layout would have."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def test_a_truncated_record_is_ignored() -> None:
    """A record cut at any length is read as none."""
    for size in range(len(VALID)):
        assert unpacked(VALID[:size]) is None, size


def test_a_record_with_any_flipped_bit_is_ignored() -> None:
    """A valid record reads back exactly, and flipping any single bit makes it read as none."""
    assert (TODAY, 1000.0, 1.7e9, (1.0, 2.0, 3.0)) == unpacked(VALID)
    for bit in range(8 * len(VALID)):
        torn = bytearray(VALID)
        torn[bit // 8] ^= 1 << bit % 8
        assert unpacked(bytes(torn)) is None, bit


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 4096,
        b'{"requests": 3}\n' * 40,
        resealed(VALID[:5] + b"\x00" + VALID[6:]),
        resealed(b"other\x01" + VALID[6:]),
        resealed(VALID[:6] + b"\xff" + VALID[7:]),
        VALID[:24] + packed(TODAY, 2000.0, 1.8e9, (4.0, 5.0, 6.0))[24:],
    ],
    ids=["empty", "zeros", "text", "version", "magic", "count", "torn"],
)
def test_an_invalid_ledger_record_counts_as_none(path: Path, ledger: SharedLedger, data: bytes) -> None:
    """Content that is not a valid record counts as nothing and is overwritten."""
    path.write_bytes(data)
    assert ledger.acquire(1000.0) is None
    ledger.release((4.0,), 1000.0)
    assert (0.0, (4.0,)) == read(ledger, 1000.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=2 * MOST_BYTES),
        st.binary(max_size=200).map(lambda tail: VALID[:6] + tail),
        st.builds(
            packed,
            st.integers(0, 2**64 - 1) | st.just(TODAY),
            st.floats(),
            st.floats(),
            st.lists(st.floats(), max_size=MOST_VALUES).map(tuple),
        ),
    ),
    st.floats(0, 1e12),
)
def test_any_ledger_file_gives_floats_and_no_negative_time(
    path: Path, ledger: SharedLedger, data: bytes, now_s: float
) -> None:
    """Whatever the file holds, acquire gives None, or floats with a time that is never negative."""
    path.write_bytes(data)
    found = read(ledger, now_s)
    if found is not None:
        assert 0.0 <= found[0]
        assert all(isinstance(value, float) for value in found[1])
    write(ledger, (1.0,), now_s)
    assert (1.0,) == (read(ledger, now_s) or (0.0, ()))[1]


# -- where the file is ---------------------------------------------------------------------------------------------


class Said(list[str]):
    """The notices that were given."""

    def open(self, directory: Path | None = None) -> SharedLedger | None:
        return open_ledger(URL, KEY, model=MODEL, clock=MonotonicClock(), on_notice=self.append, directory=directory)


def test_the_ledger_is_private_and_reveals_nothing_of_the_key(tmp_path: Path) -> None:
    """The ledger's file and folder are private to the user and reveal nothing of the key."""
    said = Said()
    ledger = said.open(tmp_path / "a" / "limits")
    assert ledger is not None
    write(ledger, (1.0, 2.0), 1000.0)
    ledger.close()
    assert [] == said
    assert 0o700 == stat.S_IMODE(ledger.path.parent.stat().st_mode)
    assert 0o600 == stat.S_IMODE(ledger.path.stat().st_mode)
    everything = ledger.path.read_bytes() + os.fsencode(ledger.path) + repr(ledger).encode()
    for secret in (KEY, KEY[3:14], URL, "example", MODEL):
        assert secret.encode() not in everything


def test_a_ledger_readable_by_others_is_made_private(path: Path, ledger: SharedLedger, another: Open) -> None:
    """Opening a ledger file with mode 0666 sets it to 0600."""
    path.chmod(0o666)
    another()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_each_server_key_and_model_has_its_own_ledger_file() -> None:
    """Each combination of server, key and model has its own file, whatever their lengths."""
    triples = [
        ("https://a", "b", "c"),
        ("https://ab", "", "c"),
        ("https://a", "bc", ""),
        ("https://a", "", "bc"),
        ("https://a", "c", "b"),
        ("https://a", "\udce9", "c"),
    ]
    names = {ledger_name(*triple) for triple in triples}
    assert len(triples) == len(names)
    assert all(32 == len(name) and set(name) <= set("0123456789abcdef") for name in names)
    assert ledger_name(URL, KEY, MODEL) == ledger_name(URL + "/", KEY, MODEL)


def test_the_limits_folder_is_configured_or_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HEROGEN_LIMITS_DIR wins, then XDG_CACHE_HOME, then the platform's cache folder."""
    monkeypatch.setenv("HEROGEN_LIMITS_DIR", str(tmp_path / "own"))
    assert tmp_path / "own" == limits_folder()
    monkeypatch.setenv("HEROGEN_LIMITS_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tmp_path / "cache" / "herogen-async" / "limits" == limits_folder()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert tmp_path / "home" / ".cache" / "herogen-async" / "limits" == limits_folder()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tmp_path / "home" / "Library" / "Caches" / "herogen-async" / "limits" == limits_folder()


def link_as_file(folder: Path) -> None:
    folder.mkdir()
    (folder.parent / "precious").write_text("precious")
    (folder / ledger_name(URL, KEY, MODEL)).symlink_to(folder.parent / "precious")


def link_as_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def pipe_as_file(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / ledger_name(URL, KEY, MODEL))


def folder_as_file(folder: Path) -> None:
    (folder / ledger_name(URL, KEY, MODEL)).mkdir(parents=True)


def file_as_folder(folder: Path) -> None:
    folder.write_text("")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (link_as_file, "symbolic link"),
        (link_as_folder, "it is a link, not a folder"),
        (open_to_all, "other users can write in it"),
        (pipe_as_file, "it is not a regular file"),
        (folder_as_file, "Is a directory"),
        (file_as_folder, "File exists"),
    ],
)
def test_an_untrusted_place_is_reported_and_left_alone(tmp_path: Path, made: Callable[[Path], None], why: str) -> None:
    """A place that cannot be trusted is reported with the reason and left alone."""
    folder, said = tmp_path / "limits", Said()
    made(folder)
    before = sorted(tmp_path.rglob("*"))
    assert said.open(folder) is None
    assert 1 == len(said)
    assert why in said[0]
    assert str(folder) in said[0]
    assert "HEROGEN_LIMITS_DIR" in said[0]
    assert KEY not in said[0]
    assert before == sorted(tmp_path.rglob("*"))
    precious = tmp_path / "precious"
    assert not precious.exists() or "precious" == precious.read_text()


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_a_ledger_of_another_user_is_not_used(tmp_path: Path, whose: str) -> None:
    """A ledger file or folder owned by another user is refused with that reason."""
    folder, said = tmp_path / "limits", Said()
    if os.geteuid() == 0:
        folder.mkdir(mode=0o700)
        file = folder / ledger_name(URL, KEY, MODEL)
        file.touch()
        os.chown(folder if whose == "folder" else file, 12345, 12345)
    else:
        folder = Path("/")
    assert said.open(folder) is None
    assert "it belongs to another user" in said[0]


def test_without_a_home_there_is_no_ledger_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no home folder can be found, sharing is off and the reason is reported."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    said = Said()
    for name in ("HEROGEN_LIMITS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert said.open() is None
    assert "Could not determine home directory." in said[0]


def test_a_file_system_without_locks_is_reported_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where locking isn't supported, no ledger is opened and the reason is reported."""

    def no_locks(*_: int) -> None:
        raise OSError(95, os.strerror(95))

    said = Said()
    monkeypatch.setattr("herogen_async.generation.limits.shared.shared_ledger.flock", no_locks)
    assert said.open(tmp_path / "limits") is None
    assert "Operation not supported" in said[0]


def test_a_held_ledger_can_be_opened(ledger: SharedLedger, another: Open) -> None:
    """Opening a ledger doesn't need the lock that another holds."""
    ledger.acquire(1000.0)
    assert another() is not None


# -- somebody removes the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["file", "folder", "replaced"])
def test_after_a_ledger_is_removed_all_rejoin_in_a_second(
    path: Path, ledger: SharedLedger, another: Open, gone: str
) -> None:
    """If the ledger file is removed or replaced, every process uses the new one within a second."""
    old = another()
    write(ledger, (1.0,), 1000.0)
    write(old, (2.0,), 1000.0)
    path.unlink()
    if gone == "folder":
        path.parent.rmdir()
    if gone == "replaced":
        path.touch()
    assert (0.5, (2.0,)) == read(ledger, 1000.0 + FILE_CHECK_S / 2)
    assert read(ledger, 1000.0 + FILE_CHECK_S) is None
    write(ledger, (3.0,), 1000.0 + FILE_CHECK_S)
    assert (0.0, (3.0,)) == read(old, 1000.0 + FILE_CHECK_S)
    assert (0.0, (3.0,)) == read(another(), 1000.0 + FILE_CHECK_S)


def test_a_removed_file_is_kept_while_it_is_held(path: Path, ledger: SharedLedger) -> None:
    """A holder keeps its removed file until release and only then moves to a new one."""
    ledger.acquire(1000.0)
    path.unlink()
    with pytest.raises(LedgerBusy, match="by this process already"):
        ledger.acquire(1000.0 + 2 * FILE_CHECK_S)
    ledger.release((1.0,), 1000.0)
    assert read(ledger, 1000.0 + 4 * FILE_CHECK_S) is None


def test_a_lost_ledger_path_is_an_oserror_until_it_is_back(path: Path, ledger: SharedLedger) -> None:
    """While a folder stands at the ledger's path, acquiring raises; it works once that is gone."""
    write(ledger, (1.0,), 1000.0)
    path.unlink()
    path.mkdir()
    for now in (1001.0, 1001.1):
        with pytest.raises(OSError, match="Is a directory"):
            ledger.acquire(now)
    path.rmdir()
    assert read(ledger, 1001.2) is None


# -- real processes ------------------------------------------------------------------------------------------------

BEGIN = """
import json, os, random, signal, struct, sys, time
from pathlib import Path
from herogen_async.generation.limits.ledger import LedgerBusy
from herogen_async.core.clock import MonotonicClock
from herogen_async.generation.limits.shared import SharedLedger

clock = MonotonicClock()
path, arguments = Path(sys.argv[1]), sys.argv[2:]

def taken(ledger):
    while True:
        try:
            return ledger.acquire(clock.now())
        except LedgerBusy:
            pass

def count_up(ledger, me, members):
    found = taken(ledger)
    values = list(found[1]) if found else [0.0] * (1 + members)
    values[0] += 1
    values[1 + me] += 1
    ledger.release(tuple(values), clock.now())
    return values[1 + me]
"""

COUNT = """
me, members, times = map(int, arguments)
ledger = SharedLedger(path, clock)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    count_up(ledger, me, members)
"""

# Forks its workers, because a new interpreter for each of a hundred would take half a minute. A worker notes what it
# was told done where its death can't undo it.
KILLED = """
members, kills, seed = map(int, arguments)
chance = random.Random(seed)
watch = SharedLedger(path, clock)
notes = os.open(path.parent / "notes", os.O_RDWR | os.O_CREAT)
os.pwrite(notes, bytes(8 * members), 0)

def start(me):
    pid = os.fork()
    if pid == 0:
        ledger = SharedLedger(path, clock)
        while True:
            os.pwrite(notes, struct.pack("d", count_up(ledger, me, members)), 8 * me)
    return pid

def look():
    noted = struct.unpack(f"{members}d", os.pread(notes, 8 * members, 0))
    found = taken(watch)
    watch.release(None, clock.now())
    return noted, found[1] if found else (0.0,) * (1 + members)

workers = [start(me) for me in range(members)]
faults, in_hand, stuck = [], 0, 0
for kill in range(kills):
    before = look()[1]
    deadline = clock.now() + 10.0
    while look()[1][0] < before[0] + 2 and clock.now() < deadline:
        pass  # the living go on
    stuck += clock.now() >= deadline
    time.sleep(chance.random() * 0.002)
    me = chance.randrange(members)
    os.kill(workers[me], signal.SIGKILL)
    os.waitpid(workers[me], 0)
    noted, values = look()
    if values[0] != sum(values[1:]) or not noted[me] <= values[1 + me] <= noted[me] + 1:
        faults.append([kill, noted, values])
    in_hand += values[1 + me] > noted[me]
    os.pwrite(notes, struct.pack("d", values[1 + me]), 8 * me)  # else one that dies before its first note is two behind
    workers[me] = start(me)
for pid in workers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(json.dumps({"faults": faults, "stuck": stuck, "in_hand": in_hand, "values": look()[1]}))
"""

HOLD = """
ledger = SharedLedger(path, clock)
count_up(ledger, 0, 1)
taken(ledger)
print("held", flush=True)
sys.stdin.readline()
"""

FORK = """
ledger = SharedLedger(path, clock)
count_up(ledger, 0, 2)
taken(ledger)
child = os.fork()
if child == 0:
    answers = []
    try:
        ledger.release((9.0,), clock.now())
    except RuntimeError:
        answers.append("release refused")
    try:
        ledger.acquire(clock.now())
    except LedgerBusy:
        answers.append("busy")
    print(json.dumps(answers), flush=True)
    os._exit(0)
os.waitpid(child, 0)
ledger.release(None, clock.now())
child = os.fork()
for _ in range(500):
    count_up(ledger, 0 if child else 1, 2)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps(taken(ledger)[1]))
here, there = os.pipe()
if os.fork() == 0:
    os.close(there)
    os.read(here, 1)  # lives, with a copy of the descriptor, as long as its parent
    os._exit(0)
ledger.close()
print(json.dumps(taken(SharedLedger(path, clock))[1]))
"""

Child = subprocess.Popen[str]
Start = Callable[..., Child]


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a process that does `code` with the ledger at `path`."""
    started: list[Child] = []

    def start_child(code: str, *arguments: int) -> Child:
        command = [sys.executable, "-c", BEGIN + code, str(path), *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start_child
    for child in started:
        child.kill()
        child.communicate(timeout=DEADLINE_S)


@pytest.fixture
def real(path: Path) -> Iterator[SharedLedger]:
    """The ledger at `path`, by the real clock."""
    ledger = SharedLedger(path, MonotonicClock())
    yield ledger
    ledger.close()


def said(child: Child) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def outcome(child: Child) -> Any:
    output, _ = child.communicate(timeout=DEADLINE_S)
    assert 0 == child.returncode
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.slow
def test_no_update_of_four_processes_is_lost(start: Start, real: SharedLedger) -> None:
    """Four processes with 2,000 updates each leave exactly 8,000 in the ledger."""
    members, times = 4, 2000
    children = [start(COUNT, me, members, times) for me in range(members)]
    assert ["ready"] * members == [said(child) for child in children]
    for child in children:
        child.communicate("go\n", timeout=DEADLINE_S)
        assert 0 == child.returncode
    found = read(real, MonotonicClock().now())
    assert found is not None
    assert (members * times, *[times] * members) == found[1]


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_no_update(start: Start) -> None:
    """Processes killed at random lose no update and leave no other process stuck."""
    seed = int.from_bytes(os.urandom(4))
    [result] = outcome(start(KILLED, 4, 40, seed))
    assert ([], 0) == (result["faults"], result["stuck"]), f"seed {seed}"
    assert result["values"][0] == sum(result["values"][1:])


@pytest.mark.slow
def test_sigkill_of_the_holder_frees_the_lock(start: Start, real: SharedLedger) -> None:
    """Killing the process that holds the lock frees it, and the last values remain."""
    holder = start(HOLD)
    assert "held" == said(holder)
    with pytest.raises(LedgerBusy):
        real.acquire(MonotonicClock().now())
    holder.kill()
    holder.wait(DEADLINE_S)
    found = real.acquire(MonotonicClock().now())
    assert found is not None
    assert (1.0, 1.0) == found[1]


@pytest.mark.slow
def test_a_stopped_holder_makes_others_busy_not_frozen(start: Start, real: SharedLedger) -> None:
    """While the holder is stopped, others get a busy error at once and recover when it continues."""
    holder = start(HOLD)
    assert "held" == said(holder)
    holder.send_signal(signal.SIGSTOP)
    for _ in range(3):
        with pytest.raises(LedgerBusy, match="stopped or overloaded"):
            real.acquire(MonotonicClock().now())
    holder.send_signal(signal.SIGCONT)
    holder.communicate("go\n", timeout=DEADLINE_S)
    assert read(real, MonotonicClock().now()) is not None


@pytest.mark.slow
def test_a_forked_child_takes_turns_and_keeps_its_parents_lock(start: Start) -> None:
    """A forked child takes turns with its parent and does not undo its lock."""
    of_child, values, after_close = outcome(start(FORK))
    assert ["release refused", "busy"] == of_child
    assert [1001.0, 501.0, 500.0] == values == after_close
