"""Several servers of one model: whole runs at real servers, their folder, and what people are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.codec import loads
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import choose_servers
from herogen_async.generation.observer import Observer
from herogen_async.generation.run_folder import RunFolder, read_events, read_manifest
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, small_spec, write_spec

SPEC = small_spec(values=40, repeats=1)


class Notices(Observer[Any, Any]):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, line: str, /) -> None:
        self.lines.append(line)


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(FakeServer()), stack.enter_context(FakeServer())


def run(folder: Path, *asked: FakeServer, spec: Spec = SPEC, **options: Any) -> herogen_async.RunReport:
    urls = [each.url for each in asked]
    return herogen_async.run(spec, run=folder, base_url=urls, **{"model": "m", **options})


def keys_of(folder: Path) -> list[str]:
    lines = (folder / "rows-00000.jsonl").read_bytes().splitlines()
    return sorted(loads(line)["key"] for line in lines)


def test_rows_go_to_all_servers_and_are_those_of_one(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """Keys, fingerprints and lines say nothing of where a row was answered."""
    first, second = servers
    report = run(tmp_path / "two", first, second, concurrency=4)
    assert ("done", 80) == (report.state, report.done)
    assert {1} == set((first.prompts() + second.prompts()).values())
    assert min(len(first.asked), len(second.asked)) >= 8
    assert (first.url, second.url) == report.servers
    assert {first.url: len(first.asked), second.url: len(second.asked)} == {
        name: lane["requests"] for name, lane in report.lanes.items()
    }
    run(tmp_path / "one", first)
    assert keys_of(tmp_path / "one") == keys_of(tmp_path / "two")
    one, two = (read_manifest(RunFolder(tmp_path / name)) for name in ("one", "two"))
    assert one.asks_as(two)
    assert ([], [second.url]) == (one.other_urls, two.other_urls)
    assert two.servers == (first.url, second.url) == herogen_async.status(tmp_path / "two").servers
    line = loads((tmp_path / "two" / "rows-00000.jsonl").read_bytes().splitlines()[0])
    assert not any("127.0.0.1" in str(value) for value in line.values())


def test_a_run_goes_on_with_its_servers_or_with_others(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    first, second = servers
    run(tmp_path / "r", first, second, limit=20)
    before = len(first.asked), len(second.asked)
    herogen_async.resume(tmp_path / "r", limit=40)
    assert len(first.asked) > before[0]
    assert len(second.asked) > before[1]
    with FakeServer() as third, FakeServer() as fourth:
        report = herogen_async.resume(tmp_path / "r", limit=70, base_url=[third.url, fourth.url])
        assert 70 == report.done
        assert 30 == len(third.asked) + len(fourth.asked)
        assert (third.url, fourth.url) == read_manifest(RunFolder(tmp_path / "r")).servers
    assert "done" == herogen_async.resume(tmp_path / "r", limit=80, base_url=first.url).state
    assert (first.url,) == read_manifest(RunFolder(tmp_path / "r")).servers
    assert 80 == len(set(keys_of(tmp_path / "r")))


def test_a_server_that_is_killed_in_the_middle_is_asked_again_when_it_is_back(tmp_path: Path) -> None:
    """Nothing is lost, only what was in flight there is asked twice; all of it is told."""
    away = threading.Event()
    with FakeServer() as steady, ExitStack() as stack:
        mortal = FakeServer(lambda asked: answer(asked, delay_s=30 if away.is_set() else 0.0))
        kill = ExitStack()
        kill.enter_context(mortal)
        revived = FakeServer(port=mortal._port)

        class Revives(Notices):
            def notice(self, line: str, /) -> None:
                super().notice(line)
                if "is down" in line:
                    stack.enter_context(revived)
                elif "answers again" in line:
                    away.clear()

        def steadily(asked: Asked) -> Reply:
            if asked.number == 40:
                away.set()
                threading.Thread(target=kill.close).start()
            return answer(asked, delay_s=0.3 if away.is_set() else 0.0)  # so that the run lasts until it is back

        steady.behaviour, watch = steadily, Revives()
        report = run(tmp_path / "r", steady, mortal, spec=small_spec(values=150, repeats=1), concurrency=4, watch=watch)
    assert ("done", 300, 0) == (report.state, report.done, report.failed)
    assert 300 == len(set(keys_of(tmp_path / "r"))) == len(keys_of(tmp_path / "r"))
    asked = steady.prompts() + mortal.prompts() + revived.prompts()
    assert 300 == len(asked)
    assert sum(asked.values()) <= 300 + 4
    assert len(revived.asked) > 10
    down, again = [line for line in watch.lines if mortal.url in line]
    assert down.startswith(f"{mortal.url} is down: ")
    assert f"{mortal.url} answers again." == again
    events = [each for each in read_events(RunFolder(tmp_path / "r")) if each["event"] == "server"]
    assert [(mortal.url, "down"), (mortal.url, "back")] == [(each["base_url"], each["state"]) for each in events]
    assert "running" == report.lanes[mortal.url]["state"]


def test_a_server_that_refuses_is_told_and_the_others_do_its_share(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    first, second = servers
    second.behaviour = lambda _: error(401, "invalid_api_key", "no such key")
    watch = Notices()
    report = run(tmp_path / "r", first, second, watch=watch)
    assert ("done", 80, 0) == (report.state, report.done, report.failed)
    assert {1} == set(first.prompts().values())
    lane = report.lanes[second.url]
    assert ("down", "HTTP 401 (invalid_api_key): no such key") == (lane["state"], lane["reason"])
    assert any(line.startswith(f"{second.url} is down: HTTP 401") for line in watch.lines)
    second.behaviour = first.behaviour = lambda _: error(401, "invalid_api_key", "no such key")
    report = run(tmp_path / "s", first, second)
    assert ("parked", 0) == (report.state, report.done)
    assert "none of the 2 servers answers: HTTP 401 (invalid_api_key): no such key" == report.reason


def test_a_used_up_budget_says_nothing_of_the_servers(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """A run that parks for want of money calls none of its servers down: they have answered all along."""
    spec = small_spec(values=40, repeats=1, sampling={"max_tokens": 20})
    report = run(tmp_path / "r", *servers, spec=spec, price="100,100", budget_usd=0.1, concurrency=4)
    assert ("parked", True) == (report.state, 0 < report.done < 80)
    assert [("running", None)] * 2 == [(lane["state"], lane["reason"]) for lane in report.lanes.values()]


def test_a_server_of_another_model_is_refused_before_anything_is_asked(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    first, second = servers
    second.models = ("other", "third")
    with pytest.raises(
        InputError, match=f"{second.url} serves 'other', 'third', and not 'm' as the other servers do"
    ) as refused:
        run(tmp_path / "r", first, second)
    assert "leave it out, or start it with 'm'" == refused.value.fix
    second.models = ("other",)
    with pytest.raises(InputError, match=f"no model given, and {first.url} serves 'm'; {second.url} serves 'other'"):
        run(tmp_path / "r", first, second, model=None)
    assert [] == first.asked == second.asked
    assert not (tmp_path / "r").exists()
    second.models = ("m",)
    assert "done" == run(tmp_path / "r", first, second, model=None, limit=8).state
    first.models, second.models = ("/models/a.gguf",), ("/data/b.gguf",)  # servers that take any name
    assert "done" == run(tmp_path / "r", first, second, limit=16).state


def test_a_server_that_is_not_there_yet_holds_up_nobody(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    first, second = servers
    gone = FakeServer()
    with gone:
        pass
    watch = Notices()
    report = run(tmp_path / "r", gone, first, second, model=None, watch=watch)
    assert ("done", 80) == (report.state, report.done)
    assert any(f"{gone.url} doesn't say what it serves" in line for line in watch.lines)


def test_servers_that_are_none_together_are_refused_with_a_fix(tmp_path: Path) -> None:
    local = "http://127.0.0.1:8000/v1"
    for urls, says, fix in (
        ([local, "http://localhost:8000/v1/"], "'http://localhost:8000/v1' is given twice", "give each server once"),
        (
            [local, "https://api.openai.com/v1"],
            "is a server of your own, and 'https://api.openai.com/v1' is OpenAI's",
            "of one kind",
        ),
        ([local, "8001"], "'8001' is not a base URL", "give one like"),
        ([local, "http://me:secret-pw@10.0.0.2/v1"], "contains more than an address", "remove user"),
    ):
        with pytest.raises(InputError, match=says) as refused:
            herogen_async.run(SPEC, run=tmp_path / "r", base_url=urls, model="m", api_key="sk-1")
        assert fix in (refused.value.fix or "")
        assert "secret-pw" not in str(refused.value)
    with pytest.raises(InputError, match="'embedded' is the embedded model, and a base URL is given too"):
        herogen_async.run(SPEC, run=tmp_path / "r", base_url=[local, "http://127.0.0.1:8001/v1"], model="embedded")
    assert not (tmp_path / "r").exists()


def test_what_a_model_costs_is_looked_up_where_it_is_not_this_machine() -> None:
    urls = ["http://127.0.0.1:1/v1", "http://10.0.0.2/v1", "http://10.0.0.3/v1"]
    chosen = choose_servers(urls, "m", {"OPENAI_API_KEY": "sk-1"})
    assert [urls[1], urls[2], urls[0]] == [server.base_url for server in chosen]
    assert () == choose_servers(None, None, {})
    assert [urls[0]] == [server.base_url for server in choose_servers(urls[:1], "m", {})]


def test_a_column_may_have_several_servers_of_its_own(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """They share its limits' numbers, not its limits; the rest of the row is asked elsewhere."""
    with FakeServer() as writer:
        spec = Spec(
            name="s",
            attributes={"n": [str(each) for each in range(30)]},
            columns={
                "question": {"prompt": "ask {n}"},
                "verdict": {"prompt": "grade {question}", "base_url": [each.url for each in servers], "model": "m"},
            },
        )
        report = herogen_async.run(spec, run=tmp_path / "r", base_url=writer.url, model="m", concurrency={"verdict": 2})
        assert ("done", 30, 30) == (report.state, report.done, len(writer.asked))
        assert 30 == len(servers[0].asked) + len(servers[1].asked)
        assert max(each.most_in_flight for each in servers) <= 2
        assert ["question", *(f"verdict at {each.url}" for each in servers)] == list(report.lanes)
        assert {"total_tokens": 60 * 30} == {"total_tokens": report.usage["total_tokens"]}
        servers[1].models = ("other",)
        with pytest.raises(InputError, match="serves 'other', and not 'm'"):
            herogen_async.run(spec, run=tmp_path / "s", base_url=writer.url, model="m")


def test_the_commands_take_the_option_again_and_name_every_server(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    first, second = servers
    spec = write_spec(tmp_path, small_spec(values=150, repeats=1))
    both = ("--base-url", first.url, "--base-url", second.url)
    planned = herogen("plan", spec, *both, "--model", "m", cwd=tmp_path)
    assert f"m, at {first.url} and {second.url}" in planned.stdout
    assert f"--base-url {first.url} --base-url {second.url}" in planned.stderr
    ran = herogen("run", spec, *both, "--model", "m", "--json", cwd=tmp_path)
    assert 0 == ran.returncode, ran.stderr
    assert [first.url, second.url] == json.loads(ran.stdout.splitlines()[-1])["servers"]
    assert f"{first.url}: " in ran.stderr
    status = herogen("status", "small", cwd=tmp_path)
    assert f"m, completions, {first.url} and {second.url}" in status.stdout
    again = herogen("resume", "small", "--base-url", second.url, "--base-url", first.url, cwd=tmp_path)
    assert 0 == again.returncode
    planned = herogen("plan", "small", cwd=tmp_path)
    assert f"{second.url} and {first.url}" in planned.stdout


def test_doctor_looks_at_every_server_and_compares_their_models(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    first, second = servers
    both = ("--base-url", first.url, "--base-url", second.url)
    told = herogen("doctor", *both, cwd=tmp_path)
    assert 0 == told.returncode, told.stdout
    assert 2 == told.stdout.count("A server\n")
    assert f"--base-url {first.url} --base-url {second.url}" in told.stderr
    second.models = ("other",)
    told = herogen("doctor", *both, "--model", "m", cwd=tmp_path)
    assert 2 == told.returncode
    assert f"{second.url} serves 'other', and not 'm' as the other servers do" in told.stdout
