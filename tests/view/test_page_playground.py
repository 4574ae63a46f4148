"""The playground's addresses: which models can be asked, what a question becomes, answers told as they grow."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.endpoint.embedded import Weights
from herogen_async.specs.spec import Spec
from herogen_async.tune.query import Target, open_model
from herogen_async.view.web import playground
from support.fake_server import Asked, FakeServer, Reply, error
from support.page_client import PageClient, served_page
from support.run_folders import WrittenRun
from support.runs import command, environment
from support.streamed_answers import streamed
from support.tuned_models import HEROES, tuned_model

KEY = "canary-5e0d7a41-c9f3"
SPEC = Spec(
    name="heroes",
    endpoint="chat",
    attributes={"age": ["18", "40"], "gender": ["man", "woman"], "power": ["flight", "telepathy"]},
    system="You know {gender} heroes.",
    prompt="Describe a {age}-year-old {gender} who has {power}.",
    sampling={"temperature": 0.9, "max_tokens": 77, "top_p": 0.5},
)
ASKED = {"model": "001", "text": "40, woman, flight", "samples": 1, "temperature": 0.5, "max_tokens": 60}
WITHIN_S = 20.0


def taught(asked: Asked) -> Reply:
    """The tuned model in pieces, its base in one."""
    if asked.body["model"] == "ft-hero":
        return streamed(asked, [" A hero ", "of 40", " EN", "D and more"])
    return streamed(asked, ["2019, 2019"], finish_reason="length")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(taught, models=("ft-hero", "base-1", "model-1")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    WrittenRun(Path("runs/heroes"), SPEC, endpoint="chat", base_url=server.url)
    tuned_model(tmp_path, server.url)
    return tmp_path


@pytest.fixture
def page(folder: Path) -> Iterator[PageClient]:
    with served_page() as page:
        yield page


def asking(page: PageClient, **changes: Any) -> AbstractContextManager[HTTPResponse]:
    """The answer to a question, while it comes."""
    question = json.dumps({**ASKED, **changes}).encode()
    own = {"Origin": page.origin, "Content_Type": "application/json"}
    return page.asked("/api/run/heroes/playground", "POST", body=question, **own)


def events(page: PageClient, **changes: Any) -> list[dict[str, Any]]:
    with asking(page, **changes) as response:
        data = response.read()
        assert 200 == response.status, data
        return [json.loads(line) for line in data.splitlines()]


def model(page: PageClient, place: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = page.get("/api/run/heroes/playground")["models"][place]
    return told


def until(what: Any) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_models_of_a_run_are_told(page: PageClient, server: FakeServer) -> None:
    """What was tuned first, with its base; then the one that answered the run, as the run asked it."""
    tuned, own = page.get("/api/run/heroes/playground")["models"]
    assert ("001", "ft-hero", "base-1", server.url, 0.7, 256) == tuple(
        tuned[name] for name in ("id", "name", "base", "base_url", "temperature", "max_tokens")
    )
    assert {name: list(values) for name, values in HEROES.attributes.items()} == tuned["attributes"]
    assert ("run", "model-1", None, 0.9, 77) == tuple(
        own[name] for name in ("id", "name", "base", "temperature", "max_tokens")
    )
    assert ["age", "gender", "power"] == list(own["attributes"])
    assert [None, None] == [each["problem"] for each in (tuned, own)]


def test_a_model_that_was_tuned_meanwhile_is_there(page: PageClient, folder: Path) -> None:
    """Without a new start."""
    assert ["001", "run"] == [each["id"] for each in page.get("/api/run/heroes/playground")["models"]]
    shutil.copytree("runs/heroes/finetune/001", "runs/heroes/finetune/002")
    assert ["002", "001", "run"] == [each["id"] for each in page.get("/api/run/heroes/playground")["models"]]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"cell": {"age": "41", "gender": "woman", "power": "Healing"}}, "41, woman, Healing ->"),
        ({"text": "40, woman, Healing ->"}, "40, woman, Healing ->"),
        ({"text": "in other words"}, "in other words ->"),
    ],
)
def test_a_question_is_shown_as_it_will_be_sent(page: PageClient, said: dict[str, Any], told: str) -> None:
    """With the separator that the model was taught, once; values that the grid has not are fine."""
    status, found = page.post("/api/run/heroes/playground/question", {"model": "001", **said})
    assert (200, told, None) == (status, found["sent"], found["system"])
    assert 0 < found["tokens"] < 30


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"cell": {"age": "40", "gender": "woman"}}, "power is missing"),
        ({"cell": {"age": "40", "gender": "woman", "power": "\u200b"}}, "power is empty"),
        ({"cell": {"age": 40}}, "no texts"),
        ({"text": " \n"}, "an empty question"),
        ({"text": 5}, "the question is missing"),
        ({"model": "002", "text": "x"}, "no such model"),
        ({"model": "../001", "text": "x"}, "no such model"),
    ],
)
def test_what_can_not_be_asked_is_told_with_its_fix(page: PageClient, said: dict[str, Any], wrong: str) -> None:
    """Before anything is sent."""
    status, found = page.post("/api/run/heroes/playground/question", {"model": "001", **said})
    assert 400 == status
    assert wrong in found["error"]
    assert found["fix"]


def test_answers_are_told_while_they_are_written(page: PageClient, server: FakeServer) -> None:
    """Without the marks that the model was taught, and the base's beside them; then what they took."""
    told = events(page, compare=True)
    texts = [(each["base"], each["more"]) for each in told if each["event"] == "text"]
    assert [(False, "A hero"), (False, " of 40")] == [each for each in texts if not each[0]]
    assert [(True, "2019, 2019")] == [each for each in texts if each[0]]
    (reply,) = [each for each in told if each["event"] == "reply"]
    assert ("A hero of 40", True, None) == tuple(reply["answer"][name] for name in ("text", "stopped", "note"))
    assert ("2019, 2019", "cut off after 1 tokens") == tuple(reply["base"][name] for name in ("text", "note"))
    assert {"prompt_tokens": 10, "completion_tokens": 4} == {
        name: reply["answer"]["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    }
    assert "asking" == next(each["event"] for each in told if each["event"] != "notice")
    asked = next(each for each in server.asked if each.body["model"] == "ft-hero").body
    assert ("40, woman, flight ->", [" END"], 0.5, 60, True) == tuple(
        asked[name] for name in ("prompt", "stop", "temperature", "max_tokens", "stream")
    )


def test_several_samples_are_told_each_in_its_place(page: PageClient, server: FakeServer) -> None:
    """As many answers as were wanted, whichever grows first."""
    told = events(page, samples=3)
    assert [1, 2, 3] == [each["sample"] for each in told if each["event"] == "reply"]
    for sample in (1, 2, 3):
        grown = "".join(each["more"] for each in told if each["event"] == "text" and each["sample"] == sample)
        assert "A hero of 40" == grown
    assert 3 == len(server.asked)


def test_an_answer_that_is_asked_again_begins_anew(page: PageClient, server: FakeServer) -> None:
    """What a connection that broke had told is another attempt's."""

    def once(asked: Asked) -> Reply:
        reply = streamed(asked, [" half", " of it"])
        return Reply(reply.body, headers=reply.headers, cut=60) if asked.number == 0 else taught(asked)

    server.behaviour = once
    attempts = {each["attempt"] for each in events(page) if each["event"] == "text"}
    assert 2 in attempts


def test_the_run_s_own_model_is_asked_as_the_run_asks_it(page: PageClient, server: FakeServer) -> None:
    """Its prompt and system text about the cell, its further sampling, at its endpoint; no marks."""
    cell = {"age": "40", "gender": "woman", "power": "Healing"}
    status, question = page.post("/api/run/heroes/playground/question", {"model": "run", "cell": cell})
    text = "Describe a 40-year-old woman who has Healing."
    assert (200, text, text, "You know woman heroes.") == (
        status,
        *(question[name] for name in ("text", "sent", "system")),
    )
    server.behaviour = lambda asked: streamed(asked, ["Ada", " END"])
    (reply,) = [each for each in events(page, model="run", text=text, cell=cell) if each["event"] == "reply"]
    assert "Ada END" == reply["answer"]["text"]
    (asked,) = server.asked
    assert asked.path.endswith("/chat/completions")
    assert [("system", "You know woman heroes."), ("user", text)] == [
        (each["role"], each["content"]) for each in asked.body["messages"]
    ]
    assert (0.5, 0.5, "model-1") == tuple(asked.body[name] for name in ("temperature", "top_p", "model"))
    assert "stop" not in asked.body


def test_whoever_stops_listening_ends_the_calls(page: PageClient, server: FakeServer) -> None:
    """A page that is closed, or its Stop: what is not paid for yet is not asked; the next question is answered."""
    server.behaviour = lambda asked: streamed(asked, [" A hero"], is_held=True)
    with asking(page, samples=3) as response:
        while b'"text"' not in response.readline():
            pass
    until(lambda: server.in_flight == 0)
    server.behaviour = taught
    assert "reply" == events(page)[-1]["event"]


def test_one_question_at_a_time(page: PageClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another page's is refused until it is answered or stopped."""
    monkeypatch.setattr(playground, "_TURN_S", 0.2)
    server.behaviour = lambda asked: streamed(asked, [" A hero"], is_held=True)
    with asking(page) as response:
        while b'"text"' not in response.readline():
            pass
        (refused,) = events(page)
        assert ("error", "another question is being answered") == (refused["event"], refused["error"])
        assert 1 == len(server.asked)


def test_a_server_is_opened_once_for_several_questions(page: PageClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection may be another; what is learned of its limits stays."""
    opened: list[str] = []

    def counting(target: Target, *how: Any, **more: Any) -> Any:
        opened.append(target.model.name)
        return open_model(target, *how, **more)

    monkeypatch.setattr(playground, "open_model", counting)
    for change in ({}, {}, {"max_tokens": 2000}, {"model": "run"}):
        events(page, **change)
    assert ["ft-hero", "model-1"] == opened


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"samples": 9}, "samples can't be 9"),
        ({"samples": "2"}, "samples can't be '2'"),
        ({"max_tokens": 0}, "max tokens can't be 0"),
        ({"temperature": 3}, "the temperature can't be 3"),
        ({"temperature": None}, "the temperature can't be None"),
        ({"text": "  "}, "an empty question"),
        ({"model": "run/../001"}, "no such model"),
        ({"cell": []}, "no texts"),
    ],
)
def test_what_is_wrong_with_a_question_is_told_before_it_is_asked(
    page: PageClient, server: FakeServer, change: dict[str, Any], wrong: str
) -> None:
    """As a refusal, and not in the middle of an answer."""
    with asking(page, **change) as response:
        told = json.loads(response.read())
        assert (400, True) == (response.status, wrong in told["error"])
    assert [] == server.asked


def test_w3_another_site_s_question_costs_nothing(page: PageClient, server: FakeServer) -> None:
    """It is refused before it is read, though it came with the cookie."""
    for headers in ({"Origin": "http://evil.example"}, {"Content_Type": "text/plain"}):
        status, _ = page.post("/api/run/heroes/playground", ASKED, **headers)
        assert 403 == status
    assert [] == server.asked


def test_a_model_that_is_gone_is_told_with_those_that_are_there(page: PageClient, server: FakeServer) -> None:
    """As `query` tells it."""
    server.behaviour = lambda _: error(404, "model_not_found", "no such model")
    server.models = ("other",)
    told = events(page)[-1]
    assert "error" == told["event"]
    assert "the server no longer has 'ft-hero'" in told["error"]
    assert "'other'" in told["fix"]


def test_a_server_that_is_down_is_told(page: PageClient, server: FakeServer) -> None:
    """In a sentence, with what to do; once it is there again the next question is answered."""
    server.at_connect = _hang_up
    told = events(page)[-1]
    assert "error" == told["event"]
    assert told["fix"]
    server.at_connect = None
    assert "reply" == events(page)[-1]["event"]


async def _hang_up(*_: object) -> None:
    """The connection is closed again."""


def test_a_refused_sample_is_told_in_its_place(page: PageClient, server: FakeServer) -> None:
    """The others are answered."""
    server.behaviour = lambda asked: (
        error(400, "content_filter", "no, not that") if asked.number == 0 else taught(asked)
    )
    replies = [each["answer"] for each in events(page, samples=3) if each["event"] == "reply"]
    assert 2 == sum("text" in each for each in replies)
    assert ["no, not that"] == [each["error"].partition(": ")[2] for each in replies if "error" in each]


def test_p13_a_key_is_sent_to_the_server_and_to_no_page(
    page: PageClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a server's echo of it, whole or in pieces."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.behaviour = lambda asked: streamed(asked, [" it is ", KEY[:9], KEY[9:], " indeed"])
    told = json.dumps([events(page), page.get("/api/run/heroes/playground")])
    assert f"Bearer {KEY}" == server.asked[0].headers["authorization"]
    assert KEY not in told
    assert KEY[:9] not in told


def test_a_key_that_is_missing_is_told_before_anybody_asks(folder: Path) -> None:
    """The model is listed all the same; asked nonetheless, it is refused."""
    tuned_model(folder, "https://api.example.com/v1")
    with served_page() as page:
        problem = model(page)["problem"]
        assert "OPENAI_API_KEY is not set" in problem["error"]
        assert "export OPENAI_API_KEY" in problem["fix"]
        with asking(page) as response:
            assert (400, problem["error"]) == (response.status, json.loads(response.read())["error"])


def test_the_price_is_told_where_it_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dearer one's of model and base; on this machine there is none."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    WrittenRun(Path("runs/paid"), SPEC, endpoint="chat", base_url="https://api.openai.com/v1", model="gpt-4.1-mini")
    with served_page() as page:
        assert model(page)["price"] is None
        (own,) = page.get("/api/run/paid/playground")["models"]
        assert own["price"]["output_usd"] > own["price"]["input_usd"] > 0
        assert not own["is_here"]


@pytest.mark.slow
def test_a_question_ends_with_the_page_s_server(folder: Path, server: FakeServer) -> None:
    """At Ctrl-C, at once: nothing went wrong, and the page is told."""
    server.behaviour = lambda asked: streamed(asked, [" A hero"], is_held=True)
    words, pipe = command("view", "--no-open"), subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=environment(), stdout=pipe, stderr=pipe, text=True) as child:
        try:
            assert child.stdout is not None
            with asking(PageClient(child.stdout.readline().strip())) as response:
                while b'"text"' not in response.readline():
                    pass
                child.send_signal(signal.SIGINT)
                assert "the page's server was ended" == json.loads(response.readline())["error"]
            _, told = child.communicate(timeout=WITHIN_S)
        finally:
            child.kill()
    assert (0, False, False) == (child.returncode, "ERROR" in told, "Traceback" in told)
    until(lambda: server.in_flight == 0)


@pytest.mark.slow
def test_the_embedded_model_is_asked_without_a_network(folder: Path, weights: Weights) -> None:
    """It is started for the first question, streams, and is open for the second."""
    made = WrittenRun(Path("runs/small"), SPEC, endpoint="chat", base_url=None, model=weights.name)
    assert made.folder.is_run
    with served_page() as page:
        (own,) = page.get("/api/run/small/playground")["models"]
        assert (True, None) == (own["is_here"], own["problem"])
        asked = {**ASKED, "model": "run", "max_tokens": 12, "samples": 2}
        for _ in range(2):
            status, lines = page.post("/api/run/small/playground", asked)
            told = [json.loads(line) for line in lines.splitlines()]
            assert (200, 2) == (status, sum(each["event"] == "reply" for each in told))
            grown = "".join(each["more"] for each in told if each["event"] == "text" and each["sample"] == 1)
            first = next(each["answer"] for each in told if each["event"] == "reply" and each["sample"] == 1)
            assert grown
            assert grown == first["text"]
