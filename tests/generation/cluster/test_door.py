"""The door: one line a call, none of another plan, none made from what doesn't count; and who may take part."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random

import pytest

from herogen_async.core import codec
from herogen_async.core.clock import run_virtual
from herogen_async.core.errors import RowRefused
from herogen_async.generation.cluster.door import Door
from herogen_async.generation.cluster.half_done import HalfDone
from herogen_async.generation.cluster.messages import (
    PROTOCOL,
    Beat,
    Frame,
    Hello,
    LaneTold,
    MessageError,
    Orders,
    message_bytes,
    read_frame,
    read_orders,
    read_welcome,
)
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import Misfit, Recovered, Reusable, attempt_of, failure_line, row_line, seal_of
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.limits import CallsWanted, Told
from herogen_async.specs.plan import Call, IndexSet, Plan
from support.cluster_rig import Cluster
from support.column_histories import THREE, plan_of, spec_of
from support.runs import small_spec

AT = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Plan(small_spec(), endpoint="completions", model="m")
COLUMNS = plan_of(spec_of(THREE))


def door_of(plan: Plan) -> Door:
    return Door(plan, IndexSet(), IndexSet(), lambda index: {})


def line_of(call: Call, text: str = "t") -> bytes:
    return row_line(call, Completion(text, "stop", "m"), attempts=1, latency_ms=1.0, at=AT)


def column_line(index: int, text: str, *built_on: bytes) -> bytes:
    call = COLUMNS.call(index)
    call.built_on = tuple(seal_of(line) for line in built_on)
    return line_of(call, text)


def test_s1_a_second_line_of_a_call_is_refused_and_counted() -> None:
    """Of two answers to a call the first one is let in, also of those that come together."""
    door = door_of(PLAIN)
    lines = [line_of(PLAIN.call(index)) for index in range(4)]
    passed = door.rows([*lines[:3], lines[1]])
    assert (lines[:3], [0, 1, 2], 1) == (passed.lines, passed.indices, passed.paid_twice)
    passed = door.rows([line_of(PLAIN.call(2), "another"), lines[3]])
    assert ([lines[3]], 1) == (passed.lines, passed.paid_twice)


@pytest.mark.parametrize("index", [0, 7, 19])
def test_s7_a_line_of_another_plan_is_refused(index: int) -> None:
    """A line with another key at its index, or beyond the plan, is not let in, and sets no bit."""
    door = door_of(PLAIN)
    other = Plan(small_spec(values=50), endpoint="completions", model="another")
    passed = door.rows([line_of(other.call(index)), line_of(other.call(150))])
    assert ([], 2, 0) == (passed.lines, passed.foreign, len(door.settled))


def test_a_line_that_was_damaged_on_its_way_is_refused() -> None:
    """A line whose checksum doesn't fit is not let in, those beside it are."""
    door = door_of(PLAIN)
    good, bad = line_of(PLAIN.call(0)), line_of(PLAIN.call(1)).replace(b'"t"', b'"u"')
    passed = door.rows([bad, good])
    assert ([good], 1) == (passed.lines, passed.foreign)
    assert [0] == list(door.settled)


def test_an_answer_built_on_a_second_answer_is_refused_and_its_row_asked_again() -> None:
    """What was made from an answer that was refused is refused, too; made from the one that counts, it is let in."""
    door = door_of(COLUMNS)
    first, second = column_line(0, "one"), column_line(0, "two")
    assert [first] == door.rows([first, second]).lines
    built_on_second = column_line(1, "x", second)
    passed = door.rows([built_on_second])
    assert ([], 1, [0]) == (passed.lines, passed.paid_twice, passed.again)
    solution = column_line(1, "x", first)
    verdict = column_line(2, "y", first, solution)
    passed = door.rows([solution, verdict])
    assert ([solution, verdict], [1]) == (passed.lines, passed.ends)
    assert 0 == door.open_rows


def test_a_line_that_is_made_from_no_other_has_none_read() -> None:
    """The journal of earlier sessions is read only for lines that say what they were made from."""
    settled, read = IndexSet(), list[int]()
    settled.add(1)

    def earlier(index: int) -> dict[str, str]:
        read.append(index)
        return {}

    door = Door(COLUMNS, settled, IndexSet(), earlier)
    line = column_line(0, "one")
    assert ([line], []) == (door.rows([line]).lines, read)
    assert [] == door.rows([column_line(2, "y", column_line(1, "x"))]).lines
    assert [1] == read


def test_a_span_brings_the_lines_of_its_own_rows() -> None:
    """Of all lines that may be used again, or whose calls are asked again, those of the rows of a span come with it."""
    found = Recovered(calls_a_row=3)
    found.reusable = {index: [Reusable(0, index, frozenset(), frozenset())] for index in (1, 7, 10)}
    found.asked = {4: Misfit(0, 4, 2), 13: Misfit(0, 13, 2)}
    half_done = HalfDone(COLUMNS, found, door_of(COLUMNS), lambda _, offset: {CRC: str(offset)}, lambda _: {})
    brought = [
        [line["index"] for line in half_done.span(pending).earlier] for pending in ([(0, 6)], [(6, 9), (12, 15)])
    ]
    assert [[1, 4], [7, 13]] == brought
    assert [10] == [line["index"] for line in half_done.span([(11, 12)]).earlier]
    assert [] == half_done.span([(15, 18)]).earlier


def test_a_failure_settles_what_builds_on_it() -> None:
    """After a failure nothing of its row is expected that builds on it; a second one is refused."""
    door = door_of(COLUMNS)
    history = [attempt_of(RowRefused("no"), AT)]
    line = failure_line(COLUMNS.call(0), history, at=AT)
    passed, found = door.failures([line, line])
    assert ([line], [(0, True, [1, 2])], 1) == (passed.lines, found, passed.paid_twice)
    assert [0, 1, 2] == list(door.settled) == list(door.failed)
    assert [] == door.rows([column_line(1, "late", column_line(0, "x"))]).lines


def test_messages_keep_lines_byte_for_byte() -> None:
    """A frame's lines come out as they went in; what is cut short is no frame."""
    rows, failures = [line_of(PLAIN.call(0)), line_of(PLAIN.call(1))], [b'{"a":"\\n"}\n']
    frame = Frame(
        3, rows, failures, (1, 2), (1, 1), Beat(in_flight=2), [LaneTold(Told(sent=1), CallsWanted(5))], prints=["p"]
    )
    data = message_bytes(frame)
    found = read_frame(data)
    assert (rows, failures, frame.beat, frame.lanes) == (found.rows, found.failures, found.beat, found.lanes)
    for broken in (data[:3], data[:40], data[: -len(failures[0])], b"\0\0\0\2[]"):
        with pytest.raises(MessageError):
            read_frame(broken)
    with pytest.raises(MessageError):
        read_orders(message_bytes(Hello(1, "x")))


async def _hello(hello: Hello) -> str | None:
    cluster = Cluster(Random(1), small_spec(), workers=1)
    home = cluster.start_home()
    try:
        assert cluster.home is not None
        return read_welcome(cluster.home.hello(7, message_bytes(hello))).refused
    finally:
        home.cancel()
        await cluster.end()


def test_s7_another_version_is_refused_at_hello() -> None:
    """A worker of another version or protocol is told that it may not take part, and why."""
    assert run_virtual(_hello(Hello(7, "1"))) is None
    assert "herogen-async 2" in str(run_virtual(_hello(Hello(7, "2"))))
    assert run_virtual(_hello(Hello(7, "1", PROTOCOL + 1))) is not None


async def _first_frame(prints: list[str]) -> tuple[Orders, Cluster]:
    cluster = Cluster(Random(1), small_spec(), workers=1)
    home = cluster.start_home()
    try:
        assert cluster.home is not None
        cluster.home.hello(7, message_bytes(Hello(7, "1")))
        replies: list[bytes] = []
        frame = Frame(1, [line_of(cluster.plan.call(0))], lanes=[LaneTold(Told(), CallsWanted())], prints=prints)
        cluster.home.exchange(7, message_bytes(frame), replies.append)
        await asyncio.sleep(0.1)
        return read_orders(replies[0]), cluster
    finally:
        home.cancel()
        await cluster.end()


def test_s7_another_plan_is_refused_with_the_first_frame() -> None:
    """Of a worker whose plan or model is another one nothing is taken, and it is sent away."""
    prints = Cluster(Random(1), small_spec()).prints
    orders, cluster = run_virtual(_first_frame(prints))
    assert (1, None) == (orders.rows, orders.end)
    orders, cluster = run_virtual(_first_frame([*prints[:2], "another"]))
    assert (0, "drain", []) == (orders.rows, orders.end, [codec.loads(line) for line in cluster.disk])
