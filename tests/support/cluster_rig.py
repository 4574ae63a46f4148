"""A whole cluster in one process and in virtual time: a home, its workers, the links between them, and their faults.

```
scenario = ClusterScenario(seed)       how many workers, what is limited, which faults strike when: all by the seed
scenario.run()                         to the end; Violation where a promise is broken
```
A server counts what it is asked and what it charges. A disk keeps what was written when a home ended. Links lose,
double and delay frames, and are cut for a while; workers are killed, and the placer says so late or never; homes are
killed, too, and a new one goes on with what the disk has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.limits import Limits
from herogen_async.generation.cluster.desk import Desk
from herogen_async.generation.cluster.door import Door
from herogen_async.generation.cluster.half_done import HalfDone, SpanMemory
from herogen_async.generation.cluster.home import Home
from herogen_async.generation.cluster.link import Hub, HubLink, Placer
from herogen_async.generation.cluster.messages import HELD_LINES, Hello, SharedRun, Welcome, message_bytes, read_welcome
from herogen_async.generation.cluster.till import Till, Tills
from herogen_async.generation.cluster.worker import ToldLatencies, Worker, WorkerLane
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import ColumnCounts, Counters, Engine, Gate, Lane
from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
from herogen_async.generation.journal import Recovered, Reusable, Written
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.limits import BlockAdmission, Budget, GrantedAdmission, Rates, byte_size
from herogen_async.generation.limits.blocks import VALID_S
from herogen_async.generation.limits.budget import TEMPLATE_TOKENS
from herogen_async.generation.retry import Triage
from herogen_async.specs.plan import IndexSet, Plan
from herogen_async.specs.spec import Spec
from support.column_histories import REWRITTEN, THREE, asked_of, plan_of, spec_of
from support.column_model import ColumnModel
from support.column_model import Written as ModelLine
from support.crash_harness import Violation
from support.runs import small_spec

BATCHES_S = (0.004, 0.2)  # of the journal: of a quick disk, and of a slow one
LEASE_S = 2.0  # shorter than it is, for scenarios that are soon over
LONGEST_S = 40.0  # of virtual time, for what takes ten: then it hangs
CONCURRENCY = 12
MAY_LOSE = CONCURRENCY + HELD_LINES  # requests of a worker that is gone or cut off
TOKENS = 10  # of each answer
RATES = Rates(1_000_000.0, 1_000_000.0)  # a dollar a token
VERSION = "1"


class VirtualServer:
    """Answers all workers after a while; counts what was asked by whom and when, and what it charges.

    It charges for each request that arrives, and counts as many tokens as a budget reckons with at worst.
    """

    def __init__(self, random: Random, clock: VirtualClock, longest_s: float) -> None:
        self.asked: list[tuple[float, int, str]] = []  # when, by which worker, what
        self.charged = 0
        self._random = random
        self._clock = clock
        self._longest_s = longest_s

    def at(self, worker: int) -> ServerEnd:
        return ServerEnd(self, worker)

    async def answer(self, worker: int, prompt: str) -> Completion:
        self.asked.append((self._clock.now(), worker, prompt))
        tokens = byte_size(prompt) + TEMPLATE_TOKENS
        self.charged += tokens + TOKENS
        await asyncio.sleep(self._random.uniform(0.01, self._longest_s))
        usage = {"prompt_tokens": tokens, "completion_tokens": TOKENS, "total_tokens": tokens + TOKENS}
        # Two answers to one question differ: what is made from either can be told.
        text = f"{prompt[:20]} {'bad' if self._random.random() < 0.5 else 'good'} {self._random.random()}"
        return Completion(text, "stop", "m", usage, "r")


class ServerEnd:
    """The server, for one worker."""

    def __init__(self, server: VirtualServer, worker: int) -> None:
        self._server = server
        self._worker = worker

    async def complete(self, request: Request) -> Completion:
        return await self._server.answer(self._worker, request.prompt)

    def resize(self, concurrency: int) -> None:
        """It has room for all."""


class LaggingJournal:
    """Writes to `disk` what came, a batch at a time; what waits for its batch is lost with its home."""

    def __init__(self, disk: list[bytes], batch_s: float) -> None:
        self.disk = disk
        self._batch_s = batch_s
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self.full = False
        self._rows: list[bytes] = []
        self._failures: list[bytes] = []
        self._finished = False

    async def open(self) -> None:
        """There is nothing to open."""

    def add_rows(self, lines: Sequence[bytes]) -> None:
        self._rows += lines

    def failure(self, line: bytes) -> None:
        self._failures.append(line)

    def finish(self) -> None:
        self._finished = True

    async def run(self) -> None:
        while self._rows or self._failures or not self._finished:
            await asyncio.sleep(self._batch_s)
            rows, failures, self._rows, self._failures = self._rows, self._failures, [], []
            self.disk += [*rows, *failures]
            self.on_written(Written(len(rows), len(failures)))


class RigLink(HubLink):
    """A worker's way home, with the faults that a network has. What gets no reply is sent again, byte for byte."""

    def __init__(self, cluster: Cluster, worker: int) -> None:
        self._cluster = cluster
        self._worker = worker
        self.cut_until = float("-inf")

    @property
    def is_cut(self) -> bool:
        return self._cluster.clock.now() < self.cut_until

    async def hello(self, message: bytes) -> bytes:
        while self.is_cut or self._cluster.home is None:
            await asyncio.sleep(0.1)
        return self._cluster.home.hello(self._worker, message)

    async def exchange(self, frame: bytes) -> bytes:
        while (reply := await self._try(frame)) is None:
            await asyncio.sleep(0.05)
        return reply

    async def give_back(self, frame: bytes) -> None:
        await self.exchange(frame)

    async def _try(self, frame: bytes) -> bytes | None:
        random = self._cluster.random
        await asyncio.sleep(random.uniform(0.0005, 0.01))
        home = self._cluster.home
        if self.is_cut or home is None or random.random() < self._cluster.loss:
            await asyncio.sleep(0.2)
            return None
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def replied(said: bytes) -> None:
            if not reply.done() and self._cluster.home is home:  # one that was killed says nothing more
                reply.set_result(said)

        home.exchange(self._worker, frame, replied)
        if random.random() < self._cluster.loss:  # the same frame again, now or when others have come behind it
            asyncio.get_running_loop().call_later(random.uniform(0, 0.3), self._again, frame)
        try:
            said = await asyncio.wait_for(reply, 0.5)
        except TimeoutError:
            return None
        await asyncio.sleep(random.uniform(0.0005, 0.01))
        return None if self.is_cut or random.random() < self._cluster.loss else said

    def _again(self, frame: bytes) -> None:
        if self._cluster.home is not None:
            self._cluster.home.exchange(self._worker, frame, lambda _: None)


class RigWorker:
    """A worker as a task, put together as its process does."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.number = number
        self.link = RigLink(cluster, number)
        self.forgotten: list[bytes] = []  # lines that it was told to be kept
        self._cluster = cluster
        self.counters = Counters(total=0)
        self.task = asyncio.get_running_loop().create_task(self._live(), name=f"worker-{number}")

    async def _live(self) -> None:
        cluster = self._cluster
        welcome = read_welcome(await self.link.hello(message_bytes(Hello(self.number, VERSION))))
        assert welcome.refused is None
        plan, clock, orders = cluster.plan, cluster.clock, welcome.lanes[0]
        budget = None if welcome.rates[0] is None else Budget(Rates(*welcome.rates[0]), answer_tokens=TOKENS)
        self.counters = counters = Counters(
            total=0,
            columns={each.name: ColumnCounts(each.samples) for each in plan.columns} if plan.has_columns else {},
            latencies=ToldLatencies(),
        )
        admission = GrantedAdmission(clock.now(), budget=budget)
        admission.terms = orders.terms
        endpoint = cluster.server.at(self.number)
        lane: Lane[Any] = Lane(
            endpoint,
            gate=Gate(admission, clock),
            clock=clock,
            counters=counters,
            concurrency=orders.concurrency,
            triage=Triage(),
        )
        memory = SpanMemory(plan)
        worker = Worker(
            self.link,
            [WorkerLane(lane, admission, endpoint)],
            clock=clock,
            counters=counters,
            prints=cluster.prints,
            memory=memory,
            notices=[],
        )

        def earlier(index: int, reusable: Reusable | None) -> JournaledAnswer:
            row = memory.row(index, reusable)
            return JournaledAnswer(row.get("response_txt", ""), row[CRC])

        rows = None
        if plan.has_columns:
            rows = OpenRows(plan, memory.found, earlier, journal=worker.journal, counters=counters, clock=clock)
        engine = Engine(plan, lane, worker.journal, clock=clock, counters=counters, observer=worker, rows=rows)
        self._watch(worker)
        await worker.run(engine)

    def _watch(self, worker: Worker) -> None:
        """Note which lines it is told to be kept, in the order in which they were brought."""
        journal, told = worker.journal, worker.journal.on_written
        brought: list[bytes] = []
        add = journal.add_rows

        def add_rows(lines: Sequence[bytes]) -> None:
            brought.extend(lines)
            add(lines)

        def on_written(written: Written) -> None:
            self.forgotten += brought[: written.rows]
            del brought[: written.rows]
            told(written)

        journal.add_rows = add_rows  # type: ignore[method-assign]
        journal.on_written = on_written


class RigPlacer(Placer):
    """Starts workers as tasks; tells of their ends late, and of some never."""

    def __init__(self, cluster: Cluster, hub: Hub) -> None:
        self._cluster = cluster
        self._hub = hub

    def start(self, worker: int) -> None:
        life = RigWorker(self._cluster, worker)
        self._cluster.workers.append(life)
        life.task.add_done_callback(partial(self._ended, life))

    async def close(self) -> None:
        if self._cluster.home is not None:  # else it was killed: nobody ends its workers
            for life in self._cluster.workers:
                life.task.cancel()

    def _ended(self, life: RigWorker, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._cluster.errors.append(error)
        if self._cluster.random.random() < self._cluster.told:
            late_s = self._cluster.random.uniform(0, 0.5)
            asyncio.get_running_loop().call_later(late_s, self._tell, life.number)

    def _tell(self, worker: int) -> None:
        if self._cluster.home is self._hub:
            self._hub.ended(worker, "killed")


class Cluster:
    """One run, from its first home to its last."""

    def __init__(
        self,
        random: Random,
        spec: Spec,
        *,
        workers: int = 3,
        limits: Limits | None = None,
        budget_usd: float | None = None,
        longest_s: float = 0.1,
        loss: float = 0.0,
        told: float = 1.0,
        lease_s: float = LEASE_S,
        batch_s: float = BATCHES_S[0],
    ) -> None:
        self.random = random
        self.clock = VirtualClock()
        self.plan = plan_of(spec)
        self.prints = [self.plan.grid_fingerprint, self.plan.generation_fingerprint, "m"]
        self.server = VirtualServer(random, self.clock, longest_s)
        self.disk: list[bytes] = []
        self.loss = loss
        self.told = told
        self.home: Home | None = None
        self.workers: list[RigWorker] = []
        self.errors: list[BaseException] = []
        self.notices: list[str] = []
        self.budget_usd = budget_usd
        self.page = 0  # millionths of a dollar, as the lock's page remembers them
        self.batch_s = batch_s
        self._count = workers
        self._limits = limits
        self._lease_s = lease_s
        self._tasks: list[asyncio.Task[None]] = []

    def start_home(self) -> asyncio.Task[None]:
        """A home that goes on with what is on the disk."""
        lines = [codec.loads(line) for line in self.disk]
        settled = IndexSet()
        counting = counting_lines(self.plan, lines)
        for line in counting.values():
            settled.add(line["index"])
        skipped = [line["index"] for line in counting.values() if "skipped" in line]
        by_index = {line["index"]: line for line in counting.values()}
        found = Recovered(calls_a_row=self.plan.calls_a_row, done=IndexSet.union(settled))
        for index in skipped:
            found.skipped.add(index)
        journal = LaggingJournal(self.disk, self.batch_s)
        failed = IndexSet()
        door = Door(self.plan, settled, failed, by_index.__getitem__)
        budget = None
        if self.budget_usd is not None:
            budget = Budget(
                RATES,
                answer_tokens=TOKENS,
                limit_usd=self.budget_usd,
                rows_usd=sum(line["usage"]["total_tokens"] for line in lines if line["usage"]),
                charged=self.page,
                on_charge=self._charge,
            )
        admission = BlockAdmission(self.clock.now(), self._limits, budget=budget)
        counters = Counters(
            total=self.plan.rows,
            columns={each.name: ColumnCounts(each.samples) for each in self.plan.columns}
            if self.plan.has_columns
            else {},
        )
        counters.done = settled.groups(self.plan.calls_a_row)[0]
        rates = None if budget is None else (RATES.prompt_usd, RATES.answer_usd, None)
        first = 1 + len(self.workers)
        shared = SharedRun(
            lambda lanes: Welcome(lanes=lanes, rates=[rates]),
            VERSION,
            self.prints,
            self.plan.size - len(settled),
            self._count,
            first=first,
        )
        self.home = Home(
            self.plan,
            journal,
            desk=Desk([range(self.plan.rows)], settled, self.plan.calls_a_row, lease_s=self._lease_s),
            tills=Tills([Till(admission, CONCURRENCY)], [[each.name for each in self.plan.columns]]),
            half_done=HalfDone(self.plan, found, door, lambda *_: {}, by_index.__getitem__),
            shared=shared,
            placer_for=lambda hub: RigPlacer(self, hub),
            clock=self.clock,
            counters=counters,
        )
        return asyncio.get_running_loop().create_task(self.home.run(), name="home")

    def _charge(self, microdollars: int) -> None:
        self.page += microdollars

    async def kill_home(self, task: asyncio.Task[None]) -> None:
        """It is gone, with what waited for its batch; its workers live on."""
        self.home = None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def living(self) -> list[RigWorker]:
        """The workers that are there."""
        return [worker for worker in self.workers if not worker.task.done()]

    async def end(self) -> None:
        """All that is left of it goes."""
        for worker in self.workers:
            worker.task.cancel()
        await asyncio.gather(*(worker.task for worker in self.workers), return_exceptions=True)


def counting_lines(plan: Plan, lines: Sequence[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """The lines that count, by their calls; what says so shares no code with the product."""
    if not plan.has_columns:
        return {line["index"]: line for line in reversed(lines)}
    model = ColumnModel([asked_of(plan)])
    return {call: dict(line) for call, line in model.counting([ModelLine(0, line) for line in lines]).items()}


class ClusterScenario:
    """What happens to a run, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        self._is_plain = random.random() < 0.6
        columns = random.choice((THREE, REWRITTEN))
        spec = small_spec(values=random.randint(15, 40), repeats=2)
        if not self._is_plain:
            grid = {"level": [f"l{number}" for number in range(random.randint(8, 15))], "topic": ["sums", "sets"]}
            spec = spec_of(columns, grid)
        self._rate = random.choice((None, None, 30.0))
        calls = plan_of(spec).size
        self._budget = random.choice((None, None, calls * random.uniform(40.0, 160.0)))
        self.cluster = Cluster(
            random,
            spec,
            workers=random.randint(2, 4),
            limits=None if self._rate is None else Limits(rpm=60 * self._rate),
            budget_usd=self._budget,
            longest_s=random.choice((0.05, 0.3, 1.0)),
            loss=random.choice((0.0, 0.02, 0.2)),
            told=random.choice((1.0, 0.5, 0.0)),
            batch_s=random.choice(BATCHES_S),
        )
        faults = ("kill", "kill", "cut", "cut for long", "kill home")
        self._faults = sorted((random.uniform(0.1, 3.0), random.choice(faults)) for _ in range(random.randint(2, 8)))
        self._lost = 0  # requests that a kill may have asked again
        self._cuts: list[tuple[int, float, float]] = []
        self.struck = 0

    def run(self) -> int:
        """How many faults struck. Raises Violation where a promise is broken."""
        run_virtual(self._run())
        return self.struck

    async def _run(self) -> None:
        cluster = self.cluster
        home = cluster.start_home()
        try:
            started_s = cluster.clock.now()
            for at_s, fault in self._faults:
                await asyncio.wait([home], timeout=max(started_s + at_s - cluster.clock.now(), 0))
                if home.done():
                    break
                self.struck += 1
                home = await self._strike(fault, home)
            done, _ = await asyncio.wait([home], timeout=LONGEST_S)
            if not done:
                raise Violation("the run hangs")
            home.result()
            await asyncio.sleep(5.0)  # those who come late
        finally:
            await cluster.end()
            if not home.done():
                home.cancel()
                await asyncio.wait([home])
        self._judge()

    async def _strike(self, fault: str, home: asyncio.Task[None]) -> asyncio.Task[None]:
        cluster, now = self.cluster, self.cluster.clock.now()
        living = cluster.living()
        if fault == "kill home":
            self._lost += MAY_LOSE * len(living)
            await cluster.kill_home(home)
            await asyncio.sleep(self._random.uniform(0, 1.0))
            return cluster.start_home()
        if not living:
            return home
        struck = self._random.choice(living)
        self._lost += MAY_LOSE
        if fault == "kill":
            struck.task.cancel()
        else:
            for_s = self._random.uniform(0.2, 1.5) if fault == "cut" else self._random.uniform(3.0, 6.0)
            struck.link.cut_until = max(struck.link.cut_until, now + for_s)
            self._cuts.append((struck.number, now, now + for_s))
        return home

    # -- the promises ------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        cluster, plan = self.cluster, self.cluster.plan
        if cluster.errors:
            raise Violation(f"a worker has failed: {cluster.errors[0]!r}") from cluster.errors[0]
        home = cluster.home
        assert home is not None
        lines = [codec.loads(line) for line in cluster.disk]
        counting = counting_lines(plan, lines)
        is_whole = len(counting) == plan.size
        if home.stopped is None and not is_whole:
            raise Violation(f"the run is over, and {plan.size - len(counting)} calls have no line that counts")
        if home.stopped is not None and self._budget is None:
            raise Violation(f"it stopped: {home.stopped.reason}")
        doubled = [index for index, count in Counter(line["index"] for line in lines).items() if count > 1]
        if doubled:
            raise Violation(f"S1: {len(doubled)} calls have two lines")
        if is_whole and home.counters.done != plan.rows:
            raise Violation(f"{home.counters.done} rows are counted as done")
        on_disk, seals = {line["index"] for line in lines}, {line[CRC] for line in lines}
        for worker in cluster.workers:
            told = [codec.loads(line) for line in worker.forgotten]
            # What was made from an answer that came second counts for nothing, and is not let in.
            counts = [line for line in told if seals.issuperset(line.get("from", ()))]
            if any(line["index"] not in on_disk for line in counts):
                raise Violation(f"S2: worker {worker.number} was told that a line is kept, and it is not")
        if len(cluster.server.asked) > plan.size + self._lost:
            raise Violation(f"S3: {len(cluster.server.asked)} requests for {plan.size} calls")
        self._judge_limits()

    def _judge_limits(self) -> None:
        asked = [at_s for at_s, _, _ in self.cluster.server.asked]
        if self._budget is not None and self.cluster.server.charged > self._budget:
            raise Violation(f"S4: {self.cluster.server.charged} USD are charged, {self._budget} are permitted")
        if self._rate is not None:
            for window_s in (1.0, 4.0):
                # What a bucket saves up, and what was granted before the window began.
                most = self._rate * (window_s + 0.25 + VALID_S / 2) + CONCURRENCY
                for first, at_s in enumerate(asked):
                    within = sum(at_s <= other < at_s + window_s for other in asked[first:])
                    if within > most:
                        raise Violation(f"S4: {within} requests in {window_s} s")
        for number, since_s, until_s in self._cuts:
            late = [
                at_s
                for at_s, worker, _ in self.cluster.server.asked
                if worker == number and since_s + VALID_S + 0.6 < at_s < until_s
            ]
            if late:
                raise Violation(f"S6: worker {number} sent {len(late)} requests while it was cut off")
