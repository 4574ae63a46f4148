"""Numbers at the edges of what a machine holds: each option says which of its ends was missed, and none ends a command.

A table of settings or options that grows is covered by itself.
"""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.errors import InputError
from herogen_async.core.options import Option, changed_options
from herogen_async.generation.control import Command
from herogen_async.generation.control.protocol import command_from
from herogen_async.generation.run_folder import RunFolder, read_manifest
from herogen_async.generation.settings import RUN_SETTINGS, Settings, changed_settings, check_settings
from herogen_async.lab.simulator import Policy
from herogen_async.tune.options import FINETUNE_OPTIONS
from support.fake_server import FakeServer
from support.runs import assert_exact_grid, herogen, small_spec, write_spec

TOO_LARGE = ("9223372036854775808", "18446744073709551616", "99999999999999999999", "1e308", "inf", "1" + 400 * "0")
TOO_SMALL = ("0", "-1", "-1e308", "-9223372036854775809", "nan", "", "0x10")
NUMBERS = {name: each for name, each in RUN_SETTINGS.items() if each.kind.parsed_as in (int, float)}
SPEC = small_spec(values=2, repeats=1)


def refused(*words: str | Path, cwd: Path) -> str:
    """The fix that a refusal with code 2 tells, and no more than sentences."""
    told = herogen(*words, cwd=cwd)
    assert 2 == told.returncode, told.stderr
    assert "Traceback" not in told.stderr
    return told.stderr


@pytest.mark.parametrize("command", ["run", "resume", "plan"])
@pytest.mark.parametrize("option", NUMBERS.values(), ids=lambda option: str(option.name))
def test_each_setting_names_the_end_that_a_number_misses(tmp_path: Path, option: Option, command: str) -> None:
    """Whatever number is given, a setting takes it or says whether to give less or more; nothing is asked."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m", "--run", "r")
        herogen(*run, "--limit", "1", cwd=tmp_path)
        start = {"run": run, "resume": ("resume", "r"), "plan": ("plan", *run[1:6])}[command]
        known = herogen(*start, f"{option.flag}=1", "--help", cwd=tmp_path).stdout
        if f"{option.flag} " not in known:
            pytest.skip("not an option of this command")
        asked = len(server.asked)
        for text in TOO_LARGE:
            told = refused(*start, f"{option.flag}={text}", cwd=tmp_path)
            assert "above zero" not in told
            assert "give at most " in told or "valid integer" in told or "valid number" in told
        for text in (*TOO_SMALL, "5e-324"):
            told = refused(*start, f"{option.flag}={text}", cwd=tmp_path)
            assert "at most" not in told
        assert asked == len(server.asked)


@pytest.mark.parametrize("option", [*NUMBERS.values(), *FINETUNE_OPTIONS.values()], ids=lambda option: str(option.name))
def test_python_meets_the_same_ends(option: Option) -> None:
    """Numbers that only Python can give, of thousands of digits too, are refused in a sentence or fit into JSON."""
    for value in (10**400, 10**5000, -(10**5000), 2**64, 1e308, math.inf, math.nan, 5e-324, 0, -1, True):
        refusal = None
        try:
            option.check(value)
        except InputError as error:
            refusal = error
        if refusal is None:
            json.dumps(value, allow_nan=False)
            assert isinstance(value, bool) or abs(value) < 2**63
        else:
            assert len(refusal.message) < 300
            assert refusal.fix is not None


@pytest.mark.parametrize("end", ["least", "most"])
@pytest.mark.parametrize("option", NUMBERS.values(), ids=lambda option: str(option.name))
def test_a_run_works_at_both_ends_of_each_setting(tmp_path: Path, option: Option, end: str) -> None:
    """What a setting takes, at its ends too, overflows nothing: not a date, not a wait and no report."""
    value: Any = getattr(option.kind, end) or 1
    least_time = end == "least" and option.kind.parsed_as is float
    with FakeServer() as server:
        words = [f"{option.flag}={int(value) if option.kind.parsed_as is int else value!r}"]
        words += ["--price", "1,1"] if option.name == "budget_usd" else []
        words += [] if option.name == "run_timeout_s" else ["--run-timeout", "0.5" if least_time else "60"]
        words += ["--max-attempts", "1"] if option.name == "timeout_s" and least_time else []
        run: tuple[str | Path, ...] = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m")
        told = herogen(*run, "--json", *words, cwd=tmp_path)
        assert told.returncode in (0, 1, 3), told.stderr
        again = herogen("status", "small", "--json", cwd=tmp_path)
        assert 0 == again.returncode, again.stderr
        if end == "most":
            assert_exact_grid(tmp_path / "runs/small", SPEC)
    settings = read_manifest(RunFolder(tmp_path / "runs/small")).settings
    assert value == changed_options(RUN_SETTINGS, settings).get(option.name, option.default)


@pytest.mark.parametrize("value", ["1e400", "-0", "18446744073709551616", "1" + 400 * "0", "NaN", "1e308", "5e-324"])
@pytest.mark.parametrize("name", ["rpm", "tpm", "concurrency"])
def test_a_number_over_the_control_socket_is_a_sentence(name: str, value: str) -> None:
    """Whatever a client writes, the run refuses it; NaN, which is no JSON, is not taken for "no limit"."""
    line = f'{{"v":1,"do":"set","settings":{{"{name}":{value}}}}}'.encode()
    with contextlib.suppress(InputError):
        command_from(line)
        pytest.fail("it was taken")
    with pytest.raises(InputError):
        Command("set", {name: math.inf}).line()


@pytest.mark.parametrize("text", [*TOO_LARGE, *TOO_SMALL, "5e-324"])
@pytest.mark.parametrize("setting", ["rpm", "tpm", "concurrency"])
def test_ctl_refuses_what_no_setting_takes(tmp_path: Path, setting: str, text: str) -> None:
    """Before a run is looked for."""
    refused("ctl", "no-such-run", "set", f"{setting}={text}", cwd=tmp_path)


@pytest.mark.parametrize("text", [*TOO_LARGE, "-1", "nan", "5e-324"])
def test_commands_beside_the_run_have_ends_too(tmp_path: Path, text: str) -> None:
    """`bench`, `show`, `assemble` and `query` take a number or say what to give."""
    with FakeServer() as server:
        herogen("run", write_spec(tmp_path, SPEC), "--run", "r", "--base-url", server.url, "--model", "m", cwd=tmp_path)
        virtual = ("bench", "small.json", "--virtual", "--rpm", "600", "--rows", "4")
        tried: list[tuple[str, ...]] = [
            (*virtual, f"{name}={text}") for name in ("--tpm", "--latency-ms", "--slots", "--concurrency")
        ]
        tried += [("bench", "small.json", "--virtual", "--rpm", "600", f"--rows={text}")]
        tried += [("show", "r", f"--rows={text}"), ("assemble", "r", f"--split={text}")]
        tried += [("assemble", "r", "--split=0.5", f"--seed={text}")]
        asking = ("query", "m", "hi", "--base-url", server.url)
        tried += [(*asking, f"{name}={text}") for name in ("--samples", "--seed", "--max-tokens", "--temperature")]
        for words in tried:
            told = herogen(*words, cwd=tmp_path)
            assert told.returncode in (0, 2), (words, told.stderr)
            assert "Traceback" not in told.stderr


@pytest.mark.parametrize("value", [10**400, 2**64, 1e308, math.inf, math.nan, -1, 0])
def test_a_simulated_server_takes_no_number_that_would_overflow(value: Any) -> None:
    """A limit, a delay or a number of slots that means nothing is refused when the server is described."""
    for name in ("rpm", "tpm", "rpd", "slots"):
        with pytest.raises(InputError) as error:
            Policy(**{name: value})
        assert error.value.fix is not None
    if value != 0:
        with pytest.raises(InputError):
            Policy(jitter_ms=value)


@pytest.mark.parametrize(
    "more",
    [
        {"repeats": 2**63},
        {"repeats": 10**400},
        {"repeats": -1},
        {"sampling": {"max_tokens": 2**64}},
        {"sampling": {"max_tokens": 10**400}},
        {"sampling": {"temperature": 1e308}},
        {"sampling": {"top_p": 5e-324}},
        {"sampling": {"seed": 2**64}},
        {"sampling": {"seed": -(10**400)}},
        {"sampling": {"frequency_penalty": -1e308}},
        {"attributes": {"age": [10**400], "gender": ["man", "woman"]}},
        {"attributes": {"age": [1e308], "gender": ["man", "woman"]}},
    ],
    ids=lambda more: str(more)[:50],
)
def test_numbers_of_a_spec_are_sent_or_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    """What a request can hold is sent as it is written; anything else is refused with its line."""
    spec = {**small_spec(values=1, repeats=1).as_dict(), **more}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec, indent=1))
    with FakeServer() as server:
        run = ("run", path, "--base-url", server.url, "--model", "m", "--limit", "2")
        for words in (run, ("plan", *run[1:6])):
            told = herogen(*words, cwd=tmp_path)
            assert told.returncode in (0, 2), told.stderr
            assert "Traceback" not in told.stderr
            assert told.returncode == 0 or "spec.json:" in told.stderr


def test_a_limit_past_the_grid_is_the_whole_grid(tmp_path: Path) -> None:
    """A limit that no grid reaches asks every row, and a resume goes on with it."""
    with FakeServer() as server:
        run = ("run", write_spec(tmp_path, SPEC), "--base-url", server.url, "--model", "m")
        assert 0 == herogen(*run, "--limit", "999999999999999", cwd=tmp_path).returncode
        assert 0 == herogen("resume", "small", cwd=tmp_path).returncode
    assert_exact_grid(tmp_path / "runs/small", SPEC)


def test_settings_of_an_older_run_beyond_the_ends_are_told(tmp_path: Path) -> None:
    """A manifest that holds a number which today is refused is a sentence that names the option."""
    with pytest.raises(InputError, match="rpm can't be 1e\\+300"):
        check_settings(changed_settings(Settings(), {"rpm": 1e300}))
