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
def test_a_written_manifest_reads_back_equal(folder: RunFolder, manifest: Manifest) -> None:
    """A manifest with any mix of optional fields and settings reads back equal."""
    write_manifest(folder, manifest)
    assert manifest == read_manifest(folder)


def test_the_spec_returns_with_attributes_in_order(folder: RunFolder) -> None:
    """The spec in the manifest is restored equal, with its attributes in their original order."""
    write_manifest(folder, manifest_of())
    spec = read_manifest(folder).resolved_spec()
    assert DEMO == spec
    assert ["gender", "age"] == list(spec.attributes)


def test_a_manifest_is_readable_and_private(folder: RunFolder) -> None:
    """The manifest is indented JSON with mode 0600."""
    write_manifest(folder, manifest_of())
    assert 0o600 == folder.manifest.stat().st_mode & 0o777
    assert b'\n  "model": "m",\n' in folder.manifest.read_bytes()


def test_the_manifest_names_the_versions_behind_the_run() -> None:
    """The recorded versions include Python and the libraries that shape a run's output."""
    assert {"python", "openai", "orjson"} <= set(package_versions())


def test_keys_added_by_a_later_version_are_ignored(folder: RunFolder) -> None:
    """Unknown keys in the manifest and its settings are ignored on reading."""
    write_manifest(folder, manifest_of())
    data = codec.loads(folder.manifest.read_bytes())
    data["colour"] = "blue"
    data["settings"]["mood"] = "good"
    folder.manifest.write_bytes(codec.dumps(data))
    assert manifest_of() == read_manifest(folder)


def test_another_run_format_names_both_versions(folder: RunFolder) -> None:
    """A manifest of another format raises an error that names both format versions."""
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
def test_an_invalid_manifest_is_damage_that_names_the_file(folder: RunFolder, data: bytes) -> None:
    """Any malformed or incomplete manifest raises a damage error that names the file."""
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
def test_a_value_of_the_wrong_type_is_damage_by_name(folder: RunFolder, place: str, wrong: object) -> None:
    """A manifest value of the wrong type raises a damage error that names the field and the file."""
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
def test_an_unreadable_manifest_is_a_readable_error(folder: RunFolder, is_there: bool) -> None:
    """A manifest that is missing or can't be read raises a run folder error."""
    if is_there:
        folder.manifest.mkdir()
    with pytest.raises(RunFolderError, match="can't be read"):
        read_manifest(folder)


def test_an_empty_manifest_is_called_empty(folder: RunFolder) -> None:
    """As a full disk or a power cut may leave it; the fix says how the rows are kept."""
    for content in (b"", b"\0" * 512, b"\n"):
        folder.manifest.write_bytes(content)
        with pytest.raises(DamageError, match="it is empty") as caught:
            read_manifest(folder)
        assert "herogen-async recover" in (caught.value.fix or "")


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


def test_p5_the_old_file_stays_until_the_new_one_is_whole(folder: RunFolder) -> None:
    """The old content is visible until publishing ends, and then the new replaces it at once."""
    folder.manifest.write_bytes(b"old")
    with publishing(folder.manifest) as file:
        file.write(b"new")
        file.flush()
        assert b"old" == folder.manifest.read_bytes()
    assert b"new" == folder.manifest.read_bytes()


# -- agreement -----------------------------------------------------------------------------------------------------


def test_p13_a_runs_key_is_in_none_of_its_files(folder: RunFolder) -> None:
    """The API key occurs in neither the manifest nor the lock file."""
    agree(folder)
    written = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert len(written) == 2  # the manifest and the lock
    assert all(CANARY.encode() not in data for data in written)


def test_p7_the_same_spec_is_accepted_and_settings_updated(folder: RunFolder) -> None:
    """The same spec and settings leave the manifest untouched; new settings are written to it."""
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
def test_p7_a_changed_spec_is_refused_by_name(folder: RunFolder, spec: Spec, model: str, named: str) -> None:
    """A changed spec or model is refused, the change is named, and the manifest stays as it was."""
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
    folder.segment(0).write_bytes(codec.sealed_line({"key": "of some answer", "index": 0}))
    with pytest.raises(RunFolderError, match="the generation fingerprint changed"):
        agree(folder)


def test_p7_rows_without_a_manifest_are_not_mixed(folder: RunFolder) -> None:
    """A folder with rows but no manifest is refused, and no manifest is created."""
    folder.segment(0).touch()
    with pytest.raises(RunFolderError, match="answers but no manifest"):
        agree(folder)
    assert not folder.manifest.exists()


def test_p9_a_manifest_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A manifest that can't be written raises a disk error that names it."""
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
