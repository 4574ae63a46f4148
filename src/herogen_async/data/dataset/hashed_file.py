"""A derived file that knows the SHA-256 and the size of what was written."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, BinaryIO


class HashedFile:
    """A write-only file, from front to back."""

    closed = False  # whoever opened the file closes it; pyarrow asks

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Append `data`: bytes or a bytes-like buffer."""
        self._file.write(data)
        self._hash.update(data)
        written = len(data)
        self.size += written
        return written

    def tell(self) -> int:
        """The number of bytes written."""
        return self.size

    def flush(self) -> None:
        """For pyarrow, which flushes what it writes to."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
