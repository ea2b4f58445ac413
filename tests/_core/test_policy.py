"""When to try again, how long to wait, how many at once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest

import nbflow as nf
from nbflow._core.policy import (
    Policy,
    Throttle,
    Window,
    http_status,
    pauses_throttle,
    retry_after,
    seconds,
)


def status(code, **headers):
    error = Exception(f"HTTP {code}")
    error.response = SimpleNamespace(status_code=code, headers=headers)
    return error


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        ValueError("not JSON"),
        KeyError("label"),
        AssertionError(),
        nf.RetryAfterError(retry_after=1),
        nf.StepTimeoutError(),
        Exception("whatever"),
        *(status(code) for code in (408, 409, 425, 429, 500, 502, 503, 529)),
    ],
    ids=repr,
)
def test_what_may_pass_next_time_is_retried(error):
    assert Policy().retries_on(error)


@pytest.mark.parametrize(
    "error",
    [
        NameError(),
        TypeError(),
        AttributeError(),
        ImportError(),
        SyntaxError(),
        NotImplementedError(),
        FileNotFoundError(),
        nf.NonRetriableError(),
        nf.UnkeyableError(),
        nf.StepError("inner", step="s"),
        SystemExit(),
        KeyboardInterrupt(),
        *(status(code) for code in (400, 401, 403, 404, 422)),
    ],
    ids=repr,
)
def test_what_cannot_pass_is_not_retried(error):
    assert not Policy().retries_on(error)


def test_should_retry_decides_except_against_non_retriable():
    policy = Policy(should_retry=lambda error: isinstance(error, TypeError))
    assert policy.retries_on(TypeError())
    assert not policy.retries_on(TimeoutError())
    assert not policy.retries_on(nf.NonRetriableError())


def test_waits_double_up_to_the_longest_and_half_of_each_is_chance():
    policy = Policy(retry_delay=1.0, backoff=2.0, max_delay=5.0)
    assert [policy.delay(n, 1.0) for n in (1, 2, 3, 4, 5000)] == [
        1.0,
        2.0,
        4.0,
        5.0,
        5.0,
    ]
    assert [policy.delay(n, 0.0) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 2.5]


def test_the_status_of_any_common_client_is_found():
    by_attribute = Exception()
    by_attribute.status_code = 429
    assert http_status(by_attribute) == 429
    assert http_status(status(404)) == 404
    assert http_status(HTTPError("http://x", 503, "", {}, None)) == 503
    assert http_status(SimpleNamespace(code="42")) is None


def test_retry_after_is_read_from_errors_and_headers():
    assert retry_after(nf.RetryAfterError(retry_after=timedelta(minutes=2))) == 120
    assert retry_after(status(429, **{"retry-after": "7"})) == 7
    assert retry_after(status(429)) is None
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert (
        retry_after(
            status(503, **{"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}), now
        )
        == 30
    )
    assert retry_after(status(503, **{"Retry-After": "soon"})) is None


def test_only_being_turned_away_pauses_the_throttle():
    assert pauses_throttle(status(429, **{"Retry-After": "3"})) == 3
    assert pauses_throttle(nf.RetryAfterError(retry_after=2)) == 2
    assert pauses_throttle(status(429)) is None
    assert pauses_throttle(status(500, **{"Retry-After": "3"})) is None


def test_no_window_of_one_period_holds_more_starts_than_allowed():
    window, now, starts = Window(3, 10.0), 100.0, []
    for _ in range(8):
        now = max(now, window.start_of(0))
        window.start(now)
        starts.append(now)
    assert starts == [100, 100, 100, 110, 110, 110, 120, 120]


def test_whoever_is_in_line_knows_when_its_turn_may_come():
    window = Window(3, 10.0)
    for now in (100.0, 101.0, 102.0):
        window.start(now)
    found = [window.start_of(ahead) for ahead in range(7)]
    assert found == [110, 111, 112, 120, 121, 122, 130]


def test_who_only_asks_when_takes_no_start_from_anybody():
    window = Window(2, 10.0)
    for ahead in range(100):
        window.start_of(ahead)
    assert window.start_of(1) <= 0


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (30, 30),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        (timedelta(hours=1), 3600),
        ("2 days", 172800),
    ],
)
def test_durations_are_read(text, length):
    assert seconds(text, "timeout") == length


@pytest.mark.parametrize(
    "text", ["soon", "5 parsecs", "", "m", -1, True, None, float("nan"), "5m of rest"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(nf.UsageError, match=r"timeout=.*is not a duration"):
        seconds(text, "timeout")


@pytest.mark.parametrize(
    ("rate", "starts", "period"),
    [("300/min", 300, 60), ("10/s", 10, 1), ("5/30s", 5, 30), ("2/hour", 2, 3600)],
)
def test_rates_are_read(rate, starts, period):
    throttle = Throttle(rate)
    assert (throttle.starts, throttle.period) == (starts, period)


@pytest.mark.parametrize("rate", ["fast", "0/s", "10", "10/fortnight", "-1/s", 10])
def test_what_is_no_rate_is_refused_with_an_example(rate):
    with pytest.raises(nf.UsageError, match="300/min"):
        Throttle(rate)
