"""A key that a server throws back in every way it can is in no file, on no screen and in no traceback."""

from __future__ import annotations

import base64
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from herogen_async.cli import main
from herogen_async.generation.session import asking, found, session
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json, small_spec, write_spec

KEY = "canary+7f3a9c1e/b2d4=="  # looks like nothing in particular: only who knows it can hide it
SPEC = small_spec(values=4, repeats=1)
ECHOES = {"x-request-id": f"req-{KEY}", "retry-after": "0.01", "www-authenticate": f"Bearer {KEY}", "server": KEY}


def assert_nowhere(folder: Path, *shown: str) -> None:
    """The key is in nothing that was `shown`, and in no file and no file's name below `folder`."""
    for path in (each for place in (folder, Path(os.environ["HEROGEN_LIMITS_DIR"])) for each in place.rglob("*")):
        assert KEY not in str(path)
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    assert not [text for text in shown if KEY in text]


def echoing(asked: Asked) -> Reply:
    """Every kind of failure once, each with the key in its message, its code and its headers."""
    said = f"Incorrect API key provided: {KEY}. Bearer {KEY} '{KEY}' ...{KEY}"
    kinds = [(500, "server_error"), (429, "rate_limit_exceeded"), (400, f"invalid_{KEY}"), (418, KEY), (503, None)]
    if asked.number < len(kinds):
        status, code = kinds[asked.number]
        return Reply({"error": {"message": said, "type": KEY, "code": code, "param": KEY}}, status, ECHOES)
    if asked.number == 5:
        return Reply(f"<html>{said}</html>".encode(), 502, ECHOES)
    if asked.number == 6:
        return Reply({"error": {"message": said}}, 200, ECHOES)
    if asked.number > 10:
        return error(401, "invalid_api_key", said)
    sound = answer(asked)
    return Reply(sound.body, headers=ECHOES)


def test_p13_a_key_echoed_by_any_answer_is_never_kept_or_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A key that every kind of answer echoes is neither kept nor shown anywhere."""
    with FakeServer(echoing) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m", "--concurrency", "1")
        first = herogen(*run, "--json", cwd=tmp_path, OPENAI_API_KEY=KEY)
        assert f"Bearer {KEY}" == server.asked[-1].headers["authorization"]
    assert 3 == first.returncode, first.stderr
    assert "[hidden]" in last_json(first.stdout)["reason"]
    shown = [first.stdout, first.stderr]
    for words in (("status", "small"), ("errors", "small"), ("errors", "small", "--json"), ("export", "small")):
        looked = herogen(*words, cwd=tmp_path, OPENAI_API_KEY=KEY)
        assert 0 == looked.returncode, looked.stderr
        shown += [looked.stdout, looked.stderr]
    assert "[hidden]" in "".join(shown[2:])
    assert_nowhere(tmp_path, *shown, *capfd.readouterr())


CODED = {
    "plain": KEY,
    "quoted": quote(KEY, safe=""),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of the header": base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("form", CODED)
@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_p13_a_key_in_a_sound_answer_is_never_kept_or_shown(tmp_path: Path, endpoint: str, form: str) -> None:
    """The key that a sound answer holds in its text, its names and its headers is in no file and on no screen."""
    echo = CODED[form]

    def sound(asked: Asked) -> Reply:
        text = f"your key is {echo}, {asked.number}"
        said = {"message": {"role": "assistant", "content": text}} if endpoint == "chat" else {"text": text}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, echo: 5, "details": {echo: 1}}
        body = {"id": echo, "model": echo, "choices": [{**said, "finish_reason": echo}], "usage": usage}
        headers = {"x-request-id": echo} if asked.number % 2 else {}
        return Reply(body, 400 if asked.number == 3 else 200, headers)

    with FakeServer(sound, models=(echo,)) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m", "--endpoint", endpoint)
        told = [herogen(*run, "--json", cwd=tmp_path, OPENAI_API_KEY=KEY)]
        told.append(herogen("doctor", "--base-url", server.url, cwd=tmp_path, OPENAI_API_KEY=KEY))
    for words in (
        ("status", "small"),
        ("errors", "small"),
        ("export", "small"),
        ("show", "small"),
        ("assemble", "small"),
    ):
        told.append(herogen(*words, cwd=tmp_path, OPENAI_API_KEY=KEY))
    shown = "".join(each.stdout + each.stderr for each in told)
    assert "[hidden], " in shown
    assert echo not in shown
    for path in tmp_path.rglob("*"):
        assert not (path.is_file() and echo.encode() in path.read_bytes()), path
    assert_nowhere(tmp_path, shown)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_p13_a_base_url_with_the_key_is_shown_without_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A base URL that contains the key is refused with code 2, and the key appears in no output or file."""
    spec = write_spec(tmp_path, SPEC)
    urls = (f"http://x:{quote(KEY, safe='')}@127.0.0.1:1/v1", f"http://127.0.0.1:1/v1?api_key={quote(KEY, safe='')}")
    for url in urls:
        told = herogen("run", spec, "--base-url", url, "--model", "m", *options, cwd=tmp_path, OPENAI_API_KEY=KEY)
        assert 2 == told.returncode
        assert quote(KEY, safe="") not in told.stdout + told.stderr
        assert_nowhere(tmp_path, told.stdout, told.stderr)


def broken(*_: object) -> None:
    raise RuntimeError("a mistake of this program")


@pytest.mark.parametrize(
    "breaks",
    [
        lambda patch: patch.setattr(session, "find_model", broken),
        lambda patch: patch.setattr(found, "replay_noting", broken),
        lambda patch: patch.setattr(asking, "gate_for", broken),
    ],
    ids=["find_model", "replay", "gate_for"],
)
def test_p13_no_traceback_shows_the_key_even_with_variables(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    breaks: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """No traceback shows the key, not even one that prints variables."""
    breaks(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeServer() as server:
        words = ["run", str(write_spec(tmp_path, SPEC)), "--base-url", server.url, "--model", "m", "--json"]
        monkeypatch.setattr(sys, "argv", ["herogen-async", *words])
        with pytest.raises((RuntimeError, TypeError)) as caught:
            main()
    sys.excepthook(caught.type, caught.value, caught.tb)
    wordy = traceback.TracebackException(caught.type, caught.value, caught.tb, capture_locals=True)
    ours = [frame for frame in wordy.stack if "herogen_async" in frame.filename]
    assert ours
    wordy.stack = traceback.StackSummary.from_list(ours)
    assert_nowhere(tmp_path, *capfd.readouterr(), *wordy.format())
    encoded = base64.b64encode(KEY.encode()).decode()
    assert encoded not in "".join(wordy.format())
