"""The manifest: what a run is, published whole or not at all, and never a secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import DamageError, DiskError, RunFolderError
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.forecast.costs import priced
from herogen_async.generation.forecast.plan_diff import PlanDiff
from herogen_async.generation.observer import SILENT
from herogen_async.generation.run_folder import (
    Manifest,
    RunFolder,
    RunLock,
    package_versions,
    publishing,
    read_manifest,
    write_manifest,
)
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.session.agreement import Agreed
from herogen_async.generation.session.agreement import agree as agreed
from herogen_async.generation.session.locked import Locked, locked
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.opened import conclude
from herogen_async.generation.session.repaired import Repaired, repair
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CANARY = "sk-canary-0123456789"
DEMO = Spec(
    name="demo",
    attributes={"gender": ["man", "woman"], "age": ["18", "20"]},
    prompt="A {age}-year-old {gender}.",
    sampling={"max_tokens": 50},
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def manifest_of(spec: Spec = DEMO, **changes: Any) -> Manifest:
    plan = Plan(spec, endpoint="completions", model="m")
    return replace(
        Manifest(
            spec=spec.as_dict(),
            grid_fingerprint=plan.grid_fingerprint,
            generation_fingerprint=plan.generation_fingerprint,
            endpoint="completions",
            model="m",
            base_url="http://127.0.0.1:1/v1",
            created_at=NOON.isoformat(),
            versions=package_versions(),
        ),
        **changes,
    )


def agree(folder: RunFolder, spec: Spec = DEMO, *, model: str = "m", **settings: Any) -> None:
    server = Server("http://127.0.0.1:1/v1", CANARY)
    order = RunRequest(spec, "completions", model, server, None, folder, Settings(**settings))
    notifier = Notifier(SILENT, folder, MonotonicClock(), lambda _: None)
    with locked(priced(Ready(order, model), NOON), MonotonicClock()) as held:
        conclude(repair(agreed(held, NOON), notifier, NOON, requeues_damaged=False), notifier)


# -- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    [
        manifest_of(),
        manifest_of(Spec.builtin(), base_url=None, weights={"file": "", "sha256": "0" * 64}),
        manifest_of(settings=Settings(concurrency=3, rpm=1.5, tpm=7.0, timeout_s=1.0, max_attempts=2, limit=5)),
    ],
)
def test_what_is_written_is_read_back_equal(folder: RunFolder, manifest: Manifest) -> None:
    write_manifest(folder, manifest)
    assert manifest == read_manifest(folder)


def test_the_spec_comes_back_with_its_attributes_in_order(folder: RunFolder) -> None:
    write_manifest(folder, manifest_of())
    spec = read_manifest(folder).resolved_spec()
    assert DEMO == spec
    assert ["gender", "age"] == list(spec.attributes)


def test_it_is_for_people_and_for_its_owner_alone(folder: RunFolder) -> None:
    write_manifest(folder, manifest_of())
    assert 0o600 == folder.manifest.stat().st_mode & 0o777
    assert b'\n  "model": "m",\n' in folder.manifest.read_bytes()


def test_it_names_the_versions_of_what_shaped_the_run() -> None:
    assert {"python", "openai", "orjson"} <= set(package_versions())


def test_keys_that_a_later_version_of_the_format_added_are_passed_over(folder: RunFolder) -> None:
    write_manifest(folder, manifest_of())
    data = codec.loads(folder.manifest.read_bytes())
    data["colour"] = "blue"
    data["settings"]["mood"] = "good"
    folder.manifest.write_bytes(codec.dumps(data))
    assert manifest_of() == read_manifest(folder)


def test_another_format_is_an_error_that_names_both_versions(folder: RunFolder) -> None:
    folder.manifest.write_bytes(b'{"schema_version": 2, "all": "else may differ"}')
    with pytest.raises(RunFolderError, match="run format 2; this version reads 1") as caught:
        read_manifest(folder)
    assert caught.value.fix is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 4096,
        b"\xff\xfe",
        b"{",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b"{}",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "settings": {}}',
        b'{"schema_version": 1, "settings": []}',
        b'{"schema_version": 1, "settings": null, "spec": {}}',
    ],
)
def test_garbage_is_damage_that_names_the_file(folder: RunFolder, data: bytes) -> None:
    folder.manifest.write_bytes(data)
    with pytest.raises(DamageError) as caught:
        read_manifest(folder)
    assert repr(str(folder.manifest)) in caught.value.message


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("settings.limit", "x"),
        ("settings.concurrency", 1.5),
        ("settings.rpm", [1]),
        ("settings.timeout_s", None),
        ("settings", 7),
        ("spec", []),
        ("model", None),
        ("base_url", 7),
        ("weights", {"sha256": 7}),
        ("versions", "3.11"),
    ],
)
def test_a_value_of_another_type_is_damage_that_names_its_place(folder: RunFolder, place: str, wrong: object) -> None:
    write_manifest(folder, manifest_of())
    data = codec.loads(folder.manifest.read_bytes())
    name, _, inner = place.partition(".")
    if inner:
        data[name][inner] = wrong
    else:
        data[name] = wrong
    folder.manifest.write_bytes(codec.dumps(data))
    with pytest.raises(DamageError, match=f"'{place}") as caught:
        read_manifest(folder)
    assert repr(str(folder.manifest)) in caught.value.message
    assert caught.value.fix is not None


@pytest.mark.parametrize("is_there", [False, True])
def test_one_that_cannot_be_read_is_an_error_for_a_person(folder: RunFolder, is_there: bool) -> None:
    if is_there:
        folder.manifest.mkdir()
    with pytest.raises(RunFolderError, match="can't be read"):
        read_manifest(folder)


# -- publishing ----------------------------------------------------------------------------------------------------


def test_p5_an_error_while_publishing_leaves_only_the_old_file(folder: RunFolder) -> None:
    """An error while publishing leaves the old file and no temporary one."""
    write_manifest(folder, manifest_of())
    before = folder.manifest.read_bytes()

    def publish_half() -> None:
        with publishing(folder.manifest) as file:
            file.write(b"half of a man")
            file.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_half()
    assert before == folder.manifest.read_bytes()
    assert [folder.manifest] == list(folder.path.iterdir())


def test_p5_the_old_file_stands_until_the_new_one_is_whole(folder: RunFolder) -> None:
    folder.manifest.write_bytes(b"old")
    with publishing(folder.manifest) as file:
        file.write(b"new")
        file.flush()
        assert b"old" == folder.manifest.read_bytes()
    assert b"new" == folder.manifest.read_bytes()


# -- agreement -----------------------------------------------------------------------------------------------------


def test_p13_the_key_of_a_run_is_in_no_file_of_it(folder: RunFolder) -> None:
    agree(folder)
    written = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert len(written) == 2  # the manifest and the lock
    assert all(CANARY.encode() not in data for data in written)


def test_p7_the_same_questions_agree_and_new_settings_are_noted(folder: RunFolder) -> None:
    agree(folder, concurrency=4)
    before = folder.manifest.stat().st_mtime_ns, folder.manifest.stat().st_ino
    agree(folder, concurrency=4)
    assert before == (folder.manifest.stat().st_mtime_ns, folder.manifest.stat().st_ino)
    agree(folder, concurrency=9, limit=2)
    assert Settings(concurrency=9, limit=2) == read_manifest(folder).settings


@pytest.mark.parametrize(
    ("spec", "model", "named"),
    [
        (DEMO.replace(repeats=2), "m", r"the repeats \(1 to 2\) changed"),
        (DEMO.replace(prompt="{age}, {gender}"), "m", "the prompt changed"),
        (DEMO.replace(sampling={"max_tokens": 51}), "m", r"the sampling \(max_tokens\) changed"),
        (DEMO, "n", r"the model \('m' to 'n'\) changed"),
        (DEMO.replace(prompt="{age}, {gender}", sampling={}), "n", "'n'\\), the prompt and the sampling .* changed"),
    ],
)
def test_p7_other_questions_are_refused_by_name_and_nothing_is_changed(
    folder: RunFolder, spec: Spec, model: str, named: str
) -> None:
    agree(folder)
    folder.segment(0).write_bytes(codec.sealed_line({"key": "of some answer", "index": 0}))
    before = folder.manifest.read_bytes()
    with pytest.raises(RunFolderError, match=named) as caught:
        agree(folder, spec, model=model)
    assert "herogen-async resume" in (caught.value.fix or "")
    assert before == folder.manifest.read_bytes()


def test_p7_where_nothing_was_answered_there_is_nothing_to_mix(folder: RunFolder) -> None:
    """As after a run that parked because the model's name was wrong."""
    agree(folder)
    folder.segment(0).touch()
    agree(folder, model="n")
    found = read_manifest(folder)
    assert ("n", False) == (found.model, found.keeps_stale)


def test_p7_a_fingerprint_that_nothing_visible_explains_is_refused_too(folder: RunFolder) -> None:
    """As when a version computes it otherwise: every row would be foreign, and be paid for again."""
    write_manifest(folder, manifest_of(generation_fingerprint="0" * 32))
    with pytest.raises(RunFolderError, match="the generation fingerprint changed"):
        agree(folder)


def test_p7_rows_without_a_manifest_are_not_mixed_with_new_ones(folder: RunFolder) -> None:
    folder.segment(0).touch()
    with pytest.raises(RunFolderError, match="answers but no manifest"):
        agree(folder)
    assert not folder.manifest.exists()


def test_p9_a_manifest_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    gone, other = RunFolder(tmp_path / "file" / "demo"), RunFolder(tmp_path / "other")
    other.create()
    lock = RunLock.acquire(other, NOON.isoformat())
    request = RunRequest(DEMO, "completions", "m", Server("http://127.0.0.1:1/v1"), None, gone, Settings())
    held = Locked(priced(Ready(request, "m"), NOON), lock)
    repaired = Repaired(Agreed(held, PlanDiff(None, manifest_of())))
    with pytest.raises(DiskError, match=r"manifest\.json' can't be written"):
        conclude(repaired, Notifier(SILENT, other, MonotonicClock(), lambda _: None))
    lock.release()
