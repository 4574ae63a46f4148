"""Run folders that release 0.1.0 wrote, and what it said of them: a fixture is a folder, and the steps taken with it.

`python -m support.kept_runs SOURCE` (in `tests/`) makes them anew with the release whose `src/` is SOURCE, and records
what each step gave. Host, process and port are the only things in them that are changed afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.places import TESTS

FOLDER = TESTS / "generation" / "journal" / "fixtures_0_1_0"
NAMES = ("plain", "extended", "damaged")
KEPT_URL = "http://127.0.0.1:8000/v1"  # what the kept manifests name; a copy names the server of its test
DATA_FILES = ("rows.csv", "rows.jsonl", "prepared_data.csv", "prepared_data_prepared.jsonl")
_HOLDER_BYTES = 511  # the lock's first line

# Of these only the keys are compared: what sentences say may get better, and which port a server has is chance.
_FREE = {"error", "message", "warnings", "reason", "fix", "notices", "lost", "quality", "base_url"}
_VERIFY_TIMES = {"seconds", "rows_per_s"}
_SESSION_TIMES = {"elapsed_s", "rows_per_s", "tokens_per_s", "latency_ms", "binding", "binding_shares"}
_TIMES_IN = {"verify": {"bytes"}, "assemble": {"sha256"}}  # of lines that hold times
_MOMENT = re.compile(r"(?<=\.torn-)\d{8}T\d+")
_LINE_TIMES = re.compile(rb'"latency_ms":[\d.]+,"created_at":"[^"]*"')
_CELL_TIMES = re.compile(rb",[\d.]+,\d{4}-\d\d-\d\dT[\d:.+]+(?=\r?\n)")

Herogen = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Step:
    """One command on the run `run`; what a later session wrote differs in its times alone."""

    run: str
    arguments: tuple[str, ...]
    is_later: bool = False

    @property
    def name(self) -> str:
        return " ".join((self.arguments[0], self.run, *self.arguments[1:]))


@dataclass(frozen=True)
class Said:
    """What a step gave: its exit code, its object, and the data files that it wrote."""

    exit_code: int
    json: Any
    files: Mapping[str, bytes]


def looks(run: str, *, is_later: bool = False) -> Iterator[Step]:
    """Every command that reads a run and changes nothing in its journal."""
    for command in ("status", "verify", "errors", "export", "assemble"):
        yield Step(run, (command,), is_later)
    if run == "plain" and not is_later:
        yield Step(run, ("export", "--format", "jsonl"))


def steps(name: str) -> list[Step]:
    """What is done with the copy of a fixture, one after the other."""
    if name == "damaged":
        recovered = f"{name}-recovered"
        return [
            *looks(name),
            Step(name, ("resume",)),
            Step(name, ("recover",)),
            *looks(recovered),
            Step(name, ("resume", "--requeue-damaged"), is_later=True),
            *looks(name, is_later=True),
        ]
    go_on = ("retry",) if name == "plain" else ("resume", "--limit", "12")
    return [*looks(name), Step(name, go_on, is_later=True), *looks(name, is_later=True)]


def copied(name: str, folder: Path, url: str) -> Path:
    """A copy of a fixture as a run below `folder`, which nobody else may read, and whose server is at `url`."""
    run = folder / "runs" / name
    shutil.copytree(FOLDER / name / "run", run)
    for path in run.iterdir():
        path.chmod(0o600)
    run.chmod(0o700)
    manifest = run / "manifest.json"
    manifest.write_text(manifest.read_text().replace(KEPT_URL, url))
    return run


def said(step: Step, herogen: Herogen, folder: Path) -> Said:
    """Take `step` in `folder`."""
    command, *options = step.arguments
    written = [folder / "runs" / step.run / "dataset" / file for file in DATA_FILES]
    for path in written:
        path.unlink(missing_ok=True)
    done = herogen(command, step.run, *options, "--json", cwd=folder)
    files = {path.name: path.read_bytes() for path in written if path.exists()}
    free = _FREE | (_VERIFY_TIMES if command == "verify" else set())
    if step.is_later:
        free |= _SESSION_TIMES | _TIMES_IN.get(command, set())
        files = {file: _without_times(data) for file, data in files.items()}
    return Said(done.returncode, _compared(json.loads(done.stdout.splitlines()[-1]), free), files)


def recorded(name: str) -> Iterator[tuple[Step, Said]]:
    """Each step, and what 0.1.0 gave."""
    kept = json.loads((FOLDER / name / "said.json").read_text())
    for number, step in enumerate(steps(name)):
        each = kept[number]
        assert step.name == each["step"]
        files = {file: (FOLDER / name / path).read_bytes() for file, path in each["files"].items()}
        yield step, Said(each["exit_code"], _with_one_name(each["json"]), files)


def behave(asked: Asked) -> Reply:
    """Answers that depend on the prompt alone."""
    reply = answer(asked, f'So: {asked.prompt} \u2013 she said "yes",\nand went.')
    reason: str | None = "length" if "20, =sun" in asked.prompt else None if "20, snow" in asked.prompt else "stop"
    assert isinstance(reply.body, dict)
    reply.body["choices"][0]["finish_reason"] = reason
    return reply


def refuse_some(asked: Asked) -> Reply:
    """As `behave`, but for one cell."""
    if "30" in asked.prompt and "=sun" in asked.prompt:
        return error(400, "invalid_request_error", "no answer to that")
    return behave(asked)


def _compared(value: Any, free: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: "..." if name in free else _compared(item, free) for name, item in value.items()}
    if isinstance(value, list):
        return [_compared(item, free) for item in value]
    return _MOMENT.sub("...", value) if isinstance(value, str) else value


def _with_one_name(kept: Any) -> Any:
    """An answer without a finish_reason was `None` to 0.1.0 once its line was read back; now it is always `unknown`."""
    if "finish_reasons" in kept:
        reasons = kept["finish_reasons"]
        nameless = reasons.pop("None", 0) + reasons.pop("unknown", 0)
        kept["finish_reasons"] = {**reasons, **({"unknown": nameless} if nameless else {})}
    return kept


def _without_times(data: bytes) -> bytes:
    return _CELL_TIMES.sub(b",,", _LINE_TIMES.sub(b'"latency_ms":0,"created_at":""', data))


# -- making them ---------------------------------------------------------------------------------------------------

_SPEC: dict[str, Any] = {
    "attributes": {"age": ["20", "30", "40"], "sky": ["=sun", 'snow \u2013 "s"']},
    "repeats": 1,
    "prompt": "{age}, {sky}:",
    "sub_prompt": "{age}, {sky}",
    "sampling": {"max_tokens": 50},
}


def record(source: Path) -> None:
    """Make the fixtures with the release in `source`, and say what it said."""

    def herogen(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "herogen_async", *map(str, arguments)]
        env = {**os.environ, "PYTHONPATH": str(source)}
        return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)

    for name in NAMES:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        with tempfile.TemporaryDirectory() as place, FakeServer(refuse_some) as server:
            _make(name, Path(place), server, herogen)
            shutil.copytree(Path(place, "runs", name), FOLDER / name / "run")
        _make_anonymous(FOLDER / name / "run")
        with tempfile.TemporaryDirectory() as place, FakeServer(behave) as server:
            copied(name, Path(place), server.url)
            _keep(name, [(step, said(step, herogen, Path(place))) for step in steps(name)])


def _make(name: str, folder: Path, server: FakeServer, herogen: Herogen) -> None:
    def run(changes: Mapping[str, Any], *options: str) -> None:
        (folder / "s.json").write_text(json.dumps({**_SPEC, "name": name, **changes}))
        at = ("--base-url", server.url, "--model", "m", "--concurrency", "1")
        done = herogen("run", "s.json", *at, *options, cwd=folder)
        assert done.returncode in (0, 1), done.stderr

    if name == "plain":
        run({})
    elif name == "extended":
        for ages, changes, *limit in (
            ("20 30", {}),
            ("10 20 30", {}, "--limit", "5"),
            ("10 30 40", {"prompt": "Aged {age}, {sky}:"}),
            ("10 20 30", {"prompt": "Aged {age}, {sky}:", "repeats": 2}, "--limit", "6"),
        ):
            run({"attributes": {**_SPEC["attributes"], "age": ages.split()}, **changes}, "--extend", *limit)
    else:
        run({})
        _damage(folder / "runs" / name / "rows-00000.jsonl")


def _damage(journal: Path) -> None:
    """A flipped bit, two lines made one, and an end that a crash tore."""
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"So: ", b"Sn: ")
    lines[2] = lines[2].replace(b"\n", b" ")
    journal.write_bytes(b"".join(lines) + lines[0][:100])


def _make_anonymous(run: Path) -> None:
    """The holder of the lock, and the port, are this machine's."""
    lock, manifest = run / "lock", run / "manifest.json"
    page = lock.read_bytes()
    holder = {**json.loads(page[:_HOLDER_BYTES]), "pid": 4242, "host": "host"}
    lock.write_bytes(json.dumps(holder, separators=(",", ":")).encode().ljust(_HOLDER_BYTES) + page[_HOLDER_BYTES:])
    manifest.write_text(re.sub(r"http://127\.0\.0\.1:\d+/v1", KEPT_URL, manifest.read_text()))


def _keep(name: str, all_said: list[tuple[Step, Said]]) -> None:
    """Files are kept once each, under a name of their own."""
    paths: dict[bytes, str] = {}
    kept = []
    for step, each in all_said:
        files = {}
        for file, data in each.files.items():
            if data not in paths:
                paths[data] = f"{len(paths)}-{file}"
                (FOLDER / name / paths[data]).write_bytes(data)
            files[file] = paths[data]
        kept.append({"step": step.name, "exit_code": each.exit_code, "files": files, "json": each.json})
    lines = ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in kept)
    (FOLDER / name / "said.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]).resolve())
