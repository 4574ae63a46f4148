"""What a fine-tune shows while it runs, and which model a name means afterwards."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from herogen_async.core.clock import VirtualClock
from herogen_async.core.errors import EndpointRefused, InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint import fine_tuning
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.intents import IntentLog
from herogen_async.lab.simulator import Policy, serve
from herogen_async.lab.simulator import TuningPolicy as Simulated
from herogen_async.tune.finetune.hosted import HostedBackend, job_body
from herogen_async.tune.finetune.log_steps import MODEL
from herogen_async.tune.finetune.model_registry import find_tuned, last_finetune, model_step
from herogen_async.tune.finetune.records import JobEvent, TunedModel, TuneRequest
from herogen_async.tune.finetune.tuning_progress import TuningProgress, TuningStory
from herogen_async.view.terminal.finetune_view import PlainTuning, draw_tuning, sparkline
from support.fake_server import FakeServer, error

POINTS = tuple({"step": float(n), "total_steps": 20.0, "train_loss": 3.0 - n / 10} for n in range(1, 11))
MOMENT = TuningProgress(
    name="runs/heroes/finetune/001",
    backend="openai",
    model="m",
    phase="running",
    job_id="job-1",
    points=(*POINTS, {"step": 10.0, "valid_loss": 2.25}),
    events=(JobEvent("1", 0.0, "begun\x1b[2J"),),
    elapsed_s=12.0,
    to_go_s=12.0,
)


def test_the_panel_shows_how_far_it_is_the_losses_and_the_last_events() -> None:
    """And no escape sequence of a service's."""
    screen = StringIO()
    Console(file=screen, width=96, color_system=None).print(draw_tuning(MOMENT, 92))
    shown = screen.getvalue()
    for what in ("10 / 20  50 %", "training", "loss 2", "held-out loss 2.25", "ETA 12.0 s", "begun", "job-1", "█"):
        assert what in shown
    assert "\x1b" not in shown
    assert 92 == max(map(len, shown.splitlines()))


def test_plain_lines_come_with_each_change_of_status_and_each_event_once() -> None:
    """Where there is no terminal."""
    lines: list[str] = []
    view = PlainTuning(lines.append)
    view.state(MOMENT)
    view.state(MOMENT)
    assert ["  begun\x1b[2J", lines[1]] == lines  # `say` takes the escape out
    assert lines[1].startswith("training, step 10 of 20, loss 2, held-out loss 2.25")


def test_a_curve_is_as_wide_as_it_may_be_and_falls_as_its_values_do() -> None:
    """Of many values each bar is a mean."""
    assert "█▅▁" == sparkline([3.0, 2.0, 1.0], 10)
    assert 8 == len(sparkline([float(n) for n in range(1000)], 8))
    assert "▁" == sparkline([1.0], 5)


def test_the_time_left_follows_the_pace_of_the_steps() -> None:
    """What is left is told from the seconds that the steps so far took."""
    story = TuningStory("001", "openai", "m")
    told = [
        JobEvent(str(n), 10.0 * n, "", kind="metrics", metrics={"step": float(n), "total_steps": 10.0})
        for n in range(1, 4)
    ]
    story.add(told)
    assert 70.0 == story.to_go_s(0.0)
    assert 65.0 == story.to_go_s(5.0)


def tuned(folder: Path, name: str) -> TunedModel:
    """A model, as its fine-tune writes it down."""
    model = TunedModel(
        name, "openai", "m", Recipe(attributes={"age": ("20",)}), folder, training=folder.parent.parent / "rows.jsonl"
    )
    with IntentLog.open(folder, VirtualClock._epoch) as log:
        log.append({"step": "order", "tag": "t", "settings": {}, "files": {}})
        log.append({**model_step(model), "step": MODEL})
    return model


def test_a_model_is_found_by_its_file_its_folder_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after its folder was moved: paths are kept from there on."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").touch()
    place = Path("rows.finetune")
    tuned(place / "001", "ft:one")
    two = tuned(place / "002", "ft:two")
    with IntentLog.open(place / "003", VirtualClock._epoch) as log:  # one that made nothing yet
        log.append({"step": "order", "tag": "t", "settings": {}, "files": {}})
    assert ["ft:two", "ft:two", "ft:one", "ft:one"] == [
        find_tuned(word).name for word in ("rows.jsonl", "rows.finetune", "rows.finetune/001", "ft:one")
    ]
    assert two == find_tuned("ft:two")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    place.rename(moved / "rows.finetune")
    found = last_finetune(moved / "rows.finetune")
    assert found is not None
    assert moved / "rows.jsonl" == found.training
    with pytest.raises(InputError, match="no tuned model named 'ft:two'"):
        find_tuned("ft:two")


def test_only_what_was_set_is_sent() -> None:
    """So each service does what it does by itself."""
    order = TuneRequest("openai", "m", Path("rows.jsonl"), Recipe())
    assert {"model": "m", "training_file": "f", "metadata": {"herogen": "tag"}} == job_body(
        order, {"training": "f"}, "tag"
    )
    more = TuneRequest("openai", "m", Path("rows.jsonl"), Recipe(), epochs=2, method="supervised", suffix="s")
    body = job_body(more, {"training": "f", "validation": "v"}, "tag")
    assert ("v", "s") == (body["validation_file"], body["suffix"])
    assert {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}} == body["method"]


@pytest.mark.anyio
async def test_a_file_too_large_for_one_call_goes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is found by its name and size."""
    monkeypatch.setattr(fine_tuning, "WHOLE_FILE_BYTES", 100)
    monkeypatch.setattr(fine_tuning, "PART_BYTES", 64)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"x" * 150)
    async with serve(Policy(tuning=Simulated())) as server, HostedBackend(Server(server.url)) as backend:
        made = await backend.upload(file, "herogen-1-training.jsonl")
        assert made == await backend.find_upload("herogen-1-training.jsonl", 150)
        assert await backend.find_upload("herogen-1-training.jsonl", 151) is None
        assert await backend.find_upload("herogen-2-training.jsonl", 150) is None


@pytest.mark.anyio
async def test_a_service_may_lack_events_checkpoints_and_models() -> None:
    """Many have files and jobs alone."""
    with FakeServer(lambda _: error(404, message="no such path")) as server:
        async with HostedBackend(Server(server.url)) as backend:
            assert [] == await backend.events("job-1")
            assert [] == await backend.checkpoints("job-1")
            assert [] == await backend.check(TuneRequest("openai", "m", Path("rows.jsonl"), Recipe("messages")))


@pytest.mark.anyio
async def test_what_is_no_fine_tuning_service_is_told_by_its_fix() -> None:
    """The fix for a server of completions would not help; a job that is gone is no wrong address."""
    request = TuneRequest("openai", "m", Path("rows.jsonl"), Recipe("messages"))
    for status, helps in ((405, True), (404, False)):
        with FakeServer(lambda _: error(status, message="no")) as server:  # noqa: B023
            async with HostedBackend(Server(server.url)) as backend:
                with pytest.raises(EndpointRefused) as refused:
                    await backend.create(request, {"training": "f"}, "tag")
        assert helps == ("no fine-tuning service answers there" in (refused.value.fix or ""))


@pytest.mark.anyio
async def test_p13_a_key_that_the_service_echoes_is_hidden_in_what_is_kept(tmp_path: Path) -> None:
    """Services echo what they were sent."""
    key = "a-word-that-is-secret"
    (tmp_path / "rows.jsonl").write_text("{}\n")
    async with (
        serve(Policy(tuning=Simulated(train_s=600.0))) as server,
        HostedBackend(Server(server.url, key)) as backend,
    ):
        order = TuneRequest("openai", "m", tmp_path / "rows.jsonl", Recipe("messages"), suffix=key)
        files = {"training": await backend.upload(order.training, "rows.jsonl")}
        assert key not in str(await backend.create(order, files, "tag"))
