"""What a run costs before its first request: modules that most runs never need, and garbage collections."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from herogen_async.cli.few_collections import collecting_seldom
from support.fake_server import FakeServer, answer
from support.runs import environment, small_spec, write_spec

# Of what only some specs, servers, runs or options need. Each is loaded where it is first needed.
SPARED = {
    "aiohttp",
    "rich",
    "pandas",
    "ruamel",
    "pyarrow",
    "pyreqwest",
    "jsonschema_rs",
    "jinja2",
    "genai_prices",
    "rensa",
    "tenacity",
    "tornado",
    "herogen_async.data",
    "herogen_async.lab",
    "herogen_async.tune",
    "herogen_async.generation.endpoint.embedded",
    "herogen_async.generation.endpoint.http.rust_transport",
    "herogen_async.generation.engine.answer_checks",
    "herogen_async.generation.engine.growth",
    "herogen_async.generation.engine.open_rows",
    "herogen_async.generation.forecast.changes",
    "herogen_async.generation.forecast.column_forecast",
    "herogen_async.generation.forecast.forecast",
    "herogen_async.generation.forecast.kept_calls",
    "herogen_async.generation.forecast.kept_rows",
    "herogen_async.generation.forecast.wanted_forecast",
    "herogen_async.generation.limits.adaptive",
    "herogen_async.generation.limits.hill_climb",
    "herogen_async.generation.session.accept_damage",
    "herogen_async.generation.session.compared",
    "herogen_async.specs.expressions",
    "herogen_async.specs.forms",
    "herogen_async.specs.records",
    "herogen_async.specs.source_index.record_index",
    "herogen_async.specs.sources.cell_tree",
    "herogen_async.specs.sources.covering",
    "herogen_async.specs.sources.weighted",
    "herogen_async.specs.spec.attribute_rules",
    "herogen_async.specs.spec.column_checks",
    "herogen_async.specs.spec.conversation_checks",
    "herogen_async.specs.spec.example_records",
    "herogen_async.specs.spec.jinja",
    "herogen_async.specs.spec.judge",
    "herogen_async.specs.spec.misplaced",
    "herogen_async.specs.spec.source_checks",
    "herogen_async.specs.spec.train_checks",
    "herogen_async.specs.spec.yaml_text",
}

STARTED = """
import atexit, gc, sys
atexit.register(lambda: print("frozen", gc.get_freeze_count()))
from herogen_async.cli import main
try:
    main()
finally:
    print("loaded", *sys.modules)
"""


def started(*arguments: str) -> dict[str, list[str]]:
    """What a process says of itself at the end of a command, by the first word of the line."""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}


@pytest.fixture
def plain_run(tmp_path: Path) -> dict[str, list[str]]:
    """A run of one prompt at a server of one's own, all of whose answers are sound."""
    with FakeServer(answer) as server:
        spec = write_spec(tmp_path, small_spec(values=6))  # more rows than of a trial, whose answers are shown
        folder = str(tmp_path / "r")
        return started("run", str(spec), "--run", folder, "--base-url", server.url, "--model", "m", "--json")


def test_a_plain_run_loads_nothing_that_it_does_not_need(plain_run: dict[str, list[str]]) -> None:
    """The modules of other specs, servers and mistakes are loaded by the runs that have them."""
    loaded = set(plain_run["loaded"])
    assert "openai" in loaded  # which builds the call
    assert [] == sorted(SPARED & loaded)


def test_a_command_collects_seldom_and_not_at_its_end(plain_run: dict[str, list[str]]) -> None:
    """The collector's threshold is raised while a command works; when its process ends everything is set aside."""
    before = gc.get_threshold()
    with collecting_seldom():
        assert 10 * before[0] < gc.get_threshold()[0]
    assert before == gc.get_threshold()
    assert 100_000 <= int(plain_run["frozen"][0])


def test_every_module_that_is_spared_is_there() -> None:
    """A module of ours that was renamed would be spared by name only."""
    root = Path(sys.modules["herogen_async"].__file__ or "").parent.parent
    ours = [root.joinpath(*name.split(".")) for name in SPARED if name.startswith("herogen_async")]
    assert [] == [str(path) for path in ours if not (path.is_dir() or path.with_suffix(".py").is_file())]
