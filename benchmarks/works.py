"""What is asked of whoever is measured: one table of kinds of work, each with the same work without its own cost.

`text` is a grid of prompts of ~215 characters with answers of ~600. Everything is counted in calls, which are rows but
where a row has three. `beside` names what a kind of work is compared with by `throughput.py --cost-of`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grids

CONCURRENCY = 64


@dataclass(frozen=True, slots=True)
class Work:
    """One kind. `run` and `served` are further options of our `run` and of `fast_server.py`.

    `most_ratio` and `most_us` are what a call may cost: times that of the work `beside` it, or microseconds more.
    """

    name: str
    what: str
    spec: Callable[[int], dict[str, Any]] = grids.spec
    prompt: str = grids.PROMPT  # as many characters a call as the spec has
    columns: int = 1
    endpoint: str = "completions"
    concurrency: int = CONCURRENCY
    run: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    tls: bool = False
    times: int = 1  # as many calls as other kinds are measured with
    beside: str = ""
    most_ratio: float | None = None
    most_us: float | None = None

    def spec_file(self, calls: int, folder: Path) -> Path:
        """Our spec of so many calls, beside the `folder` of a run."""
        path = folder.parent / f"spec-{self.name}-{calls}.json"
        if not path.exists():
            path.write_text(json.dumps(self.spec(calls), indent=2))
        return path

    def prompts(self, calls: int) -> Iterator[str]:
        """The same for the peers, who know no columns: as many prompts, as long."""
        return grids.prompts(calls, self.prompt)

    def prompts_file(self, calls: int, folder: Path) -> Path:
        """Those, one JSON string a line, beside the `folder` of a run."""
        path = folder.parent / f"prompts-{self.name}-{calls}.jsonl"
        if not path.exists():
            with path.open("w") as file:
                file.writelines(json.dumps(prompt) + "\n" for prompt in self.prompts(calls))
        return path


def _columns(columns: int) -> Callable[[int], dict[str, Any]]:
    def spec(calls: int) -> dict[str, Any]:
        if calls % columns:
            raise ValueError(f"{calls!r} calls are no rows of {columns}; fix: ask for 36000, say")
        return grids.columns_spec(calls // columns, columns=columns, answer=grids.TEXT)

    return spec


_LONG_PROMPT = grids.columns_spec(1, columns=1, answer=grids.TEXT)["prompt"]
_RPM, _BUDGET = ("--rpm", "6000000"), ("--budget", "1000000", "--price", "0.01,0.01")
_HEADERS = ("--rate-headers",)
_FORM: dict[str, Any] = {"endpoint": "chat", "served": ("--form",)}

WORKS = {
    work.name: work
    for work in (
        Work("text", "one prompt a row, one answer of free text"),
        Work("long", "one prompt a row, as long as those of three columns", _columns(1), _LONG_PROMPT),
        Work(
            "columns",
            "rows of three columns, at equal bytes of prompts",
            _columns(grids.COLUMNS),
            _LONG_PROMPT,
            columns=grids.COLUMNS,
            beside="long",
            most_ratio=1.10,
        ),
        Work("json", "chat answers in JSON, unchecked", lambda calls: grids.form_spec(calls, form=False), **_FORM),
        Work(
            "form",
            "chat answers in JSON, checked against a form",
            lambda calls: grids.form_spec(calls, form=True),
            **_FORM,
            beside="json",
            most_us=10.0,
        ),
        Work("rpm", "a request limit that never binds", run=_RPM, beside="text", most_us=8.0),
        Work("budget", "a budget that never binds", run=_BUDGET, beside="text", most_us=8.0),
        Work("headers", "six rate-limit headers in each answer", served=_HEADERS, beside="text", most_us=8.0),
        Work(
            "limits",
            "a request limit and a budget that never bind, and rate-limit headers",
            run=_RPM + _BUDGET,
            served=_HEADERS,
            beside="text",
            most_us=8.0,
        ),
        Work("tls", "free text over TLS, by a certificate of this machine's own", tls=True, beside="text"),
        Work("in-flight", "10,000 in flight", concurrency=10_000, times=10, beside="text", most_ratio=1.0),
    )
}
COSTLY = tuple(name for name, work in WORKS.items() if work.beside)
