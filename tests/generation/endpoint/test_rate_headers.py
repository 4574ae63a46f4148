"""What headers say about limits, dialect by dialect, and that no nonsense of a server's becomes a reading."""

from __future__ import annotations

import math
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading
from herogen_async.generation.endpoint.http.rate_headers import (
    LONGEST_WINDOW_S,
    MOST,
    duration_s,
    readings_from,
    seconds_until,
)

DATE = "Sun, 22 Nov 2026 18:00:00 GMT"
NOW_EPOCH_S = 1_795_370_400

DIALECTS: dict[str, tuple[dict[str, str], list[Reading]]] = {
    "openai": (
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": "29996",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        [Reading("requests", 500, 499, 0.12), Reading("tokens", 30_000, 29_996, 360)],
    ),
    "azure, with the window's length": (
        {
            "x-ratelimit-limit-requests": "20000",
            "x-ratelimit-remaining-requests": "19999",
            "x-ratelimit-reset-requests": "3",
            "x-ratelimit-renewalperiod-requests": "60",
            "x-ratelimit-key": "m",
            "x-ratelimit-abusepenalty-active": "False",
        },
        [Reading("requests", 20_000, 19_999, 3, 60)],
    ),
    "azure, what is left alone": (
        {"x-ratelimit-remaining-requests": "9", "x-ratelimit-remaining-tokens": "0"},
        [Reading("requests", None, 9), Reading("tokens", None, 0)],
    ),
    "groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        [Reading("requests", 14_400, 14_370, 179.56), Reading("tokens", 18_000, 17_997, 7.66)],
    ),
    "cerebras": (
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-reset-requests-day": "33011.382867097855",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "59000",
            "x-ratelimit-reset-tokens-minute": "11.382867097854614",
        },
        [
            Reading("requests", 14_400, 14_399, 33011.382867097855, DAY_S),
            Reading("tokens", 60_000, 59_000, 11.382867097854614, MINUTE_S),
        ],
    ),
    "sambanova: a minute's that says so nowhere, and a day's": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": str(NOW_EPOCH_S + 42),
            "x-ratelimit-limit-requests-day": "1500",
            "x-ratelimit-remaining-requests-day": "1497",
            "x-ratelimit-reset-requests-day": "4h17m",
        },
        [Reading("requests", 60, 59, 42), Reading("requests", 1500, 1497, 15_420, DAY_S)],
    ),
    "mistral": (
        {
            "x-ratelimit-limit-tokens-minute": "5000000",
            "x-ratelimit-remaining-tokens-minute": "4999911",
            "x-ratelimit-tokens-query-cost": "52",
            "x-ratelimit-limit-req-minute": "720",
            "x-ratelimit-remaining-req-minute": "717",
        },
        [Reading("tokens", 5e6, 4_999_911, None, 60), Reading("requests", 720, 717, None, 60)],
    ),
    "mistral, before": (
        {"ratelimitbysize-limit": "2000000", "ratelimitbysize-remaining": "1999000", "ratelimitbysize-reset": "12"},
        [Reading("tokens", 2e6, 1_999_000, 12)],
    ),
    "mistral, a model that is not on the plan": (
        {"x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "0"},
        [Reading("requests", None, 0, None, 60)],
    ),
    "fireworks": (
        {
            "x-ratelimit-limit-tokens-prompt": "60000",
            "x-ratelimit-limit-tokens-cache-adjusted-prompt": "15000",
            "x-ratelimit-limit-tokens-generated": "600",
            "x-ratelimit-over-limit": "no",
        },
        [Reading("input_tokens", 60_000), Reading("output_tokens", 600)],
    ),
    "together": (
        {
            "x-ratelimit-limit": "10",
            "x-ratelimit-remaining": "9",
            "x-ratelimit-reset": "1",
            "x-tokenlimit-limit": "3000",
            "x-tokenlimit-remaining": "2900",
        },
        [Reading("requests", 10, 9, 1), Reading("tokens", 3000, 2900)],
    ),
    "openrouter: milliseconds since 1970": (
        {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "19",
            "x-ratelimit-reset": f"{NOW_EPOCH_S + 30}000",
        },
        [Reading("requests", 20, 19, 30)],
    ),
    "anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-22T18:00:01Z",
            "anthropic-ratelimit-input-tokens-limit": "40000",
            "anthropic-ratelimit-input-tokens-remaining": "39000",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-22T19:00:02.5+01:00",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-22T18:00:00Z",
            "anthropic-ratelimit-tokens-limit": "48000",
            "anthropic-ratelimit-tokens-remaining": "47000",
            "anthropic-ratelimit-tokens-reset": "2026-11-22T18:01:00Z",
            "anthropic-ratelimit-unified-reset": "1795370460",
            "anthropic-priority-input-tokens-limit": "7",
        },
        [
            Reading("requests", 50, 49, 1),
            Reading("input_tokens", 40_000, 39_000, 2.5),
            Reading("output_tokens", 8000, 8000, 0),
            Reading("tokens", 48_000, 47_000, 60),
        ],
    ),
    "kong": (
        {"x-ratelimit-limit-minute": "5", "x-ratelimit-remaining-minute": "4", "ratelimit-limit": "5"},
        [Reading("requests", 5, 4, None, 60)],
    ),
    "the resource first": (
        {"x-ratelimit-requests-limit": "7", "x-ratelimit-requests-remaining": "6"},
        [Reading("requests", 7, 6)],
    ),
    "gateways": (
        {"ratelimit-limit": "100", "ratelimit-remaining": "9", "ratelimit-reset": "6"},
        [Reading("requests", 100, 9, 6)],
    ),
    "gateways, a reset as an HTTP date": (
        {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "Sun, 22 Nov 2026 18:01:00 GMT"},
        [Reading("requests", None, 7, 60)],
    ),
    "ietf 03": (
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
        [Reading("requests", 100, 50, 30, 60)],
    ),
    "ietf 03, several windows": (
        {"x-ratelimit-limit": "100, 10000;window=86400, 100;window=60", "x-ratelimit-remaining": "98"},
        [Reading("requests", 100, 98, None, 60)],
    ),
    "ietf 06": (
        {"ratelimit-limit": "10", "ratelimit-remaining": "5", "ratelimit-policy": "10;w=1, 1000;w=3600"},
        [Reading("requests", 10, 5, None, 1)],
    ),
    "ietf 07": (
        {"ratelimit": "limit=100, remaining=50, reset=30", "ratelimit-policy": "5000;w=3600, 100;w=60"},
        [Reading("requests", 100, 50, 30, 60)],
    ),
    "ietf 08": (
        {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
        [Reading("requests", 100, 50, 30, 60)],
    ),
    "ietf 10, several policies and units": (
        {
            "ratelimit": '"burst" ; r=4; t=1, "day";r=900;t=4000',
            "ratelimit-policy": '"burst";q=5;w=1, "day,long";q=1;w=9, "bytes";q=99;qu="content-bytes", '
            '"day";q=1000;w=86400',
            "ratelimit-limit": "5",
        },
        [
            Reading("requests", 5, 4, 1, 1),
            Reading("requests", 1, None, None, 9),
            Reading("requests", 1000, 900, 4000, DAY_S),
        ],
    ),
    "hugging face": (
        {"ratelimit": '"api";r=489;t=189', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
        [Reading("requests", 500, 489, 189, 300)],
    ),
    "ietf, a policy alone": ({"ratelimit-policy": '"a";q=100;w=60'}, [Reading("requests", 100, None, None, 60)]),
    "none": ({"server": "uvicorn", "x-request-id": "r", "retry-after": "5"}, []),
    "names that are like them": ({"x-ratelimit": "5", "x-ratelimit-limit-images": "5", "limit-requests": "5"}, []),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("known", ["by name alone", "all names as text", "all names as bytes, in capitals"])
def test_every_rate_header_dialect_is_understood(dialect: str, known: str) -> None:
    """Each known dialect gives the same readings from header lookup, text names or byte names."""
    headers, expected = DIALECTS[dialect]
    headers = {"content-type": "application/json", "date": DATE, **headers}
    if known == "by name alone":
        if dialect == "the resource first":  # no known server's: found where all names are there
            return
        found = readings_from(headers.get)
    elif known == "all names as text":
        found = readings_from(headers.get, names=tuple(headers))
    else:
        found = readings_from(headers.get, names=tuple(name.title().encode() for name in headers))
    assert sorted(map(repr, map(exact, expected))) == sorted(map(repr, found))


def exact(reading: Reading) -> Reading:
    """With floats, as readings have them."""
    numbers = (reading.limit, reading.remaining, reading.reset_s, reading.window_s)
    return Reading(reading.resource, *(None if number is None else float(number) for number in numbers))


def test_an_answer_without_limit_headers_costs_no_lookup() -> None:
    """An answer without rate-limit headers costs no look at any header value."""

    def never(name: str) -> NoReturn:
        raise AssertionError(f"{name} was looked up")

    assert () == readings_from(never, names=(b"Content-Type", b"Date", b"Server", b"X-Request-Id", b"Content-Length"))


DURATIONS = {
    "1s": 1.0,
    "6m0s": 360.0,
    "1m2.5s": 62.5,
    "17ms": 0.017,
    "7.25s": 7.25,
    "1h": 3600.0,
    "2m59.56s": 179.56,
    "1h2m3s4ms": 3723.004,
    "250µs": 0.00025,
    "250\u00c2\u00b5s": 0.00025,
    "900ns": 9e-7,
    "1d": DAY_S,
    "20 seconds": 20.0,
    "1 minute 30 seconds": 90.0,
    "": None,
    "s": None,
    "-5s": None,
    "5": None,
    "5s!": None,
    "5 parsecs": None,
    "1m  5s": None,
}


@pytest.mark.parametrize("text", DURATIONS)
def test_durations_are_read_in_go_and_everyday_notation(text: str) -> None:
    """Durations such as `6m0s` become seconds; text that is no duration gives None."""
    expected = DURATIONS[text]
    assert (expected if expected is None else pytest.approx(expected)) == duration_s(text)


NONSENSE = [
    "",
    "-1",
    "-5s",
    "nan",
    "inf",
    "-inf",
    "unlimited",
    "None",
    "1e400",
    "9" * 400,
    "9223372036854775807",
    "1;2;",
]


@pytest.mark.parametrize("value", NONSENSE)
def test_malformed_header_values_are_ignored(value: str) -> None:
    """A malformed limit, remainder or reset is ignored while the other values of its reading are kept."""
    wrong_limit = {"x-ratelimit-limit-requests": value, "x-ratelimit-remaining-requests": "5"}
    if value != "1;2;":
        assert (Reading("requests", None, 5.0),) == readings_from(wrong_limit.get)
    wrong_rest = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": value,
        "x-ratelimit-reset-requests": value,
    }
    assert (Reading("requests", 10.0),) == readings_from(wrong_rest.get)
    alone = {"x-ratelimit-remaining-requests": value, "x-ratelimit-reset-requests": "5s"}
    assert () == readings_from(alone.get)


def test_more_remaining_than_the_limit_is_ignored() -> None:
    """A remainder above its limit is discarded, and the limit itself is kept."""
    headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "11"}
    assert (Reading("requests", 10.0),) == readings_from(headers.get)


@pytest.mark.parametrize("reset", ["2026-11-22T18:00:30Z", str(NOW_EPOCH_S + 30), "Sun, 22 Nov 2026 18:00:30 GMT"])
def test_a_reset_instant_is_read_against_the_servers_own_date(reset: str) -> None:
    """A reset given as an instant is read against the server's own date, and ignored without one."""
    headers = {"x-ratelimit-limit": "10", "x-ratelimit-reset": reset}
    assert (Reading("requests", 10.0),) == readings_from(headers.get)
    assert (Reading("requests", 10.0),) == readings_from(headers.get, "yesterday")
    assert (Reading("requests", 10.0, None, 30.0),) == readings_from(headers.get, DATE)
    assert (Reading("requests", 10.0, None, 30.0),) == readings_from({**headers, "date": DATE}.get)
    other_year = DATE.replace("2026", "2031").replace("Sun", "Sat")
    assert (Reading("requests", 10.0),) == readings_from({**headers, "date": other_year}.get)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("2026-11-22T17:59:58Z", 0.0), ("1970-01-01T00:00:00Z", None), ("2126-11-22T18:00:00Z", None), ("3000000", None)],
)
def test_a_reset_just_past_is_now_and_a_distant_one_none(reset: str, seconds: float | None) -> None:
    """A reset time just past means zero seconds; one implausibly far away is ignored."""
    headers = {"x-ratelimit-limit": "10", "x-ratelimit-reset": reset, "date": DATE}
    assert (Reading("requests", 10.0, None, seconds),) == readings_from(headers.get)


def test_a_time_without_a_zone_is_ignored() -> None:
    """A reset timestamp without a time zone is ignored rather than guessed."""
    assert seconds_until("2026-11-22T18:00:30", DATE) is None


NAMES = [name for headers, _ in DIALECTS.values() for name in headers]
VALUES = st.one_of(
    st.text(),
    st.floats().map(repr),
    st.integers().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(r"(-?\d{0,20}(\.\d*)?(h|m|s|ms|d)?){1,4}", fullmatch=True),
    st.from_regex(r'("?[a-z]{0,3}"?(;[a-z]{1,2}="?-?\d{0,20}"?){0,3},? ?){0,4}', fullmatch=True),
    st.sampled_from(NONSENSE),
)


@given(st.dictionaries(st.one_of(st.sampled_from(NAMES), st.just("date"), st.text()), VALUES, max_size=12))
def test_no_header_raises_and_every_reading_is_plausible(headers: dict[str, str]) -> None:
    """Whatever headers a server sends, nothing is raised and every reading is plausible."""
    for readings in (readings_from(headers.get), readings_from(headers.get, names=tuple(headers))):
        for reading in readings:
            assert reading.limit is not None or reading.remaining is not None
            assert reading.limit is None or 0 < reading.limit <= MOST
            assert reading.remaining is None or 0 <= reading.remaining <= (reading.limit or MOST)
            assert reading.reset_s is None or (
                0 <= reading.reset_s <= LONGEST_WINDOW_S and math.isfinite(reading.reset_s)
            )
            assert reading.window_s is None or 0 < reading.window_s <= LONGEST_WINDOW_S


@pytest.mark.parametrize("limit", ["1e-9", "0.5", "0.999", "-3", "nan"])
@pytest.mark.parametrize("rest", [{}, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}])
def test_a_limit_below_one_is_no_reading(limit: str, rest: dict[str, str]) -> None:
    """No request fits into less than one: nothing may be waited for on such a header's word."""
    readings = readings_from({"x-ratelimit-limit-requests": limit, **rest}.get)
    assert all(reading.limit is None for reading in readings)
    if limit not in ("-3", "nan"):
        assert () == readings
