"""What tests of whole runs share: a small spec, the command, and the check of a finished grid."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

from herogen_async.cli import main
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec

NO_KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "HEROGEN_MODEL", "OPENAI_ORG_ID")


def small_spec(*, values: int = 5, repeats: int = 2, **more: Any) -> Spec:
    """A spec of values x 2 x repeats tasks."""
    return Spec(
        **{
            "name": "small",
            "attributes": {"age": [str(20 + number) for number in range(values)], "gender": ["man", "woman"]},
            "repeats": repeats,
            "prompt": "Describe a {age}-year-old {gender}.",
            "sampling": {"max_tokens": 50},
            **more,
        }
    )


def write_spec(folder: Path, spec: Spec) -> Path:
    """`spec` as a file."""
    path = folder / f"{spec.name}.json"
    path.write_text(json.dumps(spec.as_dict()))
    return path


def environment(**more: str) -> dict[str, str]:
    """This process's environment without keys and servers."""
    return {**{name: value for name, value in os.environ.items() if name not in NO_KEYS}, **more}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "herogen_async", *map(str, arguments)]


COMMAND_TREE = functools.cache(typer.main.get_command)  # it takes 0.2 s, and is the same each time


def herogen(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in this process: one of its own would cost a second to start and to end."""
    assert threading.current_thread() is threading.main_thread(), "elsewhere take herogen_child"
    words, out, err = command(*arguments), io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["herogen-async", *words[3:]])
        patch.setattr(typer.main, "get_command", COMMAND_TREE)
        patch.setattr(sys.modules["__main__"], "__package__", None)  # else the program is called `python -m pytest`
        for name in NO_KEYS:
            patch.delenv(name, raising=False)
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code or 0
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def herogen_child(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end as a child process."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=100, check=False
    )


def last_json(stdout: str) -> dict[str, Any]:
    """The object that `--json` promises as the last line."""
    value = json.loads(stdout.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def assert_exact_grid(folder: Path, spec: Spec) -> None:
    """Every task of `spec` has one row, in its own words, and there is none besides."""
    rows = [line.record for line in read_rows(RunFolder(folder))]
    keys = Counter(row["key"] for row in rows)
    assert [] == [key for key, count in keys.items() if count > 1], "rows are doubled"
    wanted = Counter(
        (age, gender, repeat)
        for age in spec.attributes["age"]
        for gender in spec.attributes["gender"]
        for repeat in range(1, spec.repeats + 1)
    )
    assert wanted == Counter((row["cell"]["age"], row["cell"]["gender"], row["repeat"]) for row in rows)
    for row in rows:
        prompt = f"Describe a {row['cell']['age']}-year-old {row['cell']['gender']}."
        assert prompt == row["prompt"]
        assert f"An answer to: {prompt}" == row["response_txt"]
