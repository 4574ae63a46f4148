"""Run folders whose rows have several columns, written by the journal's own code and by no engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import attempt_of, failure_line, row_line, seal_of, skipped_line
from herogen_async.specs.plan import Call
from herogen_async.specs.plan.open_row import OpenRow, Skip
from herogen_async.specs.spec import Spec
from support.run_folders import AT, MODEL, WrittenRun

Answer = Callable[[Call], str | Completion | None]
"""What a call is answered with; None: it fails."""

MATHS: dict[str, Any] = {
    "question": {"prompt": "ask {level} {topic}"},
    "solution": {"prompt": "solve [{question}]", "samples": 2},
    "rewrite": {"prompt": "mend [{solution}]", "when": "level == 'hard'"},
    "best": {"prompt": "which? {solution.all}"},
}


def maths(columns: dict[str, Any] | None = None, **changes: Any) -> Spec:
    """A spec of four cells and, unless `columns` says otherwise, those of MATHS: six calls a row. `{}`: no columns."""
    data: dict[str, Any] = {
        "name": "maths",
        "attributes": {"level": ["easy", "hard"], "topic": ["sums", "sets"]},
        **({} if columns == {} else {"columns": columns or MATHS}),
        "sub_prompt": "{level} {topic}?",
    }
    return Spec(**{**data, **changes})


def named(call: Call) -> str:
    """An answer that says which one it is: `hard sums: solution.2`."""
    sample = "" if call.sample is None else f".{call.sample}"
    return f"{' '.join(call.cell.values())}: {call.column}{sample}"


def completion(text: str, **fields: Any) -> Completion:
    """An answer of eighteen tokens that stopped by itself, unless `fields` says otherwise."""
    usage = {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
    found = Completion(text, "stop", MODEL, usage, "r")
    for name, value in fields.items():
        setattr(found, name, value)
    return found


class ColumnRun(WrittenRun):
    """A run in `path` whose rows are asked in order, each call of `answer`."""

    def ask(self, number: int, answer: Answer = named, *, stop: int | None = None, segment: int = 0) -> None:
        """Write row `number`, as far as it goes; `stop`: no more than so many lines of it."""
        row = self.plan.open_row(number)
        left = list(row.ready())
        for _ in range(self.plan.calls_a_row if stop is None else stop):
            if not left:
                return
            left += self._settle(row, left.pop(0), answer, segment)

    def _settle(self, row: OpenRow, place: int, answer: Answer, segment: int) -> list[int]:
        step = row.step(place)
        if isinstance(step, Skip):
            line = skipped_line(step.call, step.condition, at=AT)
            self.write([line], segment)
            return row.settle(place, None, seal_of(line))
        assert isinstance(step, Call)
        said = answer(step)
        if said is None:
            error = EndpointError(f"no {step.column}")
            self.fail([failure_line(step, [attempt_of(error, AT)], at=AT)])
            row.failed(place)
            return []
        line = row_line(step, completion(said) if isinstance(said, str) else said, attempts=1, latency_ms=12.34, at=AT)
        self.write([line], segment)
        return row.settle(place, str(codec.loads(line)["response_txt"]), seal_of(line))


def without(*names: str) -> Answer:
    """Answers as `named`, but for the calls of these columns, which fail."""
    return lambda call: None if call.column in names else named(call)


def lines_of(run: WrittenRun) -> Iterator[dict[str, Any]]:
    """The lines of the first segment."""
    return (codec.loads(line) for line in run.folder.segment(0).read_bytes().splitlines())
