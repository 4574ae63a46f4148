"""What the quality report says of the run: how the rows were made, three of them in full, and those with findings."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b

from herogen_async.core.units import counted
from herogen_async.data.dataset.assemble.assembly_report import Assembled
from herogen_async.data.dataset.example_question import ExampleQuestion
from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.data.dataset.recipe import DROP_THOUGHTS, answer_of
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.taught import Taught
from herogen_async.data.dataset.tool_calls import as_text, tool_calls_of
from herogen_async.data.quality import RowExcerpt, Subject, WholeExample, pointed_at
from herogen_async.data.quality.normalize import excerpt
from herogen_async.specs.columns import AskedColumn

_EXAMPLES = 3
_EXCERPT = 400  # characters of a row that a finding points to


class Samples:
    """Watches the rows of a data set go by, and keeps three of different cells: the same ones each time.

    They are drawn by a hash of their cells, so that they lie anywhere in the grid; those in `flagged` only when there
    are too few others.
    """

    def __init__(self, flagged: Container[int], *, repeats: int) -> None:
        self.days: tuple[str, str] | None = None  # created_at of the first and the last answer
        self._flagged = flagged
        self._repeats = repeats
        self._kept: dict[int, tuple[tuple[bool, bytes], Item]] = {}

    def watching(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, looked at as they pass."""
        for item in items:
            self._take(item)
            yield item

    def chosen(self) -> list[Item]:
        """The kept ones, in the grid's order."""
        return [item for _, item in sorted(self._kept.values(), key=lambda each: each[1].number)]

    def _take(self, item: Item) -> None:
        at = str(item.row["created_at"])
        first, last = self.days or (at, at)
        self.days = min(first, at), max(last, at)
        cell = item.index // self._repeats
        rank = item.number in self._flagged, blake2b(str(cell).encode(), digest_size=8).digest()
        if cell in self._kept and self._kept[cell][0] <= rank:
            return
        self._kept[cell] = rank, item
        if len(self._kept) > _EXAMPLES:
            del self._kept[max(self._kept, key=lambda each: self._kept[each][0])]


def subject_of(rows: RunRows, assembled: Assembled, samples: Samples) -> Subject:
    """What the report is about. The rows with findings are read again, one by one: there are a few hundred at most."""
    spec, how, taught = rows.spec, assembled.how, assembled.taught
    system = spec.system
    if taught is not None:
        system = None if taught.columns[0].system is None else taught.columns[0].system.text
    return Subject(
        title=spec.name,
        summary=f"{counted(assembled.written, 'example')} for fine-tuning, made with herogen-async.",
        facts=_facts(rows, assembled, samples),
        prompt=spec.prompt if taught is None else taught.columns[0].prompt.text,
        system=system,
        question=how.sub_prompt or "",
        examples=tuple(_whole(item, reasoning=how.reasoning) for item in samples.chosen()),
        show=f"herogen-async show {rows.folder.argument}",
        acceptance=assembled.acceptance,
        rows={number: _excerpt(rows, number, assembled.question) for number in pointed_at(assembled.quality)},
    )


def _facts(rows: RunRows, assembled: Assembled, samples: Samples) -> Mapping[str, str]:
    spec, cells, repeats, taught = rows.spec, rows.plan.cells, rows.plan.repeats, assembled.taught
    sampling = ", ".join(
        f"{name} {f'{value:g}' if isinstance(value, float) else value}"
        for name, value in (spec if taught is None else taught.columns[0]).sampling.as_sent().items()
    )
    facets = ", ".join(f"{name} ({len(values):,})" for name, values in cells.facets.items())
    facets += ": " if facets else ""
    name = assembled.how.format
    answers = repeats * assembled.question.samples
    return {
        "Model": rows.manifest.model if taught is None else taught.columns[0].model,
        **({} if taught is None else {"Columns": _columns(rows, taught)}),
        **({} if samples.days is None else {"Generated": _days(*samples.days)}),
        "Sampling": sampling or "server defaults",
        "Endpoint": rows.manifest.endpoint if taught is None else taught.columns[0].endpoint,
        "Grid": f"{facets}{counted(cells.size, 'cell')}, {counted(answers, 'answer')} each",
        "Format": f"{name}: {FORMATS[name].says.replace('`', '')}",
    }


def _columns(rows: RunRows, taught: Taught) -> str:
    """`question (model-a), solution (model-b, 2 samples); taught: solution`."""

    def told(column: AskedColumn) -> str:
        samples = f", {column.samples} samples" if column.samples > 1 else ""
        return f"{column.name} ({column.model}{samples})"

    return f"{', '.join(map(told, rows.plan.columns))}; taught: {taught.text}"


def _days(first: str, last: str) -> str:
    """`30 November 2026`, or the first and the last day (UTC)."""
    try:
        days = [f"{day.day} {day:%B %Y}" for day in map(datetime.fromisoformat, (first, last))]
    except ValueError:  # a line that another program wrote
        return f"{first} to {last}"
    return " to ".join(dict.fromkeys(days))


def _whole(item: Item, *, reasoning: str) -> WholeExample:
    return WholeExample(
        number=item.index,
        cell=item.row["cell"],
        prompt=item.pair.prompt,
        completion=item.pair.shown,
        reasoning="" if reasoning == DROP_THOUGHTS else item.pair.reasoning,
        rejected=None if item.rejected is None else item.rejected.shown,
    )


def _excerpt(rows: RunRows, number: int, question: ExampleQuestion) -> RowExcerpt:
    examples = question.examples(rows.row(number // question.samples))
    row = next(each for each in examples if each.get("number", number) == number)
    said = "\n".join(filter(None, (answer_of(row)[1], as_text(tool_calls_of(row) or ()))))
    return RowExcerpt(number, row["cell"], excerpt(said, _EXCERPT))
