"""`verify` says what is wrong and where, `replay` copies all that is sound, `--requeue-damaged` asks for the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from typer.testing import CliRunner, Result

import herogen_async
from herogen_async.cli import app
from herogen_async.core import codec
from herogen_async.core.errors import DamageError, InputError, RunFolderError, RunInUse
from herogen_async.generation.journal import (
    accept_damage,
    accepted_damage,
    find_damage,
    read_rows,
    repair_tails,
    replay,
    verify,
)
from herogen_async.generation.journal.verify import JournalFinding, Verdict
from herogen_async.generation.run_folder import (
    EarlierPlan,
    Mark,
    RunFolder,
    RunLock,
    existing_run,
    read_lock,
    record_event,
    segment_number,
    write_manifest,
)
from herogen_async.generation.run_folder.manifest import read_manifest
from herogen_async.generation.session import Watch
from herogen_async.specs.plan import Plan
from support.fake_server import FakeServer
from support.run_folders import AT, MODEL, WrittenRun
from support.runs import NO_KEYS, assert_exact_grid, last_json, small_spec

SPEC = small_spec(values=3, repeats=1)  # six tasks


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NO_KEYS:
        monkeypatch.delenv(name, raising=False)


def vouch(folder: RunFolder) -> None:
    """As at the end of a session: all that is there is durable."""
    lock = RunLock.acquire(folder, AT.isoformat())
    last = folder.segments()[-1]
    failures = folder.failures.stat().st_size if folder.failures.exists() else 0
    lock.vouch(Mark(segment_number(last), last.stat().st_size, failures))
    lock.sent(5)
    lock.release()


@pytest.fixture
def run() -> WrittenRun:
    """A finished run of six rows, all of it durable."""
    run = WrittenRun(Path("runs/r"), SPEC)
    run.write(run.answer(index, f"a hero, number {index}") for index in range(6))
    record_event(run.folder, "started", at=AT)
    run.folder.segment(0).chmod(0o600)
    vouch(run.folder)
    return run


def damage_of(verdict: Verdict) -> list[tuple[str, int | None, int | None]]:
    return [(Path(each.file or "").name, each.line, each.byte) for each in verdict.findings if each.is_damage]


def told(verdict: Verdict) -> list[JournalFinding]:
    return [each for each in verdict.findings if not each.is_damage]


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Each file's bytes and when it was changed."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
    }


def herogen(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def spoil(run: WrittenRun, change: Callable[[list[bytes]], Any], segment: int = 0) -> None:
    """Change the lines of a segment."""
    path = run.folder.segment(segment)
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


# -- verify --------------------------------------------------------------------------------------------------------


def test_a_sound_run_verifies_and_is_left_unchanged(run: WrittenRun) -> None:
    """A sound run verifies with exit code 0 and no findings, and none of its files change."""
    before = everything(run.path)
    verdict = verify.verify("r")
    assert (0, (), 6, 6) == (verdict.exit_code, verdict.findings, verdict.rows, verdict.answered)
    assert before == everything(run.path)


def test_p2_a_flipped_bit_is_found_at_its_line_and_stops_resume(run: WrittenRun) -> None:
    """One flipped bit in any byte of the journal is found at its line, and no resume passes over it.

    Only the last newline differs: without it the end is torn, and is repaired.
    """
    path = run.folder.segment(0)
    whole = path.read_bytes()
    lineage = read_manifest(run.folder).lineage()
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        line, byte = whole[:position].count(b"\n") + 1, whole[:position].rfind(b"\n") + 1
        if position == len(whole) - 1:
            assert [(str(path), 6, byte)] == [(e.file, e.line, e.byte) for e in told(verify.verify("r"))]
            [torn], _ = repair_tails(run.folder, AT, read_lock(run.folder).mark)
            assert (len(data) - byte, 5) == (torn.cut, len(replay(run.folder, lineage).done))
            continue
        assert [(line, byte)] == [(damage.line, damage.offset) for damage in find_damage(run.folder)]
        with pytest.raises(DamageError, match=re.escape(f"{path}: line {line} (byte {byte}) is damaged")):
            replay(run.folder, lineage)
        if position % 200 == 0 or whole[position] == ord("\n"):
            assert [(path.name, line, byte)] == damage_of(verify.verify("r"))


def test_verify_counts_every_bit_of_a_row_that_is_flipped(run: WrittenRun) -> None:
    """A copy of one row for each bit but those of its newline."""
    row = run.answer(0, "a hero")
    flipped = [bytearray(row) for _ in range(8 * (len(row) - 1))]
    for bit, line in enumerate(flipped):
        line[bit // 8] ^= 1 << bit % 8
    lines = b"".join(flipped).count(b"\n")
    run.write([*map(bytes, flipped), row])
    vouch(run.folder)
    verdict = verify.verify("r")
    assert (4, lines, 7) == (verdict.exit_code, verdict.damage, verdict.rows)


def insert(at: int, line: bytes) -> Callable[[list[bytes]], None]:
    return lambda lines: lines.insert(at, line)


SPOILT: dict[str, tuple[Callable[[list[bytes]], Any], int, str]] = {
    "garbage": (insert(2, b"garbage\n"), 3, "its end is not the end of a row"),
    "zeros": (insert(3, b"\0" * 900 + b"\n"), 4, "900 zero bytes"),
    "an empty line": (insert(1, b"\n"), 2, "is empty"),
    "half a line": (lambda lines: lines.__setitem__(1, lines[1][:100] + b"\n"), 2, "its end is not the end of a row"),
    "fused": (lambda lines: lines.__setitem__(1, lines[1][:-1]), 2, "two rows in one line"),
    "rewritten": (lambda lines: lines.__setitem__(1, lines[1][:-1] + b"\r\n"), 2, "CR LF"),
    "no JSON": (insert(1, b'{"key":x,"crc":"%08x"}\n' % crc32(b'{"key":x')), 2, "not a JSON object"),
    "another sum": (insert(1, b'{"key":1,"crc":"00000000"}\n'), 2, "checksum does not match"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_line_is_named_and_commands_refuse_it(run: WrittenRun, how: str) -> None:
    """Verify names the damaged line and its fault; other commands refuse the run and point to verify."""
    change, line, words = SPOILT[how]
    spoil(run, change)
    vouch(run.folder)
    verdict = verify.verify("r")
    assert [line] == [each.line for each in verdict.findings if each.is_damage]
    assert words in verdict.findings[0].message
    for command in (("status", "r"), ("export", "r"), ("assemble", "r"), ("errors", "r")):
        result = herogen(*command)
        assert isinstance(result.exception, DamageError), command
        assert f"line {line} " in result.exception.message
        assert "herogen-async verify r" in (result.exception.fix or "")


def test_a_missing_or_truncated_segment_is_damage(run: WrittenRun) -> None:
    """A journal segment that is missing or shorter than synced is damage, not a torn tail."""
    for segment in (1, 2):
        run.write([run.answer(0, "again")], segment)
    vouch(run.folder)
    assert 0 == verify.verify("r").exit_code
    run.folder.segment(1).unlink()
    verdict = verify.verify("r")
    assert [("rows-00001.jsonl", None, None)] == damage_of(verdict)
    with pytest.raises(DamageError, match=r"rows-00001\.jsonl is missing"):
        list(read_rows(run.folder))
    run.folder.segment(1).touch()
    whole = run.folder.segment(2).read_bytes()
    run.folder.segment(2).write_bytes(whole[:-200])
    verdict = verify.verify("r")
    assert [("rows-00002.jsonl", None, None)] == damage_of(verdict)
    assert "200 are gone" in verdict.findings[0].message
    assert ["torn"] == [each.kind for each in told(verdict)]


def test_swapped_and_doubled_lines_are_not_damage(run: WrittenRun) -> None:
    """Lines in another order are sound; a doubled line is noted, and its first copy counts."""
    spoil(run, lambda lines: lines.reverse())
    assert 0 == verify.verify("r").exit_code
    spoil(run, lambda lines: lines.extend(lines[:2]))
    verdict = verify.verify("r")
    assert (0, 6, 8) == (verdict.exit_code, verdict.answered, verdict.rows)
    [double] = told(verdict)
    assert ("double", 7) == (double.kind, double.line)
    assert "the first of 2" in double.message


def test_a_row_that_is_sealed_and_wrong_is_damage(run: WrittenRun) -> None:
    """Every key is compared, and the cell with the place."""
    record = codec.loads(run.answer(2, "x"))
    del record["crc"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"response_txt": None}, "'response_txt' is None"),
        ({"cell": {"age": "20", "gender": "man"}}, "its cell is"),
        ({"repeat": 2}, "its repeat is 2"),
        ({"repeat": 0}, "counts from 1"),
    ]
    run.write(codec.sealed_line({**record, **change}) for change, _ in wrong)
    foreign = codec.sealed_line({**record, "key": "0" * 32})
    run.write([codec.sealed_line({name: value for name, value in record.items() if name != "cell"}), foreign])
    verdict = verify.verify("r")
    found = [each.message for each in verdict.findings if each.is_damage]
    for message, (_, words) in zip(found, [*wrong, ({}, "'cell' is missing")], strict=True):
        assert words in message
    assert {"double", "foreign"} == {each.kind for each in told(verdict)}


def test_an_unsynced_tail_is_reported_but_is_not_damage(run: WrittenRun) -> None:
    """A torn tail after the last sync is reported, keeps exit code 0, and is explained in a live run."""
    with run.folder.segment(0).open("ab") as file:
        file.write(b"\0" * 300 + b"\n" + run.answer(0, "again") + b'{"key":"')
    verdict = verify.verify("r")
    assert 0 == verdict.exit_code
    assert ["torn"] == [each.kind for each in told(verdict) if each.kind != "double"]
    assert "the next resume sets it aside" in told(verdict)[0].message + told(verdict)[1].message
    lock = RunLock.acquire(run.folder, AT.isoformat())
    assert "is being written" in " ".join(each.message for each in verify.verify("r").findings)
    lock.release()


def test_verify_also_checks_failures_events_and_leftovers(run: WrittenRun) -> None:
    """Verify also checks failures.jsonl, events, leftover files and folder permissions."""
    run.fail([run.failure(0, "refused"), b"damaged\n", run.failure(1, "refused")])
    vouch(run.folder)
    with run.folder.events.open("ab") as file:
        file.write(b"torn eve\n")
    (run.path / "rows-00000.torn-20260101T120000").touch()
    (run.path / ".manifest.json.abc").touch()
    run.path.chmod(0o755)
    verdict = verify.verify("r")
    assert [("failures.jsonl", 2)] == [found[:2] for found in damage_of(verdict)]
    kinds = [each.kind for each in told(verdict)]
    assert (1, 2) == (kinds.count("event"), kinds.count("leftover"))
    assert str(run.path) in [each.file for each in told(verdict) if each.kind == "permissions"]


def test_a_damaged_manifest_is_damage_and_lines_are_checked(run: WrittenRun) -> None:
    """A damaged manifest counts as damage, and the journal's lines are checked all the same."""
    whole = run.folder.manifest.read_bytes()
    for data, kind in (
        (b"", "manifest"),
        (whole[:-30], "manifest"),
        (whole.replace(b'"woman"', b'"womam"'), "fingerprint"),
        (whole.replace(b"Describe", b"Descrive"), "fingerprint"),
        (whole.replace(b'"repeats": 1', b'"repeats": 0'), "manifest"),
        (None, "manifest"),
    ):
        run.folder.manifest.write_bytes(data) if data is not None else run.folder.manifest.unlink()
        verdict = verify.verify("r")
        assert (4, 6, kind) == (verdict.exit_code, verdict.rows, verdict.findings[0].kind)
    run.folder.manifest.write_bytes(whole.replace(b'"schema_version": 1', b'"schema_version": 99'))
    with pytest.raises(RunFolderError, match="run format 99"):
        verify.verify("r")


def test_a_thoroughly_damaged_file_gives_a_short_report(run: WrittenRun) -> None:
    """Of 1,000 damaged lines, verify lists 50 and counts the remaining 950."""
    spoil(run, lambda lines: lines.__setitem__(slice(0, 0), [b"x\n"] * 1000))
    vouch(run.folder)
    verdict = verify.verify("r")
    assert 1000 == verdict.damage
    assert 51 == len(verdict.findings)
    assert "950 more" in verdict.findings[-1].message


def test_a_journal_of_another_user_is_no_damage(run: WrittenRun) -> None:
    """Nobody knows what is in it: a sentence, and nothing that tells to recover."""
    journal = run.folder.segment(0)
    journal.chmod(0)
    if os.access(journal, os.R_OK):
        pytest.skip("root may read everything")
    result = herogen("verify", "r")
    assert isinstance(result.exception, RunFolderError)
    assert "rows-00000.jsonl' can't be read: Permission denied" in result.exception.message
    assert "DAMAGE" not in result.output


def test_a_folder_open_to_others_is_closed_by_the_command_told(run: WrittenRun) -> None:
    """The path is the shell's, wherever the run lies; and one file is no files."""
    run.folder.path.chmod(0o755)
    lines = herogen("verify", "r").stdout.splitlines()
    assert "runs/r: other users may enter it: chmod go= runs/r." in lines
    assert "in 1 file (" in lines[-1]


def test_verify_reports_to_people_and_scripts(run: WrittenRun) -> None:
    """Verify prints a readable result and a JSON one, and exits with code 4 on damage."""
    result = herogen("verify", "r")
    assert 0 == result.exit_code
    assert "sound. 6 rows in 1 file (" in result.stdout
    assert "rows/s" in result.stdout
    assert "Next: herogen-async status r" == result.stderr.splitlines()[-1]
    spoil(run, insert(2, b"garbage\n"))
    result = herogen("verify", "r")
    assert 4 == result.exit_code
    assert result.stdout.startswith("DAMAGE: runs/r/rows-00000.jsonl: line 3 (byte ")
    assert "Next: herogen-async recover r" == result.stderr.splitlines()[-1]
    result = herogen("verify", "r", "--json")
    assert (4, 1, False) == (result.exit_code, last_json(result.stdout)["damage"], last_json(result.stdout)["sound"])


# -- recover -------------------------------------------------------------------------------------------------------


def rows_of(run: str) -> bytes:
    return b"".join(path.read_bytes() for path in existing_run(run).segments())


def test_recover_copies_the_sound_rows_and_lists_what_was_lost(run: WrittenRun) -> None:
    """Recover copies the sound rows byte for byte and lists what was lost."""
    lines = run.folder.segment(0).read_bytes().splitlines(keepends=True)
    run.fail([run.failure(0, "refused", "é")])
    spoil(run, lambda lines: lines.__setitem__(2, lines[2].replace(b"a hero", b"a zero")))
    spoil(run, lambda lines: lines.extend((lines[0], run.answer(1, "a second one"))))
    vouch(run.folder)
    before = everything(run.path)
    recovery = verify.recover("r")
    assert before == everything(run.path)
    assert b"".join((*lines[:2], *lines[3:])) == rows_of("r-recovered")
    assert run.folder.failures.read_bytes() == existing_run("r-recovered").failures.read_bytes()
    assert (4, 5, 2, 1) == (recovery.exit_code, recovery.rows, recovery.doubles, recovery.failures)
    byte = len(lines[0] + lines[1])
    [lost] = recovery.lost
    assert f"rows-00000.jsonl: line 3 (byte {byte}): lost: task 2 {run.plan.cells.cell(2)}." in lost
    assert (1, "2") == (recovery.missing, recovery.missing_tasks)
    assert 0 == verify.verify("r-recovered").exit_code
    assert 0o700 == Path("runs/r-recovered").stat().st_mode & 0o777


def test_rows_whole_inside_a_damaged_line_are_rescued(run: WrittenRun) -> None:
    """Rows that are whole inside a damaged line are rescued, and nothing is lost."""
    whole = rows_of("r")
    spoil(run, lambda lines: lines.__setitem__(1, b"garbage" + lines[1][:-1] + b"\0"))
    recovery = verify.recover("r")
    assert (0, 2, whole) == (recovery.exit_code, recovery.rescued, rows_of("r-recovered"))


def test_recovered_segments_keep_their_numbers(run: WrittenRun) -> None:
    """Recover keeps segment numbers even where one is missing or cut off, and reports both as lost."""
    run.write([run.answer(0, "again")], 2)
    vouch(run.folder)
    run.folder.segment(2).write_bytes(b"")
    recovery = verify.recover("r")
    assert (4, 2) == (recovery.exit_code, recovery.lost_count)
    assert "rows-00001.jsonl is missing" in recovery.lost[0]
    assert "rows-00002.jsonl was cut short" in recovery.lost[1]
    new = existing_run("r-recovered")
    assert [0, 1, 2] == [segment_number(path) for path in new.segments()]
    assert 0 == verify.verify("r-recovered").exit_code


def test_rows_of_earlier_plans_are_verified_and_copied_under_their_own(run: WrittenRun) -> None:
    """A value less, a new one, another order, another prompt: segments keep their plans, and a key is there once."""
    bigger = SPEC.replace(attributes={"gender": SPEC.attributes["gender"], "age": ("22", "21", "19")})
    other = bigger.replace(prompt="Tell of a {age}-year-old {gender}.")
    manifest = read_manifest(run.folder)
    eras = [manifest.spec, bigger.as_dict()]
    earlier = [EarlierPlan(spec, "completions", MODEL, number) for number, spec in enumerate(eras)]
    plans = [Plan(spec, endpoint="completions", model=MODEL) for spec in (SPEC, bigger, other)]
    changed = replace(
        manifest,
        spec=other.as_dict(),
        earlier=earlier,
        first_segment=2,
        grid_fingerprint=plans[2].grid_fingerprint,
        generation_fingerprint=plans[2].generation_fingerprint,
    )
    write_manifest(run.folder, changed)
    again = plans[1].cells.index(plans[0].cells.cell(5))
    run.write([run.answer(again, "again", plan=plans[1]), run.answer(2, "new", plan=plans[1])], 1)
    run.write([run.answer(index, "newest", plan=plans[2]) for index in (0, 1)], 2)
    vouch(run.folder)
    verdict = verify.verify("r")
    assert (0, 2, {"stale", "unused"}) == (verdict.exit_code, verdict.answered, {each.kind for each in told(verdict)})
    recovery = verify.recover("r")
    assert (0, 9, 1) == (recovery.exit_code, recovery.rows, recovery.doubles)
    assert changed == read_manifest(existing_run("r-recovered"))
    assert 0 == verify.verify("r-recovered").exit_code


def test_torn_or_otherwise_answered_rows_are_not_lost(run: WrittenRun) -> None:
    """A torn tail or a damaged duplicate loses nothing, and the copy keeps what was spent."""
    row = run.answer(3, "again")
    spoil(run, insert(5, row.replace(b"again", b"AGAIN")))
    vouch(run.folder)
    with run.folder.segment(0).open("ab") as file:
        file.write(row[:20])
    lock = RunLock.acquire(run.folder, AT.isoformat())
    lock.charge(77)
    lock.release()
    assert ((), 0) == ((recovery := verify.recover("r")).lost, recovery.exit_code)
    copied = read_lock(existing_run("r-recovered"))
    assert (77, 6) == (copied.charged, copied.frontier), "what was spent and asked counts in the copy too"


def test_a_damaged_manifest_is_rebuilt_where_rows_fit(run: WrittenRun) -> None:
    """A damaged manifest is rebuilt only if every row fits it; otherwise recover refuses and writes nothing."""
    whole = run.folder.manifest.read_bytes()
    good = read_manifest(run.folder)
    for number, data in enumerate(
        (
            whole.replace(b'"settings": {', b'"settings": ['),
            whole.replace(b'"versions"', b'"versio\x00'),
            whole.replace(good.grid_fingerprint.encode(), b"0" * 32),
            whole[: whole.index(b'  "settings"')],
        )
    ):
        run.folder.manifest.write_bytes(data)
        recovery = verify.recover("r", f"new-{number}")
        found = read_manifest(existing_run(f"new-{number}"))
        assert (0, 6) == (recovery.exit_code, recovery.rows)
        assert "it was rebuilt" in recovery.notices[0]
        assert (good.spec, good.model, good.base_url) == (found.spec, found.model, found.base_url)
        assert 0 == verify.verify(f"new-{number}").exit_code
    for data in (
        b"",
        whole.replace(b'"spec"', b'"spek"'),
        whole.replace(b'"woman"', b'"womam"'),
        whole.replace(b"Describe", b"Descrive"),
    ):
        run.folder.manifest.write_bytes(data)
        with pytest.raises(DamageError) as caught:
            verify.recover("r", "none")
        assert "an intact manifest.json" in (caught.value.fix or "")
        assert not Path("runs/none").exists()


@pytest.mark.parametrize("how", ["a sync is healed", "an end is cut"])
def test_p1_lines_that_a_killed_repair_holds_are_recovered(run: WrittenRun, how: str) -> None:
    """Lines that a killed repair holds are reported, and recovered as the next start would recover them.

    The files are cut back and not written again yet: two finished rows and a failure exist nowhere else.
    """
    whole = run.folder.segment(0).read_bytes()
    run.fail([run.failure(5, "refused")])
    cut = sum(len(run.answer(index, f"a hero, number {index}")) for index in range(4))
    if how == "a sync is healed":
        os.truncate(run.folder.segment(0), cut)
        os.truncate(run.folder.failures, 0)
    run.folder.segment(0).with_suffix(f".saving-{cut}").write_bytes(whole[cut:])
    run.folder.failures.with_suffix(".saving-0").write_bytes(run.failure(5, "refused"))
    lock = RunLock.acquire(run.folder, AT.isoformat())
    lock.vouch(Mark(0, cut, 0, 1))
    lock.release()
    before = everything(run.path)
    verdict = verify.verify("r")
    assert (0, 6) == (verdict.exit_code, verdict.answered)
    held = [each.message.split(": ")[1] for each in told(verdict) if each.kind == "held"]
    assert held == [f"{what} held by a repair; the next resume puts them back" for what in ("2 rows", "1 failures")]
    assert "leftover" not in [each.kind for each in told(verdict)]
    recovery = verify.recover("r")
    assert (0, 6, 0) == (recovery.exit_code, recovery.rows, recovery.missing)
    assert (whole, before) == (rows_of("r-recovered"), everything(run.path))
    assert run.failure(5, "refused") in existing_run("r-recovered").failures.read_bytes()
    repair_tails(run.folder, AT, read_lock(run.folder).mark)
    lineage = read_manifest(run.folder).lineage()
    copy = replay(existing_run("r-recovered"), lineage)
    assert 6 == len(copy.done) == len(replay(run.folder, lineage).done)


def test_rows_a_repair_holds_are_recovered_under_their_plan(run: WrittenRun) -> None:
    """Rows that a repair holds are recovered under the plan that they were written under."""
    bigger = SPEC.replace(attributes={"gender": SPEC.attributes["gender"], "age": ("22", "21", "19")})
    manifest = read_manifest(run.folder)
    plan = Plan(bigger, endpoint="completions", model=MODEL)
    changed = replace(
        manifest,
        spec=bigger.as_dict(),
        earlier=[EarlierPlan(manifest.spec, "completions", MODEL, 0)],
        first_segment=1,
        grid_fingerprint=plan.grid_fingerprint,
    )
    write_manifest(run.folder, changed)
    run.folder.segment(0).rename(run.folder.segment(0).with_suffix(".saving-0"))
    run.folder.segment(1).with_suffix(".saving-0").write_bytes(
        run.answer(plan.cells.index({"gender": "man", "age": "19"}), "new", plan=plan)
    )
    recovery = verify.recover("r")
    verdict = verify.verify("r-recovered")
    assert (7, 0, 7) == (recovery.rows, verdict.exit_code, verdict.rows)
    assert "foreign" not in [each.kind for each in told(verdict)]


def test_recover_overwrites_nothing_and_copies_no_live_run(run: WrittenRun) -> None:
    """Recover refuses an existing target, a run in progress and an unusable path, and leaves no folder."""
    verify.recover("r")
    with pytest.raises(InputError, match="already exists"):
        verify.recover("r")
    lock = RunLock.acquire(run.folder, AT.isoformat())
    with pytest.raises(RunInUse) as caught:
        verify.recover("r", "other")
    assert "herogen-async ctl r drain" in (caught.value.fix or "")
    lock.release()
    assert not Path("runs/other").exists()
    Path("file").touch()
    with pytest.raises(RunFolderError, match="can't be created") as refused:
        verify.recover("r", Path("file/run"))
    assert "with --out" in (refused.value.fix or "")


def test_recover_reports_losses_and_the_copy_resumes(run: WrittenRun) -> None:
    """Recover reports lost rows as text and as JSON with exit code 4 and offers resume for the copy."""
    spoil(run, lambda lines: lines.__setitem__(2, b"garbage\n"))
    vouch(run.folder)
    result = herogen("recover", "r")
    assert 4 == result.exit_code
    assert "5 rows -> runs/r-recovered; 0 failures." in result.stdout
    assert "their task can't be read" in result.stdout
    assert "Requested, but no answer: 1 task: 2." in result.stdout
    assert "Next: herogen-async resume r-recovered" == result.stderr.splitlines()[-1]
    result = herogen("recover", "r", "--out", "other", "--json")
    assert (4, 1) == (result.exit_code, last_json(result.stdout)["lost_count"])


# -- requeue -------------------------------------------------------------------------------------------------------


def test_requeue_damaged_requests_damaged_rows_again() -> None:
    """With requeue_damaged, the damaged rows are requested again and the grid is exact."""
    spec = small_spec(values=5)
    with FakeServer() as server:
        herogen_async.run(spec, base_url=server.url, model="m", run="r", api_key="sk-1")
        folder = existing_run("r")
        lines = folder.segment(0).read_bytes().splitlines(keepends=True)
        for number in range(1, 15, 2):
            lines[number] = lines[number].replace(b"An answer", b"An anzwer")
        folder.segment(0).write_bytes(b"".join(lines))
        for _ in range(2):  # refusing changes nothing
            with pytest.raises(DamageError, match="line 2 "):
                herogen_async.resume("r", api_key="sk-1")
        asked = len(server.asked)
        assert 20 == asked
        notices: list[str] = []
        report = herogen_async.resume("r", api_key="sk-1", requeue_damaged=True, watch=Watch(on_notice=notices.append))
        assert ("done", 20, 7) == (report.state, report.done, len(server.asked) - asked)
        assert 5 == sum("what it held is requested again" in notice for notice in notices)
        assert any(notice.startswith("2 more damaged lines") for notice in notices)
        assert_exact_grid(folder.path, spec)
        assert (0, 7) == ((verdict := verify.verify("r")).exit_code, len(verdict.findings))
        again = herogen_async.resume("r", api_key="sk-1")
        assert ("done", 27) == (again.state, len(server.asked))
    assert b'"damage_accepted"' in folder.events.read_bytes()


def test_damage_accepted_later_adds_to_earlier(run: WrittenRun) -> None:
    """Accepting damage again adds to the accepted lines; all other rows are still read."""
    for line in (1, 3):
        data = run.folder.segment(0).read_bytes().split(b"\n")
        data[line] = data[line].replace(b"hero", b"zero")
        run.folder.segment(0).write_bytes(b"\n".join(data))
        found = find_damage(run.folder)
        assert [line + 1] == [each.line for each in found]
        accept_damage(run.folder, found)
    assert [2, 4] == [each.line for each in accepted_damage(run.folder)]
    assert [0, 2, 4, 5] == [line.record["index"] for line in read_rows(run.folder)]
