"""`assemble` names its report, and `--open` shows it in the browser, where there is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.run_folders import WrittenRun
from support.runs import command, environment, small_spec

pytestmark = pytest.mark.slow
SCREENS = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}


@pytest.fixture(autouse=True)
def run(tmp_path: Path) -> None:
    written = WrittenRun(tmp_path / "runs" / "a b%", small_spec())
    written.write(written.answer(index, f"Hero number {index}.") for index in range(20))


def assembled(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = command("assemble", "runs/a b%", *options)
    return subprocess.run(
        words, cwd=folder, env=environment(**{**SCREENS, **variables}), capture_output=True, text=True, check=False
    )


def browser(folder: Path, *, status: int = 0) -> str:
    """A program that writes down what it is asked to show."""
    program = folder / "browser.py"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"pathlib.Path({str(folder / 'shown')!r}).write_text(sys.argv[1])\nsys.exit({status})\n"
    )
    program.chmod(0o755)
    return str(program)


def test_assemble_open_gives_the_browser_the_reports_address(tmp_path: Path) -> None:
    """As a file: URL, whatever the path has in it; the report's path is printed too, and --json stays the last line."""
    done = assembled(tmp_path, "--open", "--json", BROWSER=browser(tmp_path))
    report = tmp_path / "runs" / "a b%" / "dataset" / "quality" / "report.html"
    assert (0, report.resolve().as_uri()) == (done.returncode, (tmp_path / "shown").read_text())
    assert "runs/a b%/dataset/quality/report.html" == json.loads(done.stdout.splitlines()[-1])["report"]


def test_assemble_prints_where_the_report_is_and_opens_nothing_unasked(tmp_path: Path) -> None:
    """Without --open a browser that is there is left alone."""
    done = assembled(tmp_path, BROWSER=browser(tmp_path))
    assert "Report: runs/a b%/dataset/quality/report.html" in done.stdout.splitlines()
    assert not (tmp_path / "shown").exists()


def test_without_a_browser_assemble_open_says_so_and_is_done(tmp_path: Path) -> None:
    """No screen, a browser that fails, one that is not there: one sentence, exit code 0."""
    sentence = "No browser found here: open the report on a machine that has one."
    for found in ("", browser(tmp_path, status=1), str(tmp_path / "none")):
        done = assembled(tmp_path, "--open", BROWSER=found)
        assert (0, 1) == (done.returncode, done.stderr.count(sentence)), found
        assert "Report: " in done.stdout
