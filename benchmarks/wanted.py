"""SIGKILL in a run that wants so many accepted rows: are they the same ones, and does the budget hold?

    python benchmarks/wanted.py [--wanted 500] [--kills 5] [--seed 1] [--json FILE]

A judge of seven points accepts one of them, about 14 % of the answers of a simulated server, whose answers follow from
the prompts. One run is left alone. Another one is killed so often, each time after a random part of its way, and
resumed; it has a budget that it needs nearly all of. Both are assembled, and their examples compared.

Violations: other examples, or another number; an answer that was paid twice beyond what was in flight; more money than
the budget. Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import herogen_async

POINTS = 7
PRICE = "1,2"  # USD per million tokens
CONCURRENCY = 32
MOST_TOKENS = 600  # of an answer


def spec(wanted: int) -> dict[str, Any]:
    """A story, and a grade of 1 to 7 of which one is accepted."""
    return {
        "name": "wanted",
        "attributes": {"n": [f"hero {number}" for number in range(40 * wanted)]},
        "endpoint": "chat",
        "model": "simulated",
        "sampling": {"max_tokens": MOST_TOKENS},
        "columns": {
            "story": {"prompt": "A story about {n}."},
            "verdict": {"judge": {"of": "story", "scale": {point: f"grade {point}" for point in range(1, POINTS + 1)}}},
        },
        "keep": f"verdict.score == {POINTS}",
        "want": {"accepted": wanted, "at_most": 30 * wanted},
    }


@contextlib.contextmanager
def simulator() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    words = [sys.executable, "-m", "herogen_async", "simulate", "--latency-ms", "20"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def command(path: Path, folder: Path, url: str, budget: float | None) -> list[str]:
    """`run`, with so many USD."""
    money = [] if budget is None else ["--budget", f"{budget:.9f}"]
    words = ["run", str(path), "--run", str(folder), "--base-url", url, "--price", PRICE, *money]
    return [sys.executable, "-m", "herogen_async", *words, "--concurrency", str(CONCURRENCY), "--json", "--quiet"]


def examples(folder: Path) -> list[str]:
    """The lines of its data set."""
    assembled = herogen_async.assemble(folder, format="messages", out=folder.parent / f"{folder.name}-dataset")
    return assembled.data.read_text().splitlines()


def lines(folder: Path) -> int:
    """Answers in its journal, whole ones."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("rows-*.jsonl"))


def faults(place: Path, url: str, wanted: int, kills: int, chance: random.Random) -> Iterator[str | dict[str, Any]]:
    """What is wrong, and at last the figures."""
    path = place / "wanted.json"
    path.write_text(json.dumps(spec(wanted)))
    alone = place / "alone"
    ended = subprocess.run(command(path, alone, url, None), capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout.splitlines()[-1])
    killed, paid = place / "killed", 0
    # What is in flight at a kill may have been charged, and is counted so: as many tokens as are allowed, at most.
    budget = told["cost"] * 1.15 + kills * CONCURRENCY * (MOST_TOKENS * 2 + 600) / 1e6
    for number in range(1, kills + 1):
        until = chance.uniform(number - 0.5, number) / (kills + 1) * lines(alone)
        child = subprocess.Popen(
            command(path, killed, url, budget), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while lines(killed) < until and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        if child.wait() == 0:
            yield f"kill {number} came too late"
        paid = lines(killed)
    ended = subprocess.run(command(path, killed, url, budget), capture_output=True, text=True, check=False)
    end = json.loads(ended.stdout.splitlines()[-1])
    if (ended.returncode, end["state"], end["accepted"]) != (0, "done", wanted):
        yield f"it ended with {ended.returncode}, {end['state']}, {end['accepted']} accepted: {end['reason']}"
    if end["cost"] > budget:
        yield f"it cost {end['cost']} of {budget} USD"
    one, other = examples(alone), examples(killed)
    if len(one) != wanted:
        yield f"{len(one)} examples, and not {wanted}"
    if one != other:
        yield f"{len(set(one) ^ set(other))} examples differ"
    yield {
        "wanted": wanted,
        "kills": kills,
        "accepted_pct": round(100 * told["outcomes"]["accepted"] / told["done"], 1),
        "rows_alone": told["done"],
        "rows_killed": end["done"],
        "lines_at_last_kill": paid,
        "beyond": end["outcomes"]["accepted"] - wanted,
        "begun_in_vain": end["columns"]["story"]["done"] - end["done"],
        "cost_pct_of_budget": round(100 * end["cost"] / budget, 1),
    }


def main() -> int:
    """Print the figures and what is wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--wanted", type=int, default=500)
    options.add_argument("--kills", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="herogen-wanted-") as place, simulator() as url:
        found = list(faults(Path(place), url, given.wanted, given.kills, random.Random(given.seed)))
    figures = found.pop()
    assert isinstance(figures, dict)
    for name, value in figures.items():
        print(f"{name:20} {value}")
    for fault in found:
        print(f"violation: {fault}")
    if given.json is not None:
        given.json.write_text(json.dumps({**figures, "violations": found}, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
