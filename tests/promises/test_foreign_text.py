"""What a model or a server writes is data: it moves no cursor, runs in no spreadsheet and names no file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.hostile_texts import EVIL
from support.runs import herogen, last_json, write_spec

OBEYED = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"} | set(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\ufeff\u200b\U000e0041"
)


SPEC = Spec(
    name="foreign",
    attributes={"word": [*EVIL, "../../x", "=1+1", "<b>"], "ends": ["well", "badly"]},
    prompt="Say {word}, {ends}",
    sub_prompt="{word}",
)


def text_for(prompt: str) -> str:
    return EVIL.get(prompt.removeprefix("Say ").rpartition(",")[0], "sound")


def behaviour(asked: Asked) -> Reply:
    evil = text_for(asked.prompt)
    if asked.prompt.endswith("badly"):
        return error(400, evil, evil)
    return answer(asked, evil, finish_reason=evil)


def test_p14_foreign_text_is_harmless_on_every_screen(tmp_path: Path) -> None:
    """Control characters from specs, models and answers never reach the terminal, and JSON escapes them."""
    with FakeServer(behaviour, models=("".join(EVIL.values()),)) as server:
        shown = [herogen("run", write_spec(tmp_path, SPEC), "--base-url", server.url, cwd=tmp_path)]
    assert 1 == shown[0].returncode, shown[0].stderr
    words = ("status", "errors", "export", "assemble")
    shown += [herogen(word, "foreign", cwd=tmp_path) for word in words]
    assert [0] * 4 == [each.returncode for each in shown[1:]], [each.stderr for each in shown]
    for each in shown:
        assert not OBEYED & set(each.stdout + each.stderr)
        assert "\nNext: rm" not in each.stdout + each.stderr
    said = herogen("show", "foreign", "-n", "99", cwd=tmp_path)
    assert not OBEYED & set(said.stdout + said.stderr)


@pytest.mark.parametrize("words", [("run",), ("status",), ("errors",), ("show", "-n", "99"), ("runs",)])
def test_p14_json_escapes_what_a_terminal_obeys_and_loses_none_of_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The line of `--json` holds no control, format or direction character, and a script gets each of them back."""
    name = "".join(EVIL.values())
    with FakeServer(behaviour, models=(name,)) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url)
        said = herogen(*run, "--json", cwd=tmp_path)
        if words != ("run",):
            more = () if words == ("runs",) else ("foreign",)
            said = herogen(words[0], *more, *words[1:], "--json", cwd=tmp_path)
    assert not (OBEYED | {"\t"}) & set(said.stdout + said.stderr)
    assert said.stdout.endswith("\n")
    told = json.dumps(last_json(said.stdout), ensure_ascii=False)
    for evil in EVIL.values():
        assert json.dumps(evil, ensure_ascii=False)[1:-1] in told or words[0] != "show"
    if words in (("status",), ("runs",)):
        assert json.dumps(name, ensure_ascii=False) in told


def test_p14_foreign_text_is_kept_but_never_run_or_a_file_name(tmp_path: Path) -> None:
    """Foreign text is kept as it is, runs in no spreadsheet and names no file."""
    run = tmp_path / "runs" / "foreign"
    with FakeServer(behaviour) as server:
        ran = herogen("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m", cwd=tmp_path)
    assert 1 == ran.returncode, ran.stderr
    for word in ("export", "assemble"):
        assert 0 == herogen(word, "foreign", cwd=tmp_path).returncode
    kept = {line.record["prompt"]: line.record["response_txt"] for line in read_rows(RunFolder(run))}
    assert kept == {prompt: text_for(prompt) for prompt in kept}
    with (run / "dataset" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert len(EVIL) + 3 == len(rows) == len(kept)
    for row in rows:
        assert not [cell for cell in row.values() if cell.lstrip(" ")[:1] in ("=", "+", "@", "\t", "\r", "\uff0b")]
    assert set(EVIL.values()) <= {row["response_txt"].removeprefix("'") for row in rows}
    known = {"manifest.json", "rows-00000.jsonl", "failures.jsonl", "events.jsonl", "lock", "dataset"}
    assert known == {path.name for path in run.iterdir()}
    assert {"foreign.json", "runs"} == {path.name for path in tmp_path.iterdir()}
    names = {path.name for path in (run / "dataset").rglob("*") if path.is_file()}
    assert all(name.isascii() and name.isprintable() and not set(name) & set("/<>=|") for name in names), names
