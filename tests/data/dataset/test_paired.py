"""Preference pairs of compared columns: winner and loser of each comparison, without a file of scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

COLUMNS: dict[str, Any] = {
    "question": {"prompt": "ask {n}"},
    "draft": {"prompt": "say {question}"},
    "rewrite": {"prompt": "mend {draft}"},
    "verdict": {"judge": {"pair": ["draft", "rewrite"]}, "prompt": "A [{draft}] B [{rewrite}]"},
}
WINNERS = {"n0": "draft", "n1": "rewrite", "n2": "tie", "n3": "A", "n4": "draft"}


def said(asked: Asked) -> Reply:
    """Of n3 the judge prefers what comes first; the draft of n4 is cut off."""
    if not asked.prompt.startswith("A ["):
        is_cut = asked.prompt.startswith("say") and "n4" in asked.prompt
        return answer(asked, f"<{asked.prompt}>", finish_reason="length" if is_cut else "stop")
    first = "rewrite" if asked.prompt.startswith("A [<mend") else "draft"
    wanted = WINNERS[next(name for name in WINNERS if name in asked.prompt)]
    label = wanted if wanted in ("A", "tie") else "A" if wanted == first else "B"
    return answer(asked, json.dumps({"why": "so", "winner": label}))


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a second a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def run(server: FakeServer, folder: Path, columns: dict[str, Any] = COLUMNS, **changes: Any) -> Path:
    spec = Spec(**{"name": "pairs", "attributes": {"n": list(WINNERS)}, "columns": columns, **changes})
    report = herogen_async.run(spec, run=folder, base_url=server.url, model="m", extend=True)
    assert "done" == report.state
    return folder


def made(folder: Path, out: Path, **options: Any) -> tuple[Assembled, list[dict[str, Any]]]:
    assembled = herogen_async.assemble(folder, out=out, **{"format": "dpo", **options})
    return assembled, [json.loads(line) for line in assembled.data.read_text().splitlines()]


def texts(example: dict[str, Any]) -> tuple[str, ...]:
    return tuple(example[side].removesuffix(" END").strip() for side in ("chosen", "rejected"))


DRAFT, REWRITE = "<say <ask {n}>>", "<mend <say <ask {n}>>>"


def of(n: str, *, better: str, worse: str) -> tuple[str, str]:
    return better.replace("{n}", n), worse.replace("{n}", n)


def test_the_winner_is_chosen_the_loser_rejected_and_a_tie_gives_none(server: FakeServer, tmp_path: Path) -> None:
    """Without a file, and said how many there are; a comparison of an answer that was cut off gives none."""
    assembled, found = made(run(server, tmp_path / "r"), tmp_path / "data")
    assert [of("n0", better=DRAFT, worse=REWRITE), of("n1", better=REWRITE, worse=DRAFT)] == [*map(texts, found)]
    assert ["n0 ->", "n1 ->"] == [each["prompt"] for each in found]
    assert "Comparisons: 2 gave a pair; left out: 2 ties, 1 with only one usable answer." in assembled.lines()
    assert {"pairs": 2, "ties": 2, "single": 1}.items() <= assembled.as_dict()["compared"].items()


def test_kto_has_both_answers_of_each_pair(server: FakeServer, tmp_path: Path) -> None:
    """With their labels."""
    _, found = made(run(server, tmp_path / "r"), tmp_path / "data", format="kto")
    assert [True, False, True, False] == [each["label"] for each in found]
    assert DRAFT.replace("{n}", "n0") in found[0]["completion"]


def test_train_asks_the_question_of_a_pair(server: FakeServer, tmp_path: Path) -> None:
    """Its assistant's text is either of both; the other takes its place in turn."""
    folder = run(server, tmp_path / "r", train={"user": "Q: {question}", "assistant": "A: {rewrite}"})
    _, found = made(folder, tmp_path / "data")
    assert ["Q: <ask n0> ->", "Q: <ask n1> ->"] == [each["prompt"] for each in found]
    assert ("A: <say <ask n0>>", "A: <mend <say <ask n0>>>") == texts(found[0])
    run(server, tmp_path / "r", train={"user": "{n}", "assistant": "{question}"})
    with pytest.raises(InputError, match="the assistant's text in `train` is neither of them"):
        made(folder, tmp_path / "none")


def test_a_row_that_keep_rejects_gives_no_pair(server: FakeServer, tmp_path: Path) -> None:
    """Which is said, too."""
    folder = run(server, tmp_path / "r", keep="verdict.winner == 'rewrite'")
    assembled, found = made(folder, tmp_path / "data")
    assert [of("n1", better=REWRITE, worse=DRAFT)] == [texts(each) for each in found]
    assert any("1 whose better answer the spec's `keep` rejects" in line for line in assembled.lines())


def test_each_sample_is_a_comparison_of_its_own(server: FakeServer, tmp_path: Path) -> None:
    """The text without samples stands in each of them."""
    columns = {**COLUMNS, "rewrite": {**COLUMNS["rewrite"], "samples": 2}}
    number = iter(range(1000))
    server.behaviour = lambda asked: (
        answer(asked, f"<{asked.prompt} {next(number)}>") if asked.prompt.startswith("mend") else said(asked)
    )
    assembled, found = made(run(server, tmp_path / "r", columns), tmp_path / "data")
    assert assembled.compared is not None
    assert (4, 4, 2) == (assembled.compared.pairs, assembled.compared.ties, assembled.compared.single)
    assert ["n0 ->", "n0 ->", "n1 ->", "n1 ->"] == [each["prompt"] for each in found]
    assert 4 == len({each["chosen"] + each["rejected"] for each in found})
    folder = run(server, tmp_path / "r", columns, train={"user": "{question}", "assistant": "{rewrite}"})
    _, trained = made(folder, tmp_path / "trained")
    assert [texts(each) for each in found] == [texts(each) for each in trained]


def test_what_is_unclear_of_a_pair_is_told(server: FakeServer, tmp_path: Path) -> None:
    """Which judge, and which question: each with its fix."""
    other = {"other": {"judge": {"pair": ["draft", "question"], "ask": "Which is longer?"}}}
    server.behaviour = lambda asked: (
        answer(asked, '{"why": "x", "winner": "A"}') if "longer?" in asked.prompt else said(asked)
    )
    folder = run(server, tmp_path / "r", {**COLUMNS, **other})
    with pytest.raises(InputError, match="several columns compare two: verdict and other") as told:
        made(folder, tmp_path / "data")
    assert "--column verdict" in str(told.value.fix)
    assert 2 == len(made(folder, tmp_path / "data", column="verdict")[1])
    with pytest.raises(InputError, match="the prompts of draft and rewrite differ, and a pair has one question"):
        made(folder, tmp_path / "data", column="verdict", ask="prompt")


def test_a_file_of_scores_and_a_best_of_come_first(server: FakeServer, tmp_path: Path) -> None:
    """They say what is better, whatever a judge of two says."""
    folder = run(server, tmp_path / "r")
    scores = tmp_path / "scores.csv"
    scores.write_text("index,score\n99,1\n")
    with pytest.raises(InputError, match=r"none of the .* scores matches"):
        made(folder, tmp_path / "data", ranking=scores)


def test_models_are_compared_by_the_prompt_that_both_were_sent(server: FakeServer, tmp_path: Path) -> None:
    """Two columns with the same prompt have one question."""
    columns = {
        "one": {"prompt": "tell {n}"},
        "two": {"prompt": "tell {n}", "sampling": {"temperature": 0}},
        "verdict": {"judge": {"pair": ["one", "two"]}},
    }
    server.behaviour = lambda asked: (
        answer(asked, json.dumps({"why": "x", "winner": "B" if "A:\n[None]" in asked.prompt else "A"}))
        if asked.prompt.startswith("Which")
        else answer(asked, f"[{asked.body.get('temperature')}] {asked.prompt}")
    )
    folder = run(server, tmp_path / "r", columns)
    assembled, found = made(folder, tmp_path / "data", ask="prompt")
    assert assembled.compared is not None
    assert 5 == assembled.compared.pairs == len(found)
    assert {"tell n0 ->", "tell n4 ->"} <= {each["prompt"] for each in found}
    assert all(each["chosen"].startswith(" [0") for each in found)
