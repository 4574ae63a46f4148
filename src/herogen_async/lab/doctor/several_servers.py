"""Several servers of one model: whether all of them have it."""

from __future__ import annotations

from collections.abc import Sequence

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import CLEAR_TEXT_FIX, Server, clear_text_line
from herogen_async.generation.session.open_endpoint import Listed, check_served, only_model_of
from herogen_async.lab.doctor.diagnosis import Check, EndpointSeen


def compared_models(model: str | None, all_seen: Sequence[EndpointSeen]) -> list[Check]:
    """What keeps a run from beginning at all these servers together; each one's own trouble is told with it."""
    listed: Listed = {
        seen.base_url: [each.name for each in seen.models] for seen in all_seen if seen.models is not None
    }
    if len(listed) < 2:
        return []
    try:
        if model is None:
            only_model_of(listed)
        else:
            check_served(model, listed, lambda _: None)
    except InputError as error:
        return [Check(error.message, error.fix, blocks=True)]
    return []


def clear_text_checks(server: Server) -> list[Check]:
    """A key that goes to another machine unencrypted."""
    if line := clear_text_line(server.base_url, server.api_key):
        return [Check(line.removesuffix(f"; {CLEAR_TEXT_FIX}"), CLEAR_TEXT_FIX)]
    return []
