"""What lies in a mirror, and how byte ranges become files again. Pure.

```
URI/mirror.json                                 the head: replaced whole, and put last
URI/parts/FILE/OFFSET-LENGTH-SESSION-CRC        a range of an appended file, whole lines; never changed
URI/whole/FILE/CRC-SIZE                         a file that is replaced whole
```
Object storage has no append, so each range is an object. A session says in the head from which byte of each file on it
has shipped: what an earlier one has shipped behind that, a process that was taken for dead, say, does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core import codec

MIRROR_FORMAT = 1
HEAD = "mirror.json"
PARTS, WHOLE = "parts/", "whole/"
_PART = re.compile(r"parts/(?P<file>.+)/(\d{20})-(\d{12})-([0-9a-f]{8})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes of `file` from `offset` on, as `session` has shipped them."""

    file: str
    offset: int
    length: int
    session: str
    crc: int

    @property
    def stop(self) -> int:
        return self.offset + self.length

    @property
    def key(self) -> str:
        """Its object's."""
        return f"{PARTS}{self.file}/{self.offset:020d}-{self.length:012d}-{self.session}-{self.crc:08x}"

    @classmethod
    def at(cls, key: str) -> Part | None:
        """The part that an object is; None where it is none."""
        found = _PART.fullmatch(key)
        if found is None:
            return None
        return cls(found["file"], int(found[2]), int(found[3]), found[4], int(found[5], 16))


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that is replaced whole, as it was shipped."""

    size: int
    crc: int

    def key(self, file: str) -> str:
        """Its object's."""
        return f"{WHOLE}{file}/{self.crc:08x}-{self.size}"


@dataclass(frozen=True, slots=True)
class MirrorHead:
    """What a mirror is of, and how far it goes.

    `run` is when the run was made, which stays. `sessions` are (session, from which byte of each file on), in their
    order. `sizes` are what was shipped of each appended file. `lock` is the lock's page, in hexadecimal: how far the
    journal was durable, and what calls without an answer may have cost. `is_complete`: the session had ended, and all
    was shipped.
    """

    run: str
    name: str
    at: str
    sessions: tuple[tuple[str, Mapping[str, int]], ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    whole: Mapping[str, WholeFile] = field(default_factory=dict)
    lock: str = ""
    is_complete: bool = False

    def in_bytes(self) -> bytes:
        """As the object."""
        return codec.dumps_pretty(
            {
                "format": MIRROR_FORMAT,
                "run": self.run,
                "name": self.name,
                "at": self.at,
                "sessions": [[session, dict(began)] for session, began in self.sessions],
                "sizes": dict(self.sizes),
                "whole": {file: [each.size, each.crc] for file, each in self.whole.items()},
                "lock": self.lock,
                "is_complete": self.is_complete,
            }
        )

    @classmethod
    def read(cls, data: bytes) -> MirrorHead:
        """Raises ValueError for what is no head, or one of a later format."""
        try:
            told: dict[str, Any] = codec.loads(data)
            if told["format"] != MIRROR_FORMAT:
                raise ValueError(f"format {told['format']!r}")
            return cls(
                str(told["run"]),
                str(told["name"]),
                str(told["at"]),
                tuple(
                    (str(session), {str(file): int(at) for file, at in began.items()})
                    for session, began in told["sessions"]
                ),
                {str(file): int(size) for file, size in told["sizes"].items()},
                {str(file): WholeFile(int(size), int(crc)) for file, (size, crc) in told["whole"].items()},
                str(told["lock"]),
                bool(told["is_complete"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("incomplete") from error


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes of a file from `start` to `stop`, and the part that holds them."""

    part: Part
    start: int
    stop: int


def pieces_of(file: str, parts: Iterable[Part], sessions: Sequence[tuple[str, Mapping[str, int]]]) -> list[Piece]:
    """What a mirror has of `file`, ascending; between two pieces there may be a gap."""
    ends: dict[str, int] = {}
    end: int | None = None
    for session, began in reversed(sessions):
        ends[session] = -1 if end is None else end
        start = began.get(file, 0)
        end = start if end is None else min(end, start)
    usable = []
    for part in parts:
        limit = ends.get(part.session)
        if part.file == file and limit is not None:
            stop = part.stop if limit < 0 else min(part.stop, limit)
            if stop > part.offset:
                usable.append((part.offset, -stop, part))
    found: list[Piece] = []
    at = 0
    for offset, minus_stop, part in sorted(usable, key=lambda each: each[:2]):
        if -minus_stop > at:
            found.append(Piece(part, max(offset, at), -minus_stop))
            at = -minus_stop
    return found


def gaps_between(pieces: Sequence[Piece], size: int) -> list[tuple[int, int]]:
    """The byte ranges up to `size` that no piece holds."""
    found, at = [], 0
    for piece in pieces:
        if piece.start > at:
            found.append((at, piece.start))
        at = max(at, piece.stop)
    if size > at:
        found.append((at, size))
    return found
