"""Where things lie in a run folder, and which folder a RUN means.

```
runs/<run>/
  manifest.json     what the run is; replaced atomically
  rows-00000.jsonl  the answers, append-only: the only truth
  failures.jsonl    a line a task that was given up
  events.jsonl      what changed while running
  damage.json       damaged lines that a person has agreed to pass over
  lock              held with flock by the writing process
  control           the socket of `ctl`, there while the run is being worked on
  dataset/          derived, rebuildable at any time
  finetune/         001/, 002/, ...: a fine-tune each, its steps and what came of it; not derived
```
Folders are made 0700 and files 0600: answers may be anybody's business, but that is for the owner to decide.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.specs.spec.check import NAME

RUNS = Path("runs")
_SEGMENT = re.compile(r"rows-(\d{5})\.jsonl")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run. Holds no state: two of the same path are equal."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def failures(self) -> Path:
        return self.path / "failures.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def damage(self) -> Path:
        return self.path / "damage.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    @property
    def argument(self) -> str:
        """The run as a shell takes it: its name when it lies below runs/, else its path, quoted."""
        if self.path.parent == RUNS and NAME.fullmatch(self.path.name):
            return shlex.quote(self.path.name)
        path = str(self.path)
        return shlex.quote(path if os.sep in path else f"./{path}")

    def segment(self, number: int) -> Path:
        return self.path / f"rows-{number:05d}.jsonl"

    def segments(self) -> list[Path]:
        """The journal's files that exist, in writing order."""
        return sorted(path for path in self.path.glob("rows-*.jsonl") if _SEGMENT.fullmatch(path.name))

    def create(self) -> None:
        """Make the folder; RunFolderError when that can't be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"the run folder {str(self.path)!r} can't be created: {error.strerror}",
                fix="choose another with --run, or change the folder's owner or mode",
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RunFolderError(
                f"the run folder {str(self.path)!r} can't be written to",
                fix="choose another with --run, or change the folder's owner or mode",
            )


def saving_of(path: Path, good: int) -> Path:
    """Where lines of a file of the journal are kept while it is cut to `good` bytes and they are not back in it."""
    return path.with_suffix(f".saving-{good}")


def last_segment(names: Iterable[str]) -> int:
    """The number of the journal's last file among these names of a run folder, 0 when there is none."""
    return max((int(found[1]) for name in names if (found := _SEGMENT.fullmatch(name))), default=0)


def segment_number(path: Path) -> int:
    """The number of a segment."""
    return int(path.stem.removeprefix("rows-"))


def find_run(run: str | os.PathLike[str]) -> RunFolder:
    """The folder that a RUN means: a path (it has a slash, or is a Path), else a name below `runs/`."""
    if isinstance(run, Path) or os.sep in str(run) or str(run) in (".", ".."):
        return RunFolder(Path(run))
    if not NAME.fullmatch(str(run)):
        raise InputError(
            f"invalid run name {str(run)!r}",
            fix="use letters, digits, '.', '_' and '-' (at most 80, no leading dot), or a path with a slash",
        )
    return RunFolder(RUNS / str(run))


def all_runs() -> list[RunFolder]:
    """The runs below `runs/`, by name."""
    return [RunFolder(path.parent) for path in sorted(RUNS.glob("*/manifest.json"))]


def existing_run(run: str | os.PathLike[str]) -> RunFolder:
    """Like `find_run`, and RunFolderError when there is no run in it."""
    folder = find_run(run)
    if not folder.manifest.exists():
        known = sorted(path.parent.name for path in folder.path.parent.glob("*/manifest.json"))
        raise RunFolderError(
            f"no run in {str(folder.path)!r}",
            fix=f"runs here: {', '.join(known[:20])}" if known else "start one with: herogen-async run",
        )
    return folder
