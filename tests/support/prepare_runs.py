"""`prepare` in this process, as a script calls it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from herogen_async.cli import prepare_command

APP = typer.Typer()  # of one command: to build them all costs more than to prepare a file
prepare_command.register(APP)


@dataclass(frozen=True, slots=True)
class Run:
    """What a call of the command came to. `told` is the object on its last line, `said` what stood on stderr."""

    exit_code: int
    told: dict[str, Any]
    said: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of all files that were written."""
        return [row for output in self.told["outputs"] for row in rows_of(Path(output))]

    @property
    def actions(self) -> list[str]:
        return [action["action"] for action in self.told["actions"]]

    @property
    def mended(self) -> set[str]:
        return {note["code"] for note in self.told["mended"]}


def prepared(file: Path, *, answers: str | None = None) -> Run:
    """`prepare -f FILE --json`, quiet unless there are answers."""
    words = ["-f", str(file), "--json", *(["-q"] if answers is None else [])]
    result = CliRunner().invoke(APP, words, input=answers)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Run(result.exit_code, json.loads(result.stdout.splitlines()[-1]), result.stderr)


def rows_of(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_bytes().splitlines() if line]


def csv_of(folder: Path, *rows: str, header: str = "prompt,completion") -> Path:
    """A CSV file of these lines."""
    file = folder / "data.csv"
    file.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return file
