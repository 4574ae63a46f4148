"""Which columns build on which: their order, and how many samples each has. Pure, on names alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from herogen_async.specs.spec.template import Alternative, Template, alternatives


@dataclass(frozen=True, slots=True)
class Uses:
    """What a column names, attributes too: `sent` by its templates, `asked` by its condition. `samples` are its own.

    `times`: how often each is requested, as a judge of two columns is in both orders.
    """

    sent: tuple[Alternative, ...]
    asked: tuple[str, ...]
    samples: int = 1
    has_condition: bool = False
    times: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Each name once, those of the templates first."""
        return tuple(dict.fromkeys((*(each.name for each in self.sent), *self.asked)))


def sent_names(*templates: Template | None) -> tuple[Alternative, ...]:
    """What templates name, in the order of the text."""
    return tuple(
        each for template in templates if template is not None for name in template.names for each in alternatives(name)
    )


def in_order(columns: Mapping[str, Uses]) -> list[str]:
    """The columns, each behind all that it builds on, else as they are given; those of a cycle are left out."""
    placed: dict[str, None] = {}
    left = list(columns)
    while ready := next((name for name in left if _is_ready(name, columns, placed)), None):
        placed[ready] = None
        left.remove(ready)
    return list(placed)


def cycle(columns: Mapping[str, Uses]) -> list[str]:
    """The columns of one cycle, each named by the one before it; empty where there is none."""
    placed = set(in_order(columns))
    left = [name for name in columns if name not in placed]
    if not left:
        return []
    way = [left[0]]
    while True:
        following = next(name for name in columns[way[-1]].names if name in columns and name not in placed)
        if following in way:
            return way[way.index(following) :]
        way.append(following)


def sampled_by(name: str, columns: Mapping[str, Uses], samples: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The columns that `name` takes a sample each of, with their numbers of samples, where these are several."""
    joined = {each.name for each in columns[name].sent if each.is_all}
    single = {each.name for each in columns[name].sent if not each.is_all}
    for other in columns[name].names:
        count = samples.get(other, 1)
        if count > 1 and (other in single or other not in joined):
            yield other, count


def fans_of(names: Iterable[str], samples: Mapping[str, int]) -> dict[str, int]:
    """The columns of these names whose samples are taken one by one, with their numbers."""
    return {name: count for name in names if (count := samples.get(name, 1)) > 1}


def samples_of(columns: Mapping[str, Uses]) -> dict[str, int]:
    """How many samples each column has: its own, or those of what it builds on, sample by sample."""
    found: dict[str, int] = {}
    for name in in_order(columns):
        inherited = [count for _, count in sampled_by(name, columns, found)]
        found[name] = max(columns[name].samples, *inherited) if inherited else columns[name].samples
    return found


def _is_ready(name: str, columns: Mapping[str, Uses], placed: Collection[str]) -> bool:
    return all(other in placed for other in columns[name].names if other in columns)
