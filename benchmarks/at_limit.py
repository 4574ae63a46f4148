"""How near to its limit does a run come, and how often is it refused? Real runs, real sockets, real time.

    python benchmarks/at_limit.py [--part known] [--part tokens] [--part headers] [--part blind] [--json FILE]

Every case is a run of its own against a simulated server of its own, with its journal on disk; seven of them run at
once. The servers live in one process, the runs in another. What a server granted and refused is its own count, second
by second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openai  # noqa: F401 - loaded now: in the middle of seven runs it would stop them all for half a second

from herogen_async.generation.session import arun
from herogen_async.lab.simulator import Answers, Latency, Policy, serve
from herogen_async.specs.spec import Spec

KINDS = ("bucket-minute", "bucket-second", "window-second", "sliding-minute", "window-minute")
AT_ONCE = 7  # on a machine with two cores, where the server needs one of them
SPARE_S = 12  # of rows more than the seconds that are measured take


@dataclass(frozen=True)
class Case:
    """One run: its server, how it is started, which seconds are measured, and what would be permitted a second."""

    name: str
    policy: dict[str, Any]
    options: dict[str, Any]
    per_s: float
    seconds: int
    first_s: int = 2  # a run's own first seconds, with its imports and connections, are not what is measured
    max_tokens: int = 50

    def measured(self, stats: dict[str, Any]) -> dict[str, Any]:
        accepted = stats["accepted_per_s"][: self.first_s + self.seconds]
        refused = sum(stats["refused_per_s"])
        granted = sum(accepted[self.first_s :])
        permitted = self.per_s * self.seconds
        return {
            "case": self.name,
            "of_the_limit_pct": round(100 * granted / permitted, 2),
            "refused": refused,
            "refused_pct": round(100 * refused / max(refused + sum(stats["accepted_per_s"]), 1), 3),
        }


def known(seconds: int) -> list[Case]:
    """The limit is given: --rpm."""
    return [
        Case(
            f"{rpm} rpm, {in_flight:3} in flight, {kind}{', ' + note if note else ''}",
            {"rpm": rpm, "enforce": kind, "headers": "none", "retry_after": style, "jitter_ms": jitter_ms},
            {"rpm": rpm, "concurrency": in_flight, **window},
            rpm / 60,
            seconds,
        )
        for rpm in (3000, 1200)
        for in_flight in (64, 512)
        for kind, style, jitter_ms, note, window in (
            *((kind, "seconds", 5, "", {}) for kind in KINDS),
            ("window-second", "seconds", 20, "20 ms of jitter", {}),
            ("window-second", "seconds", 20, "20 ms of jitter, --window 1s", {"window_s": 1.0}),
        )
    ]


def tokens(seconds: int) -> list[Case]:
    """Tokens bind (500 reserved of each, as the first example does), or tokens and requests both."""
    limits = {"tokens bind": (None, 600_000), "both bind": (1200, 600_000)}
    return [
        Case(
            f"{name}, {kind}",
            {"rpm": rpm, "tpm": tpm, "enforce": kind, "headers": "none", "charge": "reserved", "saved": saved},
            {"rpm": rpm, "tpm": tpm, "concurrency": 256},
            tpm / 60 / 500 if rpm is None else rpm / 60,
            seconds,
            max_tokens=500,
        )
        for name, (rpm, tpm) in limits.items()
        for kind, saved in (("bucket-minute", 0.02), ("bucket-second", 1.0))
    ]


def headers(seconds: int) -> list[Case]:
    """Nothing is given: the headers of the answers tell. After the first five seconds."""
    return [
        Case(
            f"3000 rpm told by {dialect} headers, {kind}",
            {"rpm": 3000, "enforce": kind, "headers": dialect, "jitter_ms": 5},
            {"concurrency": 512},
            50,
            seconds,
            first_s=0 if kind in ("sliding-minute", "window-minute") else 5,
        )
        for dialect in ("openai", "anthropic")
        for kind in KINDS
    ]


def blind(seconds: int) -> list[Case]:
    """Nothing is given and nothing told but 429s with Retry-After."""
    return [
        Case(
            f"3000 rpm, only 429s with Retry-After, {kind}",
            {"rpm": 3000, "enforce": kind, "headers": "none", "jitter_ms": 5},
            {"concurrency": 512},
            50,
            4 * seconds,
        )
        for kind in KINDS
    ]


PARTS = {"known": known, "tokens": tokens, "headers": headers, "blind": blind}


async def serve_all(policies: list[dict[str, Any]]) -> None:
    """The servers' process: a line of URLs, then until the parent goes."""
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for given in policies:
            policy = Policy(latency=Latency(ms=500, sigma=0.3), answers=Answers(tokens=120, sigma=0.4), **given)
            servers.append(await stack.enter_async_context(serve(policy)))
        print(json.dumps([server.url for server in servers]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def run_case(case: Case, url: str, folder: Path) -> dict[str, Any]:
    rows = int(case.per_s * (case.seconds + SPARE_S)) + int(case.policy.get("rpm") or 0)
    spec = Spec(
        name="limit",
        attributes={"a": [str(number) for number in range(1000)]},
        repeats=rows // 1000 + 1,
        prompt="Describe number {a} in detail, in a hundred words:",
        sampling={"max_tokens": case.max_tokens},
    )
    running = asyncio.ensure_future(arun(spec, run=folder, base_url=url, model="m", **case.options))
    await asyncio.wait([running], timeout=case.first_s + case.seconds + 1.5)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    with await asyncio.to_thread(urllib.request.urlopen, url.removesuffix("/v1") + "/stats") as answer:
        return case.measured(json.load(answer))


async def run_all(cases: list[Case]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEROGEN_LIMITS_DIR"] = f"{folder}/limits"
        servers = subprocess.Popen(
            [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert servers.stdin is not None
            assert servers.stdout is not None
            servers.stdin.write(json.dumps([case.policy for case in cases]) + "\n")
            servers.stdin.flush()
            urls = json.loads(servers.stdout.readline())
            runs = [
                run_case(case, url, Path(folder) / str(n))
                for n, (case, url) in enumerate(zip(cases, urls, strict=True))
            ]
            return list(await asyncio.gather(*runs))  # each on its own, none waits for another
        finally:
            servers.kill()
            servers.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="one of them; all when left out")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve_all(json.loads(sys.stdin.readline())))
        return
    print(
        f"herogen-async {version('herogen-async')}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    results = {}
    for part in given.part or PARTS:
        cases = PARTS[part](given.seconds)
        print(f"\n{part}: {PARTS[part].__doc__}")
        results[part] = []
        for first in range(0, len(cases), AT_ONCE):
            results[part] += asyncio.run(run_all(cases[first : first + AT_ONCE]))
        for result in results[part]:
            refused = f"{result['refused']} ({result['refused_pct']:.2f} %)"
            print(f"  {result['case']:65} {result['of_the_limit_pct']:6.1f} %   429s: {refused}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
