"""What an edit of a spec with columns costs: exactly what docs/spec.md says, on a server that counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer, answer

COLUMNS: dict[str, dict[str, Any]] = {
    "question": {"prompt": "ask {level}"},
    "solution": {"prompt": "solve {question}", "samples": 2},
    "best": {"prompt": "best {solution.all}"},
    "verdict": {"prompt": "grade {solution}"},
    "rewrite": {"prompt": "mend {best}", "when": "level == 'hard'"},
}


def spec(columns: dict[str, Any] | None = None, **more: Any) -> Spec:
    rest = {"columns": COLUMNS if columns is None else columns, **more}
    return Spec(**{"name": "edited", "attributes": {"level": ["easy", "hard"]}, **rest})


def edited(column: str, **keys: Any) -> Spec:
    return spec({**COLUMNS, column: {**COLUMNS[column], **keys}})


RENAMED = {
    "rewrite": COLUMNS["rewrite"],
    "best": {"prompt": "best {proof.all}"},
    "proof": COLUMNS["solution"],
    "verdict": {"prompt": "grade {proof}"},
    "question": COLUMNS["question"],
}
ROW = {"ask": 1, "solve": 2, "grade": 2, "best": 1}


@pytest.mark.parametrize(
    ("after", "new", "again"),
    [
        (edited("best", prompt="Best {solution.all}"), {}, {"Best": 2, "mend": 1}),
        (edited("question", sampling={"top_p": 0.5}), {}, {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1}),
        (spec(sampling={"top_p": 0.5}), {}, {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1}),
        (spec({**COLUMNS, "title": {"prompt": "title {best}"}}), {"title": 2}, {}),
        (spec({name: COLUMNS[name] for name in ("question", "solution")}), {}, {}),
        (spec(RENAMED), {}, {}),
        (edited("solution", samples=3), {"solve": 2, "grade": 2}, {}),
        (edited("solution", samples=1), {}, {}),
        (edited("rewrite", when="level == 'easy'"), {"mend": 1}, {}),
        (spec({**COLUMNS, "rewrite": {"prompt": "mend {best}"}}), {"mend": 1}, {}),
        (spec(attributes={"level": ["easy", "hard", "odd"]}), ROW, {}),
        (spec(repeats=2), {**{word: 2 * count for word, count in ROW.items()}, "mend": 1}, {}),
        (spec(name="other", sub_prompt="about {level}"), {}, {}),
    ],
    ids=[
        "a column's prompt",
        "a column's sampling",
        "the spec's sampling",
        "a column added",
        "columns removed",
        "renamed and moved",
        "more samples",
        "fewer samples",
        "a condition",
        "no condition",
        "a value",
        "repeats",
        "what is not sent",
    ],
)
def test_an_edit_costs_what_the_reference_says(
    tmp_path: Path, after: Spec, new: dict[str, int], again: dict[str, int]
) -> None:
    """With `extend` what is new is asked, with `regenerate_stale` what was made otherwise; nothing else ever is."""
    with FakeServer(lambda asked: answer(asked, f"<{asked.prompt[:40]}>")) as server:
        where: dict[str, Any] = {"run": tmp_path / "r", "base_url": server.url, "model": "m"}

        def asked_of(wanted: Spec, **consent: Any) -> Counter[str]:
            before = server.prompts()
            assert "done" == herogen_async.run(wanted, **where, **consent).state
            return Counter(prompt.split()[0] for prompt in (server.prompts() - before).elements())

        assert {"ask": 2, "solve": 4, "grade": 4, "best": 2, "mend": 1} == asked_of(spec())
        assert new == asked_of(after, extend=True)
        assert again == asked_of(after, extend=True, regenerate_stale=True)
        assert {} == asked_of(after)
