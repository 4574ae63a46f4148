"""Where the values of cells stand among those of their attributes, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from herogen_async.data.row_pages.row_arrays import Numbers
from herogen_async.specs.sources.cells import Cells, facet_places, facet_strides

_LARGEST = 1 << 62  # cells: strides past 64 bits are no numbers of an array


class CellPlaces:
    """The places of the values of the attributes `names`, by the cell's index; past the last value where it has none.

    Computed for all at once where the cells are every combination of the values; others are looked at one by one.
    """

    def __init__(self, cells: Cells, names: Sequence[str]) -> None:
        self._sizes = [len(cells.facets[name]) for name in names]
        strides = facet_strides(cells) if cells.size < _LARGEST else {}
        self._axes = [strides[name] for name in names] if strides else []
        self._look_at = facet_places(cells, [] if strides else names)

    @property
    def is_computed(self) -> bool:
        """Whether no cell has to be looked at."""
        return bool(self._axes)

    def of(self, cells: Numbers) -> list[Numbers]:
        """For each attribute those of `cells`."""
        if self._axes:
            numbers = cells.astype(np.int64, copy=False)
            return [numbers // stride % length for stride, length in self._axes]
        each, at = np.unique(cells, return_inverse=True)
        found = np.array(list(map(self._look_at, each.tolist())), np.int32).reshape(len(each), len(self._sizes))
        # A field whose record can't be read any more counts as none.
        return [np.where(places < 0, size, places)[at] for places, size in zip(found.T, self._sizes, strict=True)]
