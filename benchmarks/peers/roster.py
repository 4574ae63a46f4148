"""Who is compared: each peer's pinned packages, its driver, and its environment, made on first use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import measure
from works import CONCURRENCY, WORKS, Work

HERE = Path(__file__).resolve().parent
HOME = Path.home() / ".cache" / "herogen-async" / "bench"
OURS = "herogen-async"
INSTALL_TIMEOUT_S = 900  # the largest takes one minute on a fast line
COUNT_TIMEOUT_S = 120


class NotInstallableError(Exception):
    """A peer's environment can't be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library under comparison. `shown` are the packages whose versions are printed; `caveat` is printed, too."""

    name: str
    driver: str
    requirements: tuple[str, ...]
    shown: tuple[str, ...]
    caveat: str
    python_min: tuple[int, int] = (3, 11)


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "flexllm",
            "drive_flexllm.py",
            ("flexllm==0.17.10",),
            ("flexllm", "aiohttp"),
            "chat_batch_iter(output_jsonl=...); limiter off without a limit, max_qps = rpm / 60 with one.",
        ),
        Peer(
            "oaib",
            "drive_oaib.py",
            ("oaib==1.2.0",),
            ("oaib", "openai", "pandas"),
            "keeps results in memory only: its callback appends them here. A pool of 64 connections bounds it. It"
            " doesn't retry; the SDK's two retries are on.",
        ),
        Peer(
            "inspect_ai",
            "drive_inspect_ai.py",
            ("inspect_ai==0.3.285", "openai==3.54.0"),
            ("inspect_ai", "openai"),
            "an evaluation framework: one generate() step, no scorer, live view off. No rate limit: adaptive"
            " connections up to 64 in the limit part.",
        ),
        Peer(
            "curator",
            "drive_curator.py",
            ("bespokelabs-curator==0.1.31",),
            ("bespokelabs-curator", "aiohttp", "litellm"),
            "telemetry and rich display off; its first request asks for limits, before any row.",
        ),
        Peer(
            "async-batch-llm",
            "drive_async_batch_llm.py",
            ("async-batch-llm[openai]==0.28.0", "openai==3.54.0"),
            ("async-batch-llm", "openai"),
            "its built-in client (the SDK), checkpoint on; its request bucket holds one request instead of a minute.",
        ),
        Peer(
            "infermesh",
            "drive_infermesh.py",
            ("infermesh==0.3.2",),
            ("infermesh", "litellm"),
            "on_result appends, as its README shows; its request bucket holds one request.",
            python_min=(3, 12),
        ),
        Peer(
            "batchllm-ai",
            "drive_batchllm.py",
            ("batchllm-ai==0.2.0", "openai==3.54.0"),
            ("batchllm-ai", "openai"),
            "checkpoint on. No rate limit, only retries.",
        ),
        Peer(
            "datatrove",
            "drive_datatrove.py",
            # Not its `inference` extra: that brings vLLM and SGLang, which an endpoint doesn't need.
            ("datatrove==0.10.1", "openai==3.54.0", "aiosqlite", "aiofiles", "orjson", "xxhash", "httpx"),
            ("datatrove", "openai"),
            "its OpenAI client instead of its shortcut for localhost, local checkpoints on. No rate limit.",
        ),
        Peer(
            "distilabel",
            "drive_distilabel.py",
            ("distilabel[openai]==1.5.3", "openai==3.54.0", "requests"),
            ("distilabel", "openai"),
            "batches of 64, one after the other; several processes. No rate limit: the SDK's six retries.",
        ),
        Peer(
            "data-designer",
            "drive_data_designer.py",
            ("data-designer==0.9.6",),
            ("data-designer", "httpx"),
            "row groups of 100, telemetry, metrics, health check and early shutdown off. No rate limit: it adapts.",
        ),
        Peer(
            "openai-sdk",
            "drive_openai_sdk.py",
            ("openai==3.54.0",),
            ("openai", "httpx2"),
            "the naive script (semaphore, gather, append, the SDK's two retries), not a product. No rate limit.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Task:
    """One run that a system is asked for. `rpm` and `timeout_s` are None for the system's own defaults."""

    base_url: str
    rows: int
    out: Path
    rpm: float | None = None
    timeout_s: float | None = None
    work: Work = WORKS["text"]


@dataclass(frozen=True, slots=True)
class System:
    """What is measured: the command of a task, and how many distinct rows its folder holds afterwards."""

    name: str
    command: Callable[[Task], list[str]]
    persisted: Callable[[Path], int]
    versions: dict[str, str]
    caveat: str
    row_factor: int = 1


def ours() -> System:
    """This project's command line, as a user starts it."""

    def command(task: Task) -> list[str]:
        spec = task.work.spec_file(task.rows, task.out)
        target = ["--base-url", task.base_url, "--model", "m", "--endpoint", task.work.endpoint]
        limits = [] if task.rpm is None else ["--rpm", f"{task.rpm:g}"]
        limits += [] if task.timeout_s is None else ["--timeout", f"{task.timeout_s:g}"]
        run = ["run", str(spec), "--run", str(task.out / "run"), *target, "--concurrency", str(CONCURRENCY), *limits]
        return [*measure.ours(), *run, *task.work.run, "--json"]

    return System(
        name=OURS,
        command=command,
        persisted=lambda out: measure.our_rows(out / "run"),
        versions=measure.versions(sys.executable, ("herogen-async", "openai", "httptools", "uvloop")),
        caveat="asks the completions route; the peers but openai-sdk have chat only. Journal synced, rows sealed.",
        row_factor=10,  # 2,000 rows take it a quarter of a second: too short to time
    )


def peer_system(peer: Peer, timeout_s: float = INSTALL_TIMEOUT_S) -> System:
    """A peer, ready to run. Raises NotInstallableError."""
    python = str(environment(peer, timeout_s))
    driver = str(HERE / peer.driver)

    def command(task: Task) -> list[str]:
        asked = ["--base-url", task.base_url, "--rows", str(task.rows), "--concurrency", str(CONCURRENCY)]
        limits = [] if task.rpm is None else ["--rpm", f"{task.rpm:g}"]
        limits += [] if task.timeout_s is None else ["--timeout-s", f"{task.timeout_s:g}"]
        return [python, driver, *asked, "--out", str(task.out), "--work", task.work.name, *limits]

    def persisted(out: Path) -> int:
        counting = [python, driver, "--out", str(out), "--count"]
        done = subprocess.run(
            counting, check=False, capture_output=True, timeout=COUNT_TIMEOUT_S, env=measure.child_env()
        )
        if done.returncode:
            raise measure.ChildFailedError(f"counting its rows: {last_line(done.stderr)}")
        return int(json.loads(done.stdout.splitlines()[-1])["persisted"])

    return System(peer.name, command, persisted, measure.versions(python, peer.shown), peer.caveat)


def environment(peer: Peer, timeout_s: float = INSTALL_TIMEOUT_S) -> Path:
    """The Python of the peer's own environment, made when it isn't there or has other pins."""
    folder = HOME / peer.name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    pins = "\n".join(peer.requirements) + "\n"
    if ready.exists() and ready.read_text() == pins:
        return python
    print(f"installing {', '.join(peer.requirements)} into {folder} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    try:
        subprocess.run([_interpreter(peer), "-m", "venv", str(folder)], check=True, capture_output=True)
        subprocess.run([*pip, *peer.requirements], check=True, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise NotInstallableError(f"installing took more than {timeout_s:g} s") from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise NotInstallableError(last_line(getattr(error, "stderr", None) or b"") or str(error)) from error
    ready.write_text(pins)
    return python


def _interpreter(peer: Peer) -> str:
    """A Python that the peer accepts: this one, or a newer one of this machine."""
    if sys.version_info >= peer.python_min:
        return sys.executable
    for minor in range(peer.python_min[1], peer.python_min[1] + 3):
        for found in _candidates(f"3.{minor}"):
            checked = subprocess.run([found, "-c", "import venv"], capture_output=True, check=False)
            if checked.returncode == 0:
                return found
    wanted = ".".join(map(str, peer.python_min))
    raise NotInstallableError(f"needs Python {wanted} or newer, and none is on the PATH")


def _candidates(version: str) -> Sequence[str]:
    """Where a Python of that version may be: pyenv's folders before its shims, which only work when it is chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(str(path) for path in root.glob(f"versions/{version}.*/bin/python3"))
    on_path = shutil.which(f"python{version}")
    return [*installed, on_path] if on_path else installed


def last_line(output: bytes) -> str:
    """The last line that says something, without colours; short enough for a table."""
    lines = [line.strip(" │╰─╯|") for line in output.decode(errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("WARNING: Location", "note:", "hint:"))]
    return said[-1][:160].replace("|", "/") if said else ""
