"""The rows of a run in grid order, in whatever order they were written.

- each call's answer comes once, the first one written (P6); of several generations, the newest: what counts is what
  `replay` says of it;
- a row whose key does not match its plan at its index belongs to another run: left out;
- a row written before the grid changed is in its new place; one of another generation is left out;
- memory: eight bytes per call for its place on disk, 64 MiB at most; the rows themselves stay on disk.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from heapq import merge
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from herogen_async.core.errors import InputError
from herogen_async.core.markup import html_table, html_text
from herogen_async.core.units import counted
from herogen_async.data.dataset.export.columns import Columns, typed_cells, typed_columns
from herogen_async.data.dataset.export.frame import frame_of
from herogen_async.data.dataset.export.several import SeveralTable
from herogen_async.data.dataset.whole_row import answers_of, whole_row
from herogen_async.generation.journal import Fold, Known, LinePlaces
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.record import CRC, ROW
from herogen_async.generation.run_folder import RunFolder, existing_run, read_manifest, segment_number
from herogen_async.specs.sources.cells import shown_cell
from herogen_async.specs.spec import Template

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = 5  # rows in a notebook's table
_TEXT = 200  # characters of an answer there
_OF_SEVERAL = ("column", "sample", "from", "skipped")  # fields by which a line of a row of several calls is found


class RowTable(NamedTuple):
    """How rows become a table: its columns, and the function from a row to its cells."""

    columns: Columns
    cells: Callable[[Mapping[str, Any]], tuple[object, ...]]


def _start(text: str) -> str:
    line = " ".join(text[: 2 * _TEXT].split())
    return line if len(line) <= _TEXT and len(text) <= 2 * _TEXT else line[: _TEXT - 1] + "…"


def rows(run: str | os.PathLike[str], *, partial: bool = False) -> RunRows:
    """The answers of the run in `run`, in the grid's order: to iterate over, each row a dict; `len` counts them.

    They stay on disk and are read as you go, in 8 bytes of memory per call, at most 64 MiB; each call's first answer
    counts, as in `export`. `to_pandas()` makes a DataFrame of them; a notebook shows the first ones.

    Where the spec has several columns, a row has them under `columns`, by name: each the fields of its answer, None
    where there is none (`missing` says why), and a list where it has several samples. Only rows with all their columns
    answered or skipped are included; with `partial`, also those that are incomplete or have failed.

    Raises RunFolderError when there is no run, DamageError when its journal is damaged.
    """
    return RunRows(run, partial=partial)


class RunRows:
    """The rows of `run` at this moment, in grid order; rows written later are not included. `optional` names the fields
    that only some of them have (`reasoning`, `extra`), if any has; where a row has several columns, as
    `COLUMN.reasoning`.

    Reads the whole journal once, checksums included; each iteration reads it again. Raises RunFolderError if there is
    no run, DamageError if its journal is damaged.
    """

    def __init__(self, run: str | os.PathLike[str], *, partial: bool = False) -> None:
        self.folder: RunFolder = existing_run(run)
        self.manifest = read_manifest(self.folder)
        self.spec = self.manifest.resolved_spec()
        self.lineage = self.manifest.lineage()
        self.plan = self.lineage.plan
        self.has_columns = self.plan.shows_columns
        self.is_partial = partial and self.has_columns
        self.optional: tuple[str, ...] = ()
        self.sub_prompt = Template(self.spec.sub_prompt)
        self._places = LinePlaces()
        fold = Fold(self.lineage, self._places)
        self.found = fold.found
        self._find(fold)
        self._count = sum(1 for _ in self.numbers()) if self.is_partial else self.found.rows_done

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: object) -> bool:
        """Whether the row at `index` is one of these."""
        if not isinstance(index, int) or not self.has_columns:
            return index in self._places
        calls = self._calls(index)
        if self.is_partial:
            return any(call in self._places or call in self.found.failed for call in calls)
        return all(call in self._places for call in calls)

    def __iter__(self) -> Generator[dict[str, Any]]:
        """Each row as written, without its checksum; `sub_prompt` is from the manifest's current spec.

        A sub-prompt is never sent, so it may change in the manifest without paying for answers again.
        """
        with LineReader(self.folder, self._places) as reader:
            for number in self.numbers():
                yield self._read(reader, number)

    def row(self, index: int) -> dict[str, Any]:
        """The row at `index`, as iterating gives it. Raises InputError where it isn't one of these."""
        if index not in self:
            raise InputError(f"row {index} has no answer", fix=f"rows are numbered from 0 to {self.plan.rows - 1}")
        with LineReader(self.folder, self._places) as reader:
            return self._read(reader, index)

    def written(self, index: int) -> list[tuple[int, dict[str, Any]]]:
        """(segment, record) of the journal's lines of the row at `index` that count."""
        with LineReader(self.folder, self._places) as reader:
            places = ((call, place) for call in self._calls(index) if (place := self._places.get(call)))
            return [(segment, reader.row(call)) for call, (segment, _) in places]

    def last_line(self, index: int) -> tuple[int, int]:
        """(segment, byte) of the line of the row at `index` that was written last; (-1, -1) if it has none."""
        return max((place for call in self._calls(index) if (place := self._places.get(call))), default=(-1, -1))

    def table(self, *, details: bool = False) -> RowTable:
        """The rows as a typed table. `details`: of several columns also what was sent, and how the answer ended."""
        attributes, optional = self.spec.cell_fields, self.optional
        if not self.has_columns:
            return RowTable(
                typed_columns(attributes, optional),
                functools.partial(typed_cells, attributes=attributes, optional=optional),
            )
        table = SeveralTable(self.plan, optional, details=details, is_partial=self.is_partial)
        return RowTable(table.columns(attributes), table.cells)

    def to_pandas(self) -> DataFrame:
        """All rows as a DataFrame, in memory: the columns of `export`, typed as in Parquet; a row per answer, or per
        row of several columns.

        Raises InputError without pandas.
        """
        table = self.table()
        return frame_of(table.columns, map(table.cells, self))

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'row')} of {str(self.folder.path)!r}: {', '.join(self.spec.cell_fields)}>"

    def _repr_html_(self) -> str:
        """The first rows as a table, for notebooks; texts shortened and escaped."""
        with closing(iter(self)) as every:
            first = list(islice(every, _SHOWN))
        ending = ("response_txt", "finish_reason")
        texts = [call.name for call in self.plan.shape.calls] if self.has_columns else ending
        names = ("index", *self.spec.cell_fields, *texts)
        values = self.spec.cell_fields
        table = [(row["index"], *(row["cell"].get(name, "") for name in values), *self._texts(row)) for row in first]
        which = f"the first {len(first)}" if len(self) > len(first) else "all"
        head = f"{counted(len(self), 'row')} of {self.folder.path}, {which}:" if first else repr(self)
        return f"<div>{html_text(head)}</div>" + (html_table(names, table, numbers=(0,)) if first else "")

    def _texts(self, row: dict[str, Any]) -> list[str]:
        """What a notebook's table shows of what a row says."""
        if not self.has_columns:
            return [_start(row["response_txt"]), row["finish_reason"] or ""]
        return [
            f"({row['missing'][name]})" if answer is None else _start(answer["response_txt"])
            for name, answer in answers_of(self.plan, row).items()
        ]

    def numbers(self) -> Iterator[int]:
        """The indices of these rows, ascending."""
        calls = self.plan.calls_a_row
        answered = (index // calls for index, _, _ in self._places)
        if self.is_partial:
            failed = (index // calls for index in self.found.failed)
            return (number for number, _ in groupby(merge(answered, failed)))
        if calls == 1:
            return answered
        return (number for number, lines in groupby(answered) if sum(1 for _ in lines) == calls)

    def _calls(self, number: int) -> range:
        return range(number * self.plan.calls_a_row, (number + 1) * self.plan.calls_a_row)

    def _lines(self, reader: LineReader, number: int) -> dict[int, dict[str, Any]]:
        return {index: reader.row(index) for index in self._calls(number) if index in self._places}

    def _read(self, reader: LineReader, number: int) -> dict[str, Any]:
        if self.has_columns:
            return whole_row(self.plan, number, self._lines(reader, number), self.found.failed, self.sub_prompt)
        row = reader.row(number)
        del row[CRC]
        for name in _OF_SEVERAL:
            row.pop(name, None)  # written when the spec had more columns
        row["index"] = number
        row["cell"] = shown_cell(self.plan.cells, number // self.plan.repeats, row["cell"])
        row["sub_prompt"] = self.sub_prompt.render(row["cell"])
        return row

    def _find(self, fold: Fold) -> None:
        known = Known(self.folder)
        paths = {segment_number(path): path for path in known.segments()}
        more: set[tuple[int, str]] = set()
        for reading in self.lineage.readings(list(paths)):
            for line in known.sound(paths[reading.segment]):
                if not fold.is_for(line.record, reading):
                    continue
                if fold.take(line.record, reading, line.offset) != "counts":
                    continue
                index = self.lineage.place(reading.era, line.record["index"])
                if index is None or len(line.record) == len(ROW.required) + 1:  # mostly, where a row is one call
                    continue
                call = index % self.plan.calls_a_row
                more.update((call, name) for name in ("reasoning", "extra") if name in line.record)
        fold.settle(paths.values())
        for reading, row in fold.late:
            index = self.lineage.place(reading.era, row["index"]) or 0
            more.update((index % self.plan.calls_a_row, name) for name in ("reasoning", "extra") if name in row)
        if self.has_columns:
            for line in known.sound(self.folder.failures):
                fold.failure(line.record)
            self.optional = tuple(f"{self.plan.shape.calls[call].name}.{name}" for call, name in sorted(more))
        else:
            self.optional = tuple(field.name for field in ROW.optional if (0, field.name) in more)
