"""A run folder that release 0.1.0 wrote takes columns beside its prompt, and nothing of it is asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.generation.journal.verify import verify
from herogen_async.generation.run_folder import RunFolder, read_manifest
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer
from support.kept_runs import behave, copied

TITLE = {"title": {"prompt": "A title of [{response_txt}]"}}


@pytest.mark.parametrize("name", ["plain", "extended"])
def test_a_kept_run_takes_a_column_and_only_that_is_asked(name: str, tmp_path: Path) -> None:
    """Each answer that counts has its title; lines, failures and keys stay as they were."""
    with FakeServer(behave) as server:
        folder = RunFolder(copied(name, tmp_path, server.url))
        kept = {path: path.read_bytes() for path in (*folder.segments(), folder.failures) if path.exists()}
        manifest, before = read_manifest(folder), herogen_async.status(folder.path)
        spec = Spec(**{**manifest.spec, "columns": TITLE})
        report = herogen_async.run(
            spec, run=folder.path, base_url=server.url, model=manifest.model, extend=True, limit=before.done
        )
        titles = [prompt for prompt in server.prompts() if prompt.startswith("A title of [So: ")]
        answered = {codec.loads(line).get("prompt") for data in kept.values() for line in data.splitlines()} - {None}
        assert len(titles) >= before.done - report.failed
        assert not answered & set(server.prompts())
        assert before.failed == report.failed
        for path, data in kept.items():
            assert path.read_bytes().startswith(data)
        assert 0 == verify(folder.path).exit_code
        asked = len(server.asked)
        herogen_async.resume(folder.path, limit=before.done)
        assert asked == len(server.asked)
