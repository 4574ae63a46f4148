"""Settings of a simulated server: its limits and how it enforces them, what it tells of them, how slow, how faulty."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import shown
from herogen_async.lab.simulator.faults import FAULTS, JOB_FAULTS

ENFORCEMENTS = ("bucket-minute", "bucket-second", "window-second", "sliding-minute", "window-minute")
CHARGES = ("reserved", "used")
DIALECTS = ("openai", "azure", "anthropic", "none", "silent")
MESSAGES, PROMPT_COMPLETION, BOTH = "messages", "prompt-completion", "both"
ACCEPTS = (BOTH, MESSAGES, PROMPT_COMPLETION)  # what the rows of a training file may be
# Where answers have the model's thoughts: nowhere, in a field of their own, or in the text, in tags or before a lone
# closing one.
REASONING_PLACES = (NO_REASONING, REASONING, REASONING_CONTENT, THINK_TAGS, CLOSING_TAG) = (
    "none",
    "reasoning",
    "reasoning_content",
    "think",
    "closing",
)
RETRY_STYLES = ("seconds", "ms", "date", "text")

# What is outside means nothing, and would overflow a date, an exponent or a hash's key in the middle of a request.
LEAST_LIMIT, MOST_LIMIT = 0.001, 1e15
MOST_MS = 86_400_000.0  # a day
MOST_SIGMA = 10.0  # the median times or by 20,000, for one in three
MOST_SEED = 2**63 - 1
MOST_COUNT = 1_000_000_000
MOST_S = 86_400.0  # a day
FILE_LIMIT = 512 << 20  # bytes of a file in one request, as the API has it


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the work on one answer takes: a lognormal time, and `ms_per_token` for each generated token.

    `ms` is the time's median, `sigma` the spread of its logarithm: 0 is a fixed time. With `ms_per_token` the
    first token comes after `ms`, and a streamed answer comes at that pace.
    """

    ms: float = 0.0
    sigma: float = 0.0
    ms_per_token: float = 0.0

    def __post_init__(self) -> None:
        _within("latency ms", self.ms, 0, MOST_MS)
        _within("latency sigma", self.sigma, 0, MOST_SIGMA)
        _within("latency ms per token", self.ms_per_token, 0, MOST_MS)


@dataclass(frozen=True, slots=True)
class Answers:
    """How long answers are, in tokens: lognormal with median `tokens` and spread `sigma`, 0 is a fixed length.

    `most` bounds an answer whose request names no bound itself.
    """

    tokens: float = 130.0
    sigma: float = 0.3
    most: int = 4096

    def __post_init__(self) -> None:
        _within("answer tokens", self.tokens, 1, MOST_COUNT)
        _within("answer sigma", self.sigma, 0, MOST_SIGMA)
        _within("maximum answer tokens", self.most, 1, MOST_COUNT)


@dataclass(frozen=True, slots=True)
class TuningPolicy:
    """How uploads and fine-tuning jobs go. Raises InputError for values that mean nothing.

    A job is validated and queued for `queue_s`, and trains for `train_s`. `accepts` is what rows may be. `faults`: what
    goes wrong, by the names in `faults.JOB_FAULTS`, the first so many times; None: each time. `file_limit` is in bytes.
    """

    queue_s: float = 0.2
    train_s: float = 1.0
    accepts: str = BOTH
    faults: Mapping[str, int | None] = field(default_factory=dict)
    file_limit: int = FILE_LIMIT

    def __post_init__(self) -> None:
        _within("queue seconds", self.queue_s, 0, MOST_S)
        _within("train seconds", self.train_s, 0, MOST_S)
        _one_of("accepts", self.accepts, ACCEPTS)
        _within("file limit", self.file_limit, 1, FILE_LIMIT)
        for name, count in self.faults.items():
            _one_of("job fault", name, JOB_FAULTS)
            if count is not None:
                _within(f"count of job fault {name}", count, 1, MOST_COUNT)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a server behaves. Raises InputError for values that mean nothing.

    `rpm` requests, `tpm` tokens, `input_tpm` and `output_tpm` tokens of each kind a minute, `rpd` requests a day;
    None: no limit. What is limited by the minute is enforced as `enforce` says:

    - `bucket-minute`: a token bucket that saves up a minute; `saved` is the share of it that is full at the start
    - `bucket-second`: one that saves up a second
    - `window-second`, `window-minute`: fixed windows, aligned to the server's clock. A part of a request is not carried
      on to the next window: 90 requests a minute are one in each second
    - `sliding-minute`: never more than the limit in any minute

    The day is enforced by the same kind over a day. With `refused_count` refused requests count in windows and in the
    sliding minute, too. `charge`: `reserved` takes max(max_tokens, estimate of the prompt) tokens on arrival for good,
    `used` gives the unused part back with the answer. `headers` and `retry_after` are how limits are told, see
    `dialect`. At most `slots` requests are worked on at once, the others wait in their order; None: any number.
    `faults` are shares of the requests that pass the limits, by the names in `faults.FAULTS`. A request reaches the
    limiter 0 to `jitter_ms` late. Equal `seed`s give equal answers and faults.
    `reasoning` is where answers have the thoughts before them, see `REASONING_PLACES`.
    `tuning` is for uploads and fine-tuning jobs, which no limit and no latency holds up.
    """

    rpm: float | None = None
    tpm: float | None = None
    rpd: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    enforce: str = "bucket-minute"
    saved: float = 1.0
    refused_count: bool = False
    charge: str = "reserved"
    headers: str = "openai"
    retry_after: str = "seconds"
    latency: Latency = field(default_factory=Latency)
    slots: int | None = None
    faults: Mapping[str, float] = field(default_factory=dict)
    jitter_ms: float = 0.0
    seed: int = 0
    answers: Answers = field(default_factory=Answers)
    reasoning: str = NO_REASONING
    tuning: TuningPolicy = field(default_factory=TuningPolicy)

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "rpd", "input_tpm", "output_tpm"):
            limit = getattr(self, name)
            if limit is not None and not LEAST_LIMIT <= limit <= MOST_LIMIT:
                valid = f"a number from {LEAST_LIMIT:g} to {MOST_LIMIT:g}"
                raise InputError(f"{name} can't be {limit!r}", fix=f"give {valid}, or remove {name} for no limit")
        _one_of("enforce", self.enforce, ENFORCEMENTS)
        _one_of("charge", self.charge, CHARGES)
        _one_of("headers", self.headers, DIALECTS)
        _one_of("retry_after", self.retry_after, RETRY_STYLES)
        _one_of("reasoning", self.reasoning, REASONING_PLACES)
        _share("saved", self.saved)
        _within("jitter ms", self.jitter_ms, 0, MOST_MS)
        _within("seed", self.seed, -MOST_SEED, MOST_SEED)
        if self.slots is not None:
            _within("slots", self.slots, 1, MOST_COUNT)
        _check_faults(self.faults)


def _check_faults(faults: Mapping[str, float]) -> None:
    for name, share in faults.items():
        _one_of("fault", name, FAULTS)
        _share(f"share of fault {name}", share)
    if sum(faults.values()) > 1 + 1e-9:  # ten times 0.1 is a little more than 1
        raise InputError(f"fault shares add up to {sum(faults.values()):g}", fix="keep the sum at 1 or below")


def _one_of(what: str, value: str, valid: Collection[str]) -> None:
    if value not in valid:
        raise InputError(f"unknown {what} {value!r}", fix=f"one of {', '.join(valid)}")


def _share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{what} can't be {value!r}", fix="give a share from 0 to 1, e.g. 0.01 for 1 in 100")


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(f"{what} can't be {shown(value)}", fix=f"give a number from {least:,} to {most:,.0f}")
