"""What the headers of an answer say about the server's limits, in the dialects that servers speak. Pure.

| dialect | who |
|---|---|
| `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` | OpenAI, Azure, Groq, LiteLLM: Go durations, seconds |
| ... and `x-ratelimit-renewalperiod-{requests,tokens}` | Azure: the window's length |
| ... and `-{second,minute,hour,day,month}` | Cerebras, SambaNova, Mistral (`req`), Kong (with no resource) |
| ... and `-tokens-{prompt,generated}` | Fireworks |
| `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | Anthropic: RFC 3339 |
| `{x-,}ratelimit-{limit,remaining,reset}`: requests | OpenRouter (milliseconds since 1970), Together, gateways |
| `x-tokenlimit-...`, `ratelimitbysize-...`: tokens | Together, Mistral |
| `RateLimit: "a";r=50;t=30` with `RateLimit-Policy: "a";q=100;w=60` | draft-ietf-httpapi-ratelimit-headers-08 to -11 |
| `RateLimit: limit=100, remaining=50, reset=30`, `RateLimit-Limit: 100, 100;w=60` | its versions -07 and -03 |

A name is read word by word, so their order plays no part, and one with a word that is not known here is not read.
What is nonsense (negative, endless, no number) is left out: better no reading than one that could stop a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading

HeaderLookup = Callable[[str], str | None]
Names = tuple[str, ...] | tuple[bytes, ...]

LEAST = 1.0  # a limit that no request fits into is none
MOST = 1e15  # above any real limit; "no limit" is sent as the largest integer there is
LONGEST_WINDOW_S = 32 * DAY_S  # the longest window in use is a month
STALE_S = 60.0  # a reset that is that long past is none: the server's own clock can't be so wrong about itself

_EPOCH_S = 1e9  # above it (September 2001) a number is no duration but an instant
_EPOCH_MS = 1e12

_NAME = re.compile(r"(?:x-|anthropic-)?(ratelimit|rate-limit|tokenlimit|ratelimitbysize)-([a-z-]+)")
_KINDS = {"limit": "limit", "remaining": "remaining", "reset": "reset", "renewalperiod": "window"}
_RESOURCES = {"requests": "requests", "request": "requests", "req": "requests", "tokens": "tokens", "token": "tokens"}
_SIDES = {"input": "input_tokens", "prompt": "input_tokens", "output": "output_tokens", "generated": "output_tokens"}
_WINDOWS_S = {"second": 1.0, "minute": MINUTE_S, "hour": 3600.0, "day": DAY_S, "month": 30 * DAY_S}
_DRAFT, _POLICY = "ratelimit", "ratelimit-policy"

_UNITS_S = {
    **dict.fromkeys(("ns",), 1e-9),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "\u00c2\u00b5s"), 1e-6),  # the last: UTF-8 that was read as Latin-1
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE_S),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), DAY_S),
}
_PART = re.compile(rf"(\d+(?:\.\d*)?)[ ]?({'|'.join(sorted(_UNITS_S, key=len, reverse=True))})[ ]?", re.ASCII)

_ITEM = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETER = re.compile(r';\s*([a-z]+)\s*=\s*("[^"]*"|[^;,\s]+)', re.IGNORECASE)
_PAIR = re.compile(r"(limit|remaining|reset)\s*=\s*([\d.]+)", re.IGNORECASE)
_UNITS_OF_QUOTA = {"": "requests", "requests": "requests", "tokens": "tokens"}


@dataclass(frozen=True, slots=True)
class _Group:
    """The names of the headers that speak of one limit, "" where there is none; `policy` may name its window."""

    resource: str
    window_s: float | None
    policy: str
    limit: str = ""
    remaining: str = ""
    reset: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where to look in answers whose headers have the same names. `draft`: IETF's structured fields are there."""

    groups: tuple[_Group, ...]
    draft: bool


def readings_from(
    header: HeaderLookup, now_date: str | None = None, *, names: Names | None = None
) -> tuple[Reading, ...]:
    """What an answer's headers say about limits; never raises.

    `header` finds a value by its lower-case name. `now_date` is the server's own time as an HTTP date, by default its
    `Date`: instants are read against it and never against this machine's clock, and say nothing without it. `names`
    are the names of all headers where they are known, in any case: an answer that has no such header then costs a
    microsecond, for what the names of a server's headers mean is found out once.
    """
    if names is None:
        names = tuple(name for name in _KNOWN_NAMES if header(name) is not None)
    plan = _plan(names)
    return () if plan is None else _read(plan, header, now_date)


def has_readings(names: Names) -> bool:
    """Whether headers of these names say anything about limits."""
    return _plan(names) is not None


def duration_s(text: str) -> float | None:
    """The seconds in a duration as Go writes it, or as people do: `6m0s`, `17ms`, `1m2.5s`, `20 seconds`."""
    total, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            return None
        total += float(part[1]) * _UNITS_S[part[2]]
        end = part.end()
    return total if end == len(text) > 0 else None


def seconds_until(instant: str, server_date: str | None) -> float | None:
    """Seconds from the server's own time to an HTTP date or RFC 3339 instant; None when one of them is neither."""
    then, now = _moment(instant), _moment(server_date or "")
    return None if then is None or now is None else (then - now).total_seconds()


def _read(plan: _Plan, header: HeaderLookup, now_date: str | None) -> tuple[Reading, ...]:
    readings = list(_draft_readings(header)) if plan.draft else []
    for group in plan.groups:
        reading = _reading(group, header, now_date)
        if reading is not None:
            readings.append(reading)
    return tuple(readings)


def _reading(group: _Group, header: HeaderLookup, now_date: str | None) -> Reading | None:
    limit, window_s = None, group.window_s
    if group.limit:
        said = header(group.limit) or ""
        limit = _count(said)
        if limit is None or group.policy:
            limit, policy_s = _limit_with_policy(said, header(group.policy) or "" if group.policy else said)
            window_s = window_s or policy_s
    if group.window:
        window_s = _seconds(header(group.window) or "", header, now_date) or window_s
    remaining = _count(header(group.remaining) or "") if group.remaining else None
    reset_s = _seconds(header(group.reset) or "", header, now_date) if group.reset else None
    if limit is not None and remaining is not None and LEAST <= limit >= remaining:
        return Reading(group.resource, limit, remaining, reset_s, window_s or None)
    return _sound(group.resource, limit, remaining, reset_s, window_s)


def _sound(
    resource: str, limit: float | None, remaining: float | None, reset_s: float | None, window_s: float | None
) -> Reading | None:
    """A reading of what is left of it without nonsense; None when that is nothing."""
    if limit == 0:  # what Mistral sends for a model that is not on the plan: its 429s say that better
        limit = None
    if limit is not None and limit < LEAST:
        return None
    if limit is not None and remaining is not None and remaining > limit:
        remaining = None
    if limit is None and remaining is None:
        return None
    return Reading(resource, limit, remaining, reset_s, window_s or None)


def _count(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0.0 <= number <= MOST else None


def _limit_with_policy(text: str, policies: str) -> tuple[float | None, float | None]:
    """(limit, window's length): the first number of `text`, and what the policy of that quota says."""
    limit = _count(text.partition(",")[0].partition(";")[0])
    windows = (quota.get("w") or quota.get("window") for _, quota in _items(policies) if _count(quota["q"]) == limit)
    return limit, _plain_seconds(next((window for window in windows if window), "")) if limit is not None else None


def _seconds(text: str, header: HeaderLookup, now_date: str | None) -> float | None:
    """The seconds that a duration, a number of seconds or an instant means."""
    if text[-1:] in "smhd":
        seconds = _short_s(text) if "m" not in text[:-2] else duration_s(text)
        return seconds if seconds is not None and 0.0 <= seconds <= LONGEST_WINDOW_S else None
    try:
        number = float(text)
    except ValueError:
        return _within(seconds_until(text, now_date or header("date")))
    if number < _EPOCH_S:
        return number if 0.0 <= number <= LONGEST_WINDOW_S else None
    now = _moment(now_date or header("date") or "")
    return None if now is None else _within(number / (1000 if number >= _EPOCH_MS else 1) - now.timestamp())


def _short_s(text: str) -> float | None:
    """Most resets are a number of one unit: a quarter of the time that the whole grammar takes."""
    try:
        if text[-2:] == "ms":
            return float(text[:-2]) * 0.001
        return float(text[:-1]) if text[-1:] == "s" else duration_s(text)
    except ValueError:
        return duration_s(text)


def _plain_seconds(text: str) -> float | None:
    number = _count(text)
    return number if number is not None and number <= LONGEST_WINDOW_S else None


def _within(seconds: float | None) -> float | None:
    return None if seconds is None or not -STALE_S <= seconds <= LONGEST_WINDOW_S else max(0.0, seconds)


@lru_cache(maxsize=16)  # a server's `Date` is the same for a second, and costs 10 us to read
def _moment(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment.astimezone(UTC) if moment.tzinfo else None  # of a place that isn't told
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


# -- which headers there are


@lru_cache(maxsize=64)  # a server has a handful of shapes of answers
def _plan(names: Names) -> _Plan | None:
    """Where the limits stand among the headers with these names; None: nowhere."""
    found: dict[tuple[str, float | None, bool], dict[str, str]] = {}
    lower = [(name if isinstance(name, str) else name.decode("latin-1")).lower() for name in names]
    for name in lower:
        meaning = _meaning(name)
        if meaning is not None:
            resource, window_s, is_named, kind = meaning
            found.setdefault((resource, window_s, is_named), {}).setdefault(kind, name)
    if _DRAFT in lower or any(resource == "requests" for resource, window_s, is_named in found if is_named or window_s):
        found.pop(("requests", None, False), None)  # the same once more, in fewer words
    groups = tuple(
        _Group(resource, window_s, _POLICY if _POLICY in lower and not (is_named or window_s) else "", **kinds)
        for (resource, window_s, is_named), kinds in found.items()
        if "limit" in kinds or "remaining" in kinds
    )
    draft = _DRAFT in lower or (_POLICY in lower and not groups)
    return _Plan(groups, draft) if groups or draft else None


def _meaning(name: str) -> tuple[str, float | None, bool, str] | None:
    """(resource, window's length, whether the resource was named, kind) that a header's name means."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    kind = resource = side = window = None
    for word in match[2].split("-"):
        if kind is None and word in _KINDS:
            kind = _KINDS[word]
        elif resource is None and word in _RESOURCES:
            resource = _RESOURCES[word]
        elif side is None and word in _SIDES:
            side = _SIDES[word]
        elif window is None and word in _WINDOWS_S:
            window = _WINDOWS_S[word]
        else:
            return None
    if kind is None or (side is not None and resource != "tokens"):
        return None
    default = "requests" if match[1] in ("ratelimit", "rate-limit") else "tokens"
    return side or resource or default, window, resource is not None or default == "tokens", kind


def _spelled_out() -> Iterator[str]:
    """Every name that a known server uses, for who has only a way to look one up."""
    kinds = ("limit", "remaining", "reset")
    windows = ("", *(f"-{window}" for window in _WINDOWS_S))
    for kind in kinds:
        for what in ("-requests", "-tokens", "-req", ""):
            yield from (f"x-ratelimit-{kind}{what}{window}" for window in windows)
        yield from (f"x-ratelimit-{kind}-tokens-{side}" for side in ("prompt", "generated"))
        for what in ("requests", "tokens", "input-tokens", "output-tokens"):
            yield f"anthropic-ratelimit-{what}-{kind}"
        yield from (f"ratelimit-{kind}", f"x-rate-limit-{kind}", f"x-tokenlimit-{kind}", f"ratelimitbysize-{kind}")
        yield from (f"x-ratelimitbysize-{kind}{window}" for window in windows)
    yield from ("x-ratelimit-renewalperiod-requests", "x-ratelimit-renewalperiod-tokens", _DRAFT, _POLICY)


_KNOWN_NAMES = tuple(_spelled_out())


# -- IETF's structured fields


def _items(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(name, parameters) of each item of a list; an item that is a number names its own quota."""
    for item in _ITEM.findall(text):
        parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(item)}
        first = _PARAMETER.search(item)
        name = item[: first.start() if first else None].strip().rpartition(";")[2].strip().strip('"')
        parameters.setdefault("q", name)
        yield name, parameters


def _draft_readings(header: HeaderLookup) -> Iterator[Reading]:
    policies, said = dict(_items(header(_POLICY) or "")), header(_DRAFT) or ""
    states = {name: state for name, state in _items(said) if "r" in state}
    if not states and (pairs := dict(_PAIR.findall(said.lower()))):
        quota = pairs.get("limit", "")
        states = {"": {"q": quota, "r": pairs.get("remaining", ""), "t": pairs.get("reset", "")}}
        policies = {"": next((policy for policy in policies.values() if policy["q"] == quota), {})}
    for name in dict.fromkeys((*policies, *states)):
        policy, state = policies.get(name, {}), states.get(name, {})
        resource = _UNITS_OF_QUOTA.get(policy.get("qu", ""))
        if resource is None:  # bytes, or requests at once
            continue
        limit = _count(policy.get("q", state.get("q", "")))
        window_s = _plain_seconds(policy.get("w", ""))
        reading = _sound(resource, limit, _count(state.get("r", "")), _plain_seconds(state.get("t", "")), window_s)
        if reading is not None:
            yield reading
