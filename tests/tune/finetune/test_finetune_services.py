"""`finetune` at services that speak OpenAI's API in their own words: waited for, gone without, told; nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_finetune_chain import write_rows
from test_finetune_wire import counts, quick, tune  # noqa: F401 - a fixture

from herogen_async.core.clock import VirtualClock
from herogen_async.core.errors import InputError, NotReadyYet, RowRefused
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.fine_tuning import _meaning
from herogen_async.generation.intents import read_steps
from herogen_async.tune.finetune import find_tuned, settings_of
from herogen_async.tune.finetune.hosted import _UNKNOWN_FIELD, _names, _state, job_body
from herogen_async.tune.finetune.records import JobState, TuneRequest
from herogen_async.tune.finetune.unclear_jobs import UNKNOWN_S, UnknownStatus
from herogen_async.tune.further_fields import read_fields, written_fields
from herogen_async.tune.options import FinetuneOptions
from support.runs import herogen, last_json
from support.simulated_service import simulated


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", count=12)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for comes at once, or never."""
    monkeypatch.setattr("herogen_async.generation.intents.chain.READY_FIRST_S", 0.01)
    monkeypatch.setattr("herogen_async.tune.finetune.tuning_job.NAME_LOOKS_S", (0.0, 0.0))
    monkeypatch.setattr("herogen_async.generation.intents.job_watch.FIRST_S", 0.01)


def test_a_job_told_in_other_words_ends_with_its_model(rows: Path) -> None:
    """COMPLETED, ISO times, steps as texts, and the name under `output_name`."""
    with simulated(faults={"own_words": None}) as server:
        ended = tune(server, rows, "--json", cwd=rows.parent)
    told = last_json(ended.stdout)
    assert (0, "succeeded") == (ended.returncode, told["status"]), ended.stderr
    assert told["model"] == find_tuned(str(rows)).name
    assert all(each["step"] > 0 for each in told["checkpoints"])
    assert told["metrics"]["train_loss"] > 0


def test_a_job_that_fails_in_other_words_is_told_with_them(rows: Path) -> None:
    """ERROR is an end, too."""
    with simulated(faults={"own_words": None, "training_fails": 1}) as server:
        ended = tune(server, rows, cwd=rows.parent)
    assert 1 == ended.returncode
    assert "status 'ERROR'" in ended.stdout


def test_a_status_that_nobody_knows_is_told_and_not_watched_for_ever(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3; the same command looks again, and finds the job as it is by then."""
    monkeypatch.setattr("herogen_async.tune.finetune.unclear_jobs.UNKNOWN_S", 0.2)
    with simulated(faults={"unknown_word": 1000}) as server:
        ended = tune(server, rows, cwd=rows.parent)
        assert 3 == ended.returncode, ended.stderr
        assert 2 == (ended.stdout + ended.stderr).count("'half_baked' is unknown")
        server._tuning.service._faults_met["unknown_word"] = 1000
        again = tune(server, rows, cwd=rows.parent)
        assert (0, (1, 1)) == (again.returncode, counts(server)), again.stderr


def test_news_of_a_job_with_an_unknown_status_lets_the_watch_go_on() -> None:
    """Events are a sign of life, another word is one, and a known word needs none."""
    clock, said = VirtualClock(), list[str]()
    unknown = UnknownStatus(clock, said.append)
    times = iter([0.0, UNKNOWN_S - 1, UNKNOWN_S - 1, 2 * UNKNOWN_S - 2, 2 * UNKNOWN_S, 4 * UNKNOWN_S])
    clock.now = lambda: next(times)  # type: ignore[method-assign]
    odd = JobState("job-1", "baking", is_known=False)
    assert not unknown.judged(odd).stands_still
    assert not unknown.judged(odd).stands_still
    unknown.news()
    assert not unknown.judged(odd).stands_still
    assert 1 == len(said)


@pytest.mark.parametrize("finds_it", [True, False])
def test_a_model_without_a_name_is_looked_for_and_said_to_be_missing(rows: Path, finds_it: bool) -> None:
    """Exit code 3, where it may be, and what to do; the same command finds it once the service names it."""
    with simulated(faults={"no_model_name": 4 if finds_it else None}) as server:
        ended = tune(server, rows, "--json", cwd=rows.parent)
        told = last_json(ended.stdout)
        assert (3, None) == (ended.returncode, told["model"]), ended.stderr
        assert "names no model" in told["error"]
        assert "--adopt" in told["fix"]
        more = () if finds_it else ("--adopt", "acct/mine")
        again = tune(server, rows, "--json", *more, cwd=rows.parent)
        assert (0, (1, 1)) == (again.returncode, counts(server)), again.stderr
    assert last_json(again.stdout)["model"] == find_tuned(str(rows)).name
    assert finds_it or "acct/mine" == find_tuned(str(rows)).name


def test_a_name_cannot_be_adopted_for_a_job_that_is_still_at_work(rows: Path) -> None:
    """What it makes, it names itself."""
    with simulated(train_s=600.0) as server:
        assert 0 == tune(server, rows, "--no-watch", cwd=rows.parent).returncode
        ended = tune(server, rows, "--adopt", "acct/mine", cwd=rows.parent)
    assert 2 == ended.returncode
    assert "nothing to adopt" in ended.stderr


def test_a_file_that_is_not_ready_is_waited_for(rows: Path) -> None:
    """More often than a call is tried; each refusal is in the log, and one job is started."""
    with simulated(faults={"file_not_ready": 5}) as server:
        ended = tune(server, rows, cwd=rows.parent)
        assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr
    steps = [each["step"] for each in read_steps(rows.with_name("rows.finetune") / "001")]
    assert 5 == steps.count("closed")
    assert 1 == ended.stderr.count("not ready at the service yet")


def test_a_file_that_never_is_ready_parks_the_chain(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded wait: exit code 3, and the same command goes on."""
    monkeypatch.setattr("herogen_async.generation.intents.chain.READY_S", 0.1)
    with simulated(faults={"file_not_ready": 1000}) as server:
        ended = tune(server, rows, cwd=rows.parent)
        assert (3, (1, 0)) == (ended.returncode, counts(server)), ended.stderr
    assert "Next: herogen-async finetune" in ended.stderr


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("File 'file-1' is still being processed and is not ready. Please try again later.", True),
        ("Dataset d1 is in state UPLOADING", True),
        ("The file file-9 is not yet processed", True),
        ("training_file: file-7 status is pending", True),
        ("No such upload: file-7a2 not found", True),
        ("invalid training_file: file-1", False),
        ("Line 3 of the file is not JSON", False),
        ("The model is busy, try again later", False),
    ],
)
def test_only_a_file_that_is_at_work_is_waited_for(said: str, waits: bool) -> None:
    """By the words of the refusal."""
    assert waits == isinstance(_meaning(RowRefused(f"HTTP 400: {said}", status=400)), NotReadyYet)


@pytest.mark.parametrize("fault", [None, "create_reset", "create_500"])
def test_metadata_that_is_refused_is_left_out_and_nothing_is_started_twice(
    rows: Path, fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the answer to the call without it is lost: the job is found by its file."""
    for name in ("LOOKS_S", "ATTEMPTS_S"):
        monkeypatch.setattr(f"herogen_async.generation.intents.chain.{name}", (0.0, 0.1))
    faults: dict[str, Any] = {"metadata_refused": None} | ({} if fault is None else {fault: 1})
    with simulated(faults=faults) as server:
        ended = tune(server, rows, cwd=rows.parent)
        assert (0, (1, 1)) == (ended.returncode, counts(server)), ended.stderr
    assert ("it arrived" in ended.stderr) == (fault is not None)


@pytest.mark.parametrize(
    "said",
    [
        'body: {"loc":["body","metadata"],"msg":"Extra inputs are not permitted"}',
        "Unknown parameter: 'metadata'.",
        "Additional properties are not allowed",
        "unexpected keyword argument",
        "Unrecognized request argument supplied: metadata",
    ],
)
def test_a_refusal_of_an_unknown_field_is_one_of_ours(said: str) -> None:
    """However it is put; and one of the file or the model is not."""
    assert _UNKNOWN_FIELD.search(said)
    assert not _UNKNOWN_FIELD.search("invalid training_file: file-1")
    assert not _UNKNOWN_FIELD.search("Model m is not available for fine-tuning")


def test_a_job_of_another_fine_tune_is_never_taken_for_the_lost_one() -> None:
    """`file-1` is not in `file-12`, but in a path that ends with it."""
    assert _names({"dataset": {"uri": "s3://b/file-1.jsonl"}}, "file-1")
    assert not _names({"training_file": "file-12"}, "file-1")
    assert not _names({"training_file": "a-file-1"}, "file-1")


def test_fields_reach_the_service_and_tell_two_fine_tunes_apart(rows: Path) -> None:
    """Numbers and texts as they are meant, and objects merged with what is sent anyway."""
    with simulated() as server:
        more = ("--epochs", "2", "--field", "hyperparameters.batch_size=3", "--field", "metadata.team=blue")
        ended = tune(server, rows, *more, "--no-watch", cwd=rows.parent)
        assert 0 == ended.returncode, ended.stderr
        jobs = server._tuning.service.jobs.newest_first()
        assert {"n_epochs": 2, "batch_size": 3} == jobs[0].order.hyperparameters
        assert {"team", "herogen"} == (jobs[0].order.metadata or {}).keys()
        other = tune(server, rows, "--field", "trainingType=1", cwd=rows.parent)
    assert 2 == other.returncode
    assert "fields is" in other.stderr
    kept = settings_of(rows.with_name("rows.finetune") / "001")
    assert {"hyperparameters": {"batch_size": 3}, "metadata": {"team": "blue"}} == kept["fields"]


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("trainingType=1", {"trainingType": 1}),
        ('trainingType="1"', {"trainingType": "1"}),
        ("a.b=x\na.c=[1,null]", {"a": {"b": "x", "c": [1, None]}}),
        ("empty=", {"empty": ""}),
        ("sum=1+1=2", {"sum": "1+1=2"}),
        ("big=123456789012345678901", {"big": "123456789012345678901"}),
        ("odd=NaN", {"odd": "NaN"}),
    ],
)
def test_a_field_is_what_it_says_and_is_typed_again_alike(typed: str, means: dict[str, Any]) -> None:
    """JSON where it is some, else text; the words of the next command give the same."""
    assert means == read_fields(typed)
    assert means == read_fields("\n".join(written_fields(means)))


@pytest.mark.parametrize("typed", ["x", "=1", "a..b=1", "a=1\na.b=2", "a=1\na=2", "model=m", "wandb_api_key=abc"])
def test_a_field_that_cannot_be_sent_is_refused(typed: str) -> None:
    """What is no field, given twice, has an option of its own, or is a secret."""
    with pytest.raises(InputError):
        read_fields(typed)


def test_fields_are_checked_alike_from_python() -> None:
    """And a fine-tune without some sends what it always sent."""
    assert {"trainingType": 1} == FinetuneOptions.of({"fields": {"trainingType": 1}}).fields
    for wrong in ({}, {"model": "m"}, {"x": float("nan")}, {"x": {1: 2}}, "x=1"):
        with pytest.raises(InputError, match="fields can't be"):
            FinetuneOptions.of({"fields": wrong})
    plain = TuneRequest("openai", "m", Path("rows.jsonl"), Recipe())
    assert {"model": "m", "training_file": "f", "metadata": {"herogen": "t"}} == job_body(plain, {"training": "f"}, "t")
    assert json.dumps(job_body(plain, {"training": "f"}, "t")).startswith('{"model": "m", "training_file": "f"')


def test_a_service_on_this_machine_is_reached_directly(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run's server is: past every proxy, SOCKS or not, and whatever the variables of certificates name."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks5h://127.0.0.1:9" if "ALL" in name.upper() else "http://127.0.0.1:9")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nowhere")
    with simulated() as server:
        ended = tune(server, rows, cwd=rows.parent)
    assert 0 == ended.returncode, ended.stderr


def test_a_proxy_that_is_not_there_is_told(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOCKS among them: a sentence and the command that goes on, never a traceback."""
    monkeypatch.setattr("herogen_async.generation.endpoint.fine_tuning._LOOKS", 1)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    for proxy in ("socks5h://127.0.0.1:9", "http://127.0.0.1:9"):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        more = ("--base-url", "https://service.invalid/v1", "--model", "m", "--yes")
        ended = herogen("finetune", rows, *more, cwd=rows.parent, OPENAI_API_KEY="any")
        assert 3 == ended.returncode, ended.stderr
        assert "no connection to https://service.invalid/v1" in ended.stderr
        assert ended.stderr.rstrip().endswith("--yes")


def test_a_job_that_the_service_stopped_is_cancelled_with_its_word() -> None:
    """And one that was cancelled as OpenAI puts it needs no more words."""
    assert ("cancelled", "it was ended at the service (status 'STOPPED')") == (
        _state({"id": "j", "status": "STOPPED"}).status,
        _state({"id": "j", "status": "STOPPED"}).error,
    )
    assert _state({"id": "j", "status": "cancelled"}).error is None
