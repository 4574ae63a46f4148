"""A row as the training examples that a spec's `train` makes of it. Pure.

Its templates are taken for further columns of the row: so they name answers, samples and alternatives as prompts do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.forms import FormReading
from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.plan.open_row import OpenRow
from herogen_async.specs.plan.row_shape import CallShape, RowShape
from herogen_async.specs.spec import Template
from herogen_async.specs.spec.column_graph import Uses, sampled_by, sent_names
from herogen_async.specs.spec.conversation import with_transcript
from herogen_async.specs.spec.template import SHOWN_EXAMPLES
from herogen_async.specs.spec.train_checks import ASSISTANT, SYSTEM, USER


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """`turns` are (role, text), the system text not among them. `answers` are the calls in the assistant's texts, by
    their places in the row, those of the last text last; `is_whole`: that is one answer and nothing else. `sample`
    counts from 0.
    """

    system: str
    turns: tuple[tuple[str, str], ...]
    answers: tuple[int, ...]
    is_whole: bool
    sample: int


Train = Sequence[tuple[str, str | Template]]
"""Roles and texts; a text may be a template that is read already."""


def train_of(plan: Plan) -> Train:
    """What an example says, as roles and texts: the spec's `train`, else its conversation, or else nothing."""
    conversation, train = plan.spec.conversation, plan.spec.train
    if conversation is None:
        return train
    spoken = conversation.spoken
    if train:
        return [(role, with_transcript(Template(text, names_columns=True), spoken).text) for role, text in train]
    system = next((column.system for column in plan.columns if column.name == spoken[-1][1]), None)
    return [
        *([] if system is None else [(SYSTEM, system if system.is_jinja else system.text)]),
        *((role, f"{{{name}}}") for role, name in spoken),
    ]


class Training:
    """The examples of the rows of `plan`; `train` are their roles and texts, turn by turn."""

    def __init__(self, plan: Plan, train: Train) -> None:
        self.roles = [role for role, _ in train]
        templates = [text if isinstance(text, Template) else Template(text, names_columns=True) for _, text in train]
        uses = {column.name: Uses((), (), column.samples) for column in plan.columns}
        samples = {column.name: column.samples for column in plan.columns}
        self._plan = plan
        turns: list[AskedColumn] = []
        for number, template in enumerate(templates):
            fans = dict(sampled_by("", {**uses, "": Uses(sent_names(template), ())}, samples))
            own = max(fans.values(), default=1)
            first = plan.calls_a_row + sum(each.samples for each in turns)
            column = replace(plan.columns[0], name=f"{number}", prompt=template, system=None, when=None, samples=own)
            shows = SHOWN_EXAMPLES if SHOWN_EXAMPLES in template.names and plan.spec.examples is not None else None
            turns.append(replace(column, first_call=first, sent=(), parents=(), examples=shows))
        self.samples = max(each.samples for each in turns)
        self._turns = turns
        self._shape = RowShape((*plan.columns, *turns))

    @property
    def templates(self) -> dict[str, Template]:
        """The texts of each role, of several turns the last."""
        return {role: column.prompt for role, column in zip(self.roles, self._turns, strict=True)}

    @property
    def questions(self) -> int:
        """How many there are in one example."""
        return self.roles.count(USER)

    def answered(self) -> tuple[AskedColumn, ...]:
        """The columns that the last assistant's text names."""
        named = {each.name for each in sent_names(self._turns[-1].prompt)}
        return tuple(column for column in self._plan.columns if column.name in named)

    def examples(self, number: int, given: Sequence[FormReading | None]) -> Iterator[TrainingExample]:
        """Those of row `number`; the answers `given` are by the place of their calls, None where a call was skipped.

        There is none where a text names what was skipped, or where the last holds no answer at all.
        """
        row = self._filled(number, given)
        for sample in range(self.samples):
            places = [each.first_call + (sample if each.samples > 1 else 0) for each in self._turns]
            said = [row.text(place) for place in places]
            turns = [(role, text) for role, text in zip(self.roles, said, strict=True) if text is not None]
            if len(turns) == len(places):
                system = turns.pop(0)[1] if self.roles[0] == SYSTEM else ""
                spoken = [place for role, place in zip(self.roles, places, strict=True) if role == ASSISTANT]
                held = [_taken(self._shape.calls[place], given) for place in spoken]
                if not held[-1]:
                    continue
                prompt = self._turns[-1].prompt
                is_whole = len(held[-1]) == 1 and prompt.plain_text.strip() == f"{{{prompt.names[0]}}}"
                answers = tuple(place for each in held for place in each)
                yield TrainingExample(system, tuple(turns), answers, is_whole, sample)

    def _filled(self, number: int, answers: Sequence[FormReading | None]) -> OpenRow:
        cell_index, repeat = divmod(number, self._plan.repeats)
        cell = self._plan.cells.cell(cell_index)
        given = self._plan.given(cell, repeat + 1, self._plan.cells.identity(cell_index))
        row = OpenRow(self._shape, number, cell=cell, repeat=1, sub_prompt="", told=cell, own=b"", given=given)
        row.fill(answers)
        return row


def _taken(shape: CallShape, answers: Sequence[FormReading | None]) -> list[int]:
    """The places of the answers that its placeholders hold: of alternatives the first that there is."""
    found: dict[int, None] = {}
    for _, sources in shape.inputs:
        for source in sources:
            if isinstance(source, str):
                break
            if there := [place for place in source if answers[place] is not None]:
                found |= dict.fromkeys(there)
                break
    return list(found)
