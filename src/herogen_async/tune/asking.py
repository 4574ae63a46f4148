"""How questions are asked, in one table: a field of `Asking` with an `option` is a row.

Read from it are the command line's options, Python's keywords (`query/keywords.py`, written by
`python tests/write_derived.py`), their checks, and the help. What holds for questions as it does for a run (limits,
deadline, money) are rows of `RUN_SETTINGS`. It imports next to nothing: `--help` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from herogen_async.core.limits import LIMITS, Limits
from herogen_async.core.options import Kind, check_options, count_to, option, options_of, read_count, read_number
from herogen_async.generation.settings import RUN_SETTINGS, Settings

TIMEOUT_S, MIN_TIMEOUT_S = Settings().timeout_s, Settings().min_timeout_s  # what a run has where nothing is said
_MOST_TEMPERATURE = 100  # each server has a limit of its own, below it
_SEEDS = 2**31  # what a server's 32-bit signed integer holds


def _count_to(most: int) -> Kind:
    return replace(count_to(most), fix=f"give a whole number from 1 to {most:,}", most=inf)  # it names both ends


_TEMPERATURE = Kind(
    f"give a number from 0 to {_MOST_TEMPERATURE}",
    lambda value: type(value) in (int, float) and 0 <= value <= _MOST_TEMPERATURE,
    read_number,
    float,
    "N",
)
_SEED = Kind(
    f"give a whole number from 0 to {_SEEDS - 1:,}",
    lambda value: type(value) is int and 0 <= value < _SEEDS,
    read_count,
    int,
    "N",
)


@dataclass(frozen=True, slots=True)
class Asking:
    """How each question is asked, how many at once, and what all of them together may take.

    `seed` is that of the first sample; each further one has the next. `seed_each`: so has each further question, for
    one that is asked more than once. `limits` are those that hold beside the ones that the server tells. An answer may
    take `timeout_s`; None: 600, or an hour on the embedded model. `budget_usd` is what all questions may cost, `price`
    is `IN,OUT`, USD for a million tokens.
    """

    samples: int = option(1, _count_to(1000), "Answers per question.")
    seed: int | None = option(None, _SEED, "Seed of the first sample; each further sample adds 1.")
    max_tokens: int = option(256, _count_to(10_000_000), "Longest answer, in tokens.")
    temperature: float = option(
        0.7,  # greedy decoding of a small tuned model loops
        _TEMPERATURE,
        "Sampling temperature; 0 always picks the likeliest token.",
    )
    concurrency: int = option(16, _count_to(1000), "Maximum questions in flight.")
    compare: bool = False
    seed_each: bool = False
    limits: Limits = field(default_factory=Limits)
    timeout_s: float | None = None
    budget_usd: float | None = None
    price: str | None = None

    def check(self) -> None:
        """InputError for what can't work."""
        check_options(QUERY_OPTIONS, self)
        for name, each in _AS_OF_A_RUN.items():
            each.check(getattr(self.limits if name in LIMITS else self, name))


QUERY_OPTIONS = options_of(Asking)
"""What the command line takes."""
_AS_OF_A_RUN = {
    **{name: replace(RUN_SETTINGS[name], by_column=False) for name in LIMITS},
    "timeout_s": replace(RUN_SETTINGS["timeout_s"], default=None, unset="600, or an hour on the embedded model"),
    "budget_usd": replace(RUN_SETTINGS["budget_usd"], help="Cost limit for all questions."),
    "price": replace(RUN_SETTINGS["price"], by_column=False),
}
QUERY_KEYWORDS = {**QUERY_OPTIONS, **_AS_OF_A_RUN}
"""What Python takes."""
