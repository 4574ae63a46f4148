"""Fine-tuning on this machine for real: a tiny model, killed in the middle; and the embedded one, served after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.embedded import BASE, TUNED, EmbeddedServer, Weights
from herogen_async.tune.finetune.local import LocalBackend
from herogen_async.tune.finetune.local.feasibility import require_packages
from herogen_async.tune.finetune.local.job_folder import TuneFolder, holder_of, is_training
from herogen_async.tune.finetune.records import INTERRUPTED, JobState, TuneRequest

pytestmark = [pytest.mark.anyio, pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]

TAG = "tune-1"
STEPS = 60  # of the tiny model: 48 rows, 8 a step, 10 times
TORCH_S = 240.0  # imports and loading take half a minute on a free core, and many times that on one that others use


@pytest.fixture(autouse=True)
def extra() -> None:
    """The [train] extra, without importing it here."""
    try:
        require_packages()
    except Exception as error:
        if os.environ.get("HEROGEN_REQUIRE_TRAIN") == "1":
            raise
        pytest.skip(str(error))


@pytest.fixture
def none_left(tmp_path: Path) -> Iterator[None]:
    """A test that fails leaves no trainer behind."""
    yield
    folder = TuneFolder(tmp_path / "001" / "local")
    if is_training(folder):
        os.kill(holder_of(folder)["pid"], signal.SIGKILL)


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def hero_rows(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"{number}, woman ->", "completion": f" A hero of {number} years who flies. END"}
        for number in range(count)
    ]


async def begun(backend: LocalBackend, order: TuneRequest) -> JobState:
    await backend.check(order)
    files = {"training": await backend.upload(order.training, "train.jsonl")}
    if order.validation is not None:
        files["validation"] = await backend.upload(order.validation, "valid.jsonl")
    return await backend.create(order, files, TAG)


async def stopped(backend: LocalBackend) -> JobState:
    """The job's state once no trainer works on it."""
    async with asyncio.timeout(TORCH_S):
        while (state := await backend.job(TAG)).status == "running":
            await asyncio.sleep(0.05)
    return state


def losses(events: list[Any], name: str) -> dict[int, float]:
    return {int(event.metrics["step"]): event.metrics[name] for event in events if name in event.metrics}


@pytest.mark.usefixtures("one_at_a_time", "none_left")
async def test_a_killed_trainer_goes_on_and_the_loss_falls(tmp_path: Path) -> None:
    """From its last checkpoint, with real weights and a real kill."""
    from support.tiny_models import tiny_llama

    rows = hero_rows(48)
    model = tiny_llama(tmp_path / "tiny", [row["prompt"] + row["completion"] for row in rows])
    order = TuneRequest(
        "local",
        str(model),
        written(tmp_path / "rows.jsonl", rows),
        Recipe(),
        validation=written(tmp_path / "valid.jsonl", rows[:4]),
        epochs=10,
        learning_rate=5e-3,
    )
    backend, folder = LocalBackend(tmp_path / "001"), TuneFolder(tmp_path / "001" / "local")
    await begun(backend, order)
    async with asyncio.timeout(TORCH_S):
        while len(await backend.checkpoints(TAG)) < 2:
            await asyncio.sleep(0.01)
    os.kill(holder_of(folder)["pid"], signal.SIGKILL)
    assert INTERRUPTED == (await stopped(backend)).status
    kept = [checkpoint.step for checkpoint in await backend.checkpoints(TAG)]
    (seen,) = [max(losses(await backend.events(TAG), "train_loss"))]
    assert kept[-1] <= seen < STEPS
    last = (await backend.events(TAG))[-1].event_id

    await backend.revive(TAG)
    state = await stopped(backend)

    assert ("succeeded", None) == (state.status, state.error)
    assert str(folder.adapter) == state.model
    assert "vllm serve" in (state.fix or "")
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {path.name for path in folder.adapter.iterdir()}
    again = losses(await backend.events(TAG, after=last), "train_loss")
    assert list(range(kept[-1] + 1, STEPS + 1)) == sorted(again)
    whole = losses(await backend.events(TAG), "train_loss")
    assert 0.7 * whole[1] > whole[STEPS]
    assert state.detail["valid_loss"] < 0.7 * state.detail["base_valid_loss"]
    async with asyncio.timeout(TORCH_S):
        while is_training(folder):
            await asyncio.sleep(0.05)


@pytest.mark.embedded
@pytest.mark.usefixtures("none_left")
async def test_the_embedded_model_answers_with_and_without_its_adapter(tmp_path: Path, weights: Weights) -> None:
    """After it was trained here, served by the embedded server."""
    order = TuneRequest(
        "local",
        "embedded",
        written(tmp_path / "rows.jsonl", hero_rows(10)),
        Recipe(),
        epochs=2,
        batch_size=5,
        learning_rate=5e-3,
    )
    backend = LocalBackend(tmp_path / "001")
    await begun(backend, order)
    state = await stopped(backend)

    assert ("succeeded", None) == (state.status, state.error)
    adapter = Path(state.model or "")
    async with EmbeddedServer(weights, slots=2, context_tokens=256, adapter=adapter) as server:
        base, tuned, unsaid = [
            await asyncio.to_thread(ask, server, extra) for extra in ({"lora": BASE}, {"lora": TUNED}, {})
        ]
    async with EmbeddedServer(weights, slots=2, context_tokens=256) as server:
        assert base == await asyncio.to_thread(ask, server, {})
    assert "A hero of" in tuned
    assert tuned == unsaid != base


def ask(server: EmbeddedServer, extra: dict[str, Any]) -> str:
    body = {"prompt": "7, woman ->", "max_tokens": 8, "temperature": 0, "cache_prompt": False, **extra}
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.base_url}/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["choices"][0]["text"])
