"""A real terminal of a given size, and what stands on it: a tmux server of its own, for whoever draws pictures."""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from support.runs import environment

_ESCAPES = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]|\x1b[()][A-Z0-9]")
_LOOK_AGAIN_S = 0.05


class Screen:
    """A shell in a terminal of `columns` x `lines`, with the working directory `folder`. Use as a context manager.

    `settings` are added to the shell's environment, which holds no keys.
    """

    def __init__(self, folder: Path, columns: int, lines: int = 24, **settings: str) -> None:
        self.columns = columns
        self._lines = lines
        self._folder = folder
        self._env = environment(**settings, PS1="$ ", LC_ALL="C.UTF-8", BASH_SILENCE_DEPRECATION_WARNING="1")
        self._tmux = ["tmux", "-u", "-f", os.devnull, "-S", str(folder / f"tmux-{uuid.uuid4().hex[:8]}")]

    def __enter__(self) -> Self:
        size = ["-x", str(self.columns), "-y", str(self._lines)]
        self._told("new-session", "-d", "-c", str(self._folder), *size, "bash", "--norc", "--noprofile")
        self.await_text(r"\A\$\Z")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told("kill-server")

    def type(self, line: str) -> None:
        """A line and Enter, on an empty screen."""
        if self._plain(self._seen()) != "$":
            self._told("send-keys", "clear", "Enter")
            self.await_text(r"\A\$\Z")
        self._told("send-keys", "-l", line)
        self._told("send-keys", "Enter")

    def key(self, name: str) -> None:
        """A key as tmux calls it: `C-c`."""
        self._told("send-keys", name)

    def await_text(self, pattern: str, most_s: float = 120.0) -> str:
        """The screen, with its colours, from the one look that shows `pattern`; blank lines at its end are left out.

        Pattern and picture are of the same look: between two, a panel may be half drawn.
        """
        end = time.monotonic() + most_s
        while True:
            seen = self._seen()
            plain = self._plain(seen)
            if re.search(pattern, plain, re.MULTILINE | re.DOTALL):
                return seen
            if time.monotonic() > end:
                raise TimeoutError(f"{pattern!r} is not on the screen after {most_s:g} s:\n{plain}")
            time.sleep(_LOOK_AGAIN_S)

    def await_prompt(self, most_s: float = 120.0) -> str:
        """The screen once the command has ended, without the prompt that follows it."""
        seen = self.await_text(r".\n\$\Z", most_s)
        return seen[: seen.rstrip().rindex("\n")].rstrip("\n")

    def _seen(self) -> str:
        return self._told("capture-pane", "-e", "-p").rstrip("\n")

    @staticmethod
    def _plain(seen: str) -> str:
        return "\n".join(line.rstrip() for line in _ESCAPES.sub("", seen).split("\n"))

    def _told(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True, env=self._env).stdout
