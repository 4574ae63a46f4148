"""Every call of a spec, by its place in the plan. A plan is never held in memory: a call is computed on request.

The column, with its samples, is the fastest axis: `call index = row x calls a row + call of the row`, and `row = cell x
repeats + repeat`. In a spec of one prompt a row is one call, and both numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import TemplateFailed
from herogen_async.specs.columns import AskedColumn, asked_columns
from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.index_set import IndexSet
from herogen_async.specs.plan.row_shape import RowShape, own_part
from herogen_async.specs.source_index.spec_cells import spec_cells
from herogen_async.specs.sources.cells import Cells, longest_values, records_of
from herogen_async.specs.spec import Spec, Template
from herogen_async.specs.spec.template import SHOWN_EXAMPLES

if TYPE_CHECKING:
    from herogen_async.specs.plan.keeping import Keeping
    from herogen_async.specs.plan.open_row import OpenRow

UNLIMITED_ANSWER = 1024  # tokens, of an answer without a limit that later prompts hold
_TOKEN_BYTES = 4


class Plan:
    """The calls of `spec`, in order: cells in their order, the repeats of a cell next to each other, then its columns.

    `cells` are the combinations of the spec's attributes, in its order, when left out. `endpoint` and `model` are those
    of the columns that set none. Raises InputError where two columns would ask the same.

    A key is a hash of (canonical cell, repeat, column fingerprint): it depends on what is asked and of which model, not
    on the call's place, so it survives new values, another order and a renamed spec.
    """

    def __init__(self, spec: Spec, *, endpoint: str, model: str, cells: Cells | None = None) -> None:
        self.spec = spec
        self.cells = spec_cells(spec) if cells is None else cells
        self.repeats = spec.repeats
        self.columns = asked_columns(spec, endpoint=endpoint, model=model)
        self.shape = RowShape(self.columns)
        self.calls_a_row = len(self.shape.calls)
        self.rows = self.cells.size * spec.repeats
        self.size = self.rows * self.calls_a_row
        self.most_rows = self.rows  # that a run ever asks
        if spec.want is not None and spec.want.at_most is not None:
            self.most_rows = min(self.rows, spec.want.at_most)
        self.grid_fingerprint = self.cells.fingerprint(spec.repeats)
        first = self.columns[0]
        self.generation_fingerprint = first.fingerprint if not spec.columns else _of_all(self.columns)
        # Whether rows are told and written by column, and whether they are shown so: of one prompt without a form or
        # `unlike`, or without anything to decide by, they are not.
        self.has_columns = self.calls_a_row > 1 or first.form is not None or first.unlike is not None
        self.shows_columns = self.has_columns or spec.keep is not None or bool(spec.best_of)
        self.keeping = _keeping(spec, self.columns)
        self._is_single = self.calls_a_row == 1
        # Whether lines say less of a cell than there is: of records.
        self._tells_less = records_of(self.cells) is not None
        self._shown = spec.examples if any(each.examples for each in self.columns) else None
        # In Jinja syntax a name without a value is an error: an attribute that a cell has not is an empty text there.
        is_filled = bool(spec.cell_rules.branches) and any(call.is_jinja for call in self.shape.calls)
        self._blank = dict.fromkeys(spec.attributes, "") if is_filled else {}
        self._has_more = is_filled or self._shown is not None  # than its cell, for templates
        self._row: type[OpenRow] | None = None
        self._prompt = first.prompt
        self._system = first.system
        self._sub_prompt = Template(spec.sub_prompt)
        self._sub_names = frozenset(self._sub_prompt.names)
        self._first = self.shape.calls[0]

    @property
    def stems(self) -> list[str]:
        """The columns as the spec calls them, by which settings are given."""
        return list(dict.fromkeys(column.stem for column in self.columns))

    def call(self, index: int) -> Call:
        """The call at `index`, 0 <= index < size. The answers that its prompt will hold stand in it as placeholders."""
        if not self._is_single:
            row, place = divmod(index, self.calls_a_row)
            return self.open_row(row).preview(place)
        cell_index, repeat = divmod(index, self.repeats)
        cell = told = identity = self.cells.cell(cell_index)
        if self._tells_less:
            told, identity = self.cells.told(cell_index), self.cells.identity(cell_index)
        repeat += 1
        values = self._given(cell, repeat, identity) if self._has_more else cell
        key = self._first.key(own_part(repeat, identity))
        asked = self._told_sub_prompt(cell, told)
        try:
            prompt = self._prompt.render(values)
            system = None if self._system is None else self._system.render(values) or None
        except TemplateFailed as failure:
            return Call(key, index, told, repeat, self._prompt.text, None, asked, failure=failure)
        return Call(key, index, told, repeat, prompt, system, asked)

    def open_row(self, row: int) -> OpenRow:
        """The calls of row number `row`, none of them answered."""
        if self._row is None:
            from herogen_async.specs.plan.open_row import OpenRow  # noqa: PLC0415 - a row of one call needs none of it

            self._row = OpenRow
        cell_index, repeat = divmod(row, self.repeats)
        cell = self.cells.cell(cell_index)
        told = identity = cell
        if self._tells_less:
            told, identity = self.cells.told(cell_index), self.cells.identity(cell_index)
        return self._row(
            self.shape,
            row,
            cell=cell,
            told=told,
            own=own_part(repeat + 1, identity),
            repeat=repeat + 1,
            sub_prompt=self._told_sub_prompt(cell, told),
            given=self.given(cell, repeat + 1, identity) if self._has_more else None,
        )

    def _told_sub_prompt(self, cell: Mapping[str, str], told: Mapping[str, str]) -> str:
        """What a line says of it: nothing where it holds a long field, which would be there twice; exports make it
        anew.
        """
        return "" if self._tells_less and not self._sub_names <= told.keys() else self._sub_prompt.render(cell)

    def given(
        self, cell: dict[str, str], repeat: int, identity: Mapping[str, str]
    ) -> Callable[[], dict[str, str]] | None:
        """What gives the values that templates of such a row may name besides columns; None: its cell has them all.

        It may read a file: it raises InputError where the examples are not those of the spec.
        """
        return partial(self._given, cell, repeat, identity) if self._has_more else None

    def rendered(self, template: Template, cell: dict[str, str], repeat: int, identity: Mapping[str, str]) -> str:
        """The text of a template that names no columns, in such a row."""
        names_more = SHOWN_EXAMPLES in template.names or self._blank
        return template.render(self._given(cell, repeat, identity) if names_more else cell)

    def _given(self, cell: dict[str, str], repeat: int, identity: Mapping[str, str]) -> dict[str, str]:
        # Examples are chosen by what a key is made from: what nothing sends changes no prompt.
        values = {**self._blank, **cell} if self._blank else cell
        return values if self._shown is None else {**values, SHOWN_EXAMPLES: self._shown.chosen(identity, repeat)}

    def column_at(self, index: int) -> AskedColumn:
        """The column that the call at `index` belongs to."""
        return self.shape.calls[index % self.calls_a_row].column

    def sample_at(self, index: int) -> int:
        """Which sample of its column the call at `index` is; they count from 1."""
        return self.shape.calls[index % self.calls_a_row].sample

    def in_words(self, index: int) -> str:
        """What a person knows the call at `index` by: its task or row, its column and sample, its cell."""
        row = index // self.calls_a_row
        cell = self.cells.told(row // self.repeats)
        if self._is_single:
            return f"task {index} {cell}"
        column, sample = self.column_at(index), self.sample_at(index)
        return f"row {row}, column {column.name!r}{f', sample {sample}' if column.samples > 1 else ''} {cell}"

    def longest_texts(self, size: Callable[[str], int], column: AskedColumn | None = None) -> tuple[str, str]:
        """Prompt and system text ("" if there is none) filled with the longest values: no call has longer ones, but of
        Jinja templates, where a loop or a condition may make more of other values.

        An answer that a later prompt holds is as long as its column's limit allows. `column`: of its calls alone.
        """
        values = longest_values(self.cells, size)
        texts = [self._longest(each, values) for each in (self.columns if column is None else (column,))]
        return max(texts, key=lambda each: size(each[0]) + size(each[1]))

    def _longest(self, column: AskedColumn, values: Mapping[str, str]) -> tuple[str, str]:
        limits = {each.name: each.sampling.max_completion_tokens or each.sampling.max_tokens for each in self.columns}
        answers = {
            name: "x" * (_TOKEN_BYTES * sum((limits[each.column.name] or UNLIMITED_ANSWER) for each in most))
            for name, most in self.shape.longest_answers(column).items()
        }
        filled = {**values, **answers}
        if self._shown is not None and column.examples is not None:
            filled[SHOWN_EXAMPLES] = self._shown.longest(len)
        return column.prompt.longest(filled), "" if column.system is None else column.system.longest(filled)

    def key(self, index: int) -> str:
        """The key of the call at `index`: 32 hexadecimal digits."""
        row, place = divmod(index, self.calls_a_row)
        cell_index, repeat = divmod(row, self.repeats)
        return self.shape.calls[place].key(own_part(repeat + 1, self.cells.identity(cell_index)))

    def owns(self, record: Mapping[str, Any]) -> bool:
        """Whether a journal record (row or failure) belongs to the call at its index in this plan."""
        index = record.get("index")
        return isinstance(index, int) and 0 <= index < self.size and record.get("key") == self.key(index)

    def pending(self, done: IndexSet, rows: range | None = None) -> Iterator[int]:
        """The calls not in `done` among those of these `rows` (None: all), ascending."""
        calls = self.calls_of(self.rows_asked() if rows is None else rows)
        return done.missing(calls.stop, calls.start)

    def spread(self, count: int, rows: range | None = None) -> list[int]:
        """`count` of these `rows` (None: all), ascending and spread over them.

        Of shuffled cells the first rows: these are spread already, and are the first that a run needs.
        """
        rows = self.rows_asked() if rows is None else rows
        count = min(count, len(rows))
        if self.spec.order_seed is not None:
            return list(rows[:count])
        # From the first to the last one: in equal parts, the later attributes would mostly have their first values.
        return [rows[place * (len(rows) - 1) // max(count - 1, 1)] for place in range(count)]

    def blocked(self, failed: IndexSet, done: IndexSet) -> Iterator[tuple[int, int]]:
        """(index, that of a call that failed) of what builds on the second, and has no answer: it can't be asked."""
        if not self._is_single:
            for index in failed:
                for follower in self.followers(index):
                    if follower not in done:
                        yield follower, index

    def followers(self, index: int) -> Iterator[int]:
        """The calls that build on the one at `index`, directly or not."""
        place = index % self.calls_a_row
        for follower in self.shape.descendants(place):
            yield index - place + follower

    def rows_asked(self, limit: int | None = None, part: tuple[int, int] = (1, 1)) -> range:
        """The numbers of the rows that a run asks: the first `limit` (None: all), and of these part i of n.

        Parts lie one behind the other, and their sizes differ by one row at most.
        """
        rows = self.most_rows if limit is None else min(limit, self.most_rows)
        number, parts = part
        return range((number - 1) * rows // parts, number * rows // parts)

    def calls_of(self, rows: range) -> range:
        """The indices of all calls of `rows`, which lie one behind the other."""
        return range(rows.start * self.calls_a_row, rows.stop * self.calls_a_row)


def _keeping(spec: Spec, columns: tuple[AskedColumn, ...]) -> Keeping | None:
    if spec.keep is None and not spec.best_of and all(column.unlike is None for column in columns):
        return None
    from herogen_async.specs.plan.keeping import Keeping  # noqa: PLC0415 - few specs have it

    return Keeping(spec, columns)


def _of_all(columns: tuple[AskedColumn, ...]) -> str:
    """What a spec of several columns asks, all together; their conditions, forms and likenesses too, and
    their order.
    """
    return fingerprint(
        [
            [
                each.fingerprint,
                each.samples,
                None if each.when is None else each.when.fingerprint,
                *([] if each.form is None else [each.form.fingerprint]),
                *([] if each.unlike is None else [each.unlike]),
            ]
            for each in columns
        ]
    )


def own_judges(plan: Plan) -> Iterator[tuple[str, str]]:
    """(judge, author) of each column that rows are kept or ranked by, and that asks the model which wrote its texts.

    That is either of a pair, or the last of the columns that its texts name: what it needs to know besides stands
    before.
    """
    columns = {column.name: column for column in plan.columns}
    names = {column.name for column in plan.columns if column.swapped is not None}
    for name in sorted(names if plan.keeping is None else names | (columns.keys() & plan.keeping.names)):
        judge = columns[name]
        named = [column for column in plan.columns if column.name in (judge.pair or judge.sent)]
        authors = [] if judge.form is None else named if judge.pair is not None else named[-1:]
        for author in authors:
            if (author.model, author.base_urls) == (judge.model, judge.base_urls):
                yield name, author.name
