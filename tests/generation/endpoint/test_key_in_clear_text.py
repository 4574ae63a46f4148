"""P13: a key that anybody on the way can read is told before it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fake_server import FakeServer
from support.runs import herogen, small_spec, write_spec

URL = "http://models.example/v1"  # reached through a proxy, so that no name has to be known
COMMANDS = ("run", "plan", "query", "doctor", "finetune")


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("key", ["canary-7f3a9c1e", None])
def test_p13_a_key_over_http_is_told_once(kind: str, key: str | None, tmp_path: Path) -> None:
    """Each command that would send a key unencrypted to another machine says so, once, without the key."""
    (tmp_path / "train.jsonl").write_text(
        '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n' * 12
    )
    words: dict[str, tuple[str | Path, ...]] = {
        "run": ("run", write_spec(tmp_path, small_spec(values=1, repeats=1)), "--run", tmp_path / "r", "--model", "m"),
        "plan": ("plan", write_spec(tmp_path, small_spec(values=1, repeats=1)), "--model", "m"),
        "query": ("query", "m", "hello", "--endpoint", "completions"),
        "doctor": ("doctor", "--model", "m"),
        "finetune": ("finetune", tmp_path / "train.jsonl", "--backend", "openai", "--model", "m"),
    }
    with FakeServer() as server:
        proxy = server.url.removesuffix("/v1")
        env = {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": "", "COLUMNS": "300"}
        there = URL if key else server.url
        ended = herogen(
            *words[kind], "--base-url", there, cwd=tmp_path, **env, **({"OPENAI_API_KEY": key} if key else {})
        )
    said = ended.stdout + ended.stderr
    assert (1 if key else 0) == said.count("unencrypted, over http://"), said
    assert key is None or key not in said
