"""The values of `docker run`'s options: what each means to the Engine API, in Docker's words."""

from __future__ import annotations

import re
from fractions import Fraction
from ipaddress import ip_address
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.docker_flags import Reader
from natlab.model.docker_mounts import mount, size
from natlab.model.link_env import parse_link
from natlab.model.names import one_line

_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
_HOUR: Final = 3600 * 10**9
_STREAMS: Final = ("stdin", "stdout", "stderr")
_ULIMITS: Final = re.compile(
    "core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending"
    "|stack"
)
_SYSCTLS: Final = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni")
) | {"kernel.shm_rmid_forced"}


def swap(text: str) -> int:
    """Bytes, or -1 for any number."""
    return -1 if text == "-1" else size(text)


def duration(text: str) -> int:
    """Nanoseconds: `1m30s`."""
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(parts) != text:
        raise UsageError(f'time: invalid duration "{one_line(text)}"')
    return sum(_nanoseconds(part) for part in parts)


def _nanoseconds(part: str) -> int:
    number = part.rstrip("nuµmsh")
    unit = part[len(number) :]
    return int(Fraction(number) * (_HOUR if unit == "h" else _UNITS[unit]))


def _cpus(text: str) -> int:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"failed to parse {one_line(text)} as a rational number") from None
    nano = value * 10**9
    if nano.denominator != 1:
        raise UsageError("value is too precise")
    return int(nano)


def environment(text: str) -> str:
    """A variable: `A=1`, or `A` for what it is here."""
    if not text.partition("=")[0]:
        raise UsageError(f"invalid environment variable: {one_line(text)}")
    return text


def _stream(text: str) -> str:
    if text.lower() not in _STREAMS:
        raise UsageError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def link(text: str) -> str:
    """A link: `db`, `db:alias`."""
    parse_link(text)
    return text


def _extra_host(text: str) -> str:
    name, sign, address = text.partition("=" if "=" in text else ":")
    if not name or not sign:
        raise UsageError(f'bad format for add-host: "{one_line(text)}"')
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if bare != "host-gateway" and not _is_address(bare):
        raise UsageError(f'invalid IP address in add-host: "{one_line(bare)}"')
    return f"{name}:{bare}"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _dns(text: str) -> str:
    if not _is_address(text.strip()):
        raise UsageError(f"IP address is not correctly formatted: {one_line(text)}")
    return str(ip_address(text.strip()))


def _ulimit(text: str) -> dict[str, Any]:
    name, sign, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    if not sign or not limits:
        raise UsageError(f"invalid ulimit argument: {one_line(text)}")
    if not _ULIMITS.fullmatch(name):
        raise UsageError(f"invalid ulimit type: {one_line(name)}")
    try:
        numbers = int(soft), int(hard or soft)
    except ValueError:
        raise UsageError(f"invalid ulimit argument: {one_line(text)}") from None
    if numbers[0] > numbers[1] >= 0:
        raise UsageError(
            f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )
    return {"Name": name, "Hard": numbers[1], "Soft": numbers[0]}


def _label(text: str) -> str:
    if not text.partition("=")[0].strip():
        raise UsageError(f"invalid label '{one_line(text)}': empty name")
    return text


def _sysctl(text: str) -> str:
    name, sign, _ = text.partition("=")
    if sign and (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        return text
    raise UsageError(f"sysctl '{one_line(text)}' is not allowed")


READERS: Final[dict[str, Reader]] = {
    "add-host": _extra_host,
    "attach": _stream,
    "cpus": _cpus,
    "dns": _dns,
    "env": environment,
    "health-interval": duration,
    "health-start-interval": duration,
    "health-start-period": duration,
    "health-timeout": duration,
    "label": _label,
    "link": link,
    "memory": size,
    "memory-reservation": size,
    "memory-swap": swap,
    "mount": mount,
    "shm-size": size,
    "sysctl": _sysctl,
    "ulimit": _ulimit,
}
"""How `docker run` and `docker create` read the options that are more than text."""
