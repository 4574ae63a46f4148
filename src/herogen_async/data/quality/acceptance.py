"""How many rows a spec accepts, and of which attribute values: figures, and what is said of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from herogen_async.core.units import counted

_SHOWN = 3  # of the values that differ the most
_FEWEST = 5  # rows of a value, before its share says anything
_FAR = 0.15  # of a share from that of all rows


@dataclass(frozen=True, slots=True)
class AcceptedShare:
    """`accepted` of so many `rows`."""

    accepted: int
    rows: int

    @property
    def part(self) -> float:
        """Between 0 and 1."""
        return self.accepted / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        return f"{self.accepted:,} of {counted(self.rows, 'row')} ({self.part:.0%})"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Of all rows that are done, and of each value of each attribute; `by` names the keys of the spec that decide."""

    total: AcceptedShare
    by_value: dict[str, dict[str, AcceptedShare]]
    by: str = "`keep`"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `status --json`."""
        return {
            "accepted": self.total.accepted,
            "rows": self.total.rows,
            "by_value": {
                name: {value: {"accepted": each.accepted, "rows": each.rows} for value, each in values.items()}
                for name, values in self.by_value.items()
            },
        }

    def lines(self) -> list[str]:
        """For a person: all together, and the values of which far fewer or far more are accepted."""
        far = [
            (each.part - self.total.part, name, value, each)
            for name, values in self.by_value.items()
            for value, each in values.items()
            if each.rows >= _FEWEST and abs(each.part - self.total.part) >= _FAR
        ]
        far.sort(key=lambda found: (-abs(found[0]), found[1:3]))
        return [
            f"Accepted by the spec's {self.by}: {self.total}.",
            *(f"  {name} {value}: {each}" for _, name, value, each in far[:_SHOWN]),
        ]
