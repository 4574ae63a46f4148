"""An option is declared in one place: all that is written of it elsewhere is what its table says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from herogen_async.core.limits import LIMITS
from herogen_async.generation.control import SETTABLE
from herogen_async.generation.settings import RUN_SETTINGS, SERVER_OPTIONS
from herogen_async.tune.asking import QUERY_KEYWORDS
from herogen_async.tune.options import FINETUNE_OPTIONS
from support.option_pages import (
    FINETUNE_KEYWORDS,
    FINETUNE_LAST_LINES,
    QUERY_KEYWORDS_FILE,
    SETTING_KEYWORDS,
    keywords_source,
    settings_page,
)
from support.places import ROOT, SOURCE, TESTS
from support.runs import environment

DERIVED = {
    SOURCE / "generation" / "settings" / "keywords.py": keywords_source(SETTING_KEYWORDS, RUN_SETTINGS),
    SOURCE / "tune" / "finetune" / "keywords.py": keywords_source(
        FINETUNE_KEYWORDS, FINETUNE_OPTIONS, FINETUNE_LAST_LINES
    ),
    SOURCE / "tune" / "query" / "keywords.py": keywords_source(QUERY_KEYWORDS_FILE, QUERY_KEYWORDS),
    ROOT / "docs" / "settings.md": settings_page(RUN_SETTINGS, SERVER_OPTIONS),
}

# The one edit: a row below the last one, and the word that lets `ctl` set a limit.
LAST_ROW = "    def limits(self) -> Limits:"
NEW_ROW = '    patience_s: float | None = option(None, SECONDS, "Time until boredom.", unit="s")\n\n'
FIXED, LIVE = (
    '"Input-token limit per minute.", unit="tokens/min", by_column=True)',
    '"Input-token limit per minute.", live=True)',
)

WHAT_FOLLOWS = """
import dataclasses, json, sys
from pathlib import Path
from herogen_async.generation.settings import RUN_SETTINGS, SERVER_OPTIONS, Settings
from support.option_pages import SETTING_KEYWORDS, keywords_source, settings_page
keywords = keywords_source(SETTING_KEYWORDS, RUN_SETTINGS)
Path("src/herogen_async/generation/settings/keywords.py").write_text(keywords)
from typer.testing import CliRunner
import herogen_async
from herogen_async import cli
from herogen_async.cli.ctl_command import command_of_words
from herogen_async.core.errors import InputError
from herogen_async.core.options import as_words


def refused(**options):
    try:
        herogen_async.run(base_url="http://127.0.0.1:9/v1", model="m", run=Path("r"), **options)
    except InputError as error:
        return [error.message, error.fix]

print(json.dumps({
    "help": CliRunner().invoke(cli.app, ["run", "--help"], terminal_width=200).stdout,
    "typed": CliRunner().invoke(cli.app, ["plan", "--patience", "9", "--json"]).stdout.splitlines()[-1],
    "field": Settings(patience_s=2.5).patience_s,
    "kept": dataclasses.asdict(Settings(patience_s=2.5))["patience_s"],
    "refused": refused(patience_s=-1),
    "ctl": dict(command_of_words("set", ["input_tpm=500"]).settings),
    "words": as_words(RUN_SETTINGS, {"patience_s": 90.0}),
    "keywords": keywords,
    "page": settings_page(RUN_SETTINGS, SERVER_OPTIONS),
}))
"""


@pytest.mark.parametrize("path", DERIVED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_derived_is_what_the_table_says(path: Path) -> None:
    """Write it anew with: python tests/write_derived.py"""
    assert DERIVED[path] == path.read_text()


def test_what_ctl_may_set_the_engine_can_be_told() -> None:
    """The number of calls in flight, and limits: a live setting of another kind needs a way to the engine first."""
    assert set(SETTABLE) <= {"concurrency", *LIMITS}
    assert set(LIMITS) <= set(RUN_SETTINGS)


@pytest.mark.slow
def test_a_new_setting_is_one_edit(tmp_path: Path) -> None:
    """A row of the table, in a copy of the source: all the rest follows, or is written anew."""
    shutil.copytree(SOURCE.parent, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "src/herogen_async/generation/settings/table.py"
    text = table.read_text()
    assert 1 == text.count(LAST_ROW) == text.count(FIXED)
    table.write_text(text.replace(LAST_ROW, NEW_ROW + LAST_ROW).replace(FIXED, LIVE))
    env = environment(PYTHONPATH=f"{tmp_path / 'src'}:{TESTS}")
    ran = subprocess.run(
        [sys.executable, "-c", WHAT_FOLLOWS], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert 0 == ran.returncode, ran.stderr
    found = json.loads(ran.stdout)
    assert "--patience SECONDS" in found["help"]
    assert "Time until boredom." in found["help"]
    assert found["typed"].endswith(' --patience 9","next_asking_stale":null}')
    assert (2.5, 2.5) == (found["field"], found["kept"])
    assert ["patience can't be -1", "give a number of seconds above zero"] == found["refused"]
    assert {"input_tpm": 500.0} == found["ctl"]
    assert ["--patience", "90"] == found["words"]
    assert "    patience_s: float | None\n" in found["keywords"]
    assert "| `--patience SECONDS` | `patience_s` | s |  |  |  | Time until boredom. |" in found["page"]


if __name__ == "__main__":
    for each, source in DERIVED.items():
        each.write_text(source)
