"""Power cuts on real file systems: a run in an image on a loop mount, the image copied while the run stands still.

    sudo python benchmarks/power_cuts.py [--cuts 25] [--filesystem ext4 ...] [--durability power ...] [--json FILE]

Why the copy is a power cut: what the file system has not handed to its device is in the memory of its mount alone, and
is not in the image; the copy is made of the image, while the mount lives on, and nothing is synced, frozen or
unmounted before. What it has handed over is in the image. The run is stopped (SIGSTOP) while it is copied, and the copy
is taken again if the kernel wrote anything to the device meanwhile, so that it shows one moment. One thing is kinder
than a real device: what that has accepted it keeps, also without a flush.

The copy is then mounted, as after a reboot: the file system replays its own journal. The run is resumed there, and the
exact grid compared. Before: which of the rows that were acknowledged are still there? With `power` all of them; with
`periodic` all but 256, or what was acknowledged in the last 50 ms; with `process` many are lost, and that shows that
this method can see a loss. Exit code 1 if a promise is broken. Needs root, losetup, and mkfs of each file system.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import crash_runs
import measure
from crash_runs import Child, Ended, Page, Shape
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.write.store import SYNC_LINES

CUTS_A_RUN = 4
# MB of an image, and what makes it; xfs and btrfs take no smaller ones. Mount options of the copy: its twin is mounted.
FILESYSTEMS = {
    "ext4": (32, ["mkfs.ext4", "-q", "-F"], []),
    "xfs": (320, ["mkfs.xfs", "-q", "-f"], ["-o", "nouuid"]),
    "btrfs": (128, ["mkfs.btrfs", "-q", "-f"], []),
}
DURABILITIES = ("power", "periodic", "process")


@dataclass(frozen=True, slots=True)
class Cut:
    """One power cut. `lost` of the `acknowledged` rows are not in the copy; the oldest was acknowledged `lost_s` ago.

    `again`: requests that were made before the cut, and whose answer did not survive it.
    """

    filesystem: str
    durability: str
    acknowledged: int
    survived: int
    lost: int
    lost_s: float
    again: int
    violations: list[str]


class Image:
    """A file system in a file, mounted. `flush` is called nowhere."""

    def __init__(self, file: Path, options: list[str]) -> None:
        self.file = file
        self.folder = file.with_suffix(".mounted")
        self.folder.mkdir()
        self.device = _command("losetup", "--find", "--show", str(file)).strip()
        try:
            _command("mount", *options, self.device, str(self.folder))
        except BaseException:
            _command("losetup", "--detach", self.device)
            raise

    def close(self) -> None:
        _command("umount", str(self.folder))
        _command("losetup", "--detach", self.device)
        self.folder.rmdir()

    def written(self) -> tuple[str, str]:
        """How many writes the device has done, and how many requests are on their way."""
        fields = (Path("/sys/block") / Path(self.device).name / "stat").read_text().split()
        return fields[4], fields[8]


@contextlib.contextmanager
def mounted(file: Path, options: list[str]) -> Iterator[Image]:
    image = Image(file, options)
    try:
        yield image
    finally:
        image.close()


def cuts_in_one_run(filesystem: str, place: Path, shape: Shape, cuts: int, moments: Iterator[float]) -> list[Cut]:
    """A fresh file system, a run in it, stopped and copied `cuts` times, or until it ends.

    `moments` are the seconds from one cut to the next.
    """
    file = place / "image"
    size_mb, make, options = FILESYSTEMS[filesystem]
    with file.open("wb") as made:
        made.truncate(size_mb << 20)
    _command(*make, str(file))
    found: list[Cut] = []
    page = Page()
    with mounted(file, []) as image:
        child = Child(image.folder / "run", shape, page)
        child.go()
        try:
            while len(found) < cuts:
                time.sleep(next(moments))
                child.signal(signal.SIGSTOP)
                if not _stands_still(child.pid):
                    break
                copy = place / f"cut-{len(found)}"
                stopped_ns = time.monotonic_ns()
                acknowledged, asked = page.acknowledged, page.asked
                expected = _keys(image.folder / "run")[:acknowledged]
                _copy_one_moment(image, copy)
                with mounted(copy, options) as after:
                    found.append(_judge(after.folder / "run", filesystem, shape, page, (expected, asked, stopped_ns)))
                copy.unlink()
                child.signal(signal.SIGCONT)
        finally:
            child.signal(signal.SIGKILL)
            child.end()
    file.unlink()
    return found


def at_random(points: random.Random, shape: Shape) -> Iterator[float]:
    """Moments that meet all of a run, its start too: on average it is over when CUTS_A_RUN have come."""
    with tempfile.TemporaryDirectory(prefix="herogen-power-") as place:
        started = time.monotonic()
        crash_runs.run_to_end(Path(place) / "run", shape, Page())
        whole_s = time.monotonic() - started
    while True:
        yield points.uniform(0, 2 * whole_s / CUTS_A_RUN)


def _judge(folder: Path, filesystem: str, shape: Shape, page: Page, before: tuple[list[str], int, int]) -> Cut:
    """What of the rows that were acknowledged is there after the cut; then the resume."""
    expected, asked, stopped_ns = before
    ended, survived = _resumed(folder, shape)
    violations = list(crash_runs.faults_of_finished(folder, shape, ended))
    lost = [place for place, key in enumerate(expected) if key not in survived]
    lost_s = page.age_s(lost[0], stopped_ns) if lost else 0.0
    if lost and shape.durability == "power":
        violations.append(f"{len(lost)} of {len(expected)} acknowledged rows are lost")
    if len(lost) > SYNC_LINES and shape.durability == "periodic":
        violations.append(f"{len(lost)} of {len(expected)} acknowledged rows are lost, the oldest {lost_s:.3f} s old")
    again = asked - len(survived)
    return Cut(filesystem, shape.durability, len(expected), len(survived), len(lost), lost_s, again, violations)


def _resumed(folder: Path, shape: Shape) -> tuple[Ended, set[str]]:
    """The run that goes on after the cut, and the keys that it found: those whose row it did not ask for."""
    page = Page()
    ended = crash_runs.run_to_end(folder, shape, page)
    keys = _keys(folder)
    return ended, set(keys[: max(len(keys) - page.asked, 0)])


def _keys(folder: Path) -> list[str]:
    try:
        return crash_runs.sound_keys(folder)
    except HerogenError:
        return []


def _stands_still(pid: int, limit_s: float = 10.0) -> bool:
    """Wait until every thread has stopped: one that syncs does so only when it is through. False when it has ended."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        states = set()
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                states.add((task / "stat").read_text().rpartition(") ")[2][0])
        if states <= {"T"}:
            return True
        if "Z" in states:
            return False
        time.sleep(0.0005)
    raise SystemExit(f"process {pid} did not stop")


def _copy_one_moment(image: Image, copy: Path) -> None:
    for _ in range(20):
        before = image.written()
        _command("cp", "--sparse=always", "--reflink=auto", str(image.file), str(copy))
        if before == image.written() and before[1] == "0":
            return
    raise SystemExit(f"the kernel never stops writing to {image.device}")


def _command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


def table(cuts: list[Cut]) -> str:
    lines = [
        "| file system | durability | power cuts | acknowledged, mean | lost of those: mean | most | oldest, ms | "
        "asked again, mean | violations |",
        "|---" * 9 + "|",
    ]
    for filesystem, durability in dict.fromkeys((cut.filesystem, cut.durability) for cut in cuts):
        these = [cut for cut in cuts if (cut.filesystem, cut.durability) == (filesystem, durability)]
        acknowledged = statistics.mean(cut.acknowledged for cut in these)
        lost, most = statistics.mean(cut.lost for cut in these), max(cut.lost for cut in these)
        oldest_ms, again = 1000 * max(cut.lost_s for cut in these), statistics.mean(cut.again for cut in these)
        broken = sum(len(cut.violations) for cut in these)
        lines.append(
            f"| {filesystem} | {durability} | {len(these)} | {acknowledged:.0f} | {lost:.1f} | {most} | "
            f"{oldest_ms:.0f} | {again:.1f} | {broken} |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=25, help="of each file system and durability (default 25)")
    parser.add_argument("--filesystem", action="append", choices=FILESYSTEMS, help="repeatable; default: all")
    parser.add_argument("--durability", action="append", choices=DURABILITIES, help="repeatable; default: all")
    parser.add_argument("--dir", type=Path, help="where the images are made (default: a temporary folder)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def missing(filesystem: str) -> str | None:
    """Why this file system can't be cut here."""
    program = FILESYSTEMS[filesystem][1][0]
    if shutil.which(program) is None:
        return f"{filesystem} is skipped: {program} is not installed"
    if filesystem not in Path("/proc/filesystems").read_text().split():
        return f"{filesystem} is skipped: this kernel can't mount it"
    return None


def main() -> None:
    options = parse()
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        raise SystemExit("power cuts are skipped: only root may mount, and losetup must be there")
    started, points = time.monotonic(), random.Random(options.seed)
    crash_runs.warm_up()
    cuts: list[Cut] = []
    for filesystem in options.filesystem or FILESYSTEMS:
        if reason := missing(filesystem):
            print(reason)
            continue
        for durability in options.durability or DURABILITIES:
            shape = Shape(values=40, repeats=10, concurrency=32, durability=durability)
            these: list[Cut] = []
            moments = at_random(points, shape)
            while len(these) < options.cuts:
                with tempfile.TemporaryDirectory(prefix="herogen-power-", dir=options.dir) as place:
                    many = min(CUTS_A_RUN, options.cuts - len(these))
                    these += cuts_in_one_run(filesystem, Path(place), shape, many, moments)
                print(f"{filesystem}, {durability}: {len(these)} cuts", file=sys.stderr, flush=True)
            cuts += these
    print(table(cuts))
    for cut in cuts:
        for violation in cut.violations:
            print(f"VIOLATION, {cut.filesystem}, {cut.durability}: {violation}")
    command = shlex.join(["python", "benchmarks/power_cuts.py", *sys.argv[1:]])
    print(f"seed {options.seed}; took {time.monotonic() - started:.0f} s; reproduce: {command}")
    if options.json:
        figures: dict[str, Any] = {"command": command, "machine": measure.machine()}
        options.json.write_text(json.dumps({**figures, "cuts": [asdict(cut) for cut in cuts]}, indent=2))
    if any(cut.violations for cut in cuts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
