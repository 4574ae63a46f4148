"""What can be read only once is written to a file first: standard input, and rows from Python.

The files live as long as the process. A run takes them to its own folder before it sends anything.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async.core import codec
from herogen_async.core.cache_folder import caches_folder
from herogen_async.core.errors import InputError

_SUFFIXES = (".jsonl", ".csv")  # by which a reader tells a table from JSON where the content leaves it open
_CHUNK = 1 << 20
_PREFIX = "spool-"
_ABANDONED_S = 86_400
_spooled: dict[str, Path] = {}  # by the SHA-256 of their content


def spooled(sha256: str | None) -> Path | None:
    """The file with this content, if this process has written it."""
    return None if sha256 is None else _spooled.get(sha256)


@cache
def spooled_stdin() -> str:
    """Read standard input to its end, once; the SHA-256 of its content. Raises InputError where nothing comes."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "source '-' is standard input, and nothing is piped into it", fix="for example: cat seeds.jsonl | ..."
        )
    chunk = sys.stdin.buffer.read(_CHUNK)
    if not chunk:
        raise InputError(
            "source '-' is standard input, and it is empty",
            fix="pipe records into it, for example: cat seeds.jsonl | ...",
        )
    is_json = chunk[:64].decode(errors="replace").lstrip("\ufeff \t\r\n")[:1] in ("{", "[")
    suffix = _SUFFIXES[0] if is_json else _SUFFIXES[1]
    own = Path(tempfile.mkdtemp(dir=_folder()))
    with (own / f"standard input{suffix}").open("wb") as file:  # sentences call it so
        while chunk:
            file.write(chunk)
            chunk = sys.stdin.buffer.read(_CHUNK)
    return _known(Path(file.name))


def spooled_rows(rows: Any) -> str:
    """Write rows from Python: mappings, a pandas DataFrame, a `datasets.Dataset`; the SHA-256 of their content.

    Raises InputError for anything else.
    """
    with _new(_SUFFIXES[0]) as file:
        for number, row in enumerate(_mappings(rows), 1):
            if not isinstance(row, dict):
                raise InputError(
                    f"row {number:,} of the source is not a dict", fix='for example: [{"question": "..."}]'
                )
            try:
                file.write(codec.dumps({str(name): _plain(value) for name, value in row.items()}) + b"\n")
            except (TypeError, UnicodeDecodeError) as error:
                raise InputError(
                    f"row {number:,} of the source can't be written as JSON: {error}", fix="use text and numbers"
                ) from None
    return _known(Path(file.name))


def sha256_of(path: Path) -> str:
    """Of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mappings(rows: Any) -> Iterable[Any]:
    if hasattr(rows, "to_dict") and hasattr(rows, "itertuples"):  # a DataFrame: a row at a time
        names = [str(name) for name in rows.columns]
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise InputError(
                f"the source has {names.count(twice[0])} columns called {twice[0]!r}",
                fix="give each column a name of its own",
            )
        return (dict(zip(names, values, strict=True)) for values in rows.itertuples(index=False, name=None))
    if not isinstance(rows, Iterable):
        raise InputError(
            f"an object of the type {type(rows).__name__} is not a source of records",
            fix="give a path, a list of dicts, a pandas DataFrame or a datasets.Dataset",
        )
    return rows


def _plain(value: Any) -> Any:
    """A value as JSON has it; numpy's as Python's, what is not there as null."""
    if isinstance(value, str) or value is None:
        return value
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        if type(value).__name__ in ("NAType", "NaTType"):
            return None
        value = value.tolist() if hasattr(value, "tolist") else str(value)
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN, pandas' word for nothing
        return None
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, bool | int | float) else str(value)


def _known(path: Path) -> str:
    sha256 = sha256_of(path)
    _spooled[sha256] = path
    return sha256


@cache
def _folder() -> Path:
    try:
        caches_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=caches_folder(), prefix=_PREFIX))
        with suppress(OSError):
            flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), LOCK_SH | LOCK_NB)  # until this process ends
            _remove_abandoned(folder)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="herogen-async-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned(own: Path) -> None:
    """The folders of processes that were killed: nobody holds their locks. A new one may not have its own yet."""
    for folder in own.parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if own.stat().st_mtime - folder.stat().st_mtime > _ABANDONED_S:
                descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    flock(descriptor, LOCK_EX | LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(descriptor)


def _new(suffix: str) -> BinaryIO:
    return tempfile.NamedTemporaryFile(dir=_folder(), suffix=suffix, delete=False)  # type: ignore[return-value]
