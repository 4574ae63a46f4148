"""One command is loaded without the others, and is the same then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from herogen_async import cli


def test_every_module_has_the_commands_that_it_is_listed_with() -> None:
    """In the order of `--help`; a command that is not listed could not be started."""
    registered = [
        (each.name or each.callback.__name__, each.callback.__module__.rpartition(".")[2])
        for each in cli.app.registered_commands
        if each.callback is not None
    ]
    assert registered == list(cli.COMMANDS.items())


@pytest.mark.parametrize("command", ["plan", "status"])
def test_a_command_loads_no_other_commands_module(command: str) -> None:
    """Whether its module has one command or several."""
    files = {f"herogen_async.cli.{file}" for file in cli.COMMANDS.values()}
    script = f"""
import sys
from herogen_async.cli import main
sys.argv = ["herogen-async", "{command}", "--help"]
try:
    main()
finally:
    print(sorted(name for name in sys.modules if name.startswith("herogen_async.cli.") and name in {files!r}))
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"Usage: herogen-async {command} ")
    assert shown.rstrip().endswith(f"['herogen_async.cli.{cli.COMMANDS[command]}']")
