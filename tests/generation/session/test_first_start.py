"""The first start of a spec of one's own: who answers is said by a person, and a wrong start costs no name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.generation.run_folder import RunFolder, RunLock, read_lock, read_manifest, write_manifest
from herogen_async.generation.run_request import new_request, require_target
from herogen_async.generation.settings import Settings
from support.fake_server import Asked, FakeServer, Reply, error
from support.run_folders import WrittenRun
from support.runs import NO_KEYS, assert_exact_grid, herogen, small_spec, write_spec


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*NO_KEYS, "HEROGEN_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_a_spec_of_ones_own_is_not_sent_to_the_small_model_unasked(tmp_path: Path) -> None:
    """Exit code 2, both ways out, and nothing is made."""
    path = write_spec(tmp_path, small_spec())
    end = herogen("run", path, cwd=tmp_path)
    assert 2 == end.returncode
    assert "error: no server and no model given for this spec" in end.stderr
    assert "--base-url URL" in end.stderr
    assert "--model embedded" in end.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_of_the_embedded_model_goes_on_without_naming_it_again() -> None:
    """Runs that were begun before it had to be named are resumed by the same command."""
    run = WrittenRun(Path("runs/small"))
    write_manifest(run.folder, replace(read_manifest(run.folder), base_url=None))
    run.write([run.answer(0, "one")])

    def start(name: str) -> None:
        require_target(
            new_request(
                small_spec(),
                run=name,
                base_url=None,
                endpoint=None,
                model=None,
                api_key=None,
                timeout_s=None,
                settings=Settings(),
            )
        )

    start("small")
    with pytest.raises(InputError, match="no server and no model given"):
        start("another")


def test_plan_looks_at_a_spec_before_a_server_is_chosen(tmp_path: Path) -> None:
    """And says what `run` will want to know."""
    path = write_spec(tmp_path, small_spec())
    told = herogen("plan", path, cwd=tmp_path)
    assert 0 == told.returncode
    assert "Model: not yet chosen." in told.stdout
    assert f"Next: herogen-async run {path} --base-url URL" in told.stderr


def test_plan_looks_at_a_named_model_before_its_server_is_chosen(tmp_path: Path) -> None:
    """Prompts can be seen without a key and an address; `run` wants them, and says so."""
    path = write_spec(tmp_path, small_spec().replace(model="some-model"))
    told = herogen("plan", path, "--show", "1", cwd=tmp_path)
    assert 0 == told.returncode
    assert "Model: some-model, its server not yet chosen." in told.stdout
    assert '"model": "some-model"' in told.stdout
    assert f"Next: herogen-async run {path} --base-url URL" in told.stderr
    end = herogen("run", path, cwd=tmp_path)
    assert 2 == end.returncode
    assert "error: no server given for the model 'some-model'" in end.stderr
    assert not (tmp_path / "runs").exists()


def _refuse(asked: Asked) -> Reply:
    return error(401, "invalid_api_key")


def test_a_run_without_rows_may_be_started_anew(tmp_path: Path) -> None:
    """With another model, server, prompt or grid: a wrong start does not take the run's name."""
    with FakeServer(_refuse) as wrong, FakeServer() as right:
        parked = herogen_async.run(small_spec(values=2), run=tmp_path / "r", base_url=wrong.url, model="typo")
        assert ("parked", 0) == (parked.state, parked.done)
        spec = small_spec(values=3)
        done = herogen_async.run(spec, run=tmp_path / "r", base_url=right.url, model="m")
    assert ("done", 12) == (done.state, done.done)
    assert_exact_grid(tmp_path / "r", spec)
    manifest = read_manifest(RunFolder(tmp_path / "r"))
    assert ("m", ()) == (manifest.model, tuple(manifest.earlier))


def test_what_a_wrong_start_has_sent_is_not_asked_again_for_the_new_one(tmp_path: Path) -> None:
    """Its frontier belonged to other questions."""
    run = WrittenRun(tmp_path / "r", small_spec(values=2))
    lock = RunLock.acquire(RunFolder(run.path), "2026-11-22T00:00:00+00:00")
    lock.sent(5)
    lock.release()
    with FakeServer() as server:
        herogen_async.run(small_spec(values=1, prompt="{age} {gender}"), run=run.path, base_url=server.url, model="m")
    assert 4 == read_lock(RunFolder(run.path)).frontier


def test_a_run_goes_on_at_a_server_that_has_moved(tmp_path: Path) -> None:
    """The same model at another address: nothing is asked again, and the folder knows the new one."""
    with FakeServer() as first:
        herogen_async.run(small_spec(), run=tmp_path / "r", base_url=first.url, model="m", limit=5)
    with FakeServer() as second:
        done = herogen_async.resume(tmp_path / "r", base_url=second.url, limit=20)
        assert 15 == len(second.asked)
    assert ("done", 20, second.url) == (done.state, done.done, done.base_url)
    assert second.url == read_manifest(RunFolder(tmp_path / "r")).base_url
    assert_exact_grid(tmp_path / "r", small_spec())


def test_a_run_of_the_embedded_model_moves_to_no_server(tmp_path: Path) -> None:
    """Another model would answer: that is a new run."""
    run = WrittenRun(tmp_path / "r")
    write_manifest(run.folder, replace(read_manifest(run.folder), base_url=None))
    with pytest.raises(InputError, match="the embedded model answers this run"):
        herogen_async.resume(run.path, base_url="http://127.0.0.1:1/v1")
