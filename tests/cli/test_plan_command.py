"""`plan`: what a run would keep, ask and cost, before anything is written or sent."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herogen_async.cli.plan_command import plan_lines
from herogen_async.core.codec import dumps
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.core.limits import Limits
from herogen_async.generation.forecast.forecast import Forecast
from herogen_async.generation.forecast.look_ahead import forecast_of
from herogen_async.generation.run_folder import read_manifest, record_event, write_manifest
from herogen_async.generation.settings import RUN_SETTINGS, ServerChoice, Settings, changed_settings
from herogen_async.specs.plan import Estimate, Estimator, Observed, Plan, mean_prompt_tokens
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer
from support.run_folders import AT, MODEL, WrittenRun
from support.runs import herogen, last_json, small_spec, write_spec

OLD = small_spec(values=2)  # 8 tasks
MORE = OLD.replace(attributes={"age": ["21", "5", "20"], "gender": ["woman", "man"]})  # 12


def look(spec: Spec | None, run: Path | None, *, choice: ServerChoice | None = None, **settings: Any) -> Forecast:
    return forecast_of(spec, run, choice=choice or ServerChoice(), settings=settings)


def counts(found: Forecast) -> tuple[int, int, int, int, int]:
    """kept, new, stale, failed, unused"""
    told = found.as_dict()
    return told["kept"], told["new"]["requests"], told["stale"]["requests"], told["failed"], told["unused"]


def next_of(*arguments: str | Path) -> str:
    """The command that `plan` says is next."""
    return str(last_json(herogen("plan", *arguments, "--json", cwd=Path.cwd()).stdout)["next"])


@pytest.fixture
def begun(tmp_path: Path) -> WrittenRun:
    """Five of eight tasks are answered, one was given up."""
    run = WrittenRun(tmp_path / "r", OLD)
    run.write(run.answer(index, "a hero") for index in range(5))
    run.fail([run.failure(6, "refused")])
    return run


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HEROGEN_MODEL"):
        monkeypatch.delenv(name, raising=False)


# -- what would be kept --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "told", "changed"),
    [
        (OLD, (5, 2, 0, 1, 0), ""),
        (OLD.replace(name="another", sub_prompt="{age}"), (5, 2, 0, 1, 0), ""),
        (MORE, (5, 6, 0, 1, 0), "the attributes ('age' has 1 more)"),
        (OLD.replace(repeats=1), (3, 0, 0, 1, 2), "the repeats (2 to 1)"),
        (MORE.replace(prompt="{age}{gender}"), (0, 7, 5, 0, 0), "'age' has 1 more), the prompt"),
        (OLD.replace(model="other"), (0, 3, 5, 0, 0), f"the model ({MODEL!r} to 'other')"),
    ],
    ids=["nothing", "not sent", "a value", "fewer repeats", "prompt and a value", "model"],
)
def test_p7_plan_says_what_is_kept_new_and_stale(
    begun: WrittenRun, spec: Spec, told: tuple[int, ...], changed: str
) -> None:
    """The plan counts kept, new, stale, failed and surplus answers and names exactly what changed in the spec."""
    found = look(spec, begun.path)
    assert told == counts(found)
    assert changed in ", ".join(found.changes)
    assert bool(changed) == bool(found.changes) == ("--extend" in found.flags)


def test_p7_plan_writes_nothing_sends_nothing_and_needs_no_key(begun: WrittenRun, tmp_path: Path) -> None:
    """`plan` reports kept and new requests without a key, sends nothing, and leaves the run folder untouched."""
    write_manifest(begun.folder, replace(read_manifest(begun.folder), base_url="https://api.example.com/v1"))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in begun.path.iterdir()}
    file = write_spec(tmp_path, MORE)
    planned = herogen("plan", file, begun.path, cwd=tmp_path)
    assert 0 == planned.returncode, planned.stderr
    for line in ("= 6 cells, 2 answers each: 12 rows.", "Kept: 5 answers", "New: 6 requests", "Failed: 1 row;"):
        assert line in planned.stdout
    asked = f"--run {begun.path} --base-url https://api.example.com/v1 --model {MODEL}"
    assert f"Next: herogen-async run {file} {asked} --extend\n" in planned.stderr
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in begun.path.iterdir()}


def test_a_run_alone_is_planned_as_it_would_be_resumed(begun: WrittenRun, tmp_path: Path) -> None:
    """Without a spec, `plan` shows what `resume` would do and offers no second command for stale answers."""
    planned = herogen("plan", begun.path, "--json", cwd=tmp_path)
    told = last_json(planned.stdout)
    assert (5, 2, 8, MODEL) == (told["kept"], told["new"]["requests"], told["tasks"], told["model"])
    assert (f"herogen-async resume {begun.path}", None) == (told["next"], told["next_asking_stale"])


def test_the_next_command_says_all_that_was_planned_with(begun: WrittenRun, tmp_path: Path) -> None:
    """The `Next:` command repeats every option the plan was made with, including the limit held by the run."""
    given = ["--limit", "6", "--concurrency", "auto", "--rpm", "1234567", "--window", "0.5s", "--price", "1,10"]
    given += ["--budget", "2.5"]
    words = "--limit 6 --price 1,10"
    write_manifest(begun.folder, replace(read_manifest(begun.folder), settings=Settings(limit=7)))
    assert " --model other --limit 7 --extend" in next_of(begun.path, "--model", "other")
    assert f"herogen-async resume {begun.path} {words}" == next_of(begun.path, "--price", "1,10", "--limit", "6")
    command = next_of(write_spec(tmp_path, OLD), begun.path, *given)
    rest = "--concurrency auto --rpm 1234567 --window 0.5 --limit 6 --budget 2.5 --price 1,10"
    assert command.endswith(f" --base-url http://127.0.0.1:1/v1 --model {MODEL} {rest}")
    assert "herogen-async run --model embedded --limit 3" == next_of("--model", "embedded", "--limit", "3")


def test_the_next_command_keeps_the_settings_that_columns_have_of_their_own(tmp_path: Path) -> None:
    """What a run has and what is planned with are given again, to be read as the same settings."""
    spec = Spec(
        name="lanes",
        attributes={"n": ["1", "2"]},
        columns={"question": {"prompt": "ask {n}"}, "judge": {"prompt": "grade {question}", "model": "j"}},
    )
    run = WrittenRun(tmp_path / "r", spec)
    own = {"judge": {"rpm": 100.0, "concurrency": 4, "tpm": None}}
    held = Settings(rpm=500.0, tpm=1e6, price="1,2", by_column=own)
    write_manifest(run.folder, replace(read_manifest(run.folder), settings=held))
    words = "--concurrency judge=4 --rpm 500 --rpm judge=100 --tpm 1000000 --tpm judge=none --price 1,2"
    assert next_of(run.path, "--model", "other").endswith(
        f" SPEC --run {run.path} --base-url http://127.0.0.1:1/v1 --model other {words} --extend"
    )
    assert f"herogen-async resume {run.path} --rpm judge=90" == next_of(run.path, "--rpm", "judge=90")
    more = next_of(run.path, "--model", "other", "--rpm", "judge=90", "--price", "judge=3,4")
    assert "--rpm 500 --rpm judge=90 " in more
    assert more.endswith("--price 1,2 --price judge=3,4 --extend")
    read: dict[str, Any] = {}
    typed = shlex.split(words)
    for flag, text in zip(typed[::2], typed[1::2], strict=True):
        read.setdefault(flag, []).append(text)
    options = {each.name: each.read("\n".join(read[each.flag])) for each in RUN_SETTINGS.values() if each.flag in read}
    assert held == changed_settings(Settings(), options)


def test_an_embedded_run_continues_with_its_own_weights(begun: WrittenRun, tmp_path: Path) -> None:
    """The next command for a run of the embedded model names the weights file recorded in its manifest."""
    held = read_manifest(begun.folder)
    write_manifest(begun.folder, replace(held, base_url=None, weights={"file": "/a b.gguf", "sha256": "0" * 64}))
    assert next_of(write_spec(tmp_path, MORE), begun.path).endswith("--model '/a b.gguf' --extend")


def test_plan_with_stale_answers_also_offers_to_regenerate_them(begun: WrittenRun, tmp_path: Path) -> None:
    """Where answers are stale, plan also offers the command that requests them again."""
    file = write_spec(tmp_path, OLD.replace(prompt="{age}{gender}"))
    told = last_json(herogen("plan", file, begun.path, "--json", cwd=tmp_path).stdout)
    assert told["next"].endswith("--extend")
    assert f"{told['next']} --regenerate-stale" == told["next_asking_stale"]
    said = herogen("plan", file, begun.path, cwd=tmp_path).stderr
    assert f"Or, to request the stale ones again: {told['next_asking_stale']}" in said


def test_plan_refuses_the_endpoint_that_run_refuses(begun: WrittenRun) -> None:
    """An unknown endpoint is refused by `plan` with the same error that `run` gives."""
    with pytest.raises(InputError, match="unknown endpoint 'bogus'"):
        look(None, begun.path, choice=ServerChoice(endpoint="bogus"))


def test_one_is_not_said_in_the_plural(tmp_path: Path) -> None:
    """A single cell, task or request is written in the singular."""
    one = Spec(name="s", attributes={"a": ["1"]}, prompt="{a}")
    told = "\n".join(plan_lines(look(one, None, limit=1)))
    assert "= 1 cell: 1 row." in told
    assert "New: 1 request, " in told


def test_a_limit_counts_only_the_first_tasks(begun: WrittenRun) -> None:
    """With a limit, only the first tasks in grid order are counted as kept, new or failed."""
    assert (5, 1, 0, 1, 0) == counts(look(OLD, begun.path, limit=6))
    assert 3 == look(OLD, None, limit=3).new.requests


@pytest.mark.parametrize("was_embedded", [True, False])
def test_p7_a_server_and_the_embedded_model_are_not_one_run(begun: WrittenRun, was_embedded: bool) -> None:
    """A run begun on a server can't continue on the embedded model, nor the other way round."""
    choice = ServerChoice(model="embedded")
    if was_embedded:
        choice = ServerChoice("http://127.0.0.1:1/v1", model=MODEL)
        held = read_manifest(begun.folder)
        write_manifest(begun.folder, replace(held, base_url=None, weights={"file": "embedded", "sha256": "0" * 64}))
        assert (5, 2, 0, 1, 0) == counts(look(OLD, begun.path))
    with pytest.raises(RunFolderError, match="the weights changed"):
        look(OLD, begun.path, choice=choice)


def test_a_grid_of_10_to_the_12_cells_is_planned_without_a_walk(tmp_path: Path) -> None:
    """Planning an extension of a 10^12-cell grid takes exact counts from arithmetic, not from iteration."""
    thousand = [str(number) for number in range(1000)]
    spec = Spec(name="s", attributes=dict.fromkeys("abcd", thousand), prompt="{a} {b} {c} {d}")
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(10**11, "x")])
    more = spec.replace(attributes={**dict.fromkeys("abc", thousand), "d": [*thousand, "more"]}, repeats=2)
    assert (1, 2 * 1001 * 10**9 - 1, 0, 0, 0) == counts(look(more, tmp_path))


# -- what it would take --------------------------------------------------------------------------------------------


def test_plan_estimates_tokens_but_invents_no_time_or_price() -> None:
    """Plan estimates tokens; time and price stay unknown when there is nothing to derive them from."""
    told = look(OLD, None, choice=ServerChoice("http://127.0.0.1:1/v1")).as_dict()
    assert {
        "requests": 8,
        "prompt_tokens": 120,  # a quarter of 28 bytes, and 8, of each of 8
        "answer_tokens_most": 400,
        "answer_tokens": None,
        "at_least_s": None,
        "time_is_known": False,
        "usd": None,
        "usd_most": None,
    } == told["new"]
    assert (None, None, None) == (told["price"], told["model"], told["run"])


def test_estimates_use_observed_figures_and_a_price_by_hand(begun: WrittenRun) -> None:
    """Estimates use the run's own token counts, latency and concurrency, and a price given by hand."""
    record_event(begun.folder, "stopped", at=AT, latency_ms={"p50": 2000.0}, concurrency=2)
    found = look(MORE, begun.path, price="1,10", concurrency=3, rpm=600.0)
    assert (66, 300, 4.0, True) == (
        found.new.answer_tokens,
        found.new.answer_tokens_most,
        found.new.at_least_s,
        found.new.time_is_known,
    )
    prompt = found.new.prompt_tokens
    assert found.usd(found.new) == pytest.approx(((prompt + 660) / 1e6, (prompt + 3000) / 1e6))
    assert 12.0 == look(MORE, begun.path, rpm=30.0).new.at_least_s, "a limit that takes longer than the latency"
    assert 6.0 == look(MORE, begun.path, concurrency="auto").new.at_least_s, "as many in flight as it had found out"


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (Limits(rpm=60), 100.0),
        (Limits(tpm=600), 300.0),
        (Limits(rpm=60, tpm=600), 300.0),
        (Limits(input_tpm=600), 100.0),
        (Limits(output_tpm=600), 200.0),
        (Limits(rpd=100), 86_400.0),
        (Limits(tpd=3000), 86_400.0),
        (Limits(), None),
    ],
    ids=str,
)
def test_the_limit_that_takes_longest_says_how_long_it_takes(limits: Limits, seconds: float | None) -> None:
    """The duration is that of the limit that takes longest, and unknown when no limit is set."""
    estimator = Estimator(10.0, 20, Observed(), limits, 16)
    assert Estimate(100, 1000, 2000, None, seconds, False) == estimator.of(100)


def test_an_estimated_answer_is_never_longer_than_its_limit() -> None:
    """The estimated answer length is the observed one, capped at the most tokens the spec allows."""
    assert 200 == Estimator(10.0, 20, Observed(answer_tokens=50.0), Limits(), None).of(10).answer_tokens
    assert 500 == Estimator(10.0, None, Observed(answer_tokens=50.0), Limits(), None).of(10).answer_tokens


def test_a_sample_of_a_large_grid_has_the_mean_of_all_of_it() -> None:
    """The last attribute alone decides, with a period that a sample of equal steps would meet again and again."""
    values = ["x" * (1 + number) for number in range(100)]
    attributes = {"a": [str(n) for n in range(1000)], "b": values}
    plan = Plan(Spec(name="s", attributes=attributes, prompt="{b}{a}"), endpoint="completions", model="m")
    exact = 50.5 + sum(len(str(n)) for n in range(1000)) / 1000
    assert mean_prompt_tokens(plan, lambda text: float(len(text))) == pytest.approx(exact, rel=0.01)


def test_plan_says_which_seeds_the_repeats_have() -> None:
    """What the answers of a cell differ in is said before they are paid."""
    spec = small_spec(values=2, repeats=3, sampling={"max_tokens": 5, "seed": 7})
    lines = list(plan_lines(look(spec, None)))
    assert "Seeds: one for each repeat (seed 7 to 9)." in lines


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_show_shows_the_bodies_that_are_sent(tmp_path: Path, endpoint: str) -> None:
    """Byte for byte what the server gets, seeds of the repeats and system text included."""
    spec = small_spec(values=2, sampling={"seed": 7, "max_tokens": 9}, system="You know {age}.", endpoint="chat")
    spec = spec if endpoint == "chat" else spec.replace(system=None, endpoint="completions")
    path = write_spec(tmp_path, spec)
    with FakeServer() as server:
        server_options = ("--base-url", server.url, "--model", "m")
        told = herogen("plan", path, *server_options, "--show", "99", "--json", cwd=tmp_path).stdout
        assert [] == server.asked
        assert 0 == herogen("run", path, *server_options, cwd=tmp_path).returncode
        sent = [dumps(asked.body) for asked in server.asked]
    shown = last_json(told)["previews"]
    assert sorted(sent) == sorted(dumps(each["body"]) for each in shown)
    assert list(range(8)) == [each["index"] for each in shown]


def test_the_embedded_model_costs_nothing(tmp_path: Path) -> None:
    """Its price is not unknown: nobody is told to find one out. A price by hand is taken as anywhere."""
    told = herogen("plan", cwd=tmp_path).stdout
    assert "no cost" in told
    assert "rice" not in told
    assert "Price: 0.4 / 1.6 USD" in herogen("plan", "--price", "0.4,1.6", cwd=tmp_path).stdout


@pytest.mark.parametrize("has_columns", [False, True])
def test_show_says_what_cannot_be_rendered(tmp_path: Path, has_columns: bool) -> None:
    """Before anything is paid, for people and for programs; with the text as the spec has it."""
    prompt = "{% if level == 'easy' %}ask{% endif %}"
    texts = {"columns": {"a": {"prompt": prompt}, "b": {"prompt": "{{ a }}"}}} if has_columns else {"prompt": prompt}
    path = tmp_path / "a.yaml"
    path.write_bytes(dumps({"name": "a", "template": "jinja", "attributes": {"level": ["easy", "hard"]}, **texts}))
    told = herogen("plan", path, "--show", "2", cwd=tmp_path)
    assert 1 == told.stdout.count("Not requested: the prompt is empty with this row's values")
    rows = last_json(herogen("plan", path, "--show", "2", "--json", cwd=tmp_path).stdout)["previews"]
    assert ["the prompt is empty with this row's values"] == [row["failure"] for row in rows if "failure" in row]
    assert all((prompt == row["prompt"]) == ("failure" in row) for row in rows)


def test_show_spreads_over_the_plan_and_tells_each_text(tmp_path: Path) -> None:
    """Not only the first cell's; without --show none is shown."""
    path = write_spec(tmp_path, small_spec(values=10, repeats=1))
    told = herogen("plan", path, "--show", "2", cwd=tmp_path).stdout
    assert "\nRow 0 (age 20, gender man)\n  Prompt:\n    Describe a 20-year-old man.\n" in told
    assert "\nRow 19 (age 29, gender woman)\n" in told
    assert (
        '  Body: {"model": "...", "stream": false, "max_tokens": 50, "prompt": "Describe a 29-year-old woman."}' in told
    )
    without = herogen("plan", path, cwd=tmp_path).stdout
    assert "Row 0" not in without
    assert "cost unknown" in without
    assert "previews" not in last_json(herogen("plan", path, "--json", cwd=tmp_path).stdout)
