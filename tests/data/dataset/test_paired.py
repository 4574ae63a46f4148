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
    for assistant, says in (("{question}", "is neither of them"), ("{draft} or {rewrite}", "holds both")):
        run(server, tmp_path / "r", train={"user": "{n}", "assistant": assistant})
        with pytest.raises(InputError, match=f"the assistant's text in `train` {says}"):
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
    with pytest.raises(InputError, match="needs --ranking FILE") as told:
        made(folder, tmp_path / "data", column="draft")
    assert "or take the pairs that verdict compares: --column verdict" in str(told.value.fix)
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


def ab_judge(server: FakeServer, folder: Path, columns: dict[str, Any], *, winners: str, **changes: Any) -> Path:
    """A run of two columns that the prompts `a n0` and `b n0` ask; `winners` are of a row's comparisons in turn."""
    asked_before: dict[str, int] = {}

    def judging(asked: Asked) -> Reply:
        number = asked_before[asked.prompt] = asked_before.get(asked.prompt, -1) + 1
        if not asked.prompt.startswith("A ["):
            return answer(asked, f"<{asked.prompt} {number}>")
        number += int(" 1>" in asked.prompt)  # of a text's second sample
        first = "a" if asked.prompt.startswith("A [<a") else "b"
        return answer(asked, json.dumps({"why": "so", "winner": "A" if winners[number] == first else "B"}))

    server.behaviour = judging
    spec = Spec(name="ab", attributes={"n": ["n0"]}, columns=columns, **changes)
    herogen_async.run(spec, run=folder, base_url=server.url, model="m", extend=True, concurrency=1)
    return folder


AB: dict[str, Any] = {
    "a": {"prompt": "a {n}"},
    "b": {"prompt": "b {n}"},
    "v": {"judge": {"pair": ["a", "b"]}, "prompt": "A [{a}] B [{b}]"},
}


@pytest.mark.parametrize("sampled", ["a", "b"])
def test_keep_decides_each_comparison(server: FakeServer, tmp_path: Path, sampled: str) -> None:
    """Whichever column wins: also one without samples, whose text stands in all comparisons."""
    both = {name: {"prompt": f"{name} {{n}}", "samples": 2 if name == sampled else 1} for name in ("a", "b")}
    folder = ab_judge(server, tmp_path / "r", {**AB, **both}, winners="ab", keep="v.winner == 'a'")
    assembled, found = made(folder, tmp_path / "data")
    assert assembled.compared is not None
    assert [("<a", "<b")] == [tuple(text[:2] for text in texts(each)) for each in found]
    assert 1 == assembled.compared.rejected


def test_samples_of_a_judge_of_the_same_texts_vote(server: FakeServer, tmp_path: Path) -> None:
    """One pair of both, by what most of them say and not the same one thrice; `keep` goes by the majority."""
    columns = {**AB, "v": {**AB["v"], "samples": 3}}
    folder = ab_judge(server, tmp_path / "r", columns, winners="abb")
    assembled, found = made(folder, tmp_path / "data")
    assert [("<b n0 0>", "<a n0 0>")] == [texts(each) for each in found]
    assert any("by v (most of 3 samples)" in line for line in assembled.lines())
    for keep, kept in (("v.winner == 'a'", 0), ("v.winner == 'b'", 1)):
        ab_judge(server, folder, columns, winners="abb", keep=keep)
        assert kept == len(made(folder, tmp_path / "data")[1])


def test_votes_that_are_even_are_a_tie(server: FakeServer, tmp_path: Path) -> None:
    """They give no pair."""
    columns = {**AB, "v": {**AB["v"], "samples": 2}}
    assembled, found = made(ab_judge(server, tmp_path / "r", columns, winners="ab"), tmp_path / "data")
    assert assembled.compared is not None
    assert ([], 1) == (found, assembled.compared.ties)
