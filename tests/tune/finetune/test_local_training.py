"""Fine-tuning on this machine, without torch: what a folder says of its job, and a real child that trains nothing."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError, RunInUse
from herogen_async.data.dataset.recipe import MESSAGES, Recipe
from herogen_async.tune.finetune.local import LocalBackend, event_log, feasibility, memory
from herogen_async.tune.finetune.local.base_model import LocalModel, find_base_model
from herogen_async.tune.finetune.local.job_folder import TuneFolder, drop_unfinished, holder_of, is_training, take_lock
from herogen_async.tune.finetune.local.trainer_run import explained
from herogen_async.tune.finetune.records import JobState, TuneRequest
from support.fake_trainer import STEPS
from support.places import TESTS

FAKE = TESTS / "support" / "fake_trainer.py"
TAG = "tune-1"
DEADLINE_S = 30.0
SMOLLM = memory.ModelShape(134_515_008, 30, 576, 1536, 49152, 9, 3, 8192)
FILES = {"training": "rows.jsonl"}

pytestmark = pytest.mark.anyio


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "001", trainer=FAKE)


@pytest.fixture
def folder(tmp_path: Path) -> TuneFolder:
    return TuneFolder(tmp_path / "001" / "local")


def model_folder(path: Path) -> Path:
    path.mkdir()
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "vocab_size": 9}
    (path / "config.json").write_text(json.dumps(sizes | {"num_attention_heads": 2}))
    for name in ("model.safetensors", "tokenizer.json"):
        (path / name).touch()
    return path


def order(tmp_path: Path, does: str = "learns", **changed: Any) -> TuneRequest:
    path = tmp_path / "rows.jsonl"
    if not path.exists():
        path.write_text('{"prompt": "a ->", "completion": " b END"}\n' * 12)
        model_folder(tmp_path / "model")
    known = TuneRequest("local", str(tmp_path / "model"), path, Recipe(), suffix=does)
    return replace(known, **changed)


async def begun(backend: LocalBackend, what: TuneRequest) -> JobState:
    await backend.upload(what.training, "rows.jsonl")
    return await backend.create(what, FILES, TAG)


async def until(backend: LocalBackend, *status: str) -> JobState:
    async with asyncio.timeout(DEADLINE_S):
        while (state := await backend.job(TAG)).status not in status:
            await asyncio.sleep(0.02)
    return state


async def at_step(backend: LocalBackend, step: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not any(checkpoint.step == step for checkpoint in await backend.checkpoints(TAG)):
            await asyncio.sleep(0.02)


async def freed(folder: TuneFolder) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while is_training(folder):
            await asyncio.sleep(0.02)


class TestWithARealChild:
    pytestmark = pytest.mark.slow

    async def test_it_trains_in_a_process_of_its_own(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it said can be read by anybody, and no key was handed on to it."""
        for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
            monkeypatch.setenv(name, "canary")
        assert (await begun(backend, order(tmp_path))).status in ("running", "succeeded")  # it may be over by now
        state = await until(backend, "succeeded", "failed", "interrupted")

        assert ("succeeded", None) == (state.status, state.error)
        assert (STEPS, STEPS, 0.0) == tuple(state.detail[name] for name in ("step", "total_steps", "train_loss"))
        events = await backend.events(TAG)
        assert "Trainer started." == events[0].message
        assert [1, 2, 3] == [event.metrics["step"] for event in events if event.kind == "metrics"]
        assert events[2:] == await backend.events(TAG, after=events[1].event_id)
        (checkpoint,) = await backend.checkpoints(TAG)
        assert (STEPS, 0.0) == (checkpoint.step, checkpoint.metrics["train_loss"])
        environment = json.loads((folder.path / "environment.json").read_text())
        assert "canary" not in environment.values()
        assert "1" == environment["HF_HUB_OFFLINE"]
        assert state == await LocalBackend(tmp_path / "001").find_job(FILES, TAG)

    async def test_a_cancelled_trainer_keeps_a_checkpoint(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path
    ) -> None:
        """And a second one is refused while it lives."""
        await begun(backend, order(tmp_path, "waits"))
        await at_step(backend, 1)
        pid = holder_of(folder)["pid"]
        assert os.getsid(pid) != os.getsid(0)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        with pytest.raises(RunInUse, match=f"trainer process {pid}"):
            await backend.revive(TAG)

        state = await backend.cancel(TAG)

        assert "cancelled" == state.status
        assert [1] == [checkpoint.step for checkpoint in await backend.checkpoints(TAG)]
        await freed(folder)

    async def test_a_killed_trainer_is_told_and_goes_on_from_its_last_checkpoint(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path
    ) -> None:
        """No step is trained twice that a checkpoint holds."""
        await begun(backend, order(tmp_path, "waits"))
        await at_step(backend, 1)
        os.kill(holder_of(folder)["pid"], signal.SIGKILL)
        state = await until(backend, "interrupted")
        assert "after step 1 of 3" in (state.error or "")
        assert "memory" in (state.error or "")
        assert "'the fake trainer waits'" in (state.error or "")
        assert "smaller batch" in (state.fix or "")

        await backend.revive(TAG)

        assert "succeeded" == (await until(backend, "succeeded", "failed", "interrupted")).status
        steps = [event.metrics["step"] for event in await backend.events(TAG) if event.kind == "metrics"]
        assert [1, 2, 3] == steps

    @pytest.mark.parametrize(
        ("does", "said"),
        [
            ("fails", ("the trainer failed: RuntimeError: the sky fell", "trainer.log")),
            ("refuses", ("it does not fit", "take less")),
        ],
    )
    async def test_a_trainer_that_fails_says_why(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path, does: str, said: tuple[str, str]
    ) -> None:
        """A refusal without a traceback, a mistake with one in its log."""
        error, fix = said
        await begun(backend, order(tmp_path, does))
        state = await until(backend, "succeeded", "failed", "interrupted")

        assert "failed" == state.status
        assert error in (state.error or "")
        assert fix in (state.fix or "")
        assert ("Traceback" in folder.log.read_text()) == (does == "fails")
        assert state == await backend.revive(TAG)


def written(folder: TuneFolder, *records: dict[str, Any], torn: bytes = b"") -> None:
    """A folder as a trainer may have left it."""
    folder.path.mkdir(parents=True)
    model = {"kind": "gguf", "path": "/w.gguf", "name": "w", "sha256": "a"}
    folder.config.write_text(json.dumps({"tag": TAG, "model": model, "method": "lora"}))
    lines = [json.dumps({"kind": "started", "message": ""}), *map(json.dumps, records)]
    folder.events.write_bytes("".join(line + "\n" for line in lines).encode() + torn)


class TestWhatAFolderSays:
    async def test_a_held_lock_means_running_and_a_free_one_interrupted(
        self, backend: LocalBackend, folder: TuneFolder
    ) -> None:
        """Whatever the events say last."""
        written(folder, {"kind": "metrics", "message": "", "metrics": {"step": 4, "total_steps": 9}})
        assert "interrupted" == (await backend.job(TAG)).status
        lock = take_lock(folder)
        assert ("running", 4) == ((await backend.job(TAG)).status, (await backend.job(TAG)).detail["step"])
        os.close(lock)

    async def test_a_revived_job_is_not_over_because_it_ended_before(
        self, backend: LocalBackend, folder: TuneFolder
    ) -> None:
        """What counts is what came after the last start."""
        written(folder, {"kind": "end", "message": "", "status": "cancelled"}, {"kind": "started", "message": ""})
        assert "interrupted" == (await backend.job(TAG)).status

    async def test_an_interrupted_job_can_be_cancelled(self, backend: LocalBackend, folder: TuneFolder) -> None:
        """Nobody lives who could be told."""
        written(folder)
        assert "cancelled" == (await backend.cancel(TAG)).status
        assert "cancelled" == (await backend.revive(TAG)).status

    @pytest.mark.parametrize("size", [1, 7, 20, None])
    async def test_a_torn_event_is_not_read_and_never_fused_with_the_next(
        self, backend: LocalBackend, folder: TuneFolder, size: int | None
    ) -> None:
        """Wherever a kill tore it."""
        written(folder, torn=b'{"kind":"end","status":"succeeded","message":""}'[:size])
        assert 1 == len(await backend.events(TAG))
        log = event_log.EventLog(folder.events, MonotonicClock())
        log.append("message", "later")
        log.close()
        assert ["", "later"] == [event.message for event in await backend.events(TAG)]

    async def test_the_base_models_loss_is_the_one_before_the_first_step(
        self, backend: LocalBackend, folder: TuneFolder
    ) -> None:
        """Later ones are the tuned model's."""
        losses = [{"step": 0, "valid_loss": 2.5}, {"step": 9, "valid_loss": 1.5}]
        written(folder, *({"kind": "metrics", "message": "", "metrics": known} for known in losses))
        detail = (await backend.job(TAG)).detail
        assert (2.5, 1.5) == (detail["base_valid_loss"], detail["valid_loss"])

    async def test_what_came_out_is_the_adapter_that_the_embedded_server_loads(
        self, backend: LocalBackend, folder: TuneFolder
    ) -> None:
        """Or PEFT's folder and the command to serve it, where there is none."""
        written(folder, {"kind": "end", "message": "", "status": "succeeded"})
        folder.adapter_gguf.touch()
        assert str(folder.adapter_gguf) == (await backend.job(TAG)).model

    async def test_nothing_is_started_before_what_was_asked_is_written(
        self, backend: LocalBackend, folder: TuneFolder
    ) -> None:
        """No config, no job."""
        assert None is await backend.find_job(FILES, TAG)
        written(folder)
        assert None is await backend.find_job(FILES, "another")
        assert "interrupted" == getattr(await backend.find_job(FILES, TAG), "status", None)
        with pytest.raises(InputError, match="no fine-tune 'another'"):
            await backend.job("another")

    async def test_what_was_asked_is_written_with_a_value_for_each_setting(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path
    ) -> None:
        """The trainer reads config.json alone; its keys and their order are those of 0.1.0."""
        await begun(backend, order(tmp_path, "fails", epochs=3))
        config = json.loads(folder.config.read_text())
        first = ["version", "tag", "model", "shape", "format", "training", "validation"]
        settings = {
            "method": "lora",
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 5e-4,
            "seed": 17,
            "suffix": "fails",
        }
        assert [*first, *settings] == list(config)
        assert settings == {name: config[name] for name in settings}
        await until(backend, "failed")

    async def test_a_folder_takes_one_fine_tune(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path
    ) -> None:
        """A second create is refused."""
        written(folder)
        with pytest.raises(InputError, match="already started"):
            await backend.create(order(tmp_path), FILES, "tune-2")

    async def test_rows_are_own_copies_and_found_by_name_and_size(
        self, backend: LocalBackend, folder: TuneFolder, tmp_path: Path
    ) -> None:
        """A later edit of the user's file changes nothing."""
        mine = tmp_path / "mine.jsonl"
        mine.write_text("one")
        assert "t.jsonl" == await backend.upload(mine, "t.jsonl")
        mine.write_text("other")
        assert "one" == (folder.data / "t.jsonl").read_text()
        assert "t.jsonl" == await backend.find_upload("t.jsonl", 3)
        assert None is await backend.find_upload("t.jsonl", 5)
        with pytest.raises(InputError, match="invalid file name"):
            await backend.upload(mine, "../t.jsonl")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError(), "interrupted", "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "interrupted", "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "interrupted", "the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "interrupted", "the disk is full"),
        (OSError(errno.EIO, "Input/output error"), "failed", "the trainer failed: OSError"),
    ],
)
def test_what_a_person_can_mend_is_gone_on_from(error: Exception, status: str, said: str) -> None:
    """Too little memory or disk is an interruption, all else a failure."""
    told = explained(error, Path("log"))
    assert status == told[0]
    assert said in told[1]
    assert ("to continue" in (told[2] or "")) == (status == "interrupted")


def test_a_disk_that_is_full_is_asked_where_the_error_does_not_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer of the weights says only that it failed."""
    usage = shutil.disk_usage(".")
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 420864 vs 420756")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    assert "interrupted" == explained(error, Path("log"))[0]


def test_what_only_half_fitted_on_the_disk_is_taken_back(tmp_path: Path) -> None:
    """Else the next event would be a part of its line, and neither could be read."""
    log = event_log.EventLog(tmp_path / "events.jsonl", MonotonicClock())
    log.append("message", "one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "events.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            log.append("message", "two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.append("message", "three")
    log.close()
    assert ["one", "three"] == [
        record["message"] for _, record in event_log.read_event_lines(tmp_path / "events.jsonl")
    ]


def test_checkpoints_that_were_not_finished_go_and_the_others_stay(folder: TuneFolder) -> None:
    """What has no event was not finished."""
    for step in (1, 2):
        place = folder.checkpoints / f"checkpoint-{step}"
        place.mkdir(parents=True)
        (place / "trainer_state.json").write_text("{}")
    log = event_log.EventLog(folder.events, MonotonicClock())
    log.append("checkpoint", "kept", step=1)
    log.close()
    drop_unfinished(folder)
    assert ["checkpoint-1"] == [path.name for path in folder.checkpoints.iterdir()]


@pytest.mark.slow
async def test_an_interrupted_trainer_runs_until_its_lock_is_free(
    backend: LocalBackend, folder: TuneFolder, tmp_path: Path
) -> None:
    """It holds the lock for a while after its last word, and the next one before its first."""
    await begun(backend, order(tmp_path))
    await until(backend, "succeeded")
    await freed(folder)
    lock = take_lock(folder)
    log = event_log.EventLog(folder.events, MonotonicClock())
    log.append("end", "full", status="interrupted", error="the disk is full")
    log.close()
    assert "running" == (await backend.job(TAG)).status
    os.close(lock)
    assert "the disk is full" == (await backend.job(TAG)).error
    revived = await backend.revive(TAG)
    assert revived.status in ("running", "succeeded")  # so short a life may be over before it is looked at
    assert "succeeded" == (await until(backend, "succeeded")).status


@pytest.mark.parametrize("changed", [{"num_attention_heads": 0}, {"hidden_size": "8"}, {"vocab_size": None}])
def test_a_size_that_is_none_is_not_reckoned_with(tmp_path: Path, changed: dict[str, Any]) -> None:
    """A model's files may lack one, or hold nonsense."""
    model = model_folder(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | changed))
    assert None is find_base_model(str(model), lambda _: None).shape


def test_weights_without_their_sizes_are_refused(tmp_path: Path) -> None:
    """They are not whole."""
    weights = tmp_path / "w.gguf"
    name, llama = b"general.architecture", b"llama"
    pair = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(llama)) + llama
    weights.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + pair)
    with pytest.raises(InputError, match="does not give the model's size"):
        find_base_model(str(weights), lambda _: None)


class TestWhatIsLookedAtFirst:
    def look(self, tmp_path: Path, **changed: Any) -> list[str]:
        what = order(tmp_path, **changed)
        model = LocalModel("gguf", Path("w.gguf"), "w", "a", changed.pop("shape", SMOLLM))
        return feasibility.look(what, model, tmp_path / "not" / "there" / "yet")

    def test_memory_and_time_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything is written."""
        monkeypatch.setattr(feasibility, "gpu_is_used", lambda: False)
        monkeypatch.setattr(memory, "free_bytes", lambda: 10**11)
        monkeypatch.setattr(feasibility, "usable_cores", lambda: 2)
        space, time = self.look(tmp_path, epochs=3)
        assert space.endswith("of 100.0 GB free.")
        assert "About 1 min on 2 cores for 12 rows x 3 epochs." == time

    def test_a_batch_that_does_not_fit_is_computed_in_parts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the same result."""
        monkeypatch.setattr(feasibility, "gpu_is_used", lambda: False)
        two = memory.peak_bytes(SMOLLM, "lora", 2, 11)
        monkeypatch.setattr(memory, "free_bytes", lambda: int(two * 1.101))
        assert "Batches of 8 rows are computed 2 rows at a time; the result is the same." in self.look(tmp_path)[0]

    def test_a_model_that_does_not_fit_is_refused_with_figures(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it takes, and what is free."""
        monkeypatch.setattr(feasibility, "gpu_is_used", lambda: False)
        monkeypatch.setattr(memory, "free_bytes", lambda: 500_000_000)
        with pytest.raises(InputError, match=r"needs about \d\.\d GB even with one row of 11 tokens .* 0\.5 GB free"):
            self.look(tmp_path)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"method": "dpo"}, "method can't be 'dpo'"),
            ({"epochs": 0}, "epochs can't be 0"),
            ({"batch_size": -1}, "batch-size can't be -1"),
            ({"learning_rate": 5.0}, r"learning-rate can't be 5\.0"),
            ({"recipe": Recipe(format="alpaca")}, "valid formats: prompt-completion, messages"),
            ({"recipe": Recipe(format=MESSAGES)}, "rows.jsonl:1: row has no messages"),
            ({"training": Path("gone.jsonl")}, "can't read 'gone.jsonl'"),
        ],
    )
    def test_what_can_not_be_trained_is_refused(self, tmp_path: Path, changed: dict[str, Any], said: str) -> None:
        """With what can be."""
        with pytest.raises(InputError, match=said):
            self.look(tmp_path, **changed)

    def test_fewer_than_ten_rows_and_a_line_that_is_no_json_are_refused(self, tmp_path: Path) -> None:
        """The line is named."""
        few = tmp_path / "few.jsonl"
        few.write_text('{"prompt": "a", "completion": "b"}\n' * 9)
        with pytest.raises(InputError, match="has 9 rows; a fine-tune needs at least 10"):
            self.look(tmp_path, training=few)
        few.write_text('{"prompt": "a", "completion": "b"}\n{"prompt"\n')
        with pytest.raises(InputError, match=r"few\.jsonl:2: line is not JSON"):
            self.look(tmp_path, training=few)

    def test_a_disk_that_is_too_full_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Checkpoints are large."""
        monkeypatch.setattr(memory, "disk_bytes", lambda *_: 10**18)
        with pytest.raises(InputError, match="checkpoints"):
            self.look(tmp_path)

    def test_without_the_extra_one_command_is_named(self) -> None:
        """The one that installs it."""
        with pytest.raises(InputError, match="not installed: not_a_package") as caught:
            feasibility.require_packages(("json", "not_a_package"))
        assert (caught.value.fix or "").startswith("pip install 'herogen-async[train]'")

    def test_a_talk_is_counted_by_its_messages(self, tmp_path: Path) -> None:
        """Roles are tokens, too."""
        talk = [{"role": "user", "content": "x" * 30}, {"role": "assistant", "content": "y" * 27}]
        path = tmp_path / "talks.jsonl"
        path.write_text(json.dumps({"messages": talk}) + "\n")
        assert feasibility.MeasuredRows(1, 26, 26) == feasibility.measure_rows(path, MESSAGES)

    @pytest.mark.parametrize(
        ("removed", "said"),
        [
            ("config.json", "config.json: No such file"),
            ("model.safetensors", r"model: no weights \(\*\.safetensors\)"),
            ("tokenizer.json", "model: no tokenizer"),
        ],
    )
    def test_a_folder_that_is_no_whole_model_says_what_it_lacks(self, tmp_path: Path, removed: str, said: str) -> None:
        """Its weights, its tokenizer or its settings."""
        path = model_folder(tmp_path / "m")
        assert 9 == getattr(find_base_model(str(path), lambda _: None).shape, "vocabulary", 0)
        (path / removed).unlink()
        with pytest.raises(InputError, match=said):
            find_base_model(str(path), lambda _: None)
        with pytest.raises(InputError, match="no such folder"):
            find_base_model(str(tmp_path / "gone"), lambda _: None)

    def test_memory_grows_with_rows_and_tokens_and_full_training_takes_more(self) -> None:
        """As it was measured."""
        one = memory.peak_bytes(SMOLLM, "lora", 1, 192)
        assert one < memory.peak_bytes(SMOLLM, "lora", 8, 192) < memory.peak_bytes(SMOLLM, "lora", 8, 256)
        assert one < memory.peak_bytes(SMOLLM, "full", 1, 192)
        assert 4_884_480 == SMOLLM.lora_parameters

    def test_only_sizes_that_divide_the_batch_are_taken(self) -> None:
        """So that the parts of a batch add up to it."""
        just_five = int(memory.peak_bytes(SMOLLM, "lora", 5, 500) * 1.11)
        assert 3 == memory.fitting_batch(SMOLLM, "lora", batch=6, tokens=500, free=just_five)
        assert 0 == memory.fitting_batch(SMOLLM, "lora", batch=6, tokens=500, free=10**8)


def test_torch_stays_out_of_this_process() -> None:
    """It takes seconds and a gigabyte."""
    script = "import herogen_async.tune.finetune.local, sys; print({'torch', 'transformers'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "set()" == said.strip()
