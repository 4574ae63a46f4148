"""The chain under kills and lost answers: never two uploads or jobs, and it ends with the model."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import (
    ConnectionFailed,
    DamageError,
    EndpointRefused,
    HerogenError,
    InputError,
    RateLimited,
    RequestTimeout,
    RunInUse,
    ServerFault,
)
from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.intents import IntentLog, read_steps
from herogen_async.generation.observer import Guarded, Observer
from herogen_async.tune.finetune.finetune_result import FinetuneResult
from herogen_async.tune.finetune.launch import Launch
from herogen_async.tune.finetune.model_registry import find_tuned
from herogen_async.tune.finetune.records import FAILED, Checkpoint, JobEvent, JobState
from herogen_async.tune.finetune.tuning_observer import TuneWatch
from herogen_async.tune.finetune.tuning_progress import TuningProgress
from herogen_async.tune.options import FinetuneOptions
from support.mortal_process import Killed, MortalDisk, Power
from support.tuning_backend import FakeBackend, Service


def write_rows(path: Path, *, first: int = 0, count: int = 10) -> Path:
    """Rows of messages."""
    rows = [
        {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": f"Hero {n}."}]}
        for n in range(first, first + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    write_rows(tmp_path / "held.jsonl", first=100, count=2)
    return write_rows(tmp_path / "rows.jsonl")


def launch(
    rows: Path, service: Service, power: Power | None = None, *, said: list[str] | None = None, **wish: Any
) -> Launch:
    power = power or Power()
    known = {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    return Launch(
        str(rows),
        FinetuneOptions.of({**known, "validation": rows.with_name("held.jsonl"), **wish}),
        observer=TuneWatch(on_notice=(said if said is not None else []).append),
        clock=VirtualClock(),
        environment={},
        backend=FakeBackend(service, power),
        disk=MortalDisk(power),
    )


def tune(rows: Path, service: Service, power: Power | None = None, **wish: Any) -> FinetuneResult:
    return run_virtual(launch(rows, service, power, **wish).run())


def assert_done_once(rows: Path, service: Service, outcome: FinetuneResult) -> None:
    assert 0 == outcome.exit_code
    assert (2, 1) == (len(service.files), len(service.jobs))
    assert "ft:tuned" == find_tuned(str(rows)).name


def test_a_process_killed_at_any_step_repeats_nothing(rows: Path) -> None:
    """Wherever it ends, the next command goes on to the model: two uploads and one job in all."""
    whole = Power()
    tune(rows, Service(), whole)
    assert 40 < whole.steps
    for ends_at in range(1, whole.steps + 1):
        place = rows.with_name(f"rows-{ends_at}.jsonl")
        place.write_bytes(rows.read_bytes())
        service = Service()
        with pytest.raises(Killed):
            tune(place, service, Power(ends_at))
        assert_done_once(place, service, tune(place, service))


def test_being_killed_again_and_again_repeats_nothing_either(rows: Path) -> None:
    """Nor do four kills of the same fine-tune, at random steps."""
    chance = random.Random(7)
    for number in range(15):
        place, service = rows.with_name(f"rows-{number}.jsonl"), Service()
        place.write_bytes(rows.read_bytes())
        for _ in range(4):
            try:
                tune(place, service, Power(chance.randint(1, 40)))
            except Killed:
                continue
        assert_done_once(place, service, tune(place, service))


@pytest.mark.parametrize("loss", ["answer", "late", "call", "refusal", "rate", "not sent"])
@pytest.mark.parametrize("call", ["upload", "create"])
def test_a_lost_answer_is_looked_for_before_anything_is_asked_again(rows: Path, call: str, loss: str) -> None:
    """In the same process, too, and however the call failed."""
    unsent = ConnectionFailed("refused")
    unsent.sent = False
    losses: dict[str, str | HerogenError] = {
        "refusal": ServerFault("HTTP 503"),
        "rate": RateLimited("HTTP 429"),
        "not sent": unsent,
    }
    service = Service(loses={call: [losses.get(loss, loss)]})
    assert_done_once(rows, service, tune(rows, service))


def test_an_answer_that_is_lost_and_a_kill_right_after_it_repeat_nothing(rows: Path) -> None:
    """The worst of both: the service has the job, and nobody lives who was told."""
    losses: dict[str, list[str | HerogenError]] = {"upload": ["answer"], "create": ["late"]}
    whole = Power()
    tune(write_rows(rows.with_name("whole.jsonl")), Service(loses=deepcopy(losses)), whole)
    for ends_at in range(2, whole.steps, 2):
        place = rows.with_name(f"rows-{ends_at}.jsonl")
        service = Service(loses=deepcopy(losses))
        place.write_bytes(rows.read_bytes())
        with pytest.raises(Killed):
            tune(place, service, Power(ends_at))
        assert_done_once(place, service, tune(place, service))


def test_an_intent_is_on_disk_before_its_call_and_its_result_after(rows: Path) -> None:
    """The log of a whole fine-tune, step by step."""
    tune(rows, Service())
    steps = [(step["step"], step.get("call")) for step in read_steps(rows.with_name("rows.finetune") / "001")]
    assert [
        ("order", None),
        ("intent", "upload training"),
        ("result", "upload training"),
        ("intent", "upload validation"),
        ("result", "upload validation"),
        ("intent", "create"),
        ("result", "create"),
        ("over", None),
        ("model", None),
    ] == steps


def test_where_a_service_cannot_tell_a_person_looks_and_says_which_it_is(rows: Path) -> None:
    """The question names both ways to go on, comes again until it is answered, and adopting ends it."""
    service = Service(loses={"create": ["answer"]}, lists=False)
    with pytest.raises(InputError, match="no list to show") as refused:
        tune(rows, service)
    assert "--adopt ID" in (refused.value.fix or "")
    assert "--resend" in (refused.value.fix or "")
    with pytest.raises(InputError, match="no list to show"):
        tune(rows, service)
    assert_done_once(rows, service, tune(rows, service, adopt="job-1"))


def test_only_a_job_that_is_there_can_be_adopted(rows: Path) -> None:
    """An id that was mistyped would be asked for ever after."""

    class Strict(FakeBackend):
        async def job(self, job_id: str) -> JobState:
            if job_id != "job-1":
                raise EndpointRefused("HTTP 404: no such job", status=404)
            return await super().job(job_id)

    service = Service(loses={"create": ["answer"]}, lists=False)
    with pytest.raises(InputError, match="no list to show"):
        tune(rows, service)
    for job_id, refuses in (("job-l", True), ("job-1", False)):
        begun = launch(rows, service, adopt=job_id)
        begun._given_backend = Strict(service)
        if refuses:
            with pytest.raises(InputError, match="job 'job-l' not found"):
                run_virtual(begun.run())
        else:
            assert_done_once(rows, service, run_virtual(begun.run()))


def test_of_two_commands_that_begin_at_once_one_starts_a_job(rows: Path) -> None:
    """Both found nothing there; the lock and the first step of the log decide."""
    service = Service()
    first, second = launch(rows, service), launch(rows, service)
    assert 0 == run_virtual(first.run()).exit_code
    with pytest.raises(RunInUse, match="has just started"):  # it had found nothing when it looked
        run_virtual(second._begin(second._options))
    assert 1 == len(service.jobs)


def test_a_damaged_fine_tune_hides_none_that_was_begun_after_it(rows: Path) -> None:
    """It is refused by whoever needs it, and by nobody else."""
    service = Service()
    log = tune(rows, service).folder / "steps.jsonl"
    log.write_bytes(b"x" + log.read_bytes())
    with pytest.raises(DamageError):
        tune(rows, service)
    assert "002" == tune(rows, service, new=True).folder.name
    assert ("002", 2) == (tune(rows, service).folder.name, len(service.jobs))


def test_a_job_that_ends_while_it_is_cancelled_is_told_as_it_ended(rows: Path) -> None:
    """The service's refusal to cancel it is no error then."""

    class Ended(FakeBackend):
        async def cancel(self, job_id: str) -> JobState:
            service.over_after = 0
            raise InputError("the service refuses this fine-tune: it has already succeeded")

    service = Service(over_after=10**6)
    tune(rows, service, watch_job=False)
    begun = launch(rows, service)
    begun._given_backend = Ended(service)
    assert "succeeded" == run_virtual(begun.cancel()).status


def test_what_only_tells_of_a_job_keeps_no_model_from_being_recorded(rows: Path) -> None:
    """Events and checkpoints that can't be read cost a sentence each."""

    class Mute(FakeBackend):
        async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
            raise ServerFault("HTTP 500: no events")

        async def checkpoints(self, job_id: str) -> list[Checkpoint]:
            raise ServerFault("HTTP 500: no checkpoints")

    said: list[str] = []
    service = Service(over_after=5)
    begun = launch(rows, service, said=said)
    begun._given_backend = Mute(service)
    assert_done_once(rows, service, run_virtual(begun.run()))
    assert 1 == sum("no events" in line for line in said)
    assert any("no checkpoints" in line for line in said)


def test_resend_asks_again_what_a_person_knows_did_not_arrive(rows: Path) -> None:
    """Where the service has no list, and the person has looked."""
    service = Service(loses={"create": ["call"]}, lists=False)
    with pytest.raises(InputError, match="no list to show"):
        tune(rows, service)
    assert_done_once(rows, service, tune(rows, service, resend=True))


def test_a_service_that_never_answers_is_left_with_what_it_said(rows: Path) -> None:
    """After three attempts; the same command goes on later."""
    service = Service(loses={"create": ["call", "call", "call"]})
    with pytest.raises(ConnectionFailed, match="the connection broke"):
        tune(rows, service)
    assert_done_once(rows, service, tune(rows, service))


def test_a_finished_chain_reports_its_model_again_and_asks_nothing(rows: Path) -> None:
    """The same command again costs no call, whatever is at the service."""
    service = Service()
    tune(rows, service)
    polls, said = service.polls, Power()
    again = tune(rows, service, said)
    assert ("ft:tuned", 0) == (again.tuned and again.tuned.name, again.exit_code)
    assert ["ft:tuned:step-2"] == [each.name for each in again.checkpoints]
    assert (polls, 0) == (service.polls, said.steps)


def test_other_options_are_refused_and_named_and_new_starts_another(rows: Path) -> None:
    """And each fine-tune is found again by its own options."""
    service = Service()
    tune(rows, service, epochs=2)
    with pytest.raises(InputError, match="model is 'm' there, 'other' here; epochs is 2 there, 3 here") as refused:
        tune(rows, service, model="other", epochs=3)
    assert "--new" in (refused.value.fix or "")
    assert "002" == tune(rows, service, model="other", epochs=3, new=True).folder.name
    assert "001" == tune(rows, service, epochs=2).folder.name
    assert 2 == len(service.jobs)


def test_a_file_that_changed_after_its_upload_is_refused(rows: Path) -> None:
    """Its job may be watched all the same, when that is said."""
    service = Service(over_after=10**6)
    tune(rows, service, watch_job=False)
    write_rows(rows, count=11)
    with pytest.raises(InputError, match="the training file has changed since it was uploaded") as refused:
        tune(rows, service)
    assert "--new" in (refused.value.fix or "")
    service.over_after = 0
    assert_done_once(rows, service, tune(rows, service, watch_job=True))


def test_what_a_service_refused_may_be_asked_otherwise(rows: Path) -> None:
    """With the files that are there: nothing is uploaded again."""
    service = Service(loses={"create": [EndpointRefused("no such model", status=404)]})
    with pytest.raises(EndpointRefused):
        tune(rows, service, model="wrong")
    assert_done_once(rows, service, tune(rows, service, model="right"))


def test_a_job_that_failed_is_told_with_its_reason_each_time(rows: Path) -> None:
    """And no model is found by its run's name."""
    service = Service(ends=JobState("", FAILED, None, "line 3 is broken", "mend it"))
    for _ in range(2):
        outcome = tune(rows, service)
        assert (1, "line 3 is broken", "mend it") == (outcome.exit_code, outcome.error, outcome.fix)
    with pytest.raises(InputError, match="has produced no model"):
        find_tuned(str(rows))


def test_cancel_ends_the_job_and_a_job_that_never_began_is_none(rows: Path) -> None:
    """A fine-tune that was killed before its job is over, and costs nothing."""
    service = Service(over_after=10**6)
    tune(rows, service, watch_job=False)
    outcome = run_virtual(launch(rows, service).cancel())
    assert ("cancelled", 0, True) == (outcome.status, outcome.exit_code, service.cancelled)
    assert 1 == tune(rows, service).exit_code
    other = write_rows(rows.with_name("other.jsonl"))
    with pytest.raises(Killed):
        tune(other, service, Power(12))
    assert ("cancelled", None) == ((outcome := run_virtual(launch(other, service).cancel())).status, outcome.job_id)


@pytest.mark.parametrize(("times", "is_given_up"), [(6, False), (10**6, True)])
def test_a_service_that_is_away_is_waited_for_and_not_for_ever(rows: Path, times: int, is_given_up: bool) -> None:
    """While the job is watched: some looks, then the error that it ends with."""

    class Away(FakeBackend):
        asked = 0

        async def job(self, job_id: str) -> JobState:
            self.asked += 1
            if 1 < self.asked < times:
                raise RequestTimeout("no answer")
            return await super().job(job_id)

    service = Service(over_after=3)
    begun = launch(rows, service)
    begun._given_backend = Away(service)
    if is_given_up:
        with pytest.raises(RequestTimeout):
            run_virtual(begun.run())
    else:
        assert_done_once(rows, service, run_virtual(begun.run()))


def test_p8_a_second_command_names_the_one_that_holds_the_chain(rows: Path) -> None:
    """At once, and without asking the service for anything."""
    tune(rows, Service(over_after=10**6), watch_job=False)
    folder = rows.with_name("rows.finetune") / "001"
    with IntentLog.open(folder, VirtualClock._epoch), pytest.raises(RunInUse, match="in use by process"):
        tune(rows, Service())


class Broken(Observer[object, TuningProgress]):
    """An observer whose screen is gone; `heard` is what it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def state(self, report: TuningProgress, /) -> None:
        self.heard.append(report.phase)
        raise OSError("the screen is gone")


def test_what_an_observer_raises_costs_no_model(rows: Path) -> None:
    """It is told nothing more, the model is recorded, and its first error is raised at the end."""
    service, broken = Service(over_after=4), Broken()
    guarded = Guarded(broken)
    begun = launch(rows, service)
    begun._observer = guarded
    assert_done_once(rows, service, run_virtual(begun.run()))
    assert ["running"] == broken.heard
    with pytest.raises(OSError, match="the screen is gone"):
        guarded.raise_first()


def test_a_watch_of_callbacks_hears_what_an_observer_does(rows: Path) -> None:
    """`TuneWatch(on_notice=..., on_tuning=..., on_weights=...)` of 0.1.0."""
    said: list[str] = []
    moments: list[TuningProgress] = []
    fetched: list[WeightsProgress] = []
    watch = TuneWatch(on_notice=said.append, on_tuning=moments.append, on_weights=fetched.append)
    begun = launch(rows, Service(over_after=3))
    begun._observer = watch
    run_virtual(begun.run())
    assert ["running", "succeeded"] == [each.phase for each in moments]
    assert any(line.startswith("Job job-1 on") for line in said)
    watch.weights(progress := WeightsProgress("fetching", 1, 2))
    assert [progress] == fetched
