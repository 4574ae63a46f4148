"""What a journal of several columns comes to, said as plainly as can be: slow, and with none of the product's code.

It knows a spec as its data, a line as its record, and compares texts where the product compares fingerprints. Of the
lines of one call the first one that counts wins, those of the question as it is now before those of older ones; a line
whose `from` names a line that doesn't count does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

Columns = Mapping[str, Mapping[str, Any]]


class CallOf(NamedTuple):
    """A call, whatever its number: its cell and repeat, its column, its sample."""

    cell: frozenset[tuple[str, str]]
    repeat: int
    column: str
    sample: int


class Written(NamedTuple):
    """A line in the journal, the lines of a run in the order in which they were written."""

    segment: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A spec, from a segment on. `attributes`: their values; `columns` as in the spec, a `when` with its hash."""

    attributes: Mapping[str, Sequence[str]]
    columns: Columns
    repeats: int = 1
    first_segment: int = 0

    def calls(self) -> Iterator[CallOf]:
        """All that are wanted."""
        names = list(self.attributes)
        for values in product(*self.attributes.values()):
            for repeat in range(1, self.repeats + 1):
                for column in self.columns:
                    for sample in range(1, self.samples(column) + 1):
                        yield CallOf(frozenset(zip(names, values, strict=True)), repeat, column, sample)

    def named(self, column: str) -> list[tuple[str, bool]]:
        """The columns that a prompt names, and whether it takes all their samples."""
        groups: list[str] = re.findall(r"{(.*?)}", str(self.columns[column]["prompt"]))
        parts = [part.partition(".") for group in groups for part in group.split("|")]
        return [(name, bool(rest)) for name, _, rest in parts if name in self.columns]

    def samples(self, column: str) -> int:
        """How many there are in a row: its own, or those of a column that it names."""
        own = int(self.columns[column].get("samples", 1))
        return max([own, *(self.samples(name) for name, is_all in self.named(column) if not is_all)])

    def question(self, column: str) -> str:
        """All that makes an answer, in one text: a column's name says nothing."""

        def part(text: str) -> str:
            name, _, rest = text.partition(".")
            return f"<{self.question(name)}>{rest}" if name in self.columns else text

        return re.sub(
            r"{(.*?)}",
            lambda found: "{" + "|".join(map(part, found[1].split("|"))) + "}",
            str(self.columns[column]["prompt"]),
        )

    def grounds(self, column: str, sample: int, *, skipped: bool) -> set[tuple[str, int]]:
        """The calls of a row that an answer is made from, or that a decision to ask for none was made by."""
        found = {
            (name, each)
            for name, is_all in self.named(column)
            for each in (range(1, self.samples(name) + 1) if is_all else [min(sample, self.samples(name))])
        }
        if skipped:
            asked = self.columns[column].get("asks", ())
            found |= {(name, min(sample, self.samples(name))) for name in asked}
        return found

    def conditions(self, column: str) -> set[str]:
        """The hashes that may stand in a line that says that a call was not asked."""
        own = {self.columns[column]["hash"]} if "hash" in self.columns[column] else set()
        return own.union(*(self.conditions(name) for name, _ in self.named(column)))


@dataclass(frozen=True)
class _Candidate:
    age: int
    place: int  # among all lines
    record: Mapping[str, Any]
    is_stale: bool
    is_compared: bool
    is_outdated: bool  # it says that a condition was not met that is another one now


class ColumnModel:
    """The plans of a run, the current one last."""

    def __init__(self, eras: Sequence[Asked], *, keeps_stale: bool = False, regenerated: Iterable[str] = ()) -> None:
        self.eras = eras
        self.now = eras[-1]
        self._keeps_stale = keeps_stale
        self._again = set(regenerated)
        while more := {c for c in self.now.columns if self._again & {n for n, _ in self.now.named(c)}} - self._again:
            self._again |= more
        self._matches = [self._match(era) for era in eras]
        self._wanted = list(self._in_order())
        self._calls = set(self._wanted)

    def counting(self, lines: Iterable[Written]) -> dict[CallOf, Mapping[str, Any]]:
        """Of each call that is answered or skipped, the line that counts."""
        candidates: dict[CallOf, list[_Candidate]] = {}
        for place, line in enumerate(lines):
            if (found := self._candidate(place, line)) is not None:
                candidates.setdefault(found[0], []).append(found[1])
        counted: dict[CallOf, Mapping[str, Any]] = {}
        for call in self._wanted:
            of_call = [each for each in candidates.get(call, ()) if not each.is_outdated]
            of_call.sort(key=lambda each: (each.age, each.place))
            beside = {other: line for other, line in counted.items() if other[:2] == call[:2]}
            # First what was made from the very lines that count, then what was made when another line skipped the same.
            for row in ({line["crc"] for line in beside.values()}, self._as_skipped(beside, candidates)):
                sound = (each for each in of_call if not each.is_compared or set(each.record.get("from", ())) <= row)
                if call not in counted and (first := next(sound, None)) is not None:
                    counted[call] = first.record
        return counted

    @staticmethod
    def _as_skipped(
        beside: Mapping[CallOf, Mapping[str, Any]], candidates: Mapping[CallOf, list[_Candidate]]
    ) -> set[str]:
        """The checksums of lines, where of a call that is skipped all lines that say so are the same."""
        found = {line["crc"] for line in beside.values()}
        for other, line in beside.items():
            if "skipped" in line:
                found |= {each.record["crc"] for each in candidates[other] if "skipped" in each.record}
        return found

    def prompt(self, call: CallOf, counting: Mapping[CallOf, Mapping[str, Any]]) -> tuple[str, set[str]]:
        """What is sent for a call beside the lines that count, and the checksums of those it is made from."""
        used: set[str] = set()

        def value(placeholder: str) -> str:
            for part in placeholder.split("|"):
                name, _, is_all = part.partition(".")
                if name not in self.now.columns:
                    return dict(call.cell)[name]
                count = self.now.samples(name)
                samples = range(1, count + 1) if is_all else [min(call.sample, count)]
                lines = [counting[call._replace(column=name, sample=sample)] for sample in samples]
                used.update(line["crc"] for line in lines)
                if texts := [str(line["response_txt"]) for line in lines if "skipped" not in line]:
                    return "\n\n".join(texts)
            raise LookupError(placeholder)

        prompt = str(self.now.columns[call.column]["prompt"])
        return re.sub(r"{(.*?)}", lambda found: value(found[1]), prompt), used

    def _in_order(self) -> Iterator[CallOf]:
        """Each call behind what it builds on, or is decided by."""
        order: list[str] = []

        def put(column: str) -> None:
            for name in [name for name, _ in self.now.named(column)] + list(self.now.columns[column].get("asks", ())):
                put(name)
            if column not in order:
                order.append(column)

        for column in self.now.columns:
            put(column)
        yield from sorted(self.now.calls(), key=lambda call: order.index(call.column))

    def _match(self, era: Asked) -> dict[str, tuple[str, bool]]:
        """Of each column of an era, the one that it is now, and whether it was another question then."""
        now = {self.now.question(name): name for name in self.now.columns}
        found = {name: (now[era.question(name)], False) for name in era.columns if era.question(name) in now}
        taken = {name for name, _ in found.values()}
        for name in era.columns:
            if name not in found and name in self.now.columns and name not in taken:
                found[name] = name, True
        return found

    def _candidate(self, place: int, line: Written) -> tuple[CallOf, _Candidate] | None:
        number = max(n for n, era in enumerate(self.eras) if era.first_segment <= line.segment or n == 0)
        era, record = self.eras[number], line.record
        column, sample = record.get("column", next(iter(era.columns))), record.get("sample", 1)
        if column not in self._matches[number]:
            return None
        current, is_stale = self._matches[number][column]
        call = CallOf(frozenset(record["cell"].items()), record["repeat"], current, sample)
        if call not in self._calls or (is_stale and (not self._keeps_stale or current in self._again)):
            return None
        is_outdated = record.get("skipped") is not None and record["skipped"] not in self.now.conditions(current)
        question = era.question(column)
        age = min(
            len(self.eras) - later
            for later, matches in enumerate(self._matches)
            for name, (its, stale) in matches.items()
            if its == current and (self.eras[later].question(name) == question or not (stale or is_stale))
        )
        is_compared = self._is_compared(number, column, current, sample, skipped="skipped" in record)
        return call, _Candidate(age, place, record, is_stale, is_compared, is_outdated)

    def _is_compared(self, number: int, column: str, current: str, sample: int, *, skipped: bool) -> bool:
        """Whether what a line was made from is still what its column builds on: else it is history, and kept so."""
        matches = self._matches[number]
        then = self.eras[number].grounds(column, sample, skipped=skipped)
        now = self.now.grounds(current, sample, skipped=skipped)
        return all(name in matches and (matches[name][0], each) in now for name, each in then)
