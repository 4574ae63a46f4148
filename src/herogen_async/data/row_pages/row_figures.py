"""What can be counted of each row's answers, taken in with the journal: tokens, time, length."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.data.row_pages.line_pieces import piece_from
from herogen_async.data.row_pages.row_arrays import LineOrder, RowFigure
from herogen_async.generation.run_folder import RunFolder

TOLD_FIGURES = ("tokens", "latency", "length")


class RowFigures:
    """`figures` by name, of all answers of a row together: completion tokens, milliseconds, characters.

    Sixteen bytes a row or less. A second or two for a million rows, once, and only where somebody asks for one.
    """

    def __init__(self, folder: RunFolder, order: LineOrder, calls_a_row: int) -> None:
        self._folder = folder
        self._order = order
        self._calls = calls_a_row
        self._read = 0
        self.figures = {name: RowFigure() for name in TOLD_FIGURES}

    def read(self, enough: Callable[[], bool]) -> float:
        """Go on reading until `enough`; the share that was read. Raises RunFolderError, DamageError."""
        while self._read < len(self._order) and not enough():
            piece = piece_from(self._folder, self._order, self._read)
            rows = self._order.calls[piece.first : piece.stop] // self._calls
            for name, values in zip(TOLD_FIGURES, piece.figures(), strict=True):
                self.figures[name].add(rows, values)
            self._read = piece.stop
        return self._read / max(len(self._order), 1)
