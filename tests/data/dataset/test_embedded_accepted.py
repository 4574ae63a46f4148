"""From the embedded model to a data set of exactly 20 accepted rows, through a kill; and to a tuned model."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.data.dataset.assemble.assembly_report import Assembled
from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.runs import command, environment, write_spec

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(600)]

WANTED = 20


def heroes() -> Spec:
    """The superhero grid with two descriptions a row, each with a score from the same small model."""
    builtin = Spec.builtin()
    return Spec(
        name="heroes",
        attributes={name: list(values) for name, values in builtin.attributes.items()},
        model="embedded",
        endpoint="chat",
        columns={
            "hero": {
                "prompt": "Describe a {age}-year-old {gender} who has the power of {power}, in one sentence.",
                "samples": 2,
                "sampling": {"max_tokens": 12, "temperature": 1},
            },
            "verdict": {
                "prompt": "How good is this, from 1 to 5? {hero}",
                "answer": {"score": {"type": "integer", "minimum": 1, "maximum": 5}},
                "sampling": {"max_tokens": 30, "temperature": 1},
            },
        },
        keep="verdict.score >= 3",
        want=WANTED,
    )


def killed_and_resumed(folder: Path) -> RunFolder:
    """A run that was killed with some of its answers, and then ran to its end."""
    run = RunFolder(folder / "r")
    words = command("run", write_spec(folder, heroes()), "--run", run.path, "--quiet")
    child = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "r" / "rows-00000.jsonl").exists() or len(_lines(run)) < 10:
        assert child.poll() is None
        time.sleep(0.01)  # not for luck: until it has so many
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = _lines(run)
    report = herogen_async.run(heroes(), run=run.path)
    assert (WANTED, WANTED) == (report.accepted, report.wanted)
    after = _lines(run)
    assert before == after[: len(before)]
    assert len(after) == len({(line["key"], line.get("ask")) for line in after})
    return run


def _lines(run: RunFolder) -> list[dict[str, object]]:
    return [line.record for line in read_rows(run)]


def assembled(run: RunFolder, name: str) -> Assembled:
    return herogen_async.assemble(run.path, format=name, truncated="keep", out=run.path / name)


def test_exactly_so_many_rows_are_accepted_through_a_kill(tmp_path: Path, weights: Weights) -> None:
    """Assembled as conversations, and as preference pairs of the same rows."""
    run = killed_and_resumed(tmp_path)
    messages = assembled(run, "messages")
    rows = [codec.loads(line) for line in messages.data.read_bytes().splitlines()]
    accepted = [row for row in herogen_async.rows(run.path) if row["accepted"]][:WANTED]
    kept = [
        answer["response_txt"].strip()
        for row in accepted
        for answer, verdict in zip(row["columns"]["hero"], row["columns"]["verdict"], strict=True)
        if verdict["value"]["score"] >= 3 and answer["response_txt"].strip()
    ]
    assert kept == [row["messages"][-1]["content"] for row in rows]
    assert len(rows) >= WANTED
    pairs = assembled(run, "dpo")
    for line in pairs.data.read_bytes().splitlines():
        pair = codec.loads(line)
        assert pair["chosen"].removesuffix(" END").strip() in kept
        assert pair["chosen"] != pair["rejected"]
    assert pairs.written > 0


@pytest.mark.train
def test_a_model_is_tuned_with_the_accepted_rows(tmp_path: Path, weights: Weights) -> None:
    """A few steps of a tiny one, on this machine."""
    pytest.importorskip("torch")
    from herogen_async.data.dataset.recipe import Recipe
    from herogen_async.tune.finetune.local import LocalBackend
    from herogen_async.tune.finetune.records import JobState, TuneRequest
    from support.tiny_models import tiny_llama

    made = assembled(killed_and_resumed(tmp_path), "prompt-completion")
    rows = [codec.loads(line) for line in made.data.read_bytes().splitlines()]
    model = tiny_llama(tmp_path / "tiny", [row["prompt"] + row["completion"] for row in rows])
    order = TuneRequest("local", str(model), made.data, Recipe(), epochs=1, learning_rate=5e-3)
    backend = LocalBackend(tmp_path / "001")

    async def tuned() -> JobState:
        await backend.check(order)
        await backend.create(order, {"training": await backend.upload(order.training, "train.jsonl")}, "tune-1")
        async with asyncio.timeout(300):
            while (state := await backend.job("tune-1")).status == "running":
                await asyncio.sleep(0.05)
        return state

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    state = asyncio.run(tuned())
    assert ("succeeded", None) == (state.status, state.error)
