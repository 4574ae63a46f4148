"""The files of a server, in memory, bounded. Told the time, in seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request

FINE_TUNE, RESULTS = "fine-tune", "fine-tune-results"
PURPOSES = ("assistants", "batch", FINE_TUNE, "vision", "user_data", "evals")
STORE_LIMIT = 2 << 30  # bytes of all files together: a test server's memory, not a provider's disks
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was handed over."""

    file_id: str
    filename: str
    purpose: str
    content: bytes
    created_s: float

    def record(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "object": "file",
            "id": self.file_id,
            "bytes": len(self.content),
            "created_at": int(self.created_s),
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """All files, oldest first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes a file
        self._files: dict[str, StoredFile] = {}
        self._size = 0

    def add(self, file: StoredFile) -> None:
        """Keep a file, for which there is room."""
        self._files[file.file_id] = file
        self._size += len(file.content)

    def check_room(self, size: int) -> None:
        """Raises Unreadable when there is nothing to keep, or no room for it."""
        if not size:
            raise Unreadable(bad_request("File is empty.", code="empty_file", param="file"))
        if self._size + size > STORE_LIMIT or len(self._files) >= _MOST_FILES:
            message = f"This server keeps at most {_MOST_FILES:,} files of {STORE_LIMIT:,} bytes in total; delete some."
            raise Unreadable(bad_request(message, code="storage_limit_exceeded", param="file"))

    def check_size(self, size: int) -> None:
        """Raises Unreadable when a file of `size` bytes is too large for one request."""
        if size > self.limit:
            message = f"The file has {size:,} bytes; the maximum is {self.limit:,}. Send larger ones to /v1/uploads."
            raise Unreadable(bad_request(message, status=413, code="file_too_large", param="file"))

    def find(self, file_id: str) -> StoredFile | None:
        """The file, where there is one."""
        return self._files.get(file_id)

    def get(self, file_id: str) -> StoredFile:
        """The file. Raises Unreadable."""
        file = self._files.get(file_id)
        if file is None:
            raise Unreadable(bad_request(f"No such File object: {file_id[:100]}", status=404, param="id"))
        return file

    def delete(self, file_id: str) -> None:
        """Forget a file. Raises Unreadable."""
        self._size -= len(self.get(file_id).content)
        del self._files[file_id]

    def listed(self, purpose: str | None) -> list[StoredFile]:
        """Those of a purpose, None: all; oldest first."""
        return [file for file in self._files.values() if purpose in (None, file.purpose)]


def check_purpose(purpose: Any) -> str:
    """A purpose that a client may give. Raises Unreadable."""
    if purpose not in PURPOSES:
        valid = ", ".join(map(repr, PURPOSES))
        message = f"Invalid value for 'purpose': {str(purpose)[:64]!r} is not one of {valid}."
        raise Unreadable(bad_request(message, code="invalid_value", param="purpose"))
    return str(purpose)
