"""The rows of a run that become examples of a data set, in grid order, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from herogen_async.data.dataset.acceptance import AcceptanceCount
from herogen_async.data.dataset.example_question import ExampleQuestion
from herogen_async.data.dataset.judged import Judged
from herogen_async.data.dataset.recipe import (
    CUT_OFF,
    DROP_THOUGHTS,
    EMPTY_ANSWER,
    LOST_THOUGHTS,
    NO_REASON_GIVEN,
    NO_SENTENCE,
    STALE_TURN,
    TOOL_CALL_REASONS,
    Pair,
    answer_of,
    has_ended,
    pair_of,
)
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.endpoint.usage import is_token_count


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a data set: the pair, the run's row it is made from, and if answers are ranked the worse answer, or
    whether it is the better one.
    """

    pair: Pair
    row: dict[str, Any]
    rejected: Pair | None = None
    is_better: bool | None = None

    @property
    def index(self) -> int:
        """The index of the row in the run."""
        index: int = self.row["index"]
        return index

    @property
    def number(self) -> int:
        """What tells it from all others: the index, and where a row gives several examples, the sample with it."""
        number: int = self.row.get("number", self.index)
        return number


@dataclass(slots=True)
class ExampleCount:
    """Counts of a run's `answers`: `written` to the data set; the others were left out for the named reason.

    `skipped` rows have no answer of the columns that are taught. `rejected` answers are of rows that the spec's `keep`
    does not hold for, or not the best of their row where it has a `best_of`; of `undecided` ones nobody can tell.
    Where the spec has a `want`, `accepted` of the rows that it asks for were found; `last` is the number of the last
    one, once there are enough, and `further` rows after it are accepted, too.
    `near_copies` are too like an earlier answer, where a column has an `unlike`.

    Of those written, `not_stopped` were truncated or, as the `unknown` of them, have no finish reason; `trimmed` were
    shortened to a full sentence. `repeated` ask what another answer of their cell asks. `dropped` counts the rows left
    out by request, each under its first kind. `acceptance` is of all rows, where the spec has a `keep` or an `unlike`.

    `thoughts` are the rows with a model's thoughts, written or not, `lost_thoughts` those of several answers whose
    thoughts are nowhere, since only the last one's have a place; `stale_turns` are conversations, written, of which an
    earlier spec asked for a turn;
    `textless` are the empty ones that hold something else than text and tool calls. `tool_calls` are the rows written
    that call tools, `tool_calls_left_out` those that can't be taught, by TOOL_CALL_REASONS.
    """

    answers: int = 0
    skipped: int = 0
    rejected: int = 0
    near_copies: int = 0
    undecided: int = 0
    accepted: int = 0
    last: int | None = None
    further: int = 0
    written: int = 0
    trimmed: int = 0
    separator_inside: int = 0
    ending_inside: int = 0
    empty: int = 0
    textless: int = 0
    repeated: int = 0
    no_full_sentence: int = 0
    not_stopped: int = 0
    unknown: int = 0
    thoughts: int = 0
    lost_thoughts: int = 0
    stale_turns: int = 0
    tool_calls: int = 0
    tool_calls_left_out: Counter[str] = field(default_factory=Counter)
    cut_off: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    acceptance: AcceptanceCount | None = None

    def leave_out(self, row: dict[str, Any], reason: str) -> None:
        """Count a row that gives no pair."""
        if reason == EMPTY_ANSWER:
            self.empty += 1
            self.textless += bool(row.get("extra"))
        self.no_full_sentence += reason == NO_SENTENCE
        if reason in TOOL_CALL_REASONS:
            self.tool_calls_left_out[reason] += 1
        if reason == CUT_OFF:
            self.cut_off[_word(row["finish_reason"])] += 1

    def take(self, item: Item) -> None:
        """Count a row of the data set."""
        self.written += 1
        self.not_stopped += not has_ended(item.row)
        self.unknown += not item.row["finish_reason"]
        self.trimmed += is_shortened(item)
        self.tool_calls += bool(item.pair.tool_calls)
        self.stale_turns += bool(item.row.get(STALE_TURN))
        self.separator_inside += item.pair.holds_separator
        self.ending_inside += item.pair.holds_ending


def candidates(
    rows: RunRows,
    truncated: str,
    question: ExampleQuestion,
    count: ExampleCount | None = None,
    *,
    with_rejected: bool = False,
) -> Iterator[Item]:
    """The answers that give a pair, of several columns those taught; the others are counted in `count` by reason.

    `question` says what each example asks. `with_rejected`: also those that the spec does not keep.
    """
    for row in _examples(rows, question, count, with_rejected=with_rejected):
        made = pair_of(row, truncated, question.of(row), file_format=question.file_format)
        if count is not None:
            count.answers += 1
            count.thoughts += bool(answer_of(row)[0])
            count.lost_thoughts += bool(row.get(LOST_THOUGHTS))
        if isinstance(made, Pair):
            yield Item(made, row)
        elif count is not None:
            count.leave_out(row, made.reason)


def _examples(
    rows: RunRows, question: ExampleQuestion, count: ExampleCount | None, *, with_rejected: bool
) -> Iterator[dict[str, Any]]:
    judged = None
    if rows.plan.keeping is not None:
        taught = () if question.taught is None else [column.name for column in question.taught.columns]
        judged = Judged(rows.plan, rows.plan.keeping, taught, question.samples)
    if count is not None and rows.plan.keeping is not None and rows.plan.keeping.accepts:
        count.acceptance = AcceptanceCount(rows.plan.cells.facets, rows.plan.keeping.by)
    for row in rows if rows.spec.want is None else _wanted(rows, rows.spec.want.accepted, count):
        if count is not None and count.acceptance is not None:
            count.acceptance.add(row)
        examples = list(question.examples(row))
        if count is not None and question.taught is not None:
            count.skipped += not examples
        if judged is not None:
            said = list(judged.of(row, examples))
            if count is not None:
                count.undecided += sum(each.is_kept is None for each in said)
                count.near_copies += sum(each.is_near_copy for each in said)
                left_out = 0 if with_rejected else sum(not each.is_taken and not each.is_near_copy for each in said)
                count.rejected += left_out
            examples = [
                {**each, "judgement": judgement}
                for each, judgement in zip(examples, said, strict=True)
                if (with_rejected or judgement.is_taken) and not judgement.is_near_copy
            ]
        yield from examples


def _wanted(rows: RunRows, wanted: int, count: ExampleCount | None) -> Iterator[dict[str, Any]]:
    """The rows up to the last of the first `wanted` accepted ones."""
    count = ExampleCount() if count is None else count
    for row in rows:
        is_accepted = row.get("accepted", True)
        if count.last is not None:
            count.further += is_accepted
            if count.acceptance is not None:
                count.acceptance.add(row)
            continue
        count.accepted += is_accepted
        if count.accepted == wanted:
            count.last = row["index"]
        yield row


def wanted_pending(rows: RunRows, count: ExampleCount, failed: int) -> int:
    """How many rows may still change which ones are taken; where too few are accepted, how many of these are missing.

    `failed` rows of the run have failed. For a spec with a `want`, once `count` is complete.
    """
    plan, want = rows.plan, rows.spec.want
    if count.last is not None:
        first, calls = min(count.last + 1, plan.most_rows), plan.calls_a_row
        done, gone = rows.found.done.groups(calls, first * calls)[0], rows.found.failed.groups(calls, first * calls)[1]
        return max(first - done - gone, 0)
    is_used_up = len(rows) + failed >= plan.most_rows
    return 0 if want is None or is_used_up else want.accepted - count.accepted


def once_each(items: Iterable[Item], *, repeats: int, count: ExampleCount) -> Iterator[Item]:
    """The first of `items` that asks something, in each cell: `items` come in grid order."""
    for first, *others in to_one_question(items, repeats):
        count.repeated += len(others)
        yield first


def to_one_question(items: Iterable[Item], repeats: int) -> Iterator[list[Item]]:
    """The answers to each question of a cell; `items` come in grid order."""
    for _, cell in groupby(items, key=lambda item: item.index // repeats):
        by_question: dict[tuple[Any, ...], list[Item]] = {}
        for item in cell:
            by_question.setdefault(item.pair.asked, []).append(item)
        yield from by_question.values()


def is_shortened(item: Item) -> bool:
    """Whether the pair contains less than the answer."""
    return len(item.pair.completion) < len(answer_of(item.row)[1])


def answer_tokens(item: Item, reasoning: str) -> int | None:
    """The server's token count for what is taught, None where it gave no number for that."""
    usage = item.row["usage"] or {}
    told = usage.get("completion_tokens")
    if not item.pair.reasoning or reasoning != DROP_THOUGHTS:
        return told if is_token_count(told) else None
    details = usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if not isinstance(told, int) or not is_token_count(told) or not is_token_count(thought):
        return None
    return told - thought if 0 < thought < told else None


def without(items: Iterator[Item], numbers: Container[int]) -> Iterator[Item]:
    """`items` without those whose number is in `numbers`."""
    return (item for item in items if item.number not in numbers)


def _word(finish_reason: object) -> str:
    """The finish reason for a table: the server's own word, of which there are few and short ones."""
    return NO_REASON_GIVEN if finish_reason is None else str(finish_reason)[:40]
