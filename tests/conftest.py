"""What all tests share."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint import Endpoint
from herogen_async.generation.endpoint.embedded import Weights, cached_weights
from herogen_async.generation.engine import Lane
from support.both_ways import ByTurns, OneByOne
from support.places import BENCHMARKS

# A deadline an example measures the machine's load, not the code. Half of the usual examples: each run draws others.
settings.register_profile("loaded", deadline=None, max_examples=50)
settings.load_profile("loaded")

# In a shell's background job Ctrl-C is ignored, and it would be by all processes that tests start and send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_Popen = subprocess.Popen  # a test may put something else in its place, and fail meanwhile


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A child that a failed test leaves would warn, and fail, in whichever test the collector comes upon it."""
    report = yield
    if report.failed:
        for each in gc.get_objects():
            if issubclass(type(each), _Popen) and each.returncode is None:
                each.kill()
                each.communicate()
    return report


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """What imports one by its name; benchmarks are scripts beside each other, not a package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture(params=[ByTurns, OneByOne], ids=["by turns", "one by one"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a lane asks: taken in by turns of the loop, and by a task for each call."""
    made = Lane.__init__

    def init(lane: Lane[Any], endpoint: Endpoint, **rest: Any) -> None:
        made(lane, request.param(endpoint), **rest)

    monkeypatch.setattr(Lane, "__init__", init)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio alone: the package is built on it."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def own_limits(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests share no rate limits with each other's processes, nor with real runs on this machine."""
    os.environ["HEROGEN_LIMITS_DIR"] = str(tmp_path_factory.mktemp("limits"))


@pytest.fixture(scope="session", autouse=True)
def own_indexes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests leave no indexes of sources in this machine's cache."""
    os.environ["HEROGEN_SOURCES_DIR"] = str(tmp_path_factory.mktemp("sources"))


@pytest.fixture(autouse=True)
def signals_are_left_alone() -> Iterator[None]:
    """A handler that stays would take the signals of later tests."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.fixture
def one_at_a_time() -> Iterator[None]:
    """Two servers at once would share the cores, and both be slow."""
    with (Path(tempfile.gettempdir()) / f"herogen-embedded-tests-{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with one_core():
            yield


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """The model's threads wait for each other: on cores that other tests use as well they are ten times as slow."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture
def weights(one_at_a_time: None) -> Weights:
    """The cached weights; tests never download them."""
    required = os.environ.get("HEROGEN_REQUIRE_EMBEDDED") == "1"
    try:
        found = cached_weights()
    except LocalModelError as error:
        if required:
            raise
        pytest.skip(f"{error}: {error.fix}")
    if found is None:
        reason = "the embedded model's weights are not cached: run `herogen-async run` once with no key"
        if required:
            pytest.fail(reason)
        pytest.skip(reason)
    return found
