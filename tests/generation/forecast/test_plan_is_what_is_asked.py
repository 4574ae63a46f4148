"""What `plan` says of each column is what the run then asks: over random rows of columns, edits, consents and kills."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import herogen_async
from herogen_async.core import codec
from herogen_async.generation.forecast.forecast import Forecast
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

CONDITIONS = (None, None, None, "level == 'hard'", "'3' in {parent}")


@dataclass(frozen=True)
class Drawn:
    """A column: `tag` begins its prompt, whatever it is called; `parents` are tags of earlier ones.

    `takes_either` of its parents: the first that is not skipped.
    """

    tag: str
    name: str
    parents: tuple[str, ...] = ()
    samples: int = 1
    when: str | None = None
    version: int = 1
    takes_either: bool = False


Columns = tuple[Drawn, ...]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def never_the_same() -> Callable[[Asked], Reply]:
    """What was made from which answer is seen in the prompts; an example is the same each time that it is tried."""
    times: Counter[str] = Counter()

    def said(asked: Asked) -> Reply:
        times[asked.prompt] += 1
        digits = hashlib.md5(f"{asked.prompt} {times[asked.prompt]}".encode()).hexdigest()[:8]
        return answer(asked, f"{asked.prompt[:1]}{digits}")

    return said


def spec_of(columns: Columns, levels: int) -> Spec:
    fanned = sampled(columns)
    names = {each.tag: each.name for each in columns}
    found: dict[str, Any] = {}
    for each in columns:
        joins = [names[tag] + (".all" if fanned[tag] != fanned[each.tag] else "") for tag in each.parents]
        found[each.name] = {
            "prompt": f"{each.tag}.{each.version} {{level}} "
            + " ".join(f"[{{{name}}}]" for name in (["|".join(joins)] if each.takes_either else joins)),
            **({"samples": each.samples} if each.samples > 1 else {}),
            **({"when": each.when.format(parent=names[each.parents[0]])} if each.when is not None else {}),
        }
    return Spec(name="s", attributes={"level": ["hard", "easy", "odd"][:levels]}, columns=found)


def sampled(columns: Columns) -> dict[str, str]:
    """By tag, whose samples a column has; a column that is named with `.all` ends them."""
    found: dict[str, str] = {}
    for each in columns:
        fans = {found[tag] for tag in each.parents} - {""}
        found[each.tag] = each.tag if each.samples > 1 else fans.pop() if len(fans) == 1 else ""
    return found


@st.composite
def drawn_columns(draw: st.DrawFn) -> Columns:
    columns: list[Drawn] = []
    for tag in "abcde"[: draw(st.integers(2, 5))]:
        columns.append(draw(a_column(tag, tuple(columns))))
    return tuple(columns)


@st.composite
def a_column(draw: st.DrawFn, tag: str, earlier: Columns) -> Drawn:
    parents = (
        draw(st.lists(st.sampled_from([each.tag for each in earlier]), max_size=2, unique=True)) if earlier else []
    )
    when = draw(st.sampled_from(CONDITIONS)) if parents else None
    if when is not None and "parent" in when and sampled(earlier)[parents[0]]:
        when = None  # a sampled column is asked sample by sample
    fans = sampled(earlier)
    takes_either = len(parents) == 2 and not any(fans[each] for each in parents) and draw(st.booleans())
    return Drawn(tag, f"col_{tag}", tuple(parents), draw(st.sampled_from((1, 1, 2))), when, takes_either=takes_either)


@st.composite
def edited(draw: st.DrawFn, columns: Columns) -> Columns:
    used = {tag for each in columns for tag in each.parents}
    place = draw(st.integers(0, len(columns) - 1))
    each = columns[place]
    kind = draw(st.sampled_from(("prompt", "rename", "add", "remove", "samples", "when")))
    if kind == "add" and len(columns) < 6:
        return (*columns, draw(a_column(chr(ord("f") + len(columns)), columns)))
    if kind == "remove" and each.tag not in used and len(columns) > 2:
        return (*columns[:place], *columns[place + 1 :])
    if kind == "samples" and each.samples > 1:
        each = replace(each, samples=3)
    elif kind == "when" and each.parents:
        each = replace(each, when=None if each.when else "level != 'hard'")
    elif kind == "rename":
        each = replace(each, name=f"{each.name}_too")
    else:
        each = replace(each, version=each.version + 1)
    return (*columns[:place], each, *columns[place + 1 :])


def lines_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("rows-*.jsonl"))
    return [codec.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def killed(folder: Path, at: float) -> None:
    """The newest segment ends after that part of its lines, as a kill leaves it."""
    path = max(folder.glob("rows-*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: int(at * len(lines))]))
    (folder / "lock").unlink(missing_ok=True)


def told(found: Forecast, regenerated: tuple[str, ...] | bool) -> dict[str, int]:
    """How many calls of each column `found` says that will be settled."""
    again = set(regenerated) if isinstance(regenerated, tuple) else set()
    counts = {}
    for each in found.columns:
        if again.intersection(each.column.sent):
            again.add(each.name)  # what builds on it, too
        is_all = regenerated is True or each.name in again
        counts[each.name] = each.calls.new + (each.calls.stale if is_all else each.calls.stale_asked)
    return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True)
class Going:
    """A run that goes on with `spec`; what it asks is held against what `plan` said."""

    server: FakeServer
    folder: Path
    spec: Spec
    tags: dict[str, str]

    def on(self, regenerated: tuple[str, ...] | bool = False, **options: Any) -> None:
        found = herogen_async.plan(self.spec, self.folder)
        expected, lines, asked = told(found, regenerated), len(lines_of(self.folder)), len(self.server.asked)
        report = herogen_async.run(self.spec, run=self.folder, **at(self.server), **options)
        assert ("done", len(self.spec.attributes["level"])) == (report.state, report.done)
        new = lines_of(self.folder)[lines:]
        lines_by = Counter(line["column"] for line in new)
        for each in found.columns:
            # Of those that wait for a condition, an answer made without what it leaves out is kept.
            may_be_less = each.is_at_most and any("|" in str(column) for column in self.spec.columns.values())
            told_of, came = expected.get(each.name, 0), lines_by[each.name]
            assert told_of == came or (may_be_less and came < told_of)
        requests = Counter(each.prompt[:1] for each in self.server.asked[asked:])
        assert requests == Counter(self.tags[line["column"]] for line in new if "skipped" not in line)
        for each in found.columns:
            assert each.is_at_most or expected.get(each.name, 0) == requests[self.tags[each.name]]


def at(server: FakeServer) -> dict[str, Any]:
    return {"base_url": server.url, "model": "m", "concurrency": 3}


@settings(max_examples=20)
@given(st.data())
def test_a_run_asks_what_plan_said_of_each_column(server: FakeServer, data: st.DataObject) -> None:
    """New and stale by column, after edits and kills, with each consent; nothing is asked twice, nor ever again."""
    before = data.draw(drawn_columns(), "columns")
    after = data.draw(edited(before), "edited")
    if data.draw(st.booleans(), "twice"):
        after = data.draw(edited(after), "edited again")
    choices: list[bool | tuple[str, ...]] = [False, True, *((each.name,) for each in after)]
    again = data.draw(st.sampled_from(choices), "regenerated")
    levels = data.draw(st.sampled_from((2, 3)), "levels")
    kills = data.draw(st.tuples(st.floats(0.2, 1), st.floats(0, 1)), "kills")
    server.behaviour = never_the_same()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "r"
        herogen_async.run(spec_of(before, 2), run=folder, **at(server))
        killed(folder, kills[0])
        going = Going(server, folder, spec_of(after, levels), {each.name: each.tag for each in after})
        going.on(again, extend=True, regenerate_stale=again)
        killed(folder, kills[1])
        going.on()
        assert {} == told(herogen_async.plan(going.spec, folder), False)
        going.on()
