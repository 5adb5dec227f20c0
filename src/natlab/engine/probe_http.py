"""The HTTP probe: one GET, what came back, and with which source it reached the server."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.parse import SplitResult

from natlab.engine import web
from natlab.engine.node import Node
from natlab.engine.probe import PATIENCE, Outcome, Probe, connect, listening, own_port, syn_for

_ANSWER: Final = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nnatlab\n"


@dataclass(frozen=True)
class HttpProbe(Probe):
    """What came of one GET."""

    status: int | None = None
    """The status code of the answer; None without one."""
    body: str = ""


def http(
    client: Node,
    url: str,
    *,
    server: Node,
    server_port: int | None = None,
    timeout: float = PATIENCE,
) -> HttpProbe:
    """One HTTP GET. Equivalent to: `curl URL`.

    Where nobody serves at the port, the probe answers itself: 200, and the line `natlab`.

    Args:
        client: Where it comes from.
        url: What to get, like `http://192.168.33.11:49153/`; the host is an IPv4 address.
        server: The node that should be reached in the end, after all rewriting.
        server_port: The port there, if it is another one.
        timeout: Seconds to wait for each step.

    Raises:
        UsageError: not an http URL with a host.
    """
    parts, port = web.parsed(url)
    with contextlib.ExitStack() as stack:
        wanted = server_port or port
        listener = stack.enter_context(listening(server, socket.SOCK_STREAM, wanted))
        capture = stack.enter_context(server.capture())
        sock = stack.enter_context(client.socket())
        outcome = connect(sock, str(parts.hostname), port, timeout)
        arrived = capture.wait_for(syn_for(wanted), timeout if outcome == "answered" else 0)
        status, body = None, ""
        if outcome == "answered":
            outcome, status, body = _get(sock, parts, listener, timeout)
        port_used, peer = own_port(sock), str(parts.hostname)
        return HttpProbe("http", client.name, url, outcome, arrived, port_used, peer, status, body)


def _get(
    sock: socket.socket, parts: SplitResult, listener: socket.socket | None, timeout: float
) -> tuple[Outcome, int | None, str]:
    try:
        sock.sendall(f"GET {web.target(parts)} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        if listener is not None:
            _serve_one(listener, timeout)
        response = HTTPResponse(sock, method="GET")
        response.begin()
        return "answered", response.status, response.read().decode(errors="replace")
    except (OSError, HTTPException):
        return "no answer", None, ""


def _serve_one(listener: socket.socket, timeout: float) -> None:
    listener.settimeout(timeout)
    peer, _ = listener.accept()
    with peer:
        peer.settimeout(timeout)
        request = b""
        while b"\r\n\r\n" not in request:
            request += peer.recv(4096)
        peer.sendall(_ANSWER)
