"""`verify`, `recover` and `--requeue-damaged` of runs whose rows have several columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import DamageError
from herogen_async.generation.journal.verify import recover, verify
from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer, answer

COLUMNS: dict[str, Any] = {
    "question": {"prompt": "ask {level} {topic}"},
    "solution": {"prompt": "solve [{question}]", "samples": 2},
    "verdict": {"prompt": "grade [{question}] [{solution}]"},
}
GRID = {"level": ["easy", "hard"], "topic": ["sums", "sets"]}
CALLS = 5  # question, two solutions, two verdicts


def maths(columns: dict[str, Any] | None = None) -> Spec:
    return Spec(name="maths", attributes=GRID, columns=columns or COLUMNS)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt}>")) as started:
        yield started


@pytest.fixture
def folder(server: FakeServer, tmp_path: Path) -> RunFolder:
    """A finished run of four rows, row by row."""
    ask(server, tmp_path / "r")
    return RunFolder(tmp_path / "r")


def ask(server: FakeServer, path: Path, spec: Spec | None = None, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec or maths(), run=path, base_url=server.url, model="m", concurrency=1, **options)


def asked_by(server: FakeServer, path: Path, spec: Spec | None = None, **options: Any) -> Counter[str]:
    """The columns that a session asked, which ended with all rows done."""
    before = len(server.asked)
    report = ask(server, path, spec, **options)
    assert ("done", 4) == (report.state, report.done)
    words = {"ask": "question", "solve": "solution", "grade": "verdict", "judge": "verdict"}
    return Counter(words[asked.prompt.split()[0]] for asked in server.asked[before:])


def lines(folder: RunFolder) -> list[bytes]:
    return folder.segment(0).read_bytes().splitlines(keepends=True)


def place_of(folder: RunFolder, row: int, column: str, sample: int | None = None) -> int:
    """Where in the journal the line of a call is."""
    for number, line in enumerate(lines(folder)):
        record = codec.loads(line)
        if (row, column, sample) == (record["index"] // CALLS, record["column"], record.get("sample")):
            return number
    raise LookupError(column)


def damage(folder: RunFolder, row: int, column: str, sample: int | None = None) -> int:
    """Change a byte of an answer; its line's number, from 1."""
    number, found = place_of(folder, row, column, sample), lines(folder)
    found[number] = found[number].replace(b'"response_txt":"<', b'"response_txt":">')
    folder.segment(0).write_bytes(b"".join(found))
    return number + 1


class Lost(NamedTuple):
    """An answer, what is said of it, and how many calls of each column it costs when it is damaged."""

    column: str
    sample: int | None
    said: str
    again: tuple[int, ...]

    def costs(self) -> Counter[str]:
        return Counter(dict(zip(COLUMNS, self.again, strict=True)))


LOST = [
    Lost("question", None, "row 2, column 'question' {'level': 'hard', 'topic': 'sums'}", (1, 2, 2)),
    Lost("solution", 2, "row 2, column 'solution', sample 2 {'level': 'hard', 'topic': 'sums'}", (0, 1, 1)),
    Lost("verdict", 1, "row 2, column 'verdict', sample 1 {'level': 'hard', 'topic': 'sums'}", (0, 0, 1)),
]


@pytest.mark.parametrize("lost", LOST, ids=[each.column for each in LOST])
def test_a_damaged_answer_is_named_and_asked_again_with_what_was_made_from_it(
    server: FakeServer, folder: RunFolder, lost: Lost
) -> None:
    """Row, column, sample and cell are named; the damaged answer and its followers are asked, and nothing else."""
    line = damage(folder, 2, lost.column, lost.sample)
    verdict = verify(folder.path)
    assert [(4, line)] == [(verdict.exit_code, each.line) for each in verdict.findings if each.is_damage]
    assert any(each.message.endswith(f"its checksum does not match; it was {lost.said}") for each in verdict.findings)
    with pytest.raises(DamageError, match=f"line {line} "):
        ask(server, folder.path)
    assert lost.costs() == asked_by(server, folder.path, requeue_damaged=True)
    verdict = verify(folder.path)
    assert (0, 4 * CALLS) == (verdict.exit_code, verdict.answered)
    told = [each.message for each in verdict.findings if each.kind != "accepted"]
    followers = sum(lost.again) - 1
    assert [f"{followers}: rows made from answers that no longer count"] * bool(followers) == [
        message.partition(",")[0] for message in told
    ]
    assert Counter() == asked_by(server, folder.path)


@pytest.mark.parametrize("lost", LOST, ids=[each.column for each in LOST])
def test_recover_keeps_what_is_paid_and_its_copy_asks_what_is_missing(
    server: FakeServer, folder: RunFolder, lost: Lost
) -> None:
    """Every sound line is in the copy, also those that don't count any more."""
    line = damage(folder, 2, lost.column, lost.sample)
    done = recover(folder.path)
    assert (4, 4 * CALLS - 1, 1) == (done.exit_code, done.rows, done.lost_count)
    assert (f"{folder.segment(0)}: line {line}" in done.lost[0], True) == (True, done.lost[0].endswith(f"{lost.said}."))
    assert "Started, but incomplete: 1 row: 2." in done.lines()
    copy = RunFolder(Path(done.out))
    assert lines(copy) == [each for number, each in enumerate(lines(folder), 1) if number != line]
    assert lost.costs() == asked_by(server, copy.path)
    assert 0 == verify(copy.path).exit_code


def test_recover_copies_a_fused_line_whole_and_nothing_is_asked(server: FakeServer, folder: RunFolder) -> None:
    """Two lines without the newline between them are two answers that were paid for."""
    found = lines(folder)
    number = place_of(folder, 1, "solution", 1)
    found[number] = found[number].replace(b"\n", b" ")
    folder.segment(0).write_bytes(b"".join(found))
    done = recover(folder.path)
    assert (0, 2, 4 * CALLS) == (done.exit_code, done.rescued, done.rows)
    assert Counter() == asked_by(server, Path(done.out))


def test_a_manifest_that_is_cut_short_is_rebuilt_with_its_columns(server: FakeServer, folder: RunFolder) -> None:
    """Every line fits the spec that was pieced together, or there is no copy."""
    folder.manifest.write_bytes(folder.manifest.read_bytes().replace(b'"grid_fingerprint"', b'"grid_fingerprint'))
    done = recover(folder.path)
    assert (0, 4 * CALLS, 1) == (done.exit_code, done.rows, len(done.notices))
    assert Counter() == asked_by(server, Path(done.out))


def test_lines_behind_a_torn_one_are_kept_and_count_only_where_they_were_made_from_what_is_there(
    server: FakeServer, folder: RunFolder
) -> None:
    """A power cut tore a solution, and the lines behind it are whole: its verdict was made from it, the others not."""
    found = lines(folder)
    torn = place_of(folder, 2, "solution", 1)
    durable = sum(map(len, found[:torn]))
    found[torn] = found[torn][:40] + b"\0" * (len(found[torn]) - 41) + b"\n"
    folder.segment(0).write_bytes(b"".join(found))
    lock = RunLock.acquire(folder, "now")
    assert lock.mark is not None
    lock.vouch(lock.mark._replace(rows=durable))
    lock.release()
    assert 0 == verify(folder.path).exit_code
    assert Counter(solution=1, verdict=1) == asked_by(server, folder.path)
    verdict = verify(folder.path)
    assert (0, 4 * CALLS) == (verdict.exit_code, verdict.answered)
    assert Counter() == asked_by(server, folder.path)


def test_doubles_and_rows_of_another_run_cost_and_change_nothing(
    server: FakeServer, folder: RunFolder, tmp_path: Path
) -> None:
    """Neither is asked again, and both are told, by verify and in the copy of recover."""
    ask(server, tmp_path / "other", maths({**COLUMNS, "question": {"prompt": "ask more {level} {topic}"}}))
    other = lines(RunFolder(tmp_path / "other"))
    found = lines(folder)
    folder.segment(0).write_bytes(b"".join([*found, *found[3:9], *other[:7]]))
    assert Counter() == asked_by(server, folder.path)
    verdict = verify(folder.path)
    told = {each.kind: each.message for each in verdict.findings}
    assert (0, 4 * CALLS) == (verdict.exit_code, verdict.answered)
    assert ("first of 6" in told["double"], "first of 7" in told["foreign"]) == (True, True)
    done = recover(folder.path)
    assert 0 == done.exit_code
    assert Counter() == asked_by(server, Path(done.out))


def test_lines_of_two_eras_are_verified_and_recovered_under_their_own(server: FakeServer, folder: RunFolder) -> None:
    """A judge was changed: of a damaged old verdict nothing is missing, of a damaged question all that is new."""
    judged = maths({**COLUMNS, "verdict": {"prompt": "judge [{question}] [{solution}]"}})
    assert Counter(verdict=8) == asked_by(server, folder.path, judged, regenerate_stale=True)
    damage(folder, 2, "verdict", 1)
    verdict = verify(folder.path)
    assert any("column 'verdict', sample 1" in each.message for each in verdict.findings)
    assert Counter() == asked_by(server, folder.path, judged, requeue_damaged=True)
    damage(folder, 1, "question")
    done = recover(folder.path)
    assert "Started, but incomplete: 1 row: 1." in done.lines()
    assert Counter(question=1, solution=2, verdict=2) == asked_by(server, Path(done.out), judged)
