"""The call that the SDK builds: a source of the key that fails says so, and nothing of what it knows."""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable

import pytest

from herogen_async.core.errors import EndpointRefused, HerogenError, InputError
from herogen_async.generation.endpoint.request_template import build_call, load_client
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.engine import tuned_for_throughput

pytestmark = pytest.mark.anyio


def source_of(found: object) -> Callable[[], Awaitable[str]]:
    """A source that gives `found`, or raises it."""

    async def key() -> str:
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[return-value]

    return key


@pytest.mark.parametrize(
    "found", [OSError("sk-secret"), "sk-secret\nX-Evil: 1", "sk-secret sk-two", "sk-secret…", "", " \n", 7, None]
)
@pytest.mark.parametrize(("starting", "kind", "code"), [(True, InputError, 2), (False, EndpointRefused, None)])
async def test_an_unusable_key_is_wrong_input_first_and_parks_later(
    found: object, starting: bool, kind: type[HerogenError], code: int | None
) -> None:
    """A key that cannot be used is wrong input at the start and parks a run that is under way."""
    server = Server("http://127.0.0.1:1/v1", source_of(found))
    with pytest.raises(HerogenError, match="the source of the key") as raised:
        await build_call(server, "/completions", 5.0, starting=starting)
    error = raised.value
    assert kind is type(error)
    assert code in (None, error.exit_code)
    assert error.fix is not None
    assert "sk-secret" not in f"{error!r} {error.fix}"


async def test_a_sourced_key_loses_its_trailing_newline() -> None:
    """A key read from a source is stripped of its newline before it goes into the bearer header."""
    call = await build_call(Server("http://127.0.0.1:1/v1", source_of("sk-one\n")), "/completions", 5.0)
    assert "Bearer sk-one" == call.headers["authorization"]
    assert "http://127.0.0.1:1/v1/completions" == call.url


async def test_what_the_client_library_brings_is_set_aside_in_a_tuned_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inside a tuned process no later collection looks through it; elsewhere nothing is frozen; collecting goes on."""
    load_client()

    def load_anew() -> None:
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "openai")
            load_client()

    load_anew()
    assert (True, 0) == (gc.isenabled(), gc.get_freeze_count())
    with tuned_for_throughput():
        before = gc.get_freeze_count()
        kept = [[each] for each in range(1000)]
        load_anew()
        assert gc.isenabled()
        assert before + len(kept) // 2 < gc.get_freeze_count()
    assert 0 == gc.get_freeze_count()


async def test_a_call_that_is_built_anew_sets_nothing_aside() -> None:
    """What a run has at hand when its key is renewed is collected like everything else."""
    load_client()
    with tuned_for_throughput():
        before = gc.get_freeze_count()
        await build_call(Server("http://127.0.0.1:1/v1", "sk-one"), "/completions", 5.0)
        assert before >= gc.get_freeze_count()
