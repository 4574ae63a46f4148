"""The part of `plan` that is about several columns: what is there of each, what it takes, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from herogen_async.core.units import count, in_words
from herogen_async.generation.limits import in_usd

if TYPE_CHECKING:
    from herogen_async.generation.forecast.column_forecast import ColumnForecast, Money
    from herogen_async.generation.forecast.forecast import Forecast
    from herogen_async.specs.plan import Estimate

_BETWEEN = "  "
_WIDTH = 80  # of a terminal, at least
_SHORTEST_NAME = 16
_A_MILLION = 1_000_000


def column_targets(found: Forecast) -> Iterator[str]:
    """Who answers the columns that have a model or a server of their own."""
    for each in found.columns:
        is_elsewhere = each.base_url != found.base_url
        if each.column.model != found.model or is_elsewhere:
            server = f", at {each.base_url}" if is_elsewhere else ""
            yield f"Model of {each.name}: {each.column.model or 'the one model it serves'}{server}."


def column_tables(found: Forecast) -> Iterator[str]:
    """What is there of each column, and below what asking the rest takes; nothing where a row is one call."""
    if not found.columns:
        return
    if found.kept is not None:
        yield from _counts(found.columns)
    yield from _requests(found.columns, is_free=is_free(found))


def is_free(found: Forecast) -> bool:
    """The embedded model asks for no money, unless a person says what its time is worth."""
    asks_all = found.base_url is None and not found.needs_server and not any(each.base_url for each in found.columns)
    return asks_all and found.price is None and not any(each.price for each in found.columns)


def prompt_notes(found: Forecast) -> Iterator[str]:
    """How long earlier answers are reckoned to be in the prompts that hold them."""
    asked = [each for each in found.columns if each.new.requests or each.stale.requests]
    held = dict.fromkeys(name for each in asked for name in each.column.sent)
    answers = {each.name: each.answer for each in found.columns}
    if held:
        parts = [f"{name} {round(answers[name].tokens):,} tokens ({answers[name].source.value})" for name in held]
        yield f"Answers in later prompts are counted as: {', '.join(parts)}."


def price_lines(found: Forecast) -> Iterator[str]:
    """A line for each price that there is."""
    by_price: dict[str, list[str]] = {}
    for each in found.columns:
        price = each.price
        rates = (
            "unknown; set it with --price IN,OUT in USD per million prompt and answer tokens"
            if price is None
            else f"{price.input_usd:.10g} / {price.output_usd:.10g} USD per million prompt / answer tokens "
            f"({price.source})"
        )
        by_price.setdefault(rates, []).append(each.name)
    for rates, names in by_price.items():
        yield f"Price of {in_words(names)}: {rates}."


def _counts(columns: Sequence[ColumnForecast]) -> Iterator[str]:
    """Kept, new and stale always, the others where there are any."""
    heads = {"kept": "kept", "new": "new", "stale": "stale", "skipped": "skipped", "failed": "failed"}
    heads |= {"not_asked": "not asked"}
    shown = {
        field: head
        for field, head in heads.items()
        if field in ("kept", "new", "stale") or any(getattr(each.calls, field) for each in columns)
    }
    yield ""
    yield from _table(
        ["Answers", *shown.values()],
        ((_name(each), [_number(each, field) for field in shown]) for each in columns),
    )


def _number(each: ColumnForecast, field: str) -> str:
    number: int = getattr(each.calls, field)
    if field == "kept":
        number -= each.calls.skipped
    return _at_most(each, number) if field in ("new", "stale") else _short(number)


def _at_most(each: ColumnForecast, number: int) -> str:
    return f"up to {_short(number)}" if each.is_at_most and number else _short(number)


def _requests(columns: Sequence[ColumnForecast], *, is_free: bool) -> Iterator[str]:
    has_stale = any(each.stale.requests for each in columns)
    shares = [(each, *share) for each in columns for share in _shares(each, has_stale=has_stale)]
    if not shares:
        return
    yield ""
    yield from _table(
        ["Requests", "number", "prompt tokens", "answer tokens", *([] if is_free else ["USD"])],
        (
            (
                name,
                [
                    _at_most(each, estimated.requests),
                    _short(estimated.prompt_tokens),
                    _likely_or_most(estimated.answer_tokens, estimated.answer_tokens_most) or "no limit",
                    *([] if is_free else [_usd(usd)]),
                ],
            )
            for each, name, estimated, usd in shares
        ),
    )
    yield ""


def _shares(each: ColumnForecast, *, has_stale: bool) -> Iterator[tuple[tuple[str, str], Estimate, Money]]:
    if each.new.requests:
        yield _name(each, ", new" if has_stale else ""), each.new, each.usd(each.new)
    if each.stale.requests:
        yield _name(each, ", stale"), each.stale, each.usd(each.stale)


def _likely_or_most(likely: int | None, most: int | None) -> str:
    if likely is not None:
        return f"about {_short(likely)}"
    return "" if most is None else f"up to {_short(most)}"


def _usd(usd: Money) -> str:
    likely, most = (None if each is None else _amount(each) for each in usd)
    return f"about {likely}" if likely is not None else f"up to {most}" if most is not None else "unknown"


def _amount(usd: float) -> str:
    return f"{usd:,.2f}" if usd >= 1 else in_usd(usd).removesuffix(" USD")


def _short(number: int) -> str:
    """`12,345`; from a million on `1.2 M`."""
    return count(number) if number < _A_MILLION else f"{number / _A_MILLION:,.1f} M"


def _name(each: ColumnForecast, what: str = "") -> tuple[str, str]:
    """A column's name, and what stands behind it: its samples where there are several, and `what`."""
    return each.name, (f" x {each.column.samples}" if each.column.samples > 1 else "") + what


def _table(head: list[str], rows: Iterable[tuple[tuple[str, str], list[str]]]) -> Iterator[str]:
    """A row begins with a name and what is behind it, to the left; a name is cut where the line would be too wide."""
    lines = list(rows)
    widths = [max(map(len, cells)) for cells in zip(head[1:], *(cells for _, cells in lines), strict=True)]
    room = max(_SHORTEST_NAME, _WIDTH - sum(widths) - len(_BETWEEN) * len(widths))
    names = [head[0], *(_cut(name, room - len(behind)) + behind for (name, behind), _ in lines)]
    longest = max(map(len, names))
    for name, cells in zip(names, (head[1:], *(cells for _, cells in lines)), strict=True):
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        yield _BETWEEN.join([name.ljust(longest), *numbers])


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else name[: room - 3] + "..."
