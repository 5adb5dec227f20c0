"""One HTTP request from a node, for the answer itself; the probe `http` tells how it travelled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from socket import socket as Socket  # noqa: N812
from typing import Any
from urllib.parse import SplitResult, urlsplit

from natlab.errors import UsageError


@dataclass(frozen=True)
class Response:
    """What a web server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text (UTF-8)."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def parsed(url: str) -> tuple[SplitResult, int]:
    """An http URL with a host in its parts, and the port.

    Raises:
        UsageError: it is not one.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"{url!r} is not a URL like http://192.168.33.11:49153/")
    return parts, port


def target(parts: SplitResult) -> str:
    """What a request asks for: the path with its query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def split(url: str) -> tuple[str, int, str]:
    """Where an http URL leads: host, port, and the path with its query.

    Raises:
        UsageError: it is not one.
    """
    parts, port = parsed(url)
    return str(parts.hostname), port, target(parts)


def get(sock: Socket, url: str) -> Response:
    """One GET over a connection, which is closed afterwards."""
    host, port, path = split(url)
    connection = HTTPConnection(host, port)
    connection.sock = sock
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Response(answer.status, dict(answer.headers.items()), answer.read())
    finally:
        connection.close()
