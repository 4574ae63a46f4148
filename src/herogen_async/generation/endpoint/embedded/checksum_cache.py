"""Checksums that are computed once: a file's sha256 is kept with the size, time and inode that it was taken at.

1. A seal is believed only while the file's size, modification time and inode are the sealed ones; else it is hashed
   again.
2. A published file is whole: written elsewhere, synced, then renamed. Its seal is there before it, never after it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from herogen_async.core import codec
from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Seal:
    """What a file was when it was hashed. `origin` is the sha256 of what it was made from, empty for an original.

    `inode` is 0 in a seal of a release that did not keep it: then size and time have to do.
    """

    sha256: str
    size_bytes: int
    mtime_ns: int
    origin: str = ""
    inode: int = 0


def hash_file(path: Path, on_progress: OnProgress) -> str:
    """The sha256 of a file, as 64 hexadecimal digits; reported as `verifying`."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            on_progress(WeightsProgress("verifying", done, total))
    return digest.hexdigest()


def seal_file(path: Path, on_progress: OnProgress, *, origin: str = "") -> Seal:
    """Hash `path` as it is now."""
    before = path.stat()
    return Seal(hash_file(path, on_progress), before.st_size, before.st_mtime_ns, origin, before.st_ino)


def fits(seal: Seal, path: Path) -> bool:
    """Whether the file still has the sealed size, time and inode: the cheap check of every start."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    is_same_file = seal.inode in (0, stat.st_ino)
    return is_same_file and (stat.st_size, stat.st_mtime_ns) == (seal.size_bytes, seal.mtime_ns)


def read_seal(path: Path) -> Seal | None:
    """The seal stored at `path`; None when there is none or it can't be read as one."""
    try:
        return Seal(**codec.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_seal(path: Path, seal: Seal) -> None:
    """Store `seal` at `path`, whole or not at all."""
    temp = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temp.write_bytes(codec.dumps_pretty(asdict(seal)))
    replace_file(temp, path)


def replace_file(temp: Path, path: Path) -> None:
    """Give a finished file its name: synced before, so that no crash leaves a half one under it."""
    _sync(temp)
    temp.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
