"""Notebooks: a run shows its progress in its cell, a report and rows are tables, and a page's text runs nothing.

The first tests run the notebook of the docs in a real kernel, on the simulated server.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import herogen_async
from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.report import RunReport
from herogen_async.view.notebook import CellDisplay, in_kernel
from support.doc_commands import SIMULATED, simulating
from support.places import ROOT
from support.run_folders import WrittenRun
from support.runs import small_spec

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)> \x1b[2J \u202e'
MORE = (
    # Whoever watches is told instead of the cell, and an error leaves no empty bar.
    "herogen_async.run(spec, run='watched', base_url=URL, model='sim', limit=2, watch=herogen_async.Observer()).done",
    "try:\n    herogen_async.run(spec, base_url=URL, concurrency=0)\n"
    "except herogen_async.InputError:\n    print('refused')",
    "(await herogen_async.arun(spec, run='async', base_url=URL, model='sim', limit=8, concurrency=2)).done",
)


class Kernel(NotebookClient):  # type: ignore[misc]
    """Keeps the messages about outputs, which a notebook keeps only the last of."""

    told: list[tuple[int, str, str]]

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] in ("display_data", "update_display_data", "stream"):
            content = msg["content"]
            text = content["text"] if msg["msg_type"] == "stream" else content["data"]["text/plain"]
            self.told.append((cell_index, msg["msg_type"], text))
        return super().process_message(msg, cell, cell_index)


@dataclass
class Executed:
    """The outputs of the code cells, by their order, and what was told while each ran: (type of message, text)."""

    outputs: list[list[dict[str, Any]]] = field(default_factory=list)
    told: list[list[tuple[str, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The notebook of the docs, and some cells more, run in a kernel of their own."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch, simulating("herogen-async simulate --port 0 --latency-ms 300") as url:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder / name))
        notebook = nbformat.reads((ROOT / "docs" / "notebook.ipynb").read_text().replace(SIMULATED, url), as_version=4)
        notebook.cells += [nbformat.v4.new_code_cell(each.replace("URL", repr(url))) for each in MORE]
        kernel = Kernel(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
        kernel.told = []
        kernel.execute()
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    return Executed(
        [notebook.cells[number].outputs for number in code],
        [[(kind, text) for at, kind, text in kernel.told if at == number] for number in code],
    )


@pytest.mark.slow
def test_a_run_s_progress_is_one_output_of_its_cell_updated_in_place(executed: Executed) -> None:
    """While it runs the bar moves; at the end it says what the run came to. Nothing is printed."""
    _, told, *_ = executed.told
    kinds = [kind for kind, _ in told]
    assert ["display_data", "update_display_data"] == [kinds[0], *sorted(set(kinds[1:]))]
    assert any(" of 12 done" in text and not text.startswith("runs/heroes: 12 ") for _, text in told[1:])
    shown, report = executed.outputs[1]
    assert "runs/heroes: Done: 12 of 12 rows" in shown["data"]["text/plain"]
    assert '<progress style="width:100%" value="12" max="12">' in shown["data"]["text/html"]
    assert "<td" in report["data"]["text/html"]
    assert ">12 of 12</td>" in report["data"]["text/html"]


@pytest.mark.slow
def test_rows_are_a_table_a_loop_and_a_frame(executed: Executed) -> None:
    """The first rows as a table, each row as one goes, all of them in pandas; then the data set."""
    table, first, frame, report = (outputs[0]["data"] for outputs in executed.outputs[2:6])
    assert "<12 rows of 'runs/heroes': age, power>" == table["text/plain"]
    assert "12 rows of runs/heroes, the first 5:" in table["text/html"]
    assert 6 == table["text/html"].count("<tr>")
    assert first["text/plain"].startswith("'")
    assert ["power", "flight", "telepathy"] == [line.split()[0] for line in frame["text/plain"].splitlines()[:3]]
    assert report["text/plain"].endswith("report.html')")
    assert [[], [], [], []] == executed.told[2:6]  # nothing is printed, warnings of packages neither


@pytest.mark.slow
def test_a_cell_shows_nothing_where_somebody_watches_or_the_call_is_wrong(executed: Executed) -> None:
    """An observer of one's own takes the cell's place; a call that is refused leaves no bar. `await` shows it, too."""
    watched, refused, awaited = executed.told[6:]
    assert [] == watched
    assert [("stream", "refused\n")] == refused
    assert {"display_data", "update_display_data"} == {kind for kind, _ in awaited}
    assert "async: Done: 8 of 8 rows" in awaited[-1][1]
    assert "8" == executed.outputs[-1][-1]["data"]["text/plain"]


class Shell:
    """What IPython says of where it runs."""

    def __init__(self, kernel: object) -> None:
        self.kernel = kernel


def ipython(
    monkeypatch: pytest.MonkeyPatch, kernel: object, shown: list[dict[str, str]], *, fails: bool = False
) -> None:
    """Stands in for the module IPython; what is displayed is added to `shown`."""

    class Handle:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            if fails:
                raise RuntimeError("the page is gone")
            shown.append(content)

    class Display:
        @staticmethod
        def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
            shown.append(content)
            return Handle()

    module = ModuleType("IPython")
    vars(module).update(get_ipython=lambda: Shell(kernel), display=Display)
    monkeypatch.setitem(sys.modules, "IPython", module)


def report_of(**changes: Any) -> RunReport:
    known = {"run": "runs/a", "state": "running", "total": 10, "done": 3, "grid": 10}
    return RunReport(**{**known, **changes})


def test_only_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """No IPython, a terminal's, a kernel's."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_kernel()
    ipython(monkeypatch, None, [])
    assert not in_kernel()
    ipython(monkeypatch, object(), [])
    assert in_kernel()


def test_p14_a_model_s_text_stays_text_in_a_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the progress, in a notice, in a report's table, in a table of rows."""
    shown: list[dict[str, str]] = []
    ipython(monkeypatch, object(), shown)
    display = CellDisplay()
    display.state(report_of(run=EVIL, latest=({EVIL: EVIL}, EVIL)))
    display.notice(EVIL)
    table = report_of(run=EVIL, state="parked", reason=EVIL, fix=EVIL, finish_reasons={EVIL: 1})._repr_html_()
    spec = small_spec(attributes={"a": [EVIL.replace("\x1b", ""), "b"]}, prompt="{a}", repeats=1)
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(0, EVIL, EVIL)])
    for page in (*(each["text/html"] for each in shown), table, herogen_async.rows(tmp_path)._repr_html_()):
        assert "&lt;script&gt;" in page
        assert not {"<script", "<img", "\x1b", "\u202e"} & set(re.findall(r"<script|<img|\x1b|\u202e", page))


def test_a_report_is_a_table_of_what_there_is_to_say() -> None:
    """A parked run says why and what to do; what nobody knows has no line."""
    usage = {"prompt_tokens": 1200, "completion_tokens": 34567, "total_tokens": 35767}
    report = report_of(state="failed_rows", failed=2, usage=usage, cost=1.25, errors={"server": 3}, grid=90)
    page = report._repr_html_()
    words = ("failed rows", "3 of 10 (the first 10 of 90)", "prompt 1,200, completion 34,567", "1.25 USD", "server 3")
    assert [] == [each for each in words if f">{each}</td>" not in page]
    assert "what to do" not in page
    bare = report_of(state="parked", done=0, reason="no key", fix="set one")._repr_html_()
    assert ["run", "state", "rows", "why", "what to do"] == re.findall(r"<tr><td[^>]*>([a-z ]+)</td>", bare)


def test_a_display_that_fails_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up: what is shown costs no answer, and raises nothing."""
    shown: list[dict[str, str]] = []
    ipython(monkeypatch, object(), shown, fails=True)
    display = CellDisplay()
    for done in range(4):
        display.state(report_of(done=done))
    assert 1 == len(shown)


def test_a_cell_shows_the_last_notices_and_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a cell stays short; the weights have a bar before the run has."""
    shown: list[dict[str, str]] = []
    ipython(monkeypatch, object(), shown)
    display = CellDisplay()
    display.weights(WeightsProgress("fetching", 34_000_000, 145_000_000))
    assert "fetching, 34 of 145 MB" in shown[-1]["text/plain"]
    for number in range(20):
        display.notice(f"notice {number}")
    assert [f"notice {number}" for number in range(15, 20)] == shown[-1]["text/plain"].splitlines()[1:]
