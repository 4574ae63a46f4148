"""Whom a run asks: each model at each server is a target, and has its own limits, concurrency and price.

The first one is what the run was started with; the others are those of columns that name a model, a server or a key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import Server, choose_servers, is_embedded, key_in
from herogen_async.generation.forecast.costs import most_answer_tokens
from herogen_async.generation.report import LaneHead
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.settings import check_columns
from herogen_async.specs.columns import FIRST_COLUMN, AskedColumn, by_target
from herogen_async.specs.plan import Plan


@dataclass(frozen=True, slots=True)
class LaneTarget:
    """A model at a server, with the columns that are asked of it; `ready` is the run as if it asked nobody else.

    Where several servers have the model each is a target, with the same columns.
    """

    columns: tuple[AskedColumn, ...]
    ready: Ready

    @property
    def name(self) -> str:
        """The columns, by which people know it; and which of several servers it is."""
        columns = ", ".join(column.name for column in self.columns)
        if self.address is None:
            return columns
        return self.address if columns == FIRST_COLUMN else f"{columns} at {self.address}"

    @property
    def address(self) -> str | None:
        """The server's, where its model has several."""
        request = self.ready.request
        return request.server.base_url if request.server is not None and request.others else None

    @property
    def head(self) -> LaneHead:
        """As a report tells it."""
        server = self.ready.request.server
        return LaneHead(
            self.ready.model,
            None if server is None else server.base_url,
            tuple(each.name for each in self.columns),
            is_one_of_several=self.address is not None,
        )

    def most_answer_tokens(self) -> int | None:
        """The most tokens that one of its answers may have; None without a limit."""
        each = [most_answer_tokens(column.sampling) for column in self.columns]
        return None if None in each else max(most for most in each if most is not None)


def targets_of(ready: Ready, plan: Plan, environment: Mapping[str, str] | None = None) -> tuple[LaneTarget, ...]:
    """The targets of a run, each with the columns that it is asked for, in their order.

    Raises InputError for a column that nobody can be asked for, for a setting of a column that there is not, and where
    columns of one target have different settings.
    """
    check_columns(ready.request.settings, plan.stems)
    known = os.environ if environment is None else environment
    return tuple(target for columns in by_target(plan.columns) for target in _at_each(_target(ready, columns, known)))


def first_of_each(targets: Iterable[LaneTarget]) -> list[LaneTarget]:
    """One target of each model: the first of its servers."""
    found: dict[str, LaneTarget] = {}
    for target in targets:
        found.setdefault(target.columns[0].name, target)
    return list(found.values())


def most_in_flight(targets: Iterable[LaneTarget]) -> int:
    """How many calls may ever be in flight at all of them together."""
    return sum(target.ready.request.most_in_flight for target in targets)


def _target(ready: Ready, columns: tuple[AskedColumn, ...], environment: Mapping[str, str]) -> LaneTarget:
    first, request = columns[0], ready.request
    settings = request.settings.of_columns(column.stem for column in columns)
    is_own = first.base_url is not None or first.key_env is not None or first.model != ready.model
    servers = _servers(first, request, environment) if is_own else request.servers
    own = replace(
        request,
        settings=settings,
        server=servers[0] if servers else None,
        others=tuple(servers[1:]),
        model=first.model if is_own else request.model,
    )
    return LaneTarget(columns, Ready(own, first.model, None if is_own else ready.weights))


def _at_each(target: LaneTarget) -> list[LaneTarget]:
    """`target`, once for each of its servers."""
    request = target.ready.request
    if not request.others:
        return [target]
    found = []
    for number, server in enumerate(request.servers):
        others = request.servers[:number] + request.servers[number + 1 :]
        own = replace(request, server=server, others=others)
        found.append(replace(target, ready=replace(target.ready, request=own)))
    return found


def _servers(column: AskedColumn, request: RunRequest, environment: Mapping[str, str]) -> Sequence[Server]:
    if is_embedded(column.model):
        raise InputError(
            f"column {column.name!r} uses the embedded model, but the run uses a server",
            fix="use --model embedded, and write `base_url:` and `model:` under the other columns",
        )
    key = None if column.key_env is None else key_in(column.key_env, f"column {column.name!r}", environment)
    urls = column.base_urls or [server.base_url for server in request.servers]
    if not urls:
        raise InputError(
            f"no server given for the model {column.model!r} of column {column.name!r}",
            fix=f"write `base_url:` under {column.name}, or give --base-url",
        )
    if key is None and column.base_url is None and request.server is not None:
        return request.servers
    servers = choose_servers(urls, column.model, environment, api_key=key)
    return [replace(server, key_env=column.key_env) for server in servers]
