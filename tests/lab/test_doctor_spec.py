"""`doctor SPEC`: every model and server that a spec's columns use, each with its own findings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.lab.doctor import Diagnosis, diagnose, diagnose_spec, diagnosis_lines
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json

KEY = "canary-51c0ffee-ab"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_BASE_URL", "HEROGEN_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(FakeServer()), stack.enter_context(FakeServer())


def spec_of(judge: str | None, **more: Any) -> Spec:
    verdict = {"prompt": "grade {question}", "model": "judge", **more}
    return Spec(
        name="tutor",
        attributes={"n": ["1"]},
        columns={
            "question": {"prompt": "ask {n}"},
            "verdict": verdict if judge is None else {**verdict, "base_url": judge},
            "praise": {"prompt": "praise {verdict}"},
        },
    )


def looked(spec: Spec, base_url: str | None, folder: Path, *, model: str | None = "m", **environment: str) -> Diagnosis:
    found = asyncio.run(
        diagnose_spec(
            spec,
            "tutor.yaml",
            base_url,
            model,
            endpoint=None,
            environment=environment,
            folder=folder,
            clock=MonotonicClock(),
        )
    )
    shown = json.dumps(found.as_dict()) + "\n".join(diagnosis_lines(found)) + repr(found)
    assert KEY not in shown
    for finding in [*found.findings, *(each for target in found.targets or () for each in target.findings)]:
        assert finding.fix or not finding.blocks, "a problem without a fix"
    return found


def problems(found: Diagnosis) -> dict[str, str]:
    """The first problem of each target, by its columns."""
    return {
        ", ".join(target.columns): next((each.what for each in target.findings if each.blocks), "")
        for target in found.targets or ()
    }


def test_each_model_and_server_is_looked_at_once_with_its_own_key(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """The next command has the limits that each server tells, for the columns that are asked there."""
    first, judge = servers
    judge.behaviour = lambda asked: Reply(
        **{**vars(answer(asked)), "headers": {"x-ratelimit-limit-requests": "600", "x-ratelimit-reset-requests": "60s"}}
    )
    found = looked(spec_of(judge.url, key_env="JUDGE_KEY"), first.url, tmp_path, JUDGE_KEY=KEY)
    asks, grades = found.targets or ()
    assert (("question", "praise"), ("verdict",)) == (asks.columns, grades.columns)
    assert ("m", "judge", None, "JUDGE_KEY") == (asks.model, grades.model, asks.key_env, grades.key_env)
    assert asks.endpoint is not None
    assert grades.endpoint is not None
    assert (first.url, judge.url, None, "JUDGE_KEY") == (
        asks.endpoint.base_url,
        grades.endpoint.base_url,
        asks.endpoint.key,
        grades.endpoint.key,
    )
    assert {"judge"} == {asked.body["model"] for asked in judge.asked if asked.body}
    assert all(f"Bearer {KEY}" == asked.headers["authorization"] for asked in judge.asked)
    assert all(KEY not in str(asked.headers) for asked in first.asked)
    assert found.usable
    assert (
        f"herogen-async run tutor.yaml --limit 8 --base-url {first.url} --model m --rpm verdict=600 --concurrency auto"
    ) == found.next
    told = found.as_dict()
    assert (None, 2, True) == (told["endpoint"], len(told["targets"]), told["usable"])
    assert {"columns", "model", "key_env", "endpoint", "findings"} == told["targets"][0].keys()
    lines = list(diagnosis_lines(found))
    assert lines.index("Columns question, praise") < lines.index("Column verdict")


def test_without_a_spec_there_are_no_targets(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """Its JSON is as it was."""
    first, _ = servers
    looking = diagnose(first.url, "m", endpoint=None, environment={}, folder=tmp_path, clock=MonotonicClock())
    assert {"machine", "endpoint", "findings", "run", "usable"} == asyncio.run(looking).as_dict().keys()


def test_a_problem_is_told_with_its_columns(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """A refused key, a key that is not set, a server that is down, a route that a column needs: the others are fine."""
    first, judge = servers
    judge.listing = error(401, "invalid_api_key", f"no: {KEY}")
    refused = looked(spec_of(judge.url, key_env="JUDGE_KEY"), first.url, tmp_path, JUDGE_KEY=KEY)
    assert not refused.usable
    assert problems(refused)["verdict"].startswith("HTTP 401")
    assert "" == problems(refused)["question, praise"]
    blocking = [each for target in refused.targets or () for each in target.findings if each.blocks]
    assert ["check the key in JUDGE_KEY and its permissions"] == [each.fix for each in blocking]
    unset = looked(spec_of(judge.url, key_env="JUDGE_KEY"), first.url, tmp_path)
    assert "column 'verdict' takes its key from JUDGE_KEY, which is not set" == problems(unset)["verdict"]
    down = looked(spec_of("http://127.0.0.1:1/v1"), first.url, tmp_path)
    assert "no connection" in problems(down)["verdict"]
    assert not down.usable


def test_a_route_that_a_column_needs_is_missed_though_another_one_answers(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """Two columns of one server, one of them by chat."""
    first, judge = servers

    def completions_alone(asked: Asked) -> Reply:
        return answer(asked) if asked.path == "/v1/completions" else error(404, None, "no such route")

    first.behaviour = completions_alone
    spec = spec_of(judge.url)
    columns = {name: column.as_dict() for name, column in spec.columns.items()}
    columns["praise"]["endpoint"] = "chat"
    found = looked(spec.replace(columns=columns), first.url, tmp_path)
    assert problems(found)["question, praise"].startswith("no working chat endpoint for praise: ")
    assert "" == problems(found)["verdict"]


def test_where_nobody_is_named_it_is_a_problem_of_those_columns(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """As `run` refuses it; so is the embedded model for one column of a run at a server."""
    first, judge = servers
    nobody = looked(spec_of(judge.url), None, tmp_path, model=None)
    assert {"question, praise": "no server and no model given for this spec", "verdict": ""} == problems(nobody)
    lost = looked(spec_of(None), None, tmp_path, model="embedded")
    assert "no server given for model 'judge'" == problems(lost)["verdict"]
    mixed = looked(spec_of(None, model="embedded"), first.url, tmp_path)
    assert "column 'verdict' uses the embedded model, but the run uses a server" == problems(mixed)["verdict"]


def test_doctor_exits_with_2_where_any_target_is_not_ready(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """And with 2 for a spec that has a mistake or isn't there, told as by `run`."""
    first, judge = servers
    path = tmp_path / "tutor.json"
    path.write_text(json.dumps(spec_of(judge.url).as_dict()))
    fine = herogen("doctor", path, "--base-url", first.url, "--model", "m", "--json", cwd=tmp_path)
    assert (0, 2) == (fine.returncode, len(last_json(fine.stdout)["targets"]))
    judge.listing = error(403)
    wrong = herogen("doctor", path, "--base-url", first.url, "--model", "m", cwd=tmp_path)
    assert 2 == wrong.returncode
    assert "Column verdict" in wrong.stdout
    assert "Next: fix the problems above" in wrong.stderr
    missing = herogen("doctor", tmp_path / "none.yaml", cwd=tmp_path)
    assert (2, True) == (missing.returncode, "not found" in missing.stderr)
    path.write_text('{"name": "x"}')
    broken = herogen("doctor", path, cwd=tmp_path)
    assert (2, True) == (broken.returncode, "missing key 'attributes'" in broken.stderr)
