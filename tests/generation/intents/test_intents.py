"""The room of calls that happen once, driven by something that is no fine-tune: a batch of two calls, then watched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import (
    ConnectionFailed,
    DamageError,
    DiskError,
    EndpointRefused,
    HerogenError,
    InputError,
    NotReadyYet,
    RateLimited,
    RequestTimeout,
    ServerFault,
)
from herogen_async.generation.intents import (
    LONGEST_S,
    Chain,
    IntentLog,
    JobWatch,
    OnceCall,
    Resolution,
    Results,
    fold,
    read_steps,
)
from herogen_async.generation.run_folder.disk import RealDisk
from support.mortal_process import Killed, MortalDisk, Power

AT = VirtualClock._epoch


@dataclass(frozen=True, slots=True)
class BatchState:
    """A made-up job: how many of its requests are answered."""

    answered: int
    stands_still: bool


@dataclass(frozen=True, slots=True)
class Note:
    """A made-up event."""

    event_id: str


@dataclass
class PrintShop:
    """A made-up service: it stores a list of requests, and starts a batch of it. `loses` as the calls come.

    A word of `loses`: `call` (it never arrived, and the caller does not know), `answer` (it arrived, the caller hears
    nothing), or the error that the caller hears.
    """

    stored: list[str] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    loses: list[str | HerogenError] = field(default_factory=list)
    has_lists: bool = True

    def take(self, made: list[str], name: str, power: Power) -> str:
        power.step()
        loss = self.loses.pop(0) if self.loses else ""
        if isinstance(loss, HerogenError):
            raise loss
        if loss != "call":
            made.append(name)
        power.step()
        if loss:
            raise RequestTimeout("no answer")
        return f"id-{name}"

    def find(self, made: list[str], name: str) -> str | None:
        if not self.has_lists:
            raise EndpointRefused("HTTP 404: no such path", status=404)
        return f"id-{name}" if name in made else None


def batch_calls(shop: PrintShop, power: Power) -> list[OnceCall]:
    """Store the requests, then start the batch of them."""

    async def store(_: Results) -> str:
        return shop.take(shop.stored, "requests", power)

    async def is_stored(_: Results) -> str | None:
        return shop.find(shop.stored, "requests")

    async def start(results: Results) -> str:
        return shop.take(shop.batches, f"batch of {results['store requests']}", power)

    async def is_started(results: Results) -> str | None:
        return shop.find(shop.batches, f"batch of {results['store requests']}")

    async def confirm(batch: str) -> None:
        if batch.removeprefix("id-") not in shop.batches:
            raise EndpointRefused("HTTP 404: no such batch", status=404)

    return [
        OnceCall("store requests", store, is_stored, makes="list", look_for=lambda _: "a list named 'requests'"),
        OnceCall(
            "start batch",
            start,
            is_started,
            makes="batch",
            look_for=lambda results: f"a batch of {results['store requests']!r}",
            confirm=confirm,
        ),
    ]


def run(
    folder: Path,
    shop: PrintShop,
    power: Power | None = None,
    *,
    resolution: Resolution | None = None,
    said: list[str] | None = None,
) -> Results:
    """One process: take the log, make what is not made yet."""
    power = power or Power()
    said = [] if said is None else said

    async def work() -> Results:
        with IntentLog.open(folder, AT, MortalDisk(power)) as log:
            chain = Chain(log, VirtualClock(), notice=said.append, resolution=resolution or Resolution())
            return await chain.run(batch_calls(shop, power))

    return run_virtual(work())


WHOLE = {"store requests": "id-requests", "start batch": "id-batch of id-requests"}


def assert_once(folder: Path, shop: PrintShop) -> None:
    """The same command again ends well, and each call has arrived once."""
    assert WHOLE == run(folder, shop)
    assert (["requests"], ["batch of id-requests"]) == (shop.stored, shop.batches)


def test_a_chain_killed_at_any_step_makes_each_call_once(tmp_path: Path) -> None:
    """Wherever the process ends, the next one makes what is missing and nothing else."""
    whole = Power()
    run(tmp_path / "whole", PrintShop(), whole)
    assert 20 == whole.steps
    for ends_at in range(1, whole.steps + 1):
        shop = PrintShop()
        with pytest.raises(Killed):
            run(tmp_path / str(ends_at), shop, Power(ends_at))
        assert_once(tmp_path / str(ends_at), shop)


def test_every_call_has_its_intent_on_disk_before_and_its_result_after(tmp_path: Path) -> None:
    """The log tells each call twice: what is about to be asked, and what became of it."""
    run(tmp_path, PrintShop())
    assert [
        {"step": "intent", "call": "store requests"},
        {"step": "result", "call": "store requests", "result": "id-requests"},
        {"step": "intent", "call": "start batch"},
        {"step": "result", "call": "start batch", "result": "id-batch of id-requests"},
    ] == [{name: value for name, value in step.items() if name not in ("at", "crc")} for step in read_steps(tmp_path)]


def unsent() -> ConnectionFailed:
    """A connection that was never made."""
    error = ConnectionFailed("refused")
    error.sent = False
    return error


@pytest.mark.parametrize("loss", ["answer", "call", ServerFault("HTTP 503"), unsent()], ids=str)
@pytest.mark.parametrize("place", [0, 1])
def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(
    tmp_path: Path, place: int, loss: str | HerogenError
) -> None:
    """Only what surely did not arrive is sent again, in the same process too."""
    losses: list[str | HerogenError] = ["", loss]
    assert_once(tmp_path, PrintShop(loses=losses[1 - place :]))


def test_a_person_tells_where_a_service_has_no_list(tmp_path: Path) -> None:
    """The question names what to look for; `adopt` and `resend` answer it, and a wrong id is refused."""
    shop = PrintShop(loses=["", "answer"], has_lists=False)
    with pytest.raises(InputError, match="start batch: the answer was lost, and the service has no list") as asked:
        run(tmp_path, shop)
    assert "a batch of 'id-requests'" in (asked.value.fix or "")
    with pytest.raises(InputError, match="batch 'id-other' not found"):
        run(tmp_path, shop, resolution=Resolution(adopt="id-other"))
    assert WHOLE == run(tmp_path, shop, resolution=Resolution(adopt=WHOLE["start batch"]))
    with pytest.raises(InputError, match="nothing to resend or adopt"):
        run(tmp_path, shop, resolution=Resolution(resend=True))
    assert_once(tmp_path, shop)


def test_a_call_that_a_person_knows_to_be_lost_is_sent_again(tmp_path: Path) -> None:
    """`resend` closes the intent, and the call is made."""
    shop = PrintShop(loses=["", "call"], has_lists=False)
    with pytest.raises(InputError, match="no list"):
        run(tmp_path, shop)
    assert WHOLE == run(tmp_path, shop, resolution=Resolution(resend=True))
    assert_once(tmp_path, shop)


@pytest.mark.parametrize("loss", [RateLimited("HTTP 429"), unsent()], ids=str)
def test_a_call_that_surely_made_nothing_asks_nobody(tmp_path: Path, loss: HerogenError) -> None:
    """Turned away, or never sent: it is sent again at once, also where a service has no list."""
    assert_once(tmp_path, PrintShop(loses=[loss, "", loss], has_lists=False))


def test_what_a_person_tells_is_of_one_call(tmp_path: Path) -> None:
    """The id of a list is not taken for a batch, when the next call loses its answer in the same process."""
    shop = PrintShop(loses=["answer"], has_lists=False)
    with pytest.raises(InputError, match="store requests: the answer was lost"):
        run(tmp_path, shop)
    shop.loses = ["answer"]
    with pytest.raises(InputError, match="start batch: the answer was lost"):
        run(tmp_path, shop, resolution=Resolution(adopt="id-requests"))
    assert WHOLE == run(tmp_path, shop, resolution=Resolution(adopt=WHOLE["start batch"]))
    assert_once(tmp_path, shop)


def test_a_new_request_answers_a_refusal_and_unknown_steps_are_facts() -> None:
    """What was refused may be asked otherwise; what a newer version wrote changes nothing else."""
    intent, closed = {"step": "intent", "call": "start batch"}, {"step": "closed", "error": "no such template"}
    assert "no such template" == fold([intent, closed]).refused
    known = fold([intent, closed, {"step": "order", "tag": "t"}, {"step": "folded", "by": "hand"}])
    assert (None, {"step": "order", "tag": "t"}, ["folded"]) == (known.refused, known.request, list(known.facts))


def test_a_refusal_closes_its_intent_and_is_never_looked_for(tmp_path: Path) -> None:
    """What a service refused made nothing: the next command sends at once."""
    shop = PrintShop(loses=[InputError("no such template")], has_lists=False)
    with pytest.raises(InputError, match="no such template"):
        run(tmp_path, shop)
    assert "no such template" == read_steps(tmp_path)[-1]["error"]
    assert_once(tmp_path, shop)


def test_a_call_of_another_version_that_lies_open_stops_the_chain(tmp_path: Path) -> None:
    """It may have arrived, and this version could not look for it: no other intent hides it."""
    with IntentLog.open(tmp_path, AT) as log:
        log.append({"step": "intent", "call": "fold paper"})
    shop = PrintShop()
    with pytest.raises(InputError, match="'fold paper' was lost"):
        run(tmp_path, shop)
    assert ([], []) == (shop.stored, shop.batches)


class FailingDisk(RealDisk):
    """A disk whose syncs of a log fail."""

    fails = True

    def sync(self, file: int) -> None:
        if self.fails:
            raise OSError(5, "Input/output error")
        super().sync(file)


def test_no_call_is_made_on_an_intent_that_is_not_synced(tmp_path: Path) -> None:
    """And a log that failed once takes nothing more, whatever the disk says then."""
    shop, disk = PrintShop(), FailingDisk()

    async def work(log: IntentLog) -> None:
        chain = Chain(log, VirtualClock(), notice=lambda _: None)
        await chain.run(batch_calls(shop, Power()))

    with IntentLog.open(tmp_path, AT, disk) as log:
        for disk.fails in (True, False):
            with pytest.raises(DiskError, match="can't be written"):
                run_virtual(work(log))
    assert ([], []) == (shop.stored, shop.batches)
    assert_once(tmp_path, shop)


class SyncedNames(RealDisk):
    """Remembers in which folders names were made durable."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def sync_names(self, folder: Path) -> None:
        self.folders.append(folder)
        super().sync_names(folder)


def test_p2_a_logs_own_folder_survives_a_power_cut(tmp_path: Path) -> None:
    """A synced intent in a folder whose name was not synced would be lost with it."""
    disk = SyncedNames()
    with IntentLog.open(tmp_path / "batches" / "001", AT, disk):
        assert {tmp_path, tmp_path / "batches", tmp_path / "batches" / "001"} <= set(disk.folders)


def test_p3_a_torn_step_is_put_aside_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    """Only what comes last may be torn; wherever it is torn, the next step never fuses with it."""
    with IntentLog.open(tmp_path, AT) as log:
        log.append({"step": "order"})
        log.append({"step": "intent"})
    file = tmp_path / "steps.jsonl"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole), 7):
        file.write_bytes(whole[:cut])
        with IntentLog.open(tmp_path, AT) as log:
            assert ["order"] == [step["step"] for step in log.records]
            log.append({"step": "next"})
        assert ["order", "next"] == [step["step"] for step in read_steps(tmp_path)]
    file.write_bytes(b"x" + whole)
    with pytest.raises(DamageError, match="line 1, at byte 0"):
        IntentLog.open(tmp_path, AT)


@dataclass
class WatchedBatch:
    """A made-up batch of `requests`, one answered a look; `away` looks fail after the first one."""

    requests: int = 4
    away: int = 0
    looks: int = 0
    looked_at: list[float] = field(default_factory=list)
    asked_after: list[str | None] = field(default_factory=list)
    knows_after: bool = True
    tells: bool = True

    async def look(self) -> BatchState:
        self.looked_at.append(asyncio.get_running_loop().time())
        self.looks += 1
        if 1 < self.looks <= 1 + self.away:
            raise RequestTimeout("no answer")
        answered = min(self.requests, self.looks)
        return BatchState(answered, stands_still=answered == self.requests)

    async def events(self, after: str | None) -> Sequence[Note]:
        self.asked_after.append(after)
        if not self.tells:
            raise ServerFault("HTTP 500: no events")
        happened = [Note("one"), Note("two")][: self.looks]
        return happened[-1:] if self.knows_after and after == "one" else happened


def watched(batch: WatchedBatch, *, longest_s: float = LONGEST_S) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """What a watch of `batch` showed of each look, and what it said."""
    seen: list[tuple[int, list[str]]] = []
    said: list[str] = []
    watch = JobWatch(batch.look, batch.events, clock=VirtualClock(), notice=said.append, longest_s=longest_s)

    def see(state: BatchState, fresh: Sequence[Note], elapsed_s: float) -> None:
        seen.append((state.answered, [note.event_id for note in fresh]))

    run_virtual(watch.until_still(see))
    return seen, said


@pytest.mark.parametrize("knows_after", [True, False])
def test_a_job_is_watched_to_its_end_and_each_event_told_once(knows_after: bool) -> None:
    """Also where the service tells everything again at each look."""
    batch = WatchedBatch(knows_after=knows_after)
    assert ([(1, ["one"]), (2, ["two"]), (3, []), (4, [])], []) == watched(batch)
    assert [None, "one", "two", "two"] == batch.asked_after


def test_a_watch_waits_longer_while_nothing_happens_up_to_its_longest() -> None:
    """A second after news, then 1.4 times as long with every look that brings none."""
    batch = WatchedBatch(requests=30)
    watched(batch)
    waits = [round(late - early, 3) for early, late in zip(batch.looked_at, batch.looked_at[1:], strict=False)]
    assert [1.0, 1.0, 1.4, 1.96] == waits[:4]
    assert 15.0 == waits[-1] == max(waits)


def test_a_job_out_of_reach_is_waited_for_and_not_for_ever() -> None:
    """Two minutes; a service that comes back within them costs a sentence a look."""
    batch = WatchedBatch(away=6)
    seen, said = watched(batch)
    assert (4, ["no answer; trying again"] * 6) == (seen[-1][0], said)
    with pytest.raises(RequestTimeout):
        watched(gone := WatchedBatch(away=10**6))
    assert 120 <= gone.looked_at[-1] - gone.looked_at[1] < 140


def test_a_job_out_of_reach_is_looked_for_as_often_as_its_watcher_says() -> None:
    """The longest wait is that of this watch, also between looks that fail."""
    watched(batch := WatchedBatch(away=20), longest_s=1.5)
    waits = [late - early for early, late in zip(batch.looked_at, batch.looked_at[1:], strict=False)]
    assert 1.5 == round(max(waits), 3)


def test_what_a_call_needs_is_waited_for_and_the_call_made_once(tmp_path: Path) -> None:
    """After as many refusals as it takes, for a bounded time; each refusal is in the log."""
    turned_away: list[str | HerogenError] = [NotReadyYet("still reading")] * 6
    shop, said = PrintShop(loses=["", *turned_away]), list[str]()
    run(tmp_path / "some", shop, said=said)
    assert 1 == len(shop.batches)
    assert 6 == [step["step"] for step in read_steps(tmp_path / "some")].count("closed")
    assert 1 == sum("not ready at the service yet; waiting up to 2 min" in line for line in said)
    never: list[str | HerogenError] = [NotReadyYet("still reading")] * 1000
    with pytest.raises(NotReadyYet):
        run(tmp_path / "never", shop := PrintShop(loses=["", *never]))
    assert (0, True) == (len(shop.batches), 900 < len(shop.loses))


def test_a_job_whose_events_cannot_be_read_is_watched_all_the_same() -> None:
    """Said once, however often it is so."""
    seen, said = watched(WatchedBatch(tells=False))
    assert ([(1, []), (2, []), (3, []), (4, [])], ["HTTP 500: no events; its events can't be read now"]) == (seen, said)
