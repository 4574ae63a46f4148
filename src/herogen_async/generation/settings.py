"""How a run is driven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from herogen_async.core.limits import Limits

Durability = Literal["process", "periodic", "power"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is driven; none of it changes an answer, all of it may change between two starts.

    `concurrency` is a number, or `auto`. The limits are those of `limits.Limits`. `window_s` is the window that the
    server counts in. A call may take `timeout_s`, and less where the latencies are short, but never less than
    `min_timeout_s`. `durability` says what an answer has survived when it is reported. A row may take `row_timeout_s`,
    with all its attempts, and a session `run_timeout_s`. `budget_usd` is what the run may cost, `price` is `IN,OUT`,
    USD for a million tokens.
    """

    concurrency: int | Literal["auto"] = 16
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None
    window_s: float | None = None
    timeout_s: float = 600.0
    min_timeout_s: float = 30.0
    max_attempts: int = 8
    limit: int | None = None
    durability: Durability = "periodic"
    row_timeout_s: float | None = None
    run_timeout_s: float | None = None
    budget_usd: float | None = None
    price: str | None = None

    def limits(self) -> Limits:
        """What the user says is permitted."""
        return Limits(
            rpm=self.rpm,
            tpm=self.tpm,
            input_tpm=self.input_tpm,
            output_tpm=self.output_tpm,
            rpd=self.rpd,
            tpd=self.tpd,
        )
