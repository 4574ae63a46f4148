"""The table of settings: a field of `Settings` is a row, and declares all that there is to know about a setting.

Read from it are the manifest's `settings`, the command-line options, the checks, what `ctl` may set, the words of the
next command, the Python keywords in `keywords.py` and docs/settings.md; the last two are written by
`python tests/write_derived.py`. A field's name is its key in manifests, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest, shown
from herogen_async.core.limits import Limits
from herogen_async.core.options import (
    COUNT,
    OUTPUT,
    POSITIVE,
    ROWS,
    SECONDS,
    SPEED,
    USD,
    Kind,
    changed_options,
    check_options,
    count_to,
    is_count,
    one_of,
    option,
    options_of,
    read_count,
    read_number,
)

Durability = Literal["process", "periodic", "power"]
MOST_USD = 1_000_000  # a million tokens; no model costs a dollar a token
NO_MIRROR = "none"  # of a run that had one
_MIRROR = re.compile(r"(?:s3|gs|az|abfss?)://[^/@?#\s]+(?:/[^@?#\s]*)?|file:///[^?#]*")  # nothing in it is secret
MOST_SHARDS = 1_000_000  # more than any queue system starts
MOST_PROCESSES = 128  # no machine's home keeps up with more
MOST_CONCURRENCY = 100_000  # no server takes that many at once: more is a slip of the finger


def _read_concurrency(text: str) -> int | str:
    return text if text == "auto" else read_count(text)


def _is_concurrency(value: Any) -> bool:
    return value == "auto" or is_count(value, most=MOST_CONCURRENCY)


def read_price(text: str) -> tuple[float, float]:
    """`IN,OUT`, USD per million tokens each. Raises ValueError."""
    prompt, answer = map(float, text.split(","))
    if not (0 <= prompt <= MOST_USD and 0 <= answer <= MOST_USD):
        raise ValueError(text)
    return prompt, answer


def read_shard(text: str) -> tuple[int, int]:
    """`I/N`, part I of N. Raises ValueError."""
    number, parts = map(read_count, text.split("/"))
    if not 1 <= number <= parts <= MOST_SHARDS:
        raise ValueError(text)
    return number, parts


def _is_shard(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(read_shard(value))
    except ValueError:
        return False


def _is_mirror(value: Any) -> bool:
    return isinstance(value, str) and (value == NO_MIRROR or bool(_MIRROR.fullmatch(value)))


def _is_price(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(read_price(value))
    except ValueError:
        return False


CONCURRENCY = Kind(
    f"give a whole number from 1 to {MOST_CONCURRENCY:,}, or auto", _is_concurrency, _read_concurrency, metavar="N|auto"
)
WINDOW = replace(
    SECONDS,
    fix="give seconds above zero, e.g. 1s or 10s",
    read=lambda text: read_number(text.removesuffix("s")),
    parsed_as=str,
)
MIRROR = Kind(
    "give a URI without credentials, such as s3://bucket/runs/heroes, gs://, az:// or file:///folder, or none",
    _is_mirror,
    metavar="URI",
    wrong="the mirror can't be {value}",
)
SHARD = Kind(f"give I/N, from 1/N to N/N, e.g. 2/4; N is at most {MOST_SHARDS:,}", _is_shard, metavar="I/N")
PROCESSES = count_to(MOST_PROCESSES)
PRICE = Kind(
    f"give IN,OUT in USD per million tokens, e.g. 0.4,1.6, at most {MOST_USD:,} each", _is_price, metavar="IN,OUT"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is driven; none of it changes an answer, all of it may change between two starts.

    A setting that has the name of one of `core.limits.Limits` is that limit.
    """

    concurrency: int | Literal["auto"] = option(
        16,
        CONCURRENCY,
        "Maximum requests in flight; `auto` finds the best number.",
        unit="requests",
        live=True,
        by_column=True,
    )
    rpm: float | None = option(
        None, POSITIVE, "Request limit per minute.", unit="requests/min", live=True, by_column=True
    )
    tpm: float | None = option(None, POSITIVE, "Token limit per minute.", unit="tokens/min", live=True, by_column=True)
    input_tpm: float | None = option(None, POSITIVE, "Input-token limit per minute.", unit="tokens/min", by_column=True)
    output_tpm: float | None = option(
        None, POSITIVE, "Output-token limit per minute.", unit="tokens/min", by_column=True
    )
    rpd: float | None = option(None, POSITIVE, "Request limit per day.", unit="requests/day", by_column=True)
    tpd: float | None = option(None, POSITIVE, "Token limit per day.", unit="tokens/day", by_column=True)
    window_s: float | None = option(
        None,
        WINDOW,
        "Rate-limit window of the server, e.g. 1s; no window gets more than its share.",
        unit="s",
        group=SPEED,
    )
    processes: int = option(
        1,
        PROCESSES,
        "Processes that send requests; limits, budget and concurrency are those of all together. For fast servers of "
        "your own: under a rate limit more gain nothing.",
        unit="processes",
        group=SPEED,
    )
    timeout_s: float = option(600.0, SECONDS, "Time limit for one request.", unit="s")
    min_timeout_s: float = option(
        30.0, SECONDS, "Lower bound of the adaptive time limit, which is 4 times the p99 latency.", unit="s"
    )
    # With the waits between them a row survives about a minute of trouble of its own.
    max_attempts: int = option(
        8, COUNT, "Attempts before a row fails; refusals for the rate limit don't count.", unit="attempts"
    )
    limit: int | None = option(None, COUNT, "Only the first N rows of the grid.", unit="rows")
    shard: str | None = option(
        None,
        SHARD,
        "Only part I of N of the rows, e.g. 2/4; `merge` makes one run of all parts.",
        unit="part",
        group=ROWS,
    )
    durability: Durability = option(
        "periodic",
        one_of(*get_args(Durability)),
        "What a row survives once it counts as done: `process` the end of this program, `power` any power cut, "
        "`periodic` a power cut too, except for at most the last 256 rows, all done within 50 ms.",
        group=OUTPUT,
    )
    mirror: str | None = option(
        None,
        MIRROR,
        "Object storage that the run's folder is shipped to every 5 s, e.g. s3://bucket/runs/heroes; `restore` makes "
        "the folder again. `none` ends it.",
        group=OUTPUT,
    )
    row_timeout_s: float | None = option(
        None, SECONDS, "Time limit for one row with all its attempts; then it fails.", unit="s"
    )
    run_timeout_s: float | None = option(
        None, SECONDS, "Time limit for one session; then the run parks and can be resumed.", unit="s"
    )
    budget_usd: float | None = option(
        None, USD, "Cost limit of the run over all its sessions; then it parks.", unit="USD"
    )
    price: str | None = option(
        None,
        PRICE,
        "USD per million input and output tokens, e.g. 0.4,1.6.",
        unit="USD per million tokens",
        by_column=True,
    )
    # The settings that a column has of its own, by its name.
    by_column: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of_columns(self, names: Iterable[str]) -> Settings:
        """The settings of the calls for columns that are asked of one model at one server.

        Raises InputError where two of them have different ones.
        """
        own: dict[str, Any] = {}
        said: dict[str, str] = {}
        for column in names:
            for name, value in self.by_column.get(column, {}).items():
                if own.setdefault(name, value) != value:
                    flag = RUN_SETTINGS[name].flag
                    raise InputError(
                        f"{said[name]} and {column} share a model and a server, but have two values of {flag}",
                        fix=f"give {flag} for only one of them",
                    )
                said[name] = column
        return replace(self, by_column={}, **own)

    def given(self) -> dict[str, Any]:
        """By name what is not the default, as `changed_settings` takes it."""
        found = changed_options(RUN_SETTINGS, self)
        for column, own in self.by_column.items():
            for name, value in own.items():
                held = found.get(name, {})
                found[name] = {**(held if isinstance(held, dict) else {None: held}), column: value}
        return found

    @property
    def part(self) -> tuple[int, int]:
        """Which part of how many its rows are."""
        return (1, 1) if self.shard is None else read_shard(self.shard)

    def limits(self) -> Limits:
        """The limits that the user sets."""
        return Limits(**{each.name: getattr(self, each.name) for each in fields(Limits)})


RUN_SETTINGS = options_of(Settings)
MEANINGS = {name: each.meaning for name, each in RUN_SETTINGS.items()}  # for help


def set_live(settings: Settings, changes: Mapping[str, Any], by_column: Mapping[str, Mapping[str, Any]]) -> Settings:
    """`settings` with those of `changes`, None among them, and of `by_column` those of columns of their own."""
    own = {column: dict(values) for column, values in settings.by_column.items()}
    for column, values in by_column.items():
        own.setdefault(column, {}).update(values)
    return replace(settings, by_column=own, **changes)


def changed_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with those of `changes` that are not None; a mapping has values by column, None for all others."""
    plain: dict[str, Any] = {}
    own = {column: dict(values) for column, values in settings.by_column.items()}
    for name, value in changes.items():
        if not isinstance(value, Mapping):
            plain[name] = value
            continue
        _require_by_column(name, value)
        for column, each in value.items():
            if column is None:
                plain[name] = each
            else:
                own.setdefault(column, {})[name] = each
    return replace(settings, by_column=own, **{name: value for name, value in plain.items() if value is not None})


def check_settings(settings: Settings) -> None:
    """InputError for a setting that can't work."""
    check_options(RUN_SETTINGS, settings)
    for own in settings.by_column.values():
        for name, value in own.items():
            RUN_SETTINGS[name].check(value)


def check_columns(settings: Settings, columns: Sequence[str]) -> None:
    """InputError for a setting of a column that a run does not have."""
    for name, own in settings.by_column.items():
        if name not in columns:
            raise InputError(
                f"{next(iter(own))} is set for {name!r}, which is not a column", fix=nearest(name, columns)
            )


def _require_by_column(name: str, value: Mapping[Any, Any]) -> None:
    if name not in RUN_SETTINGS or not RUN_SETTINGS[name].by_column:
        raise InputError(f"{name} can't be {shown(dict(value))}", fix="give one value: it holds for all columns")
    if bad := next((each for each in value if not (each is None or isinstance(each, str))), None):
        raise InputError(f"{name} can't be {shown(dict(value))}", fix=f"name a column instead of {shown(bad)}")
