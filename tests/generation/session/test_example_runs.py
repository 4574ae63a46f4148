"""Runs that show examples: the same rows get the same ones after a kill, and a changed file is said before it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.data.dataset.recipe import SENT_SYSTEM
from herogen_async.generation.journal.verify import verify
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.example_records import shown_records
from support.fake_server import Asked, FakeServer, Reply, answer

pytestmark = pytest.mark.usefixtures("both_ways")


def said(asked: Asked) -> Reply:
    return answer(asked, f"<{asked.prompt}>")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def few(folder: Path, size: int = 10) -> Path:
    path = folder / "few.jsonl"
    path.write_bytes(b"".join(codec.dumps({"example": f"e{number}"}) + b"\n" for number in range(size)))
    shown_records.cache_clear()
    return path


def maths(file: Path, **changes: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "maths",
        "attributes": {"level": ["easy", "hard"]},
        "repeats": 4,
        "examples": {"from": str(file), "count": 2},
        "columns": {
            "question": {"prompt": "{examples} ask {level}"},
            "other": {"prompt": "name {level}"},
        },
    }
    return Spec(**{**data, **changes})


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def test_a_resumed_run_shows_each_row_what_it_would_have(server: FakeServer, tmp_path: Path) -> None:
    """Half of the rows first, the rest from the folder alone: as in one go, each prompt once."""
    spec = maths(few(tmp_path))
    run(server, tmp_path / "whole", spec)
    whole = server.prompts()
    run(server, tmp_path / "r", spec, limit=3)
    report = herogen_async.resume(tmp_path / "r", limit=8)
    assert ("done", 8) == (report.state, report.done)
    assert server.prompts() == whole + whole
    assert 0 == verify(tmp_path / "r").exit_code


def test_a_changed_file_asks_before_it_costs(server: FakeServer, tmp_path: Path) -> None:
    """What shows examples is stale, and is said to be; the other column keeps its answers."""
    run(server, tmp_path / "r", maths(few(tmp_path)))
    before = server.prompts()
    changed = maths(few(tmp_path, 11))
    with pytest.raises(RunFolderError, match="the examples of question"):
        run(server, tmp_path / "r", changed)
    report = run(server, tmp_path / "r", changed, extend=True, regenerate_stale=True)
    assert ("done", 8) == (report.state, report.done)
    again = server.prompts()
    again.subtract(before)
    assert 8 == again.total()
    assert all(" ask " in prompt for prompt, count in again.items() if count)


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "changed"])
def test_a_run_is_not_resumed_with_other_examples(server: FakeServer, tmp_path: Path, is_gone: bool) -> None:
    """Nothing is sent, and the rows that there are can still be read."""
    path = few(tmp_path)
    run(server, tmp_path / "r", maths(path), limit=3)
    before = server.prompts()
    few(tmp_path, 12)
    if is_gone:
        path.unlink()
    with pytest.raises(InputError, match=r"examples in '.*few.jsonl'"):
        herogen_async.resume(tmp_path / "r", limit=8)
    assert before == server.prompts()
    assert 3 == len(list(herogen_async.rows(tmp_path / "r")))
    assert 3 == herogen_async.status(tmp_path / "r").done


def test_the_sent_system_text_of_a_row_has_its_examples(server: FakeServer, tmp_path: Path) -> None:
    """Assembled with the system text that was sent, each example has what its own row was shown."""
    data = {"name": "a", "attributes": {"level": ["easy", "hard"]}, "repeats": 2, "endpoint": "chat"}
    spec = Spec(
        **data, prompt="ask {level}", system="Like {examples}", examples={"from": str(few(tmp_path)), "count": 1}
    )
    run(server, tmp_path / "r", spec)
    herogen_async.assemble(tmp_path / "r", format="messages", ask="prompt", system=SENT_SYSTEM)
    file = tmp_path / "r" / "dataset" / "messages" / "messages.jsonl"
    rows = [codec.loads(line)["messages"] for line in file.read_bytes().splitlines()]
    assert 4 == len(rows)
    assert spec.examples is not None
    shown = [spec.examples.chosen({"level": level}, repeat) for level in ("easy", "hard") for repeat in (1, 2)]
    assert [f"Like {each}" for each in shown] == [row[0]["content"] for row in rows]
