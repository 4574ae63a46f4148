"""Object storage, by its URI: the only file that knows obstore.

Credentials come from the environment, as each cloud's own tools read them. What the library says of a failure may quote
the request, with a signature or a key in it: so people are told the kind of the failure alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from herogen_async.core.errors import InputError, MirrorError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES: Any = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}  # the next pass is another try
_PATIENCE = {"timeout": "30s", "connect_timeout": "5s"}
_STATUS = re.compile(r"\bstatus\D{0,3}([45]\d\d)\b|\b([45]\d\d) [A-Z][a-z]+")


class Storage(Protocol):
    """Objects by their keys. Each method raises MirrorError."""

    def put(self, key: str, data: bytes) -> None:
        """Put an object, whole or not at all."""

    def put_file(self, key: str, path: Path) -> None:
        """Put a file, of any size. Raises OSError where it can't be read."""

    def get(self, key: str) -> bytes | None:
        """An object; None where there is none."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Of all objects whose key begins so; a prefix ends in a slash."""
        ...


def open_storage(uri: str) -> Storage:
    """The storage at `uri`; nothing is sent yet. Raises InputError."""
    try:
        import obstore.store as stores  # noqa: PLC0415 - few runs have a mirror
        from obstore.exceptions import BaseError  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "a mirror needs the package obstore, which is not installed",
            fix="pip install 'herogen-async[mirror]'",
        ) from error
    try:
        parts = urlsplit(uri)
        if parts.scheme == "file":
            return _Objects(stores.LocalStore(url2pathname(parts.path), mkdir=True), uri)
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        options: Any = {**_PATIENCE, **({"allow_http": True} if plain else {})}
        return _Objects(stores.from_url(uri, client_options=options, retry_config=_RETRIES), uri)
    except (BaseError, OSError, ValueError) as error:
        raise InputError(
            f"can't use {uri} as a mirror: {_kind_of(error)}",
            fix="check the URI, and that the cloud's credentials and region are in the environment",
        ) from None


class _Objects:
    def __init__(self, store: ObjectStore, uri: str) -> None:
        self._store = store
        self._uri = uri

    def put(self, key: str, data: bytes) -> None:
        self._put(key, data)

    def put_file(self, key: str, path: Path) -> None:
        path.stat()
        self._put(key, path)

    def _put(self, key: str, data: bytes | Path) -> None:
        import obstore  # noqa: PLC0415 - as above

        try:
            obstore.put(self._store, key, data)
        except Exception as error:
            raise self._failed(error) from None

    def get(self, key: str) -> bytes | None:
        import obstore  # noqa: PLC0415 - as above

        try:
            return obstore.get(self._store, key).bytes().to_bytes()
        except FileNotFoundError:
            return None
        except Exception as error:
            if type(error).__name__ == "NotFoundError":
                return None
            raise self._failed(error) from None

    def keys(self, prefix: str) -> Iterator[str]:
        import obstore  # noqa: PLC0415 - as above

        try:
            for chunk in obstore.list(self._store, prefix):
                yield from (each["path"] for each in chunk)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> MirrorError:
        return MirrorError(f"{self._uri}: {_kind_of(error)}", fix="check the storage, and the credentials for it")


def _kind_of(error: Exception) -> str:
    kind = type(error).__name__
    told = {
        "PermissionDeniedError": "access denied",
        "PermissionError": "access denied",
        "UnauthenticatedError": "the credentials are missing or refused",
        **dict.fromkeys(("NotFoundError", "FileNotFoundError"), "there is no such bucket or folder"),
        "UnknownConfigurationKeyError": "the environment holds a setting that it doesn't know",
    }.get(kind)
    if told is not None:
        return told
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    if status := _STATUS.search(text):
        return f"it answered with HTTP {status[1] or status[2]}"
    return "it can't be reached" if "HTTP error" in text or "connect" in text.lower() else "it refuses"
