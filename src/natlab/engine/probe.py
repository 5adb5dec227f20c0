"""Probes: one real exchange between two nodes, and what either side saw of it.

A probe brings its own server when nobody listens at the port yet, so it works on a network in
which no program runs, and with whatever server a person started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from natlab.engine.capture import Capture
from natlab.engine.node import Node
from natlab.kernel.waiting import readable
from natlab.model import craft
from natlab.model.packet import Packet

Outcome = Literal["answered", "refused", "unreachable", "no answer"]
PATIENCE: Final = 1.0
"""Seconds to wait for an answer that may never come."""

_UNREACHABLE: Final = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENONET,
    errno.EACCES,
    errno.EPERM,
}
_IP_HEADER: Final = 20


@dataclass(frozen=True)
class Probe:
    """What came of one exchange."""

    proto: str
    client: str
    target: str
    outcome: Outcome
    arrived: Packet | None = None
    """The first packet of the exchange as it reached the server's namespace."""
    client_port: int | None = None
    peer: str | None = None
    """Whom the answer came from, as the client saw it."""

    @property
    def source_seen(self) -> str | None:
        """The source address that the server saw; None if nothing reached it."""
        return self.arrived.src if self.arrived else None

    def __str__(self) -> str:
        seen = f", seen as coming from {self.source_seen}" if self.arrived else ""
        return f"{self.proto} {self.client} → {self.target}: {self.outcome}{seen}"


def tcp(
    client: Node,
    host: str,
    port: int,
    *,
    server: Node,
    server_port: int | None = None,
    timeout: float = PATIENCE,
) -> Probe:
    """One TCP connection, one byte each way.

    Args:
        client: Where it comes from.
        host: The address to connect to.
        port: The port to connect to.
        server: The node that should be reached in the end, after all rewriting.
        server_port: The port there, if it is another one.
        timeout: Seconds to wait for each step.
    """
    wanted = server_port or port
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(server, socket.SOCK_STREAM, wanted))
        capture = stack.enter_context(server.capture())
        sock = stack.enter_context(client.socket())
        outcome = connect(sock, host, port, timeout)
        arrived = capture.wait_for(syn_for(wanted), 0 if outcome != "answered" else timeout)
        if outcome == "answered" and not _exchange(sock, listener, timeout):
            outcome = "no answer" if listener or not arrived else "answered"
        return Probe("tcp", client.name, f"{host}:{port}", outcome, arrived, own_port(sock), host)


def connect(sock: socket.socket, host: str, port: int, timeout: float) -> Outcome:
    """Connect, and say in a word how it went."""
    sock.settimeout(timeout)
    try:
        sock.connect((host, port))
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return _outcome_of(error)
    return "answered"


def _outcome_of(error: OSError) -> Outcome:
    if error.errno in _UNREACHABLE:
        return "unreachable"
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return "refused"
    return "no answer"


def _exchange(sock: socket.socket, listener: socket.socket | None, timeout: float) -> bool:
    """Carry a byte to our own listener and back, or greet somebody else's server."""
    try:
        if listener is None:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(sock.recv(1))
        listener.settimeout(timeout)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(timeout)
            sock.sendall(b"?")
            peer.sendall(peer.recv(1))
            return sock.recv(1) == b"?"
    except (TimeoutError, ConnectionError):
        return False


def syn_for(port: int) -> Callable[[Packet], bool]:
    """Recognise the first packet of a TCP connection to a port."""
    return lambda p: (
        p.proto == "tcp"
        and p.dport == port
        and "S" in (p.flags or "")
        and "." not in (p.flags or "")
    )


def udp(
    client: Node,
    host: str,
    port: int,
    *,
    server: Node,
    server_port: int | None = None,
    timeout: float = PATIENCE,
) -> Probe:
    """One datagram and its answer; the arguments are those of `tcp`."""
    wanted = server_port or port
    token = os.urandom(12)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening(server, socket.SOCK_DGRAM, wanted))
        capture = stack.enter_context(server.capture())
        sock = stack.enter_context(client.socket(kind=socket.SOCK_DGRAM))
        outcome, peer = _ask(sock, (host, port), token, listener, timeout)
        arrived = _first_with(capture, token)
        return Probe("udp", client.name, f"{host}:{port}", outcome, arrived, own_port(sock), peer)


def _ask(
    sock: socket.socket,
    target: tuple[str, int],
    token: bytes,
    listener: socket.socket | None,
    timeout: float,
) -> tuple[Outcome, str | None]:
    try:
        sock.connect(target)
        sock.sendall(token)
        if listener is not None and readable([listener.fileno()], timeout):
            data, peer = listener.recvfrom(64)
            listener.sendto(data, peer)
        sock.settimeout(timeout)
        _, answered_by = sock.recvfrom(65536)
    except OSError as error:
        return _outcome_of(error), None
    return "answered", answered_by[0]


def ping(
    client: Node,
    host: str,
    *,
    server: Node | None = None,
    timeout: float = PATIENCE,
    size: int = 24,
) -> Probe:
    """One ICMP echo request and its answer. Equivalent to: `ping -c 1 HOST`.

    Args:
        client: Where it comes from.
        host: Whom to ask.
        server: The node that should be reached, to see with which source it arrives there.
        timeout: Seconds to wait for the answer.
        size: Bytes of payload; with 1472 a packet has 1500 bytes.
    """
    token = os.urandom(12)
    number = struct.unpack("!H", token[:2])[0]
    request = craft.icmp_echo(
        client_address(client, host), host, number, 1, token + bytes(max(size - 12, 0))
    )
    with contextlib.ExitStack() as stack:
        capture = stack.enter_context(server.capture()) if server else None
        sock = stack.enter_context(
            client.socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)
        )
        outcome, peer = _echo(sock, host, request[_IP_HEADER:], token, timeout)
        arrived = _first_with(capture, token) if capture else None
        return Probe("icmp", client.name, host, outcome, arrived, None, peer)


def inject(
    sender: Node,
    source: str,
    target: str,
    *,
    receiver: Node,
    port: int = 4999,
    timeout: float = PATIENCE,
) -> Packet | None:
    """Send one UDP datagram with any source address; returns it as it arrived, or None.

    Args:
        sender: The node that writes the packet (raw, so its own address does not matter).
        source: The source address to write into it.
        target: Where it goes.
        receiver: The node that it should reach.
        port: Both ports.
        timeout: Seconds to wait for it there.
    """
    with (
        receiver.capture() as seen,
        sender.socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as raw,
    ):
        try:
            raw.sendto(craft.udp(source, target, port, port, b"natlab"), (target, 0))
        except OSError:
            return None
        return seen.wait_for(lambda packet: packet.dport == port, timeout)


def client_address(client: Node, host: str) -> str:
    """The source address that a node uses towards another address; 0.0.0.0 without a route."""
    with client.socket(kind=socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((host, 9))
        except OSError:
            return "0.0.0.0"
        return str(sock.getsockname()[0])


def _echo(
    sock: socket.socket, host: str, message: bytes, token: bytes, timeout: float
) -> tuple[Outcome, str | None]:
    try:
        sock.sendto(message, (host, 0))
    except OSError as error:
        return _outcome_of(error), None
    for data, peer in _incoming(sock, timeout):
        kind, body = data[_IP_HEADER], data[_IP_HEADER + 8 :]
        if kind == 0 and body.startswith(token):
            return "answered", peer
        if kind in (3, 11) and message[:8] in body:
            return "unreachable", peer
    return "no answer", None


def _incoming(sock: socket.socket, timeout: float) -> Iterator[tuple[bytes, str]]:
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0 and readable([sock.fileno()], left):
        data, peer = sock.recvfrom(65536)
        yield data, peer[0]


def _first_with(capture: Capture, token: bytes) -> Packet | None:
    """The first incoming frame that carries a token."""
    for captured in capture.collect():
        if token in captured.frame and not captured.outgoing:
            return captured.packet
    return None


@contextlib.contextmanager
def listening(server: Node, kind: socket.SocketKind, port: int) -> Iterator[socket.socket | None]:
    """A server of our own at a port; None if somebody serves there already."""
    sock = server.socket(kind=kind)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
        try:
            sock.bind(("0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                sock.listen(8)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield None
            return
        yield sock


def own_port(sock: socket.socket) -> int | None:
    """The port that a socket has at its own end; None if it has none."""
    try:
        return int(sock.getsockname()[1])
    except OSError:
        return None
