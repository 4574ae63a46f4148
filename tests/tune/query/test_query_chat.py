"""`query --chat`: a playground that is typed into, in a terminal or by a script."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import threading
from pathlib import Path

import pytest

from herogen_async.cli.query_command import query
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import command, environment
from support.tuned_models import taught, tuned_model


def typed(folder: Path, server: FakeServer, *lines: str) -> tuple[str, str]:
    """What is printed when these lines are typed: (standard output, standard error)."""
    tuned_model(folder, server.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        patch.setattr("sys.stdout", out := io.StringIO())
        patch.setattr("sys.stderr", err := io.StringIO())
        query("heroes", chat=True)
    return out.getvalue(), err.getvalue()


def test_questions_are_answered_one_after_the_other_until_the_end(tmp_path: Path) -> None:
    """The chat shows an example, answers each typed question in turn, and ends with `Bye.`."""
    with FakeServer(lambda asked: answer(asked, f" {asked.prompt} indeed")) as server:
        out, err = typed(tmp_path, server, "40, woman, flight", "18, man, telepathy ->")
    assert "40, woman, flight -> indeed\n18, man, telepathy -> indeed\n" == out
    assert 'ask it, e.g. "18, man, flight"' in err
    assert 2 == err.count("(20 tokens, ")
    assert err.endswith("Bye.\n")


def test_a_script_of_questions_is_decoded_strictly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark is no part of a question; a line that is no UTF-8 is named, and the next ones are asked."""
    lines = b"\xef\xbb\xbfone\ncaf\xe9\n\xe2\x80\x8b\ntwo\r\n"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    monkeypatch.setattr("sys.stderr", err := io.StringIO())
    with FakeServer(lambda asked: answer(asked, " x", finish_reason="content_filter")) as server:
        tuned_model(tmp_path, server.url)
        query("heroes", chat=True)
    assert ["one ->", "two ->"] == [asked.prompt for asked in server.asked]
    assert "line 2 of standard input is not UTF-8: byte 0xe9" in err.getvalue()
    assert "an empty question" in err.getvalue()
    assert 2 == err.getvalue().count("ended by the server's content filter)")


def test_chat_settings_hold_for_later_questions(tmp_path: Path) -> None:
    """Temperature, samples and comparison set by command apply from the next question on."""
    with FakeServer(taught) as server:
        out, err = typed(
            tmp_path, server, "/temperature 0.3", "/samples 2", "/compare", "40, woman, x", "/compare", "18, man, y"
        )
    assert [0.3] * 6 == [asked.body["temperature"] for asked in server.asked]
    assert sorted(["ft-hero", "base-1"] * 2) == sorted(asked.body["model"] for asked in server.asked[:4])
    assert ["ft-hero"] * 2 == [asked.body["model"] for asked in server.asked[4:]]
    assert 2 == out.count("2019-01-01T00:00:00Z")
    for told in ("temperature: 0.3", "comparing with base-1", "no comparison", "— 2 of 2"):
        assert told in err


def test_an_empty_line_asks_for_the_attributes(tmp_path: Path) -> None:
    """It keeps what was last given."""
    with FakeServer(taught) as server:
        _, err = typed(tmp_path, server, "", "70", "", "telekinesis", "", "", "", "")
    assert ["70, man, telekinesis ->"] * 2 == [asked.prompt for asked in server.asked]
    assert "  age: 18, 40" in err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/temperature hot", "/temperature needs a number, not 'hot'"),
        ("/samples 0", "samples can't be 0"),
        ("/dance", "unknown command /dance"),
        ("/help", "/compare           the untuned model's answers"),
    ],
)
def test_an_invalid_chat_command_is_explained_and_chat_goes_on(tmp_path: Path, line: str, told: str) -> None:
    """A wrong command is explained, the next question is answered, and `/quit` ends the chat."""
    with FakeServer(taught) as server:
        out, err = typed(tmp_path, server, line, "40, woman, x", "/quit", "never, asked, this")
    assert told in err
    assert 1 == len(server.asked)
    assert "A 40-year-old woman" in out


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_ctrl_d_leaves(tmp_path: Path) -> None:
    """In a terminal Ctrl-C stops the pending answer, the chat goes on, and Ctrl-D exits 0."""
    flying = threading.Event()

    def behaviour(asked: Asked) -> Reply:
        if "slow" not in asked.prompt:
            return answer(asked, " quick\x1b[2J")
        flying.set()
        return Reply(hang=True)

    with FakeServer(behaviour) as server:
        tuned_model(tmp_path, server.url)
        main, terminal = pty.openpty()
        child = subprocess.Popen(
            command("query", "heroes", "--chat"),
            cwd=tmp_path,
            env=environment(TERM="dumb"),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        screen = _Screen(main)
        screen.until("> ")
        os.write(main, b"slow one\n")
        screen.until("slow one")
        assert flying.wait(30)
        child.send_signal(2)
        screen.until("Stopped.")
        os.write(main, b"fast one\n")
        screen.until("quick\ufffd[2J")
        screen.until("> ")  # before it the terminal is not in the mode in which Ctrl-D is a key
        os.write(main, b"\x04")
        screen.until("Bye.")
        assert 0 == child.wait(30)
        os.close(main)


class _Screen:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def until(self, words: str) -> None:
        """Read until `words` were shown, after what was looked for before."""
        while words not in self._seen:
            self._seen += os.read(self._descriptor, 4096).decode(errors="replace")
        self._seen = self._seen.partition(words)[2]
