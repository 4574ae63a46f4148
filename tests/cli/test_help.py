"""Help, the version and completion: what a person reads before anything else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from herogen_async import cli
from herogen_async.cli.command_help import MANY_OPTIONS
from herogen_async.core.options import MONEY, OUTPUT, ROWS, SPEED, TIME, WHERE
from herogen_async.generation.settings import RUN_SETTINGS, SERVER_OPTIONS
from support.runs import environment, herogen

LONGEST_SUMMARY = 47
COMPLETE = "_HEROGEN_ASYNC_COMPLETE"


def test_every_summary_fits_80_columns(tmp_path: Path) -> None:
    """None is cut, and each is below 48 characters."""
    shown = herogen("--help", cwd=tmp_path, COLUMNS="80").stdout
    summaries = dict(
        re.findall(r"^  (\w+) +(.+)$", shown.partition("Commands:")[2].partition("Start with")[0], re.MULTILINE)
    )
    assert list(cli.COMMANDS) == list(summaries)
    assert {} == {name: said for name, said in summaries.items() if len(said) > LONGEST_SUMMARY or "..." in said}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_examples_that_can_be_copied(command: str, tmp_path: Path) -> None:
    """Each on a line of its own, however narrow the terminal, and none but `recover` has one alone."""
    shown = herogen(command, "--help", cwd=tmp_path, COLUMNS="60").stdout
    lines = [line.strip() for line in shown.partition("Examples:\n")[2].split("\n\n")[0].splitlines()]
    assert lines
    assert all(line.startswith(f"herogen-async {command}") for line in lines)
    assert len(lines) > 1 or command == "recover"


def test_many_options_stand_under_headings(tmp_path: Path) -> None:
    """Where, which rows, how fast, how long, for how much, and what becomes of it; no option is under none."""
    shown = herogen("run", "--help", cwd=tmp_path).stdout
    headings = re.findall(r"^(\w[\w ]+):$", shown, re.MULTILINE)
    assert ["Arguments", WHERE, ROWS, SPEED, TIME, MONEY, OUTPUT, "Examples"] == headings
    under = {heading: shown.partition(f"\n{heading}:\n")[2].split("\n\n")[0] for heading in headings}
    for flag, heading in (("--rpm", SPEED), ("--window", SPEED), ("--timeout", TIME), ("--budget", MONEY)):
        assert flag in under[heading]
    for flag, heading in (("--limit", ROWS), ("--model", WHERE), ("--json", OUTPUT), ("--help", OUTPUT)):
        assert flag in under[heading]


def test_every_setting_has_a_heading() -> None:
    """By its unit, or by name: a new one needs no list."""
    assert [] == [each.name for each in (*RUN_SETTINGS.values(), *SERVER_OPTIONS.values()) if not each.group]


def test_few_options_stand_under_one_heading(tmp_path: Path) -> None:
    """They are seen at a glance."""
    shown = herogen("status", "--help", cwd=tmp_path).stdout
    assert ["Arguments", "Options", "Examples"] == re.findall(r"^(\w[\w ]+):$", shown, re.MULTILINE)
    assert shown.count("\n  -") < MANY_OPTIONS


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    """As it is installed."""
    assert f"herogen-async {version('herogen-async')}\n" == herogen("--version", cwd=tmp_path).stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program as it is installed, under its name."""
    path = tmp_path / "herogen-async"
    path.write_text(f"#!{sys.executable}\nfrom herogen_async.cli import main\nmain()\n")
    path.chmod(0o755)
    return path


def told(program: Path, **env: str) -> str:
    return subprocess.run([program], env=environment(**env), capture_output=True, text=True, check=False).stdout


def test_completion_knows_commands_and_options(program: Path) -> None:
    """As bash and zsh ask for it."""
    bash = told(program, COMP_WORDS="herogen-async ru", COMP_CWORD="1", **{COMPLETE: "complete_bash"})
    assert ["run", "runs"] == bash.split()
    zsh = told(program, _TYPER_COMPLETE_ARGS="herogen-async run --conc", **{COMPLETE: "complete_zsh"})
    assert "--concurrency" in zsh


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_works_in_a_real_shell(shell: str, program: Path) -> None:
    """The script that a person installs, in the shell that it is for."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (program.parent / "completion").write_text(told(program, **{COMPLETE: f"source_{shell}"}))
    ask = {
        "bash": ". ./completion; COMP_WORDS=(herogen-async ver); COMP_CWORD=1; "
        'f=$(complete -p herogen-async | sed "s/.*-F \\([^ ]*\\).*/\\1/"); $f herogen-async; echo "${COMPREPLY[@]}"',
        "zsh": "compdef() { :; }; _arguments() { print -r -- $*; }; words=(herogen-async ver); CURRENT=2; "
        ". ./completion; _herogen_async_completion",
    }[shell]
    env = environment(PATH=f"{program.parent}:{os.environ['PATH']}")
    asked = subprocess.run([shell, "-c", ask], env=env, cwd=program.parent, capture_output=True, text=True, check=False)
    assert "verify" in asked.stdout, asked.stderr
