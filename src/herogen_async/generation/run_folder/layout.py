"""Where things lie in a run folder, and which folder a RUN means.

```
runs/<run>/
  manifest.json     what the run is; replaced atomically
  rows-00000.jsonl  the answers, append-only: the only truth
  rows-00000.index  its sidecar, in large runs only: derived, rebuilt where it does not fit
  failures.jsonl    a line a task that failed
  events.jsonl      what changed while running
  damage.json       damaged lines that a person has agreed to pass over
  lock              held with flock by the writing process
  marks.jsonl       what people say of answers, append-only
  control           the socket of `ctl`, there while the run is being worked on
  sources/          the index of each source, and what can't be read again; not derived
  dataset/          derived, rebuildable at any time
  quality/          derived: what the page's check of the rows has found
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
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from pathlib import Path
from stat import S_ISDIR

from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.generation.run_folder.own_file import fault_of
from herogen_async.specs.spec.check import NAME

RUNS = Path("runs")
ASK_THE_OWNER = "ask the folder's owner, or change its mode"
_SEGMENT = re.compile(r"rows-(\d{5})\.jsonl")
_APPENDED = re.compile(r"(?:rows-\d{5}|failures|events|steps|marks)\.jsonl|lock")
_REPLACED = re.compile(r"(?:manifest|damage|config)\.json|(?:rows-\d{5}|failures)\.saving-\d+")
_FOLDERS = {"dataset", "finetune", "local", "sources"}


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
    def marks(self) -> Path:
        return self.path / "marks.jsonl"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def sources(self) -> Path:
        return self.path / "sources"

    def kept_sources(self) -> list[Path]:
        """The files in its folder of sources."""
        return sorted(self.sources.glob("[!.]*")) if self.sources.is_dir() else []

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    @property
    def quality(self) -> Path:
        return self.path / "quality"

    @property
    def argument(self) -> str:
        """The run as a shell takes it: its name when it lies below runs/, else its path, quoted."""
        if self.path.parent == RUNS and NAME.fullmatch(self.path.name):
            name = self.path.name
            return f"{RUNS}/{name}" if name.startswith("-") else shlex.quote(name)  # else it would be an option
        return self.typed_path

    @property
    def typed_path(self) -> str:
        """Its path as a shell takes it, quoted, and no command takes it for an option or a name."""
        path = str(self.path)
        return _quoted(path if os.sep in path and not path.startswith("-") else f"./{path}")

    def segment(self, number: int) -> Path:
        return self.path / f"rows-{number:05d}.jsonl"

    def segments(self) -> list[Path]:
        """The journal's files that exist, in writing order. RunFolderError when the folder can't be listed."""
        return [self.path / name for name in sorted(filter(_SEGMENT.fullmatch, self._names()))]

    @property
    def is_run(self) -> bool:
        """Whether there is a manifest. RunFolderError when the folder can't be entered, or there can be none so."""
        try:
            self.manifest.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._closed("entered", error) from error
        return True

    @property
    def may_be_run(self) -> bool:
        """Whether there is a manifest, or nobody can tell."""
        try:
            return self.is_run
        except RunFolderError:
            return True

    @property
    def has_lines(self) -> bool:
        """Whether anything was answered or has failed. RunFolderError when the folder can't be listed."""
        files = (*self.segments(), self.failures)
        return any(path.exists() and path.stat().st_size for path in files)

    def require_own_files(self, *, to_write: bool = False) -> None:
        """RunFolderError when a name of the run's is a link or anything else that no run has made (`own_file`)."""
        for name in self._names():
            path = self.path / name
            fault: str | None = None
            try:
                if name in _FOLDERS:
                    fault = None if S_ISDIR(path.lstat().st_mode) else "it is a link, or no folder"
                elif _REPLACED.fullmatch(name) or _APPENDED.fullmatch(name):
                    # What is replaced whole leaves the file of another name as it is.
                    fault = fault_of(path.lstat(), to_write=to_write and bool(_APPENDED.fullmatch(name)))
            except FileNotFoundError:  # a temporary one, of a run that is at work
                continue
            except OSError as error:
                raise self._closed("entered", error) from error
            if fault is not None:
                raise RunFolderError(
                    f"{str(path)!r} can't be used: {fault}",
                    fix="put a copy of the file itself in its place, or remove it; nothing was read or written there",
                )

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self.path.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._closed("listed", error) from error

    def _closed(self, what: str, error: OSError) -> RunFolderError:
        fix = ASK_THE_OWNER if isinstance(error, PermissionError) else "check its path"
        return RunFolderError(f"the run folder {str(self.path)!r} can't be {what}: {error.strerror}", fix=fix)

    def create(self) -> None:
        """Make the folder; RunFolderError when that can't be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable("created", error) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            is_fixed = os.statvfs(self.path).f_flag & os.ST_RDONLY
            raise self._unwritable("written to", OSError(EROFS if is_fixed else EACCES, ""))

    def _unwritable(self, what: str, error: OSError) -> RunFolderError:
        # A resumed run has no other folder: so nothing is said of an option.
        fix = "use a folder that you can write to"
        if isinstance(error, PermissionError):
            fix = "change the owner or the mode of the folder, or use another one"
        elif isinstance(error, FileExistsError):
            fix = "use another name: a file has this one"
        elif error.errno in (ENOSPC, EDQUOT):
            fix = "free some space, or use a folder on another disk"
        why = os.strerror(error.errno) if error.errno else str(error)
        return RunFolderError(f"the run folder {str(self.path)!r} can't be {what}: {why}", fix=fix)


def _quoted(path: str) -> str:
    """As a shell takes it, on one line: what can't be printed as bash and zsh escape it."""
    if path.isprintable():
        return shlex.quote(path)
    plain = {each for each in range(0x20, 0x7F) if chr(each) not in "\\'"}
    return "$'" + "".join(chr(each) if each in plain else f"\\x{each:02x}" for each in os.fsencode(path)) + "'"


def saving_of(path: Path, good: int) -> Path:
    """Where lines of a file of the journal are kept while it is cut to `good` bytes and they are not back in it."""
    return path.with_suffix(f".saving-{good}")


def sidecar_of(path: Path) -> Path:
    """Where it is said what the lines of a sealed segment come to."""
    return path.with_suffix(".index")


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
    """The runs below `runs/`, by name, and the folders that can't be looked into: `status` says why.

    RunFolderError when `runs/` itself can't be listed.
    """
    folders = (RunFolder(RUNS / name) for name in sorted(RunFolder(RUNS)._names()))
    return [folder for folder in folders if folder.may_be_run]


def existing_run(run: str | os.PathLike[str]) -> RunFolder:
    """Like `find_run`, and RunFolderError when there is no run in it, or one whose files are not its own."""
    folder = find_run(run)
    if not folder.is_run:
        known = [RunFolder(path.parent).argument for path in sorted(folder.path.parent.glob("*/manifest.json"))]
        raise RunFolderError(
            f"no run in {str(folder.path)!r}",
            fix=f"runs here: {', '.join(known[:20])}" if known else "start one with: herogen-async run",
        )
    folder.require_own_files()
    return folder
