"""States and moments are written as Docker writes them, and moments are read back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.container_status import (
    STATES,
    ZERO_TIME,
    format_time,
    human_duration,
    parse_since,
    parse_time,
    status_text,
)
from natlab.model.refusal import Refusal

S, M, H, D = 10**9, 60 * 10**9, 3600 * 10**9, 86400 * 10**9
NOW = 1_714_550_400 * S + 500_000_000
MOMENTS = st.integers(1, int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * S)


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (-5 * S, "Less than a second"),
        (0, "Less than a second"),
        (S - 1, "Less than a second"),
        (S, "1 second"),
        (2 * S - 1, "1 second"),
        (45 * S, "45 seconds"),
        (M - 1, "59 seconds"),
        (M, "About a minute"),
        (119 * S, "About a minute"),
        (2 * M, "2 minutes"),
        (59 * M + 59 * S, "59 minutes"),
        (H, "About an hour"),
        (89 * M, "About an hour"),
        (90 * M, "2 hours"),
        (47 * H + 29 * M, "47 hours"),
        (47 * H + 30 * M, "2 days"),
        (13 * D, "13 days"),
        (14 * D, "2 weeks"),
        (59 * D, "8 weeks"),
        (60 * D, "2 months"),
        (729 * D, "24 months"),
        (730 * D, "2 years"),
        (3650 * D, "10 years"),
    ],
)
def test_a_duration_is_said_as_docker_says_it(duration, text):
    assert human_duration(duration) == text


@pytest.mark.parametrize(
    ("status", "given", "text"),
    [
        ("created", {}, "Created"),
        ("running", {"started": NOW - 5 * S}, "Up 5 seconds"),
        ("running", {"started": NOW}, "Up Less than a second"),
        ("running", {"started": NOW - M}, "Up About a minute"),
        ("running", {"started": NOW - M, "health": "healthy"}, "Up About a minute (healthy)"),
        (
            "running",
            {"started": NOW - M, "health": "starting"},
            "Up About a minute (health: starting)",
        ),
        ("running", {"started": NOW - M, "health": "none"}, "Up About a minute"),
        ("paused", {"started": NOW - 2 * H}, "Up 2 hours (Paused)"),
        ("exited", {"started": 1, "finished": NOW - 3 * M}, "Exited (0) 3 minutes ago"),
        (
            "exited",
            {"started": 1, "finished": NOW - 3 * D, "exit_code": 137},
            "Exited (137) 3 days ago",
        ),
        ("exited", {"started": 1}, ""),
        ("restarting", {"finished": NOW - S, "exit_code": 1}, "Restarting (1) 1 second ago"),
        ("removing", {}, "Removal In Progress"),
        ("dead", {}, "Dead"),
    ],
)
def test_a_state_is_said_as_docker_says_it(status, given, text):
    assert status in STATES
    assert status_text(status, NOW, **given) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, ZERO_TIME),
        (1_714_550_400 * S, "2024-05-01T08:00:00Z"),
        (NOW, "2024-05-01T08:00:00.5Z"),
        (1_714_550_400 * S + 1, "2024-05-01T08:00:00.000000001Z"),
        (1_714_550_400 * S + 120_000, "2024-05-01T08:00:00.00012Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_moment_is_written_as_go_writes_it(moment, text):
    assert format_time(moment) == text
    assert parse_time(text) == moment


def test_log_lines_have_all_nine_digits():
    assert format_time(NOW, fixed=True) == "2024-05-01T08:00:00.500000000Z"


@given(MOMENTS)
def test_a_moment_that_was_written_is_read_again(moment):
    assert parse_time(format_time(moment)) == moment
    assert parse_since(format_time(moment, fixed=True), NOW) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T10:00:00+02:00", 1_714_550_400 * S),
        ("2024-05-01T03:00:00.25-05:00", 1_714_550_400 * S + 250_000_000),
        ("2024-05-01T08:00:00.1234567891Z", 1_714_550_400 * S + 123_456_789),
        ("2024-05-01T08:00:00", 1_714_550_400 * S),
        ("2024-05-01T08:00", 1_714_550_400 * S),
        ("2024-05-01T08", 1_714_550_400 * S),
        ("2024-05-01T08Z", 1_714_550_400 * S),
        ("2024-05-01", 1_714_521_600 * S),
        ("2024-05-01+02:00", 1_714_514_400 * S),
        ("1714550400", 1_714_550_400 * S),
        ("1714550400.5", NOW),
        ("1714550400.000000001", 1_714_550_400 * S + 1),
        ("1714550400.0000000019", 1_714_550_400 * S + 1),
        ("0", 0),
        ("10m", NOW // S * S - 10 * M),
        ("1h30m", NOW // S * S - 90 * M),
        ("1.5h", NOW // S * S - 90 * M),
        ("0s", NOW // S * S),
        ("500ms", 1_714_550_400 * S),
        ("501ms", 1_714_550_399 * S),
        ("-10m", NOW // S * S + 10 * M),
    ],
)
def test_since_takes_moments_seconds_and_durations(text, moment):
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "10 m",
        "10x",
        "m",
        ".",
        "-5",
        "2024-13-01",
        "2024-05-01T25:00:00Z",
        "2024-05-01T08:00:00+25:00",
        "0000-01-01",
        "0001-01-01T00:00:00+02:00",
        "1e9",
        "٣",
    ],
)
def test_what_is_no_moment_is_refused_in_dockers_words(text):
    with pytest.raises(Refusal) as refusal:
        parse_since(text, NOW)
    assert refusal.value.status == 400
    assert str(refusal.value) == f'failed to parse value as time or duration: "{text}"'


@given(st.text(alphabet="0123456789-:.TZ+hms", max_size=30))
def test_any_text_is_a_moment_or_refused(text):
    result = outcome(parse_since, text, NOW)
    assert isinstance(result, int) or result.status == 400
