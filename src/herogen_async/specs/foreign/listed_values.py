"""The values that stand for a sampler of DataDesigner in a grid. Pure; no dice.

A distribution becomes the middles of PARTS parts of equal probability: a grid that takes each once has its shape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from statistics import NormalDist
from typing import Any

PARTS = 10
_MOST_LISTED = 1000  # steps of a range that are all values: as many as a spec has as one line, and rules look at
_SHORT = 8  # values that are as easily read in a list
_FINEST = 1000  # a value with a smaller share than one of so many gets this one
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_MANY_TRIALS = 500  # from here on a normal distribution is near enough


@dataclass(frozen=True, slots=True)
class ListedValues:
    """`values` as texts; none: a person has to list them. `note` is (what is different, the nearest way), if anything.

    `weights` are the shares that the values were to have; None: equal ones.
    """

    values: tuple[str, ...] = ()
    note: tuple[str, str] | None = None
    weights: tuple[float, ...] | None = None

    def without(self, left_out: Iterable[str]) -> ListedValues:
        """The other values, with their weights."""
        gone = frozenset(left_out)
        kept = [place for place, value in enumerate(self.values) if value not in gone]
        weights = None if self.weights is None else tuple(self.weights[place] for place in kept)
        return replace(self, values=tuple(self.values[place] for place in kept), weights=weights)

    def without_blanks(self) -> ListedValues:
        """The values of which there is something to be seen."""
        return self.without([value for value in self.values if not value.strip()])


def as_range(values: Sequence[str]) -> dict[str, str] | None:
    """Values with one step between them as `from`, `to` and `step`; None for others, and for a few."""
    if len(values) <= _SHORT or not all(_NUMBER.fullmatch(each) for each in values):
        return None
    first, second, last = Decimal(values[0]), Decimal(values[1]), Decimal(values[-1])
    step = second - first
    if step <= 0 or list(values) != [f"{first + number * step:f}" for number in range(len(values))]:
        return None
    return {"from": f"{first:f}", "to": f"{last:f}", "step": f"{step:f}"}


def whole_weights(shares: Sequence[float]) -> tuple[int, ...]:
    """Shares as the smallest whole numbers that say the same, of thousandths where none do."""
    total = sum(shares)
    parts = [each / total for each in shares]
    for whole in range(1, _FINEST + 1):
        found = [round(each * whole) for each in parts]
        if min(found) and all(abs(each * whole - near) < 1e-6 * whole for each, near in zip(parts, found, strict=True)):
            return tuple(found)
    return tuple(max(1, round(each * _FINEST)) for each in parts)


def values_of(kind: str, params: Mapping[str, Any], convert_to: object = None) -> ListedValues:
    """What a sampler of this kind stands for; ValueError or TypeError where its parameters are not what it takes."""
    make = VALUES_OF_KIND.get(kind)
    if make is None:
        return ListedValues(note=(f"there is no sampler {kind!r}", "list its values"))
    return make(params, convert_to)


def _category(params: Mapping[str, Any], _: object) -> ListedValues:
    values = tuple(dict.fromkeys(str(each) for each in params["values"]))
    weights = params.get("weights")
    if not weights or len(set(weights)) == 1:
        return ListedValues(values)
    shares = dict.fromkeys(values, 0.0)
    for value, weight in zip(params["values"], weights, strict=True):
        shares[str(value)] += float(weight)
    drawn = {value: share for value, share in shares.items() if share > 0}
    return ListedValues(tuple(drawn), weights=tuple(drawn.values()))


def _bernoulli(params: Mapping[str, Any], _: object) -> ListedValues:
    chance = float(params["p"])
    if chance in (0, 1):
        return ListedValues((str(int(chance)),))
    return ListedValues(("0", "1"), weights=None if chance == 0.5 else (1 - chance, chance))


def _uniform(params: Mapping[str, Any], convert_to: object) -> ListedValues:
    low, high, places = float(params["low"]), float(params["high"]), params.get("decimal_places")
    places = 0 if convert_to == "int" else places
    if places is not None and (high - low) * 10 ** int(places) < _MOST_LISTED:
        step = Decimal(1).scaleb(-int(places))
        first = Decimal(str(low)).quantize(step, ROUND_CEILING)
        return ListedValues(tuple(f"{each:f}" for each in _steps(first, Decimal(str(high)), step)))
    return _of_parts(lambda share: low + share * (high - low), places)


def _steps(first: Decimal, last: Decimal, step: Decimal) -> Iterator[Decimal]:
    while first <= last:
        yield first
        first += step


def _gaussian(params: Mapping[str, Any], convert_to: object) -> ListedValues:
    mean, deviation = float(params["mean"]), float(params["stddev"])
    places = 0 if convert_to == "int" else params.get("decimal_places")
    return _of_parts(lambda share: NormalDist(mean, deviation).inv_cdf(share) if deviation else mean, places)


def _poisson(params: Mapping[str, Any], _: object) -> ListedValues:
    mean = float(params["mean"])
    if mean > _MANY_TRIALS:
        return _gaussian({"mean": mean, "stddev": math.sqrt(mean)}, "int")
    chances = (math.exp(-mean + count * math.log(mean) - math.lgamma(count + 1)) for count in range(_MANY_TRIALS * 3))
    return _of_counts(chances)


def _binomial(params: Mapping[str, Any], _: object) -> ListedValues:
    trials, chance = int(params["n"]), float(params["p"])
    if trials > _MANY_TRIALS:
        return _gaussian({"mean": trials * chance, "stddev": math.sqrt(trials * chance * (1 - chance))}, "int")
    return _of_counts(
        math.comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits) for hits in range(trials + 1)
    )


def _datetime(params: Mapping[str, Any], convert_to: object) -> ListedValues:
    start, end = (datetime.fromisoformat(str(params[name])) for name in ("start", "end"))
    whole = {"Y": 4, "M": 7, "D": 10, "h": 13, "m": 16, "s": 19}.get(params.get("unit", "D"), 10)
    moments = [start + (end - start) * ((part + 0.5) / PARTS) for part in range(PARTS)]
    floors = [_at_unit(each, whole) for each in moments]
    told = [each.strftime(convert_to) if isinstance(convert_to, str) else each.isoformat() for each in floors]
    return ListedValues(tuple(dict.fromkeys(told)), _PARTED)


def _at_unit(moment: datetime, length: int) -> datetime:
    return datetime.fromisoformat(moment.isoformat()[:length] + "0001-01-01T00:00:00"[length:])


def _unlisted(why: str, nearest: str) -> Callable[[Mapping[str, Any], object], ListedValues]:
    return lambda *_: ListedValues(note=(why, nearest))


def _of_counts(chances: Iterator[float]) -> ListedValues:
    sums, total = list[float](), 0.0
    for chance in chances:
        sums.append(total := total + chance)
        if total > 1 - 1e-9:
            break
    return _of_parts(lambda share: next((count for count, at in enumerate(sums) if at >= share), len(sums) - 1), 0)


def _of_parts(value_at: Callable[[float], float], places: Any) -> ListedValues:
    values = [value_at((part + 0.5) / PARTS) for part in range(PARTS)]
    told = [f"{each:.4g}" if places is None else f"{each:.{int(places)}f}" for each in values]
    return ListedValues(tuple(dict.fromkeys(told)), _PARTED)


_PARTED = (f"values are listed instead of drawn: the middles of {PARTS} parts of equal probability", "change the list")
_LIST = "list the values that you want"
VALUES_OF_KIND: dict[str, Callable[[Mapping[str, Any], object], ListedValues]] = {
    "bernoulli": _bernoulli,
    "bernoulli_mixture": _unlisted("it draws from a distribution of scipy's, or zero", _LIST),
    "binomial": _binomial,
    "category": _category,
    "datetime": _datetime,
    "gaussian": _gaussian,
    "poisson": _poisson,
    "scipy": _unlisted("it draws from a distribution of scipy's", _LIST),
    "timedelta": _unlisted("it adds a random time to another column", "list moments or durations"),
    "uniform": _uniform,
    "uuid": _unlisted(
        "nothing is drawn: each row has a `key` of its own", "leave it out of the prompt, or list values"
    ),
}
