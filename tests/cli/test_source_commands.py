"""Sources on the command line: a spec for a file, a file where a spec belongs, standard input, what `plan` says."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from herogen_async.specs.records import spool
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer
from support.runs import herogen

TABLE = "q,topic,Full text\n007,x,\nb,y,text\nb,y,text\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seeds.csv").write_text(TABLE)
    return tmp_path


def test_init_writes_a_spec_for_a_file(folder: Path) -> None:
    """With the fields found, its path as seen from the spec; it is sound as it stands."""
    (folder / "specs").mkdir()
    done = herogen("init", "specs/a.yaml", "--from", "seeds.csv", cwd=folder)
    assert 0 == done.returncode
    text = (folder / "specs" / "a.yaml").read_text()
    assert 'source: {path: "../seeds.csv", fields: {q: q, topic: topic, Full_text: Full text}}' in text
    spec = Spec.load(folder / "specs" / "a.yaml")
    assert ("q", "topic", "Full_text") == spec.sent_fields


def test_init_from_a_file_is_called_as_it(folder: Path) -> None:
    """Where no other name is given; a run can't be asked for at once."""
    assert "seeds.yaml" in herogen("init", "--from", "seeds.csv", cwd=folder).stdout
    refused = herogen("init", "b.yaml", "--from", "seeds.csv", "--run", "x", cwd=folder)
    assert 2 == refused.returncode
    assert "--run and --from both say which spec to write" in refused.stderr
    gone = herogen("init", "c.yaml", "--from", "gone.csv", cwd=folder)
    assert (2, False) == (gone.returncode, (folder / "c.yaml").exists())


@pytest.mark.parametrize("name", ["seeds.csv", "seeds.json"])
def test_a_file_of_records_is_no_spec(name: str, folder: Path) -> None:
    """`run` and `plan` say what to write."""
    (folder / "seeds.json").write_text(json.dumps([{"q": "a"}]))
    for command in ("run", "plan"):
        done = herogen(command, name, "--model", "m", cwd=folder)
        assert 2 == done.returncode
        assert "is a file of records, not a spec" in done.stderr
        assert f"herogen-async init --from {name}" in done.stderr


def test_plan_tells_what_the_source_comes_to(folder: Path) -> None:
    """Records, those left out, those that are equal, and what is empty."""
    spec = "name: s\nsource: {path: seeds.csv, where: \"q != 'z'\"}\nprompt: '{q} {Full_text}'\n"
    (folder / "s.yaml").write_text(spec)
    done = herogen("plan", "s.yaml", "--model", "m", cwd=folder)
    assert "s: 3 records = 3 cells: 3 rows." in done.stdout
    assert "1 record without 'Full_text': it is empty in what is sent." in done.stdout
    assert "1 record equal to earlier ones in what is sent; each is requested." in done.stdout
    (folder / "s.yaml").write_text(spec.replace("'z'", "'b'"))
    assert "1 of 3 records match `where`" in herogen("plan", "s.yaml", "--model", "m", cwd=folder).stdout


def test_a_changed_file_is_told_by_plan(folder: Path, server: FakeServer) -> None:
    """What is kept, new and gone, before anything is paid."""
    (folder / "s.yaml").write_text("name: s\nsource: seeds.csv\nprompt: '{q}'\n")
    asked = ("--base-url", server.url, "--model", "m")
    assert 0 == herogen("run", "s.yaml", *asked, cwd=folder).returncode
    (folder / "seeds.csv").write_text("topic,q\ny,b\nz,c\n")
    told = herogen("plan", "s.yaml", "s", *asked, cwd=folder).stdout
    assert "Changed: the source (other content of seeds.csv)." in told
    assert "Kept: 1 answer" in told
    assert "New: 1 request" in told
    assert "Unused, but kept in the journal: 2 rows of removed cells." in told
    refused = herogen("run", "s.yaml", *asked, cwd=folder)
    assert 2 == refused.returncode
    assert "--extend" in refused.stderr
    assert "1 answer would be kept, 1 task is new, 0 answers are stale" in " ".join(refused.stderr.split())
    done = herogen("run", "s.yaml", *asked, "--extend", cwd=folder)
    assert "1 answer is kept; 1 task is new; 2 rows of removed cells stay there too." in " ".join(
        f"{done.stdout} {done.stderr}".split()
    )


def test_rows_of_a_record_are_shown_by_any_of_its_fields(folder: Path, server: FakeServer) -> None:
    """Also by one of which nearly every record has its own value."""
    (folder / "seeds.csv").write_text("id,q\n" + "".join(f"{number},question {number}\n" for number in range(40)))
    (folder / "s.yaml").write_text("name: s\nsource: seeds.csv\nprompt: '{q}'\n")
    assert 0 == herogen("run", "s.yaml", "--base-url", server.url, "--model", "m", cwd=folder).returncode
    told = herogen("show", "s", "--cell", "id=7", "-n", "9", cwd=folder).stdout
    assert ["Row 7 (id 7, q question 7)"] == [line.partition(":")[0] for line in told.splitlines() if "Row" in line]
    assert "No rows with these values yet." in herogen("show", "s", "--cell", "id=99", cwd=folder).stdout
    assert "unknown attribute or field 'idd'" in herogen("show", "s", "--cell", "idd=9", cwd=folder).stderr


def test_of_a_long_field_the_terminal_shows_the_beginning(folder: Path, server: FakeServer) -> None:
    """Exports have all of it."""
    (folder / "seeds.csv").write_text(f"q,book\na,{'x' * 5000}\n")
    (folder / "s.yaml").write_text("name: s\nsource: seeds.csv\nprompt: '{q}'\n")
    told = herogen("run", "s.yaml", "--base-url", server.url, "--model", "m", cwd=folder).stdout
    for text in (told, herogen("show", "s", cwd=folder).stdout):
        assert 77 == text.count("x")
    assert 0 == herogen("export", "s", cwd=folder).returncode
    assert "x" * 5000 in (folder / "runs" / "s" / "dataset" / "rows.csv").read_text()


def test_standard_input_is_kept_with_the_run(folder: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once; the run goes on without it."""
    (folder / "s.yaml").write_text("name: s\nsource: '-'\nprompt: '{q}'\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TABLE.encode()), isatty=lambda: False))
    spool.spooled_stdin.cache_clear()
    asked = ("--base-url", server.url, "--model", "m")
    assert 0 == herogen("run", "s.yaml", *asked, "--limit", "1", cwd=folder).returncode
    spool.spooled_stdin.cache_clear()
    monkeypatch.setattr(spool, "_spooled", {})
    assert [TABLE] == [path.read_text() for path in (folder / "runs" / "s" / "sources").glob("*.csv")]
    assert 0 == herogen("resume", "s", "--limit", "3", cwd=folder).returncode
    assert {"007": 1, "b": 2} == server.prompts()


def test_sentences_call_standard_input_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no file that nobody has seen; nothing at all is told as that."""
    (folder / "s.yaml").write_text("name: s\nsource: '-'\nprompt: '{q}'\n")
    for content, message in (
        (b"", "it is empty"),
        (b'{"q": 1}\n{"q": \n', "line 2 of 'standard input.jsonl' is not valid JSON"),
        (b"q,n\na,b,c\n", "line 2 of 'standard input.csv' has 3 cells"),
    ):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
        spool.spooled_stdin.cache_clear()
        done = herogen("plan", "s.yaml", "--model", "m", cwd=folder)
        assert 2 == done.returncode
        assert message in " ".join(done.stderr.split())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TABLE.encode()), isatty=lambda: False))
    spool.spooled_stdin.cache_clear()
    assert 0 == herogen("init", "new.yaml", "--from", "-", cwd=folder).returncode
    assert "# Each record of standard input is asked once." in (folder / "new.yaml").read_text()
    spool.spooled_stdin.cache_clear()


def test_standard_input_is_the_same_from_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is not one from the spec's folder on."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TABLE.encode()), isatty=lambda: False))
    spool.spooled_stdin.cache_clear()
    (folder / "specs").mkdir()
    assert 0 == herogen("init", "specs/a.yaml", "--from", "-", cwd=folder).returncode
    spec = Spec.load(folder / "specs" / "a.yaml")
    assert spec.source is not None
    assert "-" == spec.source.path
    spool.spooled_stdin.cache_clear()


def test_a_terminal_is_no_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would type records."""
    (folder / "s.yaml").write_text("name: s\nsource: '-'\nprompt: '{q}'\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: True))
    spool.spooled_stdin.cache_clear()
    done = herogen("plan", "s.yaml", "--model", "m", cwd=folder)
    assert 2 == done.returncode
    assert "nothing is piped into it" in done.stderr
