"""Which concurrency is enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from herogen_async.lab.bench.records import Advice, Measured, Setting

NEAR_BEST = 0.98  # of the best counts as equal: a ten-second cell is accurate to a per cent or two
NEAR_LIMIT_PCT = 97.0
_LIMITS = ("requests", "tokens", "input_tokens", "output_tokens", "gate", "day")
_OWN = ("concurrency",)


def recommend(measured: Sequence[Measured]) -> tuple[Advice, ...]:
    """One piece of advice per measured setting, in order."""
    settings: dict[Setting, list[Measured]] = {}
    for each in measured:
        settings.setdefault(each.cell.setting, []).append(each)
    return tuple(_advice(setting, cells) for setting, cells in settings.items())


def _advice(setting: Setting, cells: Sequence[Measured]) -> Advice:
    # Anything above the rate limit was saved up or came in a burst: it does not make the others worse.
    best = max(min(each.rows_per_s, each.permitted_per_s or each.rows_per_s) for each in cells)
    auto = next((each for each in cells if each.cell.concurrency == "auto"), None)
    numbered = sorted((each for each in cells if each is not auto), key=_number)
    near = [each for each in numbered if each.rows_per_s >= NEAR_BEST * best]
    # If only `auto` came near, the highest one tried stands for "more than this".
    chosen = near[0] if near else numbered[-1] if numbered else auto
    assert chosen is not None
    return Advice(
        setting=setting,
        best_rows_per_s=best,
        concurrency=None if chosen is auto else _number(chosen),
        rows_per_s=chosen.rows_per_s,
        permitted_pct=chosen.permitted_pct,
        limit_binds=_limit_binds(chosen),
        is_edge=bool(numbered) and chosen is numbered[-1] and (not near or chosen.binding in _OWN),
        auto=auto,
    )


def _limit_binds(each: Measured) -> bool:
    return each.binding in _LIMITS or (each.permitted_pct or 0.0) >= NEAR_LIMIT_PCT


def _number(each: Measured) -> int:
    number = each.cell.concurrency
    return number if isinstance(number, int) else each.reached or 0
