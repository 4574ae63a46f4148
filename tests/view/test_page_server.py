"""The page's server: who may ask it, what its answers let a browser do, and what it says of runs, rows and marks."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.data.row_marks import RowMarks
from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.specs.spec import Spec
from herogen_async.view.web.guard import POLICY
from support.page_client import PageClient, served_page
from support.run_folders import WrittenRun
from support.runs import command, environment, herogen

SPEC = Spec(name="s", attributes={"age": ["20", "30"], "who": ["man", "woman"]}, repeats=5, prompt="A {age} {who}")
PATHS = (
    "/",
    "/static/page.js",
    "/api/runs",
    "/api/runs/one",
    "/api/run/one/about",
    "/api/run/one/live",
    "/api/run/one/rows",
    "/api/run/one/row/1",
    "/nothing",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    made = WrittenRun(Path("runs/one"), SPEC)
    made.write([made.answer(each, f"row {each}", "length" if each % 2 else "stop") for each in (3, 1, 2, 12)])
    made.fail([made.failure(5, "timeout", "too slow")])
    return made


@pytest.fixture
def page(run: WrittenRun) -> Iterator[PageClient]:
    with served_page() as client:
        yield client


# Who may ask.


@pytest.mark.parametrize("path", PATHS)
def test_w1_without_the_token_nothing_is_told(page: PageClient, path: str) -> None:
    """Nor with another one, or with another server's cookie."""
    others = ("", f"herogen_view_{page.port}=x", f"herogen_view_1={page.token}", "herogen_view", f"a={page.token}")
    for cookie in others:
        with page.asked(path, cookie=cookie) as response:
            assert 401 == response.status
            assert "herogen-async view" in response.read().decode()
            assert response.headers["set-cookie"] is None
    with page.asked(f"{path}?token={page.token[:-1]}", cookie="") as response:
        assert 401 == response.status


def test_w1_the_token_becomes_a_cookie(page: PageClient) -> None:
    """That no script reads and no other site's request carries; with it alone everything is told."""
    with page.asked(f"/?token={page.token}", cookie="") as response:
        assert 200 == response.status
        cookie = str(response.headers["set-cookie"])
    assert {"Path=/", "HttpOnly", "SameSite=Strict"} == set(cookie.split("; ")[1:])
    with page.asked("/api/runs", cookie=cookie.partition(";")[0]) as response:
        assert 200 == response.status
    with served_page() as other:
        assert other.token != page.token
        with other.asked("/api/runs", cookie=page.cookie) as response:
            assert 401 == response.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("localhost:9000", 200),  # through a tunnel
        ("evil.example", 421),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example:{port}", 421),
        ("localhost.:{port}", 421),
        ("127.0.0.1:x", 421),
        ("10.0.0.1:{port}", 421),
        ("0.0.0.0:{port}", 421),
        ("", 421),
        ("localhost:{port}, evil.example", 421),
    ],
)
def test_w2_only_names_that_nobody_else_can_give_are_served(page: PageClient, host: str, status: int) -> None:
    """DNS rebinding: another site's name that was made to mean this machine."""
    with page.asked("/api/runs", Host=host.format(port=page.port)) as response:
        assert status == response.status


def test_w2_two_hosts_or_none_are_refused(page: PageClient) -> None:
    """Whichever of the two would be meant."""
    for hosts in ("", f"Host: localhost\r\nHost: localhost:{page.port}\r\n"):
        with socket.create_connection((page.host, page.port), timeout=20) as plug:
            plug.sendall(
                f"GET /api/runs HTTP/1.1\r\n{hosts}Cookie: {page.cookie}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = plug.makefile("rb").read()
        assert answer.split(b" ")[1] in (b"400", b"421")


def test_w2_a_person_may_choose_another_address(run: WrittenRun) -> None:
    """Then addresses are served, and names are not: an address can't be made to mean another machine."""
    with served_page(host="0.0.0.0") as page:
        page.host = "127.0.0.1"
        for host, status in (("10.1.2.3:80", 200), ("[fe80::1]", 200), ("evil.example", 421)):
            with page.asked("/api/runs", Host=host) as response:
                assert status == response.status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": ""},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_w3_what_another_site_sends_changes_nothing(page: PageClient, headers: dict[str, str]) -> None:
    """Though it came with the cookie: the Origin has to be the server's own, the content JSON."""
    own = {name: value.format(port=page.port) for name, value in headers.items()}
    status, why = page.post("/api/run/one/marks", shown(page, 1) | {"mark": "good"}, **own)
    assert (403, "Only the page itself can change anything here.\n") == (status, why)
    assert not Path("runs/one/marks.jsonl").exists()


def test_w3_a_request_without_an_origin_changes_nothing(page: PageClient) -> None:
    """No browser sends one."""
    with page.asked("/api/run/one/marks", "POST", body=b"{}", Content_Type="application/json") as response:
        assert 403 == response.status


@pytest.mark.parametrize("path", PATHS)
def test_w4_every_answer_bears_the_policy(page: PageClient, path: str) -> None:
    """No script but the page's own files, no other origin, no frame; errors too, and refusals."""
    for cookie, host in ((None, "localhost"), ("", "localhost"), (None, "evil.example")):
        with page.asked(path, cookie=cookie, Host=host) as response:
            assert POLICY == response.headers["content-security-policy"]
            assert "nosniff" == response.headers["x-content-type-options"]
            assert "no-referrer" == response.headers["referrer-policy"]
            assert "no-store" == response.headers["cache-control"]
            assert response.headers["access-control-allow-origin"] is None
    assert "default-src 'none'; script-src 'self'; " in POLICY
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "path",
    ["/static/../server.py", "/static/%2e%2e/guard.py", "/static//etc/passwd", "/static/vendor", "/static/a.html"],
)
def test_only_the_page_s_own_files_are_served(page: PageClient, path: str) -> None:
    """A path from a URL never reaches the disk."""
    with page.asked(path) as response:
        assert 404 == response.status


@pytest.mark.parametrize("name", ["..", "%2e%2e", "../one", "one/..", "%2Fetc", "no", "."])
def test_a_run_is_named_and_never_a_path(page: PageClient, name: str) -> None:
    """Only what lies below runs/."""
    with page.asked(f"/api/run/{name}/rows") as response:
        assert 404 == response.status


# What it says.


def test_the_runs_are_listed(page: PageClient, run: WrittenRun) -> None:
    """Without reading a journal; the figures of one are asked for, and known from then on."""
    (told,) = page.get("/api/runs")["runs"]
    assert ("one", False) == (told["name"], told["running"])
    assert "done" not in told
    counted = page.get("/api/runs/one")
    assert (4, 1, 20, "stopped") == tuple(counted[name] for name in ("done", "failed", "total", "state"))
    assert counted.items() <= page.get("/api/runs")["runs"][0].items()
    run.write([run.answer(7, "more")])
    assert "done" not in page.get("/api/runs")["runs"][0]
    assert 5 == page.get("/api/runs/one")["done"]


def test_one_run_alone_is_shown(run: WrittenRun, tmp_path: Path) -> None:
    """Also one that lies elsewhere."""
    shutil.copytree("runs/one", tmp_path / "elsewhere")
    with served_page(RunFolder(tmp_path / "elsewhere")) as page:
        assert "elsewhere" == page.get("/api/runs")["only"]
        assert 5 == page.get("/api/run/elsewhere/rows")["total"]
        assert 404 == page.told("/api/run/one/rows")[0]


def test_rows_are_paged_and_filtered(page: PageClient) -> None:
    """As the query says; what is wrong in it is told with its fix."""
    rows = page.get("/api/run/one/rows", start=1, count=2)
    assert (5, [2, 3], True) == (rows["total"], [row["index"] for row in rows["rows"]], rows["ready"])
    asked: list[tuple[dict[str, Any], list[int]]] = [
        ({"order": "latest"}, [5, 12, 2, 1, 3]),
        ({"order": "most:length"}, [12, 1, 2, 3, 5]),
        ({"figure": "length", "least": "6"}, [12]),
        ({"figure": "tokens", "least": "1", "most": "11", "finish": "stop"}, [2, 12]),
        ({"finish": "length"}, [1, 3]),
        ({"text": "ROW 1"}, [1, 12]),
        ({"cell": "age=30"}, [12]),
        ({"cell": ["age=20", "who=man"], "state": "done"}, [1, 2, 3]),
        ({"kind": "timeout"}, [5]),
        ({"start": 9}, []),
    ]
    for query, numbers in asked:
        assert numbers == [row["index"] for row in page.get("/api/run/one/rows", **query)["rows"]], query
    for query in (
        {"cell": "size=3"},
        {"cell": "age"},
        {"start": "-1"},
        {"order": "up"},
        {"state": "x"},
        {"least": "x"},
        {"figure": "x"},
    ):
        status, told = page.told("/api/run/one/rows", **query)
        assert 400 == status
        assert told["error"]
        assert told["fix"]


def test_a_row_is_told_whole(page: PageClient) -> None:
    """With its prompt, usage, and of a failed one why."""
    row = page.get("/api/run/one/row/1")
    (answer,) = row["columns"].values()
    assert ("A 20 man", "row 1", 11) == (answer["prompt"], answer["response_txt"], answer["usage"]["completion_tokens"])
    (failure,) = page.get("/api/run/one/row/5")["failures"].values()
    assert ("timeout", "too slow") == (failure["kind"], failure["message"])
    assert 400 == page.told("/api/run/one/row/20")[0]
    assert {"versions": []} == page.get("/api/run/one/row/1/versions")


def test_what_can_be_filtered_by_is_told(page: PageClient) -> None:
    """The attributes with their values, how answers ended, which errors there were."""
    about = page.get("/api/run/one/about")
    assert {name: list(values) for name, values in SPEC.attributes.items()} == about["facets"]
    assert {"stop": 2, "length": 2} == about["finish_reasons"]
    assert {"timeout": 1} == about["kinds"]
    assert {"seconds": 1, "points": [[1795348800, 4]]} == page.get("/api/run/one/pace")


def test_live_figures_follow_the_run(page: PageClient, run: WrittenRun) -> None:
    """What is written is counted within a second, a run that starts or stops is seen, and one that is gone is told."""
    events = page.events("/api/run/one/live")
    event, told = next(events)
    assert ("report", 4, "stopped") == (event, told["report"]["done"], told["report"]["state"])
    lock = RunLock.acquire(run.folder, "now")
    run.write([run.answer(7, "more")])
    told = next(told for _, told in events if told["report"]["state"] == "running")
    assert 5 == told["report"]["done"]
    lock.release()
    assert any(told["report"]["state"] == "stopped" for _, told in events)
    shutil.rmtree("runs/one")
    event, told = next((event, told) for event, told in events if event != "report")
    assert "gone" == event
    assert "no run in" in told["error"]


def test_damage_is_told_on_the_page(page: PageClient, run: WrittenRun) -> None:
    """With its place and what to do, and the page stays up."""
    path = run.folder.segment(0)
    path.write_bytes(path.read_bytes().replace(b"row 1", b"row 9"))
    status, told = page.told("/api/run/one/rows")
    assert 500 == status
    assert "line 2" in told["error"]
    assert "verify" in told["fix"]
    assert ("trouble", told) == next(page.events("/api/run/one/live"))


def test_two_pages_and_a_reload_lose_nothing(run: WrittenRun) -> None:
    """What is marked on one server's page is on another's, at once."""
    with served_page() as one, served_page() as two:
        mark(one, 1, "good")
        mark(two, 1, "note", "so")
        mark(one, 2, "bad")
        for page in (one, two):
            assert {"verdict": "good", "note": "so"}.items() <= shown(page, 1)["marks"].items()
            assert [1, 2] == [row["index"] for row in page.get("/api/run/one/rows", mark="any")["rows"]]


def test_a_mark_changes_no_row(page: PageClient, run: WrittenRun) -> None:
    """Nor an edit: the journal is as it was, and the edit stands beside the answer."""
    before = run.folder.segment(0).read_bytes()
    mark(page, 1, "edit", "a better text")
    assert before == run.folder.segment(0).read_bytes()
    row = page.get("/api/run/one/row/1")
    assert "row 1" == next(iter(row["columns"].values()))["response_txt"]
    assert "a better text" == row["calls"][0]["marks"]["edit"]
    marks = RowMarks(run.folder)
    marks.read()
    assert 1 == len(marks)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": "00000000"}, "the answer has changed since it was shown"),
        ({"call": "other"}, "row 1 has no answer of 'other'"),
        ({"row": 5}, "row 5 has no answer"),
        ({"row": -1}, "row -1 has no answer"),
        ({"row": "1"}, "a mark needs a row"),
        ({"mark": "great"}, "a mark needs a row"),
        ({"mark": "score", "value": 9}, "a score can't be 9"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(page: PageClient, change: dict[str, Any], told: str) -> None:
    """And nothing is written."""
    status, answer = page.post("/api/run/one/marks", {**shown(page, 1), "mark": "good", **change})
    assert 400 == status
    assert told in answer["error"]
    assert not Path("runs/one/marks.jsonl").exists()


def test_a_mark_that_is_too_long_is_refused(page: PageClient) -> None:
    """Before it is read to its end."""
    status, answer = page.post("/api/run/one/marks", {"value": "x" * (5 << 20)})
    assert (400, "the request is too long") == (status, answer["error"])


def shown(page: PageClient, number: int) -> dict[str, Any]:
    """What a mark of a row is set with, as the page has it."""
    (call,) = page.get(f"/api/run/one/row/{number}")["calls"]
    return {"row": number, "call": call["name"], "answer": call["answer"], "marks": call["marks"]}


def mark(page: PageClient, number: int, kind: str, value: Any = None) -> None:
    status, _ = page.post("/api/run/one/marks", {**shown(page, number), "mark": kind, "value": value})
    assert 200 == status


# The command.


def test_a_port_that_is_taken_is_told(run: WrittenRun, tmp_path: Path) -> None:
    """And an address that is none, and a run that is none: exit 2, with what to do."""
    with served_page() as page:
        for options in (("--port", str(page.port)), ("--host", "evil.example"), ("--port", "70000"), ("other",)):
            ended = herogen("view", "--no-open", *options, cwd=tmp_path)
            assert 2 == ended.returncode
            assert "fix:" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_url_first_and_ends_with_a_signal(run: WrittenRun, tmp_path: Path, number: int) -> None:
    """Also while a page follows a run; nothing is left behind, and nothing went wrong."""
    child = subprocess.Popen(
        command("view", "one", "--no-open"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        page = PageClient(child.stdout.readline().strip())
        assert "report" == next(page.events("/api/run/one/live"))[0]
        assert "one" == page.get("/api/runs")["only"]
        child.send_signal(number)
        _, told = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert 0 == child.returncode
    assert "Traceback" not in told
    assert page.token not in told
    with pytest.raises(ConnectionRefusedError):
        page.get("/api/runs")


def test_without_the_extra_the_command_says_what_to_install(
    run: WrittenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that a module is missing."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "herogen_async.view.web.server", raising=False)
    ended = herogen("view", "--no-open", cwd=tmp_path)
    assert 2 == ended.returncode
    assert "pip install 'herogen-async[view]'" in ended.stderr
