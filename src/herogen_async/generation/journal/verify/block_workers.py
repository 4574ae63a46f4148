"""The processes among which `verify` divides a large run, and what they say of its blocks, in order.

Nothing depends on them: a block that none has looked at, because a process could not be started or has ended, is looked
at by `verify` itself. Memory: each is some blocks ahead at most, as a pipe holds no more.
"""

from __future__ import annotations

import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from herogen_async.core import codec
from herogen_async.core.cores import usable_cores
from herogen_async.generation.journal.own_process import instructions, own_process, tell
from herogen_async.generation.journal.verify.usual_lines import BLOCK_BYTES, Block
from herogen_async.specs.plan import Lineage, SegmentReading

A_PROCESS_FROM = 128 << 20  # bytes for each: a second of work, for half a second of start
_WORKER = "herogen_async.generation.journal.verify.block_worker"


class BlockWorkers:
    """A context manager: as many processes as there are cores and work for, none for a small run.

    `files` are the segments and how far each is read, in the order of `blocks_of`.
    """

    def __init__(self, folder: Path, lineage: Lineage, files: list[tuple[Path, SegmentReading, int]]) -> None:
        self._folder = folder
        self._lineage = lineage
        self._blocks = [
            (path.name, reading.era, start, min(start + BLOCK_BYTES, end))
            for path, reading, end in files
            for start in range(0, end, BLOCK_BYTES)
        ]
        self._next = 0
        count = min(usable_cores(), sum(end for _, _, end in files) // A_PROCESS_FROM)
        self._count = count if count > 1 else 0
        self._children: list[subprocess.Popen[bytes] | None] = []
        self._asked = list(range(self._count))  # the number of the block that each says something of next

    def __enter__(self) -> Self:
        self._children = [self._started() for _ in range(self._count)]
        # Only when all are there: each takes a moment until it reads.
        for first, child in enumerate(self._children):
            if child is not None:
                tell(child, instructions(self._folder, self._lineage, blocks=self._blocks[first :: self._count]))
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            if child is not None:
                child.kill()
                with child:
                    pass

    def blocks_of(self, end: int) -> Iterator[Block]:
        """The blocks of the next file, which is read up to `end`, with what was found in them."""
        if not self._count or not end:
            yield Block(0, end)
            return
        first = self._next
        self._next = last = first + len(range(0, end, BLOCK_BYTES))
        at = 0
        for number in range(first, last):
            block = self._answer(number)
            if block is None:
                yield Block(at, end)  # all that is left: where the lines of a later block begin only its process knows
                return
            at = block.stop
            yield block

    def _started(self) -> subprocess.Popen[bytes] | None:
        try:
            return own_process(_WORKER)
        except OSError:
            return None

    def _answer(self, number: int) -> Block | None:
        """What a process said of that block, None where it has said nothing. What it said of earlier ones is passed."""
        place = number % self._count
        block = None
        while self._asked[place] <= number:
            block = self._answer_of(place)
            self._asked[place] += self._count
        return block

    def _answer_of(self, place: int) -> Block | None:
        child = self._children[place]
        if child is None or child.stdout is None:
            return None
        try:
            said = codec.loads(child.stdout.readline())
            indices = None
            if said["is_usual"]:
                indices = array("Q")
                indices.frombytes(child.stdout.read(indices.itemsize * said["lines"]))
                if len(indices) != said["lines"]:
                    raise ValueError("it ended")
            return Block(said["start"], said["stop"], said["lines"], indices, dict(said["skipped"]))
        except (OSError, ValueError, KeyError, TypeError):
            with child:
                child.kill()
            self._children[place] = None
            return None
