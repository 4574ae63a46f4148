"""A run's folder in object storage: what is shipped while it is at work, and what comes back from there."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

import herogen_async
from herogen_async.core.errors import InputError, MirrorError, RunFolderError
from herogen_async.generation.journal import read_rows
from herogen_async.generation.mirror import restore
from herogen_async.generation.mirror.keeper import SHIP_EVERY_S, MirrorKeeper
from herogen_async.generation.mirror.layout import HEAD, MirrorHead, Part, gaps_between, pieces_of
from herogen_async.generation.mirror.ship import Shipper
from herogen_async.generation.observer import Observer
from herogen_async.generation.run_folder import RunFolder, read_events, read_manifest
from support.fake_server import FakeServer, answer
from support.runs import command, environment, herogen, small_spec, write_spec

SECRET = "sEcReT-canary-7731"
SPEC = small_spec(values=40, repeats=1)
OTHER = SPEC.replace(prompt="Tell of a {age}-year-old {gender}.")


class Notices(Observer[Any, Any]):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, line: str, /) -> None:
        self.lines.append(line)


@dataclass
class MemoryStorage:
    """Objects in memory; `refuses` is raised by every call once it is set."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: Exception | None = None
    gets: list[str] = field(default_factory=list)
    most_gets: int | None = None

    def put(self, key: str, data: bytes) -> None:
        self._look()
        self.objects[key] = bytes(data)

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def get(self, key: str) -> bytes | None:
        self._look()
        if self.most_gets is not None and len(self.gets) >= self.most_gets:
            raise MirrorError("memory: it can't be reached")
        self.gets.append(key)
        return self.objects.get(key)

    def keys(self, prefix: str) -> Iterator[str]:
        self._look()
        yield from [key for key in self.objects if key.startswith(prefix)]

    def _look(self) -> None:
        if self.refuses is not None:
            raise self.refuses


def shipper(folder: Path, storage: MemoryStorage, *, syncs: bool = True) -> Shipper:
    return Shipper(RunFolder(folder), storage, "memory://m", syncs=syncs, now=lambda: "2026-11-30T00:00:00+00:00")


def journal_of(folder: Path) -> dict[str, bytes]:
    """All that a run can't do without."""
    names = [*(path.name for path in RunFolder(folder).segments()), "failures.jsonl", "manifest.json"]
    return {name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in names}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def run(server: FakeServer, folder: Path, **options: Any) -> herogen_async.RunReport:
    spec = options.pop("spec", SPEC)
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


@pytest.mark.parametrize("durability", ["process", "periodic", "power"])
def test_a_finished_run_is_in_its_mirror_whole(server: FakeServer, tmp_path: Path, durability: Any) -> None:
    uri = f"file://{tmp_path}/mirror"
    assert "done" == run(server, tmp_path / "r", mirror=uri, durability=durability).state
    made = restore(uri, tmp_path / "back")
    assert (0, (), True) == (made.exit_code, made.missing, made.is_complete)
    assert journal_of(tmp_path / "r") == journal_of(tmp_path / "back")
    assert "done" == herogen_async.resume(tmp_path / "back").state  # and goes on in the same mirror
    assert 80 == len(server.asked)
    assert uri == read_manifest(RunFolder(tmp_path / "back")).settings.mirror
    assert 80 == len(list(read_rows(RunFolder(tmp_path / "back"))))
    assert "died" not in [each["event"] for each in read_events(RunFolder(tmp_path / "back"))]


def test_what_sessions_add_is_shipped_and_nothing_twice(server: FakeServer, tmp_path: Path) -> None:
    """A changed spec begins a new segment; the mirror has both, and which belongs to what."""
    uri = f"file://{tmp_path}/mirror"
    run(server, tmp_path / "r", mirror=uri, limit=20)
    first = {path.name for path in (tmp_path / "mirror").rglob("*") if path.is_file()}
    assert "done" == herogen_async.resume(tmp_path / "r", limit=40).state
    assert "done" == run(server, tmp_path / "r", spec=OTHER, extend=True, regenerate_stale=True, limit=40).state
    files = [path for path in (tmp_path / "mirror").rglob("rows-*/*") if path.is_file()]
    assert first <= {path.name for path in (tmp_path / "mirror").rglob("*")}
    held = sum((tmp_path / "r" / f"rows-0000{number}.jsonl").stat().st_size for number in (0, 1))
    assert held == sum(path.stat().st_size for path in files)
    restore(uri, tmp_path / "back")
    assert journal_of(tmp_path / "r") == journal_of(tmp_path / "back")
    asked = len(server.asked)
    assert "done" == herogen_async.resume(tmp_path / "back").state
    assert asked == len(server.asked)


def test_a_mirror_in_s3_holds_no_secret_and_makes_the_run_again(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    try:
        host, port = storage.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key-id",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        with urlopen(Request(f"http://{host}:{port}/bucket", method="PUT")):
            pass
        watch = Notices()
        assert "done" == run(server, tmp_path / "r", mirror="s3://bucket/runs/small", watch=watch).state
        made = restore("s3://bucket/runs/small", tmp_path / "back")
        assert 0 == made.exit_code
        assert journal_of(tmp_path / "r") == journal_of(tmp_path / "back")
        assert "done" == run(server, tmp_path / "lost", mirror="s3://nowhere/runs/small", watch=watch, limit=2).state
        assert any("s3://nowhere/runs/small: there is no such bucket or folder" in line for line in watch.lines)
        with pytest.raises(InputError, match="there is no mirror at s3://bucket/runs/other"):
            restore("s3://bucket/runs/other", tmp_path / "none")
    finally:
        storage.stop()
    told = "\n".join(watch.lines).encode() + b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert SECRET.encode() not in told
    assert b"key-id" not in told


def test_storage_that_is_out_of_reach_disturbs_no_run_and_is_told_once(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next session ships what it lacks; the exit code is the run's."""
    mirror = tmp_path / "mirror"
    mirror.write_text("no folder")
    uri, watch = f"file://{mirror}/m", Notices()
    with pytest.raises(InputError, match=f"can't use {uri} as a mirror"):
        run(server, tmp_path / "r", mirror=uri)
    assert not (tmp_path / "r").exists()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    report = run(server, tmp_path / "r", mirror="s3://bucket/m", watch=watch)
    assert ("done", 80) == (report.state, report.done)
    first, last = [line for line in watch.lines if "mirror" in line]
    assert first.startswith("The mirror can't be written to: s3://bucket/m: it can't be reached. The run goes on")
    assert last.startswith("The mirror lacks at least ")
    assert "herogen-async resume" in last
    states = [each["state"] for each in read_events(RunFolder(tmp_path / "r")) if each["event"] == "mirror"]
    assert ["behind", "incomplete"] == states
    mirror.unlink()
    assert "done" == herogen_async.resume(tmp_path / "r", mirror=uri).state
    assert restore(uri, tmp_path / "back").is_complete
    assert journal_of(tmp_path / "r") == journal_of(tmp_path / "back")
    herogen_async.resume(tmp_path / "back", mirror="none")
    assert 80 == len(server.asked)


def test_a_mirror_of_another_run_and_one_with_more_than_the_folder_are_refused(
    server: FakeServer, tmp_path: Path
) -> None:
    """Before anything is asked, and nothing is written over."""
    uri = f"file://{tmp_path}/mirror"
    run(server, tmp_path / "r", mirror=uri, limit=10)
    before = (tmp_path / "mirror" / HEAD).read_bytes()
    with pytest.raises(InputError, match="holds another run") as refused:
        run(server, tmp_path / "other", mirror=uri, limit=10)
    assert "URI of its own" in (refused.value.fix or "")
    assert not (tmp_path / "other").exists()
    rows = (tmp_path / "r" / "rows-00000.jsonl").read_bytes()
    old = tmp_path / "older"
    subprocess.run(["cp", "-r", tmp_path / "r", old], check=True)
    (old / "rows-00000.jsonl").write_bytes(rows[: rows.index(b"\n") + 1])
    (old / "lock").unlink()
    with pytest.raises(InputError, match=r"holds lines of rows-00000\.jsonl that this folder lacks"):
        herogen_async.resume(old, limit=20)
    assert 10 == len(server.asked)
    assert before == (tmp_path / "mirror" / HEAD).read_bytes()
    assert "done" == herogen_async.resume(old, limit=20, mirror=f"file://{tmp_path}/mirror-2").state


@pytest.mark.parametrize(
    "uri",
    ["s3://key:secret@bucket/x", "s3://bucket/x?X-Amz-Signature=1", "https://bucket/x", "bucket", "file://host/x", ""],
)
def test_a_mirror_is_a_uri_without_credentials(server: FakeServer, tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="the mirror can't be") as refused:
        run(server, tmp_path / "r", mirror=uri)
    assert "without credentials" in (refused.value.fix or "")
    assert not (tmp_path / "r").exists()


def test_what_the_mirror_lacks_is_named_and_all_else_comes_back(server: FakeServer, tmp_path: Path) -> None:
    """A part that is gone, and one that is damaged; `resume` asks for their rows and for no other."""
    storage = MemoryStorage()
    for limit in (20, 40, 60, 80):
        run(server, tmp_path / "r", limit=limit) if limit == 20 else herogen_async.resume(tmp_path / "r", limit=limit)
        shipper(tmp_path / "r", storage).ship()
    parts = sorted(key for key in storage.objects if "rows-00000.jsonl/" in key)
    assert 4 == len(parts)
    gone = storage.objects.pop(parts[1])
    storage.objects[parts[2]] = torn = storage.objects[parts[2]][:-7] + b"\0" * 7
    made = restore("memory://m", tmp_path / "back", storage=storage)
    start = len(storage.objects[parts[0]])
    assert (
        f"{len(gone):,} bytes of rows-00000.jsonl, from byte {start:,} on, are missing in the mirror.",
        f"{len(torn):,} bytes of rows-00000.jsonl, from byte {start + len(gone):,} on, are damaged in the mirror.",
    ) == made.missing
    assert 4 == made.exit_code
    assert made.missing[0] in made.lines()
    assert 40 == len(list(read_rows(RunFolder(tmp_path / "back"))))
    asked = len(server.asked)
    assert "done" == herogen_async.resume(tmp_path / "back", limit=80).state
    assert 40 == len(server.asked) - asked
    # A session that finds a gap in its mirror fills it.
    shipper(tmp_path / "r", storage).ship()
    rows = (tmp_path / "r" / "rows-00000.jsonl").read_bytes()
    storage.objects[parts[2]] = rows[start + len(gone) : start + len(gone) + len(torn)]
    assert 0 == restore("memory://m", tmp_path / "again", storage=storage).exit_code
    assert journal_of(tmp_path / "r") == journal_of(tmp_path / "again")


def test_an_interrupted_restore_goes_on_and_writes_over_nothing(server: FakeServer, tmp_path: Path) -> None:
    storage = MemoryStorage()
    for limit in range(8, 81, 8):
        run(server, tmp_path / "r", limit=limit) if limit == 8 else herogen_async.resume(tmp_path / "r", limit=limit)
        shipper(tmp_path / "r", storage).ship()
    storage.most_gets = 8
    with pytest.raises(MirrorError):
        restore("memory://m", tmp_path / "back", storage=storage)
    assert not (tmp_path / "back").exists()
    fetched, storage.gets, storage.most_gets = set(storage.gets), [], None
    assert 0 == restore("memory://m", tmp_path / "back", storage=storage).exit_code
    assert {HEAD} == fetched & set(storage.gets)
    assert journal_of(tmp_path / "r") == journal_of(tmp_path / "back")
    assert [tmp_path / "back", tmp_path / "r"] == sorted(tmp_path.iterdir())
    with pytest.raises(RunFolderError, match="is there already"):
        restore("memory://m", tmp_path / "back", storage=storage)


def test_a_process_that_was_taken_for_dead_ships_nothing_more(server: FakeServer, tmp_path: Path) -> None:
    """What it shipped behind the point where another one took over does not count."""
    storage = MemoryStorage()
    run(server, tmp_path / "r", limit=20)
    zombie = shipper(tmp_path / "r", storage)
    zombie.ship()
    restore("memory://m", tmp_path / "back", storage=storage)
    heir = shipper(tmp_path / "back", storage)
    herogen_async.resume(tmp_path / "back", limit=40)
    heir.ship()
    herogen_async.resume(tmp_path / "r", limit=30)
    with pytest.raises(InputError, match="another process writes to the mirror"):
        zombie.ship()
    shipper(tmp_path / "back", storage).begin()  # what the zombie has shipped since is no line that this folder lacks
    herogen_async.resume(tmp_path / "back", limit=60)
    heir.ship()
    assert 0 == restore("memory://m", tmp_path / "third", storage=storage).exit_code
    assert journal_of(tmp_path / "back") == journal_of(tmp_path / "third")


def test_no_unsynced_line_is_shipped(server: FakeServer, tmp_path: Path) -> None:
    """Its bytes may be others after a power cut; without syncs whole lines are all there is to go by."""
    run(server, tmp_path / "r", limit=20)
    rows = tmp_path / "r" / "rows-00000.jsonl"
    synced = rows.read_bytes()
    rows.write_bytes(synced + synced[: synced.index(b"\n") + 1] + b'{"key"')
    for syncs, more in ((True, 0), (False, synced.index(b"\n") + 1)):
        storage = MemoryStorage()
        shipper(tmp_path / "r", storage, syncs=syncs).ship()
        head = MirrorHead.read(storage.objects[HEAD])
        assert len(synced) + more == head.sizes["rows-00000.jsonl"]


@pytest.mark.parametrize("name", ["marks.jsonl", "events.jsonl", "damage.json", "sources/own.jsonl"])
def test_what_a_link_leads_to_is_never_shipped(server: FakeServer, tmp_path: Path, name: str) -> None:
    """A folder may come from elsewhere: no file outside of it gets into the storage by one of its names."""
    run(server, tmp_path / "r", limit=4)
    (tmp_path / "elsewhere").write_text(f'{{"secret": "{SECRET}"}}\n')
    (tmp_path / "r" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "r" / name).unlink(missing_ok=True)
    (tmp_path / "r" / name).symlink_to(tmp_path / "elsewhere")
    storage = MemoryStorage(refuses=MirrorError("it was out of reach"))
    keeper = MirrorKeeper(shipper(tmp_path / "r", storage), lambda _: None)
    try:
        keeper.begin().result()
        storage.refuses = None  # one try is left
        assert f"{tmp_path / 'r' / name}: it is a link; the files of a run are none" == keeper.finish().result()
    finally:
        keeper.end()
    assert not any(SECRET.encode() in data for data in storage.objects.values())


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 4))
def test_pieces_make_the_file_that_was_shipped(seed: int, size: int, sessions: int) -> None:
    """However parts overlap, whichever are gone: each byte comes from a session that was entitled to it."""
    drawn = random.Random(seed)
    truth = bytearray()
    parts: list[tuple[Part, bytes]] = []
    told: list[tuple[str, dict[str, int]]] = []
    for number in range(sessions):
        session, start = f"{number:08x}", drawn.randint(0, len(truth))
        del truth[start:]
        told.append((session, {"f": start}))
        for _ in range(drawn.randint(0, 5)):
            at = drawn.randint(start, len(truth))
            grown = bytes(truth[at:]) + drawn.randbytes(drawn.randint(0, size))
            truth[at:] = grown
            if grown:
                parts.append((Part("f", at, len(grown), session, 0), grown))
    kept = [each for each in parts if drawn.random() < 0.8]
    data = {id(part): held for part, held in kept}
    pieces = pieces_of("f", [part for part, _ in kept], told)
    at = 0
    for piece in pieces:
        assert at <= piece.start < piece.stop
        held = data[id(piece.part)][piece.start - piece.part.offset : piece.stop - piece.part.offset]
        assert truth[piece.start : piece.stop] == held
        at = piece.stop
    there = sum(piece.stop - piece.start for piece in pieces)
    assert len(truth) == there + sum(stop - start for start, stop in gaps_between(pieces, len(truth)))
    if len(kept) == len(parts):
        assert [] == gaps_between(pieces, len(truth)) or sessions > 1


@pytest.mark.slow
def test_what_was_mirrored_survives_the_loss_of_the_machine(tmp_path: Path) -> None:
    """SIGKILL in the middle, the folder is gone, `restore` elsewhere, `resume`: nothing told and mirrored is lost, and
    only what came since the last shipment is asked again.
    """
    spec = write_spec(tmp_path, small_spec(values=3000, repeats=1))
    mirror, here, there = tmp_path / "mirror", tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with FakeServer(lambda asked: answer(asked, delay_s=0.01)) as server:
        child = subprocess.Popen(
            [
                *command("run", spec, "--run", "r", "--base-url", server.url, "--model", "m", "--concurrency", "4"),
                *("--mirror", f"file://{mirror}"),
            ],
            cwd=here,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = monotonic() + 40
        while not (mirror / HEAD).exists() and monotonic() < deadline:
            sleep(0.05)
        sleep(SHIP_EVERY_S / 4)
        child.send_signal(signal.SIGKILL)
        child.wait()
        mirrored = MirrorHead.read((mirror / HEAD).read_bytes()).sizes["rows-00000.jsonl"]
        rows = (here / "runs" / "r" / "rows-00000.jsonl").read_bytes()
        lines = rows[:mirrored].count(b"\n")
        assert 0 < lines < 6000
        told = herogen("restore", f"file://{mirror}", "--run", "r", cwd=there)
        assert 0 == told.returncode, told.stderr
        assert "the run was at work by then" in told.stdout
        assert rows[:mirrored] == (there / "runs" / "r" / "rows-00000.jsonl").read_bytes()
        before = len(server.asked)
        goes_on = herogen("resume", "r", "--limit", str(lines + 500), cwd=there)
        assert 0 == goes_on.returncode, goes_on.stderr
        again = {asked.prompt for asked in server.asked[:before]} & {asked.prompt for asked in server.asked[before:]}
        assert len(again) <= before - lines
        assert lines + 500 == len(list(read_rows(RunFolder(there / "runs" / "r"))))
