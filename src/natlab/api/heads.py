"""The headers that every answer carries, and the heads that h11 does not write."""

from __future__ import annotations

from email.utils import formatdate

from natlab.api.response import MULTIPLEXED_STREAM, RAW_STREAM
from natlab.api.target import API_VERSION
from natlab.release import VERSION


def server_name() -> str:
    """What the Server header says, as Docker's does: name, version, system."""
    return f"natlab/{VERSION} (linux)"


def common_headers() -> list[tuple[str, str]]:
    """What Docker says with every answer."""
    return [
        ("Api-Version", API_VERSION),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", server_name()),
        ("Date", formatdate(usegmt=True)),
    ]


def hijack_head(*, upgrade: bool, multiplexed: bool) -> bytes:
    """The last HTTP on a connection that is handed over.

    Without an upgrade it is a 200 whose body goes on until the connection ends, and its type is
    always the raw stream's. Source: moby's postContainersAttach.
    """
    if upgrade:
        lines = [
            "HTTP/1.1 101 UPGRADED",
            f"Content-Type: {MULTIPLEXED_STREAM if multiplexed else RAW_STREAM}",
            "Connection: Upgrade",
            "Upgrade: tcp",
        ]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW_STREAM}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in common_headers()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
