"""What a backend takes of a request, and what it does where nothing is said, by the table of options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.options import CAN_NOT_BE
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.options import BACKEND_RULES, FINETUNE_OPTIONS, FULL, LOCAL, LORA, OPENAI, BackendRule

_LOCAL_RATES = {LORA: 5e-4, FULL: 5e-5}  # measured to work with the embedded model


def check_for_backend(request: TuneRequest) -> None:
    """InputError for a setting that the request's backend does not take."""
    if request.fields is not None and request.backend != OPENAI:
        raise InputError("only a service takes further fields", fix="remove --field, or use --backend openai")
    for name, rules in BACKEND_RULES.items():
        if name != "format":  # the rows' own by now
            option, rule = FINETUNE_OPTIONS[name], rules.get(request.backend, BackendRule())
            # A value that is known, but not to this backend.
            kind = option.kind if rule.kind is None else replace(rule.kind, wrong=CAN_NOT_BE)
            replace(option, kind=kind).check(getattr(request, name))


def training_settings(request: TuneRequest) -> dict[str, Any]:
    """How a model is trained on this machine: `method`, `epochs`, `batch_size`, `learning_rate`, `seed`, each with a
    value. Raises InputError for one that it does not take.
    """
    check_for_backend(request)
    known = {
        name: rules[LOCAL].default if (said := getattr(request, name)) is None else said
        for name, rules in BACKEND_RULES.items()
        if LOCAL in rules
    }
    return known if known["learning_rate"] is not None else {**known, "learning_rate": _LOCAL_RATES[known["method"]]}
