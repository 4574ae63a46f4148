"""Large files in parts: an upload is created, gets its parts, and is completed to a file. In memory, told the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request
from herogen_async.lab.simulator.finetuning.files import STORE_LIMIT, check_purpose

PART_LIMIT = 64 << 20  # bytes of a part, as the API has it
_LIFE_S = 3600.0  # an upload that is not completed by then is gone
_MOST_UPLOADS = 1000
PENDING, COMPLETED, CANCELLED, EXPIRED = "pending", "completed", "cancelled", "expired"


@dataclass(slots=True)
class Upload:
    """A file on its way. `size` is how many bytes it will have; `file` is its record once it is whole."""

    upload_id: str
    filename: str
    purpose: str
    size: int
    created_s: float
    status: str = PENDING
    parts: dict[str, bytes] = field(default_factory=dict)
    file: dict[str, Any] | None = None

    def end(self, status: str) -> None:
        """Nothing more comes; the parts are forgotten."""
        self.status = status
        self.parts = {}

    def record(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "object": "upload",
            "id": self.upload_id,
            "bytes": self.size,
            "created_at": int(self.created_s),
            "expires_at": int(self.created_s + _LIFE_S),
            "filename": self.filename,
            "purpose": self.purpose,
            "status": self.status,
            "file": self.file,
        }


class Uploads:
    """All uploads of a server."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}

    def create(self, data: dict[str, Any], upload_id: str, now: float) -> Upload:
        """A new upload, as `data` says. Raises Unreadable."""
        size, filename = data.get("bytes"), data.get("filename")
        if type(size) is not int or not 1 <= size <= STORE_LIMIT:
            raise _bad(f"Invalid 'bytes': {size!r} is not an integer from 1 to {STORE_LIMIT}.", "bytes")
        for name in ("filename", "mime_type"):
            if not isinstance(data.get(name), str) or not data[name]:
                raise _bad(f"Missing required parameter: {name!r}.", name)
        if len(self._uploads) >= _MOST_UPLOADS:
            raise _bad(f"This server already has its maximum of {_MOST_UPLOADS} uploads.", None)
        upload = Upload(upload_id, str(filename), check_purpose(data.get("purpose")), size, now)
        self._uploads[upload_id] = upload
        return upload

    def pending(self, upload_id: str, now: float) -> Upload:
        """The upload, which is not whole yet. Raises Unreadable."""
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise Unreadable(bad_request(f"No such Upload object: {upload_id[:100]}", status=404, param="id"))
        if upload.status == PENDING and now > upload.created_s + _LIFE_S:
            upload.end(EXPIRED)
        if upload.status != PENDING:
            raise _bad(f"The upload {upload_id} is {upload.status}.", None)
        return upload

    def add_part(self, upload: Upload, part_id: str, content: bytes) -> None:
        """One more part. Raises Unreadable."""
        if len(content) > PART_LIMIT:
            raise _bad(f"The part has {len(content):,} bytes; the maximum is {PART_LIMIT:,}.", "data")
        held = sum(len(part) for one in self._uploads.values() for part in one.parts.values())
        if held + len(content) > STORE_LIMIT or sum(map(len, upload.parts.values())) + len(content) > upload.size:
            raise _bad(f"The parts have more bytes than the {upload.size:,} announced.", "data")
        upload.parts[part_id] = content


def joined_parts(upload: Upload, data: dict[str, Any]) -> bytes:
    """The whole file, from its parts in the order that `data` names. Raises Unreadable."""
    part_ids = data.get("part_ids")
    known = isinstance(part_ids, list) and all(isinstance(each, str) and each in upload.parts for each in part_ids)
    if not part_ids or not known:
        raise _bad("Invalid 'part_ids': it must be the list of this upload's parts, in their order.", "part_ids")
    content = b"".join(upload.parts[part] for part in part_ids)
    if len(content) != upload.size:
        raise _bad(f"The parts have {len(content):,} bytes, but {upload.size:,} were announced.", "part_ids")
    expected = data.get("md5")
    if expected is not None and expected != md5(content, usedforsecurity=False).hexdigest():
        raise _bad("The MD5 sum of the parts does not match.", "md5")
    return content


def _bad(message: str, param: str | None) -> Unreadable:
    return Unreadable(bad_request(message, code="invalid_value", param=param))
