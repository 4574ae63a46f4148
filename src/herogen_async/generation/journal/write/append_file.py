"""An append-only file of lines on a disk that may fail.

Kept here:
- up to `end` the file holds exactly the data of the appends that succeeded; one that failed half way is cut back;
- up to `durable` a sync has vouched for it;
- after a sync that failed, what it should have made durable is in doubt: a second sync of the old pages would say yes
  and mean nothing, and the same bytes at the same place may not be enough either (ext4 leaves blocks marked as never
  written). So it goes to a file of its own first, durably; then this file is cut back to what a sync has vouched for,
  and the bytes are written again, to new blocks. Whenever that is interrupted, they are somewhere.

`append`, `heal` and `close` are called from one thread, `sync` from any; the two may overlap.
"""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from pathlib import Path

from herogen_async.generation.run_folder.disk import Disk, put, write_all
from herogen_async.generation.run_folder.layout import saving_of


class AppendFile:
    """For the one writer of a run; what is there already ends in a newline, recovery has seen to that.

    `keeps` is whether what no sync has vouched for yet is kept in memory, so that `heal` can write it again.
    """

    def __init__(self, path: Path, disk: Disk, *, keeps: bool = True) -> None:
        self.path = path
        self.end = 0
        self.durable = 0
        self.needs_healing = False
        self._disk = disk
        self._keeps = keeps
        self._file: int | None = None
        self._torn = False
        self._unsynced: deque[tuple[int, bytes]] = deque()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    @property
    def in_doubt(self) -> bytes:
        """What no sync has vouched for, as far as it was kept."""
        return b"".join(data for _, data in list(self._unsynced))

    @property
    def is_whole(self) -> bool:
        """Whether the file holds what was appended, and nothing else."""
        return self._file is None or self._disk.size(self._file) == self.end

    def open(self) -> None:
        """Open the file, and make it where it isn't there; OSError when that can't be."""
        file = self._disk.open(self.path)
        try:
            self.end = self.durable = self._disk.size(file)
            if self.end == 0:  # the name itself must survive a power cut
                self._disk.sync_names(self.path.parent)
        except BaseException:
            self._disk.close(file)
            raise
        self._file = file

    def append(self, data: bytes) -> None:
        """Append `data`; after an OSError the file is, to every later append, as it was before the call."""
        file = self._opened()
        # What a failed write may have left goes first: the end of the file is where the next line begins, or two are
        # fused.
        self._cut_back(file)
        if self._disk.size(file) != self.end:
            raise OSError(errno.ESTALE, f"another program changed {self.path.name}")
        # Set before, not after: whatever ends the write, the next append first cuts back what it may have left.
        self._torn = True
        try:
            write_all(self._disk, file, data, self.end)
        except OSError:
            with contextlib.suppress(OSError):
                self._cut_back(file)
            raise
        self._torn = False
        if self._keeps:
            # Kept until a sync vouches for it: after a refused one the page cache can't be asked what it was.
            self._unsynced.append((self.end, data))
        self.end += len(data)

    def sync(self) -> None:
        """Make durable what was appended before the call. After an OSError only `heal` can."""
        # Before the sync: what is appended while it runs may be in it or not, and counts as not.
        end = self.end
        if self._file is None or end == self.durable or self.needs_healing:
            return
        try:
            # A sync of a file that was removed says yes, and the lines are gone with the last descriptor.
            if not self._disk.is_at(self.path, self._file):
                raise OSError(errno.ESTALE, f"{self.path.name} was removed or replaced")
            self._disk.sync(self._file)
        except OSError:
            self.needs_healing = True
            raise
        self._vouched(end)

    def heal(self) -> None:
        """After a failed sync: write again what it did not vouch for, and sync that; OSError when it can't be."""
        if not self.needs_healing or self._file is None:
            return
        end, doubtful = self.end, list(self._unsynced)
        saving = saving_of(self.path, self.durable)
        # The copy is durable before the cut, and goes after the sync: at every moment the lines are in one of the two.
        put(self._disk, saving, b"".join(data for _, data in doubtful))
        self._reopen()
        self._disk.cut(self._file, self.durable)
        for offset, data in doubtful:
            write_all(self._disk, self._file, data, offset)
        self._disk.sync(self._file)
        self._vouched(end)
        self.needs_healing = False
        with contextlib.suppress(OSError):  # then the next start finds each of its lines twice
            self._disk.remove(saving)
            self._disk.sync_names(saving.parent)

    def _reopen(self) -> None:
        """Through a fresh descriptor: the old one's errors were told."""
        fresh = self._disk.open(self.path)
        try:
            if self._disk.size(fresh) < self.durable:
                raise OSError(errno.ESTALE, f"{self.path.name} was removed or replaced")
        except BaseException:
            self._disk.close(fresh)
            raise
        old, self._file = self._file, fresh
        if old is not None:
            with contextlib.suppress(OSError):
                self._disk.close(old)

    def close(self) -> None:
        """Close the file, after cutting off what a failed append may have left. A disk that refuses is no error here:
        what counts was synced before, and a tail that stays torn is repaired at the next start.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            self._cut_back(file)
        with contextlib.suppress(OSError):
            self._disk.close(file)

    def _opened(self) -> int:
        if self._file is None:
            self.open()
        if self._file is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._file

    def _cut_back(self, file: int) -> None:
        if self._torn:
            self._disk.cut(file, self.end)
            self._torn = False

    def _vouched(self, end: int) -> None:
        # Never further than the sync began: see `sync`.
        self.durable = end
        while self._unsynced and self._unsynced[0][0] < end:
            self._unsynced.popleft()
