"""Where a command's words go, and how they break."""

from __future__ import annotations

import io
import os
import shutil
import sys

import pytest

from herogen_async.cli.shell import out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("Limited by: concurrency (all 16 slots busy)", ["Limited by:", "concurrency (all 16", "slots busy)"]),
        ("    an example that is indented", ["    an example that", "    is indented"]),
        ("short", ["short"]),
        ("see http://127.0.0.1:8000/v1/models", ["see", "http://127.0.0.1:8000/v1/models"]),
    ],
)
def test_a_terminal_gets_lines_broken_between_words(
    line: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets them whole: a script reads lines."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((20, 24)))
    for stream, told in ((Terminal(), lines), (io.StringIO(), [line])):
        monkeypatch.setattr(sys, "stdout", stream)
        out(line)
        assert told == stream.getvalue().splitlines()
