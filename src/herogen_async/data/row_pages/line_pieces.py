"""The lines that count, a MiB at a time in the order in which they came, and what their bytes tell without parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from herogen_async.core import codec
from herogen_async.core.errors import DamageError
from herogen_async.data.row_pages.row_arrays import LineOrder, Numbers
from herogen_async.data.row_pages.row_filter import LineTest
from herogen_async.generation.journal.record import ENDING
from herogen_async.generation.run_folder import RunFolder, own_file

_PIECE = 1 << 20  # bytes that are read at once
_ANSWER = b',"response_txt":"'
_NEXT_FIELD = b'","'  # the end of a text and the begin of the next field's name
_TOKENS = b'"completion_tokens":'
_LATENCY = b',"latency_ms":'
_COMMA = ord(",")
_NUMBER = re.compile(rb"\d{1,18}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class LinePiece:
    """Lines `first` up to `stop` of the order: each `block[start:end]`, without its newline."""

    first: int
    stop: int
    block: bytes
    starts: list[int]
    ends: list[int]

    def wanted_by(self, test: LineTest) -> list[int]:
        """Which of these lines pass, counted from the first one."""
        low = self.block if test.text is None else self.block.lower()
        text, ending = test.text, test.ending
        if (text is not None and text not in low) or (ending is not None and ending not in self.block):
            return []
        found: Iterable[int] = range(len(self.starts))
        if text is not None:
            found = self._with_text(low, text)
        if ending is not None:
            begins, rfind = self.block.startswith, self.block.rfind
            found = (at for at in found if begins(ending, rfind(ENDING, self.starts[at], self.ends[at])))
        return list(found)

    def _with_text(self, low: bytes, text: bytes) -> Iterator[int]:
        # A quotation mark inside of a text is escaped: so the names of the fields are the fields' own.
        find, rfind, lead = low.find, low.rfind, len(_ANSWER)
        for at, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            answer = find(_ANSWER, start, end)
            hit = -1 if answer < 0 else find(text, answer + lead, end)
            if hit >= 0 and rfind(ENDING, hit, end) >= 0:
                yield at

    def figures(self) -> tuple[Numbers, Numbers, Numbers]:
        """(completion tokens, milliseconds, characters) of each answer; a number that a line lacks is 0."""
        told = [self._of_line(start, end) for start, end in zip(self.starts, self.ends, strict=True)]
        tokens, latency, length = zip(*told, strict=True)
        return np.array(tokens, np.float32), np.array(latency, np.float32), np.array(length, np.float32)

    def _of_line(self, start: int, end: int) -> tuple[float, float, int]:
        block, find = self.block, self.block.find
        answer = find(_ANSWER, start, end) + len(_ANSWER)
        stop = find(_NEXT_FIELD, answer, end)
        if block[stop + len(_NEXT_FIELD)] == _COMMA:  # the text ends in `",`: that quotation mark is one of its own
            stop += 2
        ending = block.rfind(ENDING, stop, end)
        tokens, latency = find(_TOKENS, ending, end), block.rfind(_LATENCY, ending, end)
        return (
            0 if tokens < 0 else _number(block, tokens + len(_TOKENS)),
            0 if latency < 0 else _number(block, latency + len(_LATENCY)),
            _characters(block[answer:stop]),
        )


def piece_from(folder: RunFolder, order: LineOrder, start: int) -> LinePiece:
    """The lines from number `start` on, about a MiB of them; there is at least one. Raises DamageError."""
    stop, segment, offsets = order.piece(start, _PIECE)
    with own_file(folder.segment(segment)) as file:
        file.seek(int(offsets[0]))
        block = file.read(int(offsets[-1] - offsets[0])) + file.readline()
    starts = offsets - offsets[0]
    newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    at: Numbers = np.searchsorted(newlines, starts)  # between them may be lines that don't count
    if at[-1] == len(newlines):
        raise DamageError(f"segment {segment} is shorter than it was", fix="reload the page: it is read anew")
    return LinePiece(start, stop, block, starts.tolist(), newlines[at].tolist())


def _number(block: bytes, at: int) -> float:
    found = _NUMBER.match(block, at)
    return 0.0 if found is None else float(found[0])  # null, or what no server should have sent


def _characters(text: bytes) -> int:
    """How many characters a text has that stands in JSON."""
    if b"\\" in text:
        return len(codec.loads(b'"%b"' % text))
    return len(text) if text.isascii() else len(text.decode("utf-8", "replace"))
