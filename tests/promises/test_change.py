"""P7: a spec may be changed without fear. What is paid for is kept, and nothing is asked or mixed unasked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import herogen_async
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import RunFolderError
from herogen_async.data import dataset
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.forecast.costs import priced
from herogen_async.generation.journal import replay
from herogen_async.generation.observer import SILENT
from herogen_async.generation.run_folder import (
    RunFolder,
    RunLock,
    read_events,
    read_lock,
    read_manifest,
    write_manifest,
)
from herogen_async.generation.run_request import Consent, Ready, RunRequest
from herogen_async.generation.session.agreement import agree
from herogen_async.generation.session.locked import Locked, locked
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.opened import conclude
from herogen_async.generation.session.repaired import repair
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer, Reply, answer
from support.run_folders import WrittenRun
from support.runs import herogen, small_spec, write_spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CANARY = "sk-canary-0123456789"
OLD = small_spec(values=2)
HELLO = OLD.replace(prompt="Hello {age} {gender}")


@dataclass
class Runs:
    """A folder, a server, and the sessions on them."""

    folder: RunFolder
    server: FakeServer
    notices: list[str] = field(default_factory=list)

    def run(self, spec: Spec, **options: Any) -> int:
        """How many requests a session of `spec` sent."""
        before, self.notices = len(self.server.asked), []
        watch = herogen_async.Watch(on_notice=self.notices.append)
        options = {"run": self.folder.path, "base_url": self.server.url, "model": "m", "watch": watch, **options}
        herogen_async.run(spec, **options)
        return len(self.server.asked) - before

    def refused(self, spec: Spec, **options: Any) -> RunFolderError:
        """Why a session of `spec` is refused; nothing is sent and nothing written."""
        before, asked = self.content(), len(self.server.asked)
        with pytest.raises(RunFolderError) as caught:
            self.run(spec, **options)
        assert (before, asked) == (self.content(), len(self.server.asked))
        assert 2 == caught.value.exit_code
        return caught.value

    def content(self) -> dict[str, bytes]:
        """Every file but the lock, which names who holds it."""
        return {path.name: path.read_bytes() for path in self.folder.path.iterdir() if path != self.folder.lock}

    def answers(self) -> dict[tuple[frozenset[tuple[str, str]], int], str]:
        """What counts: the prompt that each cell and repeat was answered for."""
        rows = list(RunRows(self.folder.path))
        found = {question(row["cell"], row["repeat"]): row["prompt"] for row in rows}
        assert len(rows) == len(found) == herogen_async.status(self.folder.path).done
        return found


def question(cell: dict[str, str], repeat: int) -> tuple[frozenset[tuple[str, str]], int]:
    return frozenset(cell.items()), repeat


def wanted(spec: Spec) -> dict[tuple[frozenset[tuple[str, str]], int], str]:
    """Every task of `spec` and its prompt."""
    plan = Plan(spec, endpoint="completions", model="m")
    tasks = [plan.call(index) for index in range(plan.size)]
    return {question(task.cell, task.repeat): task.prompt for task in tasks}


@contextmanager
def begun(path: Path, spec: Spec = OLD) -> Iterator[Runs]:
    """A run of `spec`, done."""
    with FakeServer() as server:
        runs = Runs(RunFolder(path / "r"), server)
        assert len(wanted(spec)) == runs.run(spec)
        yield runs


# -- refused, until told -------------------------------------------------------------------------------------------


def test_p7_a_changed_spec_is_refused_with_counts_and_commands(tmp_path: Path) -> None:
    """A changed spec is refused with what changed, the counts and the commands that go on."""
    with begun(tmp_path) as runs:
        changed = HELLO.replace(attributes={**OLD.attributes, "age": ["20", "5", "6", "7"]})
        told = runs.refused(changed)
        assert "the attributes ('age' has 3 more and 1 fewer) and the prompt changed" in told.message
        assert "0 answers would be kept, 12 tasks are new, 4 answers are stale" in told.message
        for command in ("herogen-async plan SPEC", "`--extend`", "`--extend --regenerate-stale`", "--run NAME"):
            assert command in (told.fix or "")
        told = runs.refused(changed, regenerate_stale=True)
        assert "12 tasks are new" in told.message, "that was not agreed to"
        told = runs.refused(OLD, model="n")
        assert "the model ('m' to 'n') changed. 0 answers would be kept, 0 tasks are new, 8" in told.message
        assert "with `--extend` requests what is new, and keeps the 8 stale ones" in (told.fix or "")
        assert "; `--regenerate-stale` also requests" in (told.fix or "")
        assert 0 == runs.run(OLD)


@pytest.mark.slow
def test_p7_a_refusal_exits_with_2_and_p13_p14_shows_no_key(tmp_path: Path) -> None:
    """A refusal exits with code 2, and the command shows neither a key nor an escape sequence."""
    with begun(tmp_path) as runs:
        spec = write_spec(tmp_path, OLD)
        words = ("run", spec, "--run", runs.folder.path, "--base-url", runs.server.url, "--model", "\x1b[2Jevil")
        refused = herogen(*words, cwd=tmp_path, OPENAI_API_KEY=CANARY)
        assert 2 == refused.returncode
        assert "8 answers are stale" in refused.stderr
        assert not {CANARY, "\x1b"} & {word for word in (CANARY, "\x1b") if word in refused.stderr + refused.stdout}
        done = herogen(*words, "--extend", cwd=tmp_path, OPENAI_API_KEY=CANARY)
        assert 0 == done.returncode
        assert "\x1b" not in done.stderr + done.stdout
        assert 8 == len(runs.server.asked)
        again = herogen(*words, "--regenerate-stale", cwd=tmp_path, OPENAI_API_KEY=CANARY)
        assert (0, 16) == (again.returncode, len(runs.server.asked))


@pytest.mark.parametrize(
    ("held", "now"), [("0" * 64, "1" * 64), ("0" * 64, None)], ids=["other weights", "a server instead"]
)
def test_p7_other_weights_of_the_embedded_model_are_refused(tmp_path: Path, held: str, now: str | None) -> None:
    """Other weights of the embedded model are refused, whatever consent is given."""
    run = WrittenRun(tmp_path, OLD)
    weights = {"file": "embedded", "sha256": held}
    write_manifest(run.folder, replace(read_manifest(run.folder), base_url=None, weights=weights))
    order = RunRequest(OLD, "completions", "model-1", None, "embedded", run.folder, Settings())
    order = replace(order, consent=Consent(extend=True, regenerate_stale=True))
    if now is None:
        order = replace(order, server=Server("http://127.0.0.1:1/v1"))
    ready = Ready(order, "model-1", None if now is None else _weights(now))
    with pytest.raises(RunFolderError, match="the weights"), locked(priced(ready, NOON), MonotonicClock()) as own:
        agree(own, NOON)


def _weights(sha256: str) -> Any:
    from herogen_async.generation.endpoint.embedded import Weights

    return Weights(Path("w.gguf"), "model-1", sha256, 2048)


@pytest.mark.parametrize(
    "changes", [{"name": "another"}, {"sub_prompt": "{gender}!"}, {"sub_prompt": "{age}", "name": "b"}]
)
def test_p7_unsent_spec_changes_cost_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Changing the name or sub_prompt makes no call, and the new text shows in rows and data set."""
    with begun(tmp_path) as runs:
        changed = OLD.replace(**changes)
        assert 0 == runs.run(changed)
        rows = list(RunRows(runs.folder.path))
        assert [changed.sub_prompt.format(**row["cell"]) for row in rows] == [row["sub_prompt"] for row in rows]
        written = dataset.assemble(runs.folder.path).csv.read_text()
        assert changed.sub_prompt.format(age="20", gender="man") in written
        assert [] == read_manifest(runs.folder).earlier
        assert 1 == len(runs.folder.segments())


# -- extended ------------------------------------------------------------------------------------------------------

VALUES = {"age": ["20", "21", "30"], "gender": ["man", "woman", "child"], "power": ["fire", "ice"]}
PROMPTS = ("Describe a {age}-year-old {gender}.", "Hello {age} {gender}")


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Some values of some attributes, in some order."""
    names = draw(st.permutations(["age", "gender", *draw(st.sampled_from([[], [], ["power"]]))]))
    values = {name: draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, unique=True)) for name in names}
    prompt = draw(st.sampled_from(PROMPTS)) + (" {power}" if "power" in values else "")
    return Spec(name="s", attributes=values, repeats=draw(st.integers(1, 2)), prompt=prompt)


@settings(max_examples=6)
@given(st.lists(specs(), min_size=2, max_size=3))
def test_p7_a_run_extended_by_any_specs_is_their_exact_grid(each: list[Spec]) -> None:
    """Extended by any specs, a run is their exact grid, and only new tasks were requested."""
    with tempfile.TemporaryDirectory() as place, FakeServer() as server:
        runs = Runs(RunFolder(Path(place) / "r"), server)
        made: dict[Any, str] = {}
        known: dict[tuple[Any, str], str] = {}
        for spec in each:
            tasks = wanted(spec)
            new = [task for task in tasks if (task, spec.prompt) not in known and task not in made]
            assert len(new) == runs.run(spec, extend=True)
            known |= {(task, spec.prompt): tasks[task] for task in new}
            made |= dict.fromkeys(new, spec.prompt)
            # Where this very prompt has an answer it counts, else the newest of the others.
            made |= {task: spec.prompt for task in tasks if (task, spec.prompt) in known}
            assert {task: known[task, made[task]] for task in tasks} == runs.answers()


def test_p7_extend_keeps_and_reports_answers_of_another_prompt(
    tmp_path: Path,
) -> None:
    """With --extend, answers of another prompt are kept, reported and recorded in the manifest."""
    with begun(tmp_path) as runs:
        more = HELLO.replace(attributes={**OLD.attributes, "age": ["20", "21", "22"]})
        assert 4 == runs.run(more, extend=True)
        assert 1 == sum("8 answers of an earlier prompt" in line and "--extend" in line for line in runs.notices)
        manifest = read_manifest(runs.folder)
        assert (True, 1, 1) == (manifest.keeps_stale, manifest.first_segment, len(manifest.earlier))
        assert wanted(more) | wanted(OLD) == runs.answers()
        changed = [event for event in read_events(runs.folder) if event["event"] == "changed"]
        assert [(0, 4, 8, True)] == [
            tuple(each[n] for n in ("kept", "new", "stale", "keeps_stale")) for each in changed
        ]
        # Asked again later: the old rows stay, and don't count.
        before = runs.folder.segment(0).read_bytes()
        assert 8 == runs.run(more, regenerate_stale=True)
        assert wanted(more) == runs.answers()
        assert before == runs.folder.segment(0).read_bytes()
        assert 0 == runs.run(more, regenerate_stale=True) == runs.run(more)


def test_p7_extend_and_regenerate_request_only_what_changed(tmp_path: Path) -> None:
    """With both options, only new and stale rows are requested: 12 calls here."""
    with begun(tmp_path) as runs:
        more = HELLO.replace(repeats=3)
        assert 12 == runs.run(more, extend=True, regenerate_stale=True)
        assert wanted(more) == runs.answers()


def test_p7_a_restored_prompt_finds_its_answers_again(tmp_path: Path) -> None:
    """Restoring an earlier prompt reuses all its answers without a call, and the other prompt's are kept too."""
    with begun(tmp_path) as runs:
        assert 3 == runs.run(HELLO, regenerate_stale=True, limit=3)
        assert 3 == len(runs.answers())
        told = runs.refused(OLD)
        assert "8 answers would be kept, 0 tasks are new, 0 answers are stale" in told.message
        assert 0 == runs.run(OLD, extend=True)
        assert wanted(OLD) == runs.answers()
        assert 5 == runs.run(HELLO, regenerate_stale=True), "and so does the other"
        assert wanted(HELLO) == runs.answers()


def test_p7_the_newest_of_three_generations_counts(tmp_path: Path) -> None:
    """Of three generations of answers, the newest is used in rows, export and data set alike."""
    with begun(tmp_path) as runs:
        runs.run(HELLO, regenerate_stale=True, limit=3)
        third = OLD.replace(prompt="{age}{gender}")
        assert 0 == runs.run(third, extend=True)
        newest = [*list(wanted(HELLO).items())[:3], *list(wanted(OLD).items())[3:]]
        assert dict(newest) == runs.answers()
        exported = dataset.export(runs.folder.path, format="jsonl").file.read_text()
        assembled = dataset.assemble(runs.folder.path)
        for prompt in dict(newest).values():
            assert prompt in exported
            assert prompt in assembled.jsonl.read_text()


# -- kills and resumes ---------------------------------------------------------------------------------------------


def a_notifier(folder: RunFolder) -> Notifier:
    return Notifier(SILENT, folder, MonotonicClock(), lambda _: None)


def agree_and_die(runs: Runs, spec: Spec, steps: int) -> None:
    """The first `steps` of a change: forget what was sent, repair, write the manifest. Then the process is gone."""
    folder = runs.folder
    order = RunRequest(spec, "completions", "m", Server(runs.server.url), None, folder, Settings())
    order = replace(order, consent=Consent(extend=True))
    lock = RunLock.acquire(folder, NOON.isoformat())
    agreed, notifier = agree(Locked(priced(Ready(order, "m"), NOON), lock), NOON), a_notifier(folder)
    if steps > 0:
        repaired = repair(agreed, notifier, NOON, requeues_damaged=False)
    if steps > 1:
        lock.forget_sent()
    if steps > 2:
        conclude(repaired, notifier)
    lock.release()


@pytest.mark.parametrize("steps", range(4))
def test_p7_a_change_killed_at_any_step_is_whole_or_not_made(tmp_path: Path, steps: int) -> None:
    """Killed at any step of a change, a run is either the old one or the new one."""
    with begun(tmp_path) as runs:
        more = OLD.replace(attributes={"gender": ["man", "child", "woman"], "age": ["20", "21"]})
        with runs.folder.segment(0).open("ab") as file:
            file.write(b'{"key":"torn')
        agree_and_die(runs, more, steps)
        is_new = steps == 3
        assert (8, 12 if is_new else 8) == (len(runs.answers()), herogen_async.status(runs.folder.path).grid)
        if not is_new:
            runs.refused(more)
        asked = len(runs.server.asked)
        herogen_async.resume(runs.folder.path)
        assert (4 if is_new else 0) == len(runs.server.asked) - asked
        runs.run(more, extend=True)
        assert wanted(more) == runs.answers()
        assert 12 == len(runs.server.asked)


def test_p7_rows_that_a_repair_saves_belong_to_their_own_plan(tmp_path: Path) -> None:
    """Rows that a repair saves belong to the plan that they were written under."""
    with begun(tmp_path, OLD.replace(repeats=1)) as runs:
        path = runs.folder.segment(0)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], lines[1][:20] + b"\0\n", *lines[2:]]))
        lock = RunLock.acquire(runs.folder, NOON.isoformat())
        lock.vouch(lock.mark._replace(rows=len(lines[0])))  # type: ignore[union-attr]
        lock.release()
        turned = OLD.replace(repeats=1, attributes={"gender": ["woman", "man"], "age": ["21", "20", "22"]})
        assert 3 == runs.run(turned, extend=True), "two new cells, and the row that was torn"
        assert wanted(turned) == runs.answers()
        assert 2 == read_manifest(runs.folder).first_segment


def test_p7_p10_after_a_change_resume_counts_rows_asked_again(tmp_path: Path) -> None:
    """After a change, resume says how many rows of the new plan are requested again."""
    with begun(tmp_path) as runs:
        more = OLD.replace(repeats=5)
        assert 8 == read_lock(runs.folder).frontier
        runs.server.behaviour = lambda asked: answer(asked) if asked.number < 11 else Reply(status=401)
        runs.run(more, extend=True, concurrency=1)
        assert 11 == len(runs.answers())
        runs.server.behaviour = answer
        herogen_async.resume(runs.folder.path, watch=herogen_async.Watch(on_notice=runs.notices.append))
        assert ["11 of 20 are done; requesting 1 again"] == [
            line.partition(": ")[2].partition(" that have")[0] for line in runs.notices if "requesting" in line
        ]
        assert wanted(more) == runs.answers()


def test_p7_a_failed_task_is_requested_again_only_if_it_changed(
    tmp_path: Path,
) -> None:
    """A failed task stays failed where its request is the same, and is requested again where it changed."""
    with FakeServer(lambda asked: Reply(status=400) if "21-year-old man" in asked.prompt else answer(asked)) as server:
        runs = Runs(RunFolder(tmp_path / "r"), server)
        runs.run(OLD)
        turned = OLD.replace(attributes={"gender": ["child", "man", "woman"], "age": ["20", "21"]})
        assert 4 == runs.run(turned, extend=True)
        assert 2 == herogen_async.status(runs.folder.path).failed
        assert 2 == runs.run(turned.replace(prompt="Hello {age} {gender}"), extend=True)
        assert (12, 0) == (len(runs.answers()), herogen_async.status(runs.folder.path).failed)


# -- reading -------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.tuples(specs(), st.lists(st.integers(0, 35), max_size=12)), min_size=1, max_size=4), st.booleans())
def test_p7_a_journal_of_several_plans_reads_as_a_dictionary_would(
    eras: list[tuple[Spec, list[int]]], keeps_stale: bool
) -> None:
    """Each era: a spec, and the tasks that were answered under it."""
    with tempfile.TemporaryDirectory() as place:
        run = WrittenRun(Path(place), eras[0][0])
        written: dict[str, list[Any]] = {}
        answered: dict[str, dict[Any, str]] = {}  # by prompt, the newest generation last: by task the first answer
        manifest = read_manifest(run.folder)
        for number, (spec, indices) in enumerate(eras):
            plan = Plan(spec, endpoint="completions", model="model-1")
            prints: dict[str, Any] = {
                "grid_fingerprint": plan.grid_fingerprint,
                "generation_fingerprint": plan.generation_fingerprint,
            }
            segment = len(run.folder.segments())
            manifest = manifest.followed_by(replace(manifest, spec=spec.as_dict(), **prints), segment)
            run.write([], segment)
            answers = answered.pop(spec.prompt, {})
            answered[spec.prompt] = answers
            written[spec.prompt] = written.pop(spec.prompt, [])
            for each, index in enumerate(indices):
                if index < plan.size:
                    task, text = plan.call(index), f"era {number} row {each}"
                    run.write([run.answer(index, text, plan=plan)], segment)
                    written[spec.prompt].append(question(task.cell, task.repeat))
                    answers.setdefault(question(task.cell, task.repeat), text)
        write_manifest(run.folder, replace(manifest, keeps_stale=keeps_stale))
        tasks = wanted(eras[-1][0])
        current = {task: text for task, text in answered.pop(eras[-1][0].prompt).items() if task in tasks}
        stale: dict[Any, str] = {}
        for answers in answered.values():
            stale |= {task: text for task, text in answers.items() if task in tasks}
        counted = {**stale, **current} if keeps_stale else current
        rows = {question(row["cell"], row["repeat"]): row["response_txt"] for row in RunRows(run.path)}
        assert counted == rows
        lineage = read_manifest(run.folder).lineage()
        found = replay(run.folder, lineage)
        assert (len(counted), 0) == (len(found.done), found.foreign)
        placed = {lineage.plan.call(index).index for index in range(lineage.plan.size) if index in found.done}
        assert placed == {row["index"] for row in RunRows(run.path)}
        assert len(stale.keys() - current.keys()) == len(found.stale)
        newer: set[Any] = set()
        doubles = replaced = 0
        generations = list(reversed(written.values()))  # the newest first
        for made in generations if keeps_stale else generations[:1]:
            there = [task for task in made if task in tasks]
            replaced += sum(task in newer for task in there)
            doubles += len([task for task in there if task not in newer]) - len(set(there) - newer)
            newer |= set(there)
        assert (doubles, replaced) == (found.duplicates, found.replaced)


def test_p7_p11_errors_and_retry_find_failures_before_a_change(tmp_path: Path) -> None:
    """After a change, errors and retry find the rows that failed before it."""
    with FakeServer(lambda asked: Reply(status=400) if "21-year-old man" in asked.prompt else answer(asked)) as server:
        runs = Runs(RunFolder(tmp_path / "r"), server)
        runs.run(OLD)
        turned = OLD.replace(attributes={"gender": ["child", "man", "woman"], "age": ["20", "21"]})
        assert 4 == runs.run(turned, extend=True)
        assert 2 == sum(each.count for each in dataset.failures(runs.folder.path))
        server.behaviour = answer
        herogen_async.resume(runs.folder.path, retry_failed=True)
        assert wanted(turned) == runs.answers()
        assert [] == dataset.failures(runs.folder.path)
