"""The rows of a run in grid order, in whatever order they were written.

- each call's answer comes once, the first one written (P6); of several generations, the newest;
- a row whose key does not match its plan at its index belongs to another run: counted and left out;
- a row written before the grid changed is in its new place; one of another generation is left out;
- memory: eight bytes per row, for its place on disk; the rows themselves stay on disk.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.markup import html_table, html_text
from herogen_async.core.units import counted
from herogen_async.data.dataset.export.columns import typed_cells, typed_columns
from herogen_async.data.dataset.export.frame import frame_of
from herogen_async.generation.journal import Known, Line
from herogen_async.generation.journal.record import CRC, ROW
from herogen_async.generation.run_folder import RunFolder, existing_run, own_file, read_manifest, segment_number
from herogen_async.specs.spec import Template

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = 5  # rows in a notebook's table
_TEXT = 200  # characters of an answer there
_PAGE = 1024  # calls: 8 KiB, so even rows scattered over a huge grid take no more memory than disk
_SEGMENT = 1 << 40  # bytes: a segment is a thousand times smaller


def _start(text: str) -> str:
    line = " ".join(text[: 2 * _TEXT].split())
    return line if len(line) <= _TEXT and len(text) <= 2 * _TEXT else line[: _TEXT - 1] + "…"


def rows(run: str | os.PathLike[str]) -> RunRows:
    """The answers of the run in `run`, in the grid's order: to iterate over, each row a dict; `len` counts them.

    They stay on disk and are read as you go, in 8 bytes of memory per row; each call's first answer counts, as in
    `export`. `to_pandas()` makes a DataFrame of them; a notebook shows the first ones.

    Raises RunFolderError when there is no run, DamageError when its journal is damaged.
    """
    return RunRows(run)


class RunRows:
    """The rows of `run` at this moment, in grid order; rows written later are not included. `optional` names the fields
    that only some of them have (`reasoning`, `extra`), if any has.

    Reads the whole journal once, checksums included; each iteration reads it again. Raises RunFolderError if there is
    no run, DamageError if its journal is damaged.
    """

    def __init__(self, run: str | os.PathLike[str]) -> None:
        self.folder: RunFolder = existing_run(run)
        self.manifest = read_manifest(self.folder)
        self.spec = self.manifest.resolved_spec()
        self.lineage = self.manifest.lineage()
        self.plan = self.lineage.plan
        self._sub_prompt = Template(self.spec.sub_prompt)
        self.doubles = 0
        self.foreign = 0
        self.optional: tuple[str, ...] = ()
        self._count = 0
        self._segments: list[Path] = []
        self._pages: dict[int, array[int]] = {}
        self._find()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: object) -> bool:
        """Whether the call at `index` has an answer."""
        if not isinstance(index, int):
            return False
        page = self._pages.get(index // _PAGE)
        return page is not None and page[index % _PAGE] != 0

    def __iter__(self) -> Generator[dict[str, Any]]:
        """Each row as written, without its checksum; `sub_prompt` is from the manifest's current spec.

        A sub-prompt is never sent, so it may change in the manifest without paying for answers again.
        """
        with ExitStack() as stack:
            files: list[BinaryIO] = [stack.enter_context(own_file(path)) for path in self._segments]
            for index, segment, offset in self._places():
                yield self._read(files[segment], index, offset)

    def row(self, index: int) -> dict[str, Any]:
        """The answer to the call at `index`, as iterating gives it. Raises InputError where there is none."""
        if index not in self:
            raise InputError(f"row {index} has no answer", fix=f"rows are numbered from 0 to {self.plan.size - 1}")
        segment, offset = divmod(self._pages[index // _PAGE][index % _PAGE] - 1, _SEGMENT)
        with own_file(self._segments[segment]) as file:
            return self._read(file, index, offset)

    def to_pandas(self) -> DataFrame:
        """All rows as a DataFrame, in memory: the columns of `export`, typed as in Parquet; a row per answer.

        Raises InputError without pandas.
        """
        columns = typed_columns(self.spec.attributes, self.optional)
        return frame_of(columns, (typed_cells(row, self.optional) for row in self))

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'row')} of {str(self.folder.path)!r}: {', '.join(self.spec.attributes)}>"

    def _repr_html_(self) -> str:
        """The first rows as a table, for notebooks; texts shortened and escaped."""
        with closing(iter(self)) as every:
            first = list(islice(every, _SHOWN))
        names = ("index", *self.spec.attributes, "response_txt", "finish_reason")
        table = [
            (row["index"], *row["cell"].values(), _start(row["response_txt"]), row["finish_reason"] or "")
            for row in first
        ]
        which = f"the first {len(first)}" if len(self) > len(first) else "all"
        head = f"{counted(len(self), 'row')} of {self.folder.path}, {which}:" if first else repr(self)
        return f"<div>{html_text(head)}</div>" + (html_table(names, table, numbers=(0,)) if first else "")

    def _read(self, file: BinaryIO, index: int, offset: int) -> dict[str, Any]:
        file.seek(offset)
        row: dict[str, Any] = codec.loads(file.readline())
        del row[CRC]
        row["index"] = index
        row["cell"] = self.plan.cells.cell(index // self.plan.repeats)
        row["sub_prompt"] = self._sub_prompt.render(row["cell"])
        return row

    def _find(self) -> None:
        known = Known(self.folder)
        paths = {segment_number(path): path for path in known.segments()}
        for reading in self.lineage.readings(list(paths)):
            self._segments.append(paths[reading.segment])
            self._find_in(known.sound(paths[reading.segment]), reading.era)

    def _find_in(self, lines: Iterator[Line], era: int) -> None:
        lineage = self.lineage
        for line in lines:
            if not lineage.eras[era].plan.owns(line.record):
                self.foreign += 1
                continue
            index = lineage.place(era, line.record["index"])
            if index is not None and lineage.standing(era, line.record["index"]).counts:
                self._put(index, (len(self._segments) - 1) * _SEGMENT + line.offset)
                if len(line.record) > len(ROW.required) + 1:  # which is rare
                    found = {*self.optional, *line.record}
                    self.optional = tuple(field.name for field in ROW.optional if field.name in found)

    def _put(self, index: int, place: int) -> None:
        page = self._pages.get(index // _PAGE)
        if page is None:
            page = self._pages[index // _PAGE] = array("Q", bytes(8 * _PAGE))
        if page[index % _PAGE]:
            self.doubles += 1
            return
        page[index % _PAGE] = place + 1  # 0 means no answer
        self._count += 1

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """(index, segment number, byte offset) of each row, by index."""
        for number in sorted(self._pages):
            for slot, place in enumerate(self._pages[number]):
                if place:
                    yield number * _PAGE + slot, *divmod(place - 1, _SEGMENT)
