"""The settings as Python keywords, for type checkers and editors, which read no tables.

Written from `Settings` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from herogen_async.generation.settings.table import Durability


class SettingsOptions(TypedDict, total=False):
    """The settings of a run, those of `Settings`; each may be left out, and None leaves it out, too."""

    concurrency: int | Literal["auto"] | Mapping[str | None, int | Literal["auto"]] | None
    """Maximum requests in flight; `auto` finds the best number. Default: 16."""

    rpm: float | Mapping[str | None, float] | None
    """Request limit per minute."""

    tpm: float | Mapping[str | None, float] | None
    """Token limit per minute."""

    input_tpm: float | Mapping[str | None, float] | None
    """Input-token limit per minute."""

    output_tpm: float | Mapping[str | None, float] | None
    """Output-token limit per minute."""

    rpd: float | Mapping[str | None, float] | None
    """Request limit per day."""

    tpd: float | Mapping[str | None, float] | None
    """Token limit per day."""

    window_s: float | None
    """Rate-limit window of the server, e.g. 1s; no window gets more than its share."""

    processes: int | None
    """Processes that send requests; limits, budget and concurrency are those of all together. For fast servers of
    your own: under a rate limit more gain nothing. Default: 1."""

    timeout_s: float | None
    """Time limit for one request. Default: 600."""

    min_timeout_s: float | None
    """Lower bound of the adaptive time limit, which is 4 times the p99 latency. Default: 30."""

    max_attempts: int | None
    """Attempts before a row fails; refusals for the rate limit don't count. Default: 8."""

    limit: int | None
    """Only the first N rows of the grid."""

    shard: str | None
    """Only part I of N of the rows, e.g. 2/4; `merge` makes one run of all parts."""

    durability: Durability | None
    """What a row survives once it counts as done: `process` the end of this program, `power` any power cut,
    `periodic` a power cut too, except for at most the last 256 rows, all done within 50 ms. Default: periodic."""

    mirror: str | None
    """Object storage that the run's folder is shipped to every 5 s, e.g. s3://bucket/runs/heroes; `restore` makes
    the folder again. `none` ends it."""

    row_timeout_s: float | None
    """Time limit for one row with all its attempts; then it fails."""

    run_timeout_s: float | None
    """Time limit for one session; then the run parks and can be resumed."""

    budget_usd: float | None
    """Cost limit of the run over all its sessions; then it parks."""

    price: str | Mapping[str | None, str] | None
    """USD per million input and output tokens, e.g. 0.4,1.6."""
