"""From a request to an endpoint that answers: which model it is, and the embedded server's life."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from herogen_async.core.errors import EndpointError, InputError
from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible, choose_transport
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.limits import estimate_tokens
from herogen_async.generation.run_folder import read_manifest
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.session.notifier import Notifier
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import UNLIMITED_ANSWER, Plan

LIST_S = 5.0  # how long each of several servers may take to say what it serves
SHOWN_MODELS = 5
Listed: TypeAlias = dict[str, list[str] | EndpointError]
"""By address, what a server says it serves, or why it says nothing."""
REASK_TOKENS = 100  # of the sentence that says what is wrong with an answer


async def find_model(request: RunRequest, notifier: Notifier) -> Ready:
    """Settle which model answers. Raises LocalModelError, or InputError when the server can't say."""
    if request.server is None:
        from herogen_async.generation.endpoint.embedded import (  # noqa: PLC0415 - a run at a server loads none of it
            DESCRIPTION,
            weights_in_thread,
        )

        weights = await weights_in_thread(request.weights, notifier.weights)
        if request.pinned is not None and request.pinned != weights.sha256:
            raise InputError(
                f"this run was made with different weights than {str(weights.path)!r}",
                fix="put the old file back, or start a new run with --run NAME",
            )
        notifier.notice(DESCRIPTION)
        return Ready(request, weights.name, weights)
    if request.model is not None:
        return Ready(request, request.model)
    if request.folder.is_run and request.folder.has_lines:
        return Ready(request, read_manifest(request.folder).model)
    if request.others:
        model = only_model_of(await listed_models(request))
        notifier.notice(f"The {len(request.servers)} servers serve one model, {model!r}: using it.")
    else:
        model = await _only_model(request, request.server)
        notifier.notice(f"{request.server.base_url} serves one model, {model!r}: using it.")
    return Ready(replace(request, model=model), model)


@contextlib.asynccontextmanager
async def open_endpoint(
    ready: Ready, plan: Plan, on_notice: Callable[[str], None], on_text: Callable[[str], None]
) -> AsyncIterator[Resizable]:
    """The endpoint of a run, open; the embedded server is started for it and ended after it.

    `on_text` gets what the embedded model writes until its first answer is whole; no other server is asked to tell.
    """
    if ready.weights is None:
        async with _client(ready.request, ready.model, ready.request.server, plan.columns, on_notice) as endpoint:
            yield endpoint
        return
    from herogen_async.generation.endpoint.embedded import open_embedded  # noqa: PLC0415 - as above

    embedded = open_embedded(
        ready.weights,
        lambda server: _client(ready.request, ready.model, server, plan.columns, on_notice),
        concurrency=ready.request.most_in_flight,
        context_tokens=_context_tokens(plan),
        on_notice=on_notice,
        on_text=on_text,
    )
    async with embedded as endpoint:
        yield endpoint


def _client(
    request: RunRequest,
    model: str,
    server: Server | None,
    columns: Sequence[AskedColumn] = (),
    on_notice: Callable[[str], None] = lambda _: None,
) -> OpenAICompatible:
    if server is None:
        raise RuntimeError("an request without weights has a server")
    asked = {each.name: (each.endpoint, each.sampling.as_sent()) for each in columns}
    kind, sampling = next(iter(asked.values()), (request.endpoint, request.spec.sampling.as_sent()))
    return OpenAICompatible(
        server,
        kind=kind,
        model=model,
        sampling=sampling,
        columns=asked,
        forms={each.name: each.form.sent[each.endpoint] for each in columns if each.form and each.form.sent},
        on_notice=on_notice,
        concurrency=request.most_in_flight,
        timeout_s=request.settings.timeout_s,
        # What may have been charged is asked again by the engine alone, which reserves its worst case anew.
        transport_for=partial(choose_transport, resends=request.settings.budget_usd is None),
    )


async def _only_model(request: RunRequest, server: Server) -> str:
    try:
        async with _client(request, "", server) as endpoint:
            models = await endpoint.models()
    except EndpointError as error:
        raise InputError(
            f"can't list the models at {server.base_url}: {error.message}",
            fix=error.fix or "start the server, fix --base-url, or give the model with --model",
        ) from error
    if len(models) == 1:
        return models[0]
    served = ", ".join(models[:20]) or "none"
    raise InputError(f"no model given, and {server.base_url} serves {served}", fix="give --model NAME")


async def listed_models(request: RunRequest) -> Listed:
    """What each of its servers says it serves, or why it says nothing."""
    found: Listed = {}
    # A model that is still being loaded, or a server that is down, need not be waited for: the others begin.
    soon = replace(request, settings=replace(request.settings, timeout_s=min(LIST_S, request.settings.timeout_s)))
    for server in request.servers:
        try:
            async with _client(soon, "", server) as endpoint:
                found[server.base_url] = await endpoint.models()
        except EndpointError as error:
            found[server.base_url] = error
    return found


def only_model_of(listed: Listed) -> str:
    """The one model that all servers serve which say what they serve. Raises InputError."""
    told = {url: models for url, models in listed.items() if not isinstance(models, EndpointError)}
    if not told:
        url, error = next((url, each) for url, each in listed.items() if isinstance(each, EndpointError))
        raise InputError(
            f"can't list the models at {url}, or at any other of the {len(listed)} servers: {error.message}",
            fix=error.fix or "start the servers, fix --base-url, or give the model with --model",
        )
    first = next(iter(told.values()))
    if len(first) != 1 or any(models != first for models in told.values()):
        shown = "; ".join(f"{url} serves {_named(models)}" for url, models in told.items())
        raise InputError(f"no model given, and {shown}", fix="give --model NAME, of one that all servers have")
    return first[0]


def check_served(model: str, listed: Listed, on_notice: Callable[[str], None]) -> None:
    """InputError where some of the servers list `model` and others don't; those that can't be reached are told.

    Where none lists it nothing can be said: some servers take any name.
    """
    told = {url: models for url, models in listed.items() if not isinstance(models, EndpointError)}
    if any(model in models for models in told.values()):
        for url, models in told.items():
            if model not in models:
                raise InputError(
                    f"{url} serves {_named(models)}, and not {model!r} as the other servers do",
                    fix=f"leave it out, or start it with {model!r}",
                )
    for url, error in listed.items():
        if isinstance(error, EndpointError):
            on_notice(f"warning: {url} doesn't say what it serves ({error.message}); the others begin without it.")


def _named(models: Sequence[str]) -> str:
    shown = ", ".join(map(repr, models[:SHOWN_MODELS])) or "no model"
    return shown if len(models) <= SHOWN_MODELS else f"{shown} and {len(models) - SHOWN_MODELS} more"


def _context_tokens(plan: Plan) -> int:
    """Tokens a slot needs for the longest prompt of the grid and its answer."""
    samplings = [column.sampling for column in plan.columns]
    limit = max(each.max_completion_tokens or each.max_tokens or UNLIMITED_ANSWER for each in samplings)
    # Twice the estimate of the prompt: other scripts than English have up to two tokens where English has one.
    is_checked = any(column.form is not None or column.unlike is not None for column in plan.columns)
    again = limit + REASK_TOKENS if is_checked else 0
    return 2 * estimate_tokens("".join(plan.longest_texts(len)), 1) + limit + again
