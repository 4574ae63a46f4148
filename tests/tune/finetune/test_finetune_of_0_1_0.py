"""Fine-tunes that release 0.1.0 began go on, and the log that is written today is that release's, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_finetune_chain import assert_done_once, tune, write_rows

from herogen_async.core import codec
from support.places import TESTS
from support.tuning_backend import Service

# What 0.1.0 wrote of this very fine-tune (rows, held-out rows, options) from its order to its model.
WHOLE = (TESTS / "tune/finetune/begun_with_0_1_0/steps.jsonl").read_bytes().splitlines(keepends=True)
OPTIONS: dict[str, Any] = {"epochs": 2, "suffix": "heroes"}
TAG = codec.loads(WHOLE[0])["tag"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    write_rows(tmp_path / "held.jsonl", first=100, count=2)
    return write_rows(tmp_path / "rows.jsonl")


def service_after(lines: list[bytes], *, arrived: bool) -> Service:
    """What is at the service when a process was killed after `lines`; `arrived`: what lies open had arrived."""
    service = Service()
    sizes = {role: each["bytes"] for role, each in codec.loads(WHOLE[0])["files"].items()}
    steps = [codec.loads(line) for line in lines]
    for number, step in enumerate(steps, start=1):
        if step["step"] != "intent" or (number == len(steps) and not arrived):
            continue
        what, _, role = step["call"].partition(" ")
        if what == "upload":
            service.files[f"file-{len(service.files) + 1}"] = (f"{TAG}-{role}.jsonl", sizes[role], 0.0)
        else:
            service.jobs["job-1"] = (TAG, "file-1", 0.0)
    return service


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize("lines", range(1, len(WHOLE) + 1))
def test_a_fine_tune_that_0_1_0_began_goes_on_and_repeats_nothing(rows: Path, lines: int, arrived: bool) -> None:
    """Killed after any of its steps, whether what it was asking for had arrived or not."""
    log = rows.with_name("rows.finetune") / "001" / "steps.jsonl"
    log.parent.mkdir(parents=True)
    begun = b"".join(WHOLE[:lines])
    log.write_bytes(begun)
    service = service_after(WHOLE[:lines], arrived=arrived)
    assert_done_once(rows, service, tune(rows, service, **OPTIONS))
    assert log.read_bytes().startswith(begun)
    assert [log.parent] == list(log.parent.parent.iterdir())


def test_the_log_is_0_1_0s_byte_for_byte(rows: Path) -> None:
    """The same names, keys, order and checksums; only the tag is each fine-tune's own."""
    tune(rows, Service(), **OPTIONS)
    first, *others = (rows.with_name("rows.finetune") / "001" / "steps.jsonl").read_bytes().splitlines(keepends=True)
    begun = codec.loads(first)
    own = begun["tag"]
    del begun["crc"]
    assert WHOLE == [codec.sealed_line({**begun, "tag": TAG}), *others]
    assert len(TAG) == len(own)
