"""Runs of several columns as they may have gone: calls asked and skipped, lines lost and found again, specs edited.

A `History` writes the lines that the product would write, by its own account of what counts (`ColumnModel`), into
memory; `save` puts them into a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import row_line
from herogen_async.generation.journal.record import skipped_line
from herogen_async.generation.run_folder import Manifest, RunFolder, write_manifest
from herogen_async.generation.run_folder.manifest import EarlierPlan
from herogen_async.specs.plan import Era, Lineage, Plan
from herogen_async.specs.spec import Spec
from support.column_model import Asked, CallOf, ColumnModel, Written

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)

QUESTION = {"prompt": "ask {level} {topic}"}
SOLUTION = {"prompt": "solve [{question}]"}
VERDICT = {"prompt": "grade [{question}] [{solution}]"}
THREE: dict[str, Any] = {"question": QUESTION, "solution": SOLUTION, "verdict": VERDICT}
SAMPLED = {**THREE, "solution": {**SOLUTION, "samples": 2}, "best": {"prompt": "best of {solution.all}"}}
REWRITTEN = {
    **THREE,
    "rewrite": {"prompt": "mend [{solution}]", "when": "verdict == 'bad'"},
    "praise": {"prompt": "praise [{rewrite}]"},
    "final": {"prompt": "print [{rewrite|solution}]"},
}
SHAPES: tuple[dict[str, Any], ...] = (
    THREE,
    {"question": QUESTION},
    {"question": QUESTION, "solution": SOLUTION},
    {**THREE, "question": {"prompt": "please ask {level} {topic}"}},
    {**THREE, "verdict": {"prompt": "judge [{question}] [{solution}]"}},
    {"solution": {"prompt": "solve {level} {topic}"}, "verdict": {"prompt": "grade [{solution}]"}},
    {"question": QUESTION, "solution": {"prompt": "solve {level} {topic}"}, "verdict": VERDICT},
    {"verdict": VERDICT, "solution": SOLUTION, "question": QUESTION},
    {"task": QUESTION, "proof": {"prompt": "solve [{task}]"}, "verdict": {"prompt": "grade [{task}] [{proof}]"}},
    SAMPLED,
    {**SAMPLED, "solution": {**SOLUTION, "samples": 3}},
    REWRITTEN,
    {**REWRITTEN, "rewrite": {**REWRITTEN["rewrite"], "when": "verdict != 'good'"}},
    {**REWRITTEN, "solution": {"prompt": "solve well [{question}]"}},
)
GRIDS: tuple[dict[str, list[str]], ...] = (
    {"level": ["easy", "hard"], "topic": ["sums"]},
    {"topic": ["sets", "sums"], "level": ["hard", "easy"]},
    {"level": ["hard"], "topic": ["sums"]},
)

NUMBER = st.integers(0, 60)
EVENTS = st.one_of(
    *[st.tuples(st.just("ask"), NUMBER)] * 6,
    *[st.tuples(st.just("row"), NUMBER)] * 4,
    st.tuples(st.just("skip"), NUMBER),
    st.tuples(st.just("lose"), NUMBER),
    st.tuples(st.just("double"), NUMBER),
    st.tuples(st.just("roll"), NUMBER),
    st.tuples(st.just("edit"), st.integers(0, len(SHAPES) * len(GRIDS) * 8 - 1)),
)
COLUMN_NAMES = ("question", "solution", "verdict", "rewrite")


def spec_of(columns: Mapping[str, Any], grid: Mapping[str, list[str]] = GRIDS[0], repeats: int = 1) -> Spec:
    return Spec(name="maths", attributes=dict(grid), columns=dict(columns), repeats=repeats)


def plan_of(spec: Spec) -> Plan:
    return Plan(spec, endpoint="completions", model="m")


def asked_of(plan: Plan, first_segment: int = 0) -> Asked:
    """A plan as the model knows it: texts, and the hashes of conditions as lines have them."""
    columns: dict[str, dict[str, Any]] = {name: dict(column) for name, column in plan.spec.as_dict()["columns"].items()}
    for column in plan.columns:
        if column.when is not None:
            asks = [name for name in column.when.names if name in columns]
            columns[column.name] |= {"hash": column.when.fingerprint, "asks": asks}
    return Asked(plan.spec.attributes, columns, plan.repeats, first_segment)


def call_of(plan: Plan, index: int) -> CallOf:
    """Whose call it is, whatever its number."""
    call = plan.call(index)
    return CallOf(frozenset(call.cell.items()), call.repeat, plan.column_at(index).name, plan.sample_at(index))


@dataclass
class _Line:
    segment: int
    raw: bytes
    record: Mapping[str, Any]
    is_there: bool = True


class History:
    """One run, from its first spec on."""

    def __init__(self, spec: Spec) -> None:
        self.plans = [plan_of(spec)]
        self.first_segments = [0]
        self.keeps_stale = False
        self.regenerated: tuple[str, ...] = ()
        self.lines: list[_Line] = []
        self.segment = 0
        self._model: ColumnModel | None = None

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    def model(self) -> ColumnModel:
        if self._model is None:
            self._model = self._fresh_model()
        return self._model

    def _fresh_model(self) -> ColumnModel:
        eras = [asked_of(plan, first) for plan, first in zip(self.plans, self.first_segments, strict=True)]
        return ColumnModel(eras, keeps_stale=self.keeps_stale, regenerated=self.regenerated)

    def lineage(self) -> Lineage:
        eras = [Era(plan, first) for plan, first in zip(self.plans, self.first_segments, strict=True)]
        return Lineage(
            self.plan,
            eras[:-1],
            first_segment=self.first_segments[-1],
            keeps_stale=self.keeps_stale,
            regenerated=self.regenerated,
        )

    def written(self) -> list[Written]:
        """What is there, in order."""
        return [Written(line.segment, line.record) for line in self.lines if line.is_there]

    def counting(self) -> dict[CallOf, Mapping[str, Any]]:
        return self.model().counting(self.written())

    # -- what happens ----------------------------------------------------------------------------------------------

    def edit(self, spec: Spec, *, keeps_stale: bool, regenerated: Sequence[str] = ()) -> None:
        """Another spec from now on; where it asks the same, it is none."""
        plan, self._model = plan_of(spec), None
        self.keeps_stale, self.regenerated = keeps_stale, tuple(name for name in regenerated if name in spec.columns)
        if (plan.grid_fingerprint, plan.generation_fingerprint) != (
            self.plan.grid_fingerprint,
            self.plan.generation_fingerprint,
        ):
            self.segment += 1
            self.plans.append(plan)
            self.first_segments.append(self.segment)

    def roll(self) -> None:
        """A new segment."""
        self.segment += 1

    def ask(self, index: int, *, skips: bool = False) -> None:
        """An answer to the call at `index`, where it may be asked now; `skips`: its condition is not met."""
        index %= self.plan.size
        counted = self.counting()
        call = call_of(self.plan, index)
        if call in counted:
            return
        shape = self.plan.shape.calls[index % self.plan.calls_a_row]
        first = index - shape.place
        there = {place: counted.get(call_of(self.plan, first + place)) for place in shape.parents}
        if None in there.values():
            return
        seals: dict[str, None] = {}
        for _, sources in shape.inputs:
            for source in sources:
                lines: list[Any] = [there[int(place)] for place in source if not isinstance(source, str)]
                seals.update(dict.fromkeys(line["crc"] for line in lines))
                if any("skipped" not in line for line in lines):
                    break
            else:
                gone = [line for _, group in shape.inputs for source in group for line in map(there.get, source)]  # type: ignore[arg-type]
                missing = [line for line in gone if line is not None and "skipped" in line]
                self._skip(index, missing[0]["skipped"], [line["crc"] for line in missing])
                return
        if skips and shape.column.when is not None:
            self._skip(index, shape.column.when.fingerprint, [each["crc"] for each in there.values() if each])
            return
        asked = replace(self.plan.call(index), built_on=tuple(seals))
        said = Completion(f"answer {len(self.lines)}", "stop", "m", {"total_tokens": 2}, "req")
        self._add(row_line(asked, said, attempts=1, latency_ms=1.0, at=AT))

    def lose(self, number: int) -> None:
        """A line is damaged, or a power cut took it."""
        if self.lines:
            self.lines[number % len(self.lines)].is_there = False

    def double(self, number: int) -> None:
        """A line is there twice."""
        if self.lines:
            line = self.lines[number % len(self.lines)]
            self.lines.insert(number % len(self.lines), replace(line))

    def find(self, number: int) -> None:
        """A lost line is there again, at its place, as `recover` finds it in a damaged one.

        Not where a later line of its call is lost, too: then a follower of that one would be taken for its own.
        """
        latest = {line.record["key"]: line for line in self.lines if not line.is_there}
        if lost := list(latest.values()):
            lost[number % len(lost)].is_there = True

    def describe(self, folder: RunFolder) -> None:
        """The manifest, with every spec that the run had."""
        earlier = zip(self.plans[:-1], self.first_segments, strict=False)
        write_manifest(
            folder,
            Manifest(
                spec=self.plan.spec.as_dict(),
                grid_fingerprint=self.plan.grid_fingerprint,
                generation_fingerprint=self.plan.generation_fingerprint,
                endpoint="completions",
                model="m",
                base_url=None,
                created_at=AT.isoformat(),
                earlier=[EarlierPlan(plan.spec.as_dict(), "completions", "m", first) for plan, first in earlier],
                first_segment=self.first_segments[-1],
                keeps_stale=self.keeps_stale,
                regenerated=list(self.regenerated),
            ),
        )

    def save(self, folder: RunFolder) -> None:
        """The segments, as files."""
        for path in folder.path.glob("rows-*"):
            path.unlink()
        for segment in range(self.segment + 1):
            lines = [line.raw for line in self.lines if line.is_there and line.segment == segment]
            folder.segment(segment).write_bytes(b"".join(lines))

    def _skip(self, index: int, condition: str, seals: Sequence[str]) -> None:
        asked = replace(self.plan.call(index), prompt="", built_on=tuple(seals))
        # Unlike an answer, two decisions at one moment would be the same line.
        self._add(skipped_line(replace(asked, sub_prompt=f"{len(self.lines)}"), condition, at=AT))

    def _add(self, raw: bytes) -> None:
        self.lines.append(_Line(self.segment, raw, codec.loads(raw)))


def made(first: int, events: list[tuple[str, int]], found_again: list[int]) -> History:
    """A history of these events."""
    history = History(spec_of(SHAPES[first], GRIDS[0], 2))
    for what, number in events:
        if what == "ask":
            history.ask(number)
        elif what == "row":
            calls = history.plan.calls_a_row
            for place in range(calls):
                history.ask(number * calls + place, skips=number % 3 == 0)
        elif what == "skip":
            history.ask(number, skips=True)
        elif what == "edit":
            shape, grid, flags = number // 8 // len(GRIDS), number // 8 % len(GRIDS), number % 8
            history.edit(
                spec_of(SHAPES[shape], GRIDS[grid], 1 + flags % 2),
                keeps_stale=flags // 2 % 2 == 1,
                regenerated=COLUMN_NAMES[number % 4 : number % 4 + 1] if flags // 4 else (),
            )
        elif what == "roll":
            history.roll()
        else:
            getattr(history, what)(number)
    for number in found_again:
        history.find(number)
    return history


def histories(fewest_events: int = 5) -> st.SearchStrategy[History]:
    """Histories of up to 25 events: doubles, skips, edits, lost lines and such that are there again."""
    events = st.lists(EVENTS, min_size=fewest_events, max_size=25)
    return st.builds(made, st.integers(0, len(SHAPES) - 1), events, st.lists(NUMBER, max_size=2))
