"""The tune view's addresses: fine-tunes as they stand, here and at a service, and how their models answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async import assemble, finetune
from herogen_async.tune.evaluation import evaluate_tuned
from herogen_async.tune.finetune import finetune_looks
from herogen_async.tune.finetune.service_words import seconds_since_1970
from support.fake_server import FakeServer
from support.kept_finetunes import AT, LocalTune, begun, untuned_run
from support.page_client import PageClient, served_page
from support.run_folders import WrittenRun
from support.simulated_service import simulated
from support.tuned_models import rows_file, taught, tuned_model


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return untuned_run(Path("runs/heroes"))


@pytest.fixture
def page(run: WrittenRun) -> Iterator[PageClient]:
    with served_page() as page:
        yield page


def told(page: PageClient) -> dict[str, Any]:
    found: dict[str, Any] = page.get("/api/run/heroes/tune")
    return found


def only(page: PageClient) -> dict[str, Any]:
    (found,) = told(page)["finetunes"]
    return dict(found)


def test_a_run_without_fine_tunes_says_so(page: PageClient) -> None:
    """Nothing is made for it."""
    seen = told(page)
    assert {"argument": "heroes", "marks": 0, "dataset": None, "started": None, "finetunes": []}.items() <= seen.items()
    assert not Path("runs/heroes/finetune").exists()


def test_a_fine_tune_on_this_machine_is_followed(page: PageClient, run: WrittenRun) -> None:
    """Its losses and what it says as they come, its end, and that no command has written it down yet."""
    tune = LocalTune(run.path)
    tune.trains()
    tune.says("Loading small (cpu).")
    tune.step(0, valid=2.0)
    seen = only(page)
    assert ("001", "running", True, False) == tuple(
        seen[name] for name in ("number", "status", "is_going", "is_unrecorded")
    )
    assert {"step": [0.0], "train": [None], "valid": [2.0]} == seen["losses"]
    assert ["Trainer started.", "Loading small (cpu)."] == [each["message"] for each in seen["events"]]
    assert {"training": {"rows": 21}, "validation": {"rows": 3}} == seen["files"]
    assert seconds_since_1970(AT.isoformat()) == seen["begun_at"]
    tune.step(1, train=1.9)
    tune.step(1, valid=1.8)
    tune.step(2, train=1.7)
    seen = only(page)
    assert {"step": [0, 1, 2], "train": [None, 1.9, 1.7], "valid": [2.0, 1.8, None]} == seen["losses"]
    assert 9 == seen["total_steps"]
    assert seen["to_go_s"] is not None
    tune.ends()
    seen = only(page)
    assert ("succeeded", False, True, "herogen-async finetune heroes") == tuple(
        seen[name] for name in ("status", "is_going", "is_unrecorded", "again")
    )
    tune.recorded()
    seen = only(page)
    assert ("succeeded", False, "small", {"eval_loss": 1.5}) == tuple(
        seen[name] for name in ("status", "is_unrecorded", "model", "metrics")
    )


def test_a_trainer_that_died_is_told(page: PageClient, run: WrittenRun) -> None:
    """After which step, and how to go on; when it does, so it is."""
    tune = LocalTune(run.path)
    tune.trains()
    tune.step(4, train=1.0)
    tune.dies()
    seen = only(page)
    assert ("interrupted", False) == (seen["status"], seen["is_going"])
    assert "after step 4 of 9" in seen["error"]
    assert "same command" in seen["fix"]
    tune.trains()
    assert ("running", None) == tuple(only(page)[name] for name in ("status", "error"))
    tune.ends("failed", "the disk is full")
    assert ("failed", "the disk is full") == tuple(only(page)[name] for name in ("status", "error"))


def test_a_fine_tune_that_never_began_is_told(page: PageClient, run: WrittenRun) -> None:
    """Its command ended before the job was there."""
    begun(run.path / "finetune" / "001", job_id=None)
    assert ("not started", False, False) == tuple(only(page)[name] for name in ("status", "is_going", "is_watched"))


def test_each_fine_tune_has_its_own_command(page: PageClient, run: WrittenRun) -> None:
    """The latest goes on with the bare one; an earlier one is named by its settings."""
    begun(run.path / "finetune" / "001", epochs=4)
    begun(run.path / "finetune" / "002")
    assert [
        ("002", "herogen-async finetune heroes"),
        ("001", "herogen-async finetune heroes --backend local --model embedded --epochs 4"),
    ] == [(each["number"], each["again"]) for each in told(page)["finetunes"]]


def test_damage_hides_no_other_fine_tune(page: PageClient, run: WrittenRun) -> None:
    """It is told with its place."""
    steps = begun(run.path / "finetune" / "001") / "steps.jsonl"
    steps.write_bytes(steps.read_bytes().replace(b"embedded", b"imbedded"))
    begun(run.path / "finetune" / "002", job_id=None)
    good, bad = told(page)["finetunes"]
    assert ("not started", "unreadable") == (good["status"], bad["status"])
    assert "damaged in line 1" in bad["error"]


def test_a_job_at_a_service_is_asked_for_there(
    page: PageClient, run: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state and its losses; once they are written down, nobody is asked any more."""
    monkeypatch.setattr(finetune_looks, "ASK_EVERY_S", 0.0)
    with simulated("m", train_s=1.0) as server:
        how: dict[str, Any] = {"base_url": server.url, "model": "m"}
        finetune("heroes", **how, watch_job=False)
        end = time.monotonic() + 20
        while (seen := only(page))["is_going"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert ("succeeded", True, None, None) == tuple(
            seen[name] for name in ("status", "is_unrecorded", "model", "unreached")
        )
        assert len(seen["losses"]["step"]) > 1
        assert any(each["message"] for each in seen["events"])
        finetune("heroes", **how)
    recorded = only(page)
    assert ("succeeded", False, None) == tuple(recorded[name] for name in ("status", "is_unrecorded", "unreached"))
    assert seen["losses"] == recorded["losses"]
    with served_page() as other:  # which has asked nobody
        losses = only(other)["losses"]
    assert [round(each, 6) for each in losses["train"]] == [round(each, 6) for each in recorded["losses"]["train"]]


def test_a_service_is_asked_now_and_then(page: PageClient, run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a page looks."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeServer() as server:
        begun(run.path / "finetune" / "001", job_id="job-1", backend="openai", base_url=server.url)
        for _ in range(3):
            assert "404" in only(page)["unreached"]["error"]
        assert 1 == len(server.listed)


def test_a_service_that_does_not_answer_holds_nobody_up(
    page: PageClient, run: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other fine-tunes are shown, and it is left alone for a while."""
    monkeypatch.setattr(finetune_looks, "WITHIN_S", 0.1)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeServer() as server:
        server.at_connect = silence
        begun(run.path / "finetune" / "001", job_id="job-1", backend="openai", base_url=server.url)
        LocalTune(run.path, "002").trains()
        for _ in range(2):
            local, hosted = told(page)["finetunes"]
            assert ("running", "no answer within 0.1 s") == (local["status"], hosted["unreached"]["error"])
        assert 1 == server.connections


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Until the other side has enough."""
    await reader.read()


def test_a_key_that_is_missing_is_told(page: PageClient, run: WrittenRun) -> None:
    """The fine-tune is shown all the same."""
    begun(run.path / "finetune" / "001", job_id="job-1", backend="openai", base_url="https://api.example.com/v1")
    seen = only(page)
    assert ("started", "job-1") == (seen["status"], seen["job_id"])
    assert "OPENAI_API_KEY is not set" in seen["unreached"]["error"]
    assert "export" in seen["unreached"]["fix"]


def test_an_evaluation_is_told_with_its_answers_side_by_side(page: PageClient, tmp_path: Path) -> None:
    """The figures of the report, each share with its interval, and what the held-out rows would have answered."""
    held_out = rows_file(tmp_path / "valid.jsonl", [("40, woman, flight", "Ada, who flies.")])
    with FakeServer(taught) as server:
        tuned = tuned_model(tmp_path, server.url, held_out=held_out, metrics={"eval_loss": 1.25})
        evaluate_tuned(tuned, answers=4, environment={})
    found = page.get("/api/run/heroes/tune/001/evaluation")["evaluation"]
    assert {"tuned": "ft-hero", "base": "base-1"} == found["models"]
    shares = {each["name"]: each for each in found["shares"]}
    assert ([4, 0], 4) == (
        [shares["stops by itself"][side]["hits"] for side in ("tuned", "base")],
        found["shares"][0]["tuned"]["of"],
    )
    assert 0 < shares["stops by itself"]["tuned"]["interval"][0] < 1
    assert "keeps to the age" in shares
    assert ["held-out loss", "-", "1.250"] == found["figures"][0]
    assert 4 == len(found["samples"])
    first = found["samples"][0]
    assert ("40, woman, flight", "Ada, who flies.") == (first["prompt"], first["expected"])
    assert "with the gift of flight" in first["tuned"]["text"]
    assert (False, "length") == (first["base"]["stopped"], first["base"]["finish_reason"])
    held_out.write_text(held_out.read_text() + "\n")
    assert (
        found["samples"][0]["tuned"]
        == page.get("/api/run/heroes/tune/001/evaluation")["evaluation"]["samples"][0]["tuned"]
    )


def test_what_was_not_evaluated_is_told(page: PageClient, tmp_path: Path) -> None:
    """And what is no fine-tune, or an evaluation that can't be read, is refused with a sentence."""
    folder = tuned_model(tmp_path, "http://127.0.0.1:1/v1").folder
    assert {"evaluation": None} == page.get("/api/run/heroes/tune/001/evaluation")
    for number in ("002", "..", "%2e%2e"):
        assert page.told(f"/api/run/heroes/tune/{number}/evaluation")[0] in (400, 404)
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps({"tuned": []}))
    status, wrong = page.told("/api/run/heroes/tune/001/evaluation")
    assert (400, True, "make it anew: finetune with --eval") == (
        status,
        "can't be read" in wrong["error"],
        wrong["fix"],
    )


def test_the_data_set_is_told_and_when_it_is_older_than_its_rows(page: PageClient, run: WrittenRun) -> None:
    """What came since the last `assemble` is in no data set: more answers, or marks."""
    assemble("heroes", split=0.25)
    found = told(page)
    assert (23, "prompt-completion", False, False) == tuple(
        found["dataset"][name] for name in ("rows", "format", "is_older", "has_marks")
    )
    assert {"train", "valid"} == found["dataset"]["split"].keys()
    row = page.get("/api/run/heroes/row/0")
    (call,) = row["calls"]
    said = {"row": 0, "call": call["name"], "answer": call["answer"], "mark": "bad", "value": None}
    assert 200 == page.post("/api/run/heroes/marks", said)[0]
    found = told(page)
    assert (1, True) == (found["marks"], found["dataset"]["is_older"])
    assemble("heroes", split=0.25, marks=True)
    found = told(page)["dataset"]
    assert (22, False, True) == tuple(found[name] for name in ("rows", "is_older", "has_marks"))


# What the page starts.
