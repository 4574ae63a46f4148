"""The README is true: every command in it is run, and the commands and outputs it shows are those that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.doc_commands import run_all
from support.fake_server import FakeServer, answer
from support.places import ROOT
from support.runs import environment, herogen

README = (ROOT / "README.md").read_text()
SHELL = [block.strip() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)]
AT_THE_LIMIT = [block for block in SHELL if block in README.partition("## At the limit")[2].partition("\n## ")[0]]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def after_marker(marker: str) -> str:
    found = re.search(rf"^<!-- {marker} -->\n```sh\n(.*)\n```$", README, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_two_commands_are_those_that_ci_runs() -> None:
    """The two marked README commands are the ones CI runs and the first two shell blocks of the page."""
    ci = (ROOT / ".ci" / "run").read_text()
    assert "$(command_after main-job)" in ci
    assert "$(command_after test-suite)" in ci
    assert [after_marker("main-job"), after_marker("test-suite")] == SHELL[:2]
    assert after_marker("main-job").endswith("&& .venv/bin/herogen-async run")
    assert after_marker("test-suite").endswith("&& .venv/bin/pytest")


@pytest.mark.slow
def test_the_readme_commands_of_a_run_work_as_documented(tmp_path: Path) -> None:
    """README's shell and Python blocks run as printed and give the 294 rows and files it describes."""
    blocks = [block.replace("--model embedded", "--model m") for block in SHELL[2:] if block not in AT_THE_LIMIT]
    commands = [line for block in blocks for line in block.splitlines()]  # the small model would take its time
    assert len(commands) > 8
    with FakeServer(lambda asked: answer(asked, "A hero. " * 20)) as server:
        run_all(["herogen-async run", *commands], server, tmp_path)
        dataset = tmp_path / "runs/superhero/dataset"
        prepared = (dataset / "prepared_data_prepared_train.jsonl").read_text().splitlines()
        held_out = (dataset / "prepared_data_prepared_valid.jsonl").read_text().splitlines()
        assert 294 == sum(len(lines) for lines in (prepared, held_out))
        assert prepared[0].startswith('{"prompt":"18, man, invisibility ->","completion":" A hero.')
        assert prepared[0].endswith(' END"}')
        assert (tmp_path / "heroes.csv").exists()
        for block in PYTHON:
            script = block.replace("http://127.0.0.1:8000/v1", server.url)
            env = environment(OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-0000")
            ran = subprocess.run(
                [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
            assert 0 == ran.returncode, ran.stderr
            assert ran.stdout.startswith("done 8 ")


@pytest.mark.slow
def test_the_readme_commands_at_the_limit_work_as_documented(tmp_path: Path) -> None:
    """README's commands for running at the rate limit work as printed and write bench.json."""
    commands = [line for block in AT_THE_LIMIT for line in block.splitlines()]
    assert len(commands) > 5
    with FakeServer() as server:
        run_all(["herogen-async init heroes.yaml", *commands], server, tmp_path)
    assert (tmp_path / "bench" / "bench.json").exists()


def test_every_command_is_documented() -> None:
    """Each registered command has a section of its own in docs/commands.md."""
    from herogen_async.cli import app

    commands = (ROOT / "docs" / "commands.md").read_text()
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert names
    assert [] == [name for name in names if f"## {name}\n" not in commands]


def test_the_help_texts_in_the_docs_are_the_real_ones() -> None:
    """Write them anew with: python tests/write_derived.py"""
    assert (ROOT / "docs" / "commands.md").read_text() == commands_page()


def commands_page() -> str:
    """docs/commands.md, from the commands themselves."""
    from herogen_async.cli import app

    parts = [
        "# Commands\n",
        "The `--help` of every command. A RUN is a folder's path, or a name below `runs/`.",
        "With `--json` the last line of stdout is one JSON object, and everything else goes to stderr.",
        "Exit codes: 0 done; 1 done, but some rows failed; 2 wrong input; 3 parked, resumable;",
        "4 damage found; 130 interrupted, resumable.",
    ]
    for each in app.registered_commands:
        assert each.callback is not None
        name = each.name or each.callback.__name__
        shown = herogen(name, "--help", cwd=ROOT, COLUMNS="110").stdout
        text = "\n".join(line.rstrip() for line in shown.strip().splitlines())
        parts.append(f"\n## {name}\n\n```text\n{text}\n```")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "commands.md").write_text(commands_page())
