"""The workers of a session as home knows them, and what they have told, summed up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from herogen_async.generation.cluster.messages import Beat
from herogen_async.generation.engine import Counters, Straggler
from herogen_async.generation.engine.engine import STRAGGLERS


@dataclass(slots=True)
class Member:
    """What home remembers of a worker. `brought` and `failed` are the lines that it has delivered."""

    number: int
    frame: int = 0
    brought: int = 0
    failed: int = 0
    beat: Beat = field(default_factory=Beat)
    said_hello: bool = False
    has_joined: bool = False
    is_lost: bool = False
    has_ended: bool = False
    last: bytes | None = None  # its latest orders

    @property
    def is_at_work(self) -> bool:
        """Whether it may be lent and granted anything."""
        return not (self.is_lost or self.has_ended)

    def leave(self) -> int:
        """It is there no more; how many calls it had out, as far as it had told. What it has counted stays."""
        out, beat = self.beat.in_flight + self.beat.waiting, self.beat
        self.beat = Beat(retries=beat.retries, attempts=beat.attempts, errors=beat.errors)
        return out


class Members:
    """All that took part in a session, or were started to; each by its number."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def known(self, number: int) -> Member:
        """That member; a new one where nobody of that number is known."""
        return self._members.setdefault(number, Member(number))

    @property
    def at_work(self) -> int:
        """How many may be lent and granted anything."""
        return sum(member.is_at_work for member in self)

    @property
    def binding(self) -> str:
        """What most of those at work wait for; `workers` where nobody has told."""
        said = Counter(each.beat.binding for each in self if each.is_at_work and each.beat.binding is not None)
        return said.most_common(1)[0][0] if said else "workers"

    def sum_into(self, counters: Counters) -> None:
        """What they have counted, all together."""
        beats = [member.beat for member in self]
        counters.in_flight = sum(beat.in_flight for beat in beats)
        counters.waiting = sum(beat.waiting for beat in beats)
        counters.retries = sum(beat.retries for beat in beats)
        counters.attempts = sum(beat.attempts for beat in beats)
        counters.errors = sum((Counter(beat.errors) for beat in beats), Counter())
        counters.workers["count"] = max(counters.workers["count"], self.at_work)
        stragglers = [Straggler(**each) for beat in beats for each in beat.stragglers]
        counters.stragglers = tuple(sorted(stragglers, key=lambda each: -each.out_s)[:STRAGGLERS])
