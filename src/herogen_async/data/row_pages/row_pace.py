"""How many lines of answers came when, from the journal's own times: also of sessions that nobody watched."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from herogen_async.data.row_pages.journal_index import JournalIndex, blocks_from

_MOST_MOMENTS = 600
_WIDTHS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)  # seconds of a point
# A quotation mark inside of a text is escaped: so what is found is a key, and the last key of that name but one.
_MOMENT = re.compile(rb'"created_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')


class RowPace:
    """Counts by second, taken on with the journal."""

    def __init__(self) -> None:
        self._read: dict[Path, int] = {}
        self._seconds: Counter[bytes] = Counter()

    def read(self, index: JournalIndex) -> None:
        """Take in what `index` has read since the last call."""
        for path in index.folder.segments():
            end = index.ends.get(path, 0)
            for _, block in blocks_from(path, self._read.get(path, 0), end):
                self._seconds.update(_MOMENT.findall(block))
            self._read[path] = end

    def points(self) -> tuple[int, list[tuple[int, int]]]:
        """(seconds of a point, [(its begin as a Unix time, lines that came in it)]), those with any, by time."""
        if not self._seconds:
            return 1, []
        seconds = {_unix(moment): count for moment, count in self._seconds.items()}
        first, last = min(seconds), max(seconds)
        width = next((each for each in _WIDTHS if (last - first) / each <= _MOST_MOMENTS), _WIDTHS[-1])
        points: Counter[int] = Counter()
        for second, count in seconds.items():
            points[second - second % width] += count
        return width, sorted(points.items())


def _unix(moment: bytes) -> int:
    return int(datetime.fromisoformat(moment.decode()).replace(tzinfo=UTC).timestamp())
