"""What was found in a run's folder, in sentences and in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from herogen_async.core.units import counted

MOST_LISTED = 50  # of a kind: a file that is all wrong does not fill the memory, nor the screen


@dataclass(frozen=True, slots=True)
class JournalFinding:
    """One sentence. `line` counts from 1, `byte` from 0; None where there is no such place."""

    kind: str
    is_damage: bool
    message: str
    file: str | None = None
    line: int | None = None
    byte: int | None = None


class JournalFindings:
    """Collects them: all are counted, and the first MOST_LISTED of a kind are listed."""

    def __init__(self) -> None:
        self.listed: list[JournalFinding] = []
        self.counts: Counter[str] = Counter()
        self.damage = 0

    def damaged(self, kind: str, message: str, file: Path, line: int | None = None, byte: int | None = None) -> None:
        """Something that is not as it was written."""
        self.damage += 1
        self._note(JournalFinding(kind, True, _place(file, line, byte) + message, str(file), line, byte))

    def told(
        self, kind: str, message: str, file: Path | None = None, line: int | None = None, byte: int | None = None
    ) -> None:
        """Something that a person may want to know, and that is no damage."""
        place = "" if file is None else _place(file, line, byte)
        self._note(JournalFinding(kind, False, place + message, None if file is None else str(file), line, byte))

    def all(self) -> tuple[JournalFinding, ...]:
        """What is listed, damage first, and what is not."""
        more = [
            JournalFinding(kind, False, f"{count - MOST_LISTED:,} more {kind!r} findings are not listed")
            for kind, count in self.counts.items()
            if count > MOST_LISTED
        ]
        return tuple(sorted(self.listed, key=lambda finding: not finding.is_damage)) + tuple(more)

    def _note(self, finding: JournalFinding) -> None:
        self.counts[finding.kind] += 1
        if self.counts[finding.kind] <= MOST_LISTED:
            self.listed.append(finding)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `damage` counts also what `findings` does not list.

    `rows` are the sound ones, `answered` the tasks that have an answer, `given_up` (as in `--json`) those that
    failed instead.
    """

    run: str
    next: str
    damage: int
    rows: int
    files: int
    bytes: int
    seconds: float
    answered: int = 0
    given_up: int = 0
    findings: tuple[JournalFinding, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 sound, 4 damaged."""
        return 4 if self.damage else 0

    @property
    def rows_per_s(self) -> float:
        """How fast it was read."""
        return self.rows / max(self.seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `verify --json`."""
        return {**asdict(self), "sound": not self.damage, "rows_per_s": round(self.rows_per_s, 1)}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [("DAMAGE: " if each.is_damage else "") + each.message + "." for each in self.findings]
        state = f"{self.damage:,} places are damaged" if self.damage > 1 else "one place is damaged"
        return [
            *lines,
            f"{self.run}: {state if self.damage else 'sound'}. {counted(self.rows, 'row')} in "
            f"{counted(self.files, 'file')} ({self.bytes / 1e6:,.1f} MB), {counted(self.answered, 'task')} answered, "
            f"{self.given_up:,} failed; read at {self.rows_per_s:,.0f} rows/s.",
        ]


def _place(file: Path, line: int | None, byte: int | None) -> str:
    if line is None:
        return f"{file}: "
    return f"{file}: line {line}: " if byte is None else f"{file}: line {line} (byte {byte}): "
