"""From a request to an endpoint that answers: which model it is, and the embedded server's life."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial

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


def _context_tokens(plan: Plan) -> int:
    """Tokens a slot needs for the longest prompt of the grid and its answer."""
    samplings = [column.sampling for column in plan.columns]
    limit = max(each.max_completion_tokens or each.max_tokens or UNLIMITED_ANSWER for each in samplings)
    # Twice the estimate of the prompt: other scripts than English have up to two tokens where English has one.
    is_checked = any(column.form is not None or column.unlike is not None for column in plan.columns)
    again = limit + REASK_TOKENS if is_checked else 0
    return 2 * estimate_tokens("".join(plan.longest_texts(len)), 1) + limit + again
