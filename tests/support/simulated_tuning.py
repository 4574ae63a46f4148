"""What tests of simulated files and jobs share: a server whose time is the test's, asked by the real SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from herogen_async.core.clock import MonotonicClock
from herogen_async.lab.simulator import Policy, SimulatedServer, TuningPolicy, serve

QUEUE_S, TRAIN_S = 10.0, 100.0
MESSAGES = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada."}]}
PROMPT = {"prompt": "Who? ->", "completion": " Ada. END"}
RANKED = {
    "input": {"messages": [{"role": "user", "content": "Who?"}]},
    "preferred_output": [{"role": "assistant", "content": "Ada."}],
    "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
}


class HandClock(MonotonicClock):
    """Time goes by when the test says so."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now(self) -> float:
        return self.time_s

    def wall(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.time_s)


class Service(NamedTuple):
    """A server, its time, and the SDK's client."""

    server: SimulatedServer
    clock: HandClock
    openai: Any
    plain: Any  # its HTTP client

    async def upload(self, row: Any = MESSAGES, *, rows: int = 12, name: str = "rows.jsonl", **more: Any) -> Any:
        return await self.openai.files.create(file=(name, lines(row, rows)), **{"purpose": "fine-tune", **more})

    async def create(self, file: Any = None, **more: Any) -> Any:
        file = file or await self.upload()
        return await self.openai.fine_tuning.jobs.create(**{"model": "m", "training_file": file.id, **more})

    async def later(self, job: Any, seconds: float) -> Any:
        self.clock.time_s += seconds
        return await self.openai.fine_tuning.jobs.retrieve(job.id)


def lines(row: Any, count: int) -> bytes:
    """A training file."""
    return b"".join(json.dumps(row).encode() + b"\n" for _ in range(count))


@asynccontextmanager
async def service(model: str | None = None, **tuning: Any) -> AsyncIterator[Service]:
    import httpx2
    import openai

    clock = HandClock()
    policy = Policy(tuning=TuningPolicy(**{"queue_s": QUEUE_S, "train_s": TRAIN_S, **tuning}))
    async with (
        serve(policy, model=model, clock=clock) as server,
        httpx2.AsyncClient(verify=False) as plain,  # no certificates: to read them would take most of a test's time
        openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=10, http_client=plain) as client,
    ):
        yield Service(server, clock, client, plain)


def assert_as_declared(value: Any) -> None:
    """`value` keeps to the SDK's own declaration, strictly: the SDK itself builds its types unchecked."""
    kind = type(value)
    assert value == kind.model_validate_json(value.model_dump_json(), strict=True)
    assert not value.model_extra, f"undeclared: {value.model_extra}"
