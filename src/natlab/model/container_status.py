"""What `docker ps` says of a container's state, and how moments are written.

All moments are nanoseconds since 1970, as `time.time_ns` gives them, and 0 means never.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

from natlab.model.names import one_line
from natlab.model.refusal import Refusal

ZERO_TIME: Final = "0001-01-01T00:00:00Z"
"""How Go writes a time that has never been set."""

STATES: Final = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
"""The states of a container, as `docker ps --filter status=` names them."""

_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60
_HOUR: Final = 3600
_LONG: Final = (
    (48, 1, "hours"),
    (24 * 7 * 2, 24, "days"),
    (24 * 30 * 2, 24 * 7, "weeks"),
    (24 * 365 * 2, 24 * 30, "months"),
)
_NO_HEALTH: Final = ("", "none")

_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt](?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]+))?)?)?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_UNIX: Final = re.compile(r"(?P<seconds>[0-9]{1,15})(?:\.(?P<fraction>[0-9]+))?")
_DURATION: Final = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": _MINUTE * _SECOND,
    "h": _HOUR * _SECOND,
}


def human_duration(nanoseconds: int) -> str:
    """Say how long that is: `Less than a second`, `5 seconds`, `About an hour`, `3 weeks`.

    Behaviour: docker/go-units, HumanDuration; hours are rounded, all else is cut off.
    """
    seconds = max(nanoseconds, 0) // _SECOND
    hours = (seconds + _HOUR // 2) // _HOUR
    if seconds < _HOUR:
        return _short(seconds)
    if hours == 1:
        return "About an hour"
    for limit, unit, name in _LONG:
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{seconds // _HOUR // 24 // 365} years"


def status_text(
    status: str,
    now: int,
    *,
    started: int = 0,
    finished: int = 0,
    exit_code: int = 0,
    health: str = "",
) -> str:
    """Write the STATUS column: `Up 5 seconds`, `Exited (0) 3 minutes ago`.

    Behaviour: moby container.State.String.

    Args:
        status: One of `STATES`.
        now: The present moment.
        started: When its program started last.
        finished: When its program ended last.
        exit_code: What it ended with.
        health: `starting`, `healthy`, `unhealthy`; empty where nobody checks it.
    """
    up = f"Up {human_duration(now - started)}"
    ago = f"({exit_code}) {human_duration(now - finished)} ago"
    if status == "running" and health not in _NO_HEALTH:
        return f"{up} ({'health: starting' if health == 'starting' else health})"
    texts = {
        "running": up,
        "paused": f"{up} (Paused)",
        "restarting": f"Restarting {ago}",
        "removing": "Removal In Progress",
        "dead": "Dead",
        "created": "Created",
        "exited": f"Exited {ago}" if finished else "",
    }
    return texts.get(status, "")


def format_time(nanoseconds: int, *, fixed: bool = False) -> str:
    """Write a moment in UTC as Go does (RFC3339Nano): zeros at the end of the second are cut.

    Args:
        nanoseconds: The moment; 0 gives `ZERO_TIME`.
        fixed: Write all nine digits, as `docker logs --timestamps` does.
    """
    if nanoseconds == 0:
        return ZERO_TIME
    seconds, rest = divmod(nanoseconds, _SECOND)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    digits = f"{rest:09d}" if fixed else f"{rest:09d}".rstrip("0")
    fraction = f".{digits}" if digits else ""
    return f"{moment.replace(tzinfo=None).isoformat()}{fraction}Z"


def parse_time(text: str) -> int:
    """Read a moment that is written out (RFC 3339): `2024-05-01T10:00:00.5+02:00`.

    The seconds, the time of day and the zone may be missing; without a zone it is UTC (where
    Docker takes the zone of its machine). What is finer than a nanosecond is cut off.

    Raises:
        Refusal: `failed to parse value as time or duration: "x"`.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise _no_time(text)
    if text == ZERO_TIME:
        return 0
    try:
        day = datetime.fromisoformat(match["date"])
        moment = day.replace(
            hour=int(match["hour"] or 0),
            minute=int(match["minute"] or 0),
            second=int(match["second"] or 0),
            tzinfo=_zone(match["zone"] or "Z"),
        )
        return timegm(moment.utctimetuple()) * _SECOND + _nanoseconds(match["fraction"])
    except (ValueError, OverflowError):
        raise _no_time(text) from None


def parse_since(text: str, now: int) -> int:
    """Read a moment: seconds since 1970 (`1714550400.5`), RFC 3339, or a duration before now.

    From a duration the whole second comes out in which it ends, as in Docker
    (moby api/types/time, GetTimestamp).

    Equivalent to: `docker logs --since TEXT`, `docker events --until TEXT`.

    Args:
        text: `10m`, `1h30m`, `2024-05-01`, `1714550400`.
        now: The moment from which a duration counts.

    Raises:
        Refusal: `failed to parse value as time or duration: "x"`.
    """
    if _DURATION.fullmatch(text):
        return (now - _duration(text)) // _SECOND * _SECOND
    match = _UNIX.fullmatch(text)
    if match is None:
        return parse_time(text)
    return int(match["seconds"]) * _SECOND + _nanoseconds(match["fraction"])


def _short(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < _MINUTE:
        return f"{seconds} seconds"
    minutes = seconds // _MINUTE
    return "About a minute" if minutes == 1 else f"{minutes} minutes"


def _duration(text: str) -> int:
    parts = _DURATION_PART.findall(text)
    length = sum(Fraction(number) * _UNITS[unit] for number, unit in parts)
    return -int(length) if text.startswith("-") else int(length)


def _zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text.startswith("-") else offset)


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0")[:9].ljust(9, "0"))


def _no_time(text: str) -> Refusal:
    return Refusal(f'failed to parse value as time or duration: "{one_line(text)}"')
