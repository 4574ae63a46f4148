"""What a report is about: the run that the rows come from, whole examples, and the rows that findings point to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from herogen_async.data.quality.acceptance import Acceptance
from herogen_async.data.quality.records import Group
from herogen_async.data.quality.result import Quality

ROWS_SHOWN = 20  # per kind of finding: quality.json has all
GROUPS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class WholeExample:
    """A row of the data set in full: `prompt` and `completion` as taught, without their marks.

    `reasoning` is taught with it, "" for none; `rejected` is the worse answer of a pair, None where there is none.
    """

    number: int
    cell: Mapping[str, str]
    prompt: str
    completion: str
    reasoning: str = ""
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class RowExcerpt:
    """A row that a finding points to: its cell, and the start of its answer."""

    number: int
    cell: Mapping[str, str]
    excerpt: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rows are and how they were made. All of it may be foreign text.

    `facts` are shown in a list, by name. `question` is the template of what is taught. `days` are those of the first
    and the last answer, ISO 8601. `show` is the command that prints rows, to which ` --index N` is added; "" where
    there is none. `rows` holds the rows of `pointed_at`, as far as they are known. `acceptance` is that of all rows of
    the run, None where its spec keeps all.
    """

    title: str
    summary: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""
    system: str | None = None
    question: str = ""
    examples: tuple[WholeExample, ...] = ()
    show: str = ""
    rows: Mapping[int, RowExcerpt] = field(default_factory=dict)
    acceptance: Acceptance | None = None


def shown_rows(quality: Quality) -> dict[str, list[int]]:
    """For each kind that was found, the numbers of the rows that the report shows: the first ones."""
    found: dict[str, list[int]] = {finding.kind: [] for finding in quality.findings}
    for number in sorted(quality.flagged):
        for kind in quality.flagged[number]:
            if len(found[kind]) < ROWS_SHOWN:
                found[kind].append(number)
    return found


def shown_groups(quality: Quality) -> Iterator[Group]:
    """The groups of repeated answers that the report shows: the largest ones."""
    return islice(quality.groups, GROUPS_SHOWN)


def pointed_at(quality: Quality) -> list[int]:
    """The numbers of all rows that the report points to, in order: those of findings, and the first of each group."""
    numbers = {number for shown in shown_rows(quality).values() for number in shown}
    return sorted(numbers | {group.stays for group in shown_groups(quality)})
