"""How questions are asked: what is sent with each, how many at once, and what all of them together may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from herogen_async.core.errors import InputError
from herogen_async.core.limits import Limits
from herogen_async.generation.settings import Settings, changed_settings, check_settings

TEMPERATURE = 0.7  # greedy decoding of a small tuned model loops
MAX_TOKENS = 256
TIMEOUT_S, MIN_TIMEOUT_S = Settings().timeout_s, Settings().min_timeout_s  # what a run has where nothing is said
_MOST_CONCURRENCY = 1000


@dataclass(frozen=True, slots=True)
class Asking:
    """How each question is asked. `seed` is that of the first sample; each further one has the next.

    `seed_each`: so has each further question, for one that is asked more than once. `limits` are those that hold beside
    the ones that the server tells. An answer may take `timeout_s`; None: 600, or an hour on the embedded model.
    `budget_usd` is what all questions may cost, `price` is `IN,OUT`, USD for a million tokens.
    """

    samples: int = 1
    temperature: float = TEMPERATURE
    max_tokens: int = MAX_TOKENS
    seed: int | None = None
    compare: bool = False
    concurrency: int = 16
    seed_each: bool = False
    limits: Limits = field(default_factory=Limits)
    timeout_s: float | None = None
    budget_usd: float | None = None
    price: str | None = None

    def check(self) -> None:
        """InputError for what can't work."""
        wrong = {
            "samples": not 1 <= self.samples <= 1000,
            "temperature": not 0 <= self.temperature <= 100,
            "max-tokens": not 1 <= self.max_tokens <= 10_000_000,
            "seed": self.seed is not None and not 0 <= self.seed < 2**31,
            "concurrency": not 1 <= self.concurrency <= _MOST_CONCURRENCY,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                value = getattr(self, name.replace("-", "_"))
                fix = "give 0 or more" if name in ("temperature", "seed") else "give a whole number above zero"
                raise InputError(f"--{name} can't be {value!r}", fix=fix)
        as_of_a_run = {"timeout_s": self.timeout_s, "budget_usd": self.budget_usd, "price": self.price}
        check_settings(changed_settings(Settings(), {**asdict(self.limits), **as_of_a_run}))
